// SPDX-License-Identifier: Apache-2.0
// Owns opening, verifying, appending to and pruning the write-ahead log.
#include "storage/wal/wal.hpp"

#include <algorithm>
#include <atomic>
#include <cstring>
#include <mutex>
#include <optional>
#include <random>

#include "storage/wal/frame.hpp"

namespace millrace::storage {
namespace {

constexpr std::string_view segment_prefix = "segment-";
constexpr std::string_view spare_name = "spare";
constexpr size_t segment_digits = 12;
constexpr uint64_t sector_bytes = 512;
constexpr uint64_t segment_file_bytes_max = uint64_t{4} << 30;

std::string segment_name(uint64_t index) {
    std::string digits = std::to_string(index);
    digits.insert(0, segment_digits - std::min(segment_digits, digits.size()), '0');
    return std::string{segment_prefix} + digits;
}

std::optional<uint64_t> index_of_name(std::string_view name) {
    if (!name.starts_with(segment_prefix) ||
        name.size() != segment_prefix.size() + segment_digits) {
        return std::nullopt;
    }
    uint64_t index = 0;
    for (const char c : name.substr(segment_prefix.size())) {
        if (c < '0' || c > '9') { return std::nullopt; }
        index = index * 10 + static_cast<uint64_t>(c - '0');
    }
    return index;
}

bool all_zero(ByteView data) noexcept {
    return std::all_of(data.begin(), data.end(), [](uint8_t b) { return b == 0; });
}

/// A bytewise scan of 64 MiB would be felt at start: compares the range with itself, shifted.
bool all_zero_quick(ByteView data) noexcept {
    if (data.size() < 64) { return all_zero(data); }
    return all_zero(data.first(32)) &&
           std::memcmp(data.data(), data.data() + 32, data.size() - 32) == 0;
}

struct Segment {
    uint64_t index = 0;
    uint64_t first_sequence = 0;
    std::string path;
};

/// Where the chain of frames stands.
struct Cursor {
    uint64_t sequence = 0;  ///< of the last frame; first - 1 when there is none
    uint64_t epoch = 0;
    uint64_t generation = 0;
    Hash256 hash;           ///< of the last frame; the next one's parent
    bool group_end = true;  ///< the last frame closed its group
};

bool continues(const Cursor& at, const FrameHeader& h, uint64_t log_id) noexcept {
    return h.log_id == log_id && h.sequence == at.sequence + 1 && h.durable_sequence < h.sequence &&
           h.epoch >= at.epoch && h.generation >= at.generation &&
           std::memcmp(h.parent, at.hash.data(), sizeof h.parent) == 0;
}

void advance(Cursor& at, const FrameHeader& h) noexcept {
    at = {h.sequence, h.epoch, h.generation, frame_hash(h), (h.flags & frame_group_end) != 0};
}

/// Result of walking the frames of one segment.
struct Walk {
    uint64_t end = 0;  ///< offset after the last good frame
    std::optional<uint64_t>
        invalid;  ///< offset of the first bytes that are neither frame nor zeros
};

class WalImpl final : public Wal {
public:
    WalImpl(FileSystem& fs, std::string directory, const WalOptions& options,
            std::unique_ptr<LogWriter> writer)
        : fs_(fs),
          directory_(std::move(directory)),
          options_(options),
          writer_(std::move(writer)) {}

    Result<void> start();

    const WalRecovery& recovery() const noexcept override { return recovery_; }
    const LogWriter& writer() const noexcept override { return *writer_; }
    Result<uint64_t> append(uint64_t epoch, const Record& record) override;
    Result<uint64_t> append(uint64_t epoch, RecordKind kind, ByteView payload) override;
    Result<uint64_t> flush(FlushMode mode) override;
    uint64_t last_sequence() const noexcept override { return at_.sequence; }
    uint64_t durable_sequence() const noexcept override {
        return durable_.load(std::memory_order_acquire);
    }
    uint64_t first_sequence() const noexcept override {
        return first_.load(std::memory_order_acquire);
    }
    Result<void>
    replay(uint64_t from_sequence,
           const std::function<Result<void>(const RecordInfo&, ByteView)>& visit) const override;
    Result<size_t> prune_below(uint64_t sequence) override;
    Result<void> prepare_segment() override;

private:
    bool verify() const noexcept { return options_.mutant != WalMutant::no_checksum; }
    std::string path_of(std::string_view name) const { return join_path(directory_, name); }

    Result<void> check_options() const;
    Result<void> find_segments();
    Result<void> create_log();
    Result<void> verify_segments();
    Result<SegmentHeader> verify_header(const Segment& segment, ByteView data, bool first);
    Walk walk(ByteView data);
    Result<void> judge_damage(const Segment& segment, ByteView data, uint64_t at) const;
    Result<void> finish_last_segment(const Segment& segment, ByteView data, const Walk& walked);
    std::unexpected<Error> damaged(const std::string& path, uint64_t offset,
                                   const std::string& what) const;

    Result<void> make_spare(bool zero_fill);
    Result<void> rotate();
    Result<void> flush_pending(FlushMode mode);
    std::unexpected<Error> stop(Error error);
    uint8_t* reserve(uint64_t bytes);
    std::span<uint8_t> group() noexcept;
    void seal_group();

    FileSystem& fs_;
    const std::string directory_;
    const WalOptions options_;
    const std::unique_ptr<LogWriter> writer_;
    WalRecovery recovery_;

    // Owned by the writer thread.
    Cursor at_;          ///< last frame appended
    Cursor written_at_;  ///< last frame written
    uint64_t log_id_ = 0;
    uint64_t generation_ = 1;
    std::unique_ptr<File> file_;  ///< the segment being written
    uint64_t offset_ = 0;         ///< where the next group goes
    uint64_t capacity_ = 0;
    uint64_t pending_bytes_ = 0;
    uint64_t last_frame_ = 0;  ///< its offset in the pending group
    bool spilled_ = false;     ///< the group outgrew the writer's buffer and lies in spill_
    Bytes spill_;
    Bytes scratch_;
    std::optional<Error> failed_;

    std::atomic<uint64_t> written_{0};  ///< release after the write, so that replay() can read it
    std::atomic<uint64_t> durable_{0};  ///< release after the flush
    std::atomic<uint64_t> first_{1};    ///< release after the list changed

    mutable std::mutex segments_mutex_;  ///< guards segments_
    std::vector<Segment> segments_;
    std::mutex spare_mutex_;  ///< guards spare_ and the file of that name
    std::unique_ptr<File> spare_;
};

Result<void> WalImpl::start() {
    MILLRACE_CHECK(check_options());
    MILLRACE_CHECK(fs_.create_directory(directory_));
    MILLRACE_CHECK(find_segments());
    if (segments_.empty()) {
        MILLRACE_CHECK(create_log());
    } else {
        MILLRACE_CHECK(verify_segments());
    }
    recovery_.first_sequence = segments_.front().first_sequence;
    recovery_.last_sequence = at_.sequence;
    recovery_.last_epoch = at_.epoch;
    recovery_.generation = generation_;
    recovery_.segment_count = segments_.size();
    first_.store(recovery_.first_sequence, std::memory_order_release);
    written_.store(at_.sequence, std::memory_order_release);
    durable_.store(at_.sequence, std::memory_order_release);
    return {};
}

Result<void> WalImpl::check_options() const {
    const uint64_t n = options_.segment_bytes;
    if (n % group_alignment_bytes != 0 || n < 4 * group_alignment_bytes ||
        n > segment_file_bytes_max) {
        return fail(ErrorCode::config, "log segment size " + std::to_string(n) +
                                           " is not a multiple of 4096 from 16384 to 4 GiB");
    }
    if (options_.record_bytes_max > n - 3 * group_alignment_bytes) {
        return fail(ErrorCode::config, "a log record of " +
                                           std::to_string(options_.record_bytes_max) +
                                           " bytes does not fit a segment of " + std::to_string(n) +
                                           "; raise the segment size");
    }
    return {};
}

Result<void> WalImpl::find_segments() {
    MILLRACE_TRY(const auto names, fs_.list(directory_));
    for (const std::string& name : names) {
        if (const auto index = index_of_name(name)) {
            segments_.push_back({*index, 0, path_of(name)});
        }
    }
    return {};
}

Result<void> WalImpl::create_log() {
    if (options_.checkpoint_sequence != 0) {
        return fail(ErrorCode::corrupt,
                    "there is no log in " + directory_ + ", but a checkpoint of record " +
                        std::to_string(options_.checkpoint_sequence) +
                        "; restore the directory from a backup, or start with an empty datadir");
    }
    log_id_ = options_.log_id;
    while (log_id_ == 0) {
        std::random_device source;
        log_id_ = uint64_t{source()} << 32 | source();
    }
    recovery_.created = true;
    return rotate();
}

/// A segment becomes visible under its name only after its header is durable, so a segment without
/// a valid header is never the trace of a crash.
Result<void> WalImpl::rotate() {
    const std::scoped_lock lock{spare_mutex_};
    if (spare_ == nullptr) { MILLRACE_CHECK(make_spare(false)); }
    SegmentHeader h;
    h.log_id = log_id_;
    h.chain_id = options_.chain_id;
    {
        const std::scoped_lock list_lock{segments_mutex_};
        h.segment_index = segments_.empty() ? 1 : segments_.back().index + 1;
    }
    h.first_sequence = written_at_.sequence + 1;
    h.generation = generation_;
    h.epoch = written_at_.epoch;
    std::memcpy(h.parent, written_at_.hash.data(), sizeof h.parent);
    Bytes block(group_alignment_bytes);
    write_segment_header(h, block.data());
    Segment segment{h.segment_index, h.first_sequence, path_of(segment_name(h.segment_index))};
    MILLRACE_CHECK(spare_->write_at(0, block));
    MILLRACE_CHECK(spare_->sync_data());
    MILLRACE_TRY(const uint64_t size, spare_->size());
    MILLRACE_CHECK(fs_.rename(path_of(spare_name), segment.path));
    MILLRACE_CHECK(fs_.sync_directory(directory_));
    file_ = std::move(spare_);
    offset_ = group_alignment_bytes;
    capacity_ = size;
    const std::scoped_lock list_lock{segments_mutex_};
    segments_.push_back(std::move(segment));
    return {};
}

/// Called with spare_mutex_ held.
Result<void> WalImpl::make_spare(bool zero_fill) {
    constexpr uint64_t piece_bytes = uint64_t{1} << 20;
    MILLRACE_TRY(auto file, fs_.open(path_of(spare_name), OpenMode::create_or_wipe));
    MILLRACE_CHECK(file->preallocate(options_.segment_bytes));
    if (zero_fill) {
        const Bytes zeros(piece_bytes);
        for (uint64_t at = 0; at < options_.segment_bytes; at += piece_bytes) {
            const uint64_t n = std::min(piece_bytes, options_.segment_bytes - at);
            MILLRACE_CHECK(file->write_at(at, ByteView{zeros}.first(n)));
            // In small steps, so that a flush of the log does not queue behind a long one.
            if (at / piece_bytes % 4 == 3) { MILLRACE_CHECK(file->sync_data()); }
        }
    }
    MILLRACE_CHECK(file->sync_data());
    spare_ = std::move(file);
    return {};
}

Result<void> WalImpl::prepare_segment() {
    const std::scoped_lock lock{spare_mutex_};
    if (spare_ != nullptr) { return {}; }
    return make_spare(true);
}

std::unexpected<Error> WalImpl::damaged(const std::string& path, uint64_t offset,
                                        const std::string& what) const {
    return fail(ErrorCode::corrupt,
                "the log is damaged in " + path + " at offset " + std::to_string(offset) + ": " +
                    what +
                    ". Acknowledged data is behind this place, so nothing was changed. Check the "
                    "disk, then restore the data directory from a backup or a replica");
}

Result<void> WalImpl::verify_segments() {
    std::sort(segments_.begin(), segments_.end(),
              [](const Segment& a, const Segment& b) { return a.index < b.index; });
    Bytes data;
    for (size_t i = 0; i < segments_.size(); ++i) {
        Segment& segment = segments_[i];
        const bool last = i + 1 == segments_.size();
        if (i != 0 && segment.index != segments_[i - 1].index + 1) {
            return damaged(segment.path, 0,
                           "the segment before it, number " + std::to_string(segment.index - 1) +
                               ", is missing");
        }
        MILLRACE_TRY(data, read_file(fs_, segment.path, segment_file_bytes_max));
        MILLRACE_TRY(const SegmentHeader header, verify_header(segment, data, i == 0));
        segment.first_sequence = header.first_sequence;
        const Walk walked = walk(data);
        if (options_.mutant == WalMutant::truncate_in_middle && walked.invalid && !last) {
            for (size_t k = i + 1; k < segments_.size(); ++k) {
                MILLRACE_CHECK(fs_.remove(segments_[k].path));
            }
            segments_.resize(i + 1);
            return finish_last_segment(segments_.back(), data, walked);
        }
        if (walked.invalid) {
            if (!last) {
                return damaged(segment.path, *walked.invalid,
                               "record " + std::to_string(at_.sequence + 1) +
                                   " cannot be read, and a later segment follows");
            }
            MILLRACE_CHECK(judge_damage(segment, data, *walked.invalid));
        }
        if (last) { return finish_last_segment(segment, data, walked); }
    }
    return {};
}

Result<SegmentHeader> WalImpl::verify_header(const Segment& segment, ByteView data, bool first) {
    const auto header = read_segment_header(data);
    if (!header || data.size() < group_alignment_bytes || header->segment_index != segment.index) {
        return damaged(segment.path, 0, "the header of the segment is not valid");
    }
    if (header->chain_id != options_.chain_id) {
        return fail(ErrorCode::config, "the log " + segment.path + " belongs to chain " +
                                           std::to_string(header->chain_id) + ", not to chain " +
                                           std::to_string(options_.chain_id) +
                                           "; choose another --datadir");
    }
    if (first) {
        log_id_ = header->log_id;
        at_ = {header->first_sequence - 1, header->epoch, header->generation,
               Hash256::from({header->parent, 32}), true};
        if (header->first_sequence > options_.checkpoint_sequence + 1) {
            return damaged(segment.path, 0,
                           "the log begins with record " + std::to_string(header->first_sequence) +
                               ", but records from " +
                               std::to_string(options_.checkpoint_sequence + 1) + " on are needed");
        }
        return *header;
    }
    if (header->log_id != log_id_) {
        return damaged(segment.path, 0, "the segment is part of another log");
    }
    if (header->first_sequence != at_.sequence + 1 || header->epoch != at_.epoch ||
        std::memcmp(header->parent, at_.hash.data(), sizeof header->parent) != 0) {
        return damaged(segment.path, 0,
                       "it begins with record " + std::to_string(header->first_sequence) +
                           ", but the readable log before it ends with record " +
                           std::to_string(at_.sequence));
    }
    at_.generation = std::max(at_.generation, header->generation);
    return *header;
}

Walk WalImpl::walk(ByteView data) {
    uint64_t pos = group_alignment_bytes;
    Walk result{pos, std::nullopt};
    const auto accept = [&](uint64_t at, bool new_generation) {
        const auto frame = read_frame(data.subspan(at), options_.record_bytes_max, verify());
        if (!frame || !continues(at_, frame->header, log_id_) ||
            (new_generation && frame->header.generation == at_.generation)) {
            return false;
        }
        advance(at_, frame->header);
        pos = at + frame_bytes(frame->header.payload_bytes);
        result.end = pos;
        return true;
    };
    while (pos < data.size()) {
        const uint64_t boundary =
            std::min<uint64_t>(align_up(pos, group_alignment_bytes), data.size());
        const bool padded = boundary != pos && all_zero(data.subspan(pos, boundary - pos));
        const bool group_starts = pos == boundary || at_.group_end;
        if (group_starts && padded) {
            pos = boundary;
            continue;
        }
        if ((pos == boundary || !at_.group_end) && accept(pos, false)) { continue; }
        if (padded && accept(boundary, true)) { continue; }
        if (!all_zero_quick(data.subspan(pos))) { result.invalid = pos; }
        break;
    }
    return result;
}

/// Decides between an end that was being written when the machine stopped and damage to what had
/// been acknowledged. A frame says what was durable when it was appended; frames that do not know
/// the record at `at` as durable were in the same group with it, and the disk was free to write
/// them first. Then some whole sector of the record must be missing, because its sectors are
/// written for the first time and read as zeros before.
Result<void> WalImpl::judge_damage(const Segment& segment, ByteView data, uint64_t at) const {
    if (options_.mutant == WalMutant::truncate_in_middle) { return {}; }
    const uint64_t expected = at_.sequence + 1;
    const uint64_t begin = align_up(at, frame_alignment_bytes);
    bool seen_later = false;
    for (uint64_t q = begin; q + sizeof(FrameHeader) <= data.size(); q += frame_alignment_bytes) {
        uint32_t magic;
        std::memcpy(&magic, data.data() + q, sizeof magic);
        if (magic != frame_magic) { continue; }
        const auto frame = read_frame(data.subspan(q), options_.record_bytes_max);
        if (!frame || frame->header.log_id != log_id_) { continue; }
        const FrameHeader& h = frame->header;
        if (h.sequence <= expected || h.durable_sequence >= expected) {
            return damaged(segment.path, at,
                           "record " + std::to_string(expected) + " cannot be read, but record " +
                               std::to_string(h.sequence) + " at offset " + std::to_string(q) +
                               " is whole");
        }
        if (!seen_later) {
            seen_later = true;
            bool missing = false;
            for (uint64_t s = at / sector_bytes * sector_bytes; s + sector_bytes <= q;
                 s += sector_bytes) {
                const uint64_t from = std::max(s, at);
                missing = missing || all_zero(data.subspan(from, s + sector_bytes - from));
            }
            if (!missing) {
                return damaged(
                    segment.path, at,
                    "record " + std::to_string(expected) +
                        " is completely written and yet fails its checksum, and record " +
                        std::to_string(h.sequence) + " after it is whole");
            }
        }
    }
    return {};
}

Result<void> WalImpl::finish_last_segment(const Segment& segment, ByteView data,
                                          const Walk& walked) {
    if (at_.sequence < options_.checkpoint_sequence) {
        return damaged(segment.path, walked.end,
                       "the log ends with record " + std::to_string(at_.sequence) +
                           ", before the checkpoint of record " +
                           std::to_string(options_.checkpoint_sequence));
    }
    MILLRACE_TRY(file_, fs_.open(segment.path, OpenMode::read_write));
    capacity_ = data.size();
    if (capacity_ < options_.segment_bytes) {
        capacity_ = options_.segment_bytes;
        MILLRACE_CHECK(file_->preallocate(capacity_));
    }
    if (walked.invalid) {
        uint64_t dirty_end = data.size();
        while (dirty_end > walked.end && data[dirty_end - 1] == 0) { --dirty_end; }
        recovery_.torn_bytes = dirty_end - walked.end;
        recovery_.torn_place = segment.path + " at offset " + std::to_string(*walked.invalid);
        MILLRACE_CHECK(file_->write_at(walked.end, Bytes(dirty_end - walked.end)));
    }
    // Also without a torn end: what was read may so far only be in the page cache.
    MILLRACE_CHECK(file_->sync_data());
    offset_ = align_up(walked.end, group_alignment_bytes);
    generation_ = at_.generation + 1;
    written_at_ = at_;
    return {};
}

/// Room for `bytes` more at the end of the group and for its padding.
uint8_t* WalImpl::reserve(uint64_t bytes) {
    const auto buffer = writer_->buffer();
    const uint64_t padded = align_up(pending_bytes_ + bytes, group_alignment_bytes);
    if (!spilled_ && padded > buffer.size()) {
        spilled_ = true;
        spill_.assign(buffer.begin(), buffer.begin() + static_cast<ptrdiff_t>(pending_bytes_));
    }
    if (spilled_) { spill_.resize(padded); }
    return group().data() + pending_bytes_;
}

std::span<uint8_t> WalImpl::group() noexcept {
    return spilled_ ? std::span<uint8_t>{spill_} : writer_->buffer();
}

Result<uint64_t> WalImpl::append(uint64_t epoch, const Record& record) {
    scratch_.clear();
    encode_record(record, scratch_);
    return append(epoch, kind_of(record), scratch_);
}

Result<uint64_t> WalImpl::append(uint64_t epoch, RecordKind kind, ByteView payload) {
    if (failed_) { return std::unexpected(*failed_); }
    if (epoch < at_.epoch) {
        return fail(ErrorCode::conflict, "fencing epoch " + std::to_string(epoch) +
                                             " is over; the log is at epoch " +
                                             std::to_string(at_.epoch));
    }
    if (payload.size() > options_.record_bytes_max) {
        return fail(ErrorCode::limit, "a log record of " + std::to_string(payload.size()) +
                                          " bytes exceeds the limit of " +
                                          std::to_string(options_.record_bytes_max));
    }
    const uint64_t bytes = frame_bytes(payload.size());
    if (align_up(pending_bytes_ + bytes, group_alignment_bytes) >
        options_.segment_bytes - group_alignment_bytes) {
        return fail(ErrorCode::limit, "the log has " + std::to_string(pending_bytes_) +
                                          " bytes waiting for a flush; flush first");
    }
    FrameHeader h;
    h.kind = static_cast<uint8_t>(kind);
    h.log_id = log_id_;
    h.generation = generation_;
    h.sequence = at_.sequence + 1;
    h.durable_sequence = durable_.load(std::memory_order_relaxed);
    h.epoch = epoch;
    std::memcpy(h.parent, at_.hash.data(), sizeof h.parent);
    uint8_t* out = reserve(bytes);
    write_frame(h, payload, out);
    last_frame_ = pending_bytes_;
    pending_bytes_ += bytes;
    std::memcpy(&h, out, sizeof h);
    advance(at_, h);
    return at_.sequence;
}

std::unexpected<Error> WalImpl::stop(Error error) {
    if (error.code == ErrorCode::limit) { return std::unexpected(std::move(error)); }
    error.code = ErrorCode::io;
    error.message = "the log can no longer be written: " + error.message +
                    ". Nothing after record " + std::to_string(durable_sequence()) +
                    " was acknowledged; the node has to stop. Check the disk, then start again";
    failed_ = error;
    return std::unexpected(std::move(error));
}

Result<uint64_t> WalImpl::flush(FlushMode mode) {
    if (failed_) { return std::unexpected(*failed_); }
    if (auto r = flush_pending(mode); !r) { return stop(std::move(r).error()); }
    return mode == FlushMode::durable ? durable_sequence() : written_at_.sequence;
}

/// Closes and pads the group. If its writing has to be repeated, later frames start a new group
/// behind it.
void WalImpl::seal_group() {
    const uint64_t padded = align_up(pending_bytes_, group_alignment_bytes);
    advance(at_, close_group(group().data() + last_frame_));
    std::memset(group().data() + pending_bytes_, 0, padded - pending_bytes_);
    pending_bytes_ = padded;
}

Result<void> WalImpl::flush_pending(FlushMode mode) {
    const bool sync = mode == FlushMode::durable && options_.mutant != WalMutant::no_flush;
    if (pending_bytes_ == 0) {
        if (mode == FlushMode::durable && durable_sequence() < written_at_.sequence) {
            if (sync) { MILLRACE_CHECK(file_->sync_data()); }
            durable_.store(written_at_.sequence, std::memory_order_release);
        }
        return {};
    }
    seal_group();
    if (offset_ + pending_bytes_ > capacity_) {
        // A segment vouches for all before it.
        if (durable_sequence() < written_at_.sequence) {
            MILLRACE_CHECK(file_->sync_data());
            durable_.store(written_at_.sequence, std::memory_order_release);
        }
        MILLRACE_CHECK(rotate());
    }
    MILLRACE_CHECK(writer_->write(*file_, offset_, group().first(pending_bytes_), sync));
    // The writer vouches for its own data only; groups written without sync need one as well.
    if (sync && durable_sequence() < written_at_.sequence) { MILLRACE_CHECK(file_->sync_data()); }
    offset_ += pending_bytes_;
    pending_bytes_ = 0;
    spilled_ = false;
    written_at_ = at_;
    written_.store(at_.sequence, std::memory_order_release);
    if (mode == FlushMode::durable) { durable_.store(at_.sequence, std::memory_order_release); }
    return {};
}

Result<void>
WalImpl::replay(uint64_t from_sequence,
                const std::function<Result<void>(const RecordInfo&, ByteView)>& visit) const {
    // In this order: a segment is listed before its first record counts as written, so the list
    // holds every record up to `through` even when the writer goes on in a new segment meanwhile.
    const uint64_t through = written_.load(std::memory_order_acquire);
    std::vector<Segment> segments;
    {
        const std::scoped_lock lock{segments_mutex_};
        segments = segments_;
    }
    from_sequence = std::max<uint64_t>(from_sequence, 1);
    if (from_sequence > through) { return {}; }
    if (from_sequence < segments.front().first_sequence) {
        return fail(ErrorCode::not_found, "the log begins with record " +
                                              std::to_string(segments.front().first_sequence) +
                                              ", record " + std::to_string(from_sequence) +
                                              " is pruned");
    }
    uint64_t next = from_sequence;
    for (size_t i = 0; i < segments.size() && next <= through; ++i) {
        if (i + 1 < segments.size() && segments[i + 1].first_sequence <= next) { continue; }
        MILLRACE_TRY(const Bytes data, read_file(fs_, segments[i].path, segment_file_bytes_max));
        uint64_t pos = group_alignment_bytes;
        uint64_t sequence = segments[i].first_sequence;
        while (sequence <= through && pos < data.size()) {
            const auto frame =
                read_frame(ByteView{data}.subspan(pos), options_.record_bytes_max, verify());
            if (!frame || frame->header.sequence != sequence) {
                // The end of a group, or of one that a crash cut short.
                const uint64_t boundary = align_up(pos, group_alignment_bytes);
                if (boundary == pos) { break; }
                pos = boundary;
                continue;
            }
            if (sequence == next) {
                const RecordInfo info{sequence, frame->header.epoch,
                                      static_cast<RecordKind>(frame->header.kind)};
                MILLRACE_CHECK(visit(info, frame->payload));
                ++next;
            }
            ++sequence;
            pos += frame_bytes(frame->header.payload_bytes);
        }
        const bool here = i + 1 == segments.size() || next < segments[i + 1].first_sequence;
        if (here && next <= through) {
            return damaged(segments[i].path, pos,
                           "record " + std::to_string(next) + " can no longer be read");
        }
    }
    return {};
}

Result<size_t> WalImpl::prune_below(uint64_t sequence) {
    size_t removed = 0;
    while (true) {
        std::string path;
        {
            const std::scoped_lock lock{segments_mutex_};
            if (segments_.size() < 2 || segments_[1].first_sequence > sequence) { return removed; }
            path = segments_.front().path;
        }
        // One by one and durably, oldest first: a crash must not leave a gap.
        MILLRACE_CHECK(fs_.remove(path));
        MILLRACE_CHECK(fs_.sync_directory(directory_));
        const std::scoped_lock lock{segments_mutex_};
        segments_.erase(segments_.begin());
        first_.store(segments_.front().first_sequence, std::memory_order_release);
        ++removed;
    }
}

}  // namespace

Result<std::unique_ptr<Wal>> Wal::open(FileSystem& fs, const std::string& directory,
                                       const WalOptions& options,
                                       std::unique_ptr<LogWriter> writer) {
    auto wal = std::make_unique<WalImpl>(fs, directory, options, std::move(writer));
    MILLRACE_CHECK(wal->start());
    return wal;
}

}  // namespace millrace::storage
