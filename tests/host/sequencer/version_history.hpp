// SPDX-License-Identifier: Apache-2.0
// Owns the check of what the commits of an executor say of themselves: no dependency between two of
// them may point backwards in the order of their numbers.
#pragma once

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "host/sequencer/executor/cells.hpp"

namespace millrace::sequencer::test {

/// Keeps the versions that each commit read and the cells that it wrote. It knows nothing of values
/// or of what transactions do: a schedule is wrong when one of its edges (write before write, write
/// before read, read before write) goes down, even if the results happen to be right. One thread.
class VersionHistory {
public:
    void committed(uint64_t sequence, const ReadSet& reads, const Published& published) {
        Entry e{sequence, reads.reads, {}};
        for (const Published::AccountPost& p : published.accounts) {
            if (p.nonce) { e.writes.push_back(&p.account->nonce.version_word()); }
            if (p.balance) { e.writes.push_back(&p.account->balance.version_word()); }
            if (p.code_hash) { e.writes.push_back(&p.account->code_hash.version_word()); }
        }
        for (const Published::SlotPost& p : published.slots) {
            e.writes.push_back(&p.slot->value.version_word());
        }
        entries_.push_back(std::move(e));
    }
    /// The number of a border between blocks, under which the owner wrote anything.
    void border(uint64_t sequence) { borders_.insert(sequence); }

    /// What is wrong; empty when nothing is. Only when no commit is under way.
    std::string check() const {
        std::map<const VersionWord*, std::set<uint64_t>> writers;
        // A commit may give a cell a new version without a new value: of what it created and
        // destroyed nothing is published.
        std::set<uint64_t> numbers = borders_;
        for (const Entry& e : entries_) {
            numbers.insert(e.sequence);
            for (const VersionWord* cell : e.writes) {
                if (!writers[cell].insert(e.sequence).second) { return edge("ww", e, e.sequence); }
            }
        }
        for (const Entry& e : entries_) {
            for (const ReadSet::Read& r : e.reads) {
                const uint64_t from = sequence_of(r.version);
                const auto found = writers.find(r.cell);
                if (from >= e.sequence || (from != 0 && !numbers.contains(from))) {
                    return edge("wr", e, from);
                }
                if (found == writers.end()) { continue; }
                const auto next = found->second.upper_bound(from);
                if (next != found->second.end() && *next < e.sequence) {
                    return edge("rw", e, *next);
                }
            }
        }
        for (const auto& [cell, sequences] : writers) {
            const uint64_t version = cell->load(std::memory_order_acquire);
            const uint64_t last = *sequences.rbegin();
            if (is_locked(version) || sequence_of(version) < last ||
                !numbers.contains(sequence_of(version))) {
                return "a cell ends with version " + std::to_string(version) +
                       ", its last writer is " + std::to_string(last);
            }
        }
        return {};
    }
    size_t size() const { return entries_.size(); }

private:
    struct Entry {
        uint64_t sequence;
        std::vector<ReadSet::Read> reads;
        std::vector<const VersionWord*> writes;
    };
    static std::string edge(const char* kind, const Entry& e, uint64_t other) {
        return std::string(kind) + " edge between " + std::to_string(e.sequence) + " and " +
               std::to_string(other);
    }

    std::vector<Entry> entries_;
    std::set<uint64_t> borders_;
};

}  // namespace millrace::sequencer::test
