// SPDX-License-Identifier: Apache-2.0
// Owns checking the frames or the blocks of a segment as its bytes come in.
#include "storage/qmdb/segment_scrub.hpp"

#include <algorithm>
#include <cstring>

#include "storage/detail/header_crc.hpp"
#include "storage/detail/page_buffer.hpp"
#include "storage/io/crc32c.hpp"
#include "storage/qmdb/detail/log_damage.hpp"
#include "storage/qmdb/rewritten_segment.hpp"

namespace millrace::storage::qmdb {

class SegmentScrub::State {
public:
    State(std::unique_ptr<File> file, uint64_t bytes, uint64_t number)
        : file_(std::move(file)), bytes_(bytes), number_(number), buffer_(piece_bytes) {}

    Result<size_t> step() {
        if (at_ == bytes_) { return size_t{0}; }
        const auto wanted = std::min<uint64_t>(piece_bytes, bytes_ - at_);
        // Whole pages are asked for; the file ends where it ends.
        MILLRACE_TRY(const size_t got, file_->read_at(at_, buffer_.span()));
        if (got < wanted) { return damaged(at_ + got, "the file was cut off"); }
        ByteView data = buffer_.span().first(wanted);
        if (at_ == 0) { MILLRACE_CHECK(begin(data)); }
        while (!data.empty()) {
            const ByteView before = data;
            MILLRACE_CHECK(rewritten_ ? take_of_block(data) : take_of_frame(data));
            at_ += before.size() - data.size();
        }
        if (at_ == bytes_) { MILLRACE_CHECK(finish()); }
        return static_cast<size_t>(wanted);
    }

private:
    std::unexpected<Error> damaged(uint64_t at, const std::string& what) const {
        return detail::damaged_log(file_->path(), at, what);
    }

    /// The header of the segment.
    Result<void> begin(ByteView& data) {
        const auto header = read_segment_header(data);
        if (!header || header->segment_number != number_ || header->form > rewritten_form ||
            data.size() < frame_alignment_bytes) {
            return damaged(0, "the header of the segment is not valid");
        }
        segment_ = *header;
        sequence_ = header->first_sequence;
        rewritten_ = header->form == rewritten_form;
        uint64_t expected = header->segment_bytes;
        if (rewritten_) {
            const auto more = read_rewritten_header(data);
            if (!more) { return damaged(0, "its header is not valid"); }
            expected = more->file_bytes;
            blocks_ = uint64_t{more->block_count} + 1;
        }
        if (bytes_ != expected) {
            return damaged(bytes_, "the file has " + std::to_string(bytes_) + " bytes instead of " +
                                       std::to_string(expected));
        }
        at_ = frame_alignment_bytes;
        data = data.subspan(frame_alignment_bytes);
        return {};
    }

    /// Frames begin at multiples of 4,096, and so do pieces.
    Result<void> take_of_frame(ByteView& data) {
        if (left_ != 0) {
            const size_t n = std::min<uint64_t>(left_, data.size());
            crc_ = crc32c(data.first(n), crc_);
            left_ -= n;
            data = data.subspan(n);
            if (left_ == 0 && crc_ != wanted_crc_) {
                return damaged(frame_at_,
                               "frame " + std::to_string(sequence_ - 1) + " fails its checksum");
            }
            return {};
        }
        if (padding_ != 0) {
            // No checksum covers it and nobody reads it, at a start neither.
            const size_t n = std::min<uint64_t>(padding_, data.size());
            padding_ -= n;
            data = data.subspan(n);
            return {};
        }
        if (zeros_ != 0) { return take_zeros(data); }
        FrameHeader header;
        std::memcpy(&header, data.data(), sizeof header);
        if (!is_frame_header(header) || header.log_id != segment_.log_id ||
            header.sequence != sequence_ || frame_bytes(header.payload_bytes) > bytes_ - at_) {
            // Behind the last frame there is nothing.
            zeros_ = bytes_ - at_;
            return take_zeros(data);
        }
        ++sequence_;
        frame_at_ = at_;
        left_ = header.payload_bytes;
        crc_ = 0;
        wanted_crc_ = header.payload_crc;
        padding_ = frame_bytes(header.payload_bytes) - sizeof header - header.payload_bytes;
        data = data.subspan(sizeof header);
        return {};
    }

    Result<void> take_zeros(ByteView& data) {
        const size_t n = std::min<uint64_t>(zeros_, data.size());
        if (!std::ranges::all_of(data.first(n), [](uint8_t b) { return b == 0; })) {
            return damaged(at_, "frame " + std::to_string(sequence_) + " cannot be read");
        }
        zeros_ -= n;
        data = data.subspan(n);
        return {};
    }

    /// The header of a block may lie in two pieces.
    Result<void> take_of_block(ByteView& data) {
        if (left_ != 0) {
            const size_t n = std::min<uint64_t>(left_, data.size());
            crc_ = crc32c(data.first(n), crc_);
            left_ -= n;
            data = data.subspan(n);
            return left_ == 0 ? end_block() : Result<void>{};
        }
        const size_t n = std::min(sizeof block_ - block_bytes_, data.size());
        std::memcpy(reinterpret_cast<uint8_t*>(&block_) + block_bytes_, data.data(), n);
        block_bytes_ += n;
        data = data.subspan(n);
        if (block_bytes_ < sizeof block_) { return {}; }
        block_bytes_ = 0;
        wanted_crc_ = block_.header_crc;
        crc_ = storage::detail::crc_of(block_);
        left_ = (uint64_t{block_.stored_bytes} + 7) / 8 * 8;
        return left_ == 0 ? end_block() : Result<void>{};
    }

    Result<void> end_block() {
        if (crc_ != wanted_crc_ || block_.index != index_) {
            return damaged(at_, "block " + std::to_string(index_) +
                                    ", which ends behind this place, fails its checksum");
        }
        ++index_;
        return {};
    }

    Result<void> finish() const {
        const bool cut = left_ != 0 || padding_ != 0 || zeros_ != 0 || block_bytes_ != 0;
        if (cut || (rewritten_ && index_ != blocks_)) {
            return damaged(bytes_, "the file ends within a frame or block");
        }
        return {};
    }

    const std::unique_ptr<File> file_;
    const uint64_t bytes_;
    const uint64_t number_;
    storage::detail::PageBuffer buffer_;
    uint64_t at_ = 0;
    SegmentHeader segment_;
    bool rewritten_ = false;

    // Of the frame or block at hand.
    uint64_t left_ = 0;  ///< bytes that its checksum covers
    uint64_t padding_ = 0;
    uint64_t zeros_ = 0;  ///< behind the last frame
    uint32_t crc_ = 0;
    uint32_t wanted_crc_ = 0;
    uint64_t frame_at_ = 0;
    uint64_t sequence_ = 0;
    BlockHeader block_;
    size_t block_bytes_ = 0;  ///< of block_ that are there
    uint64_t index_ = 0;
    uint64_t blocks_ = 0;
};

SegmentScrub::SegmentScrub(std::unique_ptr<State> state) : state_(std::move(state)) {}
SegmentScrub::~SegmentScrub() = default;

Result<std::unique_ptr<SegmentScrub>> SegmentScrub::open(FileSystem& fs, const std::string& path,
                                                         uint64_t number) {
    MILLRACE_TRY(auto file, fs.open_uncached(path));
    MILLRACE_TRY(const uint64_t bytes, file->size());
    auto state = std::make_unique<State>(std::move(file), bytes, number);
    return std::unique_ptr<SegmentScrub>{new SegmentScrub{std::move(state)}};
}

Result<size_t> SegmentScrub::step() { return state_->step(); }

}  // namespace millrace::storage::qmdb
