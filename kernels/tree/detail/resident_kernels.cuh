// SPDX-License-Identifier: Apache-2.0
// Owns the entries of the kernels of a resident tree. Sorting has a unit of its own, since CUB
// takes long to compile.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>
#include <string>

#include "kernels/tree/detail/resident_steps.hpp"

namespace millrace::kernels::detail {

/// Scratch memory of the device for sort_writes and list_parents.
struct ResidentScratch {
    void* memory = nullptr;
    size_t bytes = 0;
};

/// Bytes of scratch memory that updates of `writes_max` writes need.
std::string resident_scratch_bytes(unsigned height, uint32_t writes_max, size_t& bytes);

/// Sorts leaves of `height` bits, stably. `numbers` holds 0, 1 ..; `order` gets which of them
/// belongs to each sorted leaf.
std::string sort_writes(const ResidentScratch& scratch, const uint32_t* leaves,
                        uint32_t* sorted_leaves, const uint32_t* numbers, uint32_t* order,
                        uint32_t count, unsigned height, cudaStream_t stream);

/// Writes the parents of the ascending places `below[i] + first`, each once. `listed` is a word of
/// scratch.
std::string list_parents(const ResidentScratch& scratch, const uint32_t* below, uint32_t first,
                         uint32_t count, uint32_t* parents, uint32_t* listed, cudaStream_t stream);

/// Copies the tables of the hashes to the device; once before the launches below.
std::string prepare_resident_kernels();

// Each queues one kernel and gives what its launch says; 0 items queue nothing.
cudaError_t launch_numbers(uint32_t* numbers, uint32_t count, cudaStream_t stream);
/// Sets `count` nodes to `value`.
cudaError_t launch_fill(ResidentNode* nodes, size_t count, const ResidentNode& value,
                        cudaStream_t stream);
/// settle_write for each write; adds to counts[levels].
cudaError_t launch_settle(const ResidentWrites& writes, unsigned height, ResidentNode* nodes,
                          uint32_t* counts, cudaStream_t stream);
cudaError_t launch_hash_level(NodeHash hash, const ResidentTask& task, cudaStream_t stream);
/// The phases of ResidentTop from the parents of `task.places`, or from those of a full level when
/// it is null, up to the root; `task.first_node` is added to the listed places. The changes go to
/// `task`'s from its element 0 on.
cudaError_t launch_hash_top(NodeHash hash, const ResidentTask& task, cudaStream_t stream);

}  // namespace millrace::kernels::detail
