// SPDX-License-Identifier: Apache-2.0
// Owns the roots that many leaves of one tree and the hashes beside their paths lead to: the check
// of a multiproof, before and after an update.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "kernels/backend.hpp"
#include "kernels/tree/tree.hpp"
#include "kernels/witness/detail/sweep_levels.hpp"
#include "kernels/witness/paths.hpp"

namespace millrace::kernels {

// The form of a multiproof. The leaves are given by strictly ascending indices. Of each level, from
// the leaves up, the known nodes are those above a given leaf; where only one child of a parent is
// known, the hash of the other one is among the siblings. Siblings come level by level from the
// leaves up, and within a level from the left to the right; their places follow from the indices
// and are not sent. So indices and leaves have exactly one proof: each sibling is used once, none
// is missing and none is left over.

inline constexpr size_t multiproof_leaves_max = size_t{1} << 22;

/// The place of a node: level 0 has the leaves, and index counts from the left.
struct NodePlace {
    unsigned level = 0;
    uint64_t index = 0;

    bool operator==(const NodePlace&) const = default;
};

/// How many siblings the proof of these leaves has. Fails with `invalid_input` when the height is
/// beyond proof_height_max, there is no leaf, an index is beyond the tree, or the indices do not
/// ascend strictly; with `limit` for more than multiproof_leaves_max leaves.
Result<size_t> multiproof_sibling_count(unsigned height, std::span<const uint64_t> indices);

/// Where the siblings are found in the tree, in the order of the proof: what a prover reads. Fails
/// as multiproof_sibling_count.
Result<std::vector<NodePlace>> multiproof_sibling_places(unsigned height,
                                                         std::span<const uint64_t> indices);

/// The roots over leaves before and after an update.
struct RootPair {
    Hash256 before;
    Hash256 after;

    bool operator==(const RootPair&) const = default;
};

/// Hashes from leaves to roots, one level of all paths at a time, so that the lanes of a vector and
/// the threads of a device are full while there are many nodes. It keeps only scratch memory
/// between calls: 48 bytes for each leaf of the largest call, 32 more for roots(). One thread at a
/// time; callers of the CUDA back end take turns. All back ends give the same roots. Every call
/// fails as multiproof_sibling_count; with `invalid_input` also when the counts of indices and
/// leaves differ, or when siblings are missing or left over: all that is found before anything is
/// hashed. With `unavailable` or `internal` as check_paths.
class MultiproofSweep {
public:
    /// `height` is at most proof_height_max.
    MultiproofSweep(NodeHash hash, unsigned height);

    /// The root that the leaves and siblings lead to.
    Result<Hash256> root(Backend backend, std::span<const uint64_t> indices,
                         std::span<const Hash256> leaves, std::span<const Hash256> siblings);

    /// As root(), of two sets of leaves at the same indices. The siblings are not above any of the
    /// leaves, so that an update leaves them as they are: one sweep serves both roots.
    Result<RootPair> roots(Backend backend, std::span<const uint64_t> indices,
                           std::span<const Hash256> before, std::span<const Hash256> after,
                           std::span<const Hash256> siblings);

    /// Whether the proof leads to `expected`; fails with `invalid_input` if not.
    Result<void> check(Backend backend, const Hash256& expected, std::span<const uint64_t> indices,
                       std::span<const Hash256> leaves, std::span<const Hash256> siblings);

    NodeHash hash() const noexcept { return hash_; }
    unsigned height() const noexcept { return height_; }

private:
    using LeafSets = std::span<const std::span<const Hash256>>;

    Result<void> sweep(Backend backend, std::span<const uint64_t> indices, LeafSets sets,
                       std::span<const Hash256> siblings, std::span<Hash256> roots);

    Result<void> sweep_on_cpu(Backend backend, std::span<const uint64_t> indices, LeafSets sets,
                              std::span<const Hash256> siblings, std::span<Hash256> roots);

    NodeHash hash_;
    unsigned height_;
    std::vector<Hash256> nodes_;            ///< of one level, one set after the other
    std::vector<uint64_t> positions_;       ///< of one level's known nodes
    std::vector<detail::SweepStep> steps_;  ///< to the next level
};

}  // namespace millrace::kernels
