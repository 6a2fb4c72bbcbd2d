// SPDX-License-Identifier: Apache-2.0
// Owns the way from a serial number to its entry.
#include "storage/qmdb/detail/entry_reader.hpp"

#include <algorithm>
#include <cstring>
#include <string>

namespace millrace::storage::qmdb::detail {

std::span<uint8_t> ReadArena::take(size_t bytes) {
    MILLRACE_ASSERT(bytes <= block_bytes, "reads are bounded");
    if (used_ + bytes > block_bytes) {
        ++block_;
        used_ = 0;
    }
    if (block_ == blocks_.size()) {
        blocks_.push_back(std::make_unique_for_overwrite<uint8_t[]>(block_bytes));
    }
    uint8_t* const at = blocks_[block_].get() + used_;
    used_ += bytes;
    return {at, bytes};
}

void ReadArena::release() noexcept {
    block_ = 0;
    used_ = 0;
    if (blocks_.size() > 1) { blocks_.resize(1); }
}

/// Nothing when it was dropped from a rewritten segment.
Result<std::optional<ByteView>> EntryReader::record(unsigned shard, uint64_t serial) {
    const auto run = directory_.find(shard, serial);
    if (!run) {
        return fail(ErrorCode::not_found, "entry " + std::to_string(serial) + " of shard " +
                                              std::to_string(shard) + " is not in the log");
    }
    if (const SegmentFile* const file = log_.segment_at(run->table_at);
        file != nullptr && file->rewritten() != nullptr) {
        return rewritten_record(*file, shard, serial);
    }
    const LogPosition slot = run->table_at + (serial - run->first_serial) * sizeof(uint32_t);
    uint8_t memory[2 * sizeof(uint32_t)];
    MILLRACE_TRY(const ByteView words, log_.read(slot, sizeof memory, memory));
    uint32_t from = 0;
    uint32_t to = 0;
    if (words.size() == sizeof memory) {
        std::memcpy(&from, words.data(), sizeof from);
        std::memcpy(&to, words.data() + sizeof from, sizeof to);
    }
    if (from <= to || from - to > stored_entry_bytes_max ||
        from > run->table_at % log_.segment_bytes()) {
        MILLRACE_CHECK(log_.mappings());
        return fail(ErrorCode::corrupt, "the place of entry " + std::to_string(serial) +
                                            " of shard " + std::to_string(shard) +
                                            " cannot be read; check the disk, then restore the "
                                            "data directory from a backup or a replica");
    }
    const size_t bytes = from - to;
    const std::span<uint8_t> scratch = log_.mapped() ? std::span<uint8_t>{} : arena_.take(bytes);
    MILLRACE_TRY(const ByteView out, log_.read(run->table_at - from, bytes, scratch));
    return out;
}

Result<std::optional<ByteView>> EntryReader::rewritten_record(const SegmentFile& file,
                                                              unsigned shard, uint64_t serial) {
    if (!file.rewritten()->has(shard, serial)) {
        return fail(ErrorCode::corrupt, "entry " + std::to_string(serial) + " of shard " +
                                            std::to_string(shard) + " is not in " +
                                            file.file().path());
    }
    MILLRACE_TRY(const auto found, file.rewritten()->record(file, shard, serial, buffer_));
    if (!found || !buffer_.owns(*found)) { return found; }
    // The next read may be of another block.
    const std::span<uint8_t> copy = arena_.take(found->size());
    std::ranges::copy(*found, copy.begin());
    return ByteView{copy};
}

Result<ChunkBlock> EntryReader::rewritten_chunk(unsigned shard, uint64_t serial) {
    const auto run = directory_.find(shard, serial);
    const SegmentFile* const file = run ? log_.segment_at(run->table_at) : nullptr;
    if (file == nullptr || file->rewritten() == nullptr || !file->rewritten()->has(shard, serial)) {
        return fail(ErrorCode::corrupt, "entry " + std::to_string(serial) + " of shard " +
                                            std::to_string(shard) +
                                            " is in no segment that was rewritten");
    }
    return file->rewritten()->chunk(*file, shard, serial / chunk_entries, buffer_);
}

Result<StateEntry> EntryReader::read(unsigned shard, uint64_t serial) {
    if (in_frame(shard, serial)) {
        MILLRACE_TRY(const DecodedEntry decoded, decode_entry(frame_->encoded(shard, serial)));
        return decoded.entry;
    }
    if (serial == last_serial_ && shard == last_shard_) { return last_; }
    MILLRACE_TRY(const auto found, record(shard, serial));
    if (!found) {
        return fail(ErrorCode::corrupt, "entry " + std::to_string(serial) + " of shard " +
                                            std::to_string(shard) +
                                            " is needed, but a rewritten segment of the log has "
                                            "dropped it; restore the data directory from a backup "
                                            "or a replica");
    }
    const auto checked = read_record(*found, serial);
    if (!checked) {
        MILLRACE_CHECK(log_.mappings());
        return checked;
    }
    const StateEntry& entry = *checked;
    if (shard_of(entry.key) != shard) {
        return fail(ErrorCode::corrupt, "entry " + std::to_string(serial) + " of shard " +
                                            std::to_string(shard) + " is of another shard");
    }
    last_ = entry;
    last_serial_ = serial;
    last_shard_ = shard;
    return entry;
}

Result<std::optional<ByteView>> EntryReader::encoded(unsigned shard, uint64_t serial) {
    if (in_frame(shard, serial)) { return frame_->encoded(shard, serial); }
    MILLRACE_TRY(const auto found, record(shard, serial));
    if (!found) { return std::nullopt; }
    if (const auto checked = read_record(*found, serial); !checked) {
        MILLRACE_CHECK(log_.mappings());
        return std::unexpected(checked.error());
    }
    return found->subspan(sizeof(uint32_t));
}

void EntryReader::prefetch_place(unsigned shard, uint64_t serial) const noexcept {
    if (const auto run = directory_.find(shard, serial)) {
        const SegmentFile* const file = log_.segment_at(run->table_at);
        if (file != nullptr && file->rewritten() != nullptr) {
            if (file->rewritten()->has(shard, serial)) {
                file->rewritten()->prefetch(*file, shard, serial);
            }
            return;
        }
        log_.prefetch(run->table_at + (serial - run->first_serial) * sizeof(uint32_t));
    }
}

void EntryReader::prefetch_entry(unsigned shard, uint64_t serial) const noexcept {
    const auto run = directory_.find(shard, serial);
    if (!run || !log_.mapped()) { return; }
    if (const SegmentFile* const file = log_.segment_at(run->table_at);
        file != nullptr && file->rewritten() != nullptr) {
        if (file->rewritten()->has(shard, serial)) {
            file->rewritten()->prefetch_record(*file, shard, serial);
        }
        return;
    }
    const LogPosition slot = run->table_at + (serial - run->first_serial) * sizeof(uint32_t);
    const auto word = log_.read(slot, sizeof(uint32_t), {});
    uint32_t distance = 0;
    if (!word || word->size() != sizeof distance) { return; }
    std::memcpy(&distance, word->data(), sizeof distance);
    if (distance > run->table_at) { return; }
    // An entry of common length lies on three lines.
    for (uint64_t line = 0; line < 3; ++line) {
        log_.prefetch(run->table_at - distance + 64 * line);
    }
}

}  // namespace millrace::storage::qmdb::detail
