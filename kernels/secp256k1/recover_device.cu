// SPDX-License-Identifier: Apache-2.0
// Owns the CUDA device of recovery: pinned staging, one captured graph for each batch size, and the
// check that each result belongs to its job.
#include "kernels/secp256k1/detail/recover_device.hpp"

#include <algorithm>
#include <bit>
#include <mutex>

#include "kernels/secp256k1/detail/gpu/known_answers.hpp"
#include "kernels/secp256k1/detail/recover_kernels.cuh"

namespace millrace::kernels::detail {

namespace {

// A batch runs as the graph of the next power of two, so that a size costs no capture.
constexpr uint32_t bucket_jobs_min = 256;
constexpr uint32_t bucket_jobs_max = 65536;
constexpr size_t bucket_count = std::bit_width(bucket_jobs_max / bucket_jobs_min);
constexpr uint32_t bucket_jobs(size_t bucket) { return bucket_jobs_min << bucket; }
static_assert(bucket_jobs(bucket_count - 1) == bucket_jobs_max);

size_t bucket_for(size_t jobs) {
    size_t bucket = 0;
    while (bucket_jobs(bucket) < jobs) { ++bucket; }
    return bucket;
}

/// Staging for one batch and the jobs that it carries.
struct Batch {
    cudaStream_t stream = nullptr;
    cudaGraphExec_t graphs[bucket_count] = {};
    RecoverInput* host_input = nullptr;
    gpu::RecoverOutput* host_outputs = nullptr;
    RecoverMemory memory;
    size_t first = 0;  ///< index of the first job in flight
    size_t count = 0;  ///< jobs in flight; 0 when idle
    uint32_t first_tag = 0;

    std::string open(const gpu::Affine* table) {
        MILLRACE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
        MILLRACE_CUDA_CHECK(cudaMallocHost(reinterpret_cast<void**>(&host_input),
                                           RecoverInput::bytes_for(bucket_jobs_max)));
        MILLRACE_CUDA_CHECK(cudaMallocHost(reinterpret_cast<void**>(&host_outputs),
                                           bucket_jobs_max * sizeof(gpu::RecoverOutput)));
        // The graphs copy whole buckets; slots beyond the count are copied but never read.
        std::memset(static_cast<void*>(host_input), 0, RecoverInput::bytes_for(bucket_jobs_max));
        if (std::string fault = memory.open(bucket_jobs_max); !fault.empty()) { return fault; }
        // A run without jobs: kernels are loaded when first launched, which a capture may forbid.
        MILLRACE_CUDA_CHECK(launch_recovery(memory, table, bucket_jobs_min, stream));
        MILLRACE_CUDA_CHECK(cudaStreamSynchronize(stream));
        for (size_t bucket = 0; bucket < bucket_count; ++bucket) {
            if (std::string fault = capture(bucket, table); !fault.empty()) { return fault; }
        }
        return {};
    }

    std::string capture(size_t bucket, const gpu::Affine* table) {
        // Other threads may use the device meanwhile, hence the mode.
        MILLRACE_CUDA_CHECK(cudaStreamBeginCapture(stream, cudaStreamCaptureModeThreadLocal));
        const std::string fault = enqueue(bucket, table);
        cudaGraph_t graph = nullptr;
        // A capture must end even if it failed; the first failure is the one to tell.
        const cudaError_t ended = cudaStreamEndCapture(stream, &graph);
        if (!fault.empty()) { return fault; }
        if (ended != cudaSuccess) { return describe_cuda("cudaStreamEndCapture", ended); }
        MILLRACE_CUDA_CHECK(cudaGraphInstantiate(&graphs[bucket], graph, 0));
        MILLRACE_CUDA_CHECK(cudaGraphDestroy(graph));
        MILLRACE_CUDA_CHECK(cudaGraphUpload(graphs[bucket], stream));
        return {};
    }

    std::string enqueue(size_t bucket, const gpu::Affine* table) {
        const uint32_t jobs = bucket_jobs(bucket);
        MILLRACE_CUDA_CHECK(cudaMemcpyAsync(memory.input, host_input, RecoverInput::bytes_for(jobs),
                                            cudaMemcpyHostToDevice, stream));
        MILLRACE_CUDA_CHECK(launch_recovery(memory, table, jobs, stream));
        MILLRACE_CUDA_CHECK(cudaMemcpyAsync(host_outputs, memory.outputs,
                                            jobs * sizeof(gpu::RecoverOutput),
                                            cudaMemcpyDeviceToHost, stream));
        return {};
    }

    std::string launch(std::span<const RecoverJob> jobs, size_t from, uint32_t tag) {
        first = from;
        count = std::min<size_t>(jobs.size() - from, bucket_jobs_max);
        first_tag = tag;
        host_input->count = static_cast<uint32_t>(count);
        for (uint32_t i = 0; i < count; ++i) {
            gpu::write_slot(jobs[from + i], tag + i, host_input->slots()[i]);
        }
        MILLRACE_CUDA_CHECK(cudaGraphLaunch(graphs[bucket_for(count)], stream));
        return {};
    }

    std::string collect(std::span<gpu::RecoverOutput> outputs) {
        if (count == 0) { return {}; }
        MILLRACE_CUDA_CHECK(cudaStreamSynchronize(stream));
        for (uint32_t i = 0; i < count; ++i) {
            const gpu::RecoverOutput& output = host_outputs[i];
            if (output.tag != first_tag + i || output.verdict < gpu::verdict_valid ||
                output.verdict > gpu::verdict_redo) {
                return "result " + std::to_string(i) + " of a batch of " + std::to_string(count) +
                       " has tag " + std::to_string(output.tag) + " and verdict " +
                       std::to_string(output.verdict) + "; tag " + std::to_string(first_tag + i) +
                       " was sent";
            }
            outputs[first + i] = output;
        }
        count = 0;
        return {};
    }
};

/// The device of the process. Its memory is given back by the driver when the process ends: a
/// destructor would run after the CUDA runtime has gone.
class RecoverDevice {
public:
    std::string recover(std::span<const RecoverJob> jobs, std::span<gpu::RecoverOutput> outputs) {
        const std::lock_guard lock(mutex_);
        if (!fault_.empty()) { return fault_; }
        fault_ = recover_locked(jobs, outputs);
        return fault_;
    }

private:
    std::string open() {
        MILLRACE_CUDA_CHECK(cudaSetDevice(0));
        if (open_) { return {}; }
        if (std::string fault = make_device_table(table_); !fault.empty()) { return fault; }
        for (Batch& batch : batches_) {
            if (std::string fault = batch.open(table_); !fault.empty()) { return fault; }
        }
        open_ = true;
        return {};
    }

    /// Two batches take turns, so that writing the slots of one overlaps the other's run.
    std::string recover_locked(std::span<const RecoverJob> jobs,
                               std::span<gpu::RecoverOutput> outputs) {
        if (std::string fault = open(); !fault.empty()) { return fault; }
        size_t turn = 0;
        for (size_t taken = 0; taken < jobs.size(); turn ^= 1) {
            Batch& batch = batches_[turn];
            if (std::string fault = batch.collect(outputs); !fault.empty()) { return fault; }
            if (std::string fault = batch.launch(jobs, taken, next_tag_); !fault.empty()) {
                return fault;
            }
            taken += batch.count;
            next_tag_ += static_cast<uint32_t>(batch.count);
        }
        for (Batch& batch : batches_) {
            if (std::string fault = batch.collect(outputs); !fault.empty()) { return fault; }
        }
        return {};
    }

    std::mutex mutex_;  ///< guards everything below
    const gpu::Affine* table_ = nullptr;
    Batch batches_[2];
    /// Counts jobs over the life of the process, so that a result of an earlier batch shows.
    uint32_t next_tag_ = 1;
    bool open_ = false;
    std::string fault_;  ///< the first failure; nothing is tried after it
};

RecoverDevice& device() {
    static RecoverDevice& instance = *new RecoverDevice;
    return instance;
}

/// The device's name, or in `reason` why there is none.
std::string find_device(std::string& reason) {
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    if (error == cudaErrorInsufficientDriver) {
        reason = "no device: the NVIDIA driver is absent or too old (CUDA error 35)";
        return {};
    }
    if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
        reason = "no device: the driver lists none";
        return {};
    }
    if (error != cudaSuccess) {
        reason = describe_cuda("cudaGetDeviceCount", error);
        return {};
    }
    cudaDeviceProp properties{};
    if (const cudaError_t e = cudaGetDeviceProperties(&properties, 0); e != cudaSuccess) {
        reason = describe_cuda("cudaGetDeviceProperties", e);
        return {};
    }
    return std::string(properties.name) + " (sm_" + std::to_string(properties.major) +
           std::to_string(properties.minor) + ")";
}

RecoverProbe probe_device() {
    RecoverProbe probe;
    probe.target = find_device(probe.reason);
    if (probe.target.empty()) { return probe; }
    std::vector<RecoverJob> jobs;
    for (const gpu::KnownAnswer& answer : gpu::known_answers) { jobs.push_back(answer.job()); }
    std::vector<gpu::RecoverOutput> outputs(jobs.size());
    std::string fault = device().recover(jobs, outputs);
    for (size_t i = 0; i < jobs.size() && fault.empty(); ++i) {
        if (!gpu::known_answers[i].agrees(outputs[i])) {
            fault = "known answer " + std::to_string(i) + " came back wrong";
        }
    }
    if (!fault.empty()) {
        probe.reason = probe.target + ": " + fault;
        probe.target.clear();
        return probe;
    }
    probe.available = true;
    return probe;
}

}  // namespace

const RecoverProbe& recover_device_probe() {
    static const RecoverProbe probe = probe_device();
    return probe;
}

std::string recover_on_device(std::span<const RecoverJob> jobs,
                              std::span<gpu::RecoverOutput> outputs) {
    return device().recover(jobs, outputs);
}

}  // namespace millrace::kernels::detail
