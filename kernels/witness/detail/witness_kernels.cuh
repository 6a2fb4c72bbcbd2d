// SPDX-License-Identifier: Apache-2.0
// Owns the kernels of witness checks over data that lies in device memory.
#pragma once

#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>

#include "kernels/tree/node_hash.hpp"
#include "kernels/witness/detail/sweep_levels.hpp"

// C++20 only: nvcc compiles this header too.
namespace millrace::kernels::detail {

/// Copies the constants of the hashes to the device. Gives an empty text, or what failed.
std::string upload_witness_constants();

/// Paths of one height, in device memory: path i has the leaf and the index i, and its siblings are
/// the `height` nodes from height * i on. A node is four words that lie as its bytes do.
struct DevicePaths {
    const uint64_t* root;
    const uint64_t* leaves;
    const uint64_t* indices;
    const uint64_t* siblings;
    uint32_t height;
    uint32_t count;
};

/// leads[i] becomes 1 when path i leads to the root, and 0 otherwise. Gives the launch's error.
cudaError_t launch_paths(NodeHash hash, const DevicePaths& paths, uint8_t* leads,
                         cudaStream_t stream);

/// One level of a sweep over `sets` sets of nodes, in device memory; set s begins `stride` nodes
/// after set s - 1, both below and above.
struct DeviceLevel {
    const SweepStep* steps;
    const uint64_t* siblings;
    const uint64_t* nodes;
    uint64_t* parents;
    uint32_t count;
    uint32_t stride;
    uint32_t sets;
};

/// Writes the parents; `nodes` and `parents` do not overlap. Gives the launch's error.
cudaError_t launch_level(NodeHash hash, const DeviceLevel& level, cudaStream_t stream);

}  // namespace millrace::kernels::detail
