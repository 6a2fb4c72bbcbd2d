// SPDX-License-Identifier: Apache-2.0
// Owns where the entries of each shard lie in the log.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "storage/proof/entry.hpp"
#include "storage/qmdb/detail/shared_array.hpp"
#include "storage/qmdb/entry_log.hpp"

namespace millrace::storage::qmdb {

/// One run per shard and frame. The place of an entry itself is in the run's table, in the log, so
/// this takes 16 bytes per run and 4 per 256 serial numbers. A copy shares memory with the original
/// and stays as it is. One thread changes it; a copy may be read on any thread.
class EntryDirectory {
public:
    /// A shard's table of offsets in one frame.
    struct Run {
        uint64_t first_serial = 0;
        LogPosition table_at = 0;
    };

    /// The next run of a shard: it begins where the one before ended, unless it is the first.
    void add(unsigned shard, uint64_t first_serial, uint64_t count, LogPosition table_at);
    /// The run with this serial number; nothing when that is below the first or after the last run.
    std::optional<Run> find(unsigned shard, uint64_t serial) const noexcept;
    size_t run_count(unsigned shard) const noexcept { return shards_[shard].runs.size(); }
    const Run& run(unsigned shard, size_t i) const noexcept { return shards_[shard].runs[i]; }
    /// The serial number behind run `i`.
    uint64_t run_end(unsigned shard, size_t i) const noexcept {
        const Shard& s = shards_[shard];
        return i + 1 == s.runs.size() ? s.end : s.runs[i + 1].first_serial;
    }
    /// Forgets the runs whose tables lie below `at`; those of a shard's last serial numbers stay.
    void drop_before(LogPosition at);
    /// Forgets the serial numbers from `serial` on, with which a run begins.
    void drop_from(unsigned shard, uint64_t serial);

    uint64_t bytes() const noexcept;

private:
    struct Shard {
        detail::SharedArray<Run> runs;
        detail::SharedArray<uint32_t> first_run;  ///< by chunk: that of its first serial number
        uint64_t first_chunk = 0;                 ///< of first_run.front()
        uint32_t dropped_runs = 0;                ///< numbers in first_run count these too
        uint64_t end = 0;                         ///< serial number after the last run
    };
    std::array<Shard, shard_count> shards_;
};

}  // namespace millrace::storage::qmdb
