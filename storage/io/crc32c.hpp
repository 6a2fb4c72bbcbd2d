// SPDX-License-Identifier: Apache-2.0
// Owns CRC-32C (Castagnoli, RFC 3720 B.4), the checksum of everything on the disk.
#pragma once

#include <cstdint>

#include "host/base/types.hpp"

namespace millrace::storage {

/// CRC-32C of `data`, continuing from `crc` (0 at the start): crc32c(b, crc32c(a)) is the checksum
/// of a followed by b. Uses SSE4.2 where the processor has it.
uint32_t crc32c(ByteView data, uint32_t crc = 0) noexcept;

/// The table-driven form with the same result, for other processors and for tests.
uint32_t crc32c_software(ByteView data, uint32_t crc = 0) noexcept;

}  // namespace millrace::storage
