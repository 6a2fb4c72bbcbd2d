// SPDX-License-Identifier: Apache-2.0
// Owns the look-up of runs by serial number.
#include "storage/qmdb/entry_directory.hpp"

#include "storage/proof/state_tree.hpp"

namespace millrace::storage::qmdb {

void EntryDirectory::add(unsigned shard, uint64_t first_serial, uint64_t count,
                         LogPosition table_at) {
    Shard& s = shards_[shard];
    if (count == 0) { return; }
    if (s.runs.empty()) {
        s.first_chunk = first_serial / chunk_entries;
        s.first_run.clear();
    } else {
        MILLRACE_ASSERT(first_serial == s.end, "runs follow each other");
    }
    const auto number = static_cast<uint32_t>(s.dropped_runs + s.runs.size());
    s.runs.push_back({first_serial, table_at});
    s.end = first_serial + count;
    const uint64_t chunks_end = (s.end + chunk_entries - 1) / chunk_entries;
    while (s.first_chunk + s.first_run.size() < chunks_end) { s.first_run.push_back(number); }
}

std::optional<EntryDirectory::Run> EntryDirectory::find(unsigned shard,
                                                        uint64_t serial) const noexcept {
    const Shard& s = shards_[shard];
    if (s.runs.empty() || serial < s.runs.front().first_serial || serial >= s.end) {
        return std::nullopt;
    }
    const uint64_t chunk = serial / chunk_entries - s.first_chunk;
    // Numbers wrap, their differences do not. The first chunk may have begun in a run that is gone.
    uint32_t low = chunk == 0 ? 0 : s.first_run[chunk] - s.dropped_runs;
    uint32_t high = chunk + 1 < s.first_run.size() ? s.first_run[chunk + 1] - s.dropped_runs
                                                   : static_cast<uint32_t>(s.runs.size() - 1);
    while (low < high) {
        const uint32_t middle = low + (high - low + 1) / 2;
        if (s.runs[middle].first_serial <= serial) {
            low = middle;
        } else {
            high = middle - 1;
        }
    }
    return s.runs[low];
}

void EntryDirectory::drop_before(LogPosition at) {
    for (Shard& s : shards_) {
        while (s.runs.size() > 1 && s.runs.front().table_at < at) {
            s.runs.pop_front();
            ++s.dropped_runs;
        }
        if (s.runs.empty()) { continue; }
        const uint64_t chunk = s.runs.front().first_serial / chunk_entries;
        while (s.first_chunk < chunk) {
            s.first_run.pop_front();
            ++s.first_chunk;
        }
    }
}

void EntryDirectory::drop_from(unsigned shard, uint64_t serial) {
    Shard& s = shards_[shard];
    while (!s.runs.empty() && s.runs.back().first_serial >= serial) {
        s.end = s.runs.back().first_serial;
        s.runs.pop_back();
    }
    const uint64_t chunks_end = (s.end + chunk_entries - 1) / chunk_entries;
    while (!s.first_run.empty() && s.first_chunk + s.first_run.size() > chunks_end) {
        s.first_run.pop_back();
    }
}

uint64_t EntryDirectory::bytes() const noexcept {
    uint64_t total = 0;
    for (const Shard& s : shards_) { total += s.runs.bytes() + s.first_run.bytes(); }
    return total;
}

}  // namespace millrace::storage::qmdb
