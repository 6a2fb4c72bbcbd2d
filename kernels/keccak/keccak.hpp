// SPDX-License-Identifier: Apache-2.0
// Owns Keccak-256 of one message, as Ethereum uses it (the padding of the Keccak submission).
#pragma once

#include <cstdint>

#include "host/base/types.hpp"

namespace millrace::kernels {

/// Bytes absorbed by one permutation: a message of n bytes takes n / rate + 1 permutations.
inline constexpr size_t keccak256_rate_bytes = 136;

/// Keccak-256 (rate 1088, padding 0x01; not FIPS-202's SHA3-256). Any length, no allocation; safe
/// from any thread and during static initialisation. The first call picks the instruction set of
/// this CPU (AVX-512, BMI2 or neither), which changes no result. About 0.15 us (AVX-512) or 0.2 us
/// for each started 136 bytes on a Zen 5 core.
Hash256 keccak256(ByteView message) noexcept;

/// As keccak256 of exactly 32 or 64 bytes at `message` (any alignment), without the length checks.
/// These are the inputs of storage slots, mapping keys and public keys.
Hash256 keccak256_32(const uint8_t* message) noexcept;
Hash256 keccak256_64(const uint8_t* message) noexcept;

/// Keccak-256 of the empty string: the code hash of an account without code.
inline constexpr Hash256 keccak256_of_empty{{0xc5, 0xd2, 0x46, 0x01, 0x86, 0xf7, 0x23, 0x3c,
                                             0x92, 0x7e, 0x7d, 0xb2, 0xdc, 0xc7, 0x03, 0xc0,
                                             0xe5, 0x00, 0xb6, 0x53, 0xca, 0x82, 0x27, 0x3b,
                                             0x7b, 0xfa, 0xd8, 0x04, 0x5d, 0x85, 0xa4, 0x70}};

}  // namespace millrace::kernels
