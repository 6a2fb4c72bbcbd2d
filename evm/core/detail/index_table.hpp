// SPDX-License-Identifier: Apache-2.0
// Owns the open-addressing index that maps a key's hash to a record number, cleared in O(1).
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace millrace::evm::detail {

/// Linear probing over {generation, record} cells; the records, and so the keys, live elsewhere.
/// A cell whose generation is not the current one is empty, which makes clear() free: the table
/// serves one transaction after another without touching memory.
class IndexTable {
public:
    static constexpr uint32_t none = ~uint32_t{0};

    explicit IndexTable(size_t capacity_log2 = 6) : cells_(size_t{1} << capacity_log2) {}

    void clear() noexcept {
        count_ = 0;
        if (++generation_ == 0) {  // wrapped: old marks would look current
            for (Cell& c : cells_) { c = {}; }
            generation_ = 1;
        }
    }

    /// The record for which `equal(record)` holds, or none.
    template <class Equal>
    uint32_t find(size_t hash, Equal equal) const noexcept {
        const size_t mask = cells_.size() - 1;
        for (size_t i = hash & mask;; i = (i + 1) & mask) {
            const Cell& c = cells_[i];
            if (c.generation != generation_) { return none; }
            if (c.tag == static_cast<uint32_t>(hash >> 32) && equal(c.record)) { return c.record; }
        }
    }

    /// Adds a record that find() did not find. `hash_of(record)` gives hashes when the table grows.
    template <class HashOf>
    void insert(size_t hash, uint32_t record, HashOf hash_of) {
        if ((count_ + 1) * 2 > cells_.size()) {
            std::vector<Cell> old(cells_.size() * 2);
            old.swap(cells_);
            const uint32_t old_generation = generation_;
            generation_ = 1;
            for (const Cell& c : old) {
                if (c.generation == old_generation) { place(hash_of(c.record), c.record); }
            }
        }
        place(hash, record);
        ++count_;
    }

private:
    struct Cell {
        uint32_t generation = 0;
        uint32_t tag = 0;
        uint32_t record = 0;
    };

    void place(size_t hash, uint32_t record) noexcept {
        const size_t mask = cells_.size() - 1;
        size_t i = hash & mask;
        while (cells_[i].generation == generation_) { i = (i + 1) & mask; }
        cells_[i] = {generation_, static_cast<uint32_t>(hash >> 32), record};
    }

    std::vector<Cell> cells_;
    size_t count_ = 0;
    uint32_t generation_ = 1;
};

}  // namespace millrace::evm::detail
