// SPDX-License-Identifier: Apache-2.0
// Owns the second form of a segment of the entry log: rewritten without what ended long ago, in
// blocks that are read one at a time.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <type_traits>
#include <vector>

#include "storage/qmdb/block_frame.hpp"
#include "storage/qmdb/frame.hpp"
#include "storage/qmdb/segment_file.hpp"

namespace millrace::storage::qmdb {

// A segment that is not written any more can be replaced by a file of the same name that says the
// same about every state from some height on, the horizon: serial numbers, ActiveBits, roots and
// what lives are the same, so neither index nor root notice. Of entries that had ended in the state
// at the horizon, in chunks that were full then, it keeps the distance to the entry before (a start
// learns from it what they ended) and the nodes that proofs of their neighbours need.
//
// The file, little-endian:
// - 4,096 bytes: the SegmentHeader of the segment as it was but for form = rewritten_form, then a
//   RewrittenHeader, then zeros;
// - a block for each shard and chunk with an entry in the segment, by shard, then chunk;
// - the block of the frames.
// A block is a BlockHeader, `stored_bytes` bytes and zeros up to a multiple of 8. What it holds has
// `raw_bytes`: stored as one zstd frame, or as they are (stored_bytes = raw_bytes) when zstd would
// not save a quarter of them, so that what does not compress is read in place.
//
// The block of a chunk holds, of the entries of that chunk that are in this segment (`n` of them):
// - which are kept: 256 bits by serial number, the lowest bit of the first byte first; those of
//   serial numbers that are not in this segment are zero;
// - the root of the chunk (32 bytes) if its last entry is in this segment;
// - the length of each kept record (2 bytes), then the records (see block_frame.hpp);
// - for each entry that is not kept its previous_distance (LEB128);
// - 32 bytes for each of dropped_nodes().
// The block of the frames holds for each frame: its FrameHeader as it was; for each shard its count
// of entries, then for each its count of removed keys (4 bytes each); then the RemovedKeys by
// shard.

inline constexpr uint16_t rewritten_form = 1;
inline constexpr uint32_t rewritten_magic = 0x3152514d;  // "MQR1"
inline constexpr uint16_t rewritten_version = 1;

struct RewrittenHeader {
    uint32_t magic = rewritten_magic;
    uint16_t version = rewritten_version;
    uint16_t reserved = 0;
    uint32_t header_crc = 0;   ///< CRC-32C of this header with this field zero
    uint32_t block_count = 0;  ///< those of chunks
    uint64_t file_bytes = 0;
    uint64_t horizon_height = 0;  ///< that of a block at the end of a later segment or behind it
    uint64_t kept_count = 0;      ///< entries
    uint32_t frame_count = 0;
    uint32_t reserved2 = 0;
    std::array<uint64_t, shard_count> first_serial{};  ///< of the shard's entries in the segment
    std::array<uint64_t, shard_count> entry_count{};
};
static_assert(sizeof(RewrittenHeader) == 304 && std::is_trivially_copyable_v<RewrittenHeader>);

struct BlockHeader {
    uint32_t header_crc = 0;  ///< CRC-32C of this header with this field zero, and of the rest
    uint32_t index = 0;       ///< from 0; the block of the frames is the last one
    uint32_t raw_bytes = 0;
    uint32_t stored_bytes = 0;
};
static_assert(sizeof(BlockHeader) == 16 && std::is_trivially_copyable_v<BlockHeader>);

/// Segments with more to be said about their frames are not rewritten.
inline constexpr uint64_t frames_bytes_max = uint64_t{1} << 30;
/// What a block of a chunk takes at most.
inline constexpr size_t chunk_block_bytes_max =
    2 * sizeof(ActiveBits) + chunk_entries * (sizeof(uint16_t) + stored_entry_bytes_max) +
    2 * chunk_entries * Hash256::size_bytes;

/// The serial numbers of one chunk that lie in a segment.
struct ChunkRange {
    uint64_t first = 0;
    uint64_t end = 0;  ///< above first, at most the end of the chunk

    bool has_root() const noexcept { return end % chunk_entries == 0; }
    size_t count() const noexcept { return static_cast<size_t>(end - first); }
};

/// The greatest subtrees of a chunk all of whose leaves are in the range and not kept, by their
/// place in heap order (tree_nodes of chunk_height), from left to right. None for a chunk that was
/// dropped as a whole: the tree has no such chunk.
std::vector<uint16_t> dropped_nodes(const ChunkRange& range, const ActiveBits& kept);

/// What a block of a chunk holds. Views into its bytes.
struct ChunkBlock {
    ChunkRange range;
    ActiveBits kept;
    std::optional<Hash256> root;
    std::vector<ByteView> records;    ///< of what is kept
    std::vector<uint64_t> distances;  ///< previous_distance of what is not
    std::vector<uint16_t> places;     ///< dropped_nodes()
    std::vector<Hash256> nodes;       ///< one for each of them

    bool is_kept(uint64_t serial) const noexcept { return is_active(kept, serial); }
};
/// Appends the encoding to `out`.
void encode_chunk_block(const ChunkBlock& block, Bytes& out);
/// Nothing unless it is the encoding of a block with that range; does not look into the records.
std::optional<ChunkBlock> decode_chunk_block(ByteView raw, const ChunkRange& range);
/// The record of a kept entry, or an empty view for one that is not; nothing when the bytes cannot
/// be a block. Looks at no more than it needs.
std::optional<ByteView> find_record(ByteView raw, const ChunkRange& range, uint64_t serial);

/// What is left of a frame.
struct RewrittenFrame {
    FrameHeader header;
    std::array<uint32_t, shard_count> entry_count{};
    std::array<std::vector<RemovedKey>, shard_count> removed;
};
void encode_frame(const RewrittenFrame& frame, Bytes& out);
/// Nothing unless it is the encoding of so many frames and nothing else.
std::optional<std::vector<RewrittenFrame>> decode_frames(ByteView raw, uint32_t count);

/// Makes blocks. One thread.
class BlockEncoder {
public:
    BlockEncoder();
    ~BlockEncoder();
    /// Appends the block with this content to `out`. `ErrorCode::internal` when zstd fails.
    Result<void> encode(uint32_t index, ByteView raw, Bytes& out);

private:
    class Context;
    std::unique_ptr<Context> context_;
};

/// Memory for a block that is not read in place. One thread.
class BlockBuffer {
public:
    BlockBuffer();
    ~BlockBuffer();

    std::span<uint8_t> stored_room(size_t bytes) {
        stored_.resize(bytes);
        return stored_;
    }
    /// Makes `raw_bytes` bytes, no more, out of a zstd frame; false when it has others.
    bool decompress(ByteView stored, size_t raw_bytes);
    ByteView raw() const noexcept { return raw_; }
    /// Whether a view points into this memory.
    bool owns(ByteView view) const noexcept;

    /// The content of a block stays for the next look, until another one comes or forget().
    void keep(uint64_t segment, uint32_t block, ByteView content) noexcept {
        segment_ = segment;
        block_ = block;
        content_ = content;
    }
    std::optional<ByteView> kept(uint64_t segment, uint32_t block) const noexcept {
        return segment == segment_ && block == block_ ? std::optional{content_} : std::nullopt;
    }
    void forget() noexcept { segment_ = 0; }

private:
    class Context;
    Bytes stored_;
    Bytes raw_;
    std::unique_ptr<Context> context_;
    uint64_t segment_ = 0;  ///< RewrittenSegment::id_, 0 for none
    uint32_t block_ = 0;
    ByteView content_;
};

/// A rewritten segment: the part that stays in memory. Any thread.
class RewrittenSegment {
public:
    /// Reads all blocks and checks everything in them but the content of records: checksums,
    /// lengths, order. `ErrorCode::corrupt` names the file and the offset, `ErrorCode::io` a disk
    /// that cannot read.
    static Result<std::unique_ptr<const RewrittenSegment>> open(const SegmentFile& file);

    const SegmentHeader& segment() const noexcept { return segment_; }
    const RewrittenHeader& header() const noexcept { return header_; }
    uint64_t first_serial(unsigned shard) const noexcept { return header_.first_serial[shard]; }
    uint64_t end_serial(unsigned shard) const noexcept {
        return header_.first_serial[shard] + header_.entry_count[shard];
    }
    bool has(unsigned shard, uint64_t serial) const noexcept {
        return serial - first_serial(shard) < header_.entry_count[shard];
    }
    /// What lies in the segment of a chunk that has something there.
    ChunkRange range(unsigned shard, uint64_t chunk) const noexcept;

    // `file` is the one that was opened. Errors as open(), with the place.
    /// The record of an entry of the segment; nothing when it was dropped. The view points into the
    /// mapping or into `buffer`. The checksum of the record is the caller's affair.
    Result<std::optional<ByteView>> record(const SegmentFile& file, unsigned shard, uint64_t serial,
                                           BlockBuffer& buffer) const;
    Result<ChunkBlock> chunk(const SegmentFile& file, unsigned shard, uint64_t chunk,
                             BlockBuffer& buffer) const;
    Result<std::vector<RewrittenFrame>> frames(const SegmentFile& file) const;
    /// Hint that record() of this entry comes soon.
    void prefetch(const SegmentFile& file, unsigned shard, uint64_t serial) const noexcept;
    /// The same, once what prefetch() asked for is there.
    void prefetch_record(const SegmentFile& file, unsigned shard, uint64_t serial) const noexcept;

    uint64_t memory_bytes() const noexcept {
        return sizeof *this + places_.capacity() * sizeof places_[0];
    }

private:
    RewrittenSegment() noexcept;
    uint32_t block_index(unsigned shard, uint64_t chunk) const noexcept {
        return first_block_[shard] +
               static_cast<uint32_t>(chunk - first_serial(shard) / chunk_entries);
    }
    uint64_t place(uint32_t index) const noexcept { return uint64_t{places_[index]} * 8; }
    Result<void> walk(const SegmentFile& file);
    Result<void> check_frames(const SegmentFile& file) const;
    Result<ByteView> block(const SegmentFile& file, uint32_t index, uint64_t raw_bytes_max,
                           BlockBuffer& buffer) const;
    ByteView in_place(const SegmentFile& file, uint32_t index) const noexcept;

    const uint64_t id_;  ///< another one for each object
    SegmentHeader segment_;
    RewrittenHeader header_;
    std::array<uint32_t, shard_count> first_block_{};
    /// Where the blocks begin, in units of 8 bytes; then where the last one ends.
    std::vector<uint32_t> places_;
};

/// The RewrittenHeader behind the header of a segment in its first 4,096 bytes. Nothing unless both
/// are right.
std::optional<RewrittenHeader> read_rewritten_header(ByteView data) noexcept;

}  // namespace millrace::storage::qmdb
