// SPDX-License-Identifier: Apache-2.0
// Owns reading of segments with frames by shard and chunk, as rewritten ones lie on the disk.
#include "storage/qmdb/detail/segment_source.hpp"

#include <algorithm>
#include <cstring>

#include "storage/qmdb/detail/log_damage.hpp"

namespace millrace::storage::qmdb::detail {

Result<SegmentSource> SegmentSource::open(FileSystem& fs, const std::string& path, uint64_t number,
                                          bool map) {
    MILLRACE_TRY(auto file, fs.open(path, OpenMode::read));
    MILLRACE_TRY(const uint64_t bytes, file->size());
    MILLRACE_TRY(auto opened,
                 SegmentFile::open(std::move(file), bytes, map, ReadOrder::sequential));
    SegmentSource out;
    out.file_ = std::make_shared<SegmentFile>(std::move(opened));
    Bytes head(frame_alignment_bytes);
    MILLRACE_TRY(const ByteView first, out.file_->read(0, head.size(), head));
    const auto header = read_segment_header(first);
    if (!header || header->segment_number != number || header->form > rewritten_form) {
        MILLRACE_CHECK(out.status());
        return damaged_log(path, 0, "the header of the segment is not valid");
    }
    out.header_ = *header;
    if (header->form == rewritten_form) {
        MILLRACE_TRY(auto rewritten, RewrittenSegment::open(*out.file_));
        MILLRACE_TRY(out.frames_, rewritten->frames(*out.file_));
        for (unsigned shard = 0; shard < shard_count; ++shard) {
            out.first_serial_[shard] = rewritten->first_serial(shard);
            out.end_serial_[shard] = rewritten->end_serial(shard);
        }
        out.file_->set_rewritten(std::move(rewritten));
        return out;
    }
    if (bytes != header->segment_bytes) {
        return damaged_log(path, bytes,
                           "the file has " + std::to_string(bytes) + " bytes instead of " +
                               std::to_string(header->segment_bytes));
    }
    if (!out.file_->mapped()) { out.memory_ = std::make_shared<Bytes>(bytes); }
    MILLRACE_TRY(out.data_,
                 out.file_->read(0, bytes, out.memory_ ? *out.memory_ : std::span<uint8_t>{}));
    const auto read = out.data_.size() == bytes
                          ? out.read_frames(number)
                          : damaged_log(path, out.data_.size(), "the file was cut off");
    MILLRACE_CHECK(out.status());
    MILLRACE_CHECK(Result<void>{read});
    return out;
}

Result<void> SegmentSource::status() const {
    if (file_->failed()) { return unreadable_log(file_->file().path()); }
    return {};
}

uint64_t SegmentSource::horizon_height() const noexcept {
    const RewrittenSegment* const rewritten = file_->rewritten();
    return rewritten == nullptr ? 0 : rewritten->header().horizon_height;
}

/// All frames, their checksums and their sections. A sealed segment has nothing else.
Result<void> SegmentSource::read_frames(uint64_t number) {
    const std::string& path = file_->file().path();
    uint64_t sequence = header_.first_sequence;
    for (uint64_t at = frame_alignment_bytes; at < data_.size();) {
        const Frame frame = read_frame(data_.subspan(at));
        if (frame.state != FrameState::valid || frame.header.sequence != sequence ||
            frame.header.log_id != header_.log_id) {
            const ByteView rest = data_.subspan(at);
            if (std::ranges::all_of(rest, [](uint8_t b) { return b == 0; })) { break; }
            return damaged_log(path, at, "frame " + std::to_string(sequence) + " cannot be read");
        }
        MILLRACE_TRY(const auto sections, read_block_frame(frame.payload));
        RewrittenFrame& out = frames_.emplace_back();
        out.header = frame.header;
        for (unsigned shard = 0; shard < shard_count; ++shard) {
            const SectionHeader& section = sections[shard].header;
            if (frames_.size() == 1) {
                first_serial_[shard] = end_serial_[shard] = section.first_serial;
            }
            if (section.first_serial != end_serial_[shard]) {
                return damaged_log(path, at, "the frames do not follow each other");
            }
            end_serial_[shard] += section.entry_count;
            out.entry_count[shard] = section.entry_count;
            for (uint32_t i = 0; i < section.retired_count; ++i) {
                out.removed[shard].push_back(sections[shard].removed(i));
            }
        }
        payloads_at_.push_back(at + sizeof frame.header);
        at += frame_bytes(frame.header.payload_bytes);
        ++sequence;
    }
    if (frames_.empty()) {
        return damaged_log(path, frame_alignment_bytes,
                           "segment " + std::to_string(number) + " has no frame");
    }
    return {};
}

void SegmentSource::begin(unsigned shard) noexcept {
    shard_ = shard;
    next_ = first_serial_[shard];
    frame_ = 0;
    in_frame_ = 0;
    section_of_ = ~size_t{0};
}

/// The record of entry `next_` of a segment with frames.
Result<ByteView> SegmentSource::next_record() {
    while (frames_[frame_].entry_count[shard_] == in_frame_) {
        ++frame_;
        in_frame_ = 0;
    }
    if (section_of_ != frame_) {
        const uint64_t bytes = frames_[frame_].header.payload_bytes;
        MILLRACE_TRY(const auto sections,
                     read_block_frame(data_.subspan(payloads_at_[frame_], bytes)));
        section_ = sections[shard_];
        section_of_ = frame_;
        root_in_frame_ = 0;
    }
    return section_record(section_, in_frame_++);
}

Result<ChunkBlock> SegmentSource::next() {
    const uint64_t chunk = next_ / chunk_entries;
    if (const RewrittenSegment* const rewritten = file_->rewritten()) {
        MILLRACE_TRY(ChunkBlock out, rewritten->chunk(*file_, shard_, chunk, *buffer_));
        next_ = out.range.end;
        return out;
    }
    ChunkBlock out;
    out.range = {next_, std::min(end_serial_[shard_], (chunk + 1) * chunk_entries)};
    for (; next_ < out.range.end; ++next_) {
        MILLRACE_TRY(const ByteView record, next_record());
        MILLRACE_CHECK(read_record(record, next_));
        out.records.push_back(record);
        out.kept[next_ % chunk_entries / 8] |= static_cast<uint8_t>(1u << (next_ % 8));
    }
    if (out.range.has_root()) {
        if (root_in_frame_ >= section_.chunk_root_count()) {
            return damaged_log(file_->file().path(), payloads_at_[frame_],
                               "the root of a chunk is missing");
        }
        out.root = section_.chunk_root(root_in_frame_++);
    }
    return out;
}

}  // namespace millrace::storage::qmdb::detail
