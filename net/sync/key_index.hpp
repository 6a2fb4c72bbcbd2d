// SPDX-License-Identifier: Apache-2.0
// Owns the open-addressing index from keys to the numbers of their records.
#pragma once

#include <algorithm>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace millrace::sync {

/// Linear probing over {generation, part of the hash, record number}; the records, and so the keys,
/// live elsewhere. A cell of another generation is empty, so clear() touches no memory and the
/// index serves one mini-block after another without an allocation. Many threads may find() while
/// nobody inserts.
class KeyIndex {
public:
    static constexpr uint32_t none = ~uint32_t{0};

    KeyIndex() : cells_(size_t{1} << 10) {}

    void clear() noexcept {
        count_ = 0;
        if (++generation_ == 0) {  // wrapped: old marks would look current
            std::ranges::fill(cells_, Cell{});
            generation_ = 1;
        }
    }

    /// The record with this hash for which `matches(record)` holds, or none.
    template <class Matches>
    uint32_t find(uint64_t hash, Matches&& matches) const noexcept {
        const auto tag = static_cast<uint16_t>(hash >> 48);
        for (size_t i = hash & mask();; i = (i + 1) & mask()) {
            const Cell& c = cells_[i];
            if (c.generation != generation_) { return none; }
            if (c.tag == tag && matches(c.record)) { return c.record; }
        }
    }

    /// Fetches what find() of this hash will look at first.
    void prefetch(uint64_t hash) const noexcept { __builtin_prefetch(&cells_[hash & mask()]); }

    /// Adds a record that find() does not give. `hash_of(record)` gives the hash of any other one.
    template <class HashOf>
    void insert(uint64_t hash, uint32_t record, HashOf&& hash_of) {
        if ((count_ + 1) * 2 > cells_.size()) {
            std::vector<Cell> old(cells_.size() * 2);
            old.swap(cells_);
            for (const Cell& c : old) {
                if (c.generation == generation_) { place(hash_of(c.record), c.record); }
            }
        }
        place(hash, record);
        ++count_;
    }

private:
    struct Cell {
        uint16_t generation = 0;
        uint16_t tag = 0;
        uint32_t record = 0;
    };
    size_t mask() const noexcept { return cells_.size() - 1; }
    void place(uint64_t hash, uint32_t record) noexcept {
        size_t i = hash & mask();
        while (cells_[i].generation == generation_) { i = (i + 1) & mask(); }
        cells_[i] = {generation_, static_cast<uint16_t>(hash >> 48), record};
    }

    std::vector<Cell> cells_;
    size_t count_ = 0;
    uint16_t generation_ = 1;
};

}  // namespace millrace::sync
