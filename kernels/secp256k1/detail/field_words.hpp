// SPDX-License-Identifier: Apache-2.0
// Owns the field of secp256k1 in four words of 64 bits, for CPUs without the lanes.
#pragma once

#include <cstddef>
#include <cstdint>

#include "host/base/u256.hpp"
#include "kernels/secp256k1/detail/scalar.hpp"

#define MILLRACE_FIELD_INLINE inline __attribute__((always_inline))

namespace millrace::kernels::detail {

/// Any number below 2^256 that stands for its remainder modulo p = 2^256 - 0x1000003d1. Every
/// operation takes and gives such numbers; `canonical` gives the one below p.
struct FieldWords {
    uint64_t w[4];

    static constexpr uint64_t fold = 0x1000003d1;

    static constexpr FieldWords of(const U256& v) noexcept {
        return {{v.w[0], v.w[1], v.w[2], v.w[3]}};
    }
    constexpr U256 canonical() const noexcept {
        const U256 v{w[3], w[2], w[1], w[0]};
        return v >= secp256k1_field_prime ? v - secp256k1_field_prime : v;
    }
    constexpr bool is_zero() const noexcept { return canonical().is_zero(); }
};

namespace words {

using Uint128 = unsigned __int128;

/// sum + a * b + carry, of which the low word is returned and the high one becomes the carry.
MILLRACE_FIELD_INLINE uint64_t multiply_add(uint64_t sum, uint64_t a, uint64_t b,
                                            uint64_t& carry) noexcept {
    const Uint128 t = static_cast<Uint128>(a) * b + sum + carry;
    carry = static_cast<uint64_t>(t >> 64);
    return static_cast<uint64_t>(t);
}

/// Adds a number below 2^68 to words that stand for a field element. The carry out of them counts
/// `fold`; after it there can be no other, since the words are then small.
MILLRACE_FIELD_INLINE FieldWords add_small(const uint64_t* w, uint64_t low,
                                           uint64_t high) noexcept {
    FieldWords r;
    uint64_t carry = 0;
    r.w[0] = millrace::detail::add_carry(w[0], low, carry);
    r.w[1] = millrace::detail::add_carry(w[1], high, carry);
    r.w[2] = millrace::detail::add_carry(w[2], 0, carry);
    r.w[3] = millrace::detail::add_carry(w[3], 0, carry);
    if (carry != 0) [[unlikely]] {
        carry = 0;
        r.w[0] = millrace::detail::add_carry(r.w[0], FieldWords::fold, carry);
        r.w[1] += carry;
    }
    return r;
}

/// Eight words as an element: the upper four times `fold`, then what is above again.
MILLRACE_FIELD_INLINE FieldWords reduce(const uint64_t* t) noexcept {
    uint64_t carry = 0;
    uint64_t r[4];
    for (size_t i = 0; i < 4; ++i) { r[i] = multiply_add(t[i], t[4 + i], FieldWords::fold, carry); }
    const Uint128 above = static_cast<Uint128>(carry) * FieldWords::fold;
    return add_small(r, static_cast<uint64_t>(above), static_cast<uint64_t>(above >> 64));
}

}  // namespace words

MILLRACE_FIELD_INLINE FieldWords operator*(const FieldWords& a, const FieldWords& b) noexcept {
    uint64_t t[8];
    uint64_t carry = 0;
    for (size_t j = 0; j < 4; ++j) { t[j] = words::multiply_add(0, a.w[0], b.w[j], carry); }
    t[4] = carry;
#pragma clang loop unroll(full)
    for (size_t i = 1; i < 4; ++i) {
        carry = 0;
#pragma clang loop unroll(full)
        for (size_t j = 0; j < 4; ++j) {
            t[i + j] = words::multiply_add(t[i + j], a.w[i], b.w[j], carry);
        }
        t[i + 4] = carry;
    }
    return words::reduce(t);
}

MILLRACE_FIELD_INLINE FieldWords square(const FieldWords& a) noexcept {
    // Products of two different words, doubled, then the squares.
    uint64_t t[8];
    uint64_t carry = 0;
    t[1] = words::multiply_add(0, a.w[0], a.w[1], carry);
    t[2] = words::multiply_add(0, a.w[0], a.w[2], carry);
    t[3] = words::multiply_add(0, a.w[0], a.w[3], carry);
    t[4] = carry;
    carry = 0;
    t[3] = words::multiply_add(t[3], a.w[1], a.w[2], carry);
    t[4] = words::multiply_add(t[4], a.w[1], a.w[3], carry);
    t[5] = carry;
    carry = 0;
    t[5] = words::multiply_add(t[5], a.w[2], a.w[3], carry);
    t[6] = carry;
    t[7] = t[6] >> 63;
    for (size_t i = 6; i > 1; --i) { t[i] = t[i] << 1 | t[i - 1] >> 63; }
    t[1] <<= 1;
    uint64_t add = 0;
    for (size_t i = 0; i < 4; ++i) {
        const words::Uint128 s = static_cast<words::Uint128>(a.w[i]) * a.w[i];
        t[2 * i] = i == 0 ? static_cast<uint64_t>(s)
                          : millrace::detail::add_carry(t[2 * i], static_cast<uint64_t>(s), add);
        t[2 * i + 1] =
            millrace::detail::add_carry(t[2 * i + 1], static_cast<uint64_t>(s >> 64), add);
    }
    return words::reduce(t);
}

MILLRACE_FIELD_INLINE FieldWords operator+(const FieldWords& a, const FieldWords& b) noexcept {
    uint64_t sum[4];
    uint64_t carry = 0;
    for (size_t i = 0; i < 4; ++i) { sum[i] = millrace::detail::add_carry(a.w[i], b.w[i], carry); }
    return words::add_small(sum, carry != 0 ? FieldWords::fold : 0, 0);
}

MILLRACE_FIELD_INLINE FieldWords operator-(const FieldWords& a, const FieldWords& b) noexcept {
    FieldWords r;
    uint64_t borrow = 0;
    for (size_t i = 0; i < 4; ++i) {
        r.w[i] = millrace::detail::sub_borrow(a.w[i], b.w[i], borrow);
    }
    // A borrow took 2^256, which is `fold` too much.
    uint64_t again = 0;
    r.w[0] = millrace::detail::sub_borrow(r.w[0], borrow != 0 ? FieldWords::fold : 0, again);
    for (size_t i = 1; i < 4; ++i) { r.w[i] = millrace::detail::sub_borrow(r.w[i], 0, again); }
    if (again != 0) [[unlikely]] { r.w[0] -= FieldWords::fold; }
    return r;
}

/// a / 2
MILLRACE_FIELD_INLINE FieldWords half(const FieldWords& a) noexcept {
    // An odd number becomes even by adding p, which is 2^256 - fold.
    const uint64_t odd = ~((a.w[0] & 1) - 1);
    uint64_t sum[4];
    uint64_t carry = 0;
    sum[0] = millrace::detail::add_carry(a.w[0], odd & (~FieldWords::fold + 1), carry);
    for (size_t i = 1; i < 4; ++i) { sum[i] = millrace::detail::add_carry(a.w[i], odd, carry); }
    return {{sum[0] >> 1 | sum[1] << 63, sum[1] >> 1 | sum[2] << 63, sum[2] >> 1 | sum[3] << 63,
             sum[3] >> 1 | carry << 63}};
}

/// 1 / a; 0 for 0.
inline FieldWords inverse(const FieldWords& a) noexcept {
    return FieldWords::of(inverse_mod_field(a.canonical()));
}

}  // namespace millrace::kernels::detail
