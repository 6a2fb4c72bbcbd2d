// SPDX-License-Identifier: Apache-2.0
// Owns writing and checking of frames and segment headers.
#include "storage/wal/frame.hpp"

#include <algorithm>
#include <cstring>

#include "kernels/keccak/keccak.hpp"
#include "storage/detail/header_crc.hpp"
#include "storage/io/crc32c.hpp"

namespace millrace::storage {

using detail::bytes_of;
using detail::crc_of;

void write_frame(FrameHeader header, ByteView payload, uint8_t* out) noexcept {
    header.payload_bytes = payload.size();
    header.payload_crc = crc32c(payload);
    header.header_crc = crc_of(header);
    std::memcpy(out, &header, sizeof header);
    if (!payload.empty()) { std::memcpy(out + sizeof header, payload.data(), payload.size()); }
    const size_t used = sizeof header + payload.size();
    std::memset(out + used, 0, frame_bytes(payload.size()) - used);
}

FrameHeader close_group(uint8_t* frame) noexcept {
    FrameHeader h;
    std::memcpy(&h, frame, sizeof h);
    h.flags |= frame_group_end;
    h.header_crc = crc_of(h);
    std::memcpy(frame, &h, sizeof h);
    return h;
}

std::optional<Frame> read_frame(ByteView data, uint64_t payload_bytes_max, bool verify) noexcept {
    if (data.size() < sizeof(FrameHeader)) { return std::nullopt; }
    Frame f;
    std::memcpy(&f.header, data.data(), sizeof f.header);
    if (f.header.magic != frame_magic || f.header.format_version != wal_format_version ||
        (f.header.flags & ~frame_group_end) != 0) {
        return std::nullopt;
    }
    if (verify && f.header.header_crc != crc_of(f.header)) { return std::nullopt; }
    const uint64_t n = f.header.payload_bytes;
    if (n > payload_bytes_max || frame_bytes(n) > data.size()) { return std::nullopt; }
    f.payload = data.subspan(sizeof f.header, n);
    if (verify && f.header.payload_crc != crc32c(f.payload)) { return std::nullopt; }
    const ByteView padding =
        data.subspan(sizeof f.header + n, frame_bytes(n) - sizeof f.header - n);
    if (!std::all_of(padding.begin(), padding.end(), [](uint8_t b) { return b == 0; })) {
        return std::nullopt;
    }
    return f;
}

Hash256 frame_hash(const FrameHeader& header) noexcept {
    return kernels::keccak256(bytes_of(header));
}

void write_segment_header(SegmentHeader header, uint8_t* out) noexcept {
    header.header_crc = crc_of(header);
    std::memcpy(out, &header, sizeof header);
}

std::optional<SegmentHeader> read_segment_header(ByteView data) noexcept {
    if (data.size() < sizeof(SegmentHeader)) { return std::nullopt; }
    SegmentHeader h;
    std::memcpy(&h, data.data(), sizeof h);
    if (h.magic != segment_magic || h.format_version != wal_format_version ||
        h.header_crc != crc_of(h) || h.reserved != 0 || h.reserved2 != 0) {
        return std::nullopt;
    }
    return h;
}

}  // namespace millrace::storage
