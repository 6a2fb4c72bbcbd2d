// SPDX-License-Identifier: Apache-2.0
// Owns the reference recovery: Jacobian points over U256, one bit at a time, nothing clever.
#include "tests/kernels/secp256k1/reference_recover.hpp"

namespace millrace::test {

namespace {

using kernels::secp256k1_order;

U256 mul(const U256& a, const U256& b) { return mul_mod(a, b, field_prime); }
U256 add(const U256& a, const U256& b) { return add_mod(a, b, field_prime); }
U256 sub(const U256& a, const U256& b) {
    return add_mod(a, field_prime - b % field_prime, field_prime);
}

U256 power_mod(U256 base, const U256& exponent, const U256& m) {
    U256 result{1};
    for (unsigned i = 0; i < bit_length(exponent); ++i) {
        if ((shr(exponent, i).w[0] & 1) != 0) { result = mul_mod(result, base, m); }
        base = mul_mod(base, base, m);
    }
    return result;
}

/// x / z^2, y / z^3; z = 0 is the point at infinity.
struct Point {
    U256 x;
    U256 y;
    U256 z;
};

Point twice(const Point& p) {
    if (p.z.is_zero()) { return p; }
    const U256 yy = mul(p.y, p.y);
    const U256 s = mul(mul(4, p.x), yy);
    const U256 m = mul(3, mul(p.x, p.x));
    const U256 x = sub(mul(m, m), mul(2, s));
    const U256 y = sub(mul(m, sub(s, x)), mul(8, mul(yy, yy)));
    return {x, y, mul(mul(2, p.y), p.z)};
}

Point plus(const Point& p, const Point& q) {
    if (p.z.is_zero()) { return q; }
    if (q.z.is_zero()) { return p; }
    const U256 pz2 = mul(p.z, p.z);
    const U256 qz2 = mul(q.z, q.z);
    const U256 u1 = mul(p.x, qz2);
    const U256 u2 = mul(q.x, pz2);
    const U256 s1 = mul(p.y, mul(qz2, q.z));
    const U256 s2 = mul(q.y, mul(pz2, p.z));
    if (u1 == u2) { return s1 == s2 ? twice(p) : Point{1, 1, 0}; }
    const U256 h = sub(u2, u1);
    const U256 r = sub(s2, s1);
    const U256 hh = mul(h, h);
    const U256 hhh = mul(h, hh);
    const U256 v = mul(u1, hh);
    const U256 x = sub(sub(mul(r, r), hhh), mul(2, v));
    const U256 y = sub(mul(r, sub(v, x)), mul(s1, hhh));
    return {x, y, mul(mul(p.z, q.z), h)};
}

Point times(const Point& p, const U256& k) {
    Point sum{1, 1, 0};
    for (unsigned i = bit_length(k); i-- > 0;) {
        sum = twice(sum);
        if ((shr(k, i).w[0] & 1) != 0) { sum = plus(sum, p); }
    }
    return sum;
}

/// The point with this x and parity of y, when there is one.
std::optional<Point> lift(const U256& x, uint8_t y_parity) {
    const U256 yy = add(mul(mul(x, x), x), 7);
    // p = 3 mod 4, so a root is the (p + 1) / 4-th power.
    const U256 y = power_mod(yy, shr(field_prime, 2) + U256{1}, field_prime);
    if (mul(y, y) != yy) { return {}; }
    return Point{x, (y.w[0] & 1) == y_parity ? y : field_prime - y, 1};
}

}  // namespace

U256 inverse(const U256& a, const U256& m) { return power_mod(a, m - U256{2}, m); }

std::optional<kernels::PublicKey> reference_recover(const kernels::RecoverJob& job) {
    if (job.y_parity > 1 || job.r.is_zero() || job.s.is_zero() || job.r >= secp256k1_order ||
        job.s >= secp256k1_order) {
        return {};
    }
    const std::optional<Point> r = lift(job.r, job.y_parity);
    const std::optional<Point> g = lift(generator_x, 0);
    if (!r || !g) { return {}; }
    const U256 z = to_u256(job.digest) % secp256k1_order;
    const U256 r_inverse = inverse(job.r, secp256k1_order);
    const U256 u1 = mul_mod(secp256k1_order - z, r_inverse, secp256k1_order);
    const U256 u2 = mul_mod(job.s, r_inverse, secp256k1_order);
    const Point q = plus(times(*g, u1), times(*r, u2));
    if (q.z.is_zero()) { return {}; }
    const U256 z_inverse = inverse(q.z, field_prime);
    const U256 z_inverse2 = mul(z_inverse, z_inverse);
    kernels::PublicKey key;
    store_be(mul(q.x, z_inverse2), key.data());
    store_be(mul(q.y, mul(z_inverse2, z_inverse)), key.data() + 32);
    return key;
}

}  // namespace millrace::test
