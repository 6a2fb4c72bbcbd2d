// SPDX-License-Identifier: Apache-2.0
// Owns the oracles of the contracts over BLS12-381 and of the KZG point evaluation.
#include <blst.h>

#include "evm/precompiles/detail/bls12_381.hpp"
#include "host/base/hex.hpp"
#include "tests/evm/precompiles/oracles/oracles.hpp"
#include "tests/evm/precompiles/oracles/prime_curve.hpp"
#include "tests/evm/precompiles/oracles/reference_hashes.hpp"

namespace millrace::evm::oracles {

namespace {

const U256& order = bls12_381::group_order;

const Bytes& prime() {
    static const Bytes p = *from_hex("1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf"
                                     "6730d2a0f6b0f6241eabfffeb153ffffb9feffffffffaaab");
    return p;
}

/// y^2 = x^3 + 4, whose points are 96 bytes here and 128 in the contracts.
const PrimeCurve& curve1() {
    static const PrimeCurve c{prime(), 4, order};
    return c;
}

const Bytes& g1_generator() {
    static const Bytes g = *from_hex("17f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905"
                                     "a14e3a3f171bac586c55e83ff97a1aeffb3af00adb22c6bb"
                                     "08b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af6"
                                     "00db18cb2c04b3edd03cc744a2888ae40caa232946c5e7e1");
    return g;
}

/// Coordinates of 48 bytes, each behind 16 zeros.
Bytes widened(const Bytes& coordinates) {
    Bytes r;
    for (size_t at = 0; at < coordinates.size(); at += 48) {
        r = join(r, Bytes(16), part(coordinates, at, 48));
    }
    return r;
}

/// The opposite; empty when a coordinate does not begin with 16 zeros.
std::optional<Bytes> narrowed(const Bytes& coordinates) {
    Bytes r;
    for (size_t at = 0; at < coordinates.size(); at += 64) {
        if (part(coordinates, at, 16) != Bytes(16)) { return std::nullopt; }
        r = join(r, part(coordinates, at + 16, 48));
    }
    return r;
}

/// A number of 48 bytes, sometimes the prime or near it, sometimes above.
Bytes draw_coordinate(Choices& choices) {
    Bytes r = draw_bytes(choices, 48);
    switch (choices.below(4)) {
        case 0:
            r = prime();
            r.back() = static_cast<uint8_t>(r.back() - 2 + choices.below(5));
            break;
        case 1: r[0] %= 0x1b; break;
        default: r[0] %= 0x1a; break;
    }
    return r;
}

/// A multiple of the generator, infinity, the last point or its negative, a point that is hardly
/// ever in the group, or no point.
Bytes draw_g1(Choices& choices, const Bytes& last) {
    const PrimeCurve& c = curve1();
    switch (choices.below(16)) {
        case 0: return Bytes(96);
        case 1:
        case 2: return last;
        case 3: return c.is_point(last) ? c.negate(last) : last;
        case 4:
        case 5: return c.point_at(draw_coordinate(choices), choices.one_in(2)).value_or(last);
        case 6: return join(draw_coordinate(choices), draw_coordinate(choices));
        default: return c.multiply(g1_generator(), draw_u256(choices, order));
    }
}

/// The price of a sum of products (EIP-2537), with the discount given in thousandths.
uint64_t msm_price(uint64_t price_of_one, size_t points,
                   std::initializer_list<unsigned> discounts) {
    const unsigned discount = discounts.begin()[std::min(points, discounts.size()) - 1];
    return price_of_one * points * discount / 1000;
}
constexpr size_t msm_points_max = 6;
constexpr std::initializer_list<unsigned> g1_discounts{1000, 949, 848, 797, 764, 750};
constexpr std::initializer_list<unsigned> g2_discounts{1000, 1000, 923, 884, 855, 832};

}  // namespace

void bls12_g1_add(Choices& choices, Findings& findings) {
    const Revision revision = draw_revision(choices, Revision::prague);
    const Bytes first = draw_g1(choices, g1_generator());
    Bytes input = widened(join(first, draw_g1(choices, first)));
    spoil(choices, input);
    Answer expected;
    if (input.size() == 256) {
        const auto both = narrowed(input);
        if (both && curve1().is_point(part(*both, 0, 96)) &&
            curve1().is_point(part(*both, 96, 96))) {
            expected = {true, 375, widened(curve1().add(part(*both, 0, 96), part(*both, 96, 96)))};
        }
    }
    findings.compare(0x0b, input, revision, expected);
}

void bls12_g1_msm(Choices& choices, Findings& findings) {
    const Revision revision = draw_revision(choices, Revision::prague);
    const PrimeCurve& c = curve1();
    const size_t points = choices.below(msm_points_max + 1);
    Bytes input;
    Bytes last = g1_generator();
    for (size_t i = 0; i < points; ++i) {
        last = draw_g1(choices, last);
        input = join(input, widened(last), word(draw_u256(choices, order)));
    }
    spoil(choices, input);
    Answer expected{!input.empty() && input.size() % 160 == 0, 0, {}};
    Bytes sum(96);
    for (size_t at = 0; expected.success && at < input.size(); at += 160) {
        const auto point = narrowed(part(input, at, 128));
        if (!point || !c.is_point(*point) || c.multiply(*point, order) != Bytes(96)) {
            expected.success = false;
            break;
        }
        sum = c.add(sum, c.multiply(*point, load_be(part(input, at + 128, 32).data())));
    }
    if (expected.success) {
        expected.price = msm_price(12000, input.size() / 160, g1_discounts);
        expected.output = widened(sum);
    }
    findings.compare(0x0c, input, revision, expected);
}

namespace {

using Point2 = blst_p2;

Point2 from_affine(const blst_p2_affine& p) {
    Point2 r;
    blst_p2_from_affine(&r, &p);
    return r;
}

/// Double and add, which shares only these two with the contracts.
Point2 multiply2(const Point2& point, const U256& scalar) {
    Point2 r{};
    for (unsigned bit = 256; bit-- > 0;) {
        blst_p2_double(&r, &r);
        if (((scalar.w[bit / 64] >> (bit % 64)) & 1) != 0) {
            blst_p2_add_or_double(&r, &r, &point);
        }
    }
    return r;
}

Point2 add2(const Point2& a, const Point2& b) {
    Point2 r;
    blst_p2_add_or_double(&r, &a, &b);
    return r;
}

Point2 g2_multiple(const U256& scalar) { return multiply2(*blst_p2_generator(), scalar); }

Bytes encode(const Point2& point) {
    Bytes r(256);
    if (!blst_p2_is_inf(&point)) {
        blst_p2_affine affine;
        blst_p2_to_affine(&affine, &point);
        blst_bendian_from_fp(r.data() + 16, &affine.x.fp[0]);
        blst_bendian_from_fp(r.data() + 80, &affine.x.fp[1]);
        blst_bendian_from_fp(r.data() + 144, &affine.y.fp[0]);
        blst_bendian_from_fp(r.data() + 208, &affine.y.fp[1]);
    }
    return r;
}

/// The point that the contracts must see, in the group or not.
std::optional<Point2> decode2(const Bytes& input) {
    const auto coordinates = narrowed(input);
    if (!coordinates) { return std::nullopt; }
    if (*coordinates == Bytes(192)) { return Point2{}; }
    blst_p2_affine point;
    blst_fp* const fields[] = {&point.x.fp[0], &point.x.fp[1], &point.y.fp[0], &point.y.fp[1]};
    for (size_t i = 0; i < 4; ++i) {
        const Bytes field = part(*coordinates, 48 * i, 48);
        if (!curve1().is_reduced(field)) { return std::nullopt; }
        blst_fp_from_bendian(fields[i], field.data());
    }
    // y^2 = x^3 + 4 (1 + u), by the equation itself.
    blst_fp2 left;
    blst_fp2 right;
    blst_fp2_sqr(&left, &point.y);
    blst_fp2_sqr(&right, &point.x);
    blst_fp2_mul(&right, &right, &point.x);
    blst_fp four;
    const uint64_t limbs[6] = {4};
    blst_fp_from_uint64(&four, limbs);
    const blst_fp2 b{{four, four}};
    blst_fp2_add(&right, &right, &b);
    if (std::memcmp(&left, &right, sizeof left) != 0) { return std::nullopt; }
    return from_affine(point);
}

bool is_in_group(const Point2& point) {
    const Point2 zero = multiply2(point, order);
    return blst_p2_is_inf(&zero);
}

/// As draw_g1, encoded.
Bytes draw_g2(Choices& choices, const Bytes& last) {
    switch (choices.below(16)) {
        case 0: return Bytes(256);
        case 1:
        case 2: return last;
        case 3: {
            auto point = decode2(last);
            if (!point) { return last; }
            blst_p2_cneg(&*point, true);
            return encode(*point);
        }
        case 4:
        case 5: {
            // The compressed form: the first bit says so, the third chooses y.
            Bytes compressed = join(draw_coordinate(choices), draw_coordinate(choices));
            compressed[0] |= static_cast<uint8_t>(0x80 | (choices.one_in(2) ? 0x20 : 0));
            blst_p2_affine point;
            if (blst_p2_uncompress(&point, compressed.data()) != BLST_SUCCESS) { return last; }
            return encode(from_affine(point));
        }
        case 6:
            return widened(join(draw_coordinate(choices), draw_coordinate(choices),
                                draw_coordinate(choices), draw_coordinate(choices)));
        default: return encode(g2_multiple(draw_u256(choices, order)));
    }
}

}  // namespace

void bls12_g2_add(Choices& choices, Findings& findings) {
    const Revision revision = draw_revision(choices, Revision::prague);
    const Bytes first = draw_g2(choices, encode(*blst_p2_generator()));
    Bytes input = join(first, draw_g2(choices, first));
    spoil(choices, input);
    Answer expected;
    if (input.size() == 512) {
        const auto a = decode2(part(input, 0, 256));
        const auto b = decode2(part(input, 256, 256));
        if (a && b) { expected = {true, 600, encode(add2(*a, *b))}; }
    }
    findings.compare(0x0d, input, revision, expected);
}

void bls12_g2_msm(Choices& choices, Findings& findings) {
    const Revision revision = draw_revision(choices, Revision::prague);
    const size_t points = choices.below(msm_points_max + 1);
    Bytes input;
    Bytes last = encode(*blst_p2_generator());
    for (size_t i = 0; i < points; ++i) {
        last = draw_g2(choices, last);
        input = join(input, last, word(draw_u256(choices, order)));
    }
    spoil(choices, input);
    Answer expected{!input.empty() && input.size() % 288 == 0, 0, {}};
    Point2 sum{};
    for (size_t at = 0; expected.success && at < input.size(); at += 288) {
        const auto point = decode2(part(input, at, 256));
        if (!point || !is_in_group(*point)) {
            expected.success = false;
            break;
        }
        sum = add2(sum, multiply2(*point, load_be(part(input, at + 256, 32).data())));
    }
    if (expected.success) {
        expected.price = msm_price(22500, input.size() / 288, g2_discounts);
        expected.output = encode(sum);
    }
    findings.compare(0x0e, input, revision, expected);
}

void bls12_pairing(Choices& choices, Findings& findings) {
    const Revision revision = draw_revision(choices, Revision::prague);
    const size_t pairs = choices.below(5);
    // e(a_i P, b_i Q) multiply to one exactly when the sum of a_i b_i is zero.
    Bytes input;
    U256 sum;
    bool all_in_group = true;
    for (size_t i = 0; i < pairs; ++i) {
        U256 a = draw_u256(choices, order) % order;
        U256 b = draw_u256(choices, order) % order;
        if (i + 1 == pairs && choices.one_in(2)) {
            // Closes the product, or misses by little.
            a = (order - sum + U256{choices.one_in(4) ? 1u : 0u}) % order;
            b = U256{1};
        }
        Bytes p = curve1().multiply(g1_generator(), a);
        Bytes q = encode(g2_multiple(b));
        if (choices.one_in(16)) {
            p = draw_g1(choices, Bytes(96));
            all_in_group &= curve1().is_point(p) && curve1().multiply(p, order) == Bytes(96);
            // Where p is a point of the group after all, infinity takes the pair out.
            q = Bytes(256);
            b = U256{};
        } else if (choices.one_in(16)) {
            q = draw_g2(choices, Bytes(256));
            const auto point = decode2(q);
            all_in_group &= point && is_in_group(*point);
            p = Bytes(96);
            a = U256{};
        }
        sum = add_mod(sum, mul_mod(a, b, order), order);
        input = join(input, widened(p), q);
    }
    Answer expected;
    if (all_in_group && pairs != 0) {
        expected = {true, 37700 + 32600 * pairs, word(U256{sum.is_zero() ? 1u : 0u})};
    }
    findings.compare(0x0f, input, revision, expected);
    // A line in one coordinate meets the curve in so few points that no other is one byte away.
    const size_t size = input.size();
    if (spoil(choices, input) && (input.size() == size || input.size() % 384 != 0)) {
        findings.compare(0x0f, input, revision, {});
    }
}

namespace {

Bytes negated_coordinate(const Bytes& value) {
    if (value == Bytes(48)) { return value; }
    Bytes r(48);
    int borrow = 0;
    for (size_t i = 48; i-- > 0;) {
        const int d = prime()[i] - value[i] - borrow;
        borrow = d < 0 ? 1 : 0;
        r[i] = static_cast<uint8_t>(d + 256 * borrow);
    }
    return r;
}

/// The two maps are odd: the sign of y follows that of u, and what comes after are homomorphisms
/// (RFC 9380, 6.6.2 and 8.8). Images lie in the group, and unreduced elements are refused.
void examine_map(unsigned contract, uint64_t price, size_t coordinates, Choices& choices,
                 Findings& findings) {
    const Revision revision = draw_revision(choices, Revision::prague);
    Bytes u;
    Bytes minus_u;
    bool reduced = true;
    bool zero = true;
    for (size_t i = 0; i < coordinates; ++i) {
        const Bytes value = choices.one_in(6) ? Bytes(48) : draw_coordinate(choices);
        reduced &= curve1().is_reduced(value);
        zero &= value == Bytes(48);
        u = join(u, widened(value));
        minus_u = join(minus_u, widened(reduced ? negated_coordinate(value) : value));
    }
    if (!reduced) {
        findings.compare(contract, u, revision, {});
        return;
    }
    const Bytes image = output_of(contract, u, findings);
    findings.compare(contract, u, revision, {true, price, image});
    const Bytes other = output_of(contract, minus_u, findings);
    if (coordinates == 1) {
        const auto point = narrowed(image);
        findings.require(point && curve1().is_point(*point) &&
                             curve1().multiply(*point, order) == Bytes(96),
                         "an image outside of G1");
        if (point && !zero) {
            findings.require(other == widened(curve1().negate(*point)), "the map to G1 is not odd");
        }
    } else {
        auto point = decode2(image);
        findings.require(point && is_in_group(*point), "an image outside of G2");
        if (point && !zero) {
            blst_p2_cneg(&*point, true);
            findings.require(other == encode(*point), "the map to G2 is not odd");
        }
    }
    Bytes spoiled = u;
    spoil(choices, spoiled);
    if (spoiled.size() != u.size()) { findings.compare(contract, spoiled, revision, {}); }
}

}  // namespace

void bls12_map_fp(Choices& choices, Findings& findings) {
    examine_map(0x10, 5500, 1, choices, findings);
}

void bls12_map_fp2(Choices& choices, Findings& findings) {
    examine_map(0x11, 23800, 2, choices, findings);
}

namespace {

/// [s]G1 of the Ethereum ceremony, from the published setup.
const Bytes& setup_g1() {
    static const Bytes s = *from_hex("0d3eb50121139aa34db1d545093ac9374ab7bca2c0f3bf28"
                                     "e27c8dcd8fc7cb42d25926fc0c97b336e9f0fb35e5a04c81"
                                     "17de623f59a3043952d2f637a935fae14b6dee8b255e5263"
                                     "04963d58ab6f1a827c7de623d34d394f8a3d0f57d6e972b9");
    return s;
}

/// The compressed form: flags for "compressed", "infinity" and "the larger y" before x.
Bytes compress(const Bytes& point) {
    Bytes r = part(point, 0, 48);
    r[0] |= 0x80;
    if (point == Bytes(96)) {
        r[0] |= 0x40;
    } else if (part(point, 48, 48) > negated_coordinate(part(point, 48, 48))) {
        r[0] |= 0x20;
    }
    return r;
}

}  // namespace

void kzg_point_evaluation(Choices& choices, Findings& findings) {
    const Revision revision = draw_revision(choices, Revision::cancun);
    const PrimeCurve& c = curve1();
    // p(X) = aX + b is committed to as a [s]G1 + b G1, and its quotient by X - z is a.
    const U256 a = draw_u256(choices, order) % order;
    const U256 b = draw_u256(choices, order) % order;
    U256 z = draw_u256(choices, order) % order;
    U256 y = add_mod(mul_mod(a, z, order), b, order);
    const Bytes commitment_point = c.add(c.multiply(setup_g1(), a), c.multiply(g1_generator(), b));
    const Bytes proof_point = c.multiply(g1_generator(), a);
    Bytes commitment = compress(commitment_point);
    Bytes proof = compress(proof_point);
    bool valid = true;
    const auto other_number = [&](U256& v) {
        const U256 before = v;
        // Also the same residue, unreduced.
        v = choices.one_in(2) ? v + order : draw_u256(choices, order);
        // The evaluation stands where the number stays, and at a constant's every z.
        valid &= v == before || (&v == &z && a.is_zero() && v < order);
    };
    const auto other_point = [&](Bytes& v, const Bytes& point) {
        const Bytes before = v;
        // A point of the curve and the part of it that the group's order does not kill: the pairing
        // does not see the latter.
        const Bytes any =
            c.point_at(draw_coordinate(choices), choices.one_in(2)).value_or(g1_generator());
        switch (choices.below(3)) {
            case 0: v = compress(any); break;
            case 1: v = compress(c.add(point, c.multiply(any, order))); break;
            default: v[choices.below(48)] ^= static_cast<uint8_t>(1 + choices.below(255));
        }
        valid &= v == before;
    };
    switch (choices.below(10)) {
        case 0: other_number(z); break;
        case 1: other_number(y); break;
        case 2: other_point(commitment, commitment_point); break;
        case 3: other_point(proof, proof_point); break;
        default: break;
    }
    Bytes hash = reference_sha256(commitment);
    hash[0] = 1;
    if (choices.one_in(12)) {
        hash[choices.below(32)] ^= static_cast<uint8_t>(1 + choices.below(255));
        valid = false;
    }
    Bytes input = join(hash, word(z), word(y), commitment, proof);
    if (choices.one_in(12)) {
        input.resize(choices.one_in(2) ? choices.below(192) : 193 + choices.below(40));
        valid = false;
    }
    Answer expected;
    if (valid) { expected = {true, 50000, join(word(U256{4096}), word(order))}; }
    findings.compare(0x0a, input, revision, expected);
}

}  // namespace millrace::evm::oracles
