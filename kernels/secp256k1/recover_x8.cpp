// SPDX-License-Identifier: Apache-2.0
// Owns recovery of eight keys at once in AVX-512 IFMA; it alone is compiled for that unit.

// The linker keeps one copy of an inline function, and it must not be the one compiled here, which
// other CPUs cannot run. So nothing is included that could leave an inline function behind, and
// everything but the entry is local to this file.
#include "kernels/secp256k1/detail/recover_x8.hpp"

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/secp256k1/detail/field_x8.hpp"
#include "kernels/secp256k1/detail/point_x8.hpp"

namespace millrace::kernels::detail {

namespace {

static_assert(lanes == lanes_x8);

/// A vector's sum u1 G + u2 R before it is made affine; z is zero where an addition met an
/// exception.
struct Sum {
    Field<1, 2> x;
    Factor<1, 2> y;
    Factor<1, 1> z;
    __mmask8 on_curve;
};

MILLRACE_X8_INLINE Vector load(const uint64_t* p) { return _mm512_load_si512(p); }

/// The points with x = r and the parity asked for; off the curve, y is some number. For two vectors
/// at once, since every squaring of the root waits for the one before it.
template <size_t V>
[[gnu::noinline]] void lift(const LaneInput* in, Sum* out) {
    Field<V, 1> x;
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
#pragma unroll
        for (size_t i = 0; i < field_limbs; ++i) { x.limb[v][i] = load(in[v].x[i]); }
    }
    const auto one = small_constant<V>(1);
    const auto yy = masked(mul(add_small(masked(mul(square(x), x)), 7), one));
    const auto root = normalize(square_root_candidate<V>(yy));
    const auto on_curve = is_zero_normalized(normalize(sub(masked(square(root)), yy)));
    Mask<V> other_root;
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
        const Vector differs = _mm512_xor_si512(root.limb[v][0], load(in[v].y_parity));
        other_root.v[v] = _mm512_test_epi64_mask(differs, splat(1));
    }
    const auto y = negate_where(other_root, root);
#pragma unroll
    for (size_t v = 0; v < V; ++v) {
#pragma unroll
        for (size_t i = 0; i < field_limbs; ++i) {
            out[v].x.limb[0][i] = x.limb[v][i];
            out[v].y.limb[0][i] = y.limb[v][i];
        }
        out[v].on_curve = on_curve.v[v];
    }
}

/// The digit of a window: the table entry of its absolute value and its sign. Window B of w bits
/// stands for 2 B - (2^w - 1), and entry i for 2 i + 1.
template <unsigned bits>
struct Digits {
    static constexpr uint64_t half = uint64_t{1} << (bits - 1);
    const uint64_t* words;  ///< one for each lane
    unsigned shift;

    Digits(const uint64_t (*all)[lanes], size_t window, size_t windows_per_word)
        : words(all[window / windows_per_word]),
          shift(static_cast<unsigned>(bits * (window % windows_per_word))) {}

    /// B - half, or half - 1 - B: B or its complement, without the bit `half`. In scalar registers,
    /// whose units have nothing else to do and whose results address memory.
    MILLRACE_X8_INLINE size_t entry(size_t lane) const {
        const uint64_t window = words[lane] >> shift;
        const uint64_t flip = (window & half) != 0 ? 0 : half - 1;
        return (window ^ flip) & (half - 1);
    }
    MILLRACE_X8_INLINE Mask<1> negative() const {
        const Vector sign =
            _mm512_sll_epi64(splat(half), _mm_cvtsi32_si128(static_cast<int>(shift)));
        return {{_mm512_testn_epi64_mask(load(words), sign)}};
    }
};

/// The chain of doublings and additions of one vector.
struct Chain {
    const LaneInput& in;
    const GeneratorTables& generator;
    PointTable table;
    Jacobian<1> sum;
    /// Whether `sum` is minus what it stands for.
    bool negated = false;

    Chain(const LaneInput& lanes_in, const GeneratorTables& tables)
        : in(lanes_in), generator(tables) {}

    /// In a loop of its own, so that the sum stays in registers: a store of 64 bytes costs as much
    /// as a multiplication.
    [[gnu::noinline]] void double_sum(size_t times) {
        Jacobian<1> p = sum;
#pragma unroll 1
        for (size_t i = 0; i < times; ++i) { double_negate(p); }
        sum = p;
        negated ^= times % 2 != 0;
    }

    /// Eight rows, one for each lane, as a point with the digits' signs and that of `sum`.
    MILLRACE_X8_INLINE Affine<1> take_rows(Vector* rows, Mask<1> negative) const {
        transpose(rows);
        negative.v[0] ^= negated ? 0xff : 0;
        return {limbs_of_words(rows), negate_where(negative, limbs_of_words(rows + 4))};
    }

    /// The digit's multiple of R, whatever part of u2 it belongs to.
    MILLRACE_X8_INLINE Affine<1> multiple_of_point(const uint64_t (*words)[lanes],
                                                   size_t window) const {
        const Digits<point_window_bits> digits(words, window, point_windows_per_word);
        Vector rows[lanes];
#pragma unroll
        for (size_t i = 0; i < lanes; ++i) {
            rows[i] = _mm512_load_si512(&table.rows[i][digits.entry(i)]);
        }
        return take_rows(rows, digits.negative());
    }
    MILLRACE_X8_INLINE Affine<1> multiple_of_generator(const AffinePoint* entries,
                                                       size_t window) const {
        const Digits<generator_window_bits> digits(in.generator, window,
                                                   generator_windows_per_word);
        Vector rows[lanes];
#pragma unroll
        for (size_t i = 0; i < lanes; ++i) {
            rows[i] = _mm512_load_si512(&entries[digits.entry(i)]);
        }
        return take_rows(rows, digits.negative());
    }

    // Each addition is its own function, out of line: the look-up fills gaps of the formula, and
    // the three with the doubling still fit the instruction cache.

    [[gnu::noinline]] void add_first(size_t window) {
        add_negate(sum, sum.z, [&] { return multiple_of_point(in.first, window); });
        negated = !negated;
    }
    /// The second part of u2 multiplies lambda R.
    [[gnu::noinline]] void add_second(size_t window) {
        add_negate(sum, sum.z, [&] {
            const Affine<1> q = multiple_of_point(in.second, window);
            return Affine<1>{mul(q.x, beta()), q.y};
        });
        negated = !negated;
    }
    /// The table of R lies on another curve than G; the sum follows the former.
    [[gnu::noinline]] void add_generator(const AffinePoint* entries, size_t window) {
        add_negate(sum, mul(sum.z, table.scale),
                   [&] { return multiple_of_generator(entries, window); });
        negated = !negated;
    }
    /// Asks for the rows of a later add_generator: they come from the second-level cache.
    MILLRACE_X8_INLINE void prefetch_generator(const AffinePoint* entries, size_t window) const {
        const Digits<generator_window_bits> digits(in.generator, window,
                                                   generator_windows_per_word);
        for (size_t i = 0; i < lanes; ++i) {
            _mm_prefetch(reinterpret_cast<const char*>(&entries[digits.entry(i)]), _MM_HINT_T0);
        }
    }

    void run() {
        constexpr size_t half = generator_windows / 2;
        size_t window = point_windows - 1;
        size_t generator_window = half;
        const Affine<1> top = multiple_of_point(in.first, window);
        const auto one = small_constant<1>(1);
        sum.x = masked(top.x);
        sum.y = mul(top.y, one);
        sum.z = one;
        add_second(window);
        // Down to the next place where a window of R or of G begins, until both are at 0.
        size_t bit = point_window_bits * window;
        while (bit != 0) {
            const size_t next_point = point_window_bits * (window - 1);
            const size_t next_generator = generator_window_bits * (generator_window - 1);
            const size_t next = next_point > next_generator ? next_point : next_generator;
            double_sum(bit - next);
            bit = next;
            if (bit == next_point) {
                --window;
                add_first(window);
                add_second(window);
            }
            if (bit == next_generator) {
                --generator_window;
                add_generator(generator.low, generator_window);
                add_generator(generator.high, half + generator_window);
                if (generator_window != 0) {
                    prefetch_generator(generator.low, generator_window - 1);
                    prefetch_generator(generator.high, half + generator_window - 1);
                }
            }
        }
    }
};

/// From a lifted point in `sum` to u1 G + u2 R.
[[gnu::noinline]] void multiply(const LaneInput& in, const GeneratorTables& generator, Sum& sum) {
    Chain chain(in, generator);
    const auto one = small_constant<1>(1);
    fill_table(chain.table, mul(sum.x, one), mul(sum.y, one));
    chain.run();
    sum.x = chain.sum.x;
    const Mask<1> all{{static_cast<__mmask8>(chain.negated ? 0xff : 0)}};
    sum.y = negate_where(all, masked(chain.sum.y));
    sum.z = mul(chain.sum.z, chain.table.scale);
}

/// The lanes moved down by `places`, around the end.
template <int places>
MILLRACE_X8_INLINE Factor<1, 1> rotate(const Factor<1, 1>& a) {
    Factor<1, 1> r;
#pragma unroll
    for (size_t i = 0; i < field_limbs; ++i) {
        r.limb[0][i] = _mm512_alignr_epi64(a.limb[0][i], a.limb[0][i], places);
    }
    return r;
}

/// 1 / a in every lane, none of which is zero: one inversion of the product of all lanes.
Factor<1, 1> invert_lanes(const Factor<1, 1>& a, InverseModP inverse) {
    const auto two = mul(a, rotate<4>(a));
    const auto four = mul(two, rotate<2>(two));
    Vector words[4];
    words_of_limbs(normalize(mul(four, rotate<1>(four))), words);
    uint64_t product[4];
    uint64_t inverted[4];
    for (size_t i = 0; i < 4; ++i) {
        product[i] = static_cast<uint64_t>(_mm_cvtsi128_si64(_mm512_castsi512_si128(words[i])));
    }
    inverse(product, inverted);
    for (size_t i = 0; i < 4; ++i) { words[i] = splat(inverted[i]); }
    const auto of_four = mul(limbs_of_words(words), rotate<1>(four));
    const auto of_two = mul(of_four, rotate<2>(two));
    return mul(of_two, rotate<4>(a));
}

/// Makes the sums affine with one inversion for all (Montgomery's trick) and writes the keys.
void finish_sums(Sum* sums, size_t count, InverseModP inverse, LaneOutput* out) {
    Factor<1, 1> prefix[chain_vectors_max];  // the product of z up to and with this vector
    const Factor<1, 1> one = small_constant<1>(1);
    for (size_t i = 0; i < count; ++i) {
        const Mask<1> zero = is_zero_normalized(normalize(sums[i].z));
        // A zero would poison every other lane's inverse.
        sums[i].z = select(zero, sums[i].z, one);
        out[i].recovered = static_cast<uint8_t>(sums[i].on_curve & ~zero.v[0]);
        out[i].no_point = static_cast<uint8_t>(~sums[i].on_curve);
        prefix[i] = i == 0 ? sums[i].z : mul(prefix[i - 1], sums[i].z);
    }
    Factor<1, 1> rest = invert_lanes(prefix[count - 1], inverse);
    // Reverses the bytes of each word.
    const Vector big_endian =
        _mm512_broadcast_i32x4(_mm_set_epi8(8, 9, 10, 11, 12, 13, 14, 15, 0, 1, 2, 3, 4, 5, 6, 7));
    for (size_t i = count; i-- > 0;) {
        const Factor<1, 1> z_inverse = i == 0 ? rest : mul(rest, prefix[i - 1]);
        rest = mul(rest, sums[i].z);
        const auto zz = square(z_inverse);
        const auto x = normalize(mul(sums[i].x, zz));
        const auto y = normalize(mul(sums[i].y, mul(zz, z_inverse)));
        Vector words[8];
        words_of_limbs(x, words);
        words_of_limbs(y, words + 4);
        Vector rows[8];
        for (size_t w = 0; w < 4; ++w) {
            rows[w] = _mm512_shuffle_epi8(words[3 - w], big_endian);
            rows[4 + w] = _mm512_shuffle_epi8(words[7 - w], big_endian);
        }
        transpose(rows);
        for (size_t lane = 0; lane < lanes; ++lane) {
            _mm512_store_si512(out[i].key[lane], rows[lane]);
        }
    }
}

}  // namespace

void recover_x8(const LaneInput* in, size_t count, const GeneratorTables& tables,
                InverseModP inverse, LaneOutput* out) noexcept {
    Sum sums[chain_vectors_max];
    size_t i = 0;
    for (; i + 2 <= count; i += 2) { lift<2>(in + i, sums + i); }
    if (i < count) { lift<1>(in + i, sums + i); }
    for (i = 0; i < count; ++i) { multiply(in[i], tables, sums[i]); }
    if (count != 0) { finish_sums(sums, count, inverse, out); }
}

}  // namespace millrace::kernels::detail
