// SPDX-License-Identifier: Apache-2.0
// Owns opening, verifying, appending to, reading and pruning the entry log.
#include "storage/qmdb/entry_log.hpp"

#include <algorithm>
#include <cstring>
#include <random>
#include <utility>

#include "storage/qmdb/detail/log_damage.hpp"
#include "storage/qmdb/segment_name.hpp"

namespace millrace::storage::qmdb {

using detail::damaged_log;
using detail::unreadable_log;

namespace {

constexpr std::string_view segment_prefix = "entries-";
constexpr size_t segment_digits = 12;
constexpr uint64_t sector_bytes = 512;
constexpr uint64_t segment_bytes_max = uint64_t{16} << 30;

/// Compares the range with itself, shifted: a bytewise scan of a segment would be felt at start.
bool all_zero(ByteView data) noexcept {
    const size_t head = std::min<size_t>(data.size(), 32);
    return std::all_of(data.begin(), data.begin() + static_cast<ptrdiff_t>(head),
                       [](uint8_t b) { return b == 0; }) &&
           (data.size() == head ||
            std::memcmp(data.data(), data.data() + head, data.size() - head) == 0);
}

/// Whether some sector from `from` up to `to` reads as zeros, as one that was never written does.
bool sector_is_missing(ByteView data, uint64_t from, uint64_t to) noexcept {
    for (uint64_t s = from; s < to; s += sector_bytes) {
        if (all_zero(data.subspan(s, std::min(sector_bytes, to - s)))) { return true; }
    }
    return false;
}

}  // namespace

std::string segment_name(uint64_t number) {
    std::string digits = std::to_string(number);
    digits.insert(0, segment_digits - std::min(segment_digits, digits.size()), '0');
    return std::string{segment_prefix} + digits;
}

std::optional<uint64_t> segment_number(std::string_view name) {
    if (!name.starts_with(segment_prefix) ||
        name.size() != segment_prefix.size() + segment_digits) {
        return std::nullopt;
    }
    uint64_t number = 0;
    for (const char c : name.substr(segment_prefix.size())) {
        if (c < '0' || c > '9') { return std::nullopt; }
        number = number * 10 + static_cast<uint64_t>(c - '0');
    }
    return number;
}

Result<std::unique_ptr<EntryLog>> EntryLog::open(FileSystem& fs, const std::string& directory,
                                                 const EntryLogOptions& options,
                                                 std::unique_ptr<LogWriter> writer,
                                                 const Visitor& visit,
                                                 const RewrittenVisitor& visit_rewritten) {
    std::unique_ptr<EntryLog> log{new EntryLog{fs, directory, options, std::move(writer)}};
    MILLRACE_CHECK(log->start(visit, visit_rewritten));
    return log;
}

Result<std::optional<EntryLog::Description>>
EntryLog::describe_directory(FileSystem& fs, const std::string& directory) {
    MILLRACE_TRY(const bool there, fs.exists(directory));
    if (!there) { return std::nullopt; }
    MILLRACE_TRY(const auto names, fs.list(directory));
    // Of equal length, so they are in the order of their numbers.
    const auto first = std::ranges::find_if(
        names, [](const std::string& name) { return segment_number(name).has_value(); });
    if (first == names.end()) { return std::nullopt; }
    const std::string path = join_path(directory, *first);
    MILLRACE_TRY(const auto file, fs.open(path, OpenMode::read));
    Bytes head(frame_alignment_bytes);
    MILLRACE_TRY(const size_t got, file->read_at(0, head));
    const auto header = read_segment_header(ByteView{head}.first(got));
    if (!header) { return damaged_log(path, 0, "the header of the segment is not valid"); }
    return Description{Hash256::from(ByteView{header->identity}), header->segment_bytes};
}

std::string EntryLog::describe(LogPosition at) const {
    return path_of(segment_name(at / segment_bytes_)) + " at offset " +
           std::to_string(at % segment_bytes_);
}

Result<void> EntryLog::start(const Visitor& visit, const RewrittenVisitor& visit_rewritten) {
    MILLRACE_CHECK(check_options());
    MILLRACE_CHECK(fs_.create_directory(directory_));
    // What a crash left of it says nothing.
    MILLRACE_TRY(const bool unfinished_rewrite, fs_.exists(path_of(rewrite_name)));
    if (unfinished_rewrite) { MILLRACE_CHECK(fs_.remove(path_of(rewrite_name))); }
    MILLRACE_TRY(cut_, read_cut_record(fs_, path_of(cut_name)));
    MILLRACE_TRY(std::vector<uint64_t> numbers, segment_numbers());
    if (cut_ && numbers.empty()) {
        return damaged_log(path_of(cut_name), 0, "there is no segment beside it");
    }
    if (cut_ && cut_->pending != 0) {
        MILLRACE_CHECK(check_owner(*cut_, numbers.front()));
        MILLRACE_CHECK(finish_cut());
        MILLRACE_TRY(numbers, segment_numbers());
    }
    if (numbers.empty()) {
        log_id_ = options_.log_id;
        while (log_id_ == 0) {
            std::random_device source;
            log_id_ = uint64_t{source()} << 32 | source();
        }
        recovery_.created = true;
        MILLRACE_CHECK(rotate());
    } else {
        first_segment_ = numbers.front();
        for (size_t i = 0; i < numbers.size(); ++i) {
            if (numbers[i] != first_segment_ + i) {
                return damaged_log(path_of(segment_name(first_segment_ + i)), 0,
                                   "this segment is missing");
            }
            MILLRACE_CHECK(
                open_segment(numbers[i], i == 0, i + 1 == numbers.size(), visit, visit_rewritten));
            if (options_.progress) {
                options_.progress((i + 1) * segment_bytes_, numbers.size() * segment_bytes_);
            }
        }
    }
    recovery_.last_sequence = last_sequence_;
    recovery_.last_height = last_height_;
    recovery_.generation = generation_;
    recovery_.segment_count = segments_.size();
    return {};
}

Result<void> EntryLog::check_options() const {
    const uint64_t n = options_.segment_bytes;
    if (n % frame_alignment_bytes != 0 || n < 4 * frame_alignment_bytes || n > segment_bytes_max) {
        return fail(ErrorCode::config, "segment size " + std::to_string(n) +
                                           " of the entry log is not a multiple of 4096 from "
                                           "16384 to 16 GiB");
    }
    return {};
}

Result<std::vector<uint64_t>> EntryLog::segment_numbers() const {
    std::vector<uint64_t> numbers;
    MILLRACE_TRY(const auto names, fs_.list(directory_));
    for (const std::string& name : names) {
        if (const auto number = segment_number(name)) { numbers.push_back(*number); }
    }
    std::sort(numbers.begin(), numbers.end());
    return numbers;
}

/// A segment gets its name only after its header and size are durable, so a segment without them
/// is never the trace of a crash.
Result<void> EntryLog::rotate() {
    SegmentHeader h;
    h.log_id = log_id_;
    h.segment_bytes = options_.segment_bytes;
    h.segment_number = first_segment_ + segments_.size();
    h.first_sequence = last_sequence_ + 1;
    h.previous_height = last_height_;
    h.generation = generation_;
    std::memcpy(h.identity, options_.identity.data(), sizeof h.identity);
    std::memcpy(h.parent, last_hash_.data(), sizeof h.parent);
    Bytes block(frame_alignment_bytes);
    write_segment_header(h, block.data());
    MILLRACE_TRY(auto file, fs_.open(path_of(spare_name), OpenMode::create_or_wipe));
    MILLRACE_CHECK(file->preallocate(options_.segment_bytes));
    MILLRACE_CHECK(file->write_at(0, block));
    MILLRACE_CHECK(file->sync_data());
    file.reset();
    const std::string path = path_of(segment_name(h.segment_number));
    MILLRACE_CHECK(fs_.rename(path_of(spare_name), path));
    MILLRACE_CHECK(fs_.sync_directory(directory_));
    MILLRACE_TRY(file, fs_.open(path, OpenMode::read_write));
    MILLRACE_TRY(auto segment,
                 SegmentFile::open(std::move(file), options_.segment_bytes, options_.map));
    add(std::move(segment));
    offset_ = frame_alignment_bytes;
    return {};
}

void EntryLog::add(SegmentFile segment) {
    mapped_ = mapped_ && segment.mapped();
    segments_.push_back(std::make_shared<const SegmentFile>(std::move(segment)));
}

Result<void> EntryLog::open_segment(uint64_t number, bool first, bool last, const Visitor& visit,
                                    const RewrittenVisitor& visit_rewritten) {
    const std::string path = path_of(segment_name(number));
    MILLRACE_TRY(auto file, fs_.open(path, OpenMode::read_write));
    MILLRACE_TRY(const uint64_t bytes, file->size());
    {
        Bytes head(frame_alignment_bytes);
        MILLRACE_TRY(const size_t got, file->read_at(0, head));
        if (const auto h = read_segment_header(ByteView{head}.first(got));
            h && h->form == rewritten_form) {
            return open_rewritten(number, std::move(file), bytes, head, first, last,
                                  visit_rewritten);
        }
    }
    if (bytes != options_.segment_bytes) {
        return damaged_log(path, bytes,
                           "the file has " + std::to_string(bytes) + " bytes instead of " +
                               std::to_string(options_.segment_bytes));
    }
    MILLRACE_TRY(auto segment, SegmentFile::open(std::move(file), bytes, options_.map));
    segment.expect(SegmentFile::Order::ascending);
    Bytes scratch(segment.mapped() ? 0 : bytes);
    MILLRACE_TRY(const ByteView data, segment.read(0, bytes, scratch));
    if (data.size() != bytes) { return damaged_log(path, data.size(), "the file was cut off"); }
    const auto header = verify_header(number, data, first);
    const auto read = header ? walk(number, data, last, visit) : std::unexpected(header.error());
    // Zeros of a page that the disk cannot give would look like an end.
    if (segment.failed()) { return unreadable_log(path); }
    MILLRACE_TRY(const Walk walked, read);
    if (walked.invalid) {
        if (!last) {
            return damaged_log(path, walked.end,
                               "frame " + std::to_string(last_sequence_ + 1) +
                                   " cannot be read, and a later segment follows");
        }
        MILLRACE_CHECK(judge_damage(data, walked.end, path));
    }
    if (segment.failed()) { return unreadable_log(path); }
    if (last) { MILLRACE_CHECK(finish_last(segment, data, walked)); }
    segment.expect(SegmentFile::Order::random);
    add(std::move(segment));
    return {};
}

/// One that was rewritten has the same chain of frames.
Result<void> EntryLog::open_rewritten(uint64_t number, std::unique_ptr<File> file, uint64_t bytes,
                                      ByteView head, bool first, bool last,
                                      const RewrittenVisitor& visit_rewritten) {
    const std::string path = file->path();
    if (last) {
        return damaged_log(path, 0, "it was rewritten, but the segments behind it are not there");
    }
    MILLRACE_CHECK(verify_header(number, head, first));
    MILLRACE_TRY(auto segment, SegmentFile::open(std::move(file), bytes, options_.map));
    MILLRACE_TRY(auto rewritten, RewrittenSegment::open(segment));
    MILLRACE_TRY(const auto frames, rewritten->frames(segment));
    std::vector<LogPosition> payloads_at;
    uint64_t offset = frame_alignment_bytes;
    for (const RewrittenFrame& frame : frames) {
        const FrameHeader& h = frame.header;
        const bool is_whole = is_frame_header(h) && h.payload_bytes <= payload_bytes_max() &&
                              offset + frame_bytes(h.payload_bytes) <= options_.segment_bytes;
        MILLRACE_TRY(const bool is_next, follows(h, number, offset));
        if (!is_whole || !is_next) {
            return damaged_log(path, bytes,
                               "frame " + std::to_string(last_sequence_ + 1) + " is not the next");
        }
        advance(h);
        generation_ = std::max(generation_, h.generation + 1);
        payloads_at.push_back(number * options_.segment_bytes + offset + sizeof h);
        offset += frame_bytes(h.payload_bytes);
    }
    segment.set_rewritten(std::move(rewritten));
    if (visit_rewritten) {
        MILLRACE_CHECK(visit_rewritten({segment, *segment.rewritten(), frames, payloads_at}));
    }
    if (segment.failed()) { return unreadable_log(path); }
    add(std::move(segment));
    return {};
}

Result<void> EntryLog::verify_header(uint64_t number, ByteView data, bool first) {
    const std::string path = path_of(segment_name(number));
    const auto h = read_segment_header(data);
    if (!h || h->segment_number != number || h->form > rewritten_form) {
        return damaged_log(path, 0, "the header of the segment is not valid");
    }
    if (Hash256::from({h->identity, 32}) != options_.identity ||
        h->segment_bytes != options_.segment_bytes) {
        return fail(ErrorCode::config, "the entry log " + path +
                                           " belongs to another chain or was made with other "
                                           "settings; choose another data directory");
    }
    if (first) {
        if (h->first_sequence == 0) { return damaged_log(path, 0, "frames are counted from 1"); }
        log_id_ = h->log_id;
        last_sequence_ = h->first_sequence - 1;
        last_height_ = h->previous_height;
        last_hash_ = Hash256::from({h->parent, 32});
        recovery_.first_sequence = h->first_sequence;
    } else if (h->log_id != log_id_ || h->first_sequence != last_sequence_ + 1 ||
               h->previous_height != last_height_ || Hash256::from({h->parent, 32}) != last_hash_) {
        return damaged_log(path, 0,
                           "it begins with frame " + std::to_string(h->first_sequence) +
                               ", but the readable log before it ends with frame " +
                               std::to_string(last_sequence_));
    }
    if (cut_ && cut_->log_id != log_id_) {
        return damaged_log(path_of(cut_name), 0, "it belongs to another log");
    }
    if (cut_ && h->first_sequence > cut_->sequence + 1 && h->generation < cut_->generation) {
        return damaged_log(path, 0, "this segment was taken back and is there again");
    }
    generation_ = std::max({generation_, h->generation + 1, cut_ ? cut_->generation + 1 : 0});
    return {};
}

/// A pending cut is only obeyed in the log that it was made for.
Result<void> EntryLog::check_owner(const CutRecord& cut, uint64_t first_number) const {
    MILLRACE_TRY(const auto file, fs_.open(path_of(segment_name(first_number)), OpenMode::read));
    Bytes block(frame_alignment_bytes);
    MILLRACE_TRY(const size_t got, file->read_at(0, block));
    const auto h = read_segment_header(ByteView{block}.first(got));
    if (!h || h->log_id != cut.log_id || h->segment_bytes != options_.segment_bytes ||
        Hash256::from({h->identity, 32}) != options_.identity) {
        return damaged_log(path_of(cut_name), 0, "it does not belong to the segments beside it");
    }
    return {};
}

void EntryLog::advance(const FrameHeader& header) noexcept {
    last_sequence_ = header.sequence;
    last_height_ = header.height;
    last_generation_ = header.generation;
    last_hash_ = frame_hash(header);
    recovery_.last_root = Hash256::from({header.root, 32});
}

/// Whether a frame is the one after the last; an error when it was taken back.
Result<bool> EntryLog::follows(const FrameHeader& h, uint64_t number, uint64_t offset) const {
    if (h.log_id != log_id_ || h.sequence != last_sequence_ + 1 || h.height <= last_height_ ||
        h.generation < last_generation_ || Hash256::from({h.parent, 32}) != last_hash_) {
        return false;
    }
    if (cut_ && h.sequence > cut_->sequence && h.generation < cut_->generation) {
        return damaged_log(path_of(segment_name(number)), offset,
                           "frame " + std::to_string(h.sequence) +
                               " was taken back and is there again");
    }
    return true;
}

Result<EntryLog::Walk> EntryLog::walk(uint64_t number, ByteView data, bool last,
                                      const Visitor& visit) {
    Walk result;
    const bool verify = options_.mutant != EntryLogMutant::no_checksum;
    while (result.end < data.size()) {
        const Frame f = read_frame(data.subspan(result.end), verify);
        const FrameHeader& h = f.header;
        if (f.state != FrameState::valid) { break; }
        MILLRACE_TRY(const bool is_next, follows(h, number, result.end));
        if (!is_next) { break; }
        advance(h);
        generation_ = std::max(generation_, h.generation + 1);
        MILLRACE_CHECK(
            visit(h, number * options_.segment_bytes + result.end + sizeof h, f.payload));
        result.end += frame_bytes(h.payload_bytes);
    }
    // Behind the last frame of an earlier segment nothing was acknowledged if the next one goes on
    // from it, which its header is going to tell. To read all of the zeros there would fill memory
    // with them.
    const uint64_t rest = data.size() - result.end;
    const uint64_t looked_at = last ? rest : std::min(rest, frame_alignment_bytes);
    result.invalid = !all_zero(data.subspan(result.end, looked_at));
    return result;
}

/// Decides between a frame that was being written when the machine stopped and damage to one that
/// had been acknowledged. A frame is flushed before the next one is written, and its sectors are
/// written for the first time: an unfinished one is the last one, and some sector of it is missing.
Result<void> EntryLog::judge_damage(ByteView data, uint64_t at, const std::string& path) const {
    const std::string name = "frame " + std::to_string(last_sequence_ + 1);
    for (uint64_t q = at + frame_alignment_bytes; q < data.size(); q += frame_alignment_bytes) {
        const Frame later = read_frame(data.subspan(q));
        if (later.state != FrameState::bad_header && later.header.log_id == log_id_ &&
            later.header.sequence > last_sequence_) {
            return damaged_log(path, at,
                               name + " cannot be read, but frame " +
                                   std::to_string(later.header.sequence) + " follows");
        }
    }
    const Frame f = read_frame(data.subspan(at));
    const bool header_missing = all_zero(data.subspan(at, sector_bytes));
    const bool torn =
        f.state == FrameState::bad_payload
            ? sector_is_missing(data, at, at + sizeof f.header + f.header.payload_bytes)
            : header_missing;
    if (!torn) {
        return damaged_log(path, at, name + " is completely written and yet fails its checks");
    }
    return {};
}

Result<void> EntryLog::finish_last(const SegmentFile& segment, ByteView data, const Walk& walked) {
    if (walked.invalid) {
        uint64_t dirty_end = data.size();
        while (dirty_end > walked.end && data[dirty_end - 1] == 0) { --dirty_end; }
        recovery_.torn_bytes = dirty_end - walked.end;
        recovery_.torn_place = segment.file().path() + " at offset " + std::to_string(walked.end);
        MILLRACE_CHECK(segment.file().write_at(walked.end, Bytes(recovery_.torn_bytes)));
    }
    // Also without a torn end: what was read may so far only be in the page cache.
    MILLRACE_CHECK(segment.file().sync_data());
    offset_ = walked.end;
    return {};
}

std::unexpected<Error> EntryLog::stop(Error error) {
    if (error.code == ErrorCode::limit) { return std::unexpected(std::move(error)); }
    error.code = ErrorCode::io;
    error.message = "the entry log can no longer be written: " + error.message +
                    ". Nothing after frame " + std::to_string(last_sequence_) +
                    " was acknowledged; the node has to stop. Check the disk, then start again";
    failed_ = error;
    return std::unexpected(std::move(error));
}

Result<LogPosition> EntryLog::append(const FrameOf& block, std::span<uint8_t> frame,
                                     uint64_t payload_bytes) {
    if (failed_) { return std::unexpected(*failed_); }
    MILLRACE_ASSERT(!cut_ || cut_->pending == 0, "a cut is finished before the log goes on");
    MILLRACE_ASSERT(block.height > last_height_, "heights rise");
    MILLRACE_ASSERT(block.oldest_sequence <= last_sequence_ + 1, "it needs what is there");
    MILLRACE_ASSERT(payload_bytes <= payload_bytes_max(), "a frame fits a segment");
    const uint64_t bytes = frame_bytes(payload_bytes);
    MILLRACE_ASSERT(frame.size() >= bytes, "there is room for the padding");
    if (offset_ + bytes > options_.segment_bytes) {
        if (auto r = rotate(); !r) { return stop(std::move(r).error()); }
    }
    FrameHeader h;
    h.log_id = log_id_;
    h.generation = generation_;
    h.sequence = last_sequence_ + 1;
    h.height = block.height;
    h.oldest_sequence = block.oldest_sequence;
    std::memcpy(h.root, block.root.data(), sizeof h.root);
    std::memcpy(h.parent, last_hash_.data(), sizeof h.parent);
    const uint64_t used = sizeof h + payload_bytes;
    std::memset(frame.data() + used, 0, bytes - used);
    seal_frame(h, payload_bytes, frame.data());
    std::memcpy(&h, frame.data(), sizeof h);
    // Sectors of two frames mixed, which a crash could leave, would be taken for damage.
    MILLRACE_ASSERT(!unfinished_ || *unfinished_ == frame_hash(h),
                    "what a full disk took of another frame is cut away first");
    const bool sync = options_.mutant != EntryLogMutant::no_flush;
    if (auto r = writer_->write(segments_.back()->file(), offset_, frame.first(bytes), sync); !r) {
        unfinished_ = frame_hash(h);
        return stop(std::move(r).error());
    }
    unfinished_.reset();
    advance(h);
    const uint64_t number = first_segment_ + segments_.size() - 1;
    const LogPosition at = number * options_.segment_bytes + offset_ + sizeof h;
    offset_ += bytes;
    return at;
}

Result<ByteView> LogReader::read(LogPosition at, size_t bytes, std::span<uint8_t> scratch) const {
    const auto [number, offset] = split(at);
    if (number < first_segment_ || number - first_segment_ >= segments_.size()) {
        return fail(ErrorCode::not_found,
                    "segment " + std::to_string(number) + " of the entry log is not there");
    }
    const SegmentFile& segment = *segments_[number - first_segment_];
    if (segment.rewritten() != nullptr) {
        return damaged_log(segment.file().path(), 0, "a frame is looked for that was rewritten");
    }
    return segment.read(offset, bytes, scratch);
}

Result<Frame> LogReader::read_frame_at(LogPosition payload_at, Bytes& scratch) const {
    const LogPosition at = payload_at - sizeof(FrameHeader);
    const auto take = [&](size_t bytes) -> Result<ByteView> {
        scratch.resize(bytes);
        return read(at, bytes, scratch);
    };
    MILLRACE_TRY(const ByteView head, take(sizeof(FrameHeader)));
    FrameHeader header;
    if (head.size() == sizeof header) { std::memcpy(&header, head.data(), sizeof header); }
    MILLRACE_TRY(
        const ByteView data,
        take(frame_bytes(std::min(header.payload_bytes, payload_bytes_max_in(segment_bytes_)))));
    const Frame frame = read_frame(data);
    if (frame.state != FrameState::valid || frame.header.log_id != log_id_) {
        MILLRACE_CHECK(mappings());
        const Place place = split(at);
        return damaged_log(segments_[place.number - first_segment_]->file().path(), place.offset,
                           "a frame that was read before fails its checks");
    }
    return frame;
}

Result<void> LogReader::mappings() const {
    for (const auto& segment : segments_) {
        if (segment->failed()) { return unreadable_log(segment->file().path()); }
    }
    return {};
}

void LogReader::prefetch(LogPosition at) const noexcept {
    const auto [number, offset] = split(at);
    const uint64_t slot = number - first_segment_;
    if (slot < segments_.size() && segments_[slot]->rewritten() == nullptr) {
        segments_[slot]->prefetch(offset);
    }
}

std::shared_ptr<const SegmentFile> EntryLog::adopt(uint64_t number,
                                                   std::shared_ptr<const SegmentFile> file) {
    MILLRACE_ASSERT(number >= first_segment_ && number - first_segment_ + 1 < segments_.size(),
                    "a sealed segment is replaced");
    mapped_ = mapped_ && file->mapped();
    return std::exchange(segments_[number - first_segment_], std::move(file));
}

EntryLog::FileBytes EntryLog::file_bytes() const noexcept {
    FileBytes out;
    for (const auto& segment : segments_) {
        out.all += segment->bytes();
        if (segment->rewritten() != nullptr) {
            out.rewritten += segment->bytes();
            ++out.rewritten_count;
        }
    }
    return out;
}

Result<size_t> EntryLog::prune_below(LogPosition at) {
    size_t removed = 0;
    // One by one and durably, oldest first: a crash must not leave a gap.
    while (segments_.size() > 1 && (first_segment_ + 1) * options_.segment_bytes <= at) {
        MILLRACE_CHECK(fs_.remove(path_of(segment_name(first_segment_))));
        MILLRACE_CHECK(fs_.sync_directory(directory_));
        segments_.pop_front();
        ++first_segment_;
        ++removed;
    }
    return removed;
}

}  // namespace millrace::storage::qmdb
