// SPDX-License-Identifier: Apache-2.0
// Owns the frame around the entries of one block and the header of a segment of the entry log, as
// they lie on the disk.
#pragma once

#include <cstdint>
#include <optional>
#include <type_traits>

#include "host/base/types.hpp"

namespace millrace::storage::qmdb {

inline constexpr uint32_t frame_magic = 0x3146514d;    // "MQF1"
inline constexpr uint32_t segment_magic = 0x3153514d;  // "MQS1"
inline constexpr uint16_t format_version = 1;
/// Frames start at multiples of this and are padded with zeros, so that no durable sector is
/// written again.
inline constexpr uint64_t frame_alignment_bytes = 4096;

/// Little-endian, as on the disk. Followed by the payload and zeros up to frame_alignment_bytes.
struct FrameHeader {
    uint32_t magic = frame_magic;
    uint16_t version = format_version;
    uint16_t reserved = 0;
    uint32_t header_crc = 0;   ///< CRC-32C of this header with this field zero
    uint32_t payload_crc = 0;  ///< CRC-32C of the payload
    uint64_t log_id = 0;       ///< random number of the log; values cannot forge frames
    uint64_t generation = 0;   ///< rises with each opening and each cut (CutRecord)
    uint64_t sequence = 0;     ///< dense, from 1
    uint64_t height = 0;       ///< of the block; rises
    uint64_t payload_bytes = 0;
    /// The state after this block has no entry in frames before this one: as long as it is there
    /// the state can be gone back to. At least 1, at most `sequence`; never falls.
    uint64_t oldest_sequence = 0;
    uint8_t root[32] = {};    ///< of the state after the block
    uint8_t parent[32] = {};  ///< frame_hash of the frame before; zero for the first
};
static_assert(sizeof(FrameHeader) == 128 && std::is_trivially_copyable_v<FrameHeader>);

/// At offset 0 of each segment file, in a block of frame_alignment_bytes of its own.
struct SegmentHeader {
    uint32_t magic = segment_magic;
    uint16_t version = format_version;
    uint16_t form = 0;        ///< 0: frames follow; 1: it was rewritten (rewritten_segment.hpp)
    uint32_t header_crc = 0;  ///< CRC-32C of this header with this field zero
    uint32_t reserved2 = 0;
    uint64_t log_id = 0;
    uint64_t segment_bytes = 0;
    uint64_t segment_number = 0;   ///< from 0
    uint64_t first_sequence = 0;   ///< of the first frame; everything before it is durable
    uint64_t previous_height = 0;  ///< of the frame before; 0 for the first
    uint64_t generation = 0;
    uint8_t identity[32] = {};  ///< what the log holds: the caller's affair
    uint8_t parent[32] = {};    ///< frame_hash of the frame before
};
static_assert(sizeof(SegmentHeader) == 128 && std::is_trivially_copyable_v<SegmentHeader>);

/// Bytes that a frame with such a payload takes.
constexpr uint64_t frame_bytes(uint64_t payload_bytes) noexcept {
    return (sizeof(FrameHeader) + payload_bytes + frame_alignment_bytes - 1) /
           frame_alignment_bytes * frame_alignment_bytes;
}

/// Longest payload of a frame in segments of this size. Places in a payload have 32 bits, so from
/// 4 GiB on a larger segment has more frames, not longer ones.
constexpr uint64_t payload_bytes_max_in(uint64_t segment_bytes) noexcept {
    constexpr uint64_t places = ~uint32_t{0};
    const uint64_t room = segment_bytes - frame_alignment_bytes - sizeof(FrameHeader);
    return room < places ? room : places;
}

/// Fills in the checksums and the length for the payload that follows at `frame` + the header, and
/// writes the header there.
void seal_frame(FrameHeader header, uint64_t payload_bytes, uint8_t* frame) noexcept;

/// Why the bytes at a place are not a frame.
enum class FrameState : uint8_t { valid, bad_header, bad_payload };

struct Frame {
    FrameState state = FrameState::bad_header;
    FrameHeader header;  ///< right unless the state is bad_header
    ByteView payload;    ///< right if the state is valid; points into the input
};
/// Reads the frame at the start of `data`, which goes on to the end of the segment. `verify` false
/// skips the payload's checksum: it exists for the mutant that the tests must catch.
Frame read_frame(ByteView data, bool verify = true) noexcept;

/// Whether a header read from the disk can be one: its checksum and what holds for all of them.
bool is_frame_header(const FrameHeader& header) noexcept;

/// Keccak-256 of the header. It contains the checksum of the payload, so the chain orders frames
/// and tells lives of the log apart; it does not authenticate the payload (the root does).
Hash256 frame_hash(const FrameHeader& header) noexcept;

/// Writes the header with its checksum to `out`.
void write_segment_header(SegmentHeader header, uint8_t* out) noexcept;
std::optional<SegmentHeader> read_segment_header(ByteView data) noexcept;

}  // namespace millrace::storage::qmdb
