// SPDX-License-Identifier: Apache-2.0
// Owns the entry log: append-only segments of frames, one durable frame for each block, and random
// reads of what they hold.
#pragma once

#include <bit>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "storage/io/file_system.hpp"
#include "storage/io/log_writer.hpp"
#include "storage/qmdb/frame.hpp"
#include "storage/qmdb/log_cut.hpp"
#include "storage/qmdb/rewritten_segment.hpp"
#include "storage/qmdb/segment_file.hpp"

namespace millrace::storage::qmdb {

/// Deliberate faults that the tests must catch; never set outside tests.
enum class EntryLogMutant : uint8_t { none, no_flush, no_checksum, no_cut_record };

struct EntryLogOptions {
    /// Size of every segment file: a multiple of 4096 from 16 KiB to 16 GiB. Fixed when the log is
    /// created.
    uint64_t segment_bytes = uint64_t{256} << 20;
    /// Says what the log holds; a log of another identity is refused.
    Hash256 identity;
    /// Random identity of a log that has to be created; 0 draws one.
    uint64_t log_id = 0;
    /// Whether segments are mapped for reading where that is possible.
    bool map = true;
    /// Called after each segment that was read, with the bytes done and all; may be empty.
    std::function<void(uint64_t done, uint64_t total)> progress;
    EntryLogMutant mutant = EntryLogMutant::none;
};

/// What opening found.
struct EntryLogRecovery {
    bool created = false;
    uint64_t first_sequence = 1;  ///< of the oldest frame still there
    uint64_t last_sequence = 0;   ///< 0 for an empty log
    uint64_t last_height = 0;
    Hash256 last_root;
    uint64_t generation = 1;
    uint64_t segment_count = 0;
    /// Bytes after the last whole frame that were cleared, with the place; 0 and empty when the end
    /// was clean. These were never acknowledged. Say so in the log.
    uint64_t torn_bytes = 0;
    std::string torn_place;
};

/// What the header of a frame says about its block.
struct FrameOf {
    uint64_t height = 0;  ///< above that of the frame before
    Hash256 root;
    uint64_t oldest_sequence = 1;  ///< see FrameHeader
};

/// A place in the log: segment number times segment size plus offset. Never changes.
using LogPosition = uint64_t;

/// Reads of what the log holds. A copy of that of a log keeps the files that were there: it may be
/// used on any thread, and what was committed by then stays readable until the log is cut.
class LogReader {
public:
    /// Reads `bytes` at a place of an appended frame, fewer at the end of the segment. The view
    /// points into a mapping that lives as long as this object has the segment, or else to
    /// `scratch`, which has room for them. `ErrorCode::not_found` when the place is pruned or was
    /// never written, `ErrorCode::corrupt` in a segment that was rewritten.
    Result<ByteView> read(LogPosition at, size_t bytes, std::span<uint8_t> scratch) const;
    /// The whole frame whose payload is at a place that append() gave, verified anew. Its view
    /// points into a mapping or into `scratch`. Errors as read().
    Result<Frame> read_frame_at(LogPosition payload_at, Bytes& scratch) const;
    /// The segment of a place; null when it is not there. Lives as long as this object has it.
    const SegmentFile* segment_at(LogPosition at) const noexcept {
        const uint64_t slot = split(at).number - first_segment_;
        return slot < segments_.size() ? segments_[slot].get() : nullptr;
    }
    uint64_t first_segment() const noexcept { return first_segment_; }
    uint64_t segment_count() const noexcept { return segments_.size(); }
    /// Hint that read() of this place comes soon.
    void prefetch(LogPosition at) const noexcept;
    /// Whether views of read() are always those of mappings.
    bool mapped() const noexcept { return mapped_; }
    /// The error of a disk that could not read something of a mapping, if there was one: what was
    /// read meanwhile and fails its checks is not damaged, but was not read at all.
    Result<void> mappings() const;
    /// Where the oldest segment begins.
    LogPosition begin() const noexcept { return first_segment_ * segment_bytes_; }
    uint64_t segment_bytes() const noexcept { return segment_bytes_; }

protected:
    explicit LogReader(uint64_t segment_bytes) noexcept
        : segment_bytes_(segment_bytes),
          segment_shift_(std::has_single_bit(segment_bytes)
                             ? static_cast<unsigned>(std::countr_zero(segment_bytes))
                             : 0) {}
    struct Place {
        uint64_t number = 0;  ///< of the segment
        uint64_t offset = 0;
    };
    Place split(LogPosition at) const noexcept {
        if (segment_shift_ != 0) { return {at >> segment_shift_, at & (segment_bytes_ - 1)}; }
        return {at / segment_bytes_, at % segment_bytes_};
    }

    uint64_t segment_bytes_;
    unsigned segment_shift_;  ///< 0 unless segment_bytes_ is a power of two
    std::deque<std::shared_ptr<const SegmentFile>> segments_;  ///< the last one is being written
    uint64_t first_segment_ = 0;                               ///< number of segments_.front()
    bool mapped_ = true;
    uint64_t log_id_ = 0;
};

/// One owning thread appends and prunes; other threads read with copies of its LogReader.
///
/// A failed write or sync is final: append() returns `ErrorCode::io`, and so does every later call.
/// A full disk is not: append() returns `ErrorCode::limit` and can be repeated with the same frame
/// once there is room. For another frame what the disk may have taken of it is cut away first.
class EntryLog : public LogReader {
public:
    /// What the header of the oldest segment of a log says.
    struct Description {
        Hash256 identity;
        uint64_t segment_bytes = 0;
    };
    /// Reads it without opening the log; nothing where there is no log. `ErrorCode::corrupt` when
    /// the header is damaged.
    static Result<std::optional<Description>> describe_directory(FileSystem& fs,
                                                                 const std::string& directory);

    /// Called for each frame in order while the log is opened. The payload lives until it returns.
    using Visitor =
        std::function<Result<void>(const FrameHeader&, LogPosition payload_at, ByteView payload)>;

    /// A segment that was rewritten, with what is left of its frames and the places that their
    /// payloads had.
    struct RewrittenVisit {
        const SegmentFile& file;
        const RewrittenSegment& segment;
        std::span<const RewrittenFrame> frames;
        std::span<const LogPosition> payloads_at;
    };
    using RewrittenVisitor = std::function<Result<void>(const RewrittenVisit&)>;

    /// Opens or creates the log in `directory` and gives every frame to `visit`, or the whole
    /// segment to `visit_rewritten`, which may be empty; the first error of a visitor is passed on.
    /// Every frame is verified: checksums, sequence and chain. An invalid end was being written
    /// when the machine stopped if some sector of it is missing: it is cleared, durably. All other
    /// damage is a loss of acknowledged data: `ErrorCode::corrupt`, nothing is changed, and the
    /// message names the file, the offset and the remedy. Behind the last frame of a segment that
    /// another one follows only one page is looked at: no frame is there, or the next segment would
    /// not go on from this one.
    static Result<std::unique_ptr<EntryLog>> open(FileSystem& fs, const std::string& directory,
                                                  const EntryLogOptions& options,
                                                  std::unique_ptr<LogWriter> writer,
                                                  const Visitor& visit,
                                                  const RewrittenVisitor& visit_rewritten = {});

    const EntryLogRecovery& recovery() const noexcept { return recovery_; }
    const LogWriter& writer() const noexcept { return *writer_; }
    uint64_t last_sequence() const noexcept { return last_sequence_; }

    /// Longest payload of a frame.
    uint64_t payload_bytes_max() const noexcept {
        return payload_bytes_max_in(options_.segment_bytes);
    }
    /// Makes a frame durable and returns the place of its payload. `frame` starts with room for the
    /// header, which is written here, then has the payload, then room up to
    /// frame_bytes(payload_bytes). Unless end_is_clean() it is the frame that failed.
    Result<LogPosition> append(const FrameOf& block, std::span<uint8_t> frame,
                               uint64_t payload_bytes);
    /// Whether nothing lies behind the last frame. After append() met a full disk in the middle of
    /// a write some part of its frame may: until append() is repeated with success, or cut() clears
    /// it.
    bool end_is_clean() const noexcept { return !unfinished_; }
    /// Takes back, durably, all frames behind the one whose payload is at `last`; all frames at all
    /// when that is nothing, which only a log that was never pruned allows. They are gone as soon
    /// as a record of this is durable: a crash at any place before leaves all of them, after it
    /// none. A full disk (`ErrorCode::limit`) is not final: cut() is to be called again, and until
    /// then append() must not be.
    Result<void> cut(std::optional<LogPosition> last);

    /// File and offset of a place, for people.
    std::string describe(LogPosition at) const;
    /// Removes the segments that lie wholly below `at`, but never the last one; returns how many.
    Result<size_t> prune_below(LogPosition at);
    /// From now on reads the segment with this number from `file`, which replaced it; returns the
    /// file that was read so far. Copies of the reader keep that one.
    std::shared_ptr<const SegmentFile> adopt(uint64_t number,
                                             std::shared_ptr<const SegmentFile> file);
    /// Bytes of the files, of those that were rewritten and how many these are.
    struct FileBytes {
        uint64_t all = 0;
        uint64_t rewritten = 0;
        uint64_t rewritten_count = 0;
    };
    FileBytes file_bytes() const noexcept;

private:
    EntryLog(FileSystem& fs, std::string directory, const EntryLogOptions& options,
             std::unique_ptr<LogWriter> writer)
        : LogReader(options.segment_bytes),
          fs_(fs),
          directory_(std::move(directory)),
          options_(options),
          writer_(std::move(writer)) {}

    struct Walk {
        uint64_t end = frame_alignment_bytes;  ///< offset after the last good frame
        bool invalid = false;                  ///< neither a frame nor zeros follow
    };

    Result<void> start(const Visitor& visit, const RewrittenVisitor& visit_rewritten);
    Result<void> check_options() const;
    Result<std::vector<uint64_t>> segment_numbers() const;
    Result<void> check_owner(const CutRecord& cut, uint64_t first_number) const;
    Result<void> finish_cut();
    Result<void> rotate();
    void add(SegmentFile segment);
    Result<void> open_segment(uint64_t number, bool first, bool last, const Visitor& visit,
                              const RewrittenVisitor& visit_rewritten);
    Result<void> open_rewritten(uint64_t number, std::unique_ptr<File> file, uint64_t bytes,
                                ByteView head, bool first, bool last,
                                const RewrittenVisitor& visit_rewritten);
    Result<bool> follows(const FrameHeader& header, uint64_t number, uint64_t offset) const;
    Result<void> verify_header(uint64_t number, ByteView data, bool first);
    Result<Walk> walk(uint64_t number, ByteView data, bool last, const Visitor& visit);
    Result<void> judge_damage(ByteView data, uint64_t at, const std::string& path) const;
    Result<void> finish_last(const SegmentFile& segment, ByteView data, const Walk& walked);
    void advance(const FrameHeader& header) noexcept;
    std::string path_of(std::string_view name) const { return join_path(directory_, name); }
    std::unexpected<Error> stop(Error error);

    FileSystem& fs_;
    const std::string directory_;
    const EntryLogOptions options_;
    const std::unique_ptr<LogWriter> writer_;
    EntryLogRecovery recovery_;
    uint64_t offset_ = 0;  ///< in the last segment, where the next frame goes
    uint64_t generation_ = 1;
    uint64_t last_sequence_ = 0;
    uint64_t last_height_ = 0;
    uint64_t last_generation_ = 0;
    Hash256 last_hash_;
    std::optional<CutRecord> cut_;  ///< the last one
    /// frame_hash of a frame of which a full disk may have taken a part, behind offset_.
    std::optional<Hash256> unfinished_;
    std::optional<Error> failed_;
};

}  // namespace millrace::storage::qmdb
