// SPDX-License-Identifier: Apache-2.0
// Owns writing and checking of frames and segment headers of the entry log.
#include "storage/qmdb/frame.hpp"

#include <cstring>

#include "kernels/keccak/keccak.hpp"
#include "storage/detail/header_crc.hpp"
#include "storage/io/crc32c.hpp"

namespace millrace::storage::qmdb {

using detail::bytes_of;
using detail::crc_of;

void seal_frame(FrameHeader header, uint64_t payload_bytes, uint8_t* frame) noexcept {
    header.payload_bytes = payload_bytes;
    header.payload_crc = crc32c({frame + sizeof header, payload_bytes});
    header.header_crc = crc_of(header);
    std::memcpy(frame, &header, sizeof header);
}

bool is_frame_header(const FrameHeader& h) noexcept {
    return h.magic == frame_magic && h.version == format_version && h.reserved == 0 &&
           h.oldest_sequence != 0 && h.oldest_sequence <= h.sequence && h.header_crc == crc_of(h);
}

Frame read_frame(ByteView data, bool verify) noexcept {
    Frame f;
    if (data.size() < sizeof f.header) { return f; }
    std::memcpy(&f.header, data.data(), sizeof f.header);
    const FrameHeader& h = f.header;
    if (!is_frame_header(h) || h.payload_bytes > data.size() ||
        frame_bytes(h.payload_bytes) > data.size()) {
        return f;
    }
    f.payload = data.subspan(sizeof h, h.payload_bytes);
    const bool whole = !verify || h.payload_crc == crc32c(f.payload);
    f.state = whole ? FrameState::valid : FrameState::bad_payload;
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
    SegmentHeader h;
    if (data.size() < sizeof h) { return std::nullopt; }
    std::memcpy(&h, data.data(), sizeof h);
    if (h.magic != segment_magic || h.version != format_version || h.header_crc != crc_of(h)) {
        return std::nullopt;
    }
    return h;
}

}  // namespace millrace::storage::qmdb
