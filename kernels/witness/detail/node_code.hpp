// SPDX-License-Identifier: Apache-2.0
// Owns what one thread of a device does for a witness: the hash of a node, the climb of a path and
// a step of a sweep. It runs on the host too, so that machines without a device test the same code.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/blake3/detail/packed.hpp"
#include "kernels/keccak/detail/packed.hpp"
#include "kernels/sha256/detail/packed.hpp"
#include "kernels/tree/node_hash.hpp"
#include "kernels/witness/detail/sweep_levels.hpp"

// C++20 only: nvcc compiles this header too.
namespace millrace::kernels::detail {

/// A node as words that lie as its bytes do.
inline constexpr uint32_t node_words = 4;

/// The constants of the hashes on the host; a device keeps its own copies.
struct HostConstants {
    static const uint64_t* keccak() { return keccak_round_constants; }
    static const uint32_t* sha256() { return sha256_round_constants; }
    static const uint32_t* sha256_padding() { return sha256_padding_of_64.words; }
};

/// Replaces `node` by the hash of both children. Words are only indexed by constants, so they stay
/// in registers.
template <NodeHash hash, class Constants>
MILLRACE_KERNEL_INLINE void hash_children(const uint64_t* left, const uint64_t* right,
                                          uint64_t* node) {
    constexpr uint32_t bytes = 2 * node_words * 8;
    if constexpr (hash == NodeHash::keccak256) {
        uint64_t message[2 * node_words];
#pragma unroll
        for (uint32_t i = 0; i < node_words; ++i) {
            message[i] = left[i];
            message[node_words + i] = right[i];
        }
        keccak256_packed(message, bytes, Constants::keccak(), node);
    } else {
        uint32_t message[4 * node_words];
        uint32_t digest[2 * node_words];
#pragma unroll
        for (uint32_t i = 0; i < node_words; ++i) {
            message[2 * i] = static_cast<uint32_t>(left[i]);
            message[2 * i + 1] = static_cast<uint32_t>(left[i] >> 32);
            message[2 * (node_words + i)] = static_cast<uint32_t>(right[i]);
            message[2 * (node_words + i) + 1] = static_cast<uint32_t>(right[i] >> 32);
        }
        if constexpr (hash == NodeHash::sha256) {
            sha256_packed(message, bytes, Constants::sha256(), Constants::sha256_padding(), digest);
        } else {
            static_assert(hash == NodeHash::blake3);
            blake3_packed(message, bytes, digest);
        }
#pragma unroll
        for (uint32_t i = 0; i < node_words; ++i) {
            node[i] = digest[2 * i] | uint64_t{digest[2 * i + 1]} << 32;
        }
    }
}

/// Whether the path of `height` siblings leads from the leaf to the root.
template <NodeHash hash, class Constants>
MILLRACE_KERNEL_INLINE bool climb_path(const uint64_t* leaf, uint64_t index,
                                       const uint64_t* siblings, uint32_t height,
                                       const uint64_t* root) {
    uint64_t node[node_words];
#pragma unroll
    for (uint32_t i = 0; i < node_words; ++i) { node[i] = leaf[i]; }
#pragma unroll 1
    for (uint32_t level = 0; level < height; ++level) {
        const bool is_right = (index >> level & 1) != 0;
        uint64_t left[node_words];
        uint64_t right[node_words];
#pragma unroll
        for (uint32_t i = 0; i < node_words; ++i) {
            const uint64_t sibling = siblings[size_t{level} * node_words + i];
            left[i] = is_right ? sibling : node[i];
            right[i] = is_right ? node[i] : sibling;
        }
        hash_children<hash, Constants>(left, right, node);
    }
    uint64_t different = 0;
#pragma unroll
    for (uint32_t i = 0; i < node_words; ++i) { different |= node[i] ^ root[i]; }
    return different == 0;
}

/// The parent that a step makes of the level's nodes and siblings.
template <NodeHash hash, class Constants>
MILLRACE_KERNEL_INLINE void sweep_step(const SweepStep& step, const uint64_t* nodes,
                                       const uint64_t* siblings, uint64_t* parent) {
    const uint64_t* known = nodes + size_t{step.node} * node_words;
    const bool both = step.sibling == SweepStep::both_known;
    const size_t number = step.sibling & ~SweepStep::on_the_left;
    const uint64_t* other = both ? known + node_words : siblings + number * node_words;
    const bool other_is_left = !both && (step.sibling & SweepStep::on_the_left) != 0;
    uint64_t left[node_words];
    uint64_t right[node_words];
#pragma unroll
    for (uint32_t i = 0; i < node_words; ++i) {
        left[i] = other_is_left ? other[i] : known[i];
        right[i] = other_is_left ? known[i] : other[i];
    }
    uint64_t node[node_words];
    hash_children<hash, Constants>(left, right, node);
#pragma unroll
    for (uint32_t i = 0; i < node_words; ++i) { parent[i] = node[i]; }
}

}  // namespace millrace::kernels::detail
