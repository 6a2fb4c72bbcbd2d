// SPDX-License-Identifier: Apache-2.0
// Owns the engine's CUDA device: pinned staging, three streams, a captured graph for each size of
// batch, results in mapped memory.
#include <cuda_runtime_api.h>

#include <bit>
#include <cstdio>
#include <cstring>

#include "kernels/keccak/detail/packed.hpp"
#include "kernels/offload/detail/absent_device.hpp"
#include "kernels/offload/detail/device.hpp"
#include "kernels/secp256k1/detail/recover_kernels.cuh"

namespace millrace::kernels::detail {

namespace {

constexpr uint32_t streams = 3;
// A batch runs as the graph of the next power of two, so that a size costs no capture.
constexpr uint32_t bucket_items_min = 256;
constexpr uint32_t bucket_items_max = 65536;
constexpr size_t bucket_count = std::bit_width(bucket_items_max / bucket_items_min);
constexpr uint32_t bucket_items(size_t bucket) { return bucket_items_min << bucket; }
static_assert(bucket_items(bucket_count - 1) == bucket_items_max);
constexpr size_t keccak_words_max = size_t{4} << 20;  // 32 MiB
constexpr uint32_t block_threads = 128;

size_t bucket_for(size_t items) {
    size_t bucket = 0;
    while (bucket_items(bucket) < items) { ++bucket; }
    return bucket;
}

/// What goes with a batch and comes back with it, in memory that both sides see.
struct BatchMark {
    uint64_t epoch;
    uint64_t count;
};

__constant__ uint64_t device_round_constants[keccak_rounds];

__global__ void __launch_bounds__(block_threads)
    offload_keccak(const uint64_t* __restrict__ words, const PackedExtent* __restrict__ extents,
                   const uint32_t* count, uint64_t* __restrict__ digests) {
    const uint32_t index = blockIdx.x * block_threads + threadIdx.x;
    if (index >= *count) { return; }
    const PackedExtent extent = extents[index];
    keccak256_packed(words + extent.first_word, extent.bytes, device_round_constants,
                     digests + 4 * size_t{index});
}

/// The last node of a graph: its epoch tells the host that these are the results of this batch, and
/// its count how many jobs the device was given.
__global__ void offload_mark(const uint32_t* count, const BatchMark* sent, BatchMark* done) {
    done->count = *count;
    __threadfence_system();
    done->epoch = sent->epoch;
}

/// Pinned memory that the device reads and writes in place.
template <class T>
struct Mapped {
    T* host = nullptr;
    T* device = nullptr;

    std::string open(size_t count) {
        MILLRACE_CUDA_CHECK(cudaHostAlloc(reinterpret_cast<void**>(&host), count * sizeof(T),
                                          cudaHostAllocMapped | cudaHostAllocPortable));
        std::memset(static_cast<void*>(host), 0, count * sizeof(T));
        MILLRACE_CUDA_CHECK(cudaHostGetDevicePointer(reinterpret_cast<void**>(&device), host, 0));
        return {};
    }
    std::string close() {
        MILLRACE_CUDA_CHECK(cudaFreeHost(host));
        return {};
    }
};

template <class T>
std::string allocate(T*& memory, size_t count) {
    MILLRACE_CUDA_CHECK(cudaMalloc(reinterpret_cast<void**>(&memory), count * sizeof(T)));
    return {};
}

// Passes on the text of a step that failed.
#define MILLRACE_OFFLOAD_STEP(step)                                             \
    do {                                                                        \
        if (std::string failed_ = (step); !failed_.empty()) { return failed_; } \
    } while (false)

/// One batch in flight: a stream, what it copies from and to, and its graphs.
struct Slot {
    cudaStream_t stream = nullptr;
    cudaGraphExec_t recover_graphs[bucket_count] = {};
    cudaGraphExec_t keccak_graphs[bucket_count] = {};
    Mapped<BatchMark> sent;
    Mapped<BatchMark> done;

    Mapped<RecoverInput> recover_header;
    Mapped<gpu::RecoverSlot> recover_staging;
    Mapped<gpu::RecoverOutput> recover_outputs;
    RecoverMemory recover_memory;

    Mapped<uint32_t> keccak_count_sent;
    Mapped<uint64_t> keccak_words;
    Mapped<PackedExtent> keccak_extents;
    Mapped<Hash256> keccak_digests;
    uint32_t* device_count = nullptr;
    uint64_t* device_words = nullptr;
    PackedExtent* device_extents = nullptr;

    bool busy = false;

    std::string open(const gpu::Affine* table) {
        MILLRACE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
        MILLRACE_OFFLOAD_STEP(sent.open(1));
        MILLRACE_OFFLOAD_STEP(done.open(1));
        MILLRACE_OFFLOAD_STEP(recover_header.open(1));
        MILLRACE_OFFLOAD_STEP(recover_staging.open(bucket_items_max));
        MILLRACE_OFFLOAD_STEP(recover_outputs.open(bucket_items_max));
        MILLRACE_OFFLOAD_STEP(recover_memory.open(bucket_items_max));
        MILLRACE_OFFLOAD_STEP(keccak_count_sent.open(1));
        MILLRACE_OFFLOAD_STEP(keccak_words.open(keccak_words_max));
        MILLRACE_OFFLOAD_STEP(keccak_extents.open(bucket_items_max));
        MILLRACE_OFFLOAD_STEP(keccak_digests.open(bucket_items_max));
        MILLRACE_OFFLOAD_STEP(allocate(device_count, 1));
        MILLRACE_OFFLOAD_STEP(allocate(device_words, keccak_words_max));
        MILLRACE_OFFLOAD_STEP(allocate(device_extents, bucket_items_max));
        MILLRACE_CUDA_CHECK(cudaMemset(device_count, 0, sizeof *device_count));
        // The stream does not wait for the one that the line above used.
        MILLRACE_CUDA_CHECK(cudaDeviceSynchronize());
        // A run without jobs: kernels are loaded when first launched, which a capture may forbid.
        MILLRACE_OFFLOAD_STEP(enqueue_recover(0, table));
        MILLRACE_OFFLOAD_STEP(enqueue_keccak(0));
        MILLRACE_CUDA_CHECK(cudaStreamSynchronize(stream));
        for (size_t bucket = 0; bucket < bucket_count; ++bucket) {
            MILLRACE_OFFLOAD_STEP(
                capture(recover_graphs[bucket], [&] { return enqueue_recover(bucket, table); }));
            MILLRACE_OFFLOAD_STEP(
                capture(keccak_graphs[bucket], [&] { return enqueue_keccak(bucket); }));
        }
        MILLRACE_CUDA_CHECK(cudaStreamSynchronize(stream));
        return {};
    }

    template <class Enqueue>
    std::string capture(cudaGraphExec_t& graph_exec, Enqueue enqueue) {
        // Other threads may use the device meanwhile, hence the mode.
        MILLRACE_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
        const std::string failed = enqueue();
        cudaGraph_t graph = nullptr;
        // A capture must end even if it failed; the first failure is the one to tell.
        const cudaError_t ended = cudaStreamEndCapture(stream, &graph);
        if (!failed.empty()) { return failed; }
        if (ended != cudaSuccess) { return describe_cuda("cudaStreamEndCapture", ended); }
        MILLRACE_CUDA_CHECK(cudaGraphInstantiate(&graph_exec, graph, 0));
        MILLRACE_CUDA_CHECK(cudaGraphDestroy(graph));
        MILLRACE_CUDA_CHECK(cudaGraphUpload(graph_exec, stream));
        return {};
    }

    std::string enqueue_recover(size_t bucket, const gpu::Affine* table) {
        // The last stage writes its results where the host reads them.
        RecoverMemory memory = recover_memory;
        memory.outputs = recover_outputs.device;
        MILLRACE_CUDA_CHECK(launch_recovery(memory, table, bucket_items(bucket), stream));
        return enqueue_mark(&memory.input->count);
    }

    std::string enqueue_keccak(size_t bucket) {
        const uint32_t blocks = bucket_items(bucket) / block_threads;
        offload_keccak<<<blocks, block_threads, 0, stream>>>(
            device_words, device_extents, device_count,
            reinterpret_cast<uint64_t*>(keccak_digests.device));
        MILLRACE_CUDA_CHECK(cudaGetLastError());
        return enqueue_mark(device_count);
    }

    std::string enqueue_mark(const uint32_t* count) {
        offload_mark<<<1, 1, 0, stream>>>(count, sent.device, done.device);
        MILLRACE_CUDA_CHECK(cudaGetLastError());
        return {};
    }

    std::string submit_recover(uint64_t epoch,
                               std::span<const std::span<const gpu::RecoverSlot>> runs) {
        busy = true;  // also when only a copy was queued: a lost device would never end it
        size_t count = 0;
        // One header of a slot's size, then the slots.
        auto* const slots = reinterpret_cast<gpu::RecoverSlot*>(recover_memory.input + 1);
        for (const auto& run : runs) {
            if (run.size() > bucket_items_max - count) { return "was given too large a batch"; }
            MILLRACE_CUDA_CHECK(cudaMemcpyAsync(slots + count, run.data(), run.size_bytes(),
                                                cudaMemcpyHostToDevice, stream));
            count += run.size();
        }
        recover_header.host->count = static_cast<uint32_t>(count);
        MILLRACE_CUDA_CHECK(cudaMemcpyAsync(recover_memory.input, recover_header.host,
                                            sizeof(RecoverInput), cudaMemcpyHostToDevice, stream));
        return launch(recover_graphs[bucket_for(count)], epoch);
    }

    std::string submit_keccak(uint64_t epoch, size_t messages, size_t words) {
        if (messages > bucket_items_max || words > keccak_words_max) {
            return "was given too large a batch";
        }
        busy = true;
        *keccak_count_sent.host = static_cast<uint32_t>(messages);
        MILLRACE_CUDA_CHECK(cudaMemcpyAsync(device_count, keccak_count_sent.host,
                                            sizeof *device_count, cudaMemcpyHostToDevice, stream));
        MILLRACE_CUDA_CHECK(cudaMemcpyAsync(device_words, keccak_words.host, words * 8,
                                            cudaMemcpyHostToDevice, stream));
        MILLRACE_CUDA_CHECK(cudaMemcpyAsync(device_extents, keccak_extents.host,
                                            messages * sizeof(PackedExtent), cudaMemcpyHostToDevice,
                                            stream));
        return launch(keccak_graphs[bucket_for(messages)], epoch);
    }

    std::string launch(cudaGraphExec_t graph, uint64_t epoch) {
        sent.host->epoch = epoch;
        MILLRACE_CUDA_CHECK(cudaGraphLaunch(graph, stream));
        return {};
    }

    std::string close() {
        for (size_t bucket = 0; bucket < bucket_count; ++bucket) {
            MILLRACE_CUDA_CHECK(cudaGraphExecDestroy(recover_graphs[bucket]));
            MILLRACE_CUDA_CHECK(cudaGraphExecDestroy(keccak_graphs[bucket]));
        }
        MILLRACE_CUDA_CHECK(cudaStreamDestroy(stream));
        MILLRACE_OFFLOAD_STEP(recover_memory.close());
        MILLRACE_CUDA_CHECK(cudaFree(device_count));
        MILLRACE_CUDA_CHECK(cudaFree(device_words));
        MILLRACE_CUDA_CHECK(cudaFree(device_extents));
        MILLRACE_OFFLOAD_STEP(sent.close());
        MILLRACE_OFFLOAD_STEP(done.close());
        MILLRACE_OFFLOAD_STEP(recover_header.close());
        MILLRACE_OFFLOAD_STEP(recover_staging.close());
        MILLRACE_OFFLOAD_STEP(recover_outputs.close());
        MILLRACE_OFFLOAD_STEP(keccak_count_sent.close());
        MILLRACE_OFFLOAD_STEP(keccak_words.close());
        MILLRACE_OFFLOAD_STEP(keccak_extents.close());
        MILLRACE_OFFLOAD_STEP(keccak_digests.close());
        return {};
    }
};

class CudaDevice final : public Device {
public:
    ~CudaDevice() override {
        bool busy = false;
        for (const Slot& slot : slots_) { busy = busy || slot.busy; }
        // Freeing waits for what runs, and a lost device never ends; nor is there a way to go on
        // after a failure. What is left the driver takes back when the process ends.
        if (!open_ || busy) { return; }
        if (const std::string failed = close(); !failed.empty()) {
            std::fprintf(stderr, "offload: the CUDA device was not closed: %s\n", failed.c_str());
        }
    }

    /// An empty text, or why the device cannot be used.
    std::string open() {
        MILLRACE_OFFLOAD_STEP(find());
        MILLRACE_CUDA_CHECK(cudaMemcpyToSymbol(device_round_constants, keccak_round_constants,
                                               sizeof keccak_round_constants));
        MILLRACE_OFFLOAD_STEP(make_device_table(table_));
        for (Slot& slot : slots_) { MILLRACE_OFFLOAD_STEP(slot.open(table_)); }
        open_ = true;
        return {};
    }

    BackendStatus status(Kernel kernel) const override {
        BackendStatus status;
        status.kernel = to_string(kernel);
        status.backend = Backend::cuda;
        status.available = true;
        status.target = name_;
        return status;
    }
    DeviceIdentity identity() const override { return identity_; }
    uint32_t slot_count() const override { return streams; }
    size_t batch_jobs_max(Kernel) const override { return bucket_items_max; }

    std::span<std::byte> pinned_memory(size_t bytes) override {
        Mapped<std::byte> memory;
        if (!memory.open(bytes).empty()) { return {}; }
        pinned_.push_back(memory);
        return {memory.host, bytes};
    }
    std::span<gpu::RecoverSlot> recover_staging(uint32_t slot) override {
        return {slots_[slot].recover_staging.host, bucket_items_max};
    }
    KeccakStaging keccak_staging(uint32_t slot) override {
        return {{slots_[slot].keccak_words.host, keccak_words_max},
                {slots_[slot].keccak_extents.host, bucket_items_max}};
    }

    std::string submit_recover(uint32_t slot, uint64_t epoch,
                               std::span<const std::span<const gpu::RecoverSlot>> runs) override {
        return slots_[slot].submit_recover(epoch, runs);
    }
    std::string submit_keccak(uint32_t slot, uint64_t epoch, size_t message_count,
                              size_t word_count) override {
        return slots_[slot].submit_keccak(epoch, message_count, word_count);
    }

    std::string poll(std::vector<Completion>& completions) override {
        for (uint32_t i = 0; i < streams; ++i) {
            Slot& slot = slots_[i];
            if (!slot.busy) { continue; }
            const cudaError_t state = cudaStreamQuery(slot.stream);
            if (state == cudaErrorNotReady) { continue; }
            // A failed stream is left busy, so that nobody waits for it.
            if (state != cudaSuccess) { return describe_cuda("cudaStreamQuery", state); }
            slot.busy = false;
            Completion completion;
            completion.slot = i;
            completion.epoch = slot.done.host->epoch;
            completion.result_count = slot.done.host->count;
            completions.push_back(std::move(completion));
        }
        return {};
    }

    std::span<const gpu::RecoverOutput> recover_results(uint32_t slot) const override {
        return {slots_[slot].recover_outputs.host, bucket_items_max};
    }
    std::span<const Hash256> keccak_results(uint32_t slot) const override {
        return {slots_[slot].keccak_digests.host, bucket_items_max};
    }

private:
    std::string find() {
        int count = 0;
        const cudaError_t error = cudaGetDeviceCount(&count);
        if (error == cudaErrorInsufficientDriver) {
            return "no device: the NVIDIA driver is absent or too old (CUDA error 35)";
        }
        if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
            return "no device: the driver lists none";
        }
        if (error != cudaSuccess) { return describe_cuda("cudaGetDeviceCount", error); }
        MILLRACE_CUDA_CHECK(cudaSetDevice(0));
        cudaDeviceProp properties{};
        MILLRACE_CUDA_CHECK(cudaGetDeviceProperties(&properties, 0));
        name_ = std::string(properties.name) + " (sm_" + std::to_string(properties.major) +
                std::to_string(properties.minor) + ")";
        for (const char byte : properties.uuid.bytes) {
            constexpr char digits[] = "0123456789abcdef";
            identity_.uuid += digits[static_cast<uint8_t>(byte) >> 4];
            identity_.uuid += digits[static_cast<uint8_t>(byte) & 15];
        }
        int driver = 0;
        MILLRACE_CUDA_CHECK(cudaDriverGetVersion(&driver));
        identity_.driver = std::to_string(driver);
        return {};
    }

    std::string close() {
        for (Slot& slot : slots_) { MILLRACE_OFFLOAD_STEP(slot.close()); }
        for (Mapped<std::byte>& memory : pinned_) { MILLRACE_OFFLOAD_STEP(memory.close()); }
        MILLRACE_CUDA_CHECK(cudaFree(const_cast<gpu::Affine*>(table_)));
        return {};
    }

    std::string name_;
    DeviceIdentity identity_;
    const gpu::Affine* table_ = nullptr;
    Slot slots_[streams];
    std::vector<Mapped<std::byte>> pinned_;
    bool open_ = false;
};

}  // namespace

std::unique_ptr<Device> make_cuda_device() {
    auto device = std::make_unique<CudaDevice>();
    if (std::string failed = device->open(); !failed.empty()) {
        return std::make_unique<AbsentDevice>(std::move(failed));
    }
    return device;
}

}  // namespace millrace::kernels::detail
