// SPDX-License-Identifier: Apache-2.0
// Owns points of secp256k1 in eight lanes: doubling, addition, and the table of a point's
// multiples.
#pragma once

#include "kernels/secp256k1/detail/chain.hpp"
#include "kernels/secp256k1/detail/field_x8.hpp"

namespace millrace::kernels::detail {

namespace {

// Signs. Both formulas below give -y for the cost of no subtraction: a point (x, -y, z) stands for
// the negative of (x, y, z), and doubling and adding negatives gives the negative. So each step
// turns a stored point from plus to minus or back, at the same time in every lane, and the caller
// counts the steps.
//
// Exceptions. The addition is wrong when the two points have equal x, and only then; it leaves z =
// 0 there. Every later step multiplies z by something, so z stays 0 to the end, where it is seen.
// Nothing else makes z zero: the group's order is odd, so no point has y = 0.

/// The point (x / z^2, y / z^3).
template <size_t V>
struct Jacobian {
    Field<V, 2> x;
    Factor<V, 1> y;
    Factor<V, 1> z;
};

/// The negative of 2 * p.
template <size_t V>
MILLRACE_X8_INLINE void double_negate(Jacobian<V>& p) {
    const auto slope = square_thrice(p.x);
    const auto yy = square(p.y);
    p.z = mul_twice(p.y, p.z);
    const auto xyy = masked(mul(p.x, yy));
    const auto x = masked(square_minus_8(slope, xyy));
    // -(slope * (4 x y^2 - x') - 8 y^4)
    p.y = mul_plus_8_squares(slope, sub_scaled<2>(x, xyy), yy);
    p.x = x;
}

/// An affine point, ready to be added.
template <size_t V>
struct Affine {
    Factor<V, 1> x;
    Factor<V, 2> y;
};

/// The negative of p + q, where q is what `look_up` gives and `scale` is p.z seen from the curve of
/// q: p.z itself when both are on one curve. The look-up comes after the first squaring, whose
/// carries leave the units idle.
template <size_t V, class LookUp>
MILLRACE_X8_INLINE void add_negate(Jacobian<V>& p, const Factor<V, 1>& scale, LookUp look_up) {
    const auto zz = square(scale);
    const Affine<V> q = look_up();
    const auto h = mul_minus(q.x, zz, p.x);
    const auto zzz = mul(scale, zz);
    const auto hh = square(h);
    const auto r = mul_minus(q.y, zzz, masked(p.y));
    p.z = mul(p.z, h);
    const auto v = masked(mul(p.x, hh));
    const auto hhh = masked(mul(h, hh));
    const auto x = masked(square_minus<1>(r, hhh, v));
    // -(r * (v - x') - y h^3)
    p.y = mul_plus_mul(p.y, hhh, r, sub(x, v));
    p.x = x;
}

inline constexpr size_t point_table_entries = size_t{1} << (point_window_bits - 1);

/// Odd multiples of one point for each lane: entry i is (2 i + 1) P as an affine point of the curve
/// that `scale` leads to, where (x, y) is (x / scale^2, y / scale^3) here. They lie lane by lane,
/// so that looking one up is one load, not a pass over the table.
struct PointTable {
    AffinePoint rows[lanes][point_table_entries];
    Factor<1, 1> scale;
};

/// beta, a cube root of one: (beta x, y) is lambda (x, y), where lambda is a cube root of one
/// modulo the order.
MILLRACE_X8_INLINE Field<1, 1> beta() {
    // 0x7ae96a2b657c07106e64479eac3434e99cf0497512f58995c1396c28719501ee by limbs of 52 bits
    constexpr uint64_t limbs[field_limbs] = {0x96c28719501ee, 0x7512f58995c13, 0xc3434e99cf049,
                                             0x7106e64479ea, 0x7ae96a2b657c};
    Field<1, 1> r;
#pragma unroll
    for (size_t i = 0; i < field_limbs; ++i) { r.limb[0][i] = splat(limbs[i]); }
    return r;
}

/// Turns eight rows of eight words into eight columns.
MILLRACE_X8_INLINE void transpose(Vector* r) {
    Vector t[8];
#pragma unroll
    for (size_t i = 0; i < 8; i += 2) {
        t[i] = _mm512_unpacklo_epi64(r[i], r[i + 1]);
        t[i + 1] = _mm512_unpackhi_epi64(r[i], r[i + 1]);
    }
    // t[i] holds pairs of rows; pairs of pairs, then all eight.
    Vector u[8];
#pragma unroll
    for (size_t i = 0; i < 2; ++i) {
        u[i] = _mm512_shuffle_i64x2(t[i], t[i + 2], 0x88);
        u[i + 2] = _mm512_shuffle_i64x2(t[i], t[i + 2], 0xdd);
        u[i + 4] = _mm512_shuffle_i64x2(t[i + 4], t[i + 6], 0x88);
        u[i + 6] = _mm512_shuffle_i64x2(t[i + 4], t[i + 6], 0xdd);
    }
#pragma unroll
    for (size_t i = 0; i < 2; ++i) {
        r[i] = _mm512_shuffle_i64x2(u[i], u[i + 4], 0x88);
        r[i + 4] = _mm512_shuffle_i64x2(u[i], u[i + 4], 0xdd);
        r[i + 2] = _mm512_shuffle_i64x2(u[i + 2], u[i + 6], 0x88);
        r[i + 6] = _mm512_shuffle_i64x2(u[i + 2], u[i + 6], 0xdd);
    }
}

/// Four words of 64 bits as five limbs of 52.
MILLRACE_X8_INLINE Field<1, 1> limbs_of_words(const Vector* w) {
    const Vector m = splat(limb_mask);
    Field<1, 1> r;
    r.limb[0][0] = bits_and(w[0], m);
    r.limb[0][1] =
        bits_and(_mm512_or_si512(_mm512_srli_epi64(w[0], 52), _mm512_slli_epi64(w[1], 12)), m);
    r.limb[0][2] =
        bits_and(_mm512_or_si512(_mm512_srli_epi64(w[1], 40), _mm512_slli_epi64(w[2], 24)), m);
    r.limb[0][3] =
        bits_and(_mm512_or_si512(_mm512_srli_epi64(w[2], 28), _mm512_slli_epi64(w[3], 36)), m);
    r.limb[0][4] = _mm512_srli_epi64(w[3], 16);
    return r;
}

/// The reverse, for a normalized element.
MILLRACE_X8_INLINE void words_of_limbs(const Field<1, 1>& a, Vector* w) {
    const Vector* limb = a.limb[0];
    w[0] = _mm512_or_si512(limb[0], _mm512_slli_epi64(limb[1], 52));
    w[1] = _mm512_or_si512(_mm512_srli_epi64(limb[1], 12), _mm512_slli_epi64(limb[2], 40));
    w[2] = _mm512_or_si512(_mm512_srli_epi64(limb[2], 24), _mm512_slli_epi64(limb[3], 28));
    w[3] = _mm512_or_si512(_mm512_srli_epi64(limb[3], 36), _mm512_slli_epi64(limb[4], 16));
}

/// Fills the table with the odd multiples of (x, y). Two points with a common z are added with few
/// products when the sum may change z for both (Meloni's co-Z addition): 2 P follows along while it
/// is added again and again. Then every entry is brought to the last z.
MILLRACE_X8_INLINE void fill_table(PointTable& table, const Factor<1, 1>& x,
                                   const Factor<1, 1>& y) {
    Field<1, 2> entry_x[point_table_entries];
    Field<1, 2> entry_y[point_table_entries];
    // ratio[i] is the z of entry i over that of entry i - 1.
    Factor<1, 5> ratio[point_table_entries];
    const auto slope = square_thrice(x);
    const auto yy = square(y);
    const auto two_yy = mul_twice(y, y);
    // P and twice P with z = 2 y
    const auto first_x = masked(mul_twice(x, two_yy));
    entry_x[0] = first_x;
    entry_y[0] = masked(mul_twice(two_yy, two_yy));
    Field<1, 2> twice_x = masked(square_minus<0>(slope, first_x, first_x));
    const Field<1, 1> minus_twice_y = masked(mul_plus_8_squares(slope, sub(twice_x, first_x), yy));
    Field<1, 2> twice_y = masked(negate_where(Mask<1>{{0xff}}, minus_twice_y));
    ratio[1] = sub(twice_x, entry_x[0]);
    auto hh = square(ratio[1]);
#pragma unroll 1
    for (size_t i = 1; i < point_table_entries; ++i) {
        const auto r = sub(twice_y, entry_y[i - 1]);
        const auto w1 = masked(mul(twice_x, hh));
        const auto w2 = masked(mul(entry_x[i - 1], hh));
        entry_x[i] = masked(square_minus<0>(r, w1, w2));
        const auto a1 = masked(mul(twice_y, sub(w1, w2)));
        // The next entry's first squaring, early: everything after it waits for it.
        const auto next = sub(w1, entry_x[i]);
        hh = square(next);
        entry_y[i] = masked(mul_minus(r, next, a1));
        if (i + 1 < point_table_entries) { ratio[i + 1] = next; }
        twice_x = w1;
        twice_y = a1;
    }
    Factor<1, 5> to_last = small_constant<1>(1);
#pragma unroll 1
    for (size_t i = point_table_entries; i-- > 0;) {
        const auto squared = square(to_last);
        const Factor<1, 5> scale = to_last;
        if (i != 0) { to_last = mul(to_last, ratio[i]); }
        const auto cubed = mul(squared, scale);
        const auto scaled_x = mul(entry_x[i], squared);
        const auto scaled_y = mul(entry_y[i], cubed);
        Vector rows[lanes];
        words_of_limbs(normalize(scaled_x), rows);
        words_of_limbs(normalize(scaled_y), rows + 4);
        transpose(rows);
#pragma unroll
        for (size_t lane = 0; lane < lanes; ++lane) {
            _mm512_store_si512(&table.rows[lane][i], rows[lane]);
        }
    }
    table.scale = mul_twice(y, to_last);
}

}  // namespace

}  // namespace millrace::kernels::detail
