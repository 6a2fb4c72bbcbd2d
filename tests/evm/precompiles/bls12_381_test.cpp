// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the precompiles over BLS12-381.
#include <blst.h>

#include <vector>

#include "evm/precompiles/detail/bls12_381.hpp"
#include "tests/evm/precompiles/calling.hpp"

namespace millrace::evm {
namespace {

using namespace test;

constexpr unsigned g1_add = 0x0b;
constexpr unsigned g1_msm = 0x0c;
constexpr unsigned g2_add = 0x0d;
constexpr unsigned g2_msm = 0x0e;
constexpr unsigned pairing = 0x0f;
constexpr unsigned map_fp = 0x10;
constexpr unsigned map_fp2 = 0x11;

const U256 order = bls12_381::group_order;
const Bytes yes = word(U256{1});
const Bytes no = word(U256{});

/// 48 bytes behind the 16 zeros of the encoding.
Bytes field(std::string_view hex48) { return join(Bytes(16), bytes(hex48)); }

const Bytes modulus =
    field("1a0111ea397fe69a4b1ba7b6434bacd764774b84f38512bf6730d2a0f6b0f6241eabfffeb153ffff"
          "b9feffffffffaaab");

const Bytes g1 = join(field("17f1d3a73197d7942695638c4fa9ac0fc3688c4f9774b905a14e3a3f171bac58"
                            "6c55e83ff97a1aeffb3af00adb22c6bb"),
                      field("08b3f481e3aaa0f1a09e30ed741d8ae4fcf5e095d5d00af600db18cb2c04b3ed"
                            "d03cc744a2888ae40caa232946c5e7e1"));
const Bytes g2 = join(field("024aa2b2f08f0a91260805272dc51051c6e47ad4fa403b02b4510b647ae3d177"
                            "0bac0326a805bbefd48056c8c121bdb8"),
                      field("13e02b6052719f607dacd3a088274f65596bd0d09920b61ab5da61bbdc7f5049"
                            "334cf11213945d57e5ac7d055d042b7e"),
                      field("0ce5d527727d6e118cc9cdc6da2e351aadfd9baa8cbdd3a76d429a695160d12c"
                            "923ac9cc3baca289e193548608b82801"),
                      field("0606c4a02ea734cc32acd2b02bc28b99cb3e287e85a763af267492ab572e99ab"
                            "3f370d275cec1da1aaa9075ff05f79be"));
const Bytes zero_g1(128);
const Bytes zero_g2(256);

/// One of the two groups as the contracts see it.
struct Group {
    unsigned add;
    unsigned msm;
    const Bytes& generator;
    const Bytes& zero;
    uint64_t add_price;
    uint64_t multiply_price;

    Bytes multiply(const Bytes& point, const U256& scalar) const {
        return call(msm, join(point, word(scalar))).output;
    }
    Bytes multiply(const U256& scalar) const { return multiply(generator, scalar); }
    Bytes sum(const Bytes& a, const Bytes& b) const { return call(add, join(a, b)).output; }
};

const Group group1{g1_add, g1_msm, g1, zero_g1, 375, 12000};
const Group group2{g2_add, g2_msm, g2, zero_g2, 600, 22500};

/// A point of the curve but, as the test checks, not of the group: x counts up until the
/// compressed form decodes.
Bytes g1_outside() {
    for (uint8_t x = 1;; ++x) {
        Bytes compressed(48);
        compressed[0] = 0x80;
        compressed[47] = x;
        blst_p1_affine point;
        if (blst_p1_uncompress(&point, compressed.data()) == BLST_SUCCESS &&
            !blst_p1_affine_in_g1(&point)) {
            Bytes r(128);
            blst_bendian_from_fp(r.data() + 16, &point.x);
            blst_bendian_from_fp(r.data() + 80, &point.y);
            return r;
        }
    }
}

Bytes g2_outside() {
    for (uint8_t x = 1;; ++x) {
        Bytes compressed(96);
        compressed[0] = 0x80;
        compressed[95] = x;
        blst_p2_affine point;
        if (blst_p2_uncompress(&point, compressed.data()) == BLST_SUCCESS &&
            !blst_p2_affine_in_g2(&point)) {
            Bytes r(256);
            blst_bendian_from_fp(r.data() + 16, &point.x.fp[0]);
            blst_bendian_from_fp(r.data() + 80, &point.x.fp[1]);
            blst_bendian_from_fp(r.data() + 144, &point.y.fp[0]);
            blst_bendian_from_fp(r.data() + 208, &point.y.fp[1]);
            return r;
        }
    }
}

TEST(Bls12Add, AddsAndKeepsInfinityNeutral) {
    for (const Group& group : {group1, group2}) {
        const Bytes& g = group.generator;
        expect_result(group.add, join(g, group.zero), g, group.add_price, Revision::prague);
        expect_result(group.add, join(group.zero, g), g, group.add_price);
        expect_result(group.add, join(group.zero, group.zero), group.zero, group.add_price);
        expect_result(group.add, join(g, g), group.multiply(U256{2}), group.add_price);
        expect_result(group.add, join(g, group.multiply(order - U256{1})), group.zero,
                      group.add_price);
        expect_result(group.add, join(group.multiply(U256{5}), group.multiply(U256{6})),
                      group.multiply(U256{11}), group.add_price);
    }
}

TEST(Bls12Add, TakesPointsOutsideTheGroup) {
    const Bytes p1 = g1_outside();
    const Bytes p2 = g2_outside();
    EXPECT_EQ(p1, group1.sum(p1, zero_g1));
    EXPECT_EQ(p2, group2.sum(p2, zero_g2));
    EXPECT_EQ(128u, group1.sum(p1, p1).size());
    EXPECT_EQ(256u, group2.sum(p2, p2).size());
}

TEST(Bls12Add, MultipliesOfTheGeneratorHaveTheirPublishedCoordinates) {
    // 2 G1, from the curve's reference tables.
    expect_result(g1_add, join(g1, g1),
                  join(field("0572cbea904d67468808c8eb50a9450c9721db309128012543902d0ac358a62a"
                             "e28f75bb8f1c7c42c39a8c5529bf0f4e"),
                       field("166a9d8cabc673a322fda673779d8e3822ba3ecb8670e461f73bb9021d5fd76a"
                             "4c56d9d4cd16bd1bba86881979749d28")),
                  375);
}

/// Inputs that no contract taking points of this group may accept. `wrap` makes a whole input.
template <class Wrap>
void expect_bad_points_fail(unsigned contract, const Group& group, Wrap wrap) {
    const Bytes& good = group.generator;
    ASSERT_TRUE(call(contract, wrap(good)).success);
    for (size_t at = 0; at < good.size(); at += 64) {
        // One of the sixteen leading bytes of a coordinate set.
        for (const size_t lead : {0, 15}) {
            Bytes bad = good;
            bad[at + lead] = 1;
            expect_failure(contract, wrap(bad));
        }
        // The modulus itself in place of a coordinate.
        Bytes bad = good;
        std::copy(modulus.begin(), modulus.end(), bad.begin() + static_cast<ptrdiff_t>(at));
        expect_failure(contract, wrap(bad));
        bad = group.zero;
        std::copy(modulus.begin(), modulus.end(), bad.begin() + static_cast<ptrdiff_t>(at));
        expect_failure(contract, wrap(bad));
        // Another value: not on the curve.
        bad = good;
        bad[at + 63] ^= 1;
        expect_failure(contract, wrap(bad));
    }
}

TEST(Bls12Add, RefusesBadPointsAndLengths) {
    for (const Group& group : {group1, group2}) {
        expect_bad_points_fail(group.add, group,
                               [&](const Bytes& p) { return join(p, group.zero); });
        expect_bad_points_fail(group.add, group,
                               [&](const Bytes& p) { return join(group.zero, p); });
        const Bytes good = join(group.generator, group.generator);
        expect_failure(group.add, {});
        expect_failure(group.add, group.generator);
        expect_failure(group.add, Bytes(good.begin(), good.end() - 1));
        expect_failure(group.add, join(good, Bytes{0}));
    }
}

TEST(Bls12Msm, IsALinearMap) {
    Random random(2537);
    SCOPED_TRACE(random.text());
    for (const Group& group : {group1, group2}) {
        for (const size_t count : {1, 2, 3, 8, 31, 32, 33, 70}) {
            // Points k_i G with scalars s_i: the sum is (sum of k_i s_i) G. Infinity, zero scalars,
            // equal and opposite points are among them.
            Bytes input;
            U256 expected;
            Bytes last = group.generator;
            U256 last_factor{1};
            for (size_t i = 0; i < count; ++i) {
                const U256 scalar = random.edgy_u256();
                switch (random.below(5)) {
                    case 0:
                        last = group.zero;
                        last_factor = U256{};
                        break;
                    case 1:
                        last = group.multiply(last, order - U256{1});
                        last_factor = mul_mod(last_factor, order - U256{1}, order);
                        break;
                    case 2: break;
                    default:
                        last_factor = random.u256() % order;
                        last = group.multiply(last_factor);
                }
                input = join(input, last, word(scalar));
                expected = add_mod(expected, mul_mod(last_factor, scalar, order), order);
            }
            const PrecompileOutcome outcome = call(group.msm, input);
            ASSERT_TRUE(outcome.success);
            ASSERT_EQ(to_hex(group.multiply(expected)), to_hex(outcome.output)) << count;
        }
    }
}

TEST(Bls12Msm, TakesAnyScalar) {
    for (const Group& group : {group1, group2}) {
        EXPECT_EQ(group.zero, group.multiply(U256{}));
        EXPECT_EQ(group.generator, group.multiply(U256{1}));
        EXPECT_EQ(group.zero, group.multiply(order));
        EXPECT_EQ(group.generator, group.multiply(order + U256{1}));
        EXPECT_EQ(group.multiply(U256::max() % order), group.multiply(U256::max()));
        EXPECT_EQ(group.zero, group.multiply(group.zero, U256{7}));
        // Everything cancels, in one call.
        const Bytes& g = group.generator;
        expect_result(group.msm, join(g, word(U256{5}), g, word(order - U256{5})), group.zero,
                      2 * group.multiply_price * (&group.generator == &g1 ? 949 : 1000) / 1000);
    }
}

TEST(Bls12Msm, ChargesWithTheDiscountOfTheCount) {
    struct Row {
        size_t count;
        uint64_t g1_price;
        uint64_t g2_price;
    };
    // k * 12000 * discount / 1000 and k * 22500 * discount / 1000, rows of EIP-2537's tables.
    constexpr Row rows[] = {{1, 12000, 22500},
                            {2, 22776, 45000},
                            {3, 30528, 62302},
                            {16, 16 * 12 * 677, 16 * 22500ull * 717 / 1000},
                            {64, 64 * 12 * 576, 64 * 22500ull * 582 / 1000},
                            {127, 127 * 12 * 520, 127 * 22500ull * 524 / 1000},
                            {128, 128 * 12 * 519, 128 * 22500ull * 524 / 1000},
                            {129, 129 * 12 * 519, 129 * 22500ull * 524 / 1000},
                            {300, 300 * 12 * 519, 300 * 22500ull * 524 / 1000}};
    for (const Row& row : rows) {
        expect_result(g1_msm, Bytes(160 * row.count), zero_g1, row.g1_price);
        expect_result(g2_msm, Bytes(288 * row.count), zero_g2, row.g2_price);
    }
}

TEST(Bls12Msm, RefusesBadPointsAndLengths) {
    for (const Group& group : {group1, group2}) {
        const Bytes scalar = word(U256{3});
        expect_bad_points_fail(group.msm, group, [&](const Bytes& p) { return join(p, scalar); });
        const Bytes good = join(group.generator, scalar);
        // The second pair is checked too, even with a zero scalar.
        expect_bad_points_fail(group.msm, group,
                               [&](const Bytes& p) { return join(good, p, word(U256{})); });
        expect_failure(group.msm, {});
        expect_failure(group.msm, Bytes(good.begin(), good.end() - 1));
        expect_failure(group.msm, join(good, Bytes{0}));
    }
    expect_failure(g1_msm, join(g1_outside(), word(U256{})));
    expect_failure(g1_msm, join(g1, word(U256{1}), g1_outside(), word(U256{1})));
    expect_failure(g2_msm, join(g2_outside(), word(U256{})));
    expect_failure(g2_msm, join(g2, word(U256{1}), g2_outside(), word(U256{1})));
}

TEST(Bls12Pairing, IsBilinear) {
    Random random(381);
    SCOPED_TRACE(random.text());
    expect_result(pairing, join(g1, g2), no, 70300, Revision::prague);
    for (int i = 0; i < 5; ++i) {
        const U256 a = random.u256() % order;
        const U256 b = random.u256() % order;
        const U256 minus_ab = mul_mod(order - a, b, order);
        const Bytes left = join(group1.multiply(a), group2.multiply(b));
        expect_result(pairing, join(left, group1.multiply(minus_ab), g2), yes, 102900);
        expect_result(pairing, join(left, g1, group2.multiply(minus_ab)), yes, 102900);
        expect_result(pairing, join(left, group1.multiply(minus_ab + U256{1}), g2), no, 102900);
    }
}

TEST(Bls12Pairing, ManyPairsAgree) {
    // blst works in groups of sixteen pairs: counts around its edge. The sum of 1 to n is
    // cancelled.
    for (const uint64_t count : {15, 16, 17, 33}) {
        Bytes input;
        for (uint64_t i = 1; i < count; ++i) { input = join(input, group1.multiply(U256{i}), g2); }
        const U256 sum{count * (count - 1) / 2};
        EXPECT_EQ(yes, call(pairing, join(input, group1.multiply(order - sum), g2)).output);
        EXPECT_EQ(no, call(pairing, join(input, group1.multiply(sum), g2)).output);
    }
}

TEST(Bls12Pairing, InfinityCountsAsOne) {
    expect_result(pairing, join(zero_g1, zero_g2), yes, 70300);
    expect_result(pairing, join(g1, zero_g2), yes, 70300);
    expect_result(pairing, join(zero_g1, g2), yes, 70300);
    expect_result(pairing, join(g1, zero_g2, g1, g2, zero_g1, g2), no, 135500);
}

TEST(Bls12Pairing, RefusesBadPointsAndLengths) {
    expect_bad_points_fail(pairing, group1, [](const Bytes& p) { return join(p, zero_g2); });
    expect_bad_points_fail(pairing, group2, [](const Bytes& q) { return join(zero_g1, q); });
    expect_failure(pairing, join(g1_outside(), g2));
    expect_failure(pairing, join(g1_outside(), zero_g2));
    expect_failure(pairing, join(g1, g2_outside()));
    expect_failure(pairing, join(zero_g1, g2_outside()));
    const Bytes good = join(g1, g2);
    expect_failure(pairing, {});
    expect_failure(pairing, Bytes(good.begin(), good.end() - 1));
    expect_failure(pairing, join(good, Bytes{0}));
}

TEST(Bls12Map, GivesThePublishedPoints) {
    // RFC 9380, J.9.2 (BLS12381G1_XMD:SHA-256_SSWU_NU_), empty message: u and P.
    expect_result(map_fp,
                  field("156c8a6a2c184569d69a76be144b5cdc5141d2d2ca4fe341f011e25e3969c55ad9e9b9ce"
                        "2eb833c81a908e5fa4ac5f03"),
                  join(field("184bb665c37ff561a89ec2122dd343f20e0f4cbcaec84e3c3052ea81d1834e192c42"
                             "6074b02ed3dca4e7676ce4ce48ba"),
                       field("04407b8d35af4dacc809927071fc0405218f1401a6d15af775810e4e460064bcc946"
                             "8beeba82fdc751be70476c888bf3")),
                  5500, Revision::prague);
    // RFC 9380, J.10.2 (BLS12381G2_XMD:SHA-256_SSWU_NU_), empty message: u and P.
    expect_result(map_fp2,
                  join(field("07355d25caf6e7f2f0cb2812ca0e513bd026ed09dda65b177500fa31714e09ea0ded"
                             "3a078b526bed3307f804d4b93b04"),
                       field("02829ce3c021339ccb5caf3e187f6370e1e2a311dec9b75363117063ab2015603ff5"
                             "2c3d3b98f19c2f65575e99e8b78c")),
                  join(field("00e7f4568a82b4b7dc1f14c6aaa055edf51502319c723c4dc2688c7fe5944c213f51"
                             "0328082396515734b6612c4e7bb7"),
                       field("126b855e9e69b1f691f816e48ac6977664d24d99f8724868a184186469ddfd4617367"
                             "e94527d4b74fc86413483afb35b"),
                       field("0caead0fd7b6176c01436833c79d305c78be307da5f6af6c133c47311def6ff1e0ba"
                             "bf57a0fb5539fce7ee12407b0a42"),
                       field("1498aadcf7ae2b345243e281ae076df6de84455d766ab6fcdaad71fab60abb2e8b98"
                             "0a440043cd305db09d283c895e3d")),
                  23800, Revision::prague);
}

TEST(Bls12Map, GivesPointsOfTheGroup) {
    Random random(9380);
    SCOPED_TRACE(random.text());
    for (int i = 0; i < 10; ++i) {
        Bytes u = join(Bytes(17), random.bytes(47));
        Bytes v = join(Bytes(17), random.bytes(47));
        if (i == 0) {
            u = Bytes(64);
            v = Bytes(64);
        }
        const Bytes p = call(map_fp, u).output;
        const Bytes q = call(map_fp2, join(u, v)).output;
        EXPECT_TRUE(call(pairing, join(p, q)).success);
        EXPECT_EQ(zero_g1, group1.multiply(p, order));
    }
}

TEST(Bls12Map, RefusesUnreducedElementsAndLengths) {
    Bytes below = modulus;
    below.back() -= 1;
    Bytes high(64);
    high[15] = 1;
    EXPECT_TRUE(call(map_fp, below).success);
    EXPECT_TRUE(call(map_fp2, join(below, below)).success);
    for (const Bytes& bad : {modulus, high, Bytes(64, 0xff)}) {
        expect_failure(map_fp, bad);
        expect_failure(map_fp2, join(bad, below));
        expect_failure(map_fp2, join(below, bad));
    }
    for (const size_t size : {0, 63, 65, 128}) { expect_failure(map_fp, Bytes(size)); }
    for (const size_t size : {0, 64, 127, 129, 256}) { expect_failure(map_fp2, Bytes(size)); }
}

}  // namespace
}  // namespace millrace::evm
