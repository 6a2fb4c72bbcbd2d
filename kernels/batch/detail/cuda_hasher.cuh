// SPDX-License-Identifier: Apache-2.0
// Owns the staging of hash batches to an NVIDIA device: pinned memory, two streams, one launch
// each.
#pragma once

#include <cuda_runtime_api.h>

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <mutex>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "host/base/types.hpp"
#include "kernels/batch/detail/cuda_call.cuh"
#include "kernels/batch/detail/packed.hpp"

namespace millrace::kernels::detail {

// Limits of one launch. A message that does not fit is hashed on the host.
inline constexpr size_t cuda_chunk_words_max = size_t{4} << 20;  // 32 MiB
inline constexpr size_t cuda_chunk_messages_max = size_t{1} << 18;
inline constexpr unsigned cuda_block_threads = 128;

/// Staging for one launch and the messages that it carries.
struct CudaSlot {
    cudaStream_t stream = nullptr;
    uint64_t* host_words = nullptr;
    PackedExtent* host_extents = nullptr;
    Hash256* host_digests = nullptr;
    uint64_t* words = nullptr;
    PackedExtent* extents = nullptr;
    void* digests = nullptr;
    std::vector<uint32_t> carried;  ///< indices of the messages in flight

    std::string open() {
        MILLRACE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking));
        MILLRACE_CUDA_CHECK(
            cudaMallocHost(reinterpret_cast<void**>(&host_words), cuda_chunk_words_max * 8));
        MILLRACE_CUDA_CHECK(cudaMallocHost(reinterpret_cast<void**>(&host_extents),
                                           cuda_chunk_messages_max * sizeof(PackedExtent)));
        MILLRACE_CUDA_CHECK(cudaMallocHost(reinterpret_cast<void**>(&host_digests),
                                           cuda_chunk_messages_max * sizeof(Hash256)));
        MILLRACE_CUDA_CHECK(cudaMalloc(reinterpret_cast<void**>(&words), cuda_chunk_words_max * 8));
        MILLRACE_CUDA_CHECK(cudaMalloc(reinterpret_cast<void**>(&extents),
                                       cuda_chunk_messages_max * sizeof(PackedExtent)));
        MILLRACE_CUDA_CHECK(cudaMalloc(&digests, cuda_chunk_messages_max * sizeof(Hash256)));
        carried.reserve(cuda_chunk_messages_max);
        return {};
    }
};

/// One hash function on a device. A message of more than bytes_max is hashed on the host, and
/// messages are ordered by their work, since a warp ends with its longest one. `prepare` uploads
/// constants and gives an empty text, or what failed; `launch` starts the kernel `function` on one
/// message for each thread.
template <class Kernel>
concept CudaHashKernel =
    requires(size_t bytes, ByteView message, unsigned blocks, unsigned threads, cudaStream_t stream,
             const uint64_t* words, const PackedExtent* extents, uint32_t count, void* digests) {
        { Kernel::bytes_max } -> std::convertible_to<size_t>;
        { Kernel::work(bytes) } -> std::same_as<size_t>;
        { Kernel::on_host(message) } -> std::same_as<Hash256>;
        { Kernel::prepare() } -> std::same_as<std::string>;
        Kernel::launch(blocks, threads, stream, words, extents, count, digests);
        { Kernel::function() } -> std::same_as<const void*>;
    };

/// Hashes batches on the device of the process. Its memory is given back by the driver when the
/// process ends: a destructor would run after the CUDA runtime has gone.
template <CudaHashKernel Kernel>
class CudaHasher {
public:
    std::string hash(std::span<const ByteView> messages, std::span<Hash256> digests) {
        const std::lock_guard lock(mutex_);
        if (!fault_.empty()) { return fault_; }
        fault_ = hash_locked(messages, digests);
        return fault_;
    }

    /// As hash(), with one launch after the other; `kernel_us` is the sum of the times of the
    /// kernels alone, by the device's clock.
    std::string hash_timed(std::span<const ByteView> messages, std::span<Hash256> digests,
                           double& kernel_us) {
        const std::lock_guard lock(mutex_);
        if (!fault_.empty()) { return fault_; }
        fault_ = hash_timed_locked(messages, digests, kernel_us);
        return fault_;
    }

private:
    std::string open() {
        MILLRACE_CUDA_CHECK(cudaSetDevice(0));
        if (open_) { return {}; }
        if (std::string fault = Kernel::prepare(); !fault.empty()) { return fault; }
        // The constants go by the default stream, for which those of the slots do not wait.
        MILLRACE_CUDA_CHECK(cudaDeviceSynchronize());
        for (CudaSlot& slot : slots_) {
            if (std::string fault = slot.open(); !fault.empty()) { return fault; }
        }
        open_ = true;
        return {};
    }

    /// Two slots take turns, so that packing one chunk overlaps the other's copies and kernel.
    std::string hash_locked(std::span<const ByteView> messages, std::span<Hash256> digests) {
        if (std::string fault = open(); !fault.empty()) { return fault; }
        order_by_work(messages);
        size_t turn = 0;
        for (size_t taken = 0; taken < order_.size(); turn ^= 1) {
            if (std::string fault = collect(slots_[turn], digests); !fault.empty()) {
                return fault;
            }
            taken = pack(slots_[turn], messages, digests, taken);
            if (std::string fault = launch(slots_[turn]); !fault.empty()) { return fault; }
        }
        for (CudaSlot& slot : slots_) {
            if (std::string fault = collect(slot, digests); !fault.empty()) { return fault; }
        }
        return {};
    }

    std::string hash_timed_locked(std::span<const ByteView> messages, std::span<Hash256> digests,
                                  double& kernel_us) {
        if (std::string fault = open(); !fault.empty()) { return fault; }
        if (begin_ == nullptr) { MILLRACE_CUDA_CHECK(cudaEventCreate(&begin_)); }
        if (end_ == nullptr) { MILLRACE_CUDA_CHECK(cudaEventCreate(&end_)); }
        order_by_work(messages);
        kernel_us = 0;
        for (size_t taken = 0; taken < order_.size();) {
            taken = pack(slots_[0], messages, digests, taken);
            if (slots_[0].carried.empty()) { continue; }
            if (std::string fault = launch(slots_[0], true); !fault.empty()) { return fault; }
            if (std::string fault = collect(slots_[0], digests); !fault.empty()) { return fault; }
            float milliseconds = 0;
            MILLRACE_CUDA_CHECK(cudaEventElapsedTime(&milliseconds, begin_, end_));
            kernel_us += 1000.0 * milliseconds;
        }
        return {};
    }

    void order_by_work(std::span<const ByteView> messages) {
        order_.resize(messages.size());
        std::iota(order_.begin(), order_.end(), 0u);
        // A warp runs as long as its longest message.
        std::stable_sort(order_.begin(), order_.end(), [&](uint32_t a, uint32_t b) {
            return Kernel::work(messages[a].size()) < Kernel::work(messages[b].size());
        });
    }

    /// Fills the slot from order_[taken ..]; gives where it stopped, always further on.
    size_t pack(CudaSlot& slot, std::span<const ByteView> messages, std::span<Hash256> digests,
                size_t taken) {
        size_t used_words = 0;
        for (; taken < order_.size() && slot.carried.size() < cuda_chunk_messages_max; ++taken) {
            const uint32_t index = order_[taken];
            const ByteView message = messages[index];
            const size_t words = packed_words(message.size());
            if (message.size() > Kernel::bytes_max || words > cuda_chunk_words_max) {
                digests[index] = Kernel::on_host(message);
                continue;
            }
            if (used_words + words > cuda_chunk_words_max) { break; }
            pack_message(message.data(), message.size(), slot.host_words + used_words);
            slot.host_extents[slot.carried.size()] = {static_cast<uint32_t>(used_words),
                                                      static_cast<uint32_t>(message.size())};
            slot.carried.push_back(index);
            used_words += words;
        }
        packed_words_ = used_words;
        return taken;
    }

    /// `timed` records the events around the kernel.
    std::string launch(CudaSlot& slot, bool timed = false) {
        const size_t count = slot.carried.size();
        if (count == 0) { return {}; }
        if (packed_words_ != 0) {
            MILLRACE_CUDA_CHECK(cudaMemcpyAsync(slot.words, slot.host_words, packed_words_ * 8,
                                                cudaMemcpyHostToDevice, slot.stream));
        }
        MILLRACE_CUDA_CHECK(cudaMemcpyAsync(slot.extents, slot.host_extents,
                                            count * sizeof(PackedExtent), cudaMemcpyHostToDevice,
                                            slot.stream));
        const unsigned blocks =
            static_cast<unsigned>((count + cuda_block_threads - 1) / cuda_block_threads);
        if (timed) { MILLRACE_CUDA_CHECK(cudaEventRecord(begin_, slot.stream)); }
        Kernel::launch(blocks, cuda_block_threads, slot.stream, slot.words, slot.extents,
                       static_cast<uint32_t>(count), slot.digests);
        MILLRACE_CUDA_CHECK(cudaGetLastError());
        if (timed) { MILLRACE_CUDA_CHECK(cudaEventRecord(end_, slot.stream)); }
        MILLRACE_CUDA_CHECK(cudaMemcpyAsync(slot.host_digests, slot.digests,
                                            count * sizeof(Hash256), cudaMemcpyDeviceToHost,
                                            slot.stream));
        return {};
    }

    std::string collect(CudaSlot& slot, std::span<Hash256> digests) {
        if (slot.carried.empty()) { return {}; }
        MILLRACE_CUDA_CHECK(cudaStreamSynchronize(slot.stream));
        for (size_t i = 0; i < slot.carried.size(); ++i) {
            digests[slot.carried[i]] = slot.host_digests[i];
        }
        slot.carried.clear();
        return {};
    }

    std::mutex mutex_;  ///< guards everything below
    CudaSlot slots_[2];
    cudaEvent_t begin_ = nullptr;  ///< made by the first timed call
    cudaEvent_t end_ = nullptr;
    std::vector<uint32_t> order_;
    size_t packed_words_ = 0;
    bool open_ = false;
    std::string fault_;  ///< the first failure; nothing is tried after it
};

/// Asks the driver for a device and checks the digest of the empty message on it.
template <CudaHashKernel Kernel>
CudaProbe probe_cuda(CudaHasher<Kernel>& hasher) {
    CudaProbe probe = find_cuda_device();
    if (!probe.reason.empty()) { return probe; }
    const std::string name = std::move(probe.target);
    probe.target.clear();
    cudaFuncAttributes attributes{};
    if (const cudaError_t e = cudaFuncGetAttributes(&attributes, Kernel::function());
        e != cudaSuccess) {
        probe.reason = name + ": " + describe_cuda("loading the kernel", e);
        return probe;
    }
    const ByteView empty;
    Hash256 digest;
    if (std::string fault = hasher.hash({&empty, 1}, {&digest, 1}); !fault.empty()) {
        probe.reason = name + ": " + fault;
        return probe;
    }
    if (digest != Kernel::on_host({})) {
        probe.reason = name + ": the known answer came back wrong";
        return probe;
    }
    probe.available = true;
    probe.target = name;
    return probe;
}

}  // namespace millrace::kernels::detail
