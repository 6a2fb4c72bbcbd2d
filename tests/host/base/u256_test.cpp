// SPDX-License-Identifier: Apache-2.0
// Owns the known answers of U256: the EVM's conventions and the hard cases of division.
#include "host/base/u256.hpp"

#include <gtest/gtest.h>

#include <unordered_set>

#include "host/base/hex.hpp"

namespace millrace {
namespace {

const U256 min_signed{0x8000000000000000, 0, 0, 0};
const U256 minus_one = U256::max();

U256 hex(const char* text) {
    const auto r = u256_from_hex(text);
    EXPECT_TRUE(r.has_value()) << text;
    return r.value_or(U256{});
}

TEST(U256, DivisionByZeroIsZeroAsTheEvmAsks) {
    for (const U256& a : {U256{}, U256{7}, min_signed, U256::max()}) {
        EXPECT_EQ(a / U256{}, U256{});
        EXPECT_EQ(a % U256{}, U256{});
        EXPECT_EQ(signed_div(a, U256{}), U256{});
        EXPECT_EQ(signed_mod(a, U256{}), U256{});
        EXPECT_EQ(add_mod(a, a, U256{}), U256{});
        EXPECT_EQ(mul_mod(a, a, U256{}), U256{});
    }
}

TEST(U256, SignedDivisionTruncatesAndOverflowsToItself) {
    EXPECT_EQ(signed_div(min_signed, minus_one), min_signed);
    EXPECT_EQ(signed_mod(min_signed, minus_one), U256{});
    EXPECT_EQ(signed_div(negate(U256{7}), U256{2}), negate(U256{3}));
    EXPECT_EQ(signed_mod(negate(U256{7}), U256{2}), minus_one);
    EXPECT_EQ(signed_mod(U256{7}, negate(U256{2})), U256{1});
    EXPECT_EQ(signed_div(negate(U256{7}), negate(U256{2})), U256{3});
}

// Quotient digits whose first estimate is too high, by one and by two, so that the product is
// taken back (the step of algorithm D that random input reaches once in 2^63 times).
TEST(U256, DivisionAddsBackWhenTheEstimateWasTooHigh) {
    const U256 a{0x7fffffffffffffff, 0x8000000000000000, 0, 0};
    const U256 b{0, 0x8000000000000000, 0, 1};
    const DivResult r = div_rem(a, b);
    EXPECT_EQ(r.quotient, hex("0xfffffffffffffffe"));
    EXPECT_EQ(r.remainder, hex("0x7fffffffffffffffffffffffffffffff0000000000000002"));
    EXPECT_EQ(r.quotient * b + r.remainder, a);

    // The top limbs are equal: the estimate is 2^64 - 1.
    const U256 c{0x8000000000000000, 0, 3, 0};
    const U256 d{0, 0x8000000000000000, 0x8000000000000000, 0x1};
    const DivResult s = div_rem(c, d);
    EXPECT_LT(s.remainder, d);
    EXPECT_EQ(s.quotient * d + s.remainder, c);
    EXPECT_EQ(s.quotient, hex("0xffffffffffffffff"));
}

TEST(U256, ModularOperationsUseExactIntermediates) {
    EXPECT_EQ(add_mod(U256::max(), U256::max(), U256::max()), U256{});
    EXPECT_EQ(add_mod(U256::max(), U256{2}, U256::max()), U256{2});
    EXPECT_EQ(add_mod(U256::max(), U256{1}, U256{3}), U256{1});
    EXPECT_EQ(mul_mod(U256::max(), U256::max(), U256{12}), U256{9});
    EXPECT_EQ(mul_mod(U256::max(), U256::max(), U256::max()), U256{});
    EXPECT_EQ(mul_mod(U256::max(), U256::max(), U256::max() - U256{1}), U256{1});
    EXPECT_EQ(mul_mod(U256{5}, U256{7}, U256{1}), U256{});
}

TEST(U256, PowersWrap) {
    EXPECT_EQ(power(U256{}, U256{}), U256{1});
    EXPECT_EQ(power(U256{}, U256{5}), U256{});
    EXPECT_EQ(power(U256{2}, U256{255}), min_signed);
    EXPECT_EQ(power(U256{2}, U256{256}), U256{});
    EXPECT_EQ(power(minus_one, U256::max()), minus_one);
    EXPECT_EQ(power(U256{3}, U256::max()) * U256{3}, power(power(U256{3}, U256{2}), min_signed));
}

TEST(U256, ShiftsOf256AndMoreEmptyTheWord) {
    for (const uint64_t n : {uint64_t{256}, uint64_t{257}, uint64_t{1} << 32, ~uint64_t{0}}) {
        EXPECT_EQ(shl(U256::max(), n), U256{});
        EXPECT_EQ(shr(U256::max(), n), U256{});
        EXPECT_EQ(sar(U256::max(), n), U256::max());
        EXPECT_EQ(sar(min_signed, n), U256::max());
        EXPECT_EQ(sar(~min_signed, n), U256{});
    }
    EXPECT_EQ(sar(min_signed, 255), U256::max());
    EXPECT_EQ(sar(min_signed, 0), min_signed);
}

TEST(U256, SignExtendLooksAtTheGivenByteOnly) {
    EXPECT_EQ(sign_extend(U256{0}, U256{0xff}), minus_one);
    EXPECT_EQ(sign_extend(U256{0}, U256{0x17f}), U256{0x7f});
    EXPECT_EQ(sign_extend(U256{1}, U256{0xff}), U256{0xff});
    EXPECT_EQ(sign_extend(U256{30}, min_signed), U256{});
    EXPECT_EQ(sign_extend(U256{31}, min_signed), min_signed);
    EXPECT_EQ(sign_extend(U256{32}, U256{0xff}), U256{0xff});
    EXPECT_EQ(sign_extend(U256{1, 0, 0, 0}, U256{0xff}), U256{0xff});
}

TEST(U256, BytesCountFromTheTop) {
    const U256 v = hex("0x000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f");
    for (uint64_t i = 0; i < 32; ++i) { EXPECT_EQ(byte_at(U256{i}, v), U256{i}); }
    EXPECT_EQ(byte_at(U256{32}, U256::max()), U256{});
    EXPECT_EQ(byte_at(U256{0, 0, 1, 0}, U256::max()), U256{});
}

TEST(U256, LeadingZerosAndLengths) {
    EXPECT_EQ(count_leading_zeros(U256{}), 256u);
    EXPECT_EQ(bit_length(U256{}), 0u);
    EXPECT_EQ(byte_length(U256{}), 0u);
    for (unsigned i = 0; i < 256; ++i) {
        const U256 v = shl(U256{1}, i);
        EXPECT_EQ(count_leading_zeros(v), 255 - i);
        EXPECT_EQ(bit_length(v), i + 1);
        EXPECT_EQ(byte_length(v), i / 8 + 1);
    }
}

TEST(U256, BigEndianFormsAgree) {
    const U256 v = hex("0x0102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f20");
    const Hash256 h = to_hash(v);
    for (size_t i = 0; i < 32; ++i) { EXPECT_EQ(h[i], i + 1); }
    EXPECT_EQ(to_u256(h), v);
    EXPECT_EQ(load_be(h.view()), v);
    EXPECT_EQ(load_be(ByteView{}), U256{});
    EXPECT_EQ(load_be(h.view().first(3)), U256{0x010203});
    EXPECT_EQ(to_hex(to_address(v)), "0x0d0e0f101112131415161718191a1b1c1d1e1f20");
    EXPECT_EQ(to_u256(to_address(v)), hex("0x0d0e0f101112131415161718191a1b1c1d1e1f20"));
}

TEST(U256, NarrowValuesSaturate) {
    EXPECT_EQ(U256{5}.saturate64(), 5u);
    EXPECT_EQ((U256{0, 0, 1, 0}).saturate64(), ~uint64_t{0});
    EXPECT_TRUE(U256{~uint64_t{0}}.fits_u64());
    EXPECT_FALSE((U256{1, 0, 0, 0}).fits_u64());
}

TEST(U256, HashesDependOnEveryLimbAndOnTheSeed) {
    std::unordered_set<U256> seen;
    for (unsigned i = 0; i < 256; ++i) { seen.insert(shl(U256{1}, i)); }
    EXPECT_EQ(seen.size(), 256u);
    std::unordered_set<size_t> hashes;
    for (const U256& v : seen) { hashes.insert(hash_value(v)); }
    EXPECT_EQ(hashes.size(), 256u);
    const size_t before = hash_value(U256{1});
    const uint64_t seed = hash_seed;
    hash_seed = seed + 1;
    EXPECT_NE(hash_value(U256{1}), before);
    hash_seed = seed;
}

}  // namespace
}  // namespace millrace
