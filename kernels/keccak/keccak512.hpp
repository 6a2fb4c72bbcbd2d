// SPDX-License-Identifier: Apache-2.0
// Owns Keccak-512 of one message, which Ethereum uses in the proof of work of its first years.
#pragma once

#include "host/base/types.hpp"

namespace millrace::kernels {

/// Keccak-512 (rate 576, padding 0x01; not FIPS-202's SHA3-512). Any length, no allocation; safe
/// from any thread. Scalar code: nothing on the way of a transaction calls it.
FixedBytes<64> keccak512(ByteView message) noexcept;

}  // namespace millrace::kernels
