// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the precompile P256VERIFY.
#include <openssl/bn.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>

#include <memory>

#include "tests/evm/precompiles/calling.hpp"

namespace millrace::evm {
namespace {

using namespace test;

constexpr unsigned p256_verify = 0x100;
constexpr uint64_t price = 6900;

const U256 order = number("0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551");
const U256 prime = number("0xffffffff00000001000000000000000000000000ffffffffffffffffffffffff");

struct Signature {
    // RFC 6979, A.2.5: SHA-256, message "sample".
    U256 digest = number("0xaf2bdbe1aa9b6ec1e2ade1d694f41fc71a831d0268e9891562113d8a62add1bf");
    U256 r = number("0xefd48b2aacb6a8fd1140dd9cd45e81d69d2c877b56aaf991c34d0ea84eaf3716");
    U256 s = number("0xf7cb1c942d657c41d436c7a1b6e29f65f3e900dbb9aff4064dc4ab2f843acda8");
    U256 x = number("0x60fed4ba255a9d31c961eb74c6356d68c049b8923b61fa6ce669622e60f29fb6");
    U256 y = number("0x7903fe1008b8bc99a41ae9e95628bc64f2f1b20c2d7e9f5177a3c294d4462299");

    Bytes input() const { return join(word(digest), word(r), word(s), word(x), word(y)); }
};

void expect_valid(const Signature& signature) {
    expect_result(p256_verify, signature.input(), word(U256{1}), price, Revision::osaka);
}
void expect_invalid(const Signature& signature) {
    expect_result(p256_verify, signature.input(), {}, price, Revision::osaka);
}

TEST(P256Verify, AcceptsTheSignatureOfRfc6979) {
    expect_valid({});
    // The mirrored s is a signature too: EIP-7951 asks for no low s.
    const Signature good;
    expect_valid({.s = order - good.s});
}

TEST(P256Verify, RefusesEveryChangedPart) {
    const Signature good;
    expect_invalid({.digest = good.digest + U256{1}});
    expect_invalid({.r = good.r - U256{1}});
    expect_invalid({.s = good.s + U256{1}});
    expect_invalid({.x = good.x + U256{1}});
    expect_invalid({.y = good.y + U256{1}});
    // The mirrored key is on the curve, but is another key.
    expect_invalid({.y = prime - good.y});
}

TEST(P256Verify, RefusesNumbersOutOfRange) {
    const Signature good;
    for (const U256& bad : {U256{0}, order, order + U256{1}, U256::max()}) {
        expect_invalid({.r = bad});
        expect_invalid({.s = bad});
    }
    for (const U256& bad : {prime, prime + U256{1}, U256::max()}) {
        expect_invalid({.x = bad});
        expect_invalid({.y = bad});
    }
    expect_invalid({.x = U256{}, .y = U256{}});
}

TEST(P256Verify, GivesNothingForOtherLengthsAndStillCharges) {
    const Bytes good = Signature{}.input();
    ASSERT_EQ(160u, good.size());
    expect_result(p256_verify, {}, {}, price);
    expect_result(p256_verify, Bytes(good.begin(), good.end() - 1), {}, price);
    expect_result(p256_verify, join(good, Bytes{0}), {}, price);
}

struct Release {
    void operator()(BN_CTX* p) const { BN_CTX_free(p); }
    void operator()(BIGNUM* p) const { BN_free(p); }
    void operator()(EC_POINT* p) const { EC_POINT_free(p); }
    void operator()(EC_GROUP* p) const { EC_GROUP_free(p); }
};
template <class T>
using Owned = std::unique_ptr<T, Release>;

Owned<BIGNUM> big(const U256& v) { return Owned<BIGNUM>(BN_bin2bn(word(v).data(), 32, nullptr)); }

U256 inverse_mod_order(const U256& v) {
    const Owned<BN_CTX> scratch(BN_CTX_new());
    const Owned<BIGNUM> r(BN_mod_inverse(nullptr, big(v).get(), big(order).get(), scratch.get()));
    Bytes bytes_of_r(32);
    BN_bn2binpad(r.get(), bytes_of_r.data(), 32);
    return load_be(ByteView{bytes_of_r});
}

/// a G + b R, where R has the x coordinate `x` and an odd or even y; fails where no such R exists.
bool combine(const U256& a, const U256& b, const U256& x, bool odd, U256& out_x, U256& out_y) {
    const Owned<EC_GROUP> group(EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1));
    const Owned<BN_CTX> scratch(BN_CTX_new());
    const Owned<EC_POINT> point(EC_POINT_new(group.get()));
    if (EC_POINT_set_compressed_coordinates(group.get(), point.get(), big(x).get(), odd ? 1 : 0,
                                            scratch.get()) != 1) {
        return false;
    }
    const Owned<EC_POINT> sum(EC_POINT_new(group.get()));
    const Owned<BIGNUM> found_x(BN_new());
    const Owned<BIGNUM> found_y(BN_new());
    if (EC_POINT_mul(group.get(), sum.get(), big(a).get(), point.get(), big(b).get(),
                     scratch.get()) != 1 ||
        EC_POINT_get_affine_coordinates(group.get(), sum.get(), found_x.get(), found_y.get(),
                                        scratch.get()) != 1) {
        return false;
    }
    Bytes coordinate(32);
    BN_bn2binpad(found_x.get(), coordinate.data(), 32);
    out_x = load_be(ByteView{coordinate});
    BN_bn2binpad(found_y.get(), coordinate.data(), 32);
    out_y = load_be(ByteView{coordinate});
    return true;
}

/// A key under which (r, s) signs the digest with a nonce point of x coordinate `x`:
/// Q = r^-1 (s R - h G).
bool forge_key(Signature& signature, const U256& x) {
    const U256 r_inverse = inverse_mod_order(signature.r);
    const U256 a = mul_mod(order - signature.digest % order, r_inverse, order);
    const U256 b = mul_mod(signature.s, r_inverse, order);
    return combine(a, b, x, false, signature.x, signature.y);
}

TEST(P256Verify, ComparesTheCoordinateModuloTheOrder) {
    // x coordinates between n and p: r = x - n, and the comparison must reduce.
    int found = 0;
    for (uint64_t offset = 1; offset < 40; ++offset) {
        Signature signature{.r = U256{offset}};
        if (forge_key(signature, order + U256{offset})) {
            ++found;
            expect_valid(signature);
        }
    }
    EXPECT_GT(found, 5);
}

TEST(P256Verify, AcceptsDigestsAboveTheOrderAndZero) {
    const Signature good;
    for (const U256& digest : {U256{}, order, order + U256{5}, U256::max()}) {
        Signature signature{.digest = digest};
        ASSERT_TRUE(forge_key(signature, good.r));
        expect_valid(signature);
    }
}

/// A valid signature under a chosen key (x, y), whose secret nobody knows: R = u1 G + u2 Q for any
/// u1 and u2, then r = x(R), s = r / u2 and h = u1 s.
Signature forge_signature(const U256& x, const U256& y) {
    const U256 u1{1234567};
    const U256 u2 = Signature{}.s;
    Signature signature{.x = x, .y = y};
    U256 sum_x;
    U256 sum_y;
    EXPECT_TRUE(combine(u1, u2, x, (y.w[0] & 1) != 0, sum_x, sum_y));
    signature.r = sum_x % order;
    signature.s = mul_mod(signature.r, inverse_mod_order(u2), order);
    signature.digest = mul_mod(u1, signature.s, order);
    return signature;
}

TEST(P256Verify, RefusesUnreducedCoordinatesOfARealKey) {
    // The prime can be added to small coordinates. One key has y = 5; another has the smallest x.
    Signature small_y = forge_signature(
        number("0xd7325d7646cd60d80a92738ceb345f844cffaf35841022cab176f692de8de1d7"), U256{5});
    expect_valid(small_y);
    small_y.y += prime;
    expect_invalid(small_y);

    U256 x;
    U256 y;
    uint64_t small_x = 0;
    while (!combine(U256{}, U256{1}, U256{small_x}, false, x, y)) { ++small_x; }
    ASSERT_EQ(U256{small_x}, x);
    Signature signature = forge_signature(x, y);
    expect_valid(signature);
    signature.x += prime;
    expect_invalid(signature);
}

TEST(P256Verify, RefusesWhenTheSumIsInfinity) {
    // With Q = d G and h = -r d the sum u1 G + u2 Q is infinity. Here d = 1.
    Signature signature;
    signature.x = number("0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296");
    signature.y = number("0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5");
    signature.digest = order - signature.r;
    expect_invalid(signature);
    // One step beside it, the sum is finite, and the answer is still no.
    signature.digest = signature.digest - U256{1};
    expect_invalid(signature);
}

TEST(P256Verify, AcceptsEqualPointsInTheSum) {
    // u1 G = u2 Q for Q = G and h = r: the addition is a doubling. R = 2 (r/s) G.
    const U256 gx = number("0x6b17d1f2e12c4247f8bce6e563a440f277037d812deb33a0f4a13945d898c296");
    const U256 gy = number("0x4fe342e2fe1a7f9b8ee7eb4a7c0f9e162bce33576b315ececbb6406837bf51f5");
    // With k = 2 r / s, choose k = 7: r = x(7 G), s = 2 r / 7.
    U256 x;
    U256 y;
    ASSERT_TRUE(combine(U256{6}, U256{1}, gx, true, x, y));
    const U256 r = x % order;
    const U256 s = mul_mod(mul_mod(U256{2}, r, order), inverse_mod_order(U256{7}), order);
    expect_valid({.digest = r, .r = r, .s = s, .x = gx, .y = gy});
}

}  // namespace
}  // namespace millrace::evm
