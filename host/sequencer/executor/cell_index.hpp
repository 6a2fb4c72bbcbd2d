// SPDX-License-Identifier: Apache-2.0
// Owns the hash index of the cell table: lookups without locks beside insertions.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <vector>

#include "host/base/error.hpp"

namespace millrace::sequencer {

/// Nodes by hash; a node never moves and is never removed but by clear(). Node has a member
/// `uint64_t index_hash`, which the index sets, and a default constructor. Any number of threads
/// look up and add.
///
/// Each shard is an open table of pointers with the upper 16 bits of the hash in their unused bits,
/// so that a probe seldom touches a node in vain. A table that has grown is published as a whole;
/// the smaller ones stay until clear() for those who are still reading them, which is as much
/// memory again at most.
template <class Node>
class CellIndex {
public:
    CellIndex() {
        for (Shard& s : shards_) { s.reset(); }
    }
    CellIndex(const CellIndex&) = delete;
    CellIndex& operator=(const CellIndex&) = delete;

    /// Null when there is none. `matches(node)` compares the key.
    template <class Matches>
    Node* find(uint64_t hash, const Matches& matches) const noexcept {
        // Acquire: whoever sees the table sees the pointers in it.
        return find_in(*shard(hash).table.load(std::memory_order_acquire), hash, matches);
    }

    /// The node that matches, or a new one that `fill(node)` has set before others see it; `added`
    /// tells which. `fill` runs under the lock of a shard: what it needs is fetched before.
    template <class Matches, class Fill>
    Node& find_or_add(uint64_t hash, const Matches& matches, const Fill& fill, bool& added) {
        Shard& s = shard(hash);
        const std::lock_guard lock{s.mutex};
        Table* t = s.table.load(std::memory_order_relaxed);
        if (Node* n = find_in(*t, hash, matches)) {
            added = false;
            return *n;
        }
        if ((s.count + 1) * 2 > t->mask + 1) { t = s.grow(); }
        Node& n = s.allocate();
        n.index_hash = hash;
        fill(n);
        t->insert(hash, &n);
        ++s.count;
        added = true;
        return n;
    }

    /// Forgets everything. No other thread may be using the index or a node.
    void clear() {
        for (Shard& s : shards_) { s.reset(); }
    }

private:
    static constexpr size_t shard_count = 64;
    static constexpr size_t chunk_nodes = 64;
    static constexpr unsigned tag_shift = 48;
    static constexpr uint64_t pointer_mask = (uint64_t{1} << tag_shift) - 1;

    struct Table {
        explicit Table(size_t size)
            : mask(size - 1), places(std::make_unique<std::atomic<uint64_t>[]>(size)) {}

        void insert(uint64_t hash, Node* n) noexcept {
            const auto address = std::bit_cast<uint64_t>(n);
            MILLRACE_ASSERT((address & ~pointer_mask) == 0, "user addresses have 48 bits");
            size_t i = hash & mask;
            while (places[i].load(std::memory_order_relaxed) != 0) { i = (i + 1) & mask; }
            // Release: whoever sees the pointer sees the node.
            places[i].store(address | (hash & ~pointer_mask), std::memory_order_release);
        }

        size_t mask;
        std::unique_ptr<std::atomic<uint64_t>[]> places;
    };
    struct alignas(64) Shard {
        std::mutex mutex;  // guards everything but reads of `table`
        std::atomic<Table*> table{nullptr};
        std::vector<std::unique_ptr<Table>> tables;
        std::vector<std::unique_ptr<Node[]>> chunks;
        size_t count = 0;

        void reset() {
            constexpr size_t first_size = 64;
            chunks.clear();
            count = 0;
            auto first = std::make_unique<Table>(first_size);
            table.store(first.get(), std::memory_order_release);
            tables.clear();
            tables.push_back(std::move(first));
        }
        Node& allocate() {
            if (count % chunk_nodes == 0) {
                chunks.push_back(std::make_unique<Node[]>(chunk_nodes));
            }
            return chunks.back()[count % chunk_nodes];
        }
        Table* grow() {
            Table* old = table.load(std::memory_order_relaxed);
            auto larger = std::make_unique<Table>((old->mask + 1) * 2);
            for (size_t i = 0; i <= old->mask; ++i) {
                const uint64_t place = old->places[i].load(std::memory_order_relaxed);
                if (place == 0) { continue; }
                Node* n = std::bit_cast<Node*>(place & pointer_mask);
                larger->insert(n->index_hash, n);
            }
            Table* t = larger.get();
            tables.push_back(std::move(larger));
            table.store(t, std::memory_order_release);
            return t;
        }
    };

    template <class Matches>
    static Node* find_in(const Table& t, uint64_t hash, const Matches& matches) noexcept {
        for (size_t i = hash & t.mask;; i = (i + 1) & t.mask) {
            const uint64_t place = t.places[i].load(std::memory_order_acquire);
            if (place == 0) { return nullptr; }
            if (((place ^ hash) & ~pointer_mask) != 0) { continue; }
            Node* n = std::bit_cast<Node*>(place & pointer_mask);
            if (n->index_hash == hash && matches(*n)) { return n; }
        }
    }
    // Bits that neither the place in a table nor the tag uses much.
    Shard& shard(uint64_t hash) noexcept { return shards_[hash >> 40 & (shard_count - 1)]; }
    const Shard& shard(uint64_t hash) const noexcept {
        return shards_[hash >> 40 & (shard_count - 1)];
    }

    Shard shards_[shard_count];
};

}  // namespace millrace::sequencer
