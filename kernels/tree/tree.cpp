// SPDX-License-Identifier: Apache-2.0
// Owns the rehashing of many binary Merkle trees at once, level by level.
#include "kernels/tree/tree.hpp"

#include <algorithm>
#include <cstring>
#include <string>

#include "host/base/error.hpp"
#include "kernels/batch/detail/hash_list.hpp"
#include "kernels/blake3/blake3.hpp"
#include "kernels/blake3/blake3_batch.hpp"
#include "kernels/blake3/detail/backends.hpp"
#include "kernels/keccak/detail/backends.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/keccak/keccak_batch.hpp"
#include "kernels/sha256/detail/backends.hpp"
#include "kernels/sha256/sha256.hpp"
#include "kernels/sha256/sha256_batch.hpp"

namespace millrace::kernels {

namespace {

constexpr size_t children_bytes = 2 * Hash256::size_bytes;

Hash256 hash_one(NodeHash hash, const uint8_t* children) {
    switch (hash) {
        case NodeHash::keccak256: return keccak256_64(children);
        case NodeHash::sha256: return sha256({children, children_bytes});
        case NodeHash::blake3: return blake3({children, children_bytes});
    }
    MILLRACE_ASSERT(false, "no such node hash");
}

void hash_simd(NodeHash hash, const detail::HashList& list) {
    switch (hash) {
        case NodeHash::keccak256: return detail::keccak256_simd(list);
        case NodeHash::sha256: return detail::sha256_simd(list);
        case NodeHash::blake3: return detail::blake3_simd(list);
    }
}

Result<void> hash_cuda(NodeHash hash, std::span<const ByteView> messages,
                       std::span<Hash256> digests) {
    switch (hash) {
        case NodeHash::keccak256: return keccak256_batch(Backend::cuda, messages, digests);
        case NodeHash::sha256: return sha256_batch(Backend::cuda, messages, digests);
        case NodeHash::blake3: return blake3_batch(Backend::cuda, messages, digests);
    }
    return fail(ErrorCode::invalid_input, "no such node hash");
}

// A place is a tree's index above the number of a node, so that parents of ascending places ascend.
constexpr uint64_t place_of(uint32_t tree, uint32_t node) { return uint64_t{tree} << 32 | node; }
constexpr uint32_t tree_of(uint64_t place) { return static_cast<uint32_t>(place >> 32); }
constexpr uint32_t node_of(uint64_t place) { return static_cast<uint32_t>(place); }
constexpr uint64_t parent_of(uint64_t place) {
    return place_of(tree_of(place), node_of(place) / 2);
}

const uint8_t* children_of(std::span<Hash256* const> trees, uint64_t place) {
    return trees[tree_of(place)][size_t{2} * node_of(place)].data();
}
uint8_t* digest_of(std::span<Hash256* const> trees, uint64_t place) {
    return trees[tree_of(place)][node_of(place)].data();
}

}  // namespace

TreeHasher::TreeHasher(NodeHash hash, unsigned height) : hash_(hash), height_(height) {
    MILLRACE_ASSERT(height <= tree_height_max, "a tree has at most 2^30 leaves");
}

Result<void> TreeHasher::rehash(Backend backend, std::span<Hash256* const> trees,
                                std::span<const DirtyLeaf> dirty) {
    MILLRACE_CHECK(collect_parents(trees.size(), dirty));
    if (height_ == 0) { return {}; }
    for (;;) {
        MILLRACE_CHECK(hash_level(backend, trees));
        // All places are of one level, so the first says whether it was that of the roots.
        if (places_.empty() || node_of(places_.front()) == 1) { return {}; }
        for (uint64_t& place : places_) { place = parent_of(place); }
        places_.erase(std::unique(places_.begin(), places_.end()), places_.end());
    }
}

Result<void> TreeHasher::collect_parents(size_t trees, std::span<const DirtyLeaf> dirty) {
    places_.clear();
    const uint32_t leaves = uint32_t{1} << height_;
    for (size_t i = 0; i < dirty.size(); ++i) {
        const auto [tree, leaf] = dirty[i];
        const auto says = [&](const char* what) {
            return fail(ErrorCode::invalid_input, "dirty leaf " + std::to_string(i) + " (tree " +
                                                      std::to_string(tree) + ", leaf " +
                                                      std::to_string(leaf) + ") " + what);
        };
        if (tree >= trees || leaf >= leaves) { return says("does not exist"); }
        if (i != 0 && dirty[i] < dirty[i - 1]) { return says("is not in ascending order"); }
        const uint64_t parent = parent_of(place_of(tree, leaves + leaf));
        if (places_.empty() || places_.back() != parent) { places_.push_back(parent); }
    }
    return {};
}

Result<void> TreeHasher::hash_level(Backend backend, std::span<Hash256* const> trees) {
    switch (backend) {
        case Backend::scalar: hash_level_scalar(trees); return {};
        case Backend::simd: hash_level_simd(trees); return {};
        case Backend::cuda: return hash_level_cuda(trees);
    }
    return fail(ErrorCode::invalid_input, "no such back end");
}

void TreeHasher::hash_level_scalar(std::span<Hash256* const> trees) {
    for (const uint64_t place : places_) {
        const Hash256 digest = hash_one(hash_, children_of(trees, place));
        std::memcpy(digest_of(trees, place), digest.data(), Hash256::size_bytes);
    }
}

void TreeHasher::hash_level_simd(std::span<Hash256* const> trees) {
    // Children are hashed where they lie, and no digest of a level is a child of that level.
    detail::HashListStorage storage;
    for (size_t done = 0; done < places_.size();) {
        const size_t count = std::min(places_.size() - done, detail::HashListStorage::count_max);
        for (size_t i = 0; i < count; ++i) {
            const uint64_t place = places_[done + i];
            storage.messages[i] = children_of(trees, place);
            storage.bytes[i] = children_bytes;
            storage.digests[i] = digest_of(trees, place);
        }
        hash_simd(hash_, storage.list(count));
        done += count;
    }
}

Result<void> TreeHasher::hash_level_cuda(std::span<Hash256* const> trees) {
    views_.clear();
    for (const uint64_t place : places_) {
        views_.emplace_back(children_of(trees, place), children_bytes);
    }
    digests_.resize(places_.size());
    MILLRACE_CHECK(hash_cuda(hash_, views_, digests_));
    for (size_t i = 0; i < places_.size(); ++i) {
        std::memcpy(digest_of(trees, places_[i]), digests_[i].data(), Hash256::size_bytes);
    }
    return {};
}

std::vector<Hash256> uniform_roots(NodeHash hash, const Hash256& leaf, unsigned height) {
    std::vector<Hash256> roots{leaf};
    for (unsigned k = 0; k < height; ++k) {
        uint8_t children[children_bytes];
        std::memcpy(children, roots.back().data(), Hash256::size_bytes);
        std::memcpy(children + Hash256::size_bytes, roots.back().data(), Hash256::size_bytes);
        roots.push_back(hash_one(hash, children));
    }
    return roots;
}

void fill_uniform(NodeHash hash, const Hash256& leaf, unsigned height, std::span<Hash256> nodes) {
    MILLRACE_ASSERT(height <= tree_height_max && nodes.size() == tree_nodes(height),
                    "the nodes of one tree");
    const std::vector<Hash256> roots = uniform_roots(hash, leaf, height);
    nodes[0] = {};
    for (unsigned depth = 0; depth <= height; ++depth) {
        const size_t first = size_t{1} << depth;
        std::fill_n(nodes.begin() + static_cast<ptrdiff_t>(first), first, roots[height - depth]);
    }
}

}  // namespace millrace::kernels
