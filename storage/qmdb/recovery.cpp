// SPDX-License-Identifier: Apache-2.0
// Owns the start of the engine: bits from the frames of the log, then tree and index from the
// entries that live.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <string>
#include <thread>

#include "host/base/thread.hpp"
#include "kernels/keccak/keccak.hpp"
#include "storage/qmdb/detail/engine_impl.hpp"

namespace millrace::storage::qmdb::detail {
namespace {

std::unexpected<Error> corrupt(const std::string& what) {
    return fail(ErrorCode::corrupt, "the entry log contradicts itself: " + what +
                                        "; restore the data directory from a backup or a replica");
}

/// How many entries have their memory on its way at once.
constexpr uint32_t group_entries = 32;

unsigned recovery_threads(unsigned chosen) noexcept {
    const unsigned all = chosen != 0 ? chosen : std::thread::hardware_concurrency();
    return std::clamp(all, 1u, shard_count);
}

}  // namespace

Result<void> EngineImpl::start(FileSystem& fs, const std::string& directory,
                               std::unique_ptr<LogWriter> writer) {
    EntryLogOptions log = options_.log;
    log.identity = log_identity(options_.log.identity, options_.hash);
    if (options_.progress) {
        log.progress = [this](uint64_t done, uint64_t total) {
            options_.progress({RecoveryStage::log, done, total});
        };
    }
    MILLRACE_TRY(log_, EntryLog::open(
                           fs, directory, log, std::move(writer),
                           [this](const FrameHeader& header, LogPosition payload_at,
                                  ByteView payload) { return replay(header, payload_at, payload); },
                           [this](const EntryLog::RewrittenVisit& visit) {
                               return replay_rewritten(visit);
                           }));
    reader_.emplace(*log_, directory_, &frame_);
    if (options_.care.rewrite || options_.care.scrub_bytes_per_s != 0) {
        // Work beside the commits does not wait for its turn on a device.
        const kernels::Backend backend =
            options_.backend == kernels::Backend::cuda ? kernels::Backend::simd : options_.backend;
        care_ = std::make_unique<FileCareThread>(fs, directory, options_.hash, backend,
                                                 options_.log.map, options_.care);
    }
    if (height_ == 0) { return {}; }
    for (unsigned shard = 0; shard < shard_count; ++shard) { MILLRACE_CHECK(rebuild_tree(shard)); }
    chunk_roots_ = {};
    MILLRACE_TRY(root_, forest_.root());
    if (root_ != log_->recovery().last_root) {
        return corrupt("its entries do not have the root that block " + std::to_string(height_) +
                       " was committed with");
    }
    return rebuild_indexes();
}

Result<void> EngineImpl::replay(const FrameHeader& header, LogPosition payload_at,
                                ByteView payload) {
    MILLRACE_TRY(const auto sections, read_block_frame(payload));
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        const Section& section = sections[shard];
        const uint64_t first = section.header.first_serial;
        if (height_ == 0) { begin_shard(shard, first); }
        if (first != forest_.serial_count(shard)) {
            return corrupt("shard " + std::to_string(shard) + " goes on with entry " +
                           std::to_string(first) + " after " +
                           std::to_string(forest_.serial_count(shard)) + " entries");
        }
        MILLRACE_CHECK(replay_section(shard, header.height, section));
        directory_.add(shard, first, section.header.entry_count,
                       payload_at + section.header.table_at);
    }
    if (list_.blocks.empty()) { list_.first_sequence = header.sequence; }
    list_.push_back({header.height, payload_at, header.oldest_sequence,
                     Hash256::from({header.root, 32}), removed_keys(sections)});
    height_ = header.height;
    return {};
}

/// A segment that was rewritten says the same shard by shard instead of frame by frame.
Result<void> EngineImpl::replay_rewritten(const EntryLog::RewrittenVisit& visit) {
    const RewrittenSegment& segment = visit.segment;
    if (height_ == 0) {
        for (unsigned shard = 0; shard < shard_count; ++shard) {
            begin_shard(shard, segment.first_serial(shard));
        }
    }
    if (list_.blocks.empty()) { list_.first_sequence = visit.frames.front().header.sequence; }
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        if (segment.first_serial(shard) != forest_.serial_count(shard)) {
            return corrupt("shard " + std::to_string(shard) + " goes on with entry " +
                           std::to_string(segment.first_serial(shard)) + " after " +
                           std::to_string(forest_.serial_count(shard)) + " entries");
        }
        uint64_t first = segment.first_serial(shard);
        for (size_t i = 0; i < visit.frames.size(); ++i) {
            const uint32_t count = visit.frames[i].entry_count[shard];
            // The place of its frame is all that is asked for in such a segment.
            directory_.add(shard, first, count, visit.payloads_at[i]);
            first += count;
        }
        MILLRACE_CHECK(replay_rewritten_shard(shard, visit));
    }
    for (size_t i = 0; i < visit.frames.size(); ++i) {
        const FrameHeader& h = visit.frames[i].header;
        // No state before the segment's horizon is read, so nobody asks for removed keys.
        list_.blocks.push_back({h.height, visit.payloads_at[i], h.oldest_sequence,
                                Hash256::from({h.root, 32}), nullptr});
        height_ = h.height;
    }
    list_.horizon_height = std::max(list_.horizon_height, segment.header().horizon_height);
    return {};
}

Result<void> EngineImpl::replay_rewritten_shard(unsigned shard,
                                                const EntryLog::RewrittenVisit& visit) {
    const RewrittenSegment& segment = visit.segment;
    BlockBuffer buffer;
    size_t frame = 0;
    uint64_t frame_end = segment.first_serial(shard) + visit.frames[0].entry_count[shard];
    for (uint64_t serial = segment.first_serial(shard); serial < segment.end_serial(shard);) {
        MILLRACE_TRY(const ChunkBlock block,
                     segment.chunk(visit.file, shard, serial / chunk_entries, buffer));
        size_t record = 0;
        size_t distance = 0;
        for (; serial < block.range.end; ++serial) {
            while (serial == frame_end) { frame_end += visit.frames[++frame].entry_count[shard]; }
            uint64_t previous_distance = 0;
            if (block.is_kept(serial)) {
                MILLRACE_TRY(const DecodedEntry decoded, decode_record(block.records[record++]));
                const StateEntry& entry = decoded.entry;
                if (entry.serial != serial || shard_of(entry.key) != shard ||
                    entry.height != visit.frames[frame].header.height) {
                    return corrupt("entry " + std::to_string(entry.serial) + " of shard " +
                                   std::to_string(shard) + " is in a block that is not its own");
                }
                previous_distance = entry.previous_distance;
            } else {
                previous_distance = block.distances[distance++];
            }
            forest_.append(shard);
            if (previous_distance != 0) {
                MILLRACE_CHECK(retire_logged(shard, serial - previous_distance));
            }
        }
        if (block.root) { chunk_roots_[shard].push_back(*block.root); }
    }
    for (const RewrittenFrame& f : visit.frames) {
        for (const RemovedKey& removed : f.removed[shard]) {
            MILLRACE_CHECK(retire_logged(shard, removed.serial));
        }
    }
    return {};
}

/// The log was pruned below `first_serial`: what came before is dead, up to whole chunks.
void EngineImpl::begin_shard(unsigned shard, uint64_t first_serial) {
    first_serial_[shard] = first_serial / chunk_entries * chunk_entries;
    forest_.begin_at(shard, first_serial_[shard]);
    while (forest_.serial_count(shard) < first_serial) {
        forest_.retire(shard, forest_.append(shard));
    }
}

Result<void> EngineImpl::replay_section(unsigned shard, uint64_t height, const Section& section) {
    const uint64_t first = section.header.first_serial;
    std::array<StateEntry, group_entries> entries;
    for (uint32_t from = 0; from < section.header.entry_count; from += group_entries) {
        const uint32_t count = std::min(section.header.entry_count - from, group_entries);
        for (uint32_t i = 0; i < count; ++i) {
            MILLRACE_TRY(const ByteView record, section_record(section, from + i));
            // The frame's checksum covers its records.
            MILLRACE_TRY(const DecodedEntry decoded, decode_record(record));
            const StateEntry& entry = entries[i] = decoded.entry;
            if (entry.serial != first + from + i || shard_of(entry.key) != shard ||
                entry.height != height) {
                return corrupt("entry " + std::to_string(entry.serial) + " of shard " +
                               std::to_string(shard) + " is in a frame that is not its own");
            }
            if (entry.has_previous()) { forest_.prefetch(shard, entry.previous()); }
        }
        for (uint32_t i = 0; i < count; ++i) {
            forest_.append(shard);
            if (entries[i].has_previous()) {
                MILLRACE_CHECK(retire_logged(shard, entries[i].previous()));
            }
        }
    }
    for (uint32_t i = 0; i < section.header.retired_count; ++i) {
        MILLRACE_CHECK(retire_logged(shard, section.removed(i).serial));
    }
    for (size_t i = 0; i < section.chunk_root_count(); ++i) {
        chunk_roots_[shard].push_back(section.chunk_root(i));
    }
    return {};
}

Result<void> EngineImpl::retire_logged(unsigned shard, uint64_t serial) {
    if (serial < first_serial_[shard]) { return {}; }
    if (serial >= forest_.serial_count(shard) || !forest_.is_live(shard, serial)) {
        // Where the log was pruned within a chunk, the dead of that chunk are dead already.
        if (serial / chunk_entries * chunk_entries == first_serial_[shard]) { return {}; }
        return corrupt("entry " + std::to_string(serial) + " of shard " + std::to_string(shard) +
                       " ends twice");
    }
    forest_.retire(shard, serial);
    return {};
}

Result<void> EngineImpl::rebuild_tree(unsigned shard) {
    const uint64_t end = forest_.serial_count(shard);
    for (uint64_t first = first_serial_[shard]; first < end; first += chunk_entries) {
        const uint64_t count = std::min(chunk_entries, end - first);
        const uint64_t chunk = first / chunk_entries;
        if (count < chunk_entries) {
            MILLRACE_CHECK(rebuild_open_chunk(shard, first, count));
        } else if (forest_.bits(shard, chunk).is_zero()) {
            forest_.skip_dead_chunk(shard);
        } else {
            // Should it not be the root of these entries, then the state's root is another one.
            forest_.set_full_chunk(
                shard, chunk_roots_[shard][chunk - first_serial_[shard] / chunk_entries]);
        }
    }
    return {};
}

Result<void> EngineImpl::rebuild_open_chunk(unsigned shard, uint64_t first, uint64_t count) {
    messages_.clear();
    for (uint64_t serial = first; serial < first + count; ++serial) {
        MILLRACE_TRY(const auto encoded, reader_->encoded(shard, serial));
        if (!encoded) {
            return corrupt("entry " + std::to_string(serial) + " of shard " +
                           std::to_string(shard) + " was dropped, although its chunk is not full");
        }
        messages_.push_back(*encoded);
    }
    leaves_.resize(count);
    MILLRACE_CHECK(hash_leaves(options_.hash, options_.backend, messages_, leaves_));
    forest_.set_leaves(shard, first, leaves_);
    reader_->release();
    return {};
}

/// Shard by shard on all threads that there are: the indexes have nothing in common, and the rest
/// is only read.
Result<void> EngineImpl::rebuild_indexes() {
    std::atomic<unsigned> next = 0;
    std::atomic<unsigned> done = 0;
    std::array<Result<void>, shard_count> results;
    const auto work = [&](bool reports) {
        for (;;) {
            const unsigned shard = next.fetch_add(1, std::memory_order_relaxed);
            if (shard >= shard_count) { return; }
            results[shard] = rebuild_index(shard);
            const unsigned count = done.fetch_add(1, std::memory_order_relaxed) + 1;
            if (reports && options_.progress) {
                options_.progress({RecoveryStage::index, count, shard_count});
            }
        }
    };
    {
        std::vector<std::jthread> threads;
        for (unsigned i = 1; i < recovery_threads(options_.recovery_threads); ++i) {
            threads.emplace_back([&] {
                set_thread_name("state-index");
                work(false);
            });
        }
        work(true);
    }
    for (const Result<void>& result : results) { MILLRACE_CHECK(result); }
    return {};
}

Result<void> EngineImpl::rebuild_index(unsigned shard) {
    MILLRACE_TRY(const LiveKeys live, live_keys(shard));
    opened_live_bytes_[shard] = live.record_bytes;
    EntryReader reader{*log_, directory_, nullptr};
    ShardKeys source{reader, forest_, shard};
    return indexes_[shard]->load(live.keys, source);
}

/// The keys of the live entries as their records have them, which the checksums of frames covered a
/// moment ago.
Result<EngineImpl::LiveKeys> EngineImpl::live_keys(unsigned shard) const {
    constexpr size_t key_at = sizeof(uint32_t) + 1 + sizeof(uint64_t);  // in a record
    LiveKeys out;
    out.keys.reserve(forest_.live_count(shard));
    Bytes memory;
    EntryReader reader{*log_, directory_, nullptr};
    for (size_t i = 0; i < directory_.run_count(shard); ++i) {
        const EntryDirectory::Run& run = directory_.run(shard, i);
        const size_t count = directory_.run_end(shard, i) - run.first_serial;
        if (const SegmentFile* const file = log_->segment_at(run.table_at);
            file != nullptr && file->rewritten() != nullptr) {
            MILLRACE_CHECK(live_keys_of_rewritten(shard, run.first_serial, count, reader, out));
            continue;
        }
        memory.resize((count + 1) * sizeof(uint32_t));
        MILLRACE_TRY(const ByteView table, log_->read(run.table_at, memory.size(), memory));
        if (table.size() != memory.size()) { return corrupt("a table is cut off"); }
        ActiveBits bits;
        for (size_t k = 0; k < count; ++k) {
            const uint64_t serial = run.first_serial + k;
            if (k == 0 || serial % chunk_entries == 0) {
                bits = forest_.bits(shard, serial / chunk_entries);
            }
            if (!is_active(bits, serial)) { continue; }
            uint32_t distance;
            uint32_t next;
            std::memcpy(&distance, table.data() + k * sizeof distance, sizeof distance);
            std::memcpy(&next, table.data() + (k + 1) * sizeof next, sizeof next);
            uint8_t scratch[sizeof(uint64_t)];
            MILLRACE_TRY(const ByteView head,
                         log_->read(run.table_at - distance + key_at, sizeof scratch, scratch));
            if (head.size() != sizeof scratch) { return corrupt("a record is cut off"); }
            out.keys.push_back({load_be64(head.data()), static_cast<uint32_t>(serial)});
            out.record_bytes += distance - next;
        }
    }
    if (auto r = log_->mappings(); !r) { return std::unexpected(r.error()); }
    if (out.keys.size() != forest_.live_count(shard)) {
        return corrupt("live entries are missing");
    }
    return out;
}

/// Of a run in a segment that was rewritten. What lives was not dropped, or the log is damaged.
Result<void> EngineImpl::live_keys_of_rewritten(unsigned shard, uint64_t first, uint64_t count,
                                                EntryReader& reader, LiveKeys& out) const {
    for (uint64_t serial = first; serial < first + count; ++serial) {
        if (!forest_.is_live(shard, serial)) { continue; }
        MILLRACE_TRY(const auto encoded, reader.encoded(shard, serial));
        if (!encoded) {
            return corrupt("entry " + std::to_string(serial) + " of shard " +
                           std::to_string(shard) +
                           " lives, but the segment that had it was rewritten without it");
        }
        constexpr size_t key_at = 1 + sizeof(uint64_t);
        out.keys.push_back({load_be64(encoded->data() + key_at), static_cast<uint32_t>(serial)});
        out.record_bytes += sizeof(uint32_t) + encoded->size();
        reader.release_memory();
    }
    return {};
}

}  // namespace millrace::storage::qmdb::detail
