// SPDX-License-Identifier: Apache-2.0
// Owns the entries of the CUDA back end of witness checks, in types that every compiler here knows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "host/base/types.hpp"
#include "kernels/batch/detail/cuda_probe.hpp"
#include "kernels/tree/node_hash.hpp"

// C++20 only: nvcc compiles this header too.
namespace millrace::kernels::detail {

/// A path of which length and index are right.
struct CudaPath {
    const Hash256* leaf;
    const Hash256* siblings;
    uint64_t index;
};

/// A multiproof whose counts fit together.
struct CudaSweep {
    unsigned height;
    std::span<const uint64_t> indices;
    std::span<const std::span<const Hash256>> leaf_sets;
    std::span<const Hash256> siblings;
};

// Each gives an empty text, or what failed; after a failure the device is not used again by this
// process.
const CudaProbe& witness_cuda_probe();
/// leads[i] becomes 1 when paths[i] leads to the root, and 0 otherwise.
std::string check_paths_cuda(NodeHash hash, unsigned height, const Hash256& root,
                             std::span<const CudaPath> paths, std::span<uint8_t> leads);
/// One root for each set of leaves.
std::string sweep_cuda(NodeHash hash, const CudaSweep& sweep, std::span<Hash256> roots);

}  // namespace millrace::kernels::detail
