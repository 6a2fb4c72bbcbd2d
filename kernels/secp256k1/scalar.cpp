// SPDX-License-Identifier: Apache-2.0
// Owns arithmetic modulo the two primes of secp256k1, inversion, splitting and recoding of scalars.
#include "kernels/secp256k1/detail/scalar.hpp"

#include <bit>

namespace millrace::kernels::detail {

namespace {

using uint128 = unsigned __int128;
using int128 = __int128;

/// r[0 .. A + B) = a * b
template <size_t A, size_t B>
[[gnu::always_inline]] inline void mul_words(const uint64_t* a, const uint64_t* b,
                                             uint64_t* r) noexcept {
    for (size_t i = 0; i < A + B; ++i) { r[i] = 0; }
    for (size_t i = 0; i < A; ++i) {
        uint64_t carry = 0;
        for (size_t j = 0; j < B; ++j) {
            const uint128 t = static_cast<uint128>(a[i]) * b[j] + r[i + j] + carry;
            r[i + j] = static_cast<uint64_t>(t);
            carry = static_cast<uint64_t>(t >> 64);
        }
        r[i + B] = carry;
    }
}

/// r[0 .. N) += a[0 .. M), M at most N; gives the carry.
template <size_t N, size_t M>
inline uint64_t add_words(uint64_t* r, const uint64_t* a) noexcept {
    uint64_t carry = 0;
    for (size_t i = 0; i < N; ++i) {
        r[i] = millrace::detail::add_carry(r[i], i < M ? a[i] : 0, carry);
    }
    return carry;
}

/// r[0 .. 3) = a - b, wrapping.
inline void subtract_words(uint64_t* r, const uint64_t* a, const uint64_t* b) noexcept {
    uint64_t borrow = 0;
    for (size_t i = 0; i < 3; ++i) { r[i] = millrace::detail::sub_borrow(a[i], b[i], borrow); }
}

inline U256 reduce_once(U256 v, bool above, const U256& modulus) noexcept {
    // Adding 2^256 - modulus is subtracting the modulus when the sum does not fit.
    return above || v >= modulus ? v - modulus : v;
}

/// 2^256 - n
constexpr uint64_t order_fold[3] = {0x402da1732fc9bebf, 0x4551231950b75fc4, 1};
/// 2^256 - p
constexpr uint64_t field_fold[1] = {0x1000003d1};

/// The same number modulo 2^256 - fold, where fold has F words and at most 129 bits.
template <size_t F>
inline U256 reduce_product(const uint64_t* wide, const uint64_t* fold,
                           const U256& modulus) noexcept {
    // Each round brings the words above 2^256 down; they shrink from 256 bits to at most 130, to 4.
    uint64_t first[4 + F];
    mul_words<4, F>(wide + 4, fold, first);
    uint64_t sum[5 + F];
    for (size_t i = 0; i < 4 + F; ++i) { sum[i] = first[i]; }
    sum[4 + F] = add_words<4 + F, 4>(sum, wide);
    // What is above fits F words: it is below 2^131 for the order and below 2^34 for the field.
    uint64_t second[2 * F];
    mul_words<F, F>(sum + 4, fold, second);
    uint64_t low[5] = {sum[0], sum[1], sum[2], sum[3], 0};
    if constexpr (2 * F <= 4) {
        low[4] = add_words<4, 2 * F>(low, second);
    } else {
        add_words<5, 5>(low, second);
    }
    uint64_t third[1 + F];
    mul_words<1, F>(low + 4, fold, third);
    U256 r;
    for (size_t i = 0; i < 4; ++i) { r.w[i] = low[i]; }
    const uint64_t above = add_words<4, 1 + F>(r.w, third);
    return reduce_once(r, above != 0, modulus);
}

template <size_t F>
inline U256 mul_mod_fold(const U256& a, const U256& b, const uint64_t* fold,
                         const U256& modulus) noexcept {
    uint64_t wide[8];
    mul_words<4, 4>(a.w, b.w, wide);
    return reduce_product<F>(wide, fold, modulus);
}

// ---------------------------------------------------------------- Inversion

constexpr size_t signed_limbs = 5;
constexpr unsigned signed_bits = 62;
constexpr uint64_t signed_mask = (uint64_t{1} << signed_bits) - 1;

/// Limbs of 62 bits; the top one carries the sign.
struct Signed310 {
    int64_t limb[signed_limbs];
};

Signed310 to_signed(const U256& v) noexcept {
    return {{static_cast<int64_t>(v.w[0] & signed_mask),
             static_cast<int64_t>((v.w[0] >> 62 | v.w[1] << 2) & signed_mask),
             static_cast<int64_t>((v.w[1] >> 60 | v.w[2] << 4) & signed_mask),
             static_cast<int64_t>((v.w[2] >> 58 | v.w[3] << 6) & signed_mask),
             static_cast<int64_t>(v.w[3] >> 56)}};
}

/// `v` is in [0, 2^256).
U256 to_u256(const Signed310& v) noexcept {
    uint64_t l[signed_limbs];
    for (size_t i = 0; i < signed_limbs; ++i) { l[i] = static_cast<uint64_t>(v.limb[i]); }
    return {l[3] >> 6 | l[4] << 56, l[2] >> 4 | l[3] << 58, l[1] >> 2 | l[2] << 60,
            l[0] | l[1] << 62};
}

/// 62 division steps, times 2^62: (f, g) becomes (a f + b g, c f + d g) / 2^62.
struct Steps {
    int64_t a = 1;
    int64_t b = 0;
    int64_t c = 0;
    int64_t d = 1;
};

/// Takes 62 division steps of Bernstein and Yang (CHES 2019, section 8) on the low bits of f, which
/// is odd, and g. Runs of halvings are taken at once.
Steps divide_62(int64_t& delta, uint64_t f, uint64_t g) noexcept {
    Steps s;
    unsigned left = signed_bits;
    while (true) {
        // The bit above the steps that are left ends the run.
        const auto halvings = static_cast<unsigned>(std::countr_zero(g | uint64_t{1} << left));
        g >>= halvings;
        // Instead of c and d being halved, a and b are doubled: all are over 2^62 at the end.
        s.a = static_cast<int64_t>(static_cast<uint64_t>(s.a) << halvings);
        s.b = static_cast<int64_t>(static_cast<uint64_t>(s.b) << halvings);
        delta += halvings;
        left -= halvings;
        if (left == 0) { return s; }
        if (delta > 0) {
            delta = -delta;
            const Steps t = s;
            const uint64_t old_f = f;
            f = g;
            g = -old_f;
            s = {t.c, t.d, -t.a, -t.b};
        }
        g += f;
        s.c += s.a;
        s.d += s.b;
    }
}

/// (a f + b g) / 2^62, which is exact.
Signed310 combine(const Signed310& f, const Signed310& g, int64_t a, int64_t b) noexcept {
    Signed310 r;
    int128 sum = static_cast<int128>(a) * f.limb[0] + static_cast<int128>(b) * g.limb[0];
    for (size_t i = 1; i < signed_limbs; ++i) {
        sum >>= signed_bits;
        sum += static_cast<int128>(a) * f.limb[i] + static_cast<int128>(b) * g.limb[i];
        r.limb[i - 1] = static_cast<int64_t>(static_cast<uint64_t>(sum) & signed_mask);
    }
    r.limb[signed_limbs - 1] = static_cast<int64_t>(sum >> signed_bits);
    return r;
}

/// (a d + b e + k modulus) / 2^62 for the k in [0, 2^62) that makes it exact. |a| + |b| <= 2^62, so
/// the larger of |d| and |e| grows by at most one modulus.
Signed310 combine_modulo(const Signed310& d, const Signed310& e, int64_t a, int64_t b,
                         const Signed310& modulus, uint64_t minus_inverse) noexcept {
    Signed310 r;
    int128 sum = static_cast<int128>(a) * d.limb[0] + static_cast<int128>(b) * e.limb[0];
    const auto k = static_cast<int64_t>((static_cast<uint64_t>(sum) * minus_inverse) & signed_mask);
    sum += static_cast<int128>(k) * modulus.limb[0];
    for (size_t i = 1; i < signed_limbs; ++i) {
        sum >>= signed_bits;
        sum += static_cast<int128>(a) * d.limb[i] + static_cast<int128>(b) * e.limb[i] +
               static_cast<int128>(k) * modulus.limb[i];
        r.limb[i - 1] = static_cast<int64_t>(static_cast<uint64_t>(sum) & signed_mask);
    }
    r.limb[signed_limbs - 1] = static_cast<int64_t>(sum >> signed_bits);
    return r;
}

void add_times(Signed310& r, const Signed310& a, int64_t factor) noexcept {
    int128 sum = 0;
    for (size_t i = 0; i + 1 < signed_limbs; ++i) {
        sum += r.limb[i] + static_cast<int128>(factor) * a.limb[i];
        r.limb[i] = static_cast<int64_t>(static_cast<uint64_t>(sum) & signed_mask);
        sum >>= signed_bits;
    }
    r.limb[signed_limbs - 1] += factor * a.limb[signed_limbs - 1] + static_cast<int64_t>(sum);
}

constexpr bool is_zero(const Signed310& v) noexcept {
    return (v.limb[0] | v.limb[1] | v.limb[2] | v.limb[3] | v.limb[4]) == 0;
}

/// -1 / m modulo 2^62, by Newton's iteration, which doubles the right bits from 3.
constexpr uint64_t minus_inverse_62(uint64_t m) noexcept {
    uint64_t inverse = m;
    for (int i = 0; i < 5; ++i) { inverse *= 2 - m * inverse; }
    return (~inverse + 1) & signed_mask;
}

U256 inverse_modulo(const U256& value, const U256& modulus) noexcept {
    const uint64_t minus_inverse = minus_inverse_62(modulus.w[0]);
    const Signed310 m = to_signed(modulus);
    Signed310 f = m;
    Signed310 g = to_signed(value);
    // f = d value and g = e value modulo m, up to powers of two that the steps account for.
    Signed310 d{};
    Signed310 e{{1, 0, 0, 0, 0}};
    int64_t delta = 1;
    while (!is_zero(g)) {
        const Steps s = divide_62(
            delta,
            static_cast<uint64_t>(f.limb[0]) | static_cast<uint64_t>(f.limb[1]) << signed_bits,
            static_cast<uint64_t>(g.limb[0]) | static_cast<uint64_t>(g.limb[1]) << signed_bits);
        const Signed310 old_f = f;
        f = combine(f, g, s.a, s.b);
        g = combine(old_f, g, s.c, s.d);
        const Signed310 old_d = d;
        d = combine_modulo(d, e, s.a, s.b, m, minus_inverse);
        e = combine_modulo(old_d, e, s.c, s.d, m, minus_inverse);
    }
    // f is the greatest common divisor, 1 or -1 (or the modulus when the value is zero; d is then
    // zero). d is a few moduli from zero, at most one for each batch.
    if (f.limb[signed_limbs - 1] < 0) {
        Signed310 negated{};
        add_times(negated, d, -1);
        d = negated;
    }
    while (d.limb[signed_limbs - 1] < 0) { add_times(d, m, 1); }
    while (true) {
        Signed310 less = d;
        add_times(less, m, -1);
        if (less.limb[signed_limbs - 1] < 0) { return to_u256(d); }
        d = less;
    }
}

// ---------------------------------------------------------------- The endomorphism

// The lattice of all (a, b) with a + b lambda = 0 modulo n has the short basis (a1, -b1), (a2, a1).
constexpr uint64_t basis_a1[2] = {0xe86c90e49284eb15, 0x3086d221a7d46bcd};
constexpr uint64_t basis_b1[2] = {0x6f547fa90abfe4c3, 0xe4437ed6010e8828};
constexpr uint64_t basis_a2[3] = {0x57c1108d9d44cfd8, 0x14ca50f7a8e2f3f6, 1};
/// a1 * 2^384 / n and b1 * 2^384 / n, rounded.
constexpr uint64_t rounded_a1[4] = {0xe893209a45dbb031, 0x3daa8a1471e8ca7f, 0xe86c90e49284eb15,
                                    0x3086d221a7d46bcd};
constexpr uint64_t rounded_b1[4] = {0x1571b4ae8ac47f71, 0x221208ac9df506c6, 0x6f547fa90abfe4c4,
                                    0xe4437ed6010e8828};

/// k * rounded / 2^384 to the nearest integer, below 2^128.
inline void scaled(const U256& k, const uint64_t* rounded, uint64_t* r) noexcept {
    uint64_t wide[8];
    mul_words<4, 4>(k.w, rounded, wide);
    const uint64_t half = wide[5] >> 63;
    r[0] = wide[6];
    r[1] = wide[7];
    add_words<2, 1>(r, &half);
}

/// r[0 .. 3) = a[0 .. 2) * b[0 .. B), wrapping.
template <size_t B>
inline void mul_low_3(const uint64_t* a, const uint64_t* b, uint64_t* r) noexcept {
    uint64_t wide[2 + B];
    mul_words<2, B>(a, b, wide);
    for (size_t i = 0; i < 3; ++i) { r[i] = wide[i]; }
}

}  // namespace

U256 mul_mod_order(const U256& a, const U256& b) noexcept {
    return mul_mod_fold<3>(a, b, order_fold, secp256k1_order);
}

U256 mul_mod_field(const U256& a, const U256& b) noexcept {
    return mul_mod_fold<1>(a, b, field_fold, secp256k1_field_prime);
}

U256 inverse_mod_order(const U256& a) noexcept { return inverse_modulo(a, secp256k1_order); }
U256 inverse_mod_field(const U256& a) noexcept { return inverse_modulo(a, secp256k1_field_prime); }

SplitScalar split_scalar(const U256& k) noexcept {
    // k = c1 (a1, -b1) + c2 (a2, a1) + (first, second), with c1 and c2 the rounded coordinates of
    // (k, 0) in the basis; what is left is at most half of each basis vector. Everything fits three
    // words with its sign, so only those are computed.
    uint64_t c1[2];
    uint64_t c2[2];
    scaled(k, rounded_a1, c1);
    scaled(k, rounded_b1, c2);
    uint64_t t[3];
    SplitScalar s;
    mul_low_3<2>(c1, basis_a1, t);
    subtract_words(s.first.w, k.w, t);
    mul_low_3<3>(c2, basis_a2, t);
    subtract_words(s.first.w, s.first.w, t);
    mul_low_3<2>(c1, basis_b1, s.second.w);
    mul_low_3<2>(c2, basis_a1, t);
    subtract_words(s.second.w, s.second.w, t);
    // Adding a basis vector changes nothing modulo n. The first one has two odd coordinates and the
    // second one only an odd second one, so every parity can be had.
    if ((s.first.w[0] & 1) == 0) {
        constexpr uint64_t b1[3] = {basis_b1[0], basis_b1[1], 0};
        add_words<3, 2>(s.first.w, basis_a1);
        subtract_words(s.second.w, s.second.w, b1);
    }
    if ((s.second.w[0] & 1) == 0) {
        add_words<3, 3>(s.first.w, basis_a2);
        add_words<3, 2>(s.second.w, basis_a1);
    }
    return s;
}

void recode_half(const Half& k, uint64_t words[3]) noexcept {
    // (k - 1) / 2 + 2^129, the division with the sign
    const uint64_t w0 = k.w[0] >> 1 | k.w[1] << 63;
    const uint64_t w1 = k.w[1] >> 1 | k.w[2] << 63;
    const uint64_t w2 = (k.w[2] >> 1) + 2;
    constexpr uint64_t mask = (uint64_t{1} << 60) - 1;
    words[0] = w0 & mask;
    words[1] = (w0 >> 60 | w1 << 4) & mask;
    words[2] = (w1 >> 56 | w2 << 8) & 0x3ff;
}

void recode_scalar(const U256& k, uint64_t words[5]) noexcept {
    // (k - 1) / 2 + 2^259, or (k - n - 1) / 2 + 2^259 = 2^259 - (n + 1 - k) / 2
    U256 v;
    uint64_t top = 8;
    if ((k.w[0] & 1) != 0) {
        v = shr(k, 1);
    } else {
        const U256 distance = shr(secp256k1_order + U256{1} - k, 1);
        v = U256{} - distance;
        top -= 1;  // n + 1 - k is never zero, so the subtraction always borrows.
    }
    constexpr uint64_t mask = (uint64_t{1} << 52) - 1;
    words[0] = v.w[0] & mask;
    words[1] = (v.w[0] >> 52 | v.w[1] << 12) & mask;
    words[2] = (v.w[1] >> 40 | v.w[2] << 24) & mask;
    words[3] = (v.w[2] >> 28 | v.w[3] << 36) & mask;
    words[4] = v.w[3] >> 16 | top << 48;
}

}  // namespace millrace::kernels::detail
