// SPDX-License-Identifier: Apache-2.0
// Owns the arithmetic of bn254's extension tower and the inversions.
#include "evm/precompiles/detail/bn254_field.hpp"

#include <gmp.h>

#include <string_view>

namespace millrace::evm::bn254 {

namespace {

static_assert(GMP_NUMB_BITS == 64, "limbs are passed to GMP as they are");

consteval Fp fp_literal(std::string_view hex) {
    U256 v;
    for (const char c : hex) {
        const int digit = c <= '9' ? c - '0' : c - 'a' + 10;
        v = shl(v, 4) | U256{static_cast<uint64_t>(digit)};
    }
    return Fp::from_integer(v);
}

consteval Fp2 fp2_literal(std::string_view c0, std::string_view c1) {
    return {fp_literal(c0), fp_literal(c1)};
}

// xi^(k (p^j - 1) / 6), rows j = 1 to 3, columns k = 1 to 5. The tests recompute each one.
constexpr std::array<std::array<Fp2, 5>, 3> frobenius_factors{{
    {fp2_literal("1284b71c2865a7dfe8b99fdd76e68b605c521e08292f2176d60b35dadcc9e470",
                 "246996f3b4fae7e6a6327cfe12150b8e747992778eeec7e5ca5cf05f80f362ac"),
     fp2_literal("2fb347984f7911f74c0bec3cf559b143b78cc310c2c3330c99e39557176f553d",
                 "16c9e55061ebae204ba4cc8bd75a079432ae2a1d0b7c9dce1665d51c640fcba2"),
     fp2_literal("063cf305489af5dcdc5ec698b6e2f9b9dbaae0eda9c95998dc54014671a0135a",
                 "07c03cbcac41049a0704b5a7ec796f2b21807dc98fa25bd282d37f632623b0e3"),
     fp2_literal("05b54f5e64eea80180f3c0b75a181e84d33365f7be94ec72848a1f55921ea762",
                 "2c145edbe7fd8aee9f3a80b03b0b1c923685d2ea1bdec763c13b4711cd2b8126"),
     fp2_literal("0183c1e74f798649e93a3661a4353ff4425c459b55aa1bd32ea2c810eab7692f",
                 "12acf2ca76fd0675a27fb246c7729f7db080cb99678e2ac024c6b8ee6e0c2c4b")},
    {fp2_literal("30644e72e131a0295e6dd9e7e0acccb0c28f069fbb966e3de4bd44e5607cfd49", "0"),
     fp2_literal("30644e72e131a0295e6dd9e7e0acccb0c28f069fbb966e3de4bd44e5607cfd48", "0"),
     fp2_literal("30644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd46", "0"),
     fp2_literal("59e26bcea0d48bacd4f263f1acdb5c4f5763473177fffffe", "0"),
     fp2_literal("59e26bcea0d48bacd4f263f1acdb5c4f5763473177ffffff", "0")},
    {fp2_literal("19dc81cfcc82e4bbefe9608cd0acaa90894cb38dbe55d24ae86f7d391ed4a67f",
                 "0abf8b60be77d7306cbeee33576139d7f03a5e397d439ec7694aa2bf4c0c101"),
     fp2_literal("0856e078b755ef0abaff1c77959f25ac805ffd3d5d6942d37b746ee87bdcfb6d",
                 "04f1de41b3d1766fa9f30e6dec26094f0fdf31bf98ff2631380cab2baaa586de"),
     fp2_literal("2a275b6d9896aa4cdbf17f1dca9e5ea3bbd689a3bea870f45fcc8ad066dce9ed",
                 "28a411b634f09b8fb14b900e9507e9327600ecc7d8cf6ebab94d0cb3b2594c64"),
     fp2_literal("0bc58c6611c08dab19bee0f7b5b2444ee633094575b06bcb0e1a92bc3ccbf066",
                 "23d5e999e1910a12feb0f6ef0cd21d04a44a9e08737f96e55fe3ed9d730c239f"),
     fp2_literal("13c49044952c0905711699fa3b4d3f692ed68098967c84a5ebde847076261b43",
                 "16db366a59b1dd0b9fb1b2282a48633d3e2ddaea200280211f25041384282499")},
}};

/// 2^768 mod p: one multiplication by it takes the plain inverse of a Montgomery value to the
/// Montgomery form of the inverse.
constexpr U256 inverse_correction =
    detail::multiply_montgomery(detail::montgomery_square, detail::montgomery_square);

/// The square of a + b W in Fp4 = Fp2[W]/(W^2 - xi), not yet reduced.
struct Fp4Square {
    Sum2<11> low;
    Sum2<3> high;
};

Fp4Square square_fp4(const Fp2& a, const Fp2& b) noexcept {
    const Fp2 a2 = square(a);
    const Fp2 b2 = square(b);
    return {lazy(a2) + multiply_by_xi(lazy(b2)), lazy(square(a + b)) - (lazy(a2) + lazy(b2))};
}

/// a * (b0 + b1 v).
Fp6 multiply_by_01(const Fp6& a, const Fp2& b0, const Fp2& b1) noexcept {
    const Fp2 t0 = a.c0 * b0;
    const Fp2 t1 = a.c1 * b1;
    const Fp2 s12 = unreduced_sum(a.c1, a.c2) * b1;
    const Fp2 s01 = unreduced_sum(a.c0, a.c1) * (b0 + b1);
    const Fp2 s02 = unreduced_sum(a.c0, a.c2) * b0;
    return {reduce(multiply_by_xi(lazy(s12) - lazy(t1)) + lazy(t0)),
            reduce(lazy(s01) - (lazy(t0) + lazy(t1))), reduce(lazy(s02) - lazy(t0) + lazy(t1))};
}

/// a + v b, and then s - a - b: what Karatsuba's three products become in Fp12.
Fp6 add_multiple_of_v(const Fp6& a, const Fp6& b) noexcept {
    return {reduce(lazy(a.c0) + multiply_by_xi(lazy(b.c2))), a.c1 + b.c0, a.c2 + b.c1};
}
Fp6 subtract_both(const Fp6& s, const Fp6& a, const Fp6& b) noexcept {
    return {reduce(lazy(s.c0) - (lazy(a.c0) + lazy(b.c0))),
            reduce(lazy(s.c1) - (lazy(a.c1) + lazy(b.c1))),
            reduce(lazy(s.c2) - (lazy(a.c2) + lazy(b.c2)))};
}

/// 3 t - 2 a and 3 t + 2 a, the last steps of the cyclotomic squaring.
template <unsigned Bound>
Fp2 three_minus_two(const Sum2<Bound>& t, const Fp2& a) noexcept {
    return reduce(times<3>(t) - times<2>(lazy(a)));
}
template <unsigned Bound>
Fp2 three_plus_two(const Sum2<Bound>& t, const Fp2& a) noexcept {
    return reduce(times<3>(t) + times<2>(lazy(a)));
}

}  // namespace

Fp inverse(const Fp& a) noexcept {
    if (a.is_zero()) { return {}; }
    // The cofactor that GMP returns belongs to the first operand, which must not be shorter than
    // the second: a + p is not, and is the same element.
    U256 first = detail::add_limbs(a.m, field_modulus);
    U256 second = field_modulus;
    std::array<mp_limb_t, 5> gcd{};
    std::array<mp_limb_t, 5> cofactor{};
    mp_size_t cofactor_size = 0;
    static_assert(sizeof(mp_limb_t) == sizeof(uint64_t));
    mpn_gcdext(gcd.data(), cofactor.data(), &cofactor_size, first.w, 4, second.w, 4);
    const size_t size = static_cast<size_t>(cofactor_size < 0 ? -cofactor_size : cofactor_size);
    U256 plain;
    for (size_t i = 0; i < size && i < 4; ++i) { plain.w[i] = cofactor[i]; }
    const Fp result{detail::multiply_montgomery(plain, inverse_correction)};
    return cofactor_size < 0 ? -result : result;
}

Fp2 inverse(const Fp2& a) noexcept {
    const Fp norm = inverse(square(a.c0) + square(a.c1));
    return {a.c0 * norm, -(a.c1 * norm)};
}

Fp6 operator*(const Fp6& a, const Fp6& b) noexcept {
    const Fp2 t0 = a.c0 * b.c0;
    const Fp2 t1 = a.c1 * b.c1;
    const Fp2 t2 = a.c2 * b.c2;
    const Fp2 s12 = unreduced_sum(a.c1, a.c2) * (b.c1 + b.c2);
    const Fp2 s01 = unreduced_sum(a.c0, a.c1) * (b.c0 + b.c1);
    const Fp2 s02 = unreduced_sum(a.c0, a.c2) * (b.c0 + b.c2);
    return {reduce(multiply_by_xi(lazy(s12) - (lazy(t1) + lazy(t2))) + lazy(t0)),
            reduce(lazy(s01) - (lazy(t0) + lazy(t1)) + multiply_by_xi(lazy(t2))),
            reduce(lazy(s02) - (lazy(t0) + lazy(t2)) + lazy(t1))};
}

Fp6 inverse(const Fp6& a) noexcept {
    const Fp2 t0 = square(a.c0) - multiply_by_xi(a.c1 * a.c2);
    const Fp2 t1 = multiply_by_xi(square(a.c2)) - a.c0 * a.c1;
    const Fp2 t2 = square(a.c1) - a.c0 * a.c2;
    const Fp2 norm = inverse(a.c0 * t0 + multiply_by_xi(a.c2 * t1 + a.c1 * t2));
    return {t0 * norm, t1 * norm, t2 * norm};
}

Fp12 operator*(const Fp12& a, const Fp12& b) noexcept {
    const Fp6 t0 = a.c0 * b.c0;
    const Fp6 t1 = a.c1 * b.c1;
    return {add_multiple_of_v(t0, t1), subtract_both((a.c0 + a.c1) * (b.c0 + b.c1), t0, t1)};
}

Fp12 square(const Fp12& a) noexcept {
    const Fp6 product = a.c0 * a.c1;
    const Fp6 sum = (a.c0 + a.c1) * add_multiple_of_v(a.c0, a.c1);
    return {subtract_both(sum, product, multiply_by_v(product)), product + product};
}

Fp12 inverse(const Fp12& a) noexcept {
    const Fp6 norm = inverse(a.c0 * a.c0 - multiply_by_v(a.c1 * a.c1));
    return {a.c0 * norm, -(a.c1 * norm)};
}

Fp12 cyclotomic_square(const Fp12& a) noexcept {
    // In the subgroup, squaring splits into three squarings in Fp4, of the coefficient pairs
    // (w^0, w^3), (w^1, w^4) and (w^2, w^5).
    const Fp4Square s0 = square_fp4(a.c0.c0, a.c1.c1);
    const Fp4Square s1 = square_fp4(a.c1.c0, a.c0.c2);
    const Fp4Square s2 = square_fp4(a.c0.c1, a.c1.c2);
    return {{three_minus_two(s0.low, a.c0.c0), three_minus_two(s1.low, a.c0.c1),
             three_minus_two(s2.low, a.c0.c2)},
            {three_plus_two(multiply_by_xi(lazy(reduce(s2.high))), a.c1.c0),
             three_plus_two(s0.high, a.c1.c1), three_plus_two(s1.high, a.c1.c2)}};
}

const Fp2& frobenius_factor(int power, int index) noexcept {
    return frobenius_factors[static_cast<size_t>(power - 1)][static_cast<size_t>(index - 1)];
}

Fp12 frobenius(const Fp12& a, int power) noexcept {
    const auto map = [power](const Fp2& c, int index) {
        const Fp2 v = (power & 1) != 0 ? conjugate(c) : c;
        if (index == 0) { return v; }
        const Fp2& factor = frobenius_factor(power, index);
        return power == 2 ? v * factor.c0 : v * factor;
    };
    return {{map(a.c0.c0, 0), map(a.c0.c1, 2), map(a.c0.c2, 4)},
            {map(a.c1.c0, 1), map(a.c1.c1, 3), map(a.c1.c2, 5)}};
}

Fp12 multiply_by_line(const Fp12& a, const Fp2& l0, const Fp2& l1, const Fp2& l3) noexcept {
    const Fp6 t0{a.c0.c0 * l0, a.c0.c1 * l0, a.c0.c2 * l0};
    const Fp6 t1 = multiply_by_01(a.c1, l1, l3);
    const Fp6 sum = multiply_by_01(a.c0 + a.c1, l0 + l1, l3);
    return {add_multiple_of_v(t0, t1), subtract_both(sum, t0, t1)};
}

}  // namespace millrace::evm::bn254
