// SPDX-License-Identifier: Apache-2.0
// Owns the group laws of bn254, the subgroup check and the optimal ate pairing.
#include "evm/precompiles/bn254.hpp"

#include <algorithm>
#include <vector>

namespace millrace::evm::bn254 {

namespace {

/// The parameter x of the curve: p and r are polynomials in it.
constexpr uint64_t curve_x = 0x44e992b44a6909f1;

/// A number as odd digits of absolute value below 2^(width - 1) and zeros, least significant first;
/// of `width` neighbours at most one is set.
struct SignedDigits {
    std::array<int8_t, 68> digit{};
    int count = 0;
};

consteval SignedDigits signed_digits(unsigned __int128 n, int width) {
    SignedDigits r;
    while (n != 0) {
        int d = 0;
        if ((n & 1) != 0) {
            d = static_cast<int>(n & ((1u << width) - 1));
            if (d >= 1 << (width - 1)) { d -= 1 << width; }
            n -= static_cast<unsigned __int128>(d);
        }
        r.digit[static_cast<size_t>(r.count++)] = static_cast<int8_t>(d);
        n >>= 1;
    }
    return r;
}

/// 6x + 2, whose form begins with 1, 0, -1: the same as 1, 1 with one doubling less.
consteval SignedDigits make_loop_digits() {
    SignedDigits r = signed_digits(static_cast<unsigned __int128>(curve_x) * 6 + 2, 2);
    const size_t top = static_cast<size_t>(r.count) - 1;
    if (r.digit[top - 1] == 0 && r.digit[top - 2] == -1) {
        r.digit[top] = 0;
        r.digit[top - 1] = 1;
        r.digit[top - 2] = 1;
        --r.count;
    }
    return r;
}
constexpr SignedDigits loop_digits = make_loop_digits();
constexpr int x_width = 4;
constexpr SignedDigits x_digits = signed_digits(curve_x, x_width);

consteval Fp fp(uint64_t w3, uint64_t w2, uint64_t w1, uint64_t w0) {
    return Fp::from_integer(U256{w3, w2, w1, w0});
}

/// The constants of the two curves y^2 = x^3 + b.
constexpr Fp curve_b = Fp::from_integer(U256{3});
constexpr Fp2 twist_b{
    fp(0x2b149d40ceb8aaae, 0x81be18991be06ac3, 0xb5b4c5e559dbefa3, 0x3267e6dc24a138e5),
    fp(0x009713b03af0fed4, 0xcd2cafadeed8fdf4, 0xa74fa084e52d1852, 0xe4a2bd0685c315d2)};
const Fp& coefficient_b(const G1Point&) noexcept { return curve_b; }
const Fp2& coefficient_b(const G2Point&) noexcept { return twist_b; }

/// Jacobian coordinates, x = X/Z^2 and y = Y/Z^3; infinity when Z is zero.
template <class Field>
struct Jacobian {
    Field x;
    Field y;
    Field z;

    bool is_infinity() const noexcept { return z.is_zero(); }
};

template <class Point>
auto to_jacobian(const Point& p) noexcept {
    using Field = decltype(p.x);
    return p.infinity ? Jacobian<Field>{Field::one(), Field::one(), Field::zero()}
                      : Jacobian<Field>{p.x, p.y, Field::one()};
}

template <class Point, class Field>
Point to_affine(const Jacobian<Field>& p) noexcept {
    if (p.is_infinity()) { return {}; }
    const Field z_inverse = inverse(p.z);
    const Field z2 = square(z_inverse);
    return {p.x * z2, p.y * (z2 * z_inverse), false};
}

template <class Field>
Jacobian<Field> negate(const Jacobian<Field>& p) noexcept {
    return {p.x, -p.y, p.z};
}

template <class Field>
Jacobian<Field> twice(const Jacobian<Field>& p) noexcept {
    // Neither curve has a point with y = 0 (their orders are odd), so only infinity gives infinity.
    const Field a = square(p.x);
    const Field b = square(p.y);
    const Field c = square(b);
    const Field d = bn254::twice(square(p.x + b) - a - c);
    const Field e = bn254::twice(a) + a;
    const Field x = square(e) - bn254::twice(d);
    const Field c8 = bn254::twice(bn254::twice(bn254::twice(c)));
    return {x, e * (d - x) - c8, bn254::twice(p.y * p.z)};
}

template <class Field>
Jacobian<Field> add(const Jacobian<Field>& a, const Jacobian<Field>& b) noexcept {
    if (a.is_infinity()) { return b; }
    if (b.is_infinity()) { return a; }
    const Field az2 = square(a.z);
    const Field bz2 = square(b.z);
    const Field ax = a.x * bz2;
    const Field bx = b.x * az2;
    const Field ay = a.y * (bz2 * b.z);
    const Field by = b.y * (az2 * a.z);
    const Field h = bx - ax;
    const Field r = by - ay;
    if (h.is_zero()) {
        return r.is_zero() ? twice(a) : Jacobian<Field>{Field::one(), Field::one(), Field::zero()};
    }
    const Field h2 = square(h);
    const Field h3 = h2 * h;
    const Field v = ax * h2;
    const Field x = square(r) - h3 - bn254::twice(v);
    return {x, r * (v - x) - ay * h3, a.z * b.z * h};
}

/// Whether two points are equal, whatever their Z.
template <class Field>
bool is_same(const Jacobian<Field>& a, const Jacobian<Field>& b) noexcept {
    if (a.is_infinity() || b.is_infinity()) { return a.is_infinity() == b.is_infinity(); }
    const Field az2 = square(a.z);
    const Field bz2 = square(b.z);
    return a.x * bz2 == b.x * az2 && a.y * (bz2 * b.z) == b.y * (az2 * a.z);
}

constexpr int window_bits = 5;

/// The odd multiples P, 3P, .. that digits of `width` bits need.
template <class Field, int width = window_bits>
using OddMultiples = std::array<Jacobian<Field>, (1 << width) / 4>;

template <int width = window_bits, class Field>
OddMultiples<Field, width> odd_multiples(const Jacobian<Field>& p) noexcept {
    OddMultiples<Field, width> odd;
    odd[0] = p;
    const Jacobian<Field> p2 = twice(p);
    for (size_t i = 1; i < odd.size(); ++i) { odd[i] = add(odd[i - 1], p2); }
    return odd;
}

/// A scalar as odd digits between -15 and 15 with zeros between them, least significant first.
struct WindowDigits {
    // A negative digit can carry out of 256 bits: the carry becomes one more digit.
    std::array<int8_t, 257> digit{};
    size_t count = 0;
};

WindowDigits window_digits(const U256& scalar) noexcept {
    constexpr int window = 1 << window_bits;
    const auto bit_at = [&scalar](size_t i) {
        return i < 256 ? (scalar.w[i / 64] >> (i % 64)) & 1 : 0;
    };
    WindowDigits r;
    uint64_t carry = 0;
    for (size_t bit = 0; bit < r.digit.size();) {
        if (bit_at(bit) == carry) {
            ++bit;
            continue;
        }
        int digit = static_cast<int>(carry);
        for (int i = 0; i < window_bits; ++i) {
            digit += static_cast<int>(bit_at(bit + static_cast<size_t>(i))) << i;
        }
        carry = digit > window / 2 ? 1 : 0;
        digit -= carry != 0 ? window : 0;
        r.digit[bit] = static_cast<int8_t>(digit);
        r.count = bit + 1;
        bit += window_bits;
    }
    return r;
}

template <class Field, size_t count>
void add_digit(Jacobian<Field>& r, const std::array<Jacobian<Field>, count>& odd,
               int8_t digit) noexcept {
    if (digit > 0) {
        r = add(r, odd[static_cast<size_t>(digit / 2)]);
    } else if (digit < 0) {
        r = add(r, negate(odd[static_cast<size_t>(-digit / 2)]));
    }
}

template <class Field>
Jacobian<Field> multiply_window(const Jacobian<Field>& p, const U256& scalar) noexcept {
    const OddMultiples<Field> odd = odd_multiples(p);
    const WindowDigits digits = window_digits(scalar);
    Jacobian<Field> r{Field::one(), Field::one(), Field::zero()};
    for (size_t i = digits.count; i-- > 0;) {
        r = twice(r);
        add_digit(r, odd, digits.digit[i]);
    }
    return r;
}

/// The endomorphism (x, y) -> (beta x, y) of the curve over Fp multiplies by an integer lambda
/// (Gallant, Lambert and Vanstone, 2001).
constexpr Fp endomorphism_beta = fp(0, 0x59e26bcea0d48bac, 0xd4f263f1acdb5c4f, 0x5763473177fffffe);

/// A scalar as low + high * lambda modulo the order, each at most 130 bits and a sign.
struct SplitScalar {
    U256 low;
    U256 high;
    bool high_negative;
};

SplitScalar split_scalar(const U256& scalar) noexcept {
    // (u, -a) and (b, u) are vectors (m, n) with m + n lambda = 0, where u = 2x + 1,
    // a = 6x^2 + 2x, b = 6x^2 + 4x + 1 and u u + a b = r. The coordinates of (k, 0) in that basis
    // are k u / r and k a / r; rounded down, they leave a `low` that is never negative.
    constexpr U256 u{2 * curve_x + 1};
    constexpr U256 x{curve_x};
    constexpr U256 a = U256{6} * x * x + U256{2} * x;
    constexpr U256 b = U256{6} * x * x + U256{4} * x + U256{1};
    // 2^256 u / r and 2^256 a / r, rounded down.
    constexpr U256 u_over_r{0, 0, 0x0000000000000002, 0xd91d232ec7e0b3d7};
    constexpr U256 a_over_r{0, 0x0000000000000002, 0x4ccef014a773d2cf, 0x7a7bd9d4391eb18d};
    const U256 k = scalar % group_order;
    U256 c1;
    U256 c2;
    mul_full(k, u_over_r, c1);
    mul_full(k, a_over_r, c2);
    const U256 high = c1 * a - c2 * u;
    const bool negative = is_negative(high);
    return {k - c1 * u - c2 * b, negative ? millrace::negate(high) : high, negative};
}

Jacobian<Fp> multiply_split(const Jacobian<Fp>& p, const U256& scalar) noexcept {
    const SplitScalar split = split_scalar(scalar);
    const OddMultiples<Fp> odd = odd_multiples(p);
    OddMultiples<Fp> odd_image = odd;
    for (Jacobian<Fp>& point : odd_image) {
        point.x = point.x * endomorphism_beta;
        point.y = split.high_negative ? -point.y : point.y;
    }
    const WindowDigits low = window_digits(split.low);
    const WindowDigits high = window_digits(split.high);
    Jacobian<Fp> r{Fp::one(), Fp::one(), Fp::zero()};
    for (size_t i = std::max(low.count, high.count); i-- > 0;) {
        r = twice(r);
        add_digit(r, odd, low.digit[i]);
        add_digit(r, odd_image, high.digit[i]);
    }
    return r;
}

template <class Point>
Point add_affine(const Point& a, const Point& b) noexcept {
    if (a.infinity) { return b; }
    if (b.infinity) { return a; }
    auto numerator = b.y - a.y;
    auto denominator = b.x - a.x;
    if (denominator.is_zero()) {
        if (!numerator.is_zero()) { return {}; }
        const auto x2 = square(a.x);
        numerator = twice(x2) + x2;
        denominator = twice(a.y);
    }
    const auto slope = numerator * inverse(denominator);
    const auto x = square(slope) - a.x - b.x;
    return {x, slope * (a.x - x) - a.y, false};
}

template <class Point>
bool is_on_curve_of(const Point& p) noexcept {
    return p.infinity || square(p.y) == square(p.x) * p.x + coefficient_b(p);
}

/// The image of the p-th power Frobenius on the twist, applied `power` times (1 to 3).
Jacobian<Fp2> twist_frobenius(const Jacobian<Fp2>& q, int power) noexcept {
    const auto map = [power](const Fp2& v) { return (power & 1) != 0 ? conjugate(v) : v; };
    return {map(q.x) * frobenius_factor(power, 2), map(q.y) * frobenius_factor(power, 3), map(q.z)};
}

/// [x] q for the parameter x of the curve.
Jacobian<Fp2> multiply_by_x(const Jacobian<Fp2>& q) noexcept {
    const auto odd = odd_multiples<x_width>(q);
    Jacobian<Fp2> r{Fp2::one(), Fp2::one(), Fp2::zero()};
    for (int i = x_digits.count - 1; i >= 0; --i) {
        r = twice(r);
        add_digit(r, odd, x_digits.digit[static_cast<size_t>(i)]);
    }
    return r;
}

/// A line through points of the twist, evaluated at P: l0 * P.y + l1 * P.x w + l3 w^3.
struct Line {
    Fp2 l0;
    Fp2 l1;
    Fp2 l3;
};

/// Homogeneous coordinates, x = X/Z and y = Y/Z, for the running point of the Miller loop.
struct Homogeneous {
    Fp2 x;
    Fp2 y;
    Fp2 z;
};

/// t becomes 2t; returns the tangent at t (Costello, Lange and Naehrig, 2009/615). Their formulas
/// halve twice; here all three coordinates are four times theirs, which is the same point.
Line double_step(Homogeneous& t) noexcept {
    const Fp2 xy = t.x * t.y;
    const Fp2 b = square(t.y);
    const Fp2 c = square(t.z);
    const Fp2 e = twist_b * (twice(c) + c);
    const Fp2 f = twice(e) + e;
    const Fp2 h = square(t.y + t.z) - b - c;
    const Fp2 x2 = square(t.x);
    const Fp2 e2 = square(e);
    t = {twice(xy * (b - f)), reduce(lazy(square(b + f)) - times<2>(times<2>(times<3>(lazy(e2))))),
         twice(twice(b * h))};
    return {-h, twice(x2) + x2, e - b};
}

/// t becomes t + q; returns the line through both.
Line add_step(Homogeneous& t, const Fp2& qx, const Fp2& qy) noexcept {
    const Fp2 theta = t.y - qy * t.z;
    const Fp2 lambda = t.x - qx * t.z;
    const Fp2 lambda2 = square(lambda);
    const Fp2 lambda3 = lambda2 * lambda;
    const Fp2 f = t.z * square(theta);
    const Fp2 g = t.x * lambda2;
    const Fp2 h = lambda3 + f - twice(g);
    t = {lambda * h, theta * (g - h) - lambda3 * t.y, t.z * lambda3};
    return {lambda, -theta, theta * qx - lambda * qy};
}

void apply_line(Fp12& f, const Line& line, const G1Point& p) noexcept {
    f = multiply_by_line(f, line.l0 * p.y, line.l1 * p.x, line.l3);
}

/// f^x in the cyclotomic subgroup, where the inverse is the conjugate.
Fp12 power_x(const Fp12& f) noexcept {
    std::array<Fp12, (1 << x_width) / 4> odd;
    odd[0] = f;
    const Fp12 f2 = cyclotomic_square(f);
    for (size_t i = 1; i < odd.size(); ++i) { odd[i] = odd[i - 1] * f2; }
    static_assert(x_digits.digit[static_cast<size_t>(x_digits.count) - 1] == 1);
    Fp12 r = f;
    for (int i = x_digits.count - 2; i >= 0; --i) {
        r = cyclotomic_square(r);
        const int digit = x_digits.digit[static_cast<size_t>(i)];
        if (digit > 0) {
            r = r * odd[static_cast<size_t>(digit / 2)];
        } else if (digit < 0) {
            r = r * conjugate(odd[static_cast<size_t>(-digit / 2)]);
        }
    }
    return r;
}

}  // namespace

G1Point g1_generator() noexcept { return {Fp::one(), Fp::from_integer(U256{2}), false}; }

G2Point g2_generator() noexcept {
    static constexpr G2Point generator{
        {fp(0x1800deef121f1e76, 0x426a00665e5c4479, 0x674322d4f75edadd, 0x46debd5cd992f6ed),
         fp(0x198e9393920d483a, 0x7260bfb731fb5d25, 0xf1aa493335a9e712, 0x97e485b7aef312c2)},
        {fp(0x12c85ea5db8c6deb, 0x4aab71808dcb408f, 0xe3d1e7690c43d37b, 0x4ce6cc0166fa7daa),
         fp(0x090689d0585ff075, 0xec9e99ad690c3395, 0xbc4b313370b38ef3, 0x55acdadcd122975b)},
        false};
    return generator;
}

bool is_on_curve(const G1Point& p) noexcept { return is_on_curve_of(p); }
bool is_on_curve(const G2Point& q) noexcept { return is_on_curve_of(q); }

bool is_in_group(const G2Point& q) noexcept {
    // With psi the Frobenius map of the twist, q is in the group exactly when
    //   [x+1] q + psi([x] q) + psi^2([x] q) = psi^3([2x] q).
    // psi satisfies psi^2 - t psi + p = 0 on the whole curve. The resultant of both polynomials
    // kills q, and its greatest common divisor with the order of the curve, r (2p - r), is r.
    if (q.infinity) { return true; }
    const Jacobian<Fp2> point = to_jacobian(q);
    const Jacobian<Fp2> xq = multiply_by_x(point);
    const Jacobian<Fp2> left =
        add(add(add(xq, point), twist_frobenius(xq, 1)), twist_frobenius(xq, 2));
    return is_same(left, twist_frobenius(twice(xq), 3));
}

G1Point negate(const G1Point& p) noexcept { return {p.x, -p.y, p.infinity}; }
G2Point negate(const G2Point& q) noexcept { return {q.x, -q.y, q.infinity}; }
G1Point add(const G1Point& a, const G1Point& b) noexcept { return add_affine(a, b); }
G2Point add(const G2Point& a, const G2Point& b) noexcept { return add_affine(a, b); }

G1Point multiply(const G1Point& p, const U256& scalar) noexcept {
    return to_affine<G1Point>(multiply_split(to_jacobian(p), scalar));
}
G2Point multiply(const G2Point& q, const U256& scalar) noexcept {
    return to_affine<G2Point>(multiply_window(to_jacobian(q), scalar));
}

Fp12 miller_loop(std::span<const PairingInput> pairs) {
    struct Running {
        PairingInput pair;
        Homogeneous t;
    };
    std::vector<Running> running;
    running.reserve(pairs.size());
    for (const PairingInput& pair : pairs) {
        if (!pair.p.infinity && !pair.q.infinity) {
            running.push_back({pair, {pair.q.x, pair.q.y, Fp2::one()}});
        }
    }
    Fp12 f = Fp12::one();
    for (int i = loop_digits.count - 2; i >= 0; --i) {
        f = square(f);
        const int8_t digit = loop_digits.digit[static_cast<size_t>(i)];
        for (Running& r : running) {
            apply_line(f, double_step(r.t), r.pair.p);
            if (digit != 0) {
                const Fp2& y = r.pair.q.y;
                apply_line(f, add_step(r.t, r.pair.q.x, digit > 0 ? y : -y), r.pair.p);
            }
        }
    }
    for (Running& r : running) {
        const Jacobian<Fp2> q = to_jacobian(r.pair.q);
        const Jacobian<Fp2> q1 = twist_frobenius(q, 1);
        const Jacobian<Fp2> q2 = twist_frobenius(q, 2);
        apply_line(f, add_step(r.t, q1.x, q1.y), r.pair.p);
        apply_line(f, add_step(r.t, q2.x, -q2.y), r.pair.p);
    }
    return f;
}

Fp12 final_exponentiation(const Fp12& f) noexcept {
    // Easy part: (p^6 - 1)(p^2 + 1).
    Fp12 g = conjugate(f) * inverse(f);
    g = frobenius(g, 2) * g;
    // Hard part (Fuentes-Castaneda, Knapp and Rodriguez-Henriquez, SAC 2011):
    //   (1 + 6x + 12x^2 + 12x^3) + (4x + 6x^2 + 12x^3) p + (6x + 6x^2 + 12x^3) p^2
    //   + (4x + 6x^2 + 12x^3 - 1) p^3.
    const Fp12 g_2x = cyclotomic_square(power_x(g));
    const Fp12 g_6x = cyclotomic_square(g_2x) * g_2x;
    const Fp12 g_6x2 = power_x(g_6x);
    const Fp12 g_12x3 = power_x(cyclotomic_square(g_6x2));
    const Fp12 a = g_12x3 * g_6x2 * g_6x;
    const Fp12 b = a * conjugate(g_2x);
    return a * g_6x2 * g * frobenius(b, 1) * frobenius(a, 2) * frobenius(b * conjugate(g), 3);
}

bool pairing_product_is_one(std::span<const PairingInput> pairs) {
    const Fp12 f = miller_loop(pairs);
    return f == Fp12::one() || final_exponentiation(f) == Fp12::one();
}

}  // namespace millrace::evm::bn254
