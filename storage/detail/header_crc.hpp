// SPDX-License-Identifier: Apache-2.0
// Owns the checksum of headers that are written as they lie in memory.
#pragma once

#include <bit>
#include <type_traits>

#include "host/base/types.hpp"
#include "storage/io/crc32c.hpp"

namespace millrace::storage::detail {

static_assert(std::endian::native == std::endian::little, "headers are copied as they are");

template <class Header>
ByteView bytes_of(const Header& h) noexcept {
    static_assert(std::is_trivially_copyable_v<Header>);
    return {reinterpret_cast<const uint8_t*>(&h), sizeof h};
}

/// CRC-32C of a header with its member `header_crc` zero.
template <class Header>
uint32_t crc_of(Header h) noexcept {
    h.header_crc = 0;
    return crc32c(bytes_of(h));
}

}  // namespace millrace::storage::detail
