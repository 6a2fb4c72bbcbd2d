// SPDX-License-Identifier: Apache-2.0
// Owns what one thread of a device does in an update of a resident tree. It runs on the host too,
// so that machines without a device test the same code.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/batch/detail/inline.hpp"
#include "kernels/blake3/detail/packed.hpp"
#include "kernels/keccak/detail/packed.hpp"
#include "kernels/sha256/detail/packed.hpp"
#include "kernels/tree/node_hash.hpp"

// C++20 only: nvcc compiles this header too.
namespace millrace::kernels::detail {

/// A node as its bytes lie in memory; a device moves 16 of them at a time.
struct alignas(16) ResidentNode {
    uint32_t words[8];
};
static_assert(sizeof(ResidentNode) == 32);

/// The tables of all hashes. A device keeps a copy in its constant memory.
struct NodeTables {
    uint64_t keccak_round_constants[keccak_rounds];
    uint32_t sha256_round_constants[sha256_rounds];
    uint32_t sha256_padding_of_64[sha256_rounds];
};

constexpr NodeTables make_node_tables() {
    NodeTables tables{};
    for (size_t i = 0; i < keccak_rounds; ++i) {
        tables.keccak_round_constants[i] = keccak_round_constants[i];
    }
    for (size_t i = 0; i < sha256_rounds; ++i) {
        tables.sha256_round_constants[i] = sha256_round_constants[i];
        tables.sha256_padding_of_64[i] = sha256_padding_of_64.words[i];
    }
    return tables;
}
inline constexpr NodeTables node_tables = make_node_tables();

/// The hash of the node above `children[0]` and `children[1]`. All indices are constants, so that
/// the words stay in registers.
template <NodeHash hash>
MILLRACE_KERNEL_INLINE ResidentNode node_above(const ResidentNode* children,
                                               const NodeTables& tables) {
    constexpr uint32_t bytes = 2 * sizeof(ResidentNode);
    const ResidentNode left = children[0];
    const ResidentNode right = children[1];
    uint32_t words[16];
#pragma unroll
    for (size_t i = 0; i < 8; ++i) {
        words[i] = left.words[i];
        words[8 + i] = right.words[i];
    }
    ResidentNode above;
    if constexpr (hash == NodeHash::keccak256) {
        uint64_t lanes[8];
#pragma unroll
        for (size_t i = 0; i < 8; ++i) {
            lanes[i] = words[2 * i] | uint64_t{words[2 * i + 1]} << 32;
        }
        uint64_t digest[4];
        keccak256_packed(lanes, bytes, tables.keccak_round_constants, digest);
#pragma unroll
        for (size_t i = 0; i < 4; ++i) {
            above.words[2 * i] = static_cast<uint32_t>(digest[i]);
            above.words[2 * i + 1] = static_cast<uint32_t>(digest[i] >> 32);
        }
    } else if constexpr (hash == NodeHash::sha256) {
        sha256_packed(words, bytes, tables.sha256_round_constants, tables.sha256_padding_of_64,
                      above.words);
    } else {
        blake3_packed(words, bytes, above.words);
    }
    return above;
}

/// How many levels a write stands for, given the sorted leaves of an update: at the level that is l
/// above the leaves, writes that lie below one node are represented by the last of them, which has
/// more than l here. So 0 is a write that a later one to the same leaf replaces, and the very last
/// write stands for all levels up to the root.
MILLRACE_KERNEL_INLINE unsigned levels_of_write(const uint32_t* leaves, uint32_t count, uint32_t i,
                                                unsigned height) {
    if (i + 1 == count) { return height + 1; }
    unsigned levels = 0;
    for (uint32_t apart = leaves[i] ^ leaves[i + 1]; apart != 0; apart >>= 1) { ++levels; }
    return levels;
}

/// Counts of writes by levels_of_write.
inline constexpr size_t resident_counts = tree_height_max + 2;

/// Where a device finds an update; `order` says which write belongs to a sorted leaf, and is null
/// when the writes came sorted.
struct ResidentWrites {
    const uint32_t* leaves;  ///< ascending
    const uint32_t* order;
    const ResidentNode* values;
    uint32_t count;
};

/// Stores the value of sorted write `i` unless a later one replaces it, and gives its levels.
MILLRACE_KERNEL_INLINE unsigned settle_write(const ResidentWrites& writes, uint32_t i,
                                             unsigned height, ResidentNode* nodes) {
    const unsigned levels = levels_of_write(writes.leaves, writes.count, i, height);
    if (levels != 0) {
        const uint32_t write = writes.order == nullptr ? i : writes.order[i];
        nodes[(size_t{1} << height) + writes.leaves[i]] = writes.values[write];
    }
    return levels;
}

/// The nodes of one level that an update hashes.
struct ResidentTask {
    ResidentNode* nodes;
    const uint32_t* places;  ///< null: all nodes of the level
    uint32_t first_node;     ///< of the level
    uint32_t count;
    uint32_t* changed_places;      ///< gets the places when it is not null
    ResidentNode* changed_hashes;  ///< gets the hashes when it is not null
};

template <NodeHash hash>
MILLRACE_KERNEL_INLINE void hash_place(const ResidentTask& task, uint32_t i,
                                       const NodeTables& tables) {
    const uint32_t place = task.places == nullptr ? task.first_node + i : task.places[i];
    const ResidentNode above = node_above<hash>(task.nodes + 2 * size_t{place}, tables);
    task.nodes[place] = above;
    if (task.changed_places != nullptr) { task.changed_places[i] = place; }
    if (task.changed_hashes != nullptr) { task.changed_hashes[i] = above; }
}

/// The top of a tree, where the levels are too narrow for a launch each: one block goes on to the
/// root. This is the memory that its threads share; thread i runs each phase, and all threads have
/// run a phase before one begins the next.
inline constexpr uint32_t resident_top_places = 256;
struct ResidentTop {
    uint32_t places[resident_top_places];  ///< ascending; the last of equal parents stands for it
    uint32_t heads[resident_top_places / 32];  ///< bit i: place i stands for its parent
};

/// Phase 1: finds which places stand for their parents.
MILLRACE_KERNEL_INLINE void find_heads(ResidentTop& top, uint32_t count, uint32_t i) {
    const bool head = i < count && (i + 1 == count || top.places[i + 1] / 2 != top.places[i] / 2);
#if defined(__CUDA_ARCH__)
    const uint32_t word = __ballot_sync(0xffffffff, head);
    if (i % 32 == 0) { top.heads[i / 32] = word; }
#else
    const uint32_t bit = uint32_t{1} << (i % 32);
    top.heads[i / 32] = (top.heads[i / 32] & ~bit) | (head ? bit : 0);
#endif
}

MILLRACE_KERNEL_INLINE uint32_t count_bits(uint32_t word) {
#if defined(__CUDA_ARCH__)
    return static_cast<uint32_t>(__popc(word));
#else
    return static_cast<uint32_t>(__builtin_popcount(word));
#endif
}

/// Phase 2 gives what phase 3 needs.
struct ResidentHead {
    uint32_t parent;
    uint32_t rank;   ///< among the parents
    uint32_t total;  ///< parents of all threads
    bool stands;
};
MILLRACE_KERNEL_INLINE ResidentHead rank_head(const ResidentTop& top, uint32_t i) {
    ResidentHead head{top.places[i] / 2, 0, 0, (top.heads[i / 32] >> (i % 32) & 1) != 0};
#pragma unroll
    for (uint32_t w = 0; w < resident_top_places / 32; ++w) {
        const uint32_t word = top.heads[w];
        const uint32_t below = w < i / 32 ? word : w == i / 32 ? word & ((1u << (i % 32)) - 1) : 0;
        head.rank += count_bits(below);
        head.total += count_bits(word);
    }
    return head;
}

/// Phase 3.
MILLRACE_KERNEL_INLINE void keep_head(ResidentTop& top, const ResidentHead& head) {
    if (head.stands) { top.places[head.rank] = head.parent; }
}

}  // namespace millrace::kernels::detail
