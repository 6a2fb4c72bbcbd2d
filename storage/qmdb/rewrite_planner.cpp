// SPDX-License-Identifier: Apache-2.0
// Owns the estimate of what a rewriting saves.
#include "storage/qmdb/detail/rewrite_planner.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

namespace millrace::storage::qmdb::detail {
namespace {

constexpr uint64_t segments_at_once = 64;
/// What a dropped entry takes: its distance and its bit.
constexpr uint64_t dropped_bytes = 4;

/// The first run of a shard whose table lies at or behind a place.
size_t first_run_at(const EntryDirectory& directory, unsigned shard, LogPosition at) {
    size_t low = 0;
    size_t high = directory.run_count(shard);
    while (low < high) {
        const size_t middle = low + (high - low) / 2;
        if (directory.run(shard, middle).table_at < at) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low;
}

/// The serial numbers of a shard in a segment.
ChunkRange serials_in(const EntryDirectory& directory, unsigned shard, LogPosition begin,
                      LogPosition end) {
    const size_t first = first_run_at(directory, shard, begin);
    const size_t last = first_run_at(directory, shard, end);
    if (first == last) { return {}; }
    return {directory.run(shard, first).first_serial, directory.run_end(shard, last - 1)};
}

ActiveBits all_set() noexcept {
    ActiveBits bits;
    std::ranges::fill(bits.bytes, uint8_t{0xff});
    return bits;
}

uint64_t count_of(const ActiveBits& bits, const ChunkRange& range) noexcept {
    uint64_t count = 0;
    for (uint64_t s = range.first; s < range.end; ++s) { count += is_active(bits, s) ? 1 : 0; }
    return count;
}

}  // namespace

PlannedRewrites plan_rewrites(const SnapshotImpl::Parts& state, uint64_t height, uint64_t from,
                              unsigned gain_percent) {
    const LogReader& log = state.log;
    const uint64_t segment_bytes = log.segment_bytes();
    const uint64_t last = state.list.blocks.back().payload_at / segment_bytes;
    PlannedRewrites out;
    uint64_t number = std::max(from, log.first_segment());
    const uint64_t end = std::min(last, number + segments_at_once);
    for (; number < end; ++number) {
        RewritePlan plan;
        plan.number = number;
        plan.horizon_height = height;
        uint64_t entries = 0;
        uint64_t kept = 0;
        uint64_t nodes = 0;
        for (unsigned shard = 0; shard < shard_count; ++shard) {
            const ChunkRange range = serials_in(state.directory, shard, number * segment_bytes,
                                                (number + 1) * segment_bytes);
            if (range.count() == 0) { continue; }
            RewritePlan::Shard& shard_plan = plan.shards[shard];
            shard_plan.first_chunk = range.first / chunk_entries;
            const uint64_t full_chunks = state.forest.serial_count(shard) / chunk_entries;
            for (uint64_t chunk = shard_plan.first_chunk; chunk * chunk_entries < range.end;
                 ++chunk) {
                const ActiveBits bits =
                    chunk < full_chunks ? state.forest.bits(shard, chunk) : all_set();
                const ChunkRange part{std::max(range.first, chunk * chunk_entries),
                                      std::min(range.end, (chunk + 1) * chunk_entries)};
                shard_plan.keep.push_back(bits);
                entries += part.count();
                kept += count_of(bits, part);
                nodes += dropped_nodes(part, bits).size();
            }
        }
        const SegmentFile* const file = log.segment_at(number * segment_bytes);
        if (entries == 0 || file == nullptr) { continue; }
        const uint64_t estimate = kept * (segment_bytes / entries) +
                                  (entries - kept) * dropped_bytes + nodes * Hash256::size_bytes;
        if (estimate <= file->bytes() / 100 * (100 - gain_percent)) {
            out.plans.push_back(std::move(plan));
        }
    }
    out.next_segment = number < last ? number : 0;
    return out;
}

}  // namespace millrace::storage::qmdb::detail
