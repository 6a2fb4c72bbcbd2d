// SPDX-License-Identifier: Apache-2.0
// Owns arithmetic modulo the group order n, and the digits in which points are multiplied.
#pragma once

#include "kernels/secp256k1/detail/gpu/carry.hpp"
#include "kernels/secp256k1/detail/gpu/wide.hpp"

namespace millrace::kernels::gpu {

/// A residue modulo n, least significant limb first.
struct alignas(16) Scalar {
    uint32_t v[8];
};

MILLRACE_GPU constexpr uint32_t order_limb(int i) {
    constexpr uint32_t limbs[8] = {0xd0364141, 0xbfd25e8c, 0xaf48a03b, 0xbaaedce6,
                                   0xfffffffe, 0xffffffff, 0xffffffff, 0xffffffff};
    return limbs[i];
}

/// For invert().
struct OrderModulus {
    MILLRACE_GPU static constexpr uint32_t limb(int i) { return order_limb(i); }
};

/// 2^256 - n, below 2^129.
inline constexpr int order_fold_limbs = 5;
MILLRACE_GPU constexpr uint32_t order_fold_limb(int i) {
    constexpr uint32_t limbs[order_fold_limbs] = {0x2fc9bebf, 0x402da173, 0x50b75fc4, 0x45512319,
                                                  0x00000001};
    return limbs[i];
}

/// sum += a * b modulo 2^(32 sum_limbs), row by row. `limb_of_b` gives constants.
template <int sum_limbs, int a_limbs, int b_limbs, class Limb>
MILLRACE_GPU void add_product(uint32_t* sum, const uint32_t* a, Limb limb_of_b) {
#pragma unroll
    for (int i = 0; i < a_limbs; ++i) {
        uint64_t carry = 0;
#pragma unroll
        for (int j = 0; j < b_limbs && i + j < sum_limbs; ++j) {
            carry += uint64_t{a[i]} * limb_of_b(j) + sum[i + j];
            sum[i + j] = static_cast<uint32_t>(carry);
            carry >>= 32;
        }
#pragma unroll
        for (int j = i + b_limbs; j < sum_limbs; ++j) {
            carry += sum[j];
            sum[j] = static_cast<uint32_t>(carry);
            carry >>= 32;
        }
    }
}

/// The residue below n of any number below 2^256: a + (2^256 - n) passes 2^256 exactly if a >= n.
MILLRACE_GPU Scalar reduce_once(const uint32_t* a) {
    Scalar r;
    r.v[0] = add_cc(a[0], order_fold_limb(0));
#pragma unroll
    for (int i = 1; i < 8; ++i) {
        r.v[i] = addc_cc(a[i], i < order_fold_limbs ? order_fold_limb(i) : 0);
    }
    const bool above = carry_out() != 0;
#pragma unroll
    for (int i = 0; i < 8; ++i) { r.v[i] = above ? r.v[i] : a[i]; }
    return r;
}

/// a * b below n, for a and b below 2^256. Every fold replaces h * 2^256 by h * (2^256 - n).
MILLRACE_GPU Scalar mul(const Scalar& a, const Scalar& b) {
    const auto fold = [](int i) { return order_fold_limb(i); };
    uint32_t t[16];
    mul_8x8(a.v, b.v, t);
    // Below 2^256 + 2^256 * 2^129: thirteen limbs.
    uint32_t first[13];
#pragma unroll
    for (int i = 0; i < 13; ++i) { first[i] = i < 8 ? t[i] : 0; }
    add_product<13, 8, order_fold_limbs>(first, t + 8, fold);
    // The upper five limbs are below 2^130: the sum is below 2^256 + 2^259.
    uint32_t second[10];
#pragma unroll
    for (int i = 0; i < 10; ++i) { second[i] = i < 8 ? first[i] : 0; }
    add_product<10, 5, order_fold_limbs>(second, first + 8, fold);
    // The top is below 16: the sum is below 2^256 + 2^133, so it passes 2^256 only to land low.
    uint32_t third[9];
#pragma unroll
    for (int i = 0; i < 9; ++i) { third[i] = i < 8 ? second[i] : 0; }
    add_product<9, 1, order_fold_limbs>(third, second + 8, fold);
    const uint32_t wrapped = third[8];
    third[8] = 0;
    add_product<9, 1, order_fold_limbs>(third, &wrapped, fold);
    return reduce_once(third);
}

/// n - a for a in [0, n): n itself for zero.
MILLRACE_GPU Scalar order_minus(const Scalar& a) {
    Scalar r;
    r.v[0] = sub_cc(order_limb(0), a.v[0]);
#pragma unroll
    for (int i = 1; i < 7; ++i) { r.v[i] = subc_cc(order_limb(i), a.v[i]); }
    r.v[7] = subc(order_limb(7), a.v[7]);
    return r;
}

/// Whether a lies in [1, n).
MILLRACE_GPU bool is_in_order(const uint32_t* a) {
    uint32_t bits = a[0];
    (void)sub_cc(a[0], order_limb(0));
#pragma unroll
    for (int i = 1; i < 8; ++i) {
        bits |= a[i];
        (void)subc_cc(a[i], order_limb(i));
    }
    return borrow_mask() != 0 && bits != 0;
}

// Digits. A number is written with digits that are all odd, from -(2^w - 1) to 2^w - 1: then no
// digit is zero and every thread of a warp does the same additions. An odd k in (-2^m, 2^m) is the
// sum of (2 b[j] - 1) 2^j over the m bits of b = (k + 2^m - 1) / 2, so the digits are the windows
// of w bits of b, each window x standing for 2 x - (2^w - 1).

/// Windows of the two halves of the factor of the signature's point, and of the generator's factor.
inline constexpr int point_window_bits = 5;
inline constexpr int point_windows = 26;
inline constexpr int generator_window_bits = 13;
inline constexpr int generator_windows = 20;
inline constexpr int point_table_entries = 1 << (point_window_bits - 1);
inline constexpr int generator_table_row = 1 << (generator_window_bits - 1);

/// A digit as index and sign: it is 2 * index + 1, negated if the bit above the index is set.
template <int window_bits>
MILLRACE_GPU uint32_t digit_of_window(uint32_t window) {
    constexpr uint32_t half = 1u << (window_bits - 1);
    return (window & half) != 0 ? window & (half - 1) : (~window & (half - 1)) | half;
}

/// The digit of the lowest window, which is shifted out.
template <int window_bits, int limbs>
MILLRACE_GPU uint32_t take_digit(uint32_t (&v)[limbs]) {
    const uint32_t window = v[0] & ((1u << window_bits) - 1);
#pragma unroll
    for (int i = 0; i < limbs - 1; ++i) {
        v[i] = v[i] >> window_bits | v[i + 1] << (32 - window_bits);
    }
    v[limbs - 1] >>= window_bits;
    return digit_of_window<window_bits>(window);
}

/// The lattice basis of split(): a + b * lambda = 0 (mod n) for (a1, -b1) and (a2, a1).
MILLRACE_GPU constexpr uint32_t lattice_a1(int i) {
    constexpr uint32_t limbs[5] = {0x9284eb15, 0xe86c90e4, 0xa7d46bcd, 0x3086d221, 0};
    return limbs[i];
}
MILLRACE_GPU constexpr uint32_t lattice_b1(int i) {
    constexpr uint32_t limbs[5] = {0x0abfe4c3, 0x6f547fa9, 0x010e8828, 0xe4437ed6, 0};
    return limbs[i];
}
MILLRACE_GPU constexpr uint32_t lattice_a2(int i) {
    constexpr uint32_t limbs[5] = {0x9d44cfd8, 0x57c1108d, 0xa8e2f3f6, 0x14ca50f7, 1};
    return limbs[i];
}

/// x -= y & mask and x += y & mask modulo 2^160, where y(i) gives the limbs.
template <class Limb>
MILLRACE_GPU void subtract_masked(uint32_t* x, Limb y, uint32_t mask) {
    x[0] = sub_cc(x[0], y(0) & mask);
#pragma unroll
    for (int i = 1; i < 5; ++i) { x[i] = subc_cc(x[i], y(i) & mask); }
}
template <class Limb>
MILLRACE_GPU void add_masked(uint32_t* x, Limb y, uint32_t mask) {
    x[0] = add_cc(x[0], y(0) & mask);
#pragma unroll
    for (int i = 1; i < 5; ++i) { x[i] = addc_cc(x[i], y(i) & mask); }
}

/// The windows' number b (five limbs) of each half: k = first + second * lambda (mod n).
struct SplitWindows {
    uint32_t first[5];
    uint32_t second[5];
};

/// Splits k in [0, n) by the endomorphism (Gallant, Lambert, Vanstone 2001).
///
/// The rounded quotients leave halves of at most (a1 + a2) / 2 and (b1 + a1) / 2 in size, up to a
/// unit. The basis modulo 2 is (1, 1), (0, 1), so adding some of its vectors makes both halves odd;
/// their sizes stay below 2^129, well within the 130 bits of the windows.
MILLRACE_GPU SplitWindows split(const Scalar& k) {
    constexpr int limbs = 5;
    // round(2^384 a1 / n) and round(2^384 b1 / n).
    constexpr uint32_t g1[8] = {0x45dbb031, 0xe893209a, 0x71e8ca7f, 0x3daa8a14,
                                0x9284eb15, 0xe86c90e4, 0xa7d46bcd, 0x3086d221};
    constexpr uint32_t g2[8] = {0x8ac47f71, 0x1571b4ae, 0x9df506c6, 0x221208ac,
                                0x0abfe4c4, 0x6f547fa9, 0x010e8828, 0xe4437ed6};
    // The quotients c1 and c2: the products shifted right by 384 bits, rounded.
    const auto quotient = [&k](const uint32_t* g, uint32_t* c) {
        uint32_t t[16];
        mul_8x8(k.v, g, t);
        c[0] = add_cc(t[12], t[11] >> 31);
        c[1] = addc_cc(t[13], 0);
        c[2] = addc_cc(t[14], 0);
        c[3] = addc(t[15], 0);
    };
    uint32_t c1[4];
    uint32_t c2[4];
    quotient(g1, c1);
    quotient(g2, c2);

    // first = k - c1 a1 - c2 a2 and second = c1 b1 - c2 a1, as numbers modulo 2^160 with a sign.
    const auto a1 = [](int i) { return lattice_a1(i); };
    const auto b1 = [](int i) { return lattice_b1(i); };
    const auto a2 = [](int i) { return lattice_a2(i); };
    uint32_t taken[limbs] = {};
    add_product<limbs, 4, limbs>(taken, c1, a1);
    add_product<limbs, 4, limbs>(taken, c2, a2);
    uint32_t lent[limbs] = {};
    add_product<limbs, 4, limbs>(lent, c2, a1);
    SplitWindows r{};
    add_product<limbs, 4, limbs>(r.second, c1, b1);
#pragma unroll
    for (int i = 0; i < limbs; ++i) { r.first[i] = k.v[i]; }
    subtract_masked(r.first, [&taken](int i) { return taken[i]; }, ~0u);
    subtract_masked(r.second, [&lent](int i) { return lent[i]; }, ~0u);

    const uint32_t first_even = (r.first[0] & 1) - 1;
    add_masked(r.first, a1, first_even);
    subtract_masked(r.second, b1, first_even);
    const uint32_t second_even = (r.second[0] & 1) - 1;
    add_masked(r.first, a2, second_even);
    add_masked(r.second, a1, second_even);

    // b = (x + 2^130 - 1) / 2.
    const auto to_windows = [](uint32_t* x) {
        x[0] = add_cc(x[0], ~0u);
#pragma unroll
        for (int i = 1; i < 4; ++i) { x[i] = addc_cc(x[i], ~0u); }
        x[4] = addc(x[4], (1u << (point_window_bits * point_windows - 128)) - 1);
#pragma unroll
        for (int i = 0; i < 4; ++i) { x[i] = x[i] >> 1 | x[i + 1] << 31; }
        x[4] >>= 1;
    };
    to_windows(r.first);
    to_windows(r.second);
    return r;
}

/// The windows' number (nine limbs) of u in [0, n), and whether it is that of n - u, which is taken
/// if u is even.
struct GeneratorWindows {
    uint32_t v[9];
    bool negated;
};

MILLRACE_GPU GeneratorWindows generator_windows_of(const Scalar& u) {
    const bool even = (u.v[0] & 1) == 0;
    const Scalar other = order_minus(u);
    GeneratorWindows r;
    r.negated = even;
    uint32_t odd[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) { odd[i] = even ? other.v[i] : u.v[i]; }
#pragma unroll
    for (int i = 0; i < 7; ++i) { r.v[i] = odd[i] >> 1 | odd[i + 1] << 31; }
    r.v[7] = odd[7] >> 1;
    // (u - 1) / 2 + 2^259.
    r.v[8] = 1u << (generator_window_bits * generator_windows - 1 - 256);
    return r;
}

}  // namespace millrace::kernels::gpu
