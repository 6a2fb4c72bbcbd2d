// SPDX-License-Identifier: Apache-2.0
// Owns the sizes of RLP items, so that nested lists are written without intermediate copies.
#pragma once

#include <bit>
#include <cstddef>

#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::evm::detail {

inline constexpr size_t encoded_hash_bytes = 33;
inline constexpr size_t encoded_address_bytes = 21;

/// Size of an item or list header in front of `payload_bytes`.
constexpr size_t header_bytes(size_t payload_bytes) noexcept {
    return payload_bytes <= 55 ? 1
                               : 1 + (static_cast<size_t>(std::bit_width(payload_bytes)) + 7) / 8;
}
constexpr size_t encoded_list_bytes(size_t payload_bytes) noexcept {
    return header_bytes(payload_bytes) + payload_bytes;
}
constexpr size_t encoded_bytes(ByteView v) noexcept {
    return v.size() == 1 && v[0] < 0x80 ? 1 : header_bytes(v.size()) + v.size();
}
constexpr size_t encoded_bytes(const U256& v) noexcept {
    return v < U256{0x80} ? 1 : 1 + byte_length(v);
}

}  // namespace millrace::evm::detail
