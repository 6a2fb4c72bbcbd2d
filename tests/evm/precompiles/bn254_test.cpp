// SPDX-License-Identifier: Apache-2.0
// Owns the tests of bn254: field tower, groups, pairing, and the precompiles 0x06 to 0x08.
#include "evm/precompiles/bn254.hpp"

#include <vector>

#include "tests/evm/precompiles/calling.hpp"

namespace millrace::evm {
namespace {

using namespace test;
using namespace bn254;

constexpr unsigned add_contract = 6;
constexpr unsigned multiply_contract = 7;
constexpr unsigned pairing_contract = 8;

Fp random_fp(Random& random) { return Fp::from_integer(random.edgy_u256() % field_modulus); }
Fp2 random_fp2(Random& random) { return {random_fp(random), random_fp(random)}; }
Fp6 random_fp6(Random& random) {
    return {random_fp2(random), random_fp2(random), random_fp2(random)};
}
Fp12 random_fp12(Random& random) { return {random_fp6(random), random_fp6(random)}; }

/// A square root in Fp, where p = 3 mod 4; the caller checks that it is one.
Fp root_candidate(const Fp& a) {
    Fp r = Fp::one();
    const U256 exponent = shr(field_modulus + U256{1}, 2);
    for (unsigned bit = 256; bit-- > 0;) {
        r = square(r);
        if (((exponent.w[bit / 64] >> (bit % 64)) & 1) != 0) { r = r * a; }
    }
    return r;
}

/// A random point of the curve over Fp2, almost never of the group.
G2Point random_curve_point(Random& random) {
    const Fp2 b = square(g2_generator().y) - square(g2_generator().x) * g2_generator().x;
    for (;;) {
        const Fp2 x{random_fp(random), random_fp(random)};
        const Fp2 c = square(x) * x + b;
        // (u + v i)^2 = c: u^2 = (c0 + |c|) / 2 for a root |c| of the norm, and v = c1 / 2u.
        const Fp norm = square(c.c0) + square(c.c1);
        const Fp length = root_candidate(norm);
        const Fp half_sum = (c.c0 + length) * inverse(Fp::one() + Fp::one());
        const Fp u = root_candidate(half_sum);
        const Fp2 y{u, c.c1 * inverse(u + u)};
        if (square(y) == c) { return {x, y, false}; }
    }
}

TEST(Bn254Field, BaseFieldAgreesWithWideIntegers) {
    Random random(254);
    SCOPED_TRACE(random.text());
    const U256& p = field_modulus;
    for (int i = 0; i < 2000; ++i) {
        const U256 a = random.edgy_u256() % p;
        const U256 b =
            random.below(8) == 0 ? p - U256{1 + random.below(3)} : random.edgy_u256() % p;
        const Fp x = Fp::from_integer(a);
        const Fp y = Fp::from_integer(b);
        ASSERT_EQ(a, x.to_integer());
        ASSERT_EQ(add_mod(a, b, p), (x + y).to_integer());
        ASSERT_EQ(add_mod(a, p - b, p), (x - y).to_integer());
        ASSERT_EQ(mul_mod(a, b, p), (x * y).to_integer());
        ASSERT_EQ(add_mod(p - a, U256{}, p), (-x).to_integer());
        ASSERT_EQ(x.is_zero() ? Fp::zero() : Fp::one(), x * inverse(x));
    }
    EXPECT_EQ(Fp::zero(), inverse(Fp::zero()));
}

/// v mod p, whatever the number of limbs.
U256 residue(detail::Wide<320> v) {
    return detail::from_wide(
        static_cast<detail::Wide<256>>(v % static_cast<detail::Wide<320>>(detail::wide_modulus)));
}

TEST(Bn254Field, SumsReduceOverTheirWholeRange) {
    Random random(64);
    SCOPED_TRACE(random.text());
    Sum<64> base{0};
    for (unsigned multiple = 0; multiple < 64; ++multiple) {
        const auto expect_residue = [&](const Sum<64>& v) {
            ASSERT_EQ(residue(v.v), reduce(v).m) << multiple;
        };
        for (const uint64_t offset : {0, 1, 2, 1000}) {
            expect_residue({base.v + offset});
            expect_residue({base.v + detail::wide_modulus - 1 - offset});
        }
        expect_residue({base.v + lazy(random_fp(random)).v});
        base.v += detail::wide_modulus;
    }
    const Fp most = Fp{} - Fp{U256{1}};
    for (int i = 0; i < 500; ++i) {
        const Fp a = i == 0 ? most : random_fp(random);
        const Fp b = i <= 1 ? Fp{} : i == 2 ? most : random_fp(random);
        ASSERT_EQ(a + a + a - b - b, reduce(times<3>(lazy(a)) - times<2>(lazy(b))));
        const Fp nine = twice(twice(twice(a))) + a;
        ASSERT_EQ(nine - b + a, reduce(times<9>(lazy(a)) - lazy(b) + lazy(a)));
    }
}

TEST(Bn254Field, ProductsTakeAnUnreducedLeftOperand) {
    Random random(65);
    SCOPED_TRACE(random.text());
    const Fp most = Fp{} - Fp{U256{1}};
    for (int i = 0; i < 500; ++i) {
        const Fp2 a = i < 2 ? Fp2{most, most} : random_fp2(random);
        const Fp2 b = i < 2 ? Fp2{most, most} : random_fp2(random);
        const Fp2 c = i == 0 ? Fp2{most, most} : i == 1 ? Fp2{} : random_fp2(random);
        ASSERT_EQ((a + b) * c, unreduced_sum(a, b) * c);
        ASSERT_EQ((a.c0 + b.c0) * c.c0, unreduced_sum(a, b).c0 * c.c0);
    }
}

TEST(Bn254Field, QuadraticExtensionAgreesWithItsDefinition) {
    Random random(2);
    SCOPED_TRACE(random.text());
    for (int i = 0; i < 1000; ++i) {
        const Fp2 a = random_fp2(random);
        const Fp2 b = random_fp2(random);
        const Fp2 product{a.c0 * b.c0 - a.c1 * b.c1, a.c0 * b.c1 + a.c1 * b.c0};
        ASSERT_EQ(product, a * b);
        ASSERT_EQ(a * a, square(a));
        ASSERT_EQ((a * Fp2{Fp::from_integer(U256{9}), Fp::one()}), multiply_by_xi(a));
        ASSERT_EQ(a.is_zero() ? Fp2::zero() : Fp2::one(), a * inverse(a));
    }
}

TEST(Bn254Field, TowerIsARingWithInverses) {
    Random random(12);
    SCOPED_TRACE(random.text());
    const Fp6 v{Fp2::zero(), Fp2::one(), Fp2::zero()};
    const Fp12 w{{}, Fp6::one()};
    EXPECT_EQ((Fp12{v, {}}), w * w);
    EXPECT_EQ((Fp6{multiply_by_xi(Fp2::one()), {}, {}}), v * v * v);
    for (int i = 0; i < 100; ++i) {
        const Fp6 s = random_fp6(random);
        ASSERT_EQ(s * v, multiply_by_v(s));
        ASSERT_EQ(Fp6::one(), s * inverse(s));
        const Fp12 a = random_fp12(random);
        const Fp12 b = random_fp12(random);
        const Fp12 c = random_fp12(random);
        ASSERT_EQ(a * b, b * a);
        ASSERT_EQ(a * (b * c), (a * b) * c);
        ASSERT_EQ(a * a, square(a));
        ASSERT_EQ(Fp12::one(), a * inverse(a));
        const Fp2 l0 = random_fp2(random);
        const Fp2 l1 = random_fp2(random);
        const Fp2 l3 = random_fp2(random);
        const Fp12 line{{l0, {}, {}}, {l1, l3, {}}};
        ASSERT_EQ(a * line, multiply_by_line(a, l0, l1, l3));
    }
}

TEST(Bn254Field, FrobeniusIsThePowerOfThePrime) {
    Random random(3);
    SCOPED_TRACE(random.text());
    const Fp12 a = random_fp12(random);
    Fp12 power = Fp12::one();
    for (unsigned bit = 256; bit-- > 0;) {
        power = square(power);
        if (((field_modulus.w[bit / 64] >> (bit % 64)) & 1) != 0) { power = power * a; }
    }
    EXPECT_EQ(power, frobenius(a, 1));
    EXPECT_EQ(frobenius(frobenius(a, 1), 1), frobenius(a, 2));
    EXPECT_EQ(frobenius(frobenius(a, 2), 1), frobenius(a, 3));
    EXPECT_EQ(frobenius(frobenius(a, 3), 3), conjugate(a));
}

TEST(Bn254Field, CyclotomicSquaringIsSquaringInTheSubgroup) {
    Random random(4);
    SCOPED_TRACE(random.text());
    for (int i = 0; i < 20; ++i) {
        const Fp12 a = random_fp12(random);
        Fp12 g = conjugate(a) * inverse(a);
        g = frobenius(g, 2) * g;
        ASSERT_EQ(square(g), cyclotomic_square(g));
    }
}

TEST(Bn254Group, MultiplicationIsRepeatedAddition) {
    Random random(5);
    SCOPED_TRACE(random.text());
    G1Point p;
    G2Point q;
    for (uint64_t i = 0; i < 40; ++i) {
        ASSERT_EQ(p, multiply(g1_generator(), U256{i}));
        ASSERT_EQ(q, multiply(g2_generator(), U256{i}));
        ASSERT_TRUE(is_on_curve(p));
        ASSERT_TRUE(is_on_curve(q));
        p = add(p, g1_generator());
        q = add(q, g2_generator());
    }
    for (int i = 0; i < 50; ++i) {
        const U256 a = random.edgy_u256();
        const U256 b = random.edgy_u256();
        const U256 sum = add_mod(a, b, group_order);
        ASSERT_EQ(multiply(g1_generator(), sum),
                  add(multiply(g1_generator(), a), multiply(g1_generator(), b)));
        ASSERT_EQ(multiply(g2_generator(), sum),
                  add(multiply(g2_generator(), a), multiply(g2_generator(), b)));
    }
    EXPECT_TRUE(multiply(g1_generator(), group_order).infinity);
    EXPECT_TRUE(multiply(g2_generator(), group_order).infinity);
    EXPECT_EQ(negate(g1_generator()), multiply(g1_generator(), group_order - U256{1}));
    EXPECT_TRUE(add(g1_generator(), negate(g1_generator())).infinity);
}

TEST(Bn254Group, MultiplicationAgreesWithDoubleAndAdd) {
    Random random(9);
    SCOPED_TRACE(random.text());
    for (int i = 0; i < 30; ++i) {
        const G1Point p = multiply(g1_generator(), random.u256());
        const U256 scalar = random.edgy_u256();
        G1Point expected;
        for (unsigned bit = 256; bit-- > 0;) {
            expected = add(expected, expected);
            if (((scalar.w[bit / 64] >> (bit % 64)) & 1) != 0) { expected = add(expected, p); }
        }
        ASSERT_EQ(expected, multiply(p, scalar)) << to_hex(word(scalar));
    }
}

TEST(Bn254Group, SubgroupCheckAgreesWithMultiplicationByTheOrder) {
    Random random(6);
    SCOPED_TRACE(random.text());
    EXPECT_TRUE(is_in_group(G2Point{}));
    for (int i = 0; i < 20; ++i) {
        EXPECT_TRUE(is_in_group(multiply(g2_generator(), random.u256())));
        const G2Point outside = random_curve_point(random);
        ASSERT_TRUE(is_on_curve(outside));
        EXPECT_EQ(multiply(outside, group_order).infinity, is_in_group(outside));
        // A point of the cofactor's order alone, and one with both parts.
        const G2Point cofactor_part = multiply(outside, group_order);
        ASSERT_FALSE(cofactor_part.infinity);
        EXPECT_FALSE(is_in_group(cofactor_part));
        EXPECT_FALSE(is_in_group(add(cofactor_part, g2_generator())));
        // The order of the curve is r (2p - r): clearing 2p - r leaves the group.
        bool carry = false;
        const U256 cofactor = add_overflow(field_modulus, field_modulus - group_order, carry);
        ASSERT_FALSE(carry);
        const G2Point cleared = multiply(outside, cofactor);
        EXPECT_FALSE(cleared.infinity);
        EXPECT_TRUE(is_in_group(cleared));
    }
}

Fp12 pair(const G1Point& p, const G2Point& q) {
    const PairingInput input{p, q};
    return final_exponentiation(miller_loop({&input, 1}));
}

TEST(Bn254Pairing, IsBilinearAndNotDegenerate) {
    Random random(7);
    SCOPED_TRACE(random.text());
    const G1Point p = g1_generator();
    const G2Point q = g2_generator();
    const Fp12 base = pair(p, q);
    EXPECT_NE(Fp12::one(), base);
    // The value has the order of the group.
    Fp12 power = Fp12::one();
    for (unsigned bit = 256; bit-- > 0;) {
        power = square(power);
        if (((group_order.w[bit / 64] >> (bit % 64)) & 1) != 0) { power = power * base; }
    }
    EXPECT_EQ(Fp12::one(), power);
    for (int i = 0; i < 5; ++i) {
        const U256 a = random.u256() % group_order;
        const U256 b = random.u256() % group_order;
        const Fp12 expected = pair(multiply(p, mul_mod(a, b, group_order)), q);
        EXPECT_EQ(expected, pair(multiply(p, a), multiply(q, b)));
        EXPECT_EQ(expected, pair(p, multiply(multiply(q, a), b)));
        EXPECT_EQ(pair(multiply(p, a), q) * pair(multiply(p, b), q),
                  pair(multiply(p, add_mod(a, b, group_order)), q));
    }
}

Bytes encode(const G1Point& p) { return join(word(p.x.to_integer()), word(p.y.to_integer())); }
Bytes encode(const G2Point& q) {
    return join(word(q.x.c1.to_integer()), word(q.x.c0.to_integer()), word(q.y.c1.to_integer()),
                word(q.y.c0.to_integer()));
}

const Bytes generator_bytes = join(word(U256{1}), word(U256{2}));
const Bytes twice_generator =
    bytes("030644e72e131a029b85045b68181585d97816a916871ca8d3c208c16d87cfd3"
          "15ed738c0e0a7c92e7845f96b2ae9c0a68a6a449e3538fc7ff3ebf7a5a18a2c4");

TEST(Bn254Add, AddsWithThePriceOfEachFork) {
    const Bytes input = join(generator_bytes, generator_bytes);
    expect_result(add_contract, input, twice_generator, 500, Revision::byzantium);
    expect_result(add_contract, input, twice_generator, 500, Revision::petersburg);
    expect_result(add_contract, input, twice_generator, 150, Revision::istanbul);
    expect_result(add_contract, input, twice_generator, 150, Revision::osaka);
    expect_result(add_contract, join(input, Bytes(50, 0xff)), twice_generator, 150);
}

TEST(Bn254Add, ShortInputIsPaddedAndZerosAreInfinity) {
    expect_result(add_contract, {}, Bytes(64), 150);
    expect_result(add_contract, generator_bytes, generator_bytes, 150);
    expect_result(add_contract, join(Bytes(64), generator_bytes), generator_bytes, 150);
    expect_result(add_contract, join(generator_bytes, encode(negate(g1_generator()))), Bytes(64),
                  150);
    // (1, 2) cut after the first coordinate is (1, 0), not on the curve.
    expect_failure(add_contract, word(U256{1}));
}

TEST(Bn254Add, RefusesWhatIsNotAPoint) {
    const Bytes modulus = word(field_modulus);
    for (const Bytes& bad :
         {join(word(U256{1}), word(U256{1})), join(modulus, modulus), join(Bytes(32), modulus),
          join(word(field_modulus + U256{1}), word(U256{2})), Bytes(64, 0xff)}) {
        expect_failure(add_contract, bad);
        expect_failure(add_contract, join(Bytes(64), bad));
        expect_failure(multiply_contract, join(bad, word(U256{})));
    }
}

TEST(Bn254Multiply, MultipliesWithThePriceOfEachFork) {
    const Bytes input = join(generator_bytes, word(U256{2}));
    expect_result(multiply_contract, input, twice_generator, 40000, Revision::byzantium);
    expect_result(multiply_contract, input, twice_generator, 6000, Revision::istanbul);
    expect_result(multiply_contract, join(input, Bytes(9, 1)), twice_generator, 6000);
    expect_result(multiply_contract, generator_bytes, Bytes(64), 6000);
    expect_result(multiply_contract, {}, Bytes(64), 6000);
    expect_result(multiply_contract, join(Bytes(64), word(U256::max())), Bytes(64), 6000);
    expect_result(multiply_contract, join(generator_bytes, word(group_order)), Bytes(64), 6000);
    expect_result(multiply_contract, join(generator_bytes, word(group_order + U256{2})),
                  twice_generator, 6000);
    // 2^256 - 1, well above the order, agrees with its residue.
    EXPECT_EQ(
        call(multiply_contract, join(generator_bytes, word(U256::max() % group_order))).output,
        call(multiply_contract, join(generator_bytes, word(U256::max()))).output);
}

const Bytes yes = word(U256{1});
const Bytes no = word(U256{});

TEST(Bn254PairingContract, ChecksProductsWithThePriceOfEachFork) {
    Random random(197);
    SCOPED_TRACE(random.text());
    expect_result(pairing_contract, {}, yes, 100000, Revision::byzantium);
    expect_result(pairing_contract, {}, yes, 45000);

    const Bytes one = join(encode(g1_generator()), encode(g2_generator()));
    expect_result(pairing_contract, one, no, 180000, Revision::byzantium);
    expect_result(pairing_contract, one, no, 79000);

    // e(aP, bQ) e(cP, Q) e(-(ab + c)P, Q) = 1.
    const U256 a = random.u256() % group_order;
    const U256 b = random.u256() % group_order;
    const U256 c = random.u256() % group_order;
    const U256 abc = add_mod(mul_mod(a, b, group_order), c, group_order);
    const G1Point p = g1_generator();
    const G2Point q = g2_generator();
    const Bytes three = join(encode(multiply(p, a)), encode(multiply(q, b)), encode(multiply(p, c)),
                             encode(q), encode(negate(multiply(p, abc))), encode(q));
    expect_result(pairing_contract, three, yes, 340000, Revision::byzantium);
    expect_result(pairing_contract, three, yes, 147000);
    const Bytes wrong = join(encode(multiply(p, a)), encode(multiply(q, b)), encode(multiply(p, c)),
                             encode(q), encode(negate(multiply(p, abc + U256{1}))), encode(q));
    expect_result(pairing_contract, wrong, no, 147000);
}

TEST(Bn254PairingContract, InfinityCountsAsOne) {
    const Bytes with_g1_zero = join(Bytes(64), encode(g2_generator()));
    const Bytes with_g2_zero = join(encode(g1_generator()), Bytes(128));
    expect_result(pairing_contract, Bytes(192), yes, 79000);
    expect_result(pairing_contract, with_g1_zero, yes, 79000);
    expect_result(pairing_contract, with_g2_zero, yes, 79000);
    expect_result(pairing_contract,
                  join(with_g1_zero, encode(g1_generator()), encode(g2_generator()), with_g2_zero),
                  no, 147000);
}

TEST(Bn254PairingContract, RefusesBadLengthsAndPoints) {
    Random random(8);
    SCOPED_TRACE(random.text());
    const Bytes p = encode(g1_generator());
    const Bytes q = encode(g2_generator());
    for (const size_t size : {1, 64, 191, 193, 383, 385}) {
        expect_failure(pairing_contract, Bytes(size));
    }
    expect_failure(pairing_contract, join(word(U256{1}), word(U256{1}), q));
    // The coordinates of a point of G2 in the wrong order are not on the curve.
    const Bytes swapped =
        join(Bytes(q.begin() + 32, q.begin() + 64), Bytes(q.begin(), q.begin() + 32),
             Bytes(q.begin() + 96, q.end()), Bytes(q.begin() + 64, q.begin() + 96));
    expect_failure(pairing_contract, join(p, swapped));
    // On the curve, outside the group; also beside a point at infinity.
    const Bytes outside = encode(random_curve_point(random));
    expect_failure(pairing_contract, join(p, outside));
    expect_failure(pairing_contract, join(Bytes(64), outside));
    // Coordinates that are not reduced, one at a time.
    for (size_t i = 0; i < 6; ++i) {
        Bytes input = join(p, q);
        const U256 value = load_be(input.data() + 32 * i);
        store_be(value + field_modulus, input.data() + 32 * i);
        expect_failure(pairing_contract, input);
    }
    // Every pair is checked, not only the first.
    expect_failure(pairing_contract, join(p, q, p, outside));
}

}  // namespace
}  // namespace millrace::evm
