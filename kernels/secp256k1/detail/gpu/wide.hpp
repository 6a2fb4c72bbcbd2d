// SPDX-License-Identifier: Apache-2.0
// Owns the products of 256-bit numbers: 64 (36 for a square) 32x32-bit products in carry chains
// that the device runs as IMAD.WIDE.
#pragma once

#include "kernels/secp256k1/detail/gpu/carry.hpp"

namespace millrace::kernels::gpu {

/// Adds `factor` times the limbs a[0], a[2], .. onto pairs of limbs from `sum` on, in one carry
/// chain of `pairs` products; the flag is the carry out.
template <int pairs>
MILLRACE_GPU void mad_row(uint32_t* sum, const uint32_t* a, uint32_t factor) {
    sum[0] = mad_lo_cc(a[0], factor, sum[0]);
    sum[1] = madc_hi_cc(a[0], factor, sum[1]);
#pragma unroll
    for (int i = 1; i < pairs; ++i) {
        sum[2 * i] = madc_lo_cc(a[2 * i], factor, sum[2 * i]);
        sum[2 * i + 1] = madc_hi_cc(a[2 * i], factor, sum[2 * i + 1]);
    }
}

/// As mad_row where the last pair is new: its low limb holds at most a carry of an earlier row, so
/// it takes product and carry without overflow.
template <int pairs>
MILLRACE_GPU void mad_row_to_top(uint32_t* sum, const uint32_t* a, uint32_t factor) {
    constexpr int last = 2 * (pairs - 1);
    if constexpr (pairs == 1) {
        sum[0] = mad_lo_cc(a[0], factor, sum[0]);
    } else {
        mad_row<pairs - 1>(sum, a, factor);
        sum[last] = madc_lo_cc(a[last], factor, sum[last]);
    }
    sum[last + 1] = madc_hi(a[last], factor, 0);
}

template <int pairs>
MILLRACE_GPU void mul_row(uint32_t* product, const uint32_t* a, uint32_t factor) {
#pragma unroll
    for (int i = 0; i < pairs; ++i) {
        mul_wide(a[2 * i], factor, product[2 * i], product[2 * i + 1]);
    }
}

/// t = a * b, sixteen limbs.
///
/// A product of limbs i and j fills limbs i + j and i + j + 1. Those with i + j even go to `even`,
/// the others to `odd`, which lies one limb higher: so every product adds onto an aligned pair, and
/// the products of a row that go to the same array form one carry chain. Rows alternate between
/// chains that end in a new pair and chains whose carry starts the next new pair.
MILLRACE_GPU void mul_8x8(const uint32_t* a, const uint32_t* b, uint32_t* t) {
    uint32_t even[16];
    uint32_t odd[16];
    mul_row<4>(even, a, b[0]);
    mul_row<4>(odd, a + 1, b[0]);
    even[8] = 0;
#pragma unroll
    for (int i = 1; i < 8; i += 2) {
        mad_row<4>(odd + i - 1, a, b[i]);
        odd[i + 7] = carry_out();
        mad_row_to_top<4>(even + i + 1, a + 1, b[i]);
        if (i < 7) {
            mad_row<4>(even + i + 1, a, b[i + 1]);
            even[i + 9] = carry_out();
            mad_row_to_top<4>(odd + i + 1, a + 1, b[i + 1]);
        }
    }
    t[0] = even[0];
    t[1] = add_cc(even[1], odd[0]);
#pragma unroll
    for (int i = 2; i < 15; ++i) { t[i] = addc_cc(even[i], odd[i - 1]); }
    t[15] = addc(even[15], odd[14]);
}

/// t = a * a: the products of different limbs once, doubled, plus the squares of the limbs. Chains
/// as in mul_8x8.
MILLRACE_GPU void sqr_8(const uint32_t* a, uint32_t* t) {
    uint32_t even[14];
    uint32_t odd[14];
    mul_row<4>(odd, a + 1, a[0]);
    mul_row<3>(even + 2, a + 2, a[0]);
    even[8] = 0;
    mad_row<3>(odd + 2, a + 2, a[1]);
    odd[8] = carry_out();
    mad_row_to_top<3>(even + 4, a + 3, a[1]);
    mad_row<2>(even + 6, a + 4, a[2]);
    even[10] = carry_out();
    mad_row_to_top<3>(odd + 4, a + 3, a[2]);
    mad_row<2>(odd + 6, a + 4, a[3]);
    odd[10] = carry_out();
    mad_row_to_top<2>(even + 8, a + 5, a[3]);
    mad_row<1>(even + 10, a + 6, a[4]);
    even[12] = carry_out();
    mad_row_to_top<2>(odd + 8, a + 5, a[4]);
    mad_row<1>(odd + 10, a + 6, a[5]);
    odd[12] = carry_out();
    mad_row_to_top<1>(even + 12, a + 7, a[5]);
    mad_row_to_top<1>(odd + 12, a + 7, a[6]);

    // The products of different limbs sum to less than 2^480, as they do for 2^256 - 1.
    uint32_t cross[15];
    cross[1] = odd[0];
    cross[2] = add_cc(even[2], odd[1]);
#pragma unroll
    for (int i = 3; i < 14; ++i) { cross[i] = addc_cc(even[i], odd[i - 1]); }
    cross[14] = addc(odd[13], 0);
    t[0] = 0;
    t[1] = cross[1] << 1;
#pragma unroll
    for (int i = 2; i < 15; ++i) { t[i] = cross[i] << 1 | cross[i - 1] >> 31; }
    t[15] = cross[14] >> 31;
    t[0] = mad_lo_cc(a[0], a[0], t[0]);
    t[1] = madc_hi_cc(a[0], a[0], t[1]);
#pragma unroll
    for (int i = 1; i < 8; ++i) {
        t[2 * i] = madc_lo_cc(a[i], a[i], t[2 * i]);
        t[2 * i + 1] = i < 7 ? madc_hi_cc(a[i], a[i], t[2 * i + 1]) : madc_hi(a[i], a[i], t[15]);
    }
}

}  // namespace millrace::kernels::gpu
