// SPDX-License-Identifier: Apache-2.0
// Owns the shape of the authenticated tree: which node lies where, and what stands for nothing.
#pragma once

#include <array>
#include <bit>
#include <cstdint>

#include "host/base/types.hpp"
#include "kernels/tree/node_hash.hpp"
#include "storage/proof/entry.hpp"

namespace millrace::storage {

// The tree, from the leaves up. Every node is the hash of the 64 bytes of its two children.
//
// - Leaves: the hashes of a shard's entries, by serial number; zero where there is none.
// - A chunk is the tree of height 8 over 256 leaves.
// - The graft: the node over the root of a chunk and the 256 ActiveBits of its entries (bit s % 256
//   of 256, the lowest bit of the first byte first). A set bit says that the entry is the live one
//   of its key. This node has height 0 among the grafted ones.
// - The grafted tree of a shard has the least height of at least 3 (a twig of 2,048 leaves) that
//   holds all serial numbers given out.
// - The shard: the node over that root and 32 bytes with the count of serial numbers given out,
//   big-endian.
// - The root is the tree of height 4 over the shards.
//
// A chunk that was never written, and one that is full and has no live entry left, are the same:
// root of zero leaves, no bits. So what is dead needs no memory, and proofs leave out siblings that
// stand for nothing.

inline constexpr unsigned chunk_height = 8;
inline constexpr uint64_t chunk_entries = uint64_t{1} << chunk_height;
inline constexpr unsigned twig_height = 11;
inline constexpr unsigned grafted_height_min = twig_height - chunk_height;
/// Greatest height of a shard's grafted tree: that for serial_max.
inline constexpr unsigned grafted_height_max = 48 - chunk_height;

/// Height of the grafted tree of a shard that has given out so many serial numbers.
constexpr unsigned grafted_height(uint64_t serial_count) noexcept {
    const uint64_t chunks = (serial_count + chunk_entries - 1) / chunk_entries;
    const unsigned height = chunks <= 1 ? 0 : static_cast<unsigned>(std::bit_width(chunks - 1));
    return height < grafted_height_min ? grafted_height_min : height;
}

/// 32 bytes of ActiveBits, as they are hashed.
using ActiveBits = Hash256;
constexpr bool is_active(const ActiveBits& bits, uint64_t serial) noexcept {
    return (bits[serial % chunk_entries / 8] >> (serial % 8) & 1) != 0;
}
/// The right child of a shard's node.
Hash256 shard_header(uint64_t serial_count) noexcept;

/// The hash of a leaf's entry, and of a node.
Hash256 leaf_hash(kernels::NodeHash hash, ByteView encoded_entry) noexcept;
Hash256 pair_hash(kernels::NodeHash hash, const Hash256& left, const Hash256& right) noexcept;

/// The nodes that stand for nothing.
struct NullNodes {
    explicit NullNodes(kernels::NodeHash hash) noexcept;
    std::array<Hash256, chunk_height + 1> plain;  ///< within a chunk, by height; [0] is zero
    std::array<Hash256, grafted_height_max + 1> grafted;  ///< by grafted height
};

}  // namespace millrace::storage
