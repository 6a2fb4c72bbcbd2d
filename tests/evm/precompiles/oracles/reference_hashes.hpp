// SPDX-License-Identifier: Apache-2.0
// Owns slow hash functions written from their specifications, for comparison.
#pragma once

#include "host/base/types.hpp"

namespace millrace::evm::oracles {

/// FIPS 180-4.
Bytes reference_sha256(const Bytes& message);
/// Dobbertin, Bosselaers and Preneel, 1996. 20 bytes.
Bytes reference_ripemd160(const Bytes& message);
/// The compression of BLAKE2b (RFC 7693) with any number of rounds: `state` has 64 bytes, `block`
/// 128, both little-endian words.
Bytes reference_blake2b_compress(uint32_t rounds, const Bytes& state, const Bytes& block,
                                 uint64_t counter_low, uint64_t counter_high, bool final_block);

}  // namespace millrace::evm::oracles
