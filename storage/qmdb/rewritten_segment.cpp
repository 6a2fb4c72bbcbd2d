// SPDX-License-Identifier: Apache-2.0
// Owns the encoding of rewritten segments, and opening and reading them.
#include "storage/qmdb/rewritten_segment.hpp"

#include <algorithm>
#include <atomic>
#include <bit>
#include <cstring>
#include <functional>
#include <string>

#include <zstd.h>

#include "kernels/tree/node_hash.hpp"
#include "storage/detail/header_crc.hpp"
#include "storage/io/crc32c.hpp"
#include "storage/proof/varint.hpp"
#include "storage/qmdb/detail/log_damage.hpp"

namespace millrace::storage::qmdb {
namespace {

constexpr int zstd_level = 3;
constexpr size_t block_alignment_bytes = 8;
constexpr size_t frame_fixed_bytes = sizeof(FrameHeader) + 2 * shard_count * sizeof(uint32_t);

constexpr size_t padded(size_t bytes) noexcept {
    return (bytes + block_alignment_bytes - 1) / block_alignment_bytes * block_alignment_bytes;
}

/// 256 bits as words, the serial number's lowest bits first.
using ChunkBits = std::array<uint64_t, chunk_entries / 64>;

ChunkBits words_of(const ActiveBits& bits) noexcept {
    ChunkBits out;
    std::memcpy(out.data(), bits.data(), sizeof out);
    return out;
}

ChunkBits bits_of(const ChunkRange& range) noexcept {
    ChunkBits out{};
    for (uint64_t s = range.first; s < range.end; ++s) {
        out[s % chunk_entries / 64] |= uint64_t{1} << (s % 64);
    }
    return out;
}

bool none_set(const ChunkBits& bits, size_t first, size_t count) noexcept {
    if (count < 64) {
        return (bits[first / 64] >> (first % 64) & ((uint64_t{1} << count) - 1)) == 0;
    }
    return std::all_of(bits.begin() + first / 64, bits.begin() + (first + count) / 64,
                       [](uint64_t word) { return word == 0; });
}

/// Adds the greatest subtrees below `node` without a bit of `bars`.
void add_subtrees(const ChunkBits& bars, size_t node, size_t first, size_t count,
                  std::vector<uint16_t>& out) {
    if (none_set(bars, first, count)) {
        out.push_back(static_cast<uint16_t>(node));
    } else if (count > 1) {
        add_subtrees(bars, 2 * node, first, count / 2, out);
        add_subtrees(bars, 2 * node + 1, first + count / 2, count / 2, out);
    }
}

size_t kept_count(const ActiveBits& kept) noexcept {
    size_t count = 0;
    for (const uint64_t word : words_of(kept)) {
        count += static_cast<size_t>(std::popcount(word));
    }
    return count;
}

size_t kept_below(const ActiveBits& kept, uint64_t serial) noexcept {
    const ChunkBits words = words_of(kept);
    const uint64_t bit = serial % chunk_entries;
    size_t count = 0;
    for (size_t i = 0; i < bit / 64; ++i) { count += static_cast<size_t>(std::popcount(words[i])); }
    const uint64_t below = words[bit / 64] & ((uint64_t{1} << (bit % 64)) - 1);
    return count + static_cast<size_t>(std::popcount(below));
}

/// Bytes of a block before its lengths.
size_t lengths_at(const ChunkRange& range) noexcept {
    return sizeof(ActiveBits) + (range.has_root() ? Hash256::size_bytes : 0);
}

uint16_t length_at(ByteView raw, size_t lengths, size_t i) noexcept {
    uint16_t length;
    std::memcpy(&length, raw.data() + lengths + i * sizeof length, sizeof length);
    return length;
}

template <class T>
void append(const T& value, Bytes& out) {
    const auto* const at = reinterpret_cast<const uint8_t*>(&value);
    out.insert(out.end(), at, at + sizeof value);
}

template <class T>
T load(const uint8_t* at) noexcept {
    T value;
    std::memcpy(&value, at, sizeof value);
    return value;
}

}  // namespace

std::vector<uint16_t> dropped_nodes(const ChunkRange& range, const ActiveBits& kept) {
    ChunkBits bars = words_of(kept);
    const ChunkBits inside = bits_of(range);
    for (size_t i = 0; i < bars.size(); ++i) { bars[i] |= ~inside[i]; }
    std::vector<uint16_t> out;
    add_subtrees(bars, 1, 0, chunk_entries, out);
    if (out.size() == 1 && out.front() == 1) { out.clear(); }
    return out;
}

void encode_chunk_block(const ChunkBlock& block, Bytes& out) {
    append(block.kept, out);
    if (block.range.has_root()) { append(block.root.value(), out); }
    for (const ByteView record : block.records) {
        append(static_cast<uint16_t>(record.size()), out);
    }
    for (const ByteView record : block.records) {
        out.insert(out.end(), record.begin(), record.end());
    }
    for (const uint64_t distance : block.distances) {
        uint8_t varint[varint_bytes_max];
        uint8_t* const end = put_varint(distance, varint);
        out.insert(out.end(), varint, end);
    }
    for (const Hash256& node : block.nodes) { append(node, out); }
}

std::optional<ChunkBlock> decode_chunk_block(ByteView raw, const ChunkRange& range) {
    size_t at = lengths_at(range);
    if (raw.size() < at) { return std::nullopt; }
    ChunkBlock out;
    out.range = range;
    out.kept = ActiveBits::from(raw.first(sizeof(ActiveBits)));
    const ChunkBits kept = words_of(out.kept);
    const ChunkBits inside = bits_of(range);
    for (size_t i = 0; i < kept.size(); ++i) {
        if ((kept[i] & ~inside[i]) != 0) { return std::nullopt; }
    }
    if (range.has_root()) {
        out.root = Hash256::from(raw.subspan(sizeof(ActiveBits), Hash256::size_bytes));
    }
    const size_t count = kept_count(out.kept);
    const size_t lengths = at;
    if (raw.size() - at < count * sizeof(uint16_t)) { return std::nullopt; }
    at += count * sizeof(uint16_t);
    out.records.reserve(count);
    for (size_t i = 0; i < count; ++i) {
        const uint16_t length = length_at(raw, lengths, i);
        if (length < sizeof(uint32_t) + entry_bytes_min || length > stored_entry_bytes_max ||
            length > raw.size() - at) {
            return std::nullopt;
        }
        out.records.push_back(raw.subspan(at, length));
        at += length;
    }
    ByteView rest = raw.subspan(at);
    out.distances.reserve(range.count() - count);
    for (uint64_t serial = range.first; serial < range.end; ++serial) {
        if (out.is_kept(serial)) { continue; }
        const auto distance = take_varint(rest);
        if (!distance || *distance > serial) { return std::nullopt; }
        out.distances.push_back(*distance);
    }
    out.places = dropped_nodes(range, out.kept);
    if (rest.size() != out.places.size() * Hash256::size_bytes) { return std::nullopt; }
    out.nodes.reserve(out.places.size());
    for (size_t i = 0; i < out.places.size(); ++i) {
        out.nodes.push_back(
            Hash256::from(rest.subspan(i * Hash256::size_bytes, Hash256::size_bytes)));
    }
    return out;
}

std::optional<ByteView> find_record(ByteView raw, const ChunkRange& range, uint64_t serial) {
    const size_t lengths = lengths_at(range);
    if (raw.size() < lengths) { return std::nullopt; }
    const ActiveBits kept = ActiveBits::from(raw.first(sizeof(ActiveBits)));
    if (!is_active(kept, serial)) { return ByteView{}; }
    const size_t count = kept_count(kept);
    const size_t place = kept_below(kept, serial);
    if (raw.size() - lengths < count * sizeof(uint16_t)) { return std::nullopt; }
    size_t at = lengths + count * sizeof(uint16_t);
    for (size_t i = 0; i < place; ++i) { at += length_at(raw, lengths, i); }
    const size_t length = length_at(raw, lengths, place);
    if (at > raw.size() || length == 0 || length > raw.size() - at) { return std::nullopt; }
    return raw.subspan(at, length);
}

void encode_frame(const RewrittenFrame& frame, Bytes& out) {
    append(frame.header, out);
    append(frame.entry_count, out);
    for (const auto& removed : frame.removed) {
        append(static_cast<uint32_t>(removed.size()), out);
    }
    for (const auto& removed : frame.removed) {
        for (const RemovedKey& key : removed) { append(key, out); }
    }
}

std::optional<std::vector<RewrittenFrame>> decode_frames(ByteView raw, uint32_t count) {
    if (raw.size() / frame_fixed_bytes < count) { return std::nullopt; }
    std::vector<RewrittenFrame> out(count);
    for (RewrittenFrame& frame : out) {
        if (raw.size() < frame_fixed_bytes) { return std::nullopt; }
        frame.header = load<FrameHeader>(raw.data());
        const uint8_t* at = raw.data() + sizeof frame.header;
        frame.entry_count = load<decltype(frame.entry_count)>(at);
        at += sizeof frame.entry_count;
        const auto removed = load<std::array<uint32_t, shard_count>>(at);
        raw = raw.subspan(frame_fixed_bytes);
        for (unsigned shard = 0; shard < shard_count; ++shard) {
            if (raw.size() / sizeof(RemovedKey) < removed[shard]) { return std::nullopt; }
            frame.removed[shard].resize(removed[shard]);
            const size_t bytes = removed[shard] * sizeof(RemovedKey);
            if (bytes != 0) { std::memcpy(frame.removed[shard].data(), raw.data(), bytes); }
            raw = raw.subspan(bytes);
        }
    }
    if (!raw.empty()) { return std::nullopt; }
    return out;
}

class BlockEncoder::Context {
public:
    std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> zstd{ZSTD_createCCtx(), &ZSTD_freeCCtx};
};

BlockEncoder::BlockEncoder() : context_(std::make_unique<Context>()) {}
BlockEncoder::~BlockEncoder() = default;

class BlockBuffer::Context {
public:
    std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> zstd{ZSTD_createDCtx(), &ZSTD_freeDCtx};
};

BlockBuffer::BlockBuffer() = default;
BlockBuffer::~BlockBuffer() = default;

bool BlockBuffer::decompress(ByteView stored, size_t raw_bytes) {
    if (context_ == nullptr) { context_ = std::make_unique<Context>(); }
    raw_.resize(raw_bytes);
    const size_t n = ZSTD_decompressDCtx(context_->zstd.get(), raw_.data(), raw_.size(),
                                         stored.data(), stored.size());
    return ZSTD_isError(n) == 0 && n == raw_bytes;
}

Result<void> BlockEncoder::encode(uint32_t index, ByteView raw, Bytes& out) {
    const size_t start = out.size();
    const size_t body = start + sizeof(BlockHeader);
    out.resize(body + std::max(padded(raw.size()), ZSTD_compressBound(raw.size())));
    size_t stored = ZSTD_compressCCtx(context_->zstd.get(), out.data() + body, out.size() - body,
                                      raw.data(), raw.size(), zstd_level);
    if (ZSTD_isError(stored) != 0) {
        return fail(ErrorCode::internal,
                    std::string{"a segment cannot be compressed: "} + ZSTD_getErrorName(stored));
    }
    if (stored > raw.size() - raw.size() / 4) {
        stored = raw.size();
        std::memcpy(out.data() + body, raw.data(), stored);
    }
    out.resize(body + stored);
    out.resize(body + padded(stored));
    BlockHeader header;
    header.index = index;
    header.raw_bytes = static_cast<uint32_t>(raw.size());
    header.stored_bytes = static_cast<uint32_t>(stored);
    std::memcpy(out.data() + start, &header, sizeof header);
    header.header_crc = crc32c(ByteView{out}.subspan(start));
    std::memcpy(out.data() + start, &header, sizeof header);
    return {};
}

std::optional<RewrittenHeader> read_rewritten_header(ByteView data) noexcept {
    const auto segment = read_segment_header(data);
    if (!segment || segment->form != rewritten_form || data.size() < frame_alignment_bytes) {
        return std::nullopt;
    }
    const auto h = load<RewrittenHeader>(data.data() + sizeof *segment);
    if (h.magic != rewritten_magic || h.version != rewritten_version || h.reserved != 0 ||
        h.reserved2 != 0 || h.header_crc != storage::detail::crc_of(h)) {
        return std::nullopt;
    }
    const ByteView zeros = data.subspan(sizeof *segment + sizeof h,
                                        frame_alignment_bytes - sizeof *segment - sizeof h);
    if (!std::ranges::all_of(zeros, [](uint8_t b) { return b == 0; })) { return std::nullopt; }
    return h;
}

bool BlockBuffer::owns(ByteView view) const noexcept {
    const auto holds = [view](const Bytes& memory) {
        return std::greater_equal<>{}(view.data(), memory.data()) &&
               std::less<>{}(view.data(), memory.data() + memory.size());
    };
    return holds(stored_) || holds(raw_);
}

RewrittenSegment::RewrittenSegment() noexcept
    : id_([] {
          static std::atomic<uint64_t> last = 0;
          return last.fetch_add(1, std::memory_order_relaxed) + 1;
      }()) {}

ChunkRange RewrittenSegment::range(unsigned shard, uint64_t chunk) const noexcept {
    return {std::max(first_serial(shard), chunk * chunk_entries),
            std::min(end_serial(shard), (chunk + 1) * chunk_entries)};
}

Result<std::unique_ptr<const RewrittenSegment>> RewrittenSegment::open(const SegmentFile& file) {
    std::unique_ptr<RewrittenSegment> out{new RewrittenSegment};
    auto read = out->walk(file);
    if (read) { read = out->check_frames(file); }
    // Zeros of a page that the disk could not give fail every check.
    if (file.failed()) { return detail::unreadable_log(file.file().path()); }
    MILLRACE_CHECK(std::move(read));
    return std::unique_ptr<const RewrittenSegment>{std::move(out)};
}

/// Reads the headers and finds the blocks.
Result<void> RewrittenSegment::walk(const SegmentFile& file) {
    const std::string& path = file.file().path();
    Bytes memory(frame_alignment_bytes);
    MILLRACE_TRY(const ByteView head, file.read(0, memory.size(), memory));
    const auto header = read_rewritten_header(head);
    if (!header) { return detail::damaged_log(path, 0, "its header is not valid"); }
    segment_ = *read_segment_header(head);
    header_ = *header;
    if (header_.file_bytes != file.bytes()) {
        return detail::damaged_log(path, file.bytes(),
                                   "the file has " + std::to_string(file.bytes()) +
                                       " bytes instead of " + std::to_string(header_.file_bytes));
    }
    const auto wrong = [&] {
        return detail::damaged_log(path, sizeof(SegmentHeader), "its header contradicts itself");
    };
    uint64_t blocks = 0;
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        const uint64_t first = header_.first_serial[shard];
        const uint64_t count = header_.entry_count[shard];
        if (first >= serial_max || count >= serial_max) { return wrong(); }
        first_block_[shard] = static_cast<uint32_t>(blocks);
        if (count != 0) {
            blocks += (first + count - 1) / chunk_entries - first / chunk_entries + 1;
        }
        // A block has a header at least.
        if (blocks > header_.file_bytes / sizeof(BlockHeader)) { return wrong(); }
    }
    if (blocks != header_.block_count ||
        header_.file_bytes / block_alignment_bytes > ~uint32_t{0}) {
        return wrong();
    }
    places_.reserve(blocks + 2);
    uint64_t at = frame_alignment_bytes;
    for (uint64_t index = 0; index <= blocks; ++index) {
        uint8_t scratch[sizeof(BlockHeader)];
        MILLRACE_TRY(const ByteView found, file.read(at, sizeof scratch, scratch));
        if (found.size() != sizeof scratch) {
            return detail::damaged_log(path, at, "a block is missing");
        }
        places_.push_back(static_cast<uint32_t>(at / block_alignment_bytes));
        // What it says is checked with its checksum when the block is read.
        at += sizeof(BlockHeader) + padded(load<BlockHeader>(found.data()).stored_bytes);
    }
    if (at != header_.file_bytes) {
        return detail::damaged_log(path, std::min(at, file.bytes()),
                                   "the blocks do not end where the file does");
    }
    places_.push_back(static_cast<uint32_t>(at / block_alignment_bytes));

    uint64_t kept = 0;
    BlockBuffer buffer;
    for (unsigned shard = 0; shard < shard_count; ++shard) {
        for (uint64_t serial = first_serial(shard); serial < end_serial(shard);) {
            MILLRACE_TRY(const ChunkBlock block,
                         chunk(file, shard, serial / chunk_entries, buffer));
            kept += block.records.size();
            serial = block.range.end;
        }
    }
    return kept == header_.kept_count ? Result<void>{} : wrong();
}

/// The frames say where the entries of each shard begin and end, and so does the header.
Result<void> RewrittenSegment::check_frames(const SegmentFile& file) const {
    MILLRACE_TRY(const auto all, frames(file));
    std::array<uint64_t, shard_count> count{};
    for (const RewrittenFrame& frame : all) {
        for (unsigned shard = 0; shard < shard_count; ++shard) {
            count[shard] += frame.entry_count[shard];
        }
    }
    if (all.empty() || count != header_.entry_count) {
        return detail::damaged_log(file.file().path(), place(header_.block_count),
                                   "its frames do not have the entries that its header names");
    }
    return {};
}

/// The content of a block, its checksum checked unless it is read in place.
Result<ByteView> RewrittenSegment::block(const SegmentFile& file, uint32_t index,
                                         uint64_t raw_bytes_max, BlockBuffer& buffer) const {
    if (const auto kept = buffer.kept(id_, index)) { return *kept; }
    buffer.forget();
    const uint64_t at = place(index);
    const uint64_t bytes = place(index + 1) - at;
    const auto wrong = [&](const std::string& what) -> std::unexpected<Error> {
        if (file.failed()) { return detail::unreadable_log(file.file().path()); }
        return detail::damaged_log(file.file().path(), at,
                                   "block " + std::to_string(index) + " " + what);
    };
    if (bytes > sizeof(BlockHeader) + padded(raw_bytes_max)) { return wrong("is too long"); }
    MILLRACE_TRY(const ByteView data,
                 file.read(at, bytes, buffer.stored_room(file.mapped() ? 0 : bytes)));
    if (data.size() != bytes) { return wrong("is cut off"); }
    BlockHeader header = load<BlockHeader>(data.data());
    const uint32_t crc = header.header_crc;
    header.header_crc = 0;
    const ByteView body = data.subspan(sizeof header);
    if (crc != crc32c(body, crc32c(storage::detail::bytes_of(header)))) {
        return wrong("fails its checksum");
    }
    if (header.index != index || header.raw_bytes > raw_bytes_max ||
        header.stored_bytes > header.raw_bytes || padded(header.stored_bytes) != body.size()) {
        return wrong("is not where it belongs");
    }
    const ByteView stored = body.first(header.stored_bytes);
    if (header.stored_bytes == header.raw_bytes) {
        if (!file.mapped()) { buffer.keep(id_, index, stored); }
        return stored;
    }
    if (!buffer.decompress(stored, header.raw_bytes)) { return wrong("cannot be decompressed"); }
    buffer.keep(id_, index, buffer.raw());
    return buffer.raw();
}

/// The content of a block that is mapped and stored as it is, else nothing. Its checksum is not
/// looked at: each record has one of its own.
ByteView RewrittenSegment::in_place(const SegmentFile& file, uint32_t index) const noexcept {
    if (!file.mapped()) { return {}; }
    const auto data = file.read(place(index), place(index + 1) - place(index), {});
    if (!data || data->size() < sizeof(BlockHeader)) { return {}; }
    const auto header = load<BlockHeader>(data->data());
    const ByteView body = data->subspan(sizeof header);
    const bool plain = header.raw_bytes == header.stored_bytes && header.raw_bytes <= body.size();
    return plain ? body.first(header.raw_bytes) : ByteView{};
}

Result<std::optional<ByteView>> RewrittenSegment::record(const SegmentFile& file, unsigned shard,
                                                         uint64_t serial,
                                                         BlockBuffer& buffer) const {
    const uint64_t chunk = serial / chunk_entries;
    const uint32_t index = block_index(shard, chunk);
    const uint64_t at = place(index);
    ByteView raw = in_place(file, index);
    if (raw.empty()) { MILLRACE_TRY(raw, block(file, index, chunk_block_bytes_max, buffer)); }
    const auto found = find_record(raw, range(shard, chunk), serial);
    if (!found) {
        if (file.failed()) { return detail::unreadable_log(file.file().path()); }
        return detail::damaged_log(file.file().path(), at,
                                   "block " + std::to_string(index) + " is no chunk");
    }
    return found->empty() ? std::optional<ByteView>{} : std::optional{*found};
}

Result<ChunkBlock> RewrittenSegment::chunk(const SegmentFile& file, unsigned shard, uint64_t chunk,
                                           BlockBuffer& buffer) const {
    const uint32_t index = block_index(shard, chunk);
    MILLRACE_TRY(const ByteView raw, block(file, index, chunk_block_bytes_max, buffer));
    auto out = decode_chunk_block(raw, range(shard, chunk));
    if (!out) {
        return detail::damaged_log(file.file().path(), place(index),
                                   "block " + std::to_string(index) + " is no chunk");
    }
    return std::move(*out);
}

Result<std::vector<RewrittenFrame>> RewrittenSegment::frames(const SegmentFile& file) const {
    BlockBuffer buffer;
    // The frames themselves took more.
    const uint64_t bytes_max = std::min(frames_bytes_max, segment_.segment_bytes);
    MILLRACE_TRY(const ByteView raw, block(file, header_.block_count, bytes_max, buffer));
    auto out = decode_frames(raw, header_.frame_count);
    if (!out) {
        return detail::damaged_log(file.file().path(), place(header_.block_count),
                                   "the block of the frames is not valid");
    }
    return std::move(*out);
}

void RewrittenSegment::prefetch(const SegmentFile& file, unsigned shard,
                                uint64_t serial) const noexcept {
    // Header, bits and the first lengths.
    const uint64_t at = place(block_index(shard, serial / chunk_entries));
    file.prefetch(at);
    file.prefetch(at + 64);
}

void RewrittenSegment::prefetch_record(const SegmentFile& file, unsigned shard,
                                       uint64_t serial) const noexcept {
    const uint64_t chunk = serial / chunk_entries;
    const ByteView raw = in_place(file, block_index(shard, chunk));
    const auto record = find_record(raw, range(shard, chunk), serial);
    if (!record) { return; }
    for (size_t at = 0; at < record->size(); at += 64) { __builtin_prefetch(record->data() + at); }
}

}  // namespace millrace::storage::qmdb
