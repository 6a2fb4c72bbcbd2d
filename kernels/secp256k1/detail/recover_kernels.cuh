// SPDX-License-Identifier: Apache-2.0
// Owns the kernels of a batch of recoveries and the device memory that they work in.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "kernels/batch/detail/cuda_call.cuh"
#include "kernels/secp256k1/detail/gpu/stages.hpp"

// C++20 only: nvcc compiles this header too.
namespace millrace::kernels::detail {

/// What goes to the device in one copy: a count, in the room of a slot, and then that many slots.
struct alignas(sizeof(gpu::RecoverSlot)) RecoverInput {
    uint32_t count;

    MILLRACE_GPU gpu::RecoverSlot* slots() { return reinterpret_cast<gpu::RecoverSlot*>(this + 1); }
    MILLRACE_GPU const gpu::RecoverSlot* slots() const {
        return reinterpret_cast<const gpu::RecoverSlot*>(this + 1);
    }
    static constexpr size_t bytes_for(size_t slot_count) {
        return sizeof(RecoverInput) + sizeof(gpu::RecoverSlot) * slot_count;
    }
};
static_assert(sizeof(RecoverInput) == sizeof(gpu::RecoverSlot));

/// Device memory of batches of up to `capacity` jobs: 1.9 KB each. Given back by close(), or by the
/// driver when the process ends.
struct RecoverMemory {
    uint32_t capacity = 0;
    RecoverInput* input = nullptr;
    gpu::RecoverOutput* outputs = nullptr;
    gpu::Workspace workspace{};

    /// An empty text, or what failed.
    std::string open(uint32_t job_capacity);
    std::string close();
};

/// Makes the generator's table (5.2 MB) in device memory, reads it back and compares its digest.
/// Gives an empty text, or what failed.
std::string make_device_table(const gpu::Affine*& table);

/// Queues the stages on a stream for the jobs in `memory.input`, which counts at most
/// `count_max` of them; threads are started for that many. May be captured into a graph. Gives the
/// error of the launches.
cudaError_t launch_recovery(const RecoverMemory& memory, const gpu::Affine* table,
                            uint32_t count_max, cudaStream_t stream);

}  // namespace millrace::kernels::detail
