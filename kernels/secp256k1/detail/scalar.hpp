// SPDX-License-Identifier: Apache-2.0
// Owns arithmetic modulo the two primes of secp256k1 and the preparation of scalars for the chain.
#pragma once

#include <cstddef>
#include <cstdint>

#include "host/base/u256.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::kernels::detail {

/// p = 2^256 - 2^32 - 977 (SEC 2, 2.4.1).
inline constexpr U256 secp256k1_field_prime{0xffffffffffffffff, 0xffffffffffffffff,
                                            0xffffffffffffffff, 0xfffffffefffffc2f};

/// a * b modulo the group's order, or the field's prime, in [0, modulus). The factors may be any
/// words.
U256 mul_mod_order(const U256& a, const U256& b) noexcept;
U256 mul_mod_field(const U256& a, const U256& b) noexcept;

/// 1 / a modulo the order or the prime; 0 for 0. `a` is below the modulus. Variable time. About
/// 2 us.
U256 inverse_mod_order(const U256& a) noexcept;
U256 inverse_mod_field(const U256& a) noexcept;

/// An integer of three words, two's complement.
struct Half {
    uint64_t w[3];
};

/// k = first + second * lambda modulo the order, where lambda (x, y) = (beta x, y): both parts are
/// odd and between -2^129 and 2^129 (Gallant, Lambert, Vanstone, CRYPTO 2001). `k` is below the
/// order.
struct SplitScalar {
    Half first;
    Half second;
};
SplitScalar split_scalar(const U256& k) noexcept;

/// The bits of (k + 2^130 - 1) / 2 for an odd k between -2^130 and 2^130, in words of 60 bits. With
/// b_i its bit i, k is the sum of (2 b_i - 1) 2^i over 130 bits, so w bits from place j are the
/// odd digit 2 B - (2^w - 1) at 2^j, and no digit is zero.
void recode_half(const Half& k, uint64_t words[3]) noexcept;
/// The same for k or k - n, whichever is odd, over 260 bits in words of 52. `k` is below the order.
void recode_scalar(const U256& k, uint64_t words[5]) noexcept;

}  // namespace millrace::kernels::detail
