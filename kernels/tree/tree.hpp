// SPDX-License-Identifier: Apache-2.0
// Owns the rehashing of many binary Merkle trees at once, level by level.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "kernels/backend.hpp"
#include "kernels/tree/node_hash.hpp"

namespace millrace::kernels {

/// A leaf that was written since its tree was hashed.
struct DirtyLeaf {
    uint32_t tree = 0;  ///< index among the trees of the call
    uint32_t leaf = 0;

    auto operator<=>(const DirtyLeaf&) const = default;
};

/// Rehashes trees of one height. It keeps only scratch memory between calls, which grows with the
/// largest call to 8 bytes for each dirty leaf (104 more on CUDA). One thread at a time.
class TreeHasher {
public:
    /// `height` is at most tree_height_max.
    TreeHasher(NodeHash hash, unsigned height);

    /// Recomputes the nodes above the dirty leaves, and no others. trees[t] points to the
    /// tree_nodes(height) nodes of tree t; no two may overlap. `dirty` ascends; repeats are
    /// allowed. All back ends write the same nodes. Fails with `invalid_input`, before it writes
    /// anything, if the order is broken or a dirty leaf does not exist; with `unavailable` or
    /// `internal` as the batch of the hash does. Leaves are never written: after a failure the same
    /// call on another back end gives the right nodes.
    Result<void> rehash(Backend backend, std::span<Hash256* const> trees,
                        std::span<const DirtyLeaf> dirty);

    /// Takes the scratch memory of a call with so many dirty leaves (but for CUDA's) now.
    void reserve(size_t dirty_leaves) { places_.reserve(dirty_leaves); }

    NodeHash hash() const noexcept { return hash_; }
    unsigned height() const noexcept { return height_; }

private:
    Result<void> collect_parents(size_t trees, std::span<const DirtyLeaf> dirty);
    Result<void> hash_level(Backend backend, std::span<Hash256* const> trees);
    void hash_level_scalar(std::span<Hash256* const> trees);
    void hash_level_simd(std::span<Hash256* const> trees);
    Result<void> hash_level_cuda(std::span<Hash256* const> trees);

    NodeHash hash_;
    unsigned height_;
    std::vector<uint64_t> places_;  ///< of the level's dirty nodes: tree above node, ascending
    std::vector<ByteView> views_;   ///< CUDA only
    std::vector<Hash256> digests_;  ///< CUDA only
};

/// The roots of trees whose leaves all equal `leaf`: element k is that of height k, for k up to
/// `height`. They stand for subtrees that hold nothing yet.
std::vector<Hash256> uniform_roots(NodeHash hash, const Hash256& leaf, unsigned height);

/// Sets all nodes of a tree of `height` whose leaves all equal `leaf`; node 0 becomes zero.
void fill_uniform(NodeHash hash, const Hash256& leaf, unsigned height, std::span<Hash256> nodes);

}  // namespace millrace::kernels
