// SPDX-License-Identifier: Apache-2.0
// Owns the start of the engine: bits from the frames of the log, then tree and index from the
// entries that live.
#include <algorithm>
#include <string>

#include "kernels/keccak/keccak.hpp"
#include "storage/qmdb/detail/engine_impl.hpp"

namespace millrace::storage::qmdb::detail {
namespace {

std::unexpected<Error> corrupt(const std::string& what) {
    return fail(ErrorCode::corrupt, "the entry log contradicts itself: " + what +
                                        "; restore the data directory from a backup or a replica");
}

/// The caller's identity and what else no restart may change.
Hash256 identity_of(const EngineOptions& options) {
    Bytes preimage{options.log.identity.begin(), options.log.identity.end()};
    preimage.push_back(static_cast<uint8_t>(options.hash));
    return kernels::keccak256(preimage);
}

}  // namespace

Result<void> EngineImpl::start(FileSystem& fs, const std::string& directory,
                               std::unique_ptr<LogWriter> writer) {
    EntryLogOptions log = options_.log;
    log.identity = identity_of(options_);
    MILLRACE_TRY(log_, EntryLog::open(fs, directory, log, std::move(writer),
                                      [this](const FrameHeader& header, LogPosition payload_at,
                                             ByteView payload) {
                                          return replay(header, payload_at, payload);
                                      }));
    reader_.emplace(*log_, directory_, &frame_);
    if (height_ == 0) { return {}; }
    for (unsigned shard = 0; shard < shard_count; ++shard) { MILLRACE_CHECK(rebuild_shard(shard)); }
    live_keys_ = {};
    chunk_roots_ = {};
    MILLRACE_TRY(root_, forest_.root());
    if (root_ != log_->recovery().last_root) {
        return corrupt("its entries do not have the root that block " + std::to_string(height_) +
                       " was committed with");
    }
    return {};
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
    if (blocks_.empty()) { first_sequence_ = header.sequence; }
    blocks_.push_back(
        {header.height, payload_at, header.oldest_sequence, Hash256::from({header.root, 32})});
    height_ = header.height;
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
    for (uint32_t i = 0; i < section.header.entry_count; ++i) {
        MILLRACE_TRY(const ByteView record, section_record(section, i));
        // The frame's checksum covers its records.
        MILLRACE_TRY(const DecodedEntry decoded, decode_record(record));
        const StateEntry& entry = decoded.entry;
        if (entry.serial != section.header.first_serial + i || shard_of(entry.key) != shard ||
            entry.height != height) {
            return corrupt("entry " + std::to_string(entry.serial) + " of shard " +
                           std::to_string(shard) + " is in a frame that is not its own");
        }
        forest_.append(shard);
        if (entry.has_previous()) { MILLRACE_CHECK(retire_logged(shard, entry.previous())); }
    }
    for (uint32_t i = 0; i < section.header.retired_count; ++i) {
        MILLRACE_CHECK(retire_logged(shard, section.retired_serial(i)));
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

Result<void> EngineImpl::rebuild_shard(unsigned shard) {
    const uint64_t end = forest_.serial_count(shard);
    live_keys_.clear();
    for (uint64_t first = first_serial_[shard]; first < end; first += chunk_entries) {
        const uint64_t count = std::min(chunk_entries, end - first);
        const uint64_t chunk = first / chunk_entries;
        if (count < chunk_entries) {
            MILLRACE_CHECK(rebuild_open_chunk(shard, first, count));
        } else if (forest_.bits(shard, chunk).is_zero()) {
            forest_.skip_dead_chunk(shard);
            continue;
        } else {
            // Should it not be the root of these entries, then the state's root is another one.
            forest_.set_full_chunk(
                shard, chunk_roots_[shard][chunk - first_serial_[shard] / chunk_entries]);
        }
        MILLRACE_CHECK(add_live_keys(shard, first, count));
    }
    MILLRACE_CHECK(forest_.fold_leaves());
    return rebuild_index(shard);
}

/// In the order of keys, so that a page is filled while it is in the cache.
Result<void> EngineImpl::rebuild_index(unsigned shard) {
    ShardKeys keys{*reader_, forest_, shard};
    std::ranges::sort(live_keys_, {}, &LiveKey::key);
    indexes_[shard]->reserve(live_keys_.size());
    for (const LiveKey& live : live_keys_) {
        MILLRACE_CHECK(indexes_[shard]->insert(live.key, static_cast<uint32_t>(live.serial), keys));
    }
    reader_->release();
    return {};
}

Result<void> EngineImpl::rebuild_open_chunk(unsigned shard, uint64_t first, uint64_t count) {
    messages_.clear();
    for (uint64_t serial = first; serial < first + count; ++serial) {
        MILLRACE_TRY(const ByteView encoded, reader_->encoded(shard, serial));
        messages_.push_back(encoded);
    }
    leaves_.resize(count);
    MILLRACE_CHECK(hash_leaves(options_.hash, options_.backend, messages_, leaves_));
    forest_.set_leaves(shard, first, leaves_);
    reader_->release();
    return {};
}

Result<void> EngineImpl::add_live_keys(unsigned shard, uint64_t first, uint64_t count) {
    for (uint64_t serial = first; serial < first + count; ++serial) {
        if (!forest_.is_live(shard, serial)) { continue; }
        MILLRACE_TRY(const StateEntry entry, reader_->read(shard, serial));
        live_keys_.push_back({entry.key, serial});
    }
    reader_->release();
    return {};
}

}  // namespace millrace::storage::qmdb::detail
