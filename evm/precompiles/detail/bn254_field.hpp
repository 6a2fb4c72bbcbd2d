// SPDX-License-Identifier: Apache-2.0
// Owns the fields of bn254: Fp in Montgomery form and the tower Fp2, Fp6, Fp12 over it.
//
// Fp2 = Fp[u]/(u^2 + 1), Fp6 = Fp2[v]/(v^3 - xi) with xi = 9 + u, Fp12 = Fp6[w]/(w^2 - v).
// All data is public, so nothing here is constant-time.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "host/base/u256.hpp"

namespace millrace::evm::bn254 {

/// The prime of the base field, 254 bits: sums of two elements fit four limbs.
inline constexpr U256 field_modulus{0x30644e72e131a029, 0xb85045b68181585d, 0x97816a916871ca8d,
                                    0x3c208c16d87cfd47};
/// The prime order of both groups.
inline constexpr U256 group_order{0x30644e72e131a029, 0xb85045b68181585d, 0x2833e84879b97091,
                                  0x43e1f593f0000001};

namespace detail {

using Uint128 = unsigned __int128;

/// -p^-1 mod 2^64.
inline constexpr uint64_t montgomery_factor = 0x87d20782e4866389;
/// 2^512 mod p, which takes a value into Montgomery form.
inline constexpr U256 montgomery_square{0x06d89f71cab8351f, 0x47ab1eff0a417ff6, 0xb5e71911d44501fb,
                                        0xf32cfc5b538afa89};

/// Wide integers of the compiler: their sums and differences become one chain of carries.
template <size_t Bits>
using Wide = unsigned _BitInt(Bits);

template <size_t Limbs>
[[gnu::always_inline]] constexpr Wide<64 * Limbs> to_wide(const uint64_t* limbs) noexcept {
    Wide<64 * Limbs> r = 0;
    for (size_t i = Limbs; i-- > 0;) { r = static_cast<Wide<64 * Limbs>>(r << 64) | limbs[i]; }
    return r;
}

[[gnu::always_inline]] constexpr U256 from_wide(Wide<256> v) noexcept {
    return {static_cast<uint64_t>(v >> 192), static_cast<uint64_t>(v >> 128),
            static_cast<uint64_t>(v >> 64), static_cast<uint64_t>(v)};
}

/// The modulus, as a constant that needs no loading.
inline constexpr Wide<256> wide_modulus = to_wide<4>(field_modulus.w);

/// The sum, which must fit.
[[gnu::always_inline]] constexpr U256 add_limbs(const U256& a, const U256& b) noexcept {
    return from_wide(to_wide<4>(a.w) + to_wide<4>(b.w));
}

/// Takes a value below 2p into the field. Such a value is below 2^255, so the top bit of a
/// difference is its sign; the sign is as good as random, so no branch may depend on it.
[[gnu::always_inline]] constexpr U256 subtract_modulus_once(const U256& a) noexcept {
    const Wide<256> value = to_wide<4>(a.w);
    const Wide<256> reduced = value - wide_modulus;
    const Wide<256> mask = Wide<256>{0} - (reduced >> 255);
    return from_wide((value & mask) | (reduced & ~mask));
}

/// a - b mod p for field elements.
[[gnu::always_inline]] constexpr U256 subtract_mod(const U256& a, const U256& b) noexcept {
    const Wide<256> difference = to_wide<4>(a.w) - to_wide<4>(b.w);
    const Wide<256> mask = Wide<256>{0} - (difference >> 255);
    return from_wide(difference + (wide_modulus & mask));
}

/// a * b for one limb b. The low and the high halves of the four products are added as two wide
/// integers: that is one chain of carries, where adding limb by limb makes the compiler save and
/// restore the carry of every step (measured: a product in Fp2 takes a sixth less time).
[[gnu::always_inline]] constexpr Wide<320> multiply_limb(const U256& a, uint64_t b) noexcept {
    std::array<uint64_t, 5> low{};
    std::array<uint64_t, 5> high{};
#pragma unroll
    for (size_t i = 0; i < 4; ++i) {
        const Uint128 t = static_cast<Uint128>(a.w[i]) * b;
        low[i] = static_cast<uint64_t>(t);
        high[i + 1] = static_cast<uint64_t>(t >> 64);
    }
    return to_wide<5>(low.data()) + to_wide<5>(high.data());
}

/// The product and its reduction in one pass, for a < 2p and b < p: sum_of_products with one
/// product.
[[gnu::always_inline]] constexpr U256 multiply_montgomery(const U256& a, const U256& b) noexcept {
    Wide<320> window = 0;
#pragma unroll
    for (size_t i = 0; i < 4; ++i) {
        window += multiply_limb(a, b.w[i]);
        const uint64_t m = static_cast<uint64_t>(window) * montgomery_factor;
        window = (window + multiply_limb(field_modulus, m)) >> 64;
    }
    return subtract_modulus_once(from_wide(static_cast<Wide<256>>(window)));
}

/// (a0 b0 + a1 b1) / 2^256 mod p with one reduction, for a0, a1 < 2p and b0, b1 <= p. The window
/// stays below 2^320: before a round it is below w = a0 + a1 + p <= 5p < 0.95 * 2^256, and a round
/// adds at most (2^64 - 1) w before it divides by 2^64. What is left is below 4 p^2 / 2^256 + p
/// < 1.8 p.
[[gnu::always_inline]] constexpr U256 sum_of_products(const U256& a0, const U256& b0,
                                                      const U256& a1, const U256& b1) noexcept {
    Wide<320> window = 0;
#pragma unroll
    for (size_t i = 0; i < 4; ++i) {
        window += multiply_limb(a0, b0.w[i]);
        window += multiply_limb(a1, b1.w[i]);
        const uint64_t m = static_cast<uint64_t>(window) * montgomery_factor;
        window = (window + multiply_limb(field_modulus, m)) >> 64;
    }
    return subtract_modulus_once(from_wide(static_cast<Wide<256>>(window)));
}

}  // namespace detail

/// An element of the base field, always fully reduced, held as value * 2^256 mod p.
struct Fp {
    U256 m;

    static constexpr Fp zero() noexcept { return {}; }
    static constexpr Fp one() noexcept { return from_integer(U256{1}); }
    /// `value` must be below the modulus.
    static constexpr Fp from_integer(const U256& value) noexcept {
        return {detail::multiply_montgomery(value, detail::montgomery_square)};
    }
    constexpr U256 to_integer() const noexcept { return detail::multiply_montgomery(m, U256{1}); }

    constexpr bool is_zero() const noexcept { return m.is_zero(); }
    constexpr bool operator==(const Fp&) const noexcept = default;

    [[gnu::always_inline]] friend constexpr Fp operator+(const Fp& a, const Fp& b) noexcept {
        return {detail::subtract_modulus_once(detail::add_limbs(a.m, b.m))};
    }
    [[gnu::always_inline]] friend constexpr Fp operator-(const Fp& a, const Fp& b) noexcept {
        return {detail::subtract_mod(a.m, b.m)};
    }
    [[gnu::always_inline]] friend constexpr Fp operator*(const Fp& a, const Fp& b) noexcept {
        return {detail::multiply_montgomery(a.m, b.m)};
    }
    constexpr Fp operator-() const noexcept { return Fp{} - *this; }
};

constexpr Fp twice(const Fp& a) noexcept { return a + a; }
constexpr Fp square(const Fp& a) noexcept { return a * a; }
/// The inverse; zero for zero.
Fp inverse(const Fp& a) noexcept;

/// A sum of field elements that waits for its reduction: an integer below Bound * p. A linear
/// combination costs one reduction instead of one for every step.
template <unsigned Bound>
struct Sum {
    detail::Wide<320> v;

    template <unsigned Other>
    [[gnu::always_inline]] friend constexpr Sum<Bound + Other>
    operator+(const Sum& a, const Sum<Other>& b) noexcept {
        return {a.v + b.v};
    }
    /// Other * p is added, so that the difference is not negative.
    template <unsigned Other>
    [[gnu::always_inline]] friend constexpr Sum<Bound + Other>
    operator-(const Sum& a, const Sum<Other>& b) noexcept {
        constexpr detail::Wide<320> multiple = Other * detail::Wide<320>{detail::wide_modulus};
        return {a.v + multiple - b.v};
    }
};

[[gnu::always_inline]] constexpr Sum<1> lazy(const Fp& a) noexcept {
    return {detail::to_wide<4>(a.m.w)};
}

template <unsigned Factor, unsigned Bound>
[[gnu::always_inline]] constexpr Sum<Factor * Bound> times(const Sum<Bound>& a) noexcept {
    static_assert(Factor == 2 || Factor == 3 || Factor == 9);
    if constexpr (Factor == 2) { return {a.v << 1}; }
    if constexpr (Factor == 3) { return {(a.v << 1) + a.v}; }
    if constexpr (Factor == 9) { return {(a.v << 3) + a.v}; }
}

/// The quotient by p is estimated from the bits above 2^248 and may be one too small: what is left
/// is below 1.03 p for Bound <= 64 (the estimate's two roundings are below p / 48 each).
template <unsigned Bound>
[[gnu::always_inline]] constexpr Fp reduce(const Sum<Bound>& a) noexcept {
    static_assert(Bound <= 64);
    // 2^280 / p, rounded down.
    constexpr uint64_t factor = 88753990;
    const uint64_t quotient = (static_cast<uint64_t>(a.v >> 248) * factor) >> 32;
    return {detail::subtract_modulus_once(detail::from_wide(
        static_cast<detail::Wide<256>>(a.v - detail::multiply_limb(field_modulus, quotient))))};
}

struct Fp2 {
    Fp c0;
    Fp c1;

    static constexpr Fp2 zero() noexcept { return {}; }
    static constexpr Fp2 one() noexcept { return {Fp::one(), Fp::zero()}; }

    constexpr bool is_zero() const noexcept { return c0.is_zero() && c1.is_zero(); }
    constexpr bool operator==(const Fp2&) const noexcept = default;

    friend constexpr Fp2 operator+(const Fp2& a, const Fp2& b) noexcept {
        return {a.c0 + b.c0, a.c1 + b.c1};
    }
    friend constexpr Fp2 operator-(const Fp2& a, const Fp2& b) noexcept {
        return {a.c0 - b.c0, a.c1 - b.c1};
    }
    constexpr Fp2 operator-() const noexcept { return {-c0, -c1}; }

    /// The four products in two sums with one reduction each. Karatsuba's three would need two more
    /// passes over 512-bit intermediates, which is no faster. The coordinates of `a` may be below
    /// 2p instead of p (see unreduced_sum).
    friend constexpr Fp2 operator*(const Fp2& a, const Fp2& b) noexcept {
        const U256 minus_c1 =
            detail::from_wide(detail::wide_modulus - detail::to_wide<4>(b.c1.m.w));
        return {{detail::sum_of_products(a.c0.m, b.c0.m, a.c1.m, minus_c1)},
                {detail::sum_of_products(a.c0.m, b.c1.m, a.c1.m, b.c0.m)}};
    }
    friend constexpr Fp2 operator*(const Fp2& a, const Fp& b) noexcept {
        return {a.c0 * b, a.c1 * b};
    }
};

constexpr Fp2 twice(const Fp2& a) noexcept { return a + a; }
constexpr Fp2 conjugate(const Fp2& a) noexcept { return {a.c0, -a.c1}; }
constexpr Fp2 square(const Fp2& a) noexcept {
    const Fp product = a.c0 * a.c1;
    // The sum may stay unreduced: it is the left operand.
    const Fp sum{detail::add_limbs(a.c0.m, a.c1.m)};
    return {sum * (a.c0 - a.c1), product + product};
}
/// a + b with coordinates below 2p; only fit to be the left operand of a product.
constexpr Fp2 unreduced_sum(const Fp2& a, const Fp2& b) noexcept {
    return {{detail::add_limbs(a.c0.m, b.c0.m)}, {detail::add_limbs(a.c1.m, b.c1.m)}};
}

/// As Sum, of elements of Fp2.
template <unsigned Bound>
struct Sum2 {
    Sum<Bound> c0;
    Sum<Bound> c1;

    template <unsigned Other>
    [[gnu::always_inline]] friend constexpr Sum2<Bound + Other>
    operator+(const Sum2& a, const Sum2<Other>& b) noexcept {
        return {a.c0 + b.c0, a.c1 + b.c1};
    }
    template <unsigned Other>
    [[gnu::always_inline]] friend constexpr Sum2<Bound + Other>
    operator-(const Sum2& a, const Sum2<Other>& b) noexcept {
        return {a.c0 - b.c0, a.c1 - b.c1};
    }
};

[[gnu::always_inline]] constexpr Sum2<1> lazy(const Fp2& a) noexcept {
    return {lazy(a.c0), lazy(a.c1)};
}
template <unsigned Factor, unsigned Bound>
[[gnu::always_inline]] constexpr Sum2<Factor * Bound> times(const Sum2<Bound>& a) noexcept {
    return {times<Factor>(a.c0), times<Factor>(a.c1)};
}
template <unsigned Bound>
[[gnu::always_inline]] constexpr Fp2 reduce(const Sum2<Bound>& a) noexcept {
    return {reduce(a.c0), reduce(a.c1)};
}
/// a * xi = (9 c0 - c1) + (9 c1 + c0) u.
template <unsigned Bound>
[[gnu::always_inline]] constexpr Sum2<10 * Bound> multiply_by_xi(const Sum2<Bound>& a) noexcept {
    return {times<9>(a.c0) - a.c1, times<9>(a.c1) + a.c0};
}
constexpr Fp2 multiply_by_xi(const Fp2& a) noexcept { return reduce(multiply_by_xi(lazy(a))); }

/// The inverse; zero for zero.
Fp2 inverse(const Fp2& a) noexcept;

struct Fp6 {
    Fp2 c0;
    Fp2 c1;
    Fp2 c2;

    static constexpr Fp6 one() noexcept { return {Fp2::one(), {}, {}}; }
    constexpr bool operator==(const Fp6&) const noexcept = default;

    friend constexpr Fp6 operator+(const Fp6& a, const Fp6& b) noexcept {
        return {a.c0 + b.c0, a.c1 + b.c1, a.c2 + b.c2};
    }
    friend constexpr Fp6 operator-(const Fp6& a, const Fp6& b) noexcept {
        return {a.c0 - b.c0, a.c1 - b.c1, a.c2 - b.c2};
    }
    constexpr Fp6 operator-() const noexcept { return {-c0, -c1, -c2}; }
    friend Fp6 operator*(const Fp6& a, const Fp6& b) noexcept;
};

/// a * v.
constexpr Fp6 multiply_by_v(const Fp6& a) noexcept { return {multiply_by_xi(a.c2), a.c0, a.c1}; }
Fp6 inverse(const Fp6& a) noexcept;

struct Fp12 {
    Fp6 c0;
    Fp6 c1;

    static constexpr Fp12 one() noexcept { return {Fp6::one(), {}}; }
    constexpr bool operator==(const Fp12&) const noexcept = default;
    friend Fp12 operator*(const Fp12& a, const Fp12& b) noexcept;
};

/// a^(p^6): the inverse for elements whose norm to Fp6 is one.
constexpr Fp12 conjugate(const Fp12& a) noexcept { return {a.c0, -a.c1}; }
Fp12 square(const Fp12& a) noexcept;
Fp12 inverse(const Fp12& a) noexcept;
/// Granger and Scott's squaring (2009/565); `a` must lie in the cyclotomic subgroup, the image of
/// the easy part of the final exponentiation.
Fp12 cyclotomic_square(const Fp12& a) noexcept;
/// a^(p^power) for power 1, 2 or 3.
Fp12 frobenius(const Fp12& a, int power) noexcept;
/// a * (l0 + l1 w + l3 w^3), the shape of a line through points of the twist.
Fp12 multiply_by_line(const Fp12& a, const Fp2& l0, const Fp2& l1, const Fp2& l3) noexcept;

/// xi^(index * (p^power - 1) / 6) for power 1 to 3 and index 1 to 5: what the Frobenius map
/// multiplies the coefficient of w^index with.
const Fp2& frobenius_factor(int power, int index) noexcept;

}  // namespace millrace::evm::bn254
