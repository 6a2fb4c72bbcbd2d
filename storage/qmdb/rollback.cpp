// SPDX-License-Identifier: Apache-2.0
// Owns taking blocks back: the frames of the log are undone from the last one on, each entry by the
// previous one of its key, then the log is cut.
#include <algorithm>
#include <string>

#include "storage/qmdb/detail/engine_impl.hpp"
#include "storage/qmdb/detail/past_tree.hpp"

namespace millrace::storage::qmdb::detail {
namespace {

/// How many entries have their memory on its way at once.
constexpr uint32_t group_entries = 32;

std::unexpected<Error> corrupt(const std::string& what) {
    return fail(ErrorCode::corrupt, "blocks cannot be taken back: " + what +
                                        "; check the disk, then restore the data directory from a "
                                        "backup or a replica");
}

}  // namespace

uint64_t EngineImpl::oldest_height() const noexcept { return list_.oldest_height(); }

Result<Hash256> EngineImpl::root_at(uint64_t height) const {
    if (failed_) { return std::unexpected(*failed_); }
    return list_.root_at(height, height_, root_);
}

Result<void> EngineImpl::rollback(uint64_t height) {
    if (failed_) { return std::unexpected(*failed_); }
    if (cut_waits_) { MILLRACE_CHECK(cut_log()); }
    if (height >= height_) {
        if (height == height_) { return {}; }
        return fail(ErrorCode::not_found, "the state is at height " + std::to_string(height_) +
                                              " and cannot be taken back to " +
                                              std::to_string(height));
    }
    const size_t count = list_.count_up_to(height);
    if (!list_.is_kept(count)) {
        return fail(ErrorCode::not_found,
                    "the state can only be taken back to height " +
                        std::to_string(oldest_height()) + ", since the log before was pruned; " +
                        std::to_string(height) + " needs a snapshot from before");
    }
    if (!waits_) { release_snapshots(); }
    forget_plans_above(height);
    if (auto r = take_back(count); !r) { return stop(std::move(r).error()); }
    return cut_waits_ ? cut_log() : Result<void>{};
}

Result<void> EngineImpl::cut_log() {
    revoke_snapshots(height_);
    const auto last =
        list_.blocks.empty() ? std::nullopt : std::optional{list_.blocks.back().payload_at};
    if (auto r = log_->cut(last); !r) {
        if (r.error().code == ErrorCode::limit) { return r; }
        return stop(std::move(r).error());
    }
    cut_waits_ = false;
    return {};
}

/// Brings the memory to what it was after the first `count` committed blocks.
Result<void> EngineImpl::take_back(size_t count) {
    revived_chunks_.clear();
    if (waits_) {
        const std::span<uint8_t> frame = frame_.frame();
        MILLRACE_CHECK(undo({frame.data() + sizeof(FrameHeader), frame_.payload_bytes()}));
        frame_.begin();
        waits_ = false;
        // A full disk may have taken a part of it.
        cut_waits_ = !log_->end_is_clean();
    }
    Bytes scratch;
    while (list_.blocks.size() > count) {
        MILLRACE_TRY(const Frame frame,
                     log_->read_frame_at(list_.blocks.back().payload_at, scratch));
        MILLRACE_CHECK(undo(frame.payload));
        list_.pop_back();
        cut_waits_ = true;
    }
    for (const auto& [shard, chunk] : revived_chunks_) {
        if ((chunk + 1) * chunk_entries > forest_.serial_count(shard)) { continue; }
        MILLRACE_TRY(const Hash256 root, logged_chunk_root(*log_, directory_, list_, shard, chunk));
        forest_.restore_chunk(shard, chunk, root);
    }
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        const uint64_t end = forest_.serial_count(shard);
        directory_.drop_from(shard, end);
        if (end % chunk_entries != 0) {
            const uint64_t first = end / chunk_entries * chunk_entries;
            MILLRACE_CHECK(rebuild_open_chunk(shard, first, end - first));
        }
    }
    MILLRACE_TRY(root_, forest_.root());
    if (count == 0) { root_ = {}; }
    height_ = count == 0 ? 0 : list_.blocks.back().height;
    if (count != 0 && root_ != list_.blocks.back().root) {
        return corrupt("the state would not have the root of block " + std::to_string(height_));
    }
    return {};
}

/// Takes back the block with this payload, the last one.
Result<void> EngineImpl::undo(ByteView payload) {
    MILLRACE_TRY(const auto sections, read_block_frame(payload));
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        const Section& section = sections[shard];
        if (section.header.first_serial + section.header.entry_count !=
            forest_.serial_count(shard)) {
            return corrupt("a block of the log does not end where shard " + std::to_string(shard) +
                           " does");
        }
        MILLRACE_CHECK(undo_section(shard, section));
        // What is read from now on may have the same serial number and be another entry.
        reader_->release();
    }
    return {};
}

Result<void> EngineImpl::undo_section(unsigned shard, const Section& section) {
    KeyIndex& index = *indexes_[shard];
    const uint64_t first = section.header.first_serial;
    std::array<StateEntry, group_entries> entries;
    for (uint32_t end = section.header.entry_count; end != 0;) {
        const uint32_t count = std::min(end, group_entries);
        for (uint32_t i = 0; i < count; ++i) {
            MILLRACE_TRY(const ByteView record, section_record(section, --end));
            MILLRACE_TRY(const DecodedEntry decoded, decode_record(record));
            entries[i] = decoded.entry;
            index.prefetch_page(entries[i].key);
            if (entries[i].has_previous()) { forest_.prefetch(shard, entries[i].previous()); }
        }
        for (uint32_t i = 0; i < count; ++i) { index.prefetch_serial(entries[i].key); }
        for (uint32_t i = 0; i < count; ++i) {
            const StateEntry& e = entries[i];
            if (e.serial != first + end + count - 1 - i || !forest_.is_live(shard, e.serial)) {
                return corrupt("entry " + std::to_string(e.serial) + " of shard " +
                               std::to_string(shard) + " is not the last of its key");
            }
            forest_.retire(shard, e.serial);
            const auto low = static_cast<uint32_t>(e.serial);
            if (e.has_previous()) {
                index.replace(e.key, low, static_cast<uint32_t>(e.previous()));
                MILLRACE_CHECK(revive(shard, e.previous()));
            } else {
                index.erase(e.key, low);
            }
        }
    }
    ShardKeys keys{*reader_, forest_, shard};
    for (uint32_t i = 0; i < section.header.retired_count; ++i) {
        const uint64_t serial = section.removed(i).serial;
        MILLRACE_TRY(const StateEntry e, reader_->read(shard, serial));
        MILLRACE_CHECK(revive(shard, serial));
        MILLRACE_CHECK(index.insert(e.key, static_cast<uint32_t>(serial), keys));
    }
    forest_.shrink(shard, first);
    return {};
}

Result<void> EngineImpl::revive(unsigned shard, uint64_t serial) {
    if (serial >= forest_.serial_count(shard) || forest_.is_live(shard, serial)) {
        return corrupt("entry " + std::to_string(serial) + " of shard " + std::to_string(shard) +
                       " ends twice");
    }
    if (forest_.revive(shard, serial)) {
        revived_chunks_.emplace_back(shard, serial / chunk_entries);
    }
    return {};
}

}  // namespace millrace::storage::qmdb::detail
