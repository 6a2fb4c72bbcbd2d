// SPDX-License-Identifier: Apache-2.0
// Owns the varints of entries, proofs and rewritten segments: LEB128 without superfluous bytes.
#pragma once

#include <cstdint>
#include <optional>

#include "host/base/types.hpp"

namespace millrace::storage {

inline constexpr size_t varint_bytes_max = 10;

/// Writes at most varint_bytes_max; returns the end.
inline uint8_t* put_varint(uint64_t value, uint8_t* out) noexcept {
    while (value >= 0x80) {
        *out++ = static_cast<uint8_t>(value | 0x80);
        value >>= 7;
    }
    *out++ = static_cast<uint8_t>(value);
    return out;
}

/// Takes a varint off the front; nothing when it ends early, overflows or is longer than needed.
inline std::optional<uint64_t> take_varint(ByteView& data) noexcept {
    uint64_t value = 0;
    for (unsigned i = 0; i < varint_bytes_max && i < data.size(); ++i) {
        const uint64_t bits = data[i] & 0x7f;
        if (i == varint_bytes_max - 1 && bits > 1) { return std::nullopt; }
        value |= bits << (7 * i);
        if ((data[i] & 0x80) == 0) {
            if (i != 0 && bits == 0) { return std::nullopt; }
            data = data.subspan(i + 1);
            return value;
        }
    }
    return std::nullopt;
}

}  // namespace millrace::storage
