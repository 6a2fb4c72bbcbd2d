// SPDX-License-Identifier: Apache-2.0
// Owns the frame around each log record and the header of a log segment, as they lie on the disk.
#pragma once

#include <cstdint>
#include <optional>
#include <type_traits>

#include "host/base/error.hpp"
#include "host/base/types.hpp"

namespace millrace::storage {

inline constexpr uint32_t frame_magic = 0x3146524d;    // "MRF1"
inline constexpr uint32_t segment_magic = 0x3153524d;  // "MRS1"
inline constexpr uint16_t wal_format_version = 1;
/// Each flushed group starts at a multiple of this, so that no durable sector is written again.
inline constexpr uint64_t group_alignment_bytes = 4096;
/// Frames within a group start at multiples of this.
inline constexpr uint64_t frame_alignment_bytes = 8;

/// Flag of the last frame of a group: what follows starts at the next group_alignment_bytes. A
/// frame without it is followed by another one at once, unless the group was cut short by a crash;
/// then the next group is of a later generation.
inline constexpr uint8_t frame_group_end = 1;

/// Little-endian, as on the disk. Followed by the payload and zeros up to frame_alignment_bytes.
struct FrameHeader {
    uint32_t magic = frame_magic;
    uint16_t format_version = wal_format_version;
    uint8_t kind = 0;               ///< RecordKind
    uint8_t flags = 0;              ///< frame_group_end or 0
    uint32_t header_crc = 0;        ///< CRC-32C of this header with this field zero
    uint32_t payload_crc = 0;       ///< CRC-32C of the payload
    uint64_t log_id = 0;            ///< random number of the log; content cannot forge frames
    uint64_t generation = 0;        ///< rises with each opening for writing
    uint64_t sequence = 0;          ///< dense, from 1
    uint64_t durable_sequence = 0;  ///< what had been flushed when this frame was appended
    uint64_t epoch = 0;             ///< fencing epoch, never falls
    uint64_t payload_bytes = 0;
    uint8_t parent[32] = {};  ///< frame_hash of the frame with sequence - 1; zero for the first
};
static_assert(sizeof(FrameHeader) == 96 && std::is_trivially_copyable_v<FrameHeader>);

/// At offset 0 of each segment file, in a block of group_alignment_bytes of its own.
struct SegmentHeader {
    uint32_t magic = segment_magic;
    uint16_t format_version = wal_format_version;
    uint16_t reserved = 0;
    uint32_t header_crc = 0;  ///< CRC-32C of this header with this field zero
    uint32_t reserved2 = 0;
    uint64_t log_id = 0;
    uint64_t chain_id = 0;
    uint64_t segment_index = 0;   ///< from 1
    uint64_t first_sequence = 0;  ///< of the first frame; everything before it is durable
    uint64_t generation = 0;
    uint64_t epoch = 0;       ///< of the frame before; 0 for the first
    uint8_t parent[32] = {};  ///< frame_hash of the frame before
};
static_assert(sizeof(SegmentHeader) == 96 && std::is_trivially_copyable_v<SegmentHeader>);

constexpr uint64_t align_up(uint64_t n, uint64_t alignment) noexcept {
    return (n + alignment - 1) / alignment * alignment;
}
/// Bytes that a frame with such a payload takes within a group.
constexpr uint64_t frame_bytes(uint64_t payload_bytes) noexcept {
    return align_up(sizeof(FrameHeader) + payload_bytes, frame_alignment_bytes);
}

/// Fills in both checksums and writes header, payload and padding to `out`, which has room for
/// frame_bytes(payload.size()).
void write_frame(FrameHeader header, ByteView payload, uint8_t* out) noexcept;

/// Sets frame_group_end in a frame at `frame` and its checksum again; returns the new header.
FrameHeader close_group(uint8_t* frame) noexcept;

struct Frame {
    FrameHeader header;
    ByteView payload;  ///< into the input
};
/// The frame at the start of `data`, or nothing when its header, checksums, padding or length are
/// not right. `payload_bytes_max` bounds the length. `verify` false skips the checksums: it exists
/// for the mutant that the crash tests must catch.
std::optional<Frame> read_frame(ByteView data, uint64_t payload_bytes_max,
                                bool verify = true) noexcept;

/// Keccak-256 of the header as on the disk. The header contains the checksum of the payload, so
/// the chain orders frames and tells lives of the log apart; it does not prove who wrote the
/// payload (that is the mini-block's signature).
Hash256 frame_hash(const FrameHeader& header) noexcept;

void write_segment_header(SegmentHeader header, uint8_t* out) noexcept;
std::optional<SegmentHeader> read_segment_header(ByteView data) noexcept;

}  // namespace millrace::storage
