// SPDX-License-Identifier: Apache-2.0
// Owns arithmetic modulo the field prime p = 2^256 - 2^32 - 977 on eight 32-bit limbs.
#pragma once

#include "kernels/secp256k1/detail/gpu/carry.hpp"
#include "kernels/secp256k1/detail/gpu/wide.hpp"

namespace millrace::kernels::gpu {

/// A residue modulo p, least significant limb first. Any value below 2^256 stands for its residue:
/// only normalized() gives the one below p. Every operation takes and gives such values.
struct alignas(16) Field {
    uint32_t v[8];
};

/// 2^256 = 2^32 + fold_low (mod p): the top of a number is multiplied by it and added below.
inline constexpr uint32_t fold_low = 977;

MILLRACE_GPU Field field_of(uint32_t small) { return {{small, 0, 0, 0, 0, 0, 0, 0}}; }

/// Limb i of p.
MILLRACE_GPU constexpr uint32_t prime_limb(int i) {
    return i == 0 ? 0xfffffc2fu : i == 1 ? 0xfffffffeu : 0xffffffffu;
}

/// For invert().
struct FieldModulus {
    MILLRACE_GPU static constexpr uint32_t limb(int i) { return prime_limb(i); }
};

/// r + top * 2^256 for a top of at most 16, folded to below 2^256.
MILLRACE_GPU void fold_small_top(Field& r, uint32_t top) {
    r.v[0] = add_cc(r.v[0], top * fold_low);
    r.v[1] = addc_cc(r.v[1], top);
#pragma unroll
    for (int i = 2; i < 8; ++i) { r.v[i] = addc_cc(r.v[i], 0); }
    const uint32_t carry = carry_out();
    // If it is set, r is below 2^37 now: the sum stays in two limbs.
    r.v[0] = add_cc(r.v[0], carry * fold_low);
    r.v[1] = addc(r.v[1], carry);
}

/// Sixteen limbs modulo p.
MILLRACE_GPU Field reduce(const uint32_t* t) {
    const uint32_t* const h = t + 8;
    Field r;
    // h * 977 in two chains: even limbs onto the low half, odd limbs onto h * 2^32.
    uint32_t odd[9];
    r.v[0] = mad_lo_cc(h[0], fold_low, t[0]);
    r.v[1] = madc_hi_cc(h[0], fold_low, t[1]);
#pragma unroll
    for (int i = 2; i < 8; i += 2) {
        r.v[i] = madc_lo_cc(h[i], fold_low, t[i]);
        r.v[i + 1] = madc_hi_cc(h[i], fold_low, t[i + 1]);
    }
    uint32_t top = carry_out();
    odd[0] = mad_lo_cc(h[1], fold_low, h[0]);
    odd[1] = madc_hi_cc(h[1], fold_low, h[1]);
#pragma unroll
    for (int i = 2; i < 8; i += 2) {
        odd[i] = madc_lo_cc(h[i + 1], fold_low, h[i]);
        odd[i + 1] = madc_hi_cc(h[i + 1], fold_low, h[i + 1]);
    }
    odd[8] = carry_out();
    r.v[1] = add_cc(r.v[1], odd[0]);
#pragma unroll
    for (int i = 2; i < 8; ++i) { r.v[i] = addc_cc(r.v[i], odd[i - 1]); }
    top = addc_cc(top, odd[7]);
    const uint32_t top_high = addc(odd[8], 0);
    // The sum is below 2^256 * (2^32 + 978), so top_high is 0 or 1 and nothing overflows below.
    uint32_t low;
    uint32_t high;
    mul_wide(top, fold_low, low, high);
    const uint32_t middle = add_cc(high + top_high * fold_low, top);
    const uint32_t upper = addc(top_high, 0);
    r.v[0] = add_cc(r.v[0], low);
    r.v[1] = addc_cc(r.v[1], middle);
    r.v[2] = addc_cc(r.v[2], upper);
#pragma unroll
    for (int i = 3; i < 8; ++i) { r.v[i] = addc_cc(r.v[i], 0); }
    const uint32_t carry = carry_out();
    // If it is set, r is below 2^66 now: the sum stays in three limbs.
    r.v[0] = add_cc(r.v[0], carry * fold_low);
    r.v[1] = addc_cc(r.v[1], carry);
    r.v[2] = addc(r.v[2], 0);
    return r;
}

MILLRACE_GPU Field mul(const Field& a, const Field& b) {
    uint32_t t[16];
    mul_8x8(a.v, b.v, t);
    return reduce(t);
}

MILLRACE_GPU Field sqr(const Field& a) {
    uint32_t t[16];
    sqr_8(a.v, t);
    return reduce(t);
}

MILLRACE_GPU Field add(const Field& a, const Field& b) {
    Field r;
    r.v[0] = add_cc(a.v[0], b.v[0]);
#pragma unroll
    for (int i = 1; i < 8; ++i) { r.v[i] = addc_cc(a.v[i], b.v[i]); }
    fold_small_top(r, carry_out());
    return r;
}

/// r - borrows * 2^256 for at most 3 borrows.
MILLRACE_GPU void fold_borrows(Field& r, uint32_t borrows) {
    r.v[0] = sub_cc(r.v[0], borrows * fold_low);
    r.v[1] = subc_cc(r.v[1], borrows);
#pragma unroll
    for (int i = 2; i < 8; ++i) { r.v[i] = subc_cc(r.v[i], 0); }
    const uint32_t again = borrow_mask();
    // If it is set, r is 2^256 less at most 2^34 now: the two low limbs take the rest.
    r.v[0] = sub_cc(r.v[0], again & fold_low);
    r.v[1] = subc(r.v[1], again & 1);
}

/// r -= b, giving the borrow as a mask.
MILLRACE_GPU uint32_t subtract_limbs(Field& r, const Field& b) {
    r.v[0] = sub_cc(r.v[0], b.v[0]);
#pragma unroll
    for (int i = 1; i < 8; ++i) { r.v[i] = subc_cc(r.v[i], b.v[i]); }
    return borrow_mask();
}

MILLRACE_GPU Field sub(const Field& a, const Field& b) {
    Field r = a;
    const uint32_t borrow = subtract_limbs(r, b);
    fold_borrows(r, borrow & 1);
    return r;
}

/// a - 2b, folded once.
MILLRACE_GPU Field sub_twice(const Field& a, const Field& b) {
    Field r = a;
    uint32_t borrows = 0u - subtract_limbs(r, b);
    borrows -= subtract_limbs(r, b);
    fold_borrows(r, borrows);
    return r;
}

/// a - b - 2c, folded once.
MILLRACE_GPU Field sub_and_twice(const Field& a, const Field& b, const Field& c) {
    Field r = a;
    uint32_t borrows = 0u - subtract_limbs(r, b);
    borrows -= subtract_limbs(r, c);
    borrows -= subtract_limbs(r, c);
    fold_borrows(r, borrows);
    return r;
}

/// The difference of two products of sixteen limbs, reduced once. A borrow stands for -2^512, which
/// is folded into the upper half as one of 2^256 is into a number.
MILLRACE_GPU Field reduce_difference(uint32_t* t, const uint32_t* minus) {
    t[0] = sub_cc(t[0], minus[0]);
#pragma unroll
    for (int i = 1; i < 16; ++i) { t[i] = subc_cc(t[i], minus[i]); }
    const uint32_t borrow = borrow_mask();
    Field high;
#pragma unroll
    for (int i = 0; i < 8; ++i) { high.v[i] = t[8 + i]; }
    fold_borrows(high, borrow & 1);
#pragma unroll
    for (int i = 0; i < 8; ++i) { t[8 + i] = high.v[i]; }
    return reduce(t);
}

/// a * b - c * d
MILLRACE_GPU Field mul_minus_mul(const Field& a, const Field& b, const Field& c, const Field& d) {
    uint32_t minus[16];
    uint32_t t[16];
    mul_8x8(c.v, d.v, minus);
    mul_8x8(a.v, b.v, t);
    return reduce_difference(t, minus);
}

/// a * b - c * c
MILLRACE_GPU Field mul_minus_sqr(const Field& a, const Field& b, const Field& c) {
    uint32_t minus[16];
    uint32_t t[16];
    sqr_8(c.v, minus);
    mul_8x8(a.v, b.v, t);
    return reduce_difference(t, minus);
}

MILLRACE_GPU Field select(bool first, const Field& a, const Field& b) {
    Field r;
#pragma unroll
    for (int i = 0; i < 8; ++i) { r.v[i] = first ? a.v[i] : b.v[i]; }
    return r;
}

MILLRACE_GPU Field negate(const Field& a) { return sub(field_of(0), a); }

MILLRACE_GPU Field negate_if(bool negative, const Field& a) {
    return select(negative, negate(a), a);
}

/// 3a / 2: the sum of three, plus p if that is odd, shifted right by one.
MILLRACE_GPU Field three_halves(const Field& a) {
    Field r;
    r.v[0] = add_cc(a.v[0], a.v[0]);
#pragma unroll
    for (int i = 1; i < 8; ++i) { r.v[i] = addc_cc(a.v[i], a.v[i]); }
    uint32_t top = carry_out();
    r.v[0] = add_cc(r.v[0], a.v[0]);
#pragma unroll
    for (int i = 1; i < 8; ++i) { r.v[i] = addc_cc(r.v[i], a.v[i]); }
    top = addc(top, 0);
    const uint32_t odd = 0u - (r.v[0] & 1);
    r.v[0] = add_cc(r.v[0], odd & prime_limb(0));
#pragma unroll
    for (int i = 1; i < 8; ++i) { r.v[i] = addc_cc(r.v[i], odd & prime_limb(i)); }
    top = addc(top, 0);
#pragma unroll
    for (int i = 0; i < 7; ++i) { r.v[i] = r.v[i] >> 1 | r.v[i + 1] << 31; }
    r.v[7] = r.v[7] >> 1 | top << 31;
    fold_small_top(r, top >> 1);
    return r;
}

/// The residue below p: a + 2^32 + 977 passes 2^256 exactly if a is p or more.
MILLRACE_GPU Field normalized(const Field& a) {
    Field r;
    r.v[0] = add_cc(a.v[0], fold_low);
    r.v[1] = addc_cc(a.v[1], 1);
#pragma unroll
    for (int i = 2; i < 8; ++i) { r.v[i] = addc_cc(a.v[i], 0); }
    return select(carry_out() != 0, r, a);
}

MILLRACE_GPU uint32_t any_bit(const uint32_t* v) {
    uint32_t bits = 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) { bits |= v[i]; }
    return bits;
}

MILLRACE_GPU bool is_zero(const Field& a) { return any_bit(normalized(a).v) == 0; }
MILLRACE_GPU bool equal(const Field& a, const Field& b) { return is_zero(sub(a, b)); }
MILLRACE_GPU bool is_odd(const Field& a) { return (normalized(a).v[0] & 1) != 0; }

/// a^(2^count)
MILLRACE_GPU Field sqr_times(Field a, int count) {
#pragma unroll 1
    for (int i = 0; i < count; ++i) { a = sqr(a); }
    return a;
}

/// a^((p + 1) / 4), a root of a if a is a square. The exponent is 223 ones, a zero, 22 ones, four
/// zeros, 11 and two zeros; xN is a to the power of N ones. 254 squarings and 13 multiplications.
MILLRACE_GPU Field square_root(const Field& a) {
    const Field x2 = mul(sqr(a), a);
    const Field x3 = mul(sqr(x2), a);
    const Field x6 = mul(sqr_times(x3, 3), x3);
    const Field x9 = mul(sqr_times(x6, 3), x3);
    const Field x11 = mul(sqr_times(x9, 2), x2);
    const Field x22 = mul(sqr_times(x11, 11), x11);
    const Field x44 = mul(sqr_times(x22, 22), x22);
    const Field x88 = mul(sqr_times(x44, 44), x44);
    const Field x176 = mul(sqr_times(x88, 88), x88);
    const Field x220 = mul(sqr_times(x176, 44), x44);
    const Field x223 = mul(sqr_times(x220, 3), x3);
    const Field low = mul(sqr_times(x223, 23), x22);
    return sqr_times(mul(sqr_times(low, 6), x2), 2);
}

}  // namespace millrace::kernels::gpu
