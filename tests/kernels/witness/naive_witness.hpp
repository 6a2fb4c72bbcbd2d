// SPDX-License-Identifier: Apache-2.0
// Owns Merkle trees and their proofs by recursion: what the checks of witnesses are compared with.
#pragma once

#include <map>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "host/base/types.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/witness/multiproof.hpp"
#include "kernels/witness/paths.hpp"
#include "tests/kernels/blake3/reference_blake3.hpp"
#include "tests/kernels/sha256/openssl_sha256.hpp"

namespace millrace::test {

inline constexpr kernels::NodeHash node_hashes[] = {
    kernels::NodeHash::keccak256, kernels::NodeHash::sha256, kernels::NodeHash::blake3};

/// Keccak by the kernel for one message, which has tests of its own: its reference is too slow
/// here.
inline Hash256 naive_node(kernels::NodeHash hash, const Hash256& left, const Hash256& right) {
    Bytes message(left.begin(), left.end());
    message.insert(message.end(), right.begin(), right.end());
    switch (hash) {
        case kernels::NodeHash::keccak256: return kernels::keccak256(message);
        case kernels::NodeHash::sha256: return openssl_sha256(message);
        case kernels::NodeHash::blake3: return reference_blake3(message);
    }
    return {};
}

inline Hash256 random_hash(std::mt19937_64& random) {
    Hash256 hash;
    for (uint8_t& byte : hash.bytes) { byte = static_cast<uint8_t>(random()); }
    return hash;
}

/// A tree of any height of which a few leaves are written and all others are zero.
class NaiveTree {
public:
    NaiveTree(kernels::NodeHash hash, unsigned height) : hash_(hash), height_(height) {
        empty_.emplace_back();
        for (unsigned level = 0; level < height; ++level) {
            empty_.push_back(naive_node(hash, empty_[level], empty_[level]));
        }
    }

    unsigned height() const { return height_; }
    void write(uint64_t index, const Hash256& leaf) { leaves_[index] = leaf; }
    Hash256 leaf(uint64_t index) const { return node(0, index); }
    Hash256 root() const { return node(height_, 0); }

    Hash256 node(unsigned level, uint64_t index) const {
        const uint64_t first = index << level;
        const auto at = leaves_.lower_bound(first);
        if (at == leaves_.end() || at->first - first >= uint64_t{1} << level) {
            return empty_[level];
        }
        if (level == 0) { return at->second; }
        return naive_node(hash_, node(level - 1, 2 * index), node(level - 1, 2 * index + 1));
    }

    std::vector<Hash256> path(uint64_t index) const {
        std::vector<Hash256> siblings;
        for (unsigned level = 0; level < height_; ++level) {
            siblings.push_back(node(level, (index >> level) ^ 1));
        }
        return siblings;
    }

    /// By the definition: on each level the nodes whose sibling is above a given leaf, but which
    /// are above none themselves.
    std::vector<kernels::NodePlace> sibling_places(const std::vector<uint64_t>& indices) const {
        std::vector<kernels::NodePlace> places;
        for (unsigned level = 0; level < height_; ++level) {
            std::set<uint64_t> known;
            for (const uint64_t index : indices) { known.insert(index >> level); }
            for (const uint64_t node : known) {
                if (!known.contains(node ^ 1)) { places.push_back({level, node ^ 1}); }
            }
        }
        return places;
    }

    std::vector<Hash256> siblings(const std::vector<uint64_t>& indices) const {
        std::vector<Hash256> hashes;
        for (const auto& [level, index] : sibling_places(indices)) {
            hashes.push_back(node(level, index));
        }
        return hashes;
    }

    std::vector<Hash256> leaves(const std::vector<uint64_t>& indices) const {
        std::vector<Hash256> hashes;
        for (const uint64_t index : indices) { hashes.push_back(leaf(index)); }
        return hashes;
    }

private:
    kernels::NodeHash hash_;
    unsigned height_;
    std::vector<Hash256> empty_;
    std::map<uint64_t, Hash256> leaves_;
};

/// `count` different indices, or all there are, ascending; they lie in clusters.
inline std::vector<uint64_t> random_indices(std::mt19937_64& random, unsigned height,
                                            size_t count) {
    const uint64_t last = (uint64_t{1} << height) - 1;
    std::set<uint64_t> indices;
    while (indices.size() < count && indices.size() <= last) {
        uint64_t at = random() & last;
        for (size_t run = 1 + random() % 4; run != 0 && indices.size() < count; --run) {
            indices.insert(at++ & last);
        }
    }
    return {indices.begin(), indices.end()};
}

/// A tree with random leaves at the indices and at some others.
inline NaiveTree random_tree(std::mt19937_64& random, kernels::NodeHash hash, unsigned height,
                             const std::vector<uint64_t>& indices) {
    NaiveTree tree(hash, height);
    for (const uint64_t index : indices) { tree.write(index, random_hash(random)); }
    for (const uint64_t index : random_indices(random, height, 3)) {
        tree.write(index, random_hash(random));
    }
    return tree;
}

}  // namespace millrace::test
