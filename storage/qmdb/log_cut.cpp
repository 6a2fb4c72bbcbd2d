// SPDX-License-Identifier: Apache-2.0
// Owns cutting the entry log behind a frame, also when a crash came in between.
#include "storage/qmdb/log_cut.hpp"

#include <algorithm>
#include <cstring>

#include "storage/detail/header_crc.hpp"
#include "storage/qmdb/entry_log.hpp"
#include "storage/qmdb/segment_name.hpp"

namespace millrace::storage::qmdb {

std::optional<CutRecord> decode_cut_record(ByteView data) noexcept {
    CutRecord record;
    if (data.size() != sizeof record) { return std::nullopt; }
    std::memcpy(&record, data.data(), sizeof record);
    if (record.magic != cut_magic || record.version != cut_version || record.pending > 1 ||
        record.reserved != 0 || record.end == 0 || record.header_crc != detail::crc_of(record)) {
        return std::nullopt;
    }
    return record;
}

Result<std::optional<CutRecord>> read_cut_record(FileSystem& fs, const std::string& path) {
    MILLRACE_TRY(const bool there, fs.exists(path));
    if (!there) { return std::nullopt; }
    MILLRACE_TRY(const Bytes content, read_file(fs, path, frame_alignment_bytes));
    const auto record = decode_cut_record(content);
    if (!record) {
        return fail(ErrorCode::corrupt,
                    path + " is damaged: it says where blocks were taken back. Check the disk, "
                           "then restore the data directory from a backup or a replica");
    }
    return record;
}

Result<void> write_cut_record(FileSystem& fs, const std::string& path, CutRecord record) {
    record.header_crc = detail::crc_of(record);
    return replace_file(fs, path, detail::bytes_of(record));
}

Result<void> EntryLog::cut(std::optional<LogPosition> last) {
    if (failed_) { return std::unexpected(*failed_); }
    if (!cut_ || cut_->pending == 0) {
        CutRecord record;
        record.log_id = log_id_;
        record.generation = generation_ + 1;
        uint64_t height = 0;
        Hash256 hash;
        if (last) {
            Bytes scratch;
            MILLRACE_TRY(const Frame frame, read_frame_at(*last, scratch));
            record.sequence = frame.header.sequence;
            record.end = *last - sizeof frame.header + frame_bytes(frame.header.payload_bytes);
            height = frame.header.height;
            hash = frame_hash(frame.header);
        } else {
            MILLRACE_ASSERT(first_segment_ == 0, "only a log that was never pruned can be emptied");
            record.end = frame_alignment_bytes;
        }
        record.pending = 1;
        if (options_.mutant != EntryLogMutant::no_cut_record) {
            if (auto r = write_cut_record(fs_, path_of(cut_name), record); !r) {
                return stop(std::move(r).error());
            }
        }
        cut_ = record;
        last_sequence_ = record.sequence;
        last_height_ = height;
        last_hash_ = hash;
        generation_ = record.generation;
    }
    if (auto r = finish_cut(); !r) { return stop(std::move(r).error()); }
    return {};
}

/// Removes what lies behind a pending cut. All of it can be done again.
Result<void> EntryLog::finish_cut() {
    CutRecord& record = *cut_;
    // A frame that fills its segment ends where the next segment begins.
    const uint64_t number = (record.end - 1) / options_.segment_bytes;
    while (!segments_.empty() && first_segment_ + segments_.size() - 1 > number) {
        segments_.pop_back();
    }
    MILLRACE_TRY(const std::vector<uint64_t> numbers, segment_numbers());
    for (auto it = numbers.rbegin(); it != numbers.rend() && *it > number; ++it) {
        MILLRACE_CHECK(fs_.remove(path_of(segment_name(*it))));
    }
    MILLRACE_CHECK(fs_.sync_directory(directory_));
    {
        const uint64_t offset = record.end - number * options_.segment_bytes;
        MILLRACE_TRY(auto file, fs_.open(path_of(segment_name(number)), OpenMode::read_write));
        MILLRACE_TRY(const uint64_t bytes, file->size());
        if (bytes < offset) {
            return fail(ErrorCode::corrupt,
                        "the entry log is damaged in " + file->path() + ": the file has " +
                            std::to_string(bytes) +
                            " bytes, fewer than were there when blocks "
                            "were taken back. Restore the data directory from a backup or a "
                            "replica");
        }
        Bytes head(frame_alignment_bytes);
        MILLRACE_TRY(const size_t got, file->read_at(0, head));
        if (const auto h = read_segment_header(ByteView{head}.first(got)); !h || h->form != 0) {
            return fail(ErrorCode::corrupt,
                        "the entry log is damaged in " + file->path() +
                            ": blocks were taken back in it, and it is no segment with frames. "
                            "Restore the data directory from a backup or a replica");
        }
        MILLRACE_CHECK(file->truncate(offset));
        // What was allocated anew reads as zeros, as what was never written does.
        MILLRACE_CHECK(file->preallocate(options_.segment_bytes));
        MILLRACE_CHECK(file->sync_data());
        offset_ = offset;
        if (!segments_.empty()) {
            // Mapped anew: readers of snapshots may have touched what was not there for a moment,
            // and keep zeros there.
            MILLRACE_TRY(auto segment,
                         SegmentFile::open(std::move(file), options_.segment_bytes, options_.map));
            segments_.pop_back();
            add(std::move(segment));
        }
    }
    CutRecord done = record;
    done.pending = 0;
    if (options_.mutant != EntryLogMutant::no_cut_record) {
        MILLRACE_CHECK(write_cut_record(fs_, path_of(cut_name), done));
    }
    record = done;
    unfinished_.reset();
    return {};
}

}  // namespace millrace::storage::qmdb
