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

/// A product before its reduction: 512 bits, least significant limb first.
struct WideProduct {
    std::array<uint64_t, 8> w{};
};

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

[[gnu::always_inline]] constexpr WideProduct from_wide(Wide<512> v) noexcept {
    WideProduct r;
    for (size_t i = 0; i < r.w.size(); ++i) { r.w[i] = static_cast<uint64_t>(v >> (64 * i)); }
    return r;
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

[[gnu::always_inline]] constexpr WideProduct multiply_wide(const U256& a, const U256& b) noexcept {
    WideProduct r;
    Wide<320> sum = multiply_limb(a, b.w[0]);
    r.w[0] = static_cast<uint64_t>(sum);
#pragma unroll
    for (size_t i = 1; i < 4; ++i) {
        sum = (sum >> 64) + multiply_limb(a, b.w[i]);
        r.w[i] = static_cast<uint64_t>(sum);
    }
    for (size_t i = 0; i < 4; ++i) { r.w[i + 4] = static_cast<uint64_t>(sum >> (64 * (i + 1))); }
    return r;
}

/// a - b over 512 bits for b <= a.
[[gnu::always_inline]] constexpr WideProduct subtract_smaller(const WideProduct& a,
                                                              const WideProduct& b) noexcept {
    return from_wide(to_wide<8>(a.w.data()) - to_wide<8>(b.w.data()));
}

/// a - b over 512 bits; when it is negative, p * 2^256 is added, which changes nothing mod p.
[[gnu::always_inline]] constexpr WideProduct subtract_wide(const WideProduct& a,
                                                           const WideProduct& b) noexcept {
    const Wide<512> difference = to_wide<8>(a.w.data()) - to_wide<8>(b.w.data());
    const Wide<256> mask = Wide<256>{0} - static_cast<Wide<256>>(difference >> 511);
    const Wide<256> high = static_cast<Wide<256>>(difference >> 256) + (wide_modulus & mask);
    WideProduct r = from_wide(difference);
    for (size_t i = 0; i < 4; ++i) { r.w[i + 4] = static_cast<uint64_t>(high >> (64 * i)); }
    return r;
}

/// a / 2^256 mod p for a < p * 2^256. The sum in each round stays below 2p * 2^256, so no carry
/// leaves the top limb; the carry of a round into the limb that the next one takes in is kept.
[[gnu::always_inline]] constexpr U256 reduce_wide(const WideProduct& a) noexcept {
    Wide<320> window = to_wide<5>(a.w.data());
#pragma unroll
    for (size_t i = 0; i < 4; ++i) {
        const uint64_t m = static_cast<uint64_t>(window) * montgomery_factor;
        Wide<384> sum = static_cast<Wide<384>>(window) + multiply_limb(field_modulus, m);
        sum >>= 64;
        if (i < 3) { sum += static_cast<Wide<384>>(a.w[i + 5]) << 256; }
        window = static_cast<Wide<320>>(sum);
    }
    return subtract_modulus_once(from_wide(static_cast<Wide<256>>(window)));
}

/// The product and its reduction in one pass; the sum of two carries fits a limb because the top
/// limb of p is below 2^63.
[[gnu::always_inline]] constexpr U256 multiply_montgomery(const U256& a, const U256& b) noexcept {
    std::array<uint64_t, 4> t{};
#pragma unroll
    for (size_t i = 0; i < 4; ++i) {
        Uint128 s = static_cast<Uint128>(a.w[0]) * b.w[i] + t[0];
        uint64_t product_carry = static_cast<uint64_t>(s >> 64);
        const uint64_t m = static_cast<uint64_t>(s) * montgomery_factor;
        Uint128 u = static_cast<Uint128>(m) * field_modulus.w[0] + static_cast<uint64_t>(s);
        uint64_t reduction_carry = static_cast<uint64_t>(u >> 64);
#pragma unroll
        for (size_t j = 1; j < 4; ++j) {
            s = static_cast<Uint128>(a.w[j]) * b.w[i] + t[j] + product_carry;
            product_carry = static_cast<uint64_t>(s >> 64);
            u = static_cast<Uint128>(m) * field_modulus.w[j] + static_cast<uint64_t>(s) +
                reduction_carry;
            reduction_carry = static_cast<uint64_t>(u >> 64);
            t[j - 1] = static_cast<uint64_t>(u);
        }
        t[3] = product_carry + reduction_carry;
    }
    return subtract_modulus_once(U256{t[3], t[2], t[1], t[0]});
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

    /// Karatsuba over 512-bit products with two reductions: the sums of coordinates stay below 2p,
    /// the middle product below 2 p^2 < p * 2^256.
    friend constexpr Fp2 operator*(const Fp2& a, const Fp2& b) noexcept {
        const WideProduct low = detail::multiply_wide(a.c0.m, b.c0.m);
        const WideProduct high = detail::multiply_wide(a.c1.m, b.c1.m);
        const WideProduct cross = detail::multiply_wide(detail::add_limbs(a.c0.m, a.c1.m),
                                                        detail::add_limbs(b.c0.m, b.c1.m));
        return {{detail::reduce_wide(detail::subtract_wide(low, high))},
                {detail::reduce_wide(
                    detail::subtract_smaller(detail::subtract_smaller(cross, low), high))}};
    }
    friend constexpr Fp2 operator*(const Fp2& a, const Fp& b) noexcept {
        return {a.c0 * b, a.c1 * b};
    }
};

constexpr Fp2 twice(const Fp2& a) noexcept { return a + a; }
constexpr Fp2 conjugate(const Fp2& a) noexcept { return {a.c0, -a.c1}; }
constexpr Fp2 square(const Fp2& a) noexcept {
    const Fp product = a.c0 * a.c1;
    // The sum may stay unreduced: 2p * p is still below p * 2^256.
    const Fp sum{detail::add_limbs(a.c0.m, a.c1.m)};
    return {sum * (a.c0 - a.c1), product + product};
}
/// a * xi.
constexpr Fp2 multiply_by_xi(const Fp2& a) noexcept {
    const Fp2 eight = twice(twice(twice(a)));
    return {eight.c0 + a.c0 - a.c1, eight.c1 + a.c1 + a.c0};
}
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
