// SPDX-License-Identifier: Apache-2.0
// Owns reading a whole segment of either form chunk by chunk.
#pragma once

#include <array>
#include <memory>
#include <string>
#include <vector>

#include "storage/qmdb/rewritten_segment.hpp"

namespace millrace::storage::qmdb::detail {

/// A segment and what its chunks hold. One thread.
class SegmentSource {
public:
    /// Checks all checksums. `ErrorCode::corrupt` and `io` name the file.
    static Result<SegmentSource> open(FileSystem& fs, const std::string& path, uint64_t number,
                                      bool map);

    const SegmentHeader& header() const noexcept { return header_; }
    const std::vector<RewrittenFrame>& frames() const noexcept { return frames_; }
    uint64_t bytes() const noexcept { return file_->bytes(); }
    uint64_t first_serial(unsigned shard) const noexcept { return first_serial_[shard]; }
    uint64_t end_serial(unsigned shard) const noexcept { return end_serial_[shard]; }
    /// Heights at and above this one are whole; 0 for a segment with frames.
    uint64_t horizon_height() const noexcept;
    /// The next chunk of a shard; begins with that of the shard's first entry after begin().
    void begin(unsigned shard) noexcept;
    bool at_end() const noexcept { return next_ == end_serial_[shard_]; }
    /// Views live until the next call.
    Result<ChunkBlock> next();
    /// The disk's error, if it could not read something.
    Result<void> status() const;

private:
    Result<void> read_frames(uint64_t number);
    Result<ByteView> next_record();

    std::shared_ptr<SegmentFile> file_;
    std::shared_ptr<Bytes> memory_;  ///< of a segment with frames that is not mapped
    ByteView data_;                  ///< all of such a segment
    SegmentHeader header_;
    std::vector<RewrittenFrame> frames_;
    std::vector<uint64_t> payloads_at_;  ///< of a segment with frames
    std::array<uint64_t, shard_count> first_serial_{};
    std::array<uint64_t, shard_count> end_serial_{};
    std::shared_ptr<BlockBuffer> buffer_ = std::make_shared<BlockBuffer>();

    unsigned shard_ = 0;
    uint64_t next_ = 0;               ///< serial number
    size_t frame_ = 0;                ///< the one that has it
    uint32_t in_frame_ = 0;           ///< its place in that
    size_t section_of_ = ~size_t{0};  ///< the frame of section_
    Section section_;
    uint64_t root_in_frame_ = 0;
};

}  // namespace millrace::storage::qmdb::detail
