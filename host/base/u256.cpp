// SPDX-License-Identifier: Apache-2.0
// Owns the slow half of U256: division, modular arithmetic and exponentiation.
#include "host/base/u256.hpp"

namespace millrace {
namespace {

using u128 = unsigned __int128;

int limb_count(const uint64_t* p, int n) noexcept {
    while (n > 0 && p[n - 1] == 0) { --n; }
    return n;
}

/// (high, low) / d for high < d, so that the quotient fits; the remainder goes to `rem`. The
/// compiler would call the 128-bit division of its runtime, which takes several times as long.
inline uint64_t divide_wide(uint64_t high, uint64_t low, uint64_t d, uint64_t& rem) noexcept {
#if defined(__x86_64__)
    uint64_t q;
    asm("divq %[d]" : "=a"(q), "=d"(rem) : "a"(low), "d"(high), [d] "r"(d) : "cc");
    return q;
#else
    const u128 n = (static_cast<u128>(high) << 64) | low;
    rem = static_cast<uint64_t>(n % d);
    return static_cast<uint64_t>(n / d);
#endif
}

/// Division by one limb; writes `nn` quotient limbs when `quot` is given.
uint64_t divide_short(const uint64_t* num, int nn, uint64_t d, uint64_t* quot) noexcept {
    uint64_t r = 0;
    for (int i = nn - 1; i >= 0; --i) {
        const uint64_t q = divide_wide(r, num[i], d, r);
        if (quot != nullptr) { quot[i] = q; }
    }
    return r;
}

/// Knuth, TAOCP 4.3.1, algorithm D, base 2^64, for a divisor of exactly `dn` >= 2 limbs. `num` has
/// nn limbs, at most 8. Writes nn - dn + 1 quotient limbs when `quot` is given; the remainder takes
/// dn limbs.
template <int dn>
void divide_long(const uint64_t* num, int nn, const uint64_t* den, uint64_t* quot,
                 uint64_t* rem) noexcept {
    const int shift = std::countl_zero(den[dn - 1]);
    uint64_t v[dn];
    uint64_t u[9];
    for (int i = dn - 1; i >= 0; --i) {
        v[i] = den[i] << shift;
        if (shift != 0 && i > 0) { v[i] |= den[i - 1] >> (64 - shift); }
    }
    u[nn] = shift != 0 ? num[nn - 1] >> (64 - shift) : 0;
    for (int i = nn - 1; i >= 0; --i) {
        u[i] = num[i] << shift;
        if (shift != 0 && i > 0) { u[i] |= num[i - 1] >> (64 - shift); }
    }
    for (int j = nn - dn; j >= 0; --j) {
        uint64_t qhat;
        if (u[j + dn] >= v[dn - 1]) {
            qhat = ~0ull;
        } else {
            uint64_t r = 0;
            qhat = divide_wide(u[j + dn], u[j + dn - 1], v[dn - 1], r);
            u128 rhat = r;
            while (static_cast<u128>(qhat) * v[dn - 2] > ((rhat << 64) | u[j + dn - 2])) {
                --qhat;
                rhat += v[dn - 1];
                if ((rhat >> 64) != 0) { break; }
            }
        }
        uint64_t borrow = 0;
        uint64_t carry = 0;
        for (int i = 0; i < dn; ++i) {
            const u128 p = static_cast<u128>(qhat) * v[i] + carry;
            carry = static_cast<uint64_t>(p >> 64);
            u[i + j] = detail::sub_borrow(u[i + j], static_cast<uint64_t>(p), borrow);
        }
        u[j + dn] = detail::sub_borrow(u[j + dn], carry, borrow);
        // The estimate was at most one too high: the test against the second limb sees to that, and
        // for the digit 2^64 - 1 the set top bit of the divisor. Then the divisor goes back once.
        if (borrow != 0) {
            --qhat;
            uint64_t c = 0;
            for (int i = 0; i < dn; ++i) { u[i + j] = detail::add_carry(u[i + j], v[i], c); }
            u[j + dn] += c;
        }
        if (quot != nullptr) { quot[j] = qhat; }
    }
    for (int i = 0; i < dn; ++i) {
        rem[i] = u[i] >> shift;
        if (shift != 0) { rem[i] |= u[i + 1] << (64 - shift); }
    }
}

/// Any divisor of `dn` >= 1 significant limbs; see divide_long.
void divide(const uint64_t* num, int nn, const uint64_t* den, int dn, uint64_t* quot,
            uint64_t* rem) noexcept {
    switch (dn) {
        case 1: rem[0] = divide_short(num, nn, den[0], quot); break;
        case 2: divide_long<2>(num, nn, den, quot, rem); break;
        case 3: divide_long<3>(num, nn, den, quot, rem); break;
        default: divide_long<4>(num, nn, den, quot, rem); break;
    }
}

}  // namespace

DivResult div_rem(const U256& a, const U256& b) noexcept {
    const int dn = limb_count(b.w, 4);
    if (dn == 0) { return {}; }
    if (a < b) { return {U256{}, a}; }
    if (a.fits_u64()) { return {U256{a.w[0] / b.w[0]}, U256{a.w[0] % b.w[0]}}; }
    const int nn = limb_count(a.w, 4);
    DivResult r;
    divide(a.w, nn, b.w, dn, r.quotient.w, r.remainder.w);
    return r;
}

U256 signed_div(const U256& a, const U256& b) noexcept {
    const U256 q = div_rem(is_negative(a) ? negate(a) : a, is_negative(b) ? negate(b) : b).quotient;
    return is_negative(a) != is_negative(b) ? negate(q) : q;
}

U256 signed_mod(const U256& a, const U256& b) noexcept {
    const U256 r =
        div_rem(is_negative(a) ? negate(a) : a, is_negative(b) ? negate(b) : b).remainder;
    return is_negative(a) ? negate(r) : r;
}

U256 add_mod(const U256& a, const U256& b, const U256& m) noexcept {
    const int dn = limb_count(m.w, 4);
    if (dn == 0) { return {}; }
    if (dn == 4 && a.w[3] <= m.w[3] && b.w[3] <= m.w[3]) {
        // Both are below 2m, so each needs the modulus taken off at most once, and so does the sum.
        auto reduce = [&m](const U256& v) {
            bool under = false;
            const U256 d = sub_underflow(v, m, under);
            return under ? v : d;
        };
        bool carry = false;
        const U256 s = add_overflow(reduce(a), reduce(b), carry);
        bool under = false;
        const U256 d = sub_underflow(s, m, under);
        return carry || !under ? d : s;
    }
    bool carry = false;
    const U256 s = add_overflow(a, b, carry);
    uint64_t wide[5] = {s.w[0], s.w[1], s.w[2], s.w[3], carry ? 1ull : 0ull};
    const int nn = limb_count(wide, 5);
    if (nn < dn) { return s; }
    U256 r;
    divide(wide, nn, m.w, dn, nullptr, r.w);
    return r;
}

U256 mul_full(const U256& a, const U256& b, U256& high) noexcept {
    uint64_t p[8] = {};
    for (int i = 0; i < 4; ++i) {
        uint64_t carry = 0;
        for (int j = 0; j < 4; ++j) {
            const u128 t = static_cast<u128>(a.w[i]) * b.w[j] + p[i + j] + carry;
            p[i + j] = static_cast<uint64_t>(t);
            carry = static_cast<uint64_t>(t >> 64);
        }
        p[i + 4] = carry;
    }
    high = U256{p[7], p[6], p[5], p[4]};
    return {p[3], p[2], p[1], p[0]};
}

U256 mul_mod(const U256& a, const U256& b, const U256& m) noexcept {
    const int dn = limb_count(m.w, 4);
    if (dn == 0) { return {}; }
    U256 high;
    const U256 low = mul_full(a, b, high);
    uint64_t p[8];
    for (int i = 0; i < 4; ++i) {
        p[i] = low.w[i];
        p[i + 4] = high.w[i];
    }
    const int nn = limb_count(p, 8);
    if (nn < dn) { return low; }
    U256 r;
    divide(p, nn, m.w, dn, nullptr, r.w);
    return r;
}

void BarrettModulus::set(const U256& m) noexcept {
    modulus = m;
    uint64_t ones[8];
    for (uint64_t& limb : ones) { limb = ~0ull; }
    uint64_t rem[4];
    divide_long<4>(ones, 8, m.w, reciprocal, rem);
}

U256 mul_mod(const U256& a, const U256& b, const U256& m, BarrettModulus& cached) noexcept {
    if (m.w[3] == 0) { return mul_mod(a, b, m); }
    if (cached.modulus != m) { cached.set(m); }
    // Handbook of Applied Cryptography, algorithm 14.42, base 2^64, k = 4.
    U256 high;
    const U256 low = mul_full(a, b, high);
    const uint64_t x[8] = {low.w[0],  low.w[1],  low.w[2],  low.w[3],
                           high.w[0], high.w[1], high.w[2], high.w[3]};
    // The quotient estimate is the top of x[3..7] * reciprocal. Partial products below the limb
    // before the top are left out: they make the estimate too low by at most one.
    uint64_t t[10] = {};
#pragma clang loop unroll(full)
    for (int i = 0; i < 5; ++i) {
        uint64_t carry = 0;
#pragma clang loop unroll(full)
        for (int j = 0; j < 5; ++j) {
            if (i + j < 3) { continue; }
            const u128 p = static_cast<u128>(x[3 + i]) * cached.reciprocal[j] + t[i + j] + carry;
            t[i + j] = static_cast<uint64_t>(p);
            carry = static_cast<uint64_t>(p >> 64);
        }
        t[i + 5] = carry;
    }
    const uint64_t* q = t + 5;
    uint64_t qm[5] = {};
#pragma clang loop unroll(full)
    for (int i = 0; i < 5; ++i) {
        uint64_t carry = 0;
#pragma clang loop unroll(full)
        for (int j = 0; j < 4; ++j) {
            if (i + j > 4) { continue; }
            const u128 p = static_cast<u128>(q[i]) * m.w[j] + qm[i + j] + carry;
            qm[i + j] = static_cast<uint64_t>(p);
            carry = static_cast<uint64_t>(p >> 64);
        }
        if (i == 0) { qm[4] = carry; }
    }
    // The remainder before correction is below 5m, so five limbs hold it; mostly it is below 2m.
    uint64_t borrow = 0;
    U256 r;
    for (int i = 0; i < 4; ++i) { r.w[i] = detail::sub_borrow(x[i], qm[i], borrow); }
    uint64_t top = detail::sub_borrow(x[4], qm[4], borrow);
    do {
        uint64_t under = 0;
        U256 d;
        for (int i = 0; i < 4; ++i) { d.w[i] = detail::sub_borrow(r.w[i], m.w[i], under); }
        const uint64_t d_top = detail::sub_borrow(top, 0, under);
        const uint64_t keep = 0 - under;  // all ones when r < m
        for (int i = 0; i < 4; ++i) { r.w[i] = (r.w[i] & keep) | (d.w[i] & ~keep); }
        top = (top & keep) | (d_top & ~keep);
    } while (top != 0 || r >= m);
    return r;
}

namespace {

/// a * a: the six products that reach the low 256 bits.
U256 square(const U256& a) noexcept {
    // The products of different limbs, which count twice.
    const u128 p01 = static_cast<u128>(a.w[0]) * a.w[1];
    const u128 p02 = static_cast<u128>(a.w[0]) * a.w[2] + static_cast<uint64_t>(p01 >> 64);
    const uint64_t c1 = static_cast<uint64_t>(p01);
    const uint64_t c2 = static_cast<uint64_t>(p02);
    const uint64_t c3 = static_cast<uint64_t>(p02 >> 64) + a.w[0] * a.w[3] + a.w[1] * a.w[2];
    const u128 s0 = static_cast<u128>(a.w[0]) * a.w[0];
    const u128 s1 = static_cast<u128>(a.w[1]) * a.w[1];
    U256 r;
    uint64_t carry = 0;
    r.w[0] = static_cast<uint64_t>(s0);
    r.w[1] = detail::add_carry(static_cast<uint64_t>(s0 >> 64), c1 << 1, carry);
    r.w[2] = detail::add_carry(static_cast<uint64_t>(s1), c2 << 1 | c1 >> 63, carry);
    r.w[3] = detail::add_carry(static_cast<uint64_t>(s1 >> 64), c3 << 1 | c2 >> 63, carry);
    return r;
}

/// base ^ exponent by bits from the low end. It is for short exponents.
U256 power_by_bits(U256 base, uint64_t exponent) noexcept {
    U256 r{1};
    for (; exponent != 0; exponent >>= 1) {
        if ((exponent & 1) != 0) { r = r * base; }
        base = square(base);
    }
    return r;
}

/// base ^ exponent; `base` becomes base ^ 2^64. Yao's method with digits of four bits, so that the
/// same squarings serve both.
U256 power_and_raise(U256& base, uint64_t exponent) noexcept {
    U256 of_digit[16];  // the product of the powers 16^i of the base where digit i has this value
    for (U256& product : of_digit) { product = U256{1}; }
    for (int i = 0; i < 16; ++i, exponent >>= 4) {
        U256& product = of_digit[exponent & 15];
        product = product * base;
        base = square(square(square(square(base))));
    }
    U256 suffix = of_digit[15];
    U256 r = suffix;
    for (int digit = 14; digit > 0; --digit) {
        suffix = suffix * of_digit[digit];
        r = r * suffix;
    }
    return r;
}

/// (1 + x) ^ n for x a multiple of 2^66: the binomial series ends after the cube of x.
U256 power_near_one(const U256& x, const U256& n) noexcept {
    // Inverse of 3 modulo 2^256.
    constexpr U256 third{0xaaaaaaaaaaaaaaaa, 0xaaaaaaaaaaaaaaaa, 0xaaaaaaaaaaaaaaaa,
                         0xaaaaaaaaaaaaaaab};
    // Halving loses the top bit of the product, but x^2 leaves only the low 124 bits of it.
    const U256 choose_2 = shr(n * (n - U256{1}), 1);
    const U256 choose_3 = choose_2 * (n - U256{2}) * third;
    return U256{1} + x * (n + x * (choose_2 + x * choose_3));
}

}  // namespace

U256 power(U256 base, const U256& exponent) noexcept {
    if (exponent.fits_u64() && exponent.w[0] < 65536) { return power_by_bits(base, exponent.w[0]); }
    // An even base has at least as many factors of two as the exponent says.
    if ((base.w[0] & 1) == 0) { return U256{}; }
    // The exponent is low + 2^64 high. An odd square is 1 modulo 8, and each further squaring makes
    // one more bit zero: base ^ 2^64 is 1 modulo 2^66.
    const U256 low_power = power_and_raise(base, exponent.w[0]);
    const U256 high = shr(exponent, 64);
    return high.is_zero() ? low_power : low_power * power_near_one(base - U256{1}, high);
}

}  // namespace millrace
