// SPDX-License-Identifier: Apache-2.0
// Owns the field of secp256k1 in AVX-512 IFMA: eight elements in each vector, V vectors at a time.
#pragma once

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#if !defined(__AVX512IFMA__) || !defined(__AVX512DQ__) || !defined(__AVX512VL__)
#error "only a source compiled for AVX-512 F, VL, DQ and IFMA may include this header"
#endif

#define MILLRACE_X8_INLINE inline __attribute__((always_inline))

namespace millrace::kernels::detail {

// Without external linkage: the linker must not keep a copy that other CPUs cannot run.
namespace {

using Vector = __m512i;

inline constexpr size_t lanes = 8;
inline constexpr size_t field_limbs = 5;
inline constexpr unsigned limb_bits = 52;
/// Bits of the top limb below 2^256.
inline constexpr unsigned top_bits = 48;
inline constexpr uint64_t limb_mask = (uint64_t{1} << limb_bits) - 1;
inline constexpr uint64_t top_mask = (uint64_t{1} << top_bits) - 1;
/// 2^256 and 2^260 modulo p = 2^256 - 2^32 - 977.
inline constexpr uint64_t fold_256 = 0x1000003d1;
inline constexpr uint64_t fold_260 = fold_256 << 4;

/// V vectors of eight field elements. Limb i weighs 2^(52 i). Limbs 0 to 3 count with their low 52
/// bits only, as the multiplier reads them; limb 4 is at most magnitude * (2^48 + 2^12). So the
/// value is below magnitude * (2^256 + 2^221). An element is not unique; `normalize` makes it so.
/// With `is_masked` the bits above 52 are zero and the limbs can be added; a product leaves them as
/// they fall, since most results are only multiplied again. Two independent vectors hide the
/// latency of a chain of squarings: one takes 66 cycles alone and 48 in a pair (Zen 4).
template <size_t V, unsigned magnitude, bool is_masked = true>
struct Field {
    static_assert(magnitude >= 1 && magnitude < 16, "limb 4 has 52 bits");
    Vector limb[V][field_limbs];

    Field() = default;
    /// A bound may be widened, and masked limbs may be used as if they were not.
    template <unsigned smaller, bool was_masked>
    MILLRACE_X8_INLINE
    Field(const Field<V, smaller, was_masked>& from) {  // NOLINT: implicit by design
        static_assert(smaller <= magnitude && was_masked >= is_masked);
#pragma unroll
        for (size_t v = 0; v < V; ++v) {
#pragma unroll
            for (size_t i = 0; i < field_limbs; ++i) { limb[v][i] = from.limb[v][i]; }
        }
    }
};

/// An element that can only be multiplied, or masked first.
template <size_t V, unsigned magnitude>
using Factor = Field<V, magnitude, false>;

MILLRACE_X8_INLINE Vector splat(uint64_t value) {
    return _mm512_set1_epi64(static_cast<long long>(value));
}
MILLRACE_X8_INLINE Vector plus(Vector a, Vector b) { return _mm512_add_epi64(a, b); }
MILLRACE_X8_INLINE Vector minus(Vector a, Vector b) { return _mm512_sub_epi64(a, b); }
MILLRACE_X8_INLINE Vector bits_and(Vector a, Vector b) { return _mm512_and_si512(a, b); }
/// sum + the low, or the high, 52 bits of the product of the low 52 bits of a and b.
MILLRACE_X8_INLINE Vector add_low(Vector sum, Vector a, Vector b) {
    return _mm512_madd52lo_epu64(sum, a, b);
}
MILLRACE_X8_INLINE Vector add_high(Vector sum, Vector a, Vector b) {
    return _mm512_madd52hi_epu64(sum, a, b);
}

/// The ten columns of a product, each a sum of at most 2^60; column i weighs 2^(52 i). After
/// fold_columns the value is columns 0 to 4 and `top`, which weighs 2^260.
struct Columns {
    Vector t[2 * field_limbs];
    Vector top;
};

MILLRACE_X8_INLINE void clear(Columns& c) {
#pragma unroll
    for (Vector& t : c.t) { t = _mm512_setzero_si512(); }
    c.top = _mm512_setzero_si512();
}

MILLRACE_X8_INLINE void add_product(Columns& c, const Vector* a, const Vector* b) {
#pragma unroll
    for (size_t i = 0; i < field_limbs; ++i) {
#pragma unroll
        for (size_t j = 0; j < field_limbs; ++j) { c.t[i + j] = add_low(c.t[i + j], a[i], b[j]); }
#pragma unroll
        for (size_t j = 0; j < field_limbs; ++j) {
            c.t[i + j + 1] = add_high(c.t[i + j + 1], a[i], b[j]);
        }
    }
}

/// Sets c to the square. Products of two different limbs are summed first and doubled together: a
/// doubled limb would not fit the multiplier.
MILLRACE_X8_INLINE void set_square(Columns& c, const Vector* a) {
    clear(c);
    // In an order that comes back to a column only after the multiplier's latency.
    c.t[1] = add_low(c.t[1], a[0], a[1]);
    c.t[2] = add_low(c.t[2], a[0], a[2]);
    c.t[3] = add_low(c.t[3], a[0], a[3]);
    c.t[4] = add_low(c.t[4], a[0], a[4]);
    c.t[5] = add_low(c.t[5], a[1], a[4]);
    c.t[6] = add_low(c.t[6], a[2], a[4]);
    c.t[7] = add_low(c.t[7], a[3], a[4]);
    c.t[8] = add_high(c.t[8], a[3], a[4]);
    c.t[5] = add_low(c.t[5], a[2], a[3]);
    c.t[6] = add_high(c.t[6], a[1], a[4]);
    c.t[7] = add_high(c.t[7], a[2], a[4]);
    c.t[3] = add_low(c.t[3], a[1], a[2]);
    c.t[4] = add_low(c.t[4], a[1], a[3]);
    c.t[5] = add_high(c.t[5], a[0], a[4]);
    c.t[6] = add_high(c.t[6], a[2], a[3]);
    c.t[2] = add_high(c.t[2], a[0], a[1]);
    c.t[3] = add_high(c.t[3], a[0], a[2]);
    c.t[4] = add_high(c.t[4], a[0], a[3]);
    c.t[5] = add_high(c.t[5], a[1], a[3]);
    c.t[4] = add_high(c.t[4], a[1], a[2]);
#pragma unroll
    for (size_t i = 1; i < 2 * field_limbs - 1; ++i) { c.t[i] = plus(c.t[i], c.t[i]); }
#pragma unroll
    for (size_t i = 0; i < field_limbs; ++i) {
        c.t[2 * i] = add_low(c.t[2 * i], a[i], a[i]);
        c.t[2 * i + 1] = add_high(c.t[2 * i + 1], a[i], a[i]);
    }
}

/// Carries through five signed limbs; the last one keeps what it gets. The bits that were carried
/// stay, above bit 52, where the multiplier does not see them.
MILLRACE_X8_INLINE void carry(Vector* t) {
#pragma unroll
    for (size_t i = 0; i + 1 < field_limbs; ++i) {
        t[i + 1] = plus(t[i + 1], _mm512_srai_epi64(t[i], limb_bits));
    }
}

MILLRACE_X8_INLINE void mask_limbs(Vector* t) {
#pragma unroll
    for (size_t i = 0; i + 1 < field_limbs; ++i) { t[i] = bits_and(t[i], splat(limb_mask)); }
}

/// The same element, ready for additions.
template <size_t V, unsigned A, bool M>
MILLRACE_X8_INLINE Field<V, A> masked(const Field<V, A, M>& a) {
    Field<V, A> r;
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
#pragma unroll
        for (size_t i = 0; i < field_limbs; ++i) { r.limb[v][i] = a.limb[v][i]; }
        if constexpr (!M) { mask_limbs(r.limb[v]); }
    }
    return r;
}

/// Brings columns 5 to 9 down by 2^260 = fold_260. They are carried first, since the multiplier
/// reads 52 bits; a value below 2^520 leaves column 9 below 2^52. The carry out of column 4 stays
/// in column 4.
MILLRACE_X8_INLINE void fold_columns(Columns& c) {
    carry(c.t + field_limbs);
    const Vector fold = splat(fold_260);
#pragma unroll
    for (size_t i = 0; i < field_limbs; ++i) {
        c.t[i] = add_low(c.t[i], c.t[field_limbs + i], fold);
    }
#pragma unroll
    for (size_t i = 0; i + 1 < field_limbs; ++i) {
        c.t[i + 1] = add_high(c.t[i + 1], c.t[field_limbs + i], fold);
    }
    c.top = add_high(c.top, c.t[2 * field_limbs - 1], fold);
}

/// Ends a product of folded columns that are not negative: what lies above 2^256 comes down, and
/// one pass of carries leaves a magnitude of 1. Column 4 is below 2^61 and `top` below 2^40.
MILLRACE_X8_INLINE void finish(Vector* r, Columns& c) {
    const Vector above =
        plus(_mm512_srli_epi64(c.t[4], top_bits), _mm512_slli_epi64(c.top, limb_bits - top_bits));
    c.t[4] = bits_and(c.t[4], splat(top_mask));
    c.t[0] = add_low(c.t[0], above, splat(fold_256));
    c.t[1] = add_high(c.t[1], above, splat(fold_256));
    carry(c.t);
#pragma unroll
    for (size_t i = 0; i < field_limbs; ++i) { r[i] = c.t[i]; }
}

/// As finish, where elements of a total magnitude `subtracted` were subtracted limb by limb from
/// folded columns; leaves a magnitude of 2. Adds multiple * p = multiple * (2^256 - fold_256): one
/// 2^256 stays in limb 4, so that a borrow from below cannot make it negative, and the others keep
/// `above`, an operand of the multiplier, from being negative.
template <unsigned subtracted>
MILLRACE_X8_INLINE void finish_difference(Vector* r, Columns& c) {
    static_assert(subtracted < 16);
    constexpr uint64_t multiple = subtracted + 2;
    const Vector above = plus(
        plus(_mm512_srai_epi64(c.t[4], top_bits), _mm512_slli_epi64(c.top, limb_bits - top_bits)),
        splat(multiple - 1));
    // (t4 & top_mask) | 2^48
    c.t[4] = _mm512_ternarylogic_epi64(c.t[4], splat(top_mask), splat(top_mask + 1), 0xea);
    c.t[0] = minus(c.t[0], splat(multiple * fold_256));
    c.t[0] = add_low(c.t[0], above, splat(fold_256));
    c.t[1] = add_high(c.t[1], above, splat(fold_256));
    carry(c.t);
#pragma unroll
    for (size_t i = 0; i < field_limbs; ++i) { r[i] = c.t[i]; }
}

/// Products of magnitudes sum to at most this, so that columns stay below 2^520 in all.
inline constexpr unsigned product_magnitude_max = 250;

/// a * b
template <size_t V, unsigned A, unsigned B, bool MA, bool MB>
MILLRACE_X8_INLINE Factor<V, 1> mul(const Field<V, A, MA>& a, const Field<V, B, MB>& b) {
    static_assert(A * B <= product_magnitude_max);
    Factor<V, 1> r;
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
        Columns c;
        clear(c);
        add_product(c, a.limb[v], b.limb[v]);
        fold_columns(c);
        finish(r.limb[v], c);
    }
    return r;
}

/// 2 * a * b
template <size_t V, unsigned A, unsigned B, bool MA, bool MB>
MILLRACE_X8_INLINE Factor<V, 1> mul_twice(const Field<V, A, MA>& a, const Field<V, B, MB>& b) {
    static_assert(A * B <= product_magnitude_max);
    Factor<V, 1> r;
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
        Columns c;
        clear(c);
        add_product(c, a.limb[v], b.limb[v]);
        fold_columns(c);
#pragma unroll
        for (size_t i = 0; i < field_limbs; ++i) { c.t[i] = plus(c.t[i], c.t[i]); }
        c.top = plus(c.top, c.top);
        finish(r.limb[v], c);
    }
    return r;
}

/// a * b - c
template <size_t V, unsigned A, unsigned B, unsigned C, bool MA, bool MB>
MILLRACE_X8_INLINE Factor<V, 2> mul_minus(const Field<V, A, MA>& a, const Field<V, B, MB>& b,
                                          const Field<V, C>& subtrahend) {
    static_assert(A * B <= product_magnitude_max);
    Factor<V, 2> r;
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
        Columns c;
        clear(c);
        add_product(c, a.limb[v], b.limb[v]);
        fold_columns(c);
#pragma unroll
        for (size_t i = 0; i < field_limbs; ++i) { c.t[i] = minus(c.t[i], subtrahend.limb[v][i]); }
        finish_difference<C>(r.limb[v], c);
    }
    return r;
}

/// a * b + c * d
template <size_t V, unsigned A, unsigned B, unsigned C, unsigned D, bool MA, bool MB, bool MC,
          bool MD>
MILLRACE_X8_INLINE Factor<V, 1> mul_plus_mul(const Field<V, A, MA>& a, const Field<V, B, MB>& b,
                                             const Field<V, C, MC>& x, const Field<V, D, MD>& y) {
    static_assert(A * B + C * D <= product_magnitude_max);
    Factor<V, 1> r;
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
        Columns c;
        clear(c);
        add_product(c, a.limb[v], b.limb[v]);
        add_product(c, x.limb[v], y.limb[v]);
        fold_columns(c);
        finish(r.limb[v], c);
    }
    return r;
}

/// a * b + 8 * s^2
template <size_t V, unsigned A, unsigned B, unsigned S, bool MA, bool MB, bool MS>
MILLRACE_X8_INLINE Factor<V, 1>
mul_plus_8_squares(const Field<V, A, MA>& a, const Field<V, B, MB>& b, const Field<V, S, MS>& s) {
    static_assert(A * B + 8 * S * S <= product_magnitude_max);
    Factor<V, 1> r;
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
        Columns c;
        set_square(c, s.limb[v]);
#pragma unroll
        for (Vector& t : c.t) { t = _mm512_slli_epi64(t, 3); }
        add_product(c, a.limb[v], b.limb[v]);
        fold_columns(c);
        finish(r.limb[v], c);
    }
    return r;
}

/// a^2
template <size_t V, unsigned A, bool MA>
MILLRACE_X8_INLINE Factor<V, 1> square(const Field<V, A, MA>& a) {
    static_assert(A * A <= product_magnitude_max);
    Factor<V, 1> r;
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
        Columns c;
        set_square(c, a.limb[v]);
        fold_columns(c);
        finish(r.limb[v], c);
    }
    return r;
}

/// 3 * a^2
template <size_t V, unsigned A, bool MA>
MILLRACE_X8_INLINE Factor<V, 1> square_thrice(const Field<V, A, MA>& a) {
    static_assert(A * A <= product_magnitude_max);
    Factor<V, 1> r;
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
        Columns c;
        set_square(c, a.limb[v]);
        fold_columns(c);
#pragma unroll
        for (size_t i = 0; i < field_limbs; ++i) { c.t[i] = plus(plus(c.t[i], c.t[i]), c.t[i]); }
        c.top = plus(plus(c.top, c.top), c.top);
        finish(r.limb[v], c);
    }
    return r;
}

/// a^2 - b - scale * c, for a scale of a power of two
template <unsigned scale_bits, size_t V, unsigned A, unsigned B, unsigned C, bool MA>
MILLRACE_X8_INLINE Factor<V, 2> square_minus(const Field<V, A, MA>& a, const Field<V, B>& b,
                                             const Field<V, C>& scaled) {
    static_assert(A * A <= product_magnitude_max);
    Factor<V, 2> r;
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
        Columns c;
        set_square(c, a.limb[v]);
        fold_columns(c);
#pragma unroll
        for (size_t i = 0; i < field_limbs; ++i) {
            c.t[i] = minus(minus(c.t[i], b.limb[v][i]),
                           _mm512_slli_epi64(scaled.limb[v][i], scale_bits));
        }
        finish_difference<B + (C << scale_bits)>(r.limb[v], c);
    }
    return r;
}

/// a^2 - 8 * c
template <size_t V, unsigned A, unsigned C, bool MA>
MILLRACE_X8_INLINE Factor<V, 2> square_minus_8(const Field<V, A, MA>& a,
                                               const Field<V, C>& scaled) {
    static_assert(A * A <= product_magnitude_max);
    Factor<V, 2> r;
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
        Columns c;
        set_square(c, a.limb[v]);
        fold_columns(c);
#pragma unroll
        for (size_t i = 0; i < field_limbs; ++i) {
            c.t[i] = minus(c.t[i], _mm512_slli_epi64(scaled.limb[v][i], 3));
        }
        finish_difference<8 * C>(r.limb[v], c);
    }
    return r;
}

/// a - scale * b for a scale of a power of two, by carries alone.
template <unsigned scale_bits, size_t V, unsigned A, unsigned B>
MILLRACE_X8_INLINE Factor<V, A + (B << scale_bits) + 1> sub_scaled(const Field<V, A>& a,
                                                                   const Field<V, B>& b) {
    constexpr uint64_t multiple = (B << scale_bits) + 1;
    Factor<V, A + (B << scale_bits) + 1> r;
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
#pragma unroll
        for (size_t i = 0; i < field_limbs; ++i) {
            r.limb[v][i] = minus(a.limb[v][i], _mm512_slli_epi64(b.limb[v][i], scale_bits));
        }
        // multiple * p as two terms; limb 4 ends above zero because b has at most its magnitude.
        r.limb[v][0] = minus(r.limb[v][0], splat(multiple * fold_256));
        r.limb[v][4] = plus(r.limb[v][4], splat(multiple << top_bits));
        carry(r.limb[v]);
    }
    return r;
}

/// a - b
template <size_t V, unsigned A, unsigned B>
MILLRACE_X8_INLINE Factor<V, A + B + 1> sub(const Field<V, A>& a, const Field<V, B>& b) {
    return sub_scaled<0>(a, b);
}

/// a + small, for a small number below 2^51
template <size_t V, unsigned A>
MILLRACE_X8_INLINE Factor<V, A + 1> add_small(const Field<V, A>& a, uint64_t small) {
    Factor<V, A + 1> r = a;
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
        r.limb[v][0] = plus(r.limb[v][0], splat(small));
        carry(r.limb[v]);
    }
    return r;
}

/// A bit for each lane of each vector.
template <size_t V>
struct Mask {
    __mmask8 v[V];
};

/// -a in the lanes of the mask, a in the others.
template <size_t V, unsigned A>
MILLRACE_X8_INLINE Factor<V, A + 1> negate_where(const Mask<V>& mask, const Field<V, A>& a) {
    Factor<V, A + 1> r;
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
        const __mmask8 m = mask.v[v];
        const Vector zero = _mm512_setzero_si512();
#pragma unroll
        for (size_t i = 0; i < field_limbs; ++i) {
            r.limb[v][i] = _mm512_mask_sub_epi64(a.limb[v][i], m, zero, a.limb[v][i]);
        }
        constexpr uint64_t multiple = A + 1;
        r.limb[v][0] =
            _mm512_mask_sub_epi64(r.limb[v][0], m, r.limb[v][0], splat(multiple * fold_256));
        r.limb[v][4] =
            _mm512_mask_add_epi64(r.limb[v][4], m, r.limb[v][4], splat(multiple << top_bits));
        carry(r.limb[v]);
    }
    return r;
}

/// The number in [0, p) that `a` stands for.
template <size_t V, unsigned A, bool MA>
MILLRACE_X8_INLINE Field<V, 1> normalize(const Field<V, A, MA>& from) {
    const Field<V, A> a = masked(from);
    Field<V, 1> r;
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
        Vector t[field_limbs];
#pragma unroll
        for (size_t i = 0; i < field_limbs; ++i) { t[i] = a.limb[v][i]; }
        t[0] = add_low(t[0], _mm512_srli_epi64(t[4], top_bits), splat(fold_256));
        t[4] = bits_and(t[4], splat(top_mask));
        carry(t);
        mask_limbs(t);
        // Now below 2^256 + 2^37, so below 2 p; and t >= p exactly when t + fold_256 >= 2^256.
        Vector w[field_limbs] = {plus(t[0], splat(fold_256)), t[1], t[2], t[3], t[4]};
        carry(w);
        mask_limbs(w);
        const __mmask8 at_least_p = _mm512_cmpgt_epu64_mask(w[4], splat(top_mask));
        w[4] = bits_and(w[4], splat(top_mask));
#pragma unroll
        for (size_t i = 0; i < field_limbs; ++i) {
            r.limb[v][i] = _mm512_mask_mov_epi64(t[i], at_least_p, w[i]);
        }
    }
    return r;
}

/// Where a normalized element is zero.
template <size_t V>
MILLRACE_X8_INLINE Mask<V> is_zero_normalized(const Field<V, 1>& a) {
    Mask<V> r;
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
        const Vector* l = a.limb[v];
        const Vector any = _mm512_or_si512(
            _mm512_or_si512(_mm512_or_si512(l[0], l[1]), _mm512_or_si512(l[2], l[3])), l[4]);
        r.v[v] = _mm512_testn_epi64_mask(any, any);
    }
    return r;
}

/// `b` in the lanes of the mask, `a` in the others.
template <size_t V, unsigned A>
MILLRACE_X8_INLINE Factor<V, A> select(const Mask<V>& mask, const Factor<V, A>& a,
                                       const Factor<V, A>& b) {
    Factor<V, A> r;
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
#pragma unroll
        for (size_t i = 0; i < field_limbs; ++i) {
            r.limb[v][i] = _mm512_mask_mov_epi64(a.limb[v][i], mask.v[v], b.limb[v][i]);
        }
    }
    return r;
}

/// The same number below 2^52 in every lane.
template <size_t V>
MILLRACE_X8_INLINE Field<V, 1> small_constant(uint64_t value) {
    Field<V, 1> r;
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
        r.limb[v][0] = splat(value);
#pragma unroll
        for (size_t i = 1; i < field_limbs; ++i) { r.limb[v][i] = _mm512_setzero_si512(); }
    }
    return r;
}

/// a squared `count` times. A loop, so that long chains stay small.
template <size_t V>
MILLRACE_X8_INLINE Factor<V, 1> square_times(Factor<V, 1> a, unsigned count) {
#pragma unroll 1
    for (unsigned i = 0; i < count; ++i) { a = square(a); }
    return a;
}

/// a^((p + 1) / 4): a root of `a` when it has one, since p = 3 modulo 4. In binary the exponent is
/// 223 ones, a zero, 22 ones, four zeros, two ones and two zeros; x_n below is a^(2^n - 1).
template <size_t V>
MILLRACE_X8_INLINE Factor<V, 1> square_root_candidate(const Factor<V, 1>& a) {
    const Factor<V, 1> x2 = mul(square(a), a);
    const Factor<V, 1> x3 = mul(square(x2), a);
    const Factor<V, 1> x6 = mul(square_times(x3, 3), x3);
    const Factor<V, 1> x11 = mul(square_times(mul(square_times(x6, 3), x3), 2), x2);
    const Factor<V, 1> x22 = mul(square_times(x11, 11), x11);
    const Factor<V, 1> x44 = mul(square_times(x22, 22), x22);
    const Factor<V, 1> x88 = mul(square_times(x44, 44), x44);
    const Factor<V, 1> x176 = mul(square_times(x88, 88), x88);
    const Factor<V, 1> x220 = mul(square_times(x176, 44), x44);
    const Factor<V, 1> x223 = mul(square_times(x220, 3), x3);
    const Factor<V, 1> high = mul(square_times(x223, 23), x22);
    return square_times(mul(square_times(high, 6), x2), 2);
}

}  // namespace

}  // namespace millrace::kernels::detail
