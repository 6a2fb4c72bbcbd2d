// SPDX-License-Identifier: Apache-2.0
// Owns the oracles of the contracts over bn254.
#include "evm/precompiles/bn254.hpp"
#include "tests/evm/precompiles/oracles/oracles.hpp"
#include "tests/evm/precompiles/oracles/prime_curve.hpp"

namespace millrace::evm::oracles {

namespace {

using bn254::group_order;

const PrimeCurve& curve() {
    static const PrimeCurve c{word(bn254::field_modulus), 3, group_order};
    return c;
}

const Bytes& generator() {
    static const Bytes g = join(word(U256{1}), word(U256{2}));
    return g;
}

/// A multiple of the generator, a point found by its x, infinity, the last point or its negative,
/// or, seldom, something that is no point: unreduced, off the curve, or noise.
Bytes draw_g1(Choices& choices, const Bytes& last) {
    const PrimeCurve& c = curve();
    switch (choices.below(12)) {
        case 0: return Bytes(64);
        case 1: return last;
        case 2: return c.is_point(last) ? c.negate(last) : last;
        case 3:
            if (const auto point =
                    c.point_at(word(draw_u256(choices, bn254::field_modulus)), choices.one_in(2))) {
                return *point;
            }
            return generator();
        case 4: {
            // The same point with p added to a coordinate, where that fits 256 bits.
            Bytes point = c.multiply(generator(), draw_u256(choices, group_order));
            const ptrdiff_t at = 32 * static_cast<ptrdiff_t>(choices.below(2));
            const Bytes shifted = word(load_be(point.data() + at) + bn254::field_modulus);
            std::copy(shifted.begin(), shifted.end(), point.begin() + at);
            return point;
        }
        case 5:
            return join(word(draw_u256(choices, bn254::field_modulus)),
                        word(draw_u256(choices, bn254::field_modulus)));
        default: return c.multiply(generator(), draw_u256(choices, group_order));
    }
}

}  // namespace

void bn254_add(Choices& choices, Findings& findings) {
    const Revision revision = draw_revision(choices, Revision::byzantium);
    const Bytes first = draw_g1(choices, generator());
    Bytes input = join(first, draw_g1(choices, first));
    spoil(choices, input);
    const Bytes a = part(input, 0, 64);
    const Bytes b = part(input, 64, 64);
    Answer expected;
    if (curve().is_point(a) && curve().is_point(b)) {
        expected = {true, revision >= Revision::istanbul ? 150u : 500u, curve().add(a, b)};
    }
    findings.compare(0x06, input, revision, expected);
}

void bn254_multiply(Choices& choices, Findings& findings) {
    const Revision revision = draw_revision(choices, Revision::byzantium);
    Bytes input = join(draw_g1(choices, generator()), word(draw_u256(choices, group_order)));
    spoil(choices, input);
    const Bytes point = part(input, 0, 64);
    Answer expected;
    if (curve().is_point(point)) {
        expected = {true, revision >= Revision::istanbul ? 6000u : 40000u,
                    curve().multiply(point, load_be(part(input, 64, 32).data()))};
    }
    findings.compare(0x07, input, revision, expected);
}

namespace {

Bytes encode(const bn254::G2Point& q) {
    return join(word(q.x.c1.to_integer()), word(q.x.c0.to_integer()), word(q.y.c1.to_integer()),
                word(q.y.c0.to_integer()));
}

/// a^e for an exponent of 256 bits.
bn254::Fp power(const bn254::Fp& a, const U256& exponent) {
    bn254::Fp r = bn254::Fp::one();
    for (unsigned bit = 256; bit-- > 0;) {
        r = r * r;
        if (((exponent.w[bit / 64] >> (bit % 64)) & 1) != 0) { r = r * a; }
    }
    return r;
}

/// A point of the twist with a drawn x. One in 2^254 of them is in the group.
std::optional<bn254::G2Point> draw_outside_group(Choices& choices) {
    using bn254::Fp;
    using bn254::Fp2;
    const bn254::G2Point g = bn254::g2_generator();
    const Fp2 b = g.y * g.y - g.x * g.x * g.x;
    const U256 root = shr(bn254::field_modulus + U256{1}, 2);
    const U256 inverse = bn254::field_modulus - U256{2};
    const Fp half = power(Fp::from_integer(U256{2}), inverse);
    const Fp2 x{Fp::from_integer(draw_u256(choices, U256{}) % bn254::field_modulus),
                Fp::from_integer(U256{choices.next()})};
    const Fp2 c = x * x * x + b;
    // (u + v i)^2 = c has u^2 = (c0 + |c|) / 2 and v = c1 / 2u.
    const Fp length = power(c.c0 * c.c0 + c.c1 * c.c1, root);
    const Fp u = power((c.c0 + length) * half, root);
    const Fp2 y{u, c.c1 * half * power(u, inverse)};
    if (y * y != c) { return std::nullopt; }
    return bn254::G2Point{x, y, false};
}

}  // namespace

void bn254_pairing(Choices& choices, Findings& findings) {
    const Revision revision = draw_revision(choices, Revision::byzantium);
    const size_t pairs = choices.below(5);
    // e(a_i P, b_i Q) multiply to one exactly when the sum of a_i b_i is zero.
    Bytes input;
    U256 sum;
    bool all_in_group = true;
    for (size_t i = 0; i < pairs; ++i) {
        U256 a = draw_u256(choices, group_order) % group_order;
        U256 b = draw_u256(choices, group_order) % group_order;
        if (i + 1 == pairs && choices.one_in(2)) {
            // Closes the product, or misses by little.
            a = (group_order - sum + U256{choices.one_in(4) ? 1u : 0u}) % group_order;
            b = U256{1};
        }
        bn254::G2Point q = bn254::multiply(bn254::g2_generator(), b);
        if (choices.one_in(16)) {
            if (const auto outside = draw_outside_group(choices)) {
                all_in_group = false;
                q = choices.one_in(2) ? *outside : bn254::add(q, *outside);
            }
        }
        sum = add_mod(sum, mul_mod(a, b, group_order), group_order);
        input = join(input, curve().multiply(generator(), a), encode(q));
    }
    const uint64_t price =
        revision >= Revision::istanbul ? 45000 + 34000 * pairs : 100000 + 80000 * pairs;
    Answer expected;
    if (all_in_group) { expected = {true, price, word(U256{sum.is_zero() ? 1u : 0u})}; }
    findings.compare(0x08, input, revision, expected);
    // A line in one coordinate meets the curve in so few points that no other is one byte away.
    const size_t size = input.size();
    if (spoil(choices, input) && (input.size() == size || input.size() % 192 != 0)) {
        findings.compare(0x08, input, revision, {});
    }
}

}  // namespace millrace::evm::oracles
