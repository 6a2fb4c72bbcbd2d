// SPDX-License-Identifier: Apache-2.0
// Owns the small pieces that the contracts over BLS12-381 share on top of blst.
#pragma once

#include <blst.h>

#include "host/base/u256.hpp"

namespace millrace::evm::bls12_381 {

/// The prime order of both groups.
inline constexpr U256 group_order{0x73eda753299d7d48, 0x3339d80809a1d805, 0x53bda402fffe5bfe,
                                  0xffffffff00000001};

/// blst's form of a number below 2^256.
inline blst_scalar to_scalar(const U256& v) noexcept {
    blst_scalar s;
    static_assert(sizeof s.b == sizeof v.w);
    std::memcpy(s.b, v.w, sizeof s.b);
    return s;
}

/// Bits of a scalar that is below the group order.
inline constexpr size_t scalar_bits = 255;

}  // namespace millrace::evm::bls12_381
