// SPDX-License-Identifier: Apache-2.0
// Owns a slow Keccak that follows the text of FIPS 202 bit by bit, as the oracle of the kernels.
#pragma once

#include "host/base/types.hpp"

namespace millrace::test {

/// Keccak[2 * digest_bits]. `suffix` is the domain byte with the first padding bit: 0x01 for
/// Ethereum's Keccak, 0x06 for SHA-3.
Bytes reference_keccak(ByteView message, size_t digest_bits, uint8_t suffix = 0x01);
/// The same with 256 bits.
Hash256 reference_keccak256(ByteView message, uint8_t suffix = 0x01);

/// `size` bytes that depend on both arguments.
Bytes test_message(size_t size, uint64_t seed = 0);

}  // namespace millrace::test
