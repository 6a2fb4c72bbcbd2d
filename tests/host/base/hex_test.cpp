// SPDX-License-Identifier: Apache-2.0
// Owns the tests of hexadecimal and decimal text.
#include "host/base/hex.hpp"

#include <gtest/gtest.h>

namespace millrace {
namespace {

TEST(Hex, EncodesBytesInLowerCase) {
    EXPECT_EQ(to_hex(ByteView{}), "0x");
    EXPECT_EQ(to_hex(Bytes{0x00, 0x0f, 0xf0, 0xab}), "0x000ff0ab");
    EXPECT_EQ(to_hex(FixedBytes<2>{{0xde, 0xad}}), "0xdead");
}

TEST(Hex, DecodesBothCasesWithAndWithoutPrefix) {
    const Bytes expected{0xde, 0xad, 0xbe, 0xef};
    for (const char* text : {"0xdeadbeef", "0XDEADBEEF", "DeAdBeEf"}) {
        EXPECT_EQ(from_hex(text), Result<Bytes>(expected)) << text;
    }
    EXPECT_EQ(from_hex("0x"), Result<Bytes>(Bytes{}));
    EXPECT_EQ(from_hex(""), Result<Bytes>(Bytes{}));
}

TEST(Hex, EveryByteSurvivesTheRoundTrip) {
    Bytes all(256);
    for (size_t i = 0; i < all.size(); ++i) { all[i] = static_cast<uint8_t>(i); }
    EXPECT_EQ(from_hex(to_hex(all)), Result<Bytes>(all));
}

TEST(Hex, RefusesOddLengthsAndEveryOtherCharacter) {
    for (const char* text :
         {"0x0", "0", "0xabc", "x0", "0x0x00", " 0x00", "0x00 ", "0x-1", "00x0"}) {
        const auto r = from_hex(text);
        ASSERT_FALSE(r.has_value()) << text;
        EXPECT_EQ(r.error().code, ErrorCode::invalid_input);
    }
    for (int c = 0; c < 256; ++c) {
        const bool digit =
            (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
        const std::string text = {'0', 'x', '0', static_cast<char>(c)};
        EXPECT_EQ(from_hex(text).has_value(), digit) << c;
        const std::string swapped = {'0', 'x', static_cast<char>(c), '0'};
        EXPECT_EQ(from_hex(swapped).has_value(), digit) << c;
    }
}

TEST(Hex, AnErrorQuotesALongInputOnlyInPart) {
    const auto r = from_hex(std::string(100'000, 'z'));
    ASSERT_FALSE(r.has_value());
    EXPECT_LT(r.error().message.size(), 200u);
    EXPECT_NE(r.error().message.find("zzz..."), std::string::npos);
}

TEST(Hex, FixedLengthsAreExact) {
    const std::string hash = "0x" + std::string(62, '0') + "01";
    ASSERT_TRUE(hash_from_hex(hash).has_value());
    EXPECT_EQ((*hash_from_hex(hash))[31], 1);
    EXPECT_FALSE(hash_from_hex(hash + "00").has_value());
    EXPECT_FALSE(hash_from_hex(hash.substr(0, 64)).has_value());
    EXPECT_FALSE(hash_from_hex("0x").has_value());
    const std::string address = "0x00000000219ab540356cBB839Cbe05303d7705Fa";
    ASSERT_TRUE(address_from_hex(address).has_value());
    EXPECT_EQ(to_hex(*address_from_hex(address)), "0x00000000219ab540356cbb839cbe05303d7705fa");
    const auto wrong = address_from_hex(hash);
    ASSERT_FALSE(wrong.has_value());
    EXPECT_EQ(wrong.error().message.substr(0, 39), "address must have 20 bytes, got 32 in \"");
}

TEST(HexQuantity, HasNoLeadingZeros) {
    EXPECT_EQ(to_hex_quantity(uint64_t{0}), "0x0");
    EXPECT_EQ(to_hex_quantity(uint64_t{0x10}), "0x10");
    EXPECT_EQ(to_hex_quantity(~uint64_t{0}), "0xffffffffffffffff");
    EXPECT_EQ(to_hex_quantity(U256{}), "0x0");
    EXPECT_EQ(to_hex_quantity(U256{0, 0, 1, 0}), "0x10000000000000000");
    EXPECT_EQ(to_hex_quantity(U256{0, 0, 0xab, 0}), "0xab0000000000000000");
    EXPECT_EQ(to_hex_quantity(U256::max()), "0x" + std::string(64, 'f'));
}

TEST(HexQuantity, ParsesUpToItsWidthAndNotBeyond) {
    EXPECT_EQ(u256_from_hex("0x0"), Result<U256>(U256{}));
    EXPECT_EQ(u256_from_hex("0xfF"), Result<U256>(U256{255}));
    EXPECT_EQ(u256_from_hex("0x" + std::string(64, 'f')), Result<U256>(U256::max()));
    EXPECT_EQ(u256_from_hex("0x" + std::string(100, '0') + "7"), Result<U256>(U256{7}));
    EXPECT_FALSE(u256_from_hex("0x1" + std::string(64, '0')).has_value());
    EXPECT_EQ(u64_from_hex("0xffffffffffffffff"), Result<uint64_t>(~uint64_t{0}));
    EXPECT_FALSE(u64_from_hex("0x10000000000000000").has_value());
}

TEST(HexQuantity, RefusesMalformedText) {
    for (const char* text :
         {"", "0x", "0X", "10", "0xg", "0x 1", "0x1 ", "-0x1", "0x0x1", "x1", "0x00x1"}) {
        EXPECT_FALSE(u256_from_hex(text).has_value()) << text;
        EXPECT_FALSE(u64_from_hex(text).has_value()) << text;
    }
}

TEST(Decimal, IsExactAtTheEdgeOf256Bits) {
    const std::string max =
        "115792089237316195423570985008687907853269984665640564039457584007913129639935";
    EXPECT_EQ(to_decimal(U256::max()), max);
    EXPECT_EQ(u256_from_text(max), Result<U256>(U256::max()));
    std::string above = max;
    above.back() = '6';
    EXPECT_FALSE(u256_from_text(above).has_value());
    EXPECT_FALSE(u256_from_text(max + "0").has_value());
    EXPECT_FALSE(u256_from_text(std::string(200, '9')).has_value());
    EXPECT_EQ(u256_from_text("000" + max), Result<U256>(U256::max()));
    EXPECT_EQ(to_decimal(U256{}), "0");
    EXPECT_EQ(to_decimal(U256{1'000'000}), "1000000");
    EXPECT_EQ(to_decimal(U256{0, 0, 1, 0}), "18446744073709551616");
}

TEST(Decimal, TextMayBeHexWithPrefixOnly) {
    EXPECT_EQ(u256_from_text("0x10"), Result<U256>(U256{16}));
    EXPECT_EQ(u256_from_text("10"), Result<U256>(U256{10}));
    for (const char* text : {"", "ff", "+1", "-1", " 1", "1 ", "1e3", "0x"}) {
        EXPECT_FALSE(u256_from_text(text).has_value()) << text;
    }
}

TEST(HexDeathTest, AMalformedLiteralIsABug) {
    EXPECT_EQ(address_literal("0x00000000000000000000000000000000000000ff")[19], 0xff);
    EXPECT_DEATH(hash_literal("0x12"), "a hash literal in the source is well-formed");
    EXPECT_DEATH(address_literal("zz"), "an address literal in the source is well-formed");
}

}  // namespace
}  // namespace millrace
