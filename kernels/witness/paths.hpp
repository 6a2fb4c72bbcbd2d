// SPDX-License-Identifier: Apache-2.0
// Owns the check of many independent proof paths against one root of a binary Merkle tree.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "kernels/backend.hpp"
#include "kernels/tree/tree.hpp"

namespace millrace::kernels {

/// Highest tree whose leaves have 64-bit indices and whose paths are checked.
inline constexpr unsigned proof_height_max = 63;

/// One leaf's claim. The siblings go up: first that of the leaf, last that below the root.
struct ProofPath {
    Hash256 leaf;        ///< the leaf's node: its hash, where the commitment hashes leaves
    uint64_t index = 0;  ///< among the leaves of the level, from the left
    std::span<const Hash256> siblings;
};

enum class PathVerdict : uint8_t {
    valid,
    wrong_length,        ///< not one sibling for each level
    index_out_of_range,  ///< the tree has no such leaf
    wrong_root,          ///< the path leads to another root
};

constexpr std::string_view to_string(PathVerdict verdict) noexcept {
    switch (verdict) {
        case PathVerdict::valid: return "valid";
        case PathVerdict::wrong_length: return "wrong length";
        case PathVerdict::index_out_of_range: return "index out of range";
        case PathVerdict::wrong_root: return "wrong root";
    }
    return "unknown";
}

/// Writes whether paths[i] leads to `root` to verdicts[i]. The tree has 2^height leaves, and nodes
/// as TreeHasher makes them; bit k of an index says whether the node of level k (leaves are level
/// 0) is a right child. A tree must tell leaves from nodes by itself: a node given as a leaf of a
/// lower tree is refused for the length of its path only. Any thread; callers of the CUDA back end
/// take turns. The back ends give equal verdicts. Fails with `invalid_input` when the counts differ
/// or the height is beyond proof_height_max, `unavailable` when the back end is absent, and
/// `internal` on a device error; a wrong path is a verdict, no failure. The scalar and SIMD back
/// ends allocate nothing.
Result<void> check_paths(Backend backend, NodeHash hash, unsigned height, const Hash256& root,
                         std::span<const ProofPath> paths, std::span<PathVerdict> verdicts);

/// Whether a back end can be used here, on what it runs, and why not; for multiproofs too.
BackendStatus witness_backend_status(Backend backend);

}  // namespace millrace::kernels
