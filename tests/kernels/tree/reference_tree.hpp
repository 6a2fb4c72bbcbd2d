// SPDX-License-Identifier: Apache-2.0
// Owns Merkle trees by their definition, with hashes that share no code with the trees under test.
#pragma once

#include <algorithm>
#include <bit>
#include <random>
#include <span>
#include <vector>

#include "host/base/types.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/tree/node_hash.hpp"
#include "tests/kernels/blake3/reference_blake3.hpp"
#include "tests/kernels/sha256/openssl_sha256.hpp"

namespace millrace::test {

inline constexpr kernels::NodeHash node_hashes[] = {
    kernels::NodeHash::keccak256, kernels::NodeHash::sha256, kernels::NodeHash::blake3};

/// Keccak by the kernel for one message, which has tests of its own: its reference is too slow
/// here.
inline Hash256 reference_hash(kernels::NodeHash hash, ByteView message) {
    switch (hash) {
        case kernels::NodeHash::keccak256: return kernels::keccak256(message);
        case kernels::NodeHash::sha256: return openssl_sha256(message);
        case kernels::NodeHash::blake3: return reference_blake3(message);
    }
    return {};
}

inline Hash256 reference_parent(kernels::NodeHash hash, const Hash256& left, const Hash256& right) {
    Bytes message(left.begin(), left.end());
    message.insert(message.end(), right.begin(), right.end());
    return reference_hash(hash, message);
}

/// The root over some leaves, by the definition.
inline Hash256 reference_root(kernels::NodeHash hash, std::span<const Hash256> leaves) {
    if (leaves.size() == 1) { return leaves[0]; }
    const size_t half = leaves.size() / 2;
    return reference_parent(hash, reference_root(hash, leaves.first(half)),
                            reference_root(hash, leaves.subspan(half)));
}

inline Hash256 random_hash(std::mt19937_64& random) {
    Hash256 hash;
    for (uint8_t& byte : hash.bytes) { byte = static_cast<uint8_t>(random()); }
    return hash;
}

/// A whole tree in heap order that takes writes one by one.
class ReferenceTree {
public:
    ReferenceTree(kernels::NodeHash hash, unsigned height, const Hash256& leaf)
        : hash_(hash), nodes_(kernels::tree_nodes(height), leaf) {
        for (size_t i = nodes_.size() / 2; i-- > 1;) { rehash(i); }
    }
    /// Gives the places above the written leaves: deepest first, ascending in each level.
    std::vector<uint32_t> update(std::span<const uint32_t> leaves,
                                 std::span<const Hash256> values) {
        std::vector<uint32_t> places;
        for (size_t i = 0; i < leaves.size(); ++i) {
            const size_t leaf = nodes_.size() / 2 + leaves[i];
            nodes_[leaf] = values[i];
            for (size_t node = leaf / 2; node != 0; node /= 2) {
                places.push_back(static_cast<uint32_t>(node));
            }
        }
        std::sort(places.begin(), places.end());
        places.erase(std::unique(places.begin(), places.end()), places.end());
        // A deeper level has greater numbers: rehash from the end, then turn the levels round.
        for (size_t i = places.size(); i-- > 0;) { rehash(places[i]); }
        std::sort(places.begin(), places.end(), [](uint32_t a, uint32_t b) {
            return std::bit_width(a) != std::bit_width(b) ? a > b : a < b;
        });
        return places;
    }
    const Hash256& operator[](size_t node) const { return nodes_[node]; }
    const Hash256& root() const { return nodes_[1]; }
    std::span<const Hash256> nodes() const { return nodes_; }
    std::span<const Hash256> leaves() const { return nodes().subspan(nodes_.size() / 2); }

private:
    void rehash(size_t node) {
        nodes_[node] = reference_parent(hash_, nodes_[2 * node], nodes_[2 * node + 1]);
    }

    kernels::NodeHash hash_;
    std::vector<Hash256> nodes_;
};

}  // namespace millrace::test
