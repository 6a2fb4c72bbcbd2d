// SPDX-License-Identifier: Apache-2.0
// Owns the known answers of RLP and the refusal of every form that is not canonical.
#include "host/base/rlp.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <string>

#include "host/base/hex.hpp"

namespace millrace::rlp {
namespace {

using testing::HasSubstr;

Bytes raw(std::string_view hex) {
    const auto r = from_hex(hex);
    EXPECT_TRUE(r.has_value()) << hex;
    return r.value_or(Bytes{});
}

Bytes concat(Bytes a, const Bytes& b) {
    a.insert(a.end(), b.begin(), b.end());
    return a;
}

template <class T>
void expect_refused(const Result<T>& r, const char* why) {
    ASSERT_FALSE(r.has_value()) << why;
    EXPECT_EQ(r.error().code, ErrorCode::invalid_input);
    EXPECT_THAT(r.error().message, HasSubstr(why));
}

// The examples of the yellow paper and of the Ethereum documentation.
TEST(RlpEncode, KnownAnswers) {
    EXPECT_EQ(to_hex(encode(as_bytes("dog"))), "0x83646f67");
    EXPECT_EQ(to_hex(encode(ByteView{})), "0x80");
    EXPECT_EQ(to_hex(encode(Bytes{0x00})), "0x00");
    EXPECT_EQ(to_hex(encode(Bytes{0x7f})), "0x7f");
    EXPECT_EQ(to_hex(encode(Bytes{0x80})), "0x8180");
    EXPECT_EQ(to_hex(encode(U256{})), "0x80");
    EXPECT_EQ(to_hex(encode(U256{15})), "0x0f");
    EXPECT_EQ(to_hex(encode(U256{1024})), "0x820400");
    EXPECT_EQ(to_hex(encode(U256::max())), "0xa0" + std::string(64, 'f'));
    EXPECT_EQ(to_hex(list(ByteView{})), "0xc0");
    EXPECT_EQ(to_hex(list(concat(encode(as_bytes("cat")), encode(as_bytes("dog"))))),
              "0xc88363617483646f67");
    constexpr std::string_view lorem = "Lorem ipsum dolor sit amet, consectetur adipisicing elit";
    EXPECT_EQ(encode(as_bytes(lorem)),
              concat(Bytes{0xb8, 0x38}, Bytes(lorem.begin(), lorem.end())));
    // The set-theoretic representation of three: [ [], [[]], [ [], [[]] ] ].
    const Bytes zero = list(ByteView{});
    const Bytes one = list(zero);
    const Bytes two = list(concat(zero, one));
    EXPECT_EQ(to_hex(list(concat(concat(zero, one), two))), "0xc7c0c1c0c3c0c1c0");
}

TEST(RlpEncode, LengthFormsChangeAtTheirEdges) {
    const auto head = [](const Bytes& v, size_t n) { return to_hex(ByteView{v}.first(n)); };
    EXPECT_EQ(head(encode(Bytes(55, 1)), 2), "0xb701");
    EXPECT_EQ(head(encode(Bytes(56, 1)), 3), "0xb83801");
    EXPECT_EQ(head(encode(Bytes(255, 1)), 3), "0xb8ff01");
    EXPECT_EQ(head(encode(Bytes(256, 1)), 4), "0xb9010001");
    EXPECT_EQ(head(encode(Bytes(65'535, 1)), 4), "0xb9ffff01");
    EXPECT_EQ(head(encode(Bytes(65'536, 1)), 5), "0xba01000001");
    EXPECT_EQ(head(list(Bytes(55, 1)), 2), "0xf701");
    EXPECT_EQ(head(list(Bytes(56, 1)), 3), "0xf83801");
    EXPECT_EQ(head(list(Bytes(65'536, 1)), 5), "0xfa01000001");
    Bytes header;
    append_list_header(header, 0x0123456789abcdef);
    EXPECT_EQ(to_hex(header), "0xff0123456789abcdef");
}

TEST(RlpEncode, AppendsBehindWhatIsThere) {
    Bytes out{0xee};
    append_u64(out, 0);
    append_u64(out, ~uint64_t{0});
    append_fixed(out, FixedBytes<2>{{0, 0}});
    append_list(out, Bytes{0x01});
    EXPECT_EQ(to_hex(out), "0xee8088ffffffffffffffff820000c101");
}

TEST(RlpDecode, ReadsASequenceOfItems) {
    const Bytes in = raw("0x83646f67c88363617483646f6782040080");
    Reader r{in};
    EXPECT_EQ(*r.count(), 4u);
    EXPECT_FALSE(r.next_is_list());
    EXPECT_EQ(to_hex(*r.bytes()), "0x646f67");
    EXPECT_TRUE(r.next_is_list());
    auto inner = r.list();
    ASSERT_TRUE(inner.has_value());
    EXPECT_EQ(to_hex(*inner->raw_item()), "0x83636174");
    EXPECT_EQ(to_hex(*inner->bytes()), "0x646f67");
    EXPECT_TRUE(inner->at_end());
    EXPECT_EQ(*r.u64(), 1024u);
    EXPECT_FALSE(r.at_end());
    expect_refused(r.end(), "1 bytes left after the last item");
    EXPECT_EQ(*r.u256(), U256{});
    EXPECT_TRUE(r.end().has_value());
    EXPECT_FALSE(r.next_is_list());
    EXPECT_EQ(*r.count(), 0u);
}

TEST(RlpDecode, ViewsPointIntoTheInput) {
    const Bytes in = raw("0x83646f67");
    const auto v = Reader{in}.bytes();
    ASSERT_TRUE(v.has_value());
    EXPECT_EQ(v->data(), in.data() + 1);
    EXPECT_EQ(Reader{in}.raw_item()->data(), in.data());
}

TEST(RlpDecode, NothingIsReadFromAnEmptyInput) {
    expect_refused(Reader{ByteView{}}.bytes(), "found the end of the input");
    expect_refused(Reader{ByteView{}}.list(), "found the end of the input");
    expect_refused(Reader{ByteView{}}.raw_item(), "found the end of the input");
    expect_refused(Reader{ByteView{}}.u64(), "found the end of the input");
    expect_refused(Reader{ByteView{}}.hash(), "found the end of the input");
    expect_refused(read_list(ByteView{}), "found the end of the input");
}

TEST(RlpDecode, AFailureLeavesTheReaderWhereItWas) {
    const Bytes in = raw("0xc101");
    Reader r{in};
    expect_refused(r.bytes(), "expected a byte string, found a list");
    EXPECT_EQ(r.rest().size(), 2u);
    EXPECT_TRUE(r.list().has_value());
    const Bytes text = raw("0x01");
    expect_refused(Reader{text}.list(), "expected a list, found a byte string");
}

TEST(RlpDecode, ASingleByteBelow0x80CarriesNoHeader) {
    for (int b = 0; b < 256; ++b) {
        const Bytes in{0x81, static_cast<uint8_t>(b)};
        if (b < 0x80) {
            expect_refused(Reader{in}.bytes(), "single byte below 0x80 carries a header");
            expect_refused(Reader{in}.raw_item(), "single byte below 0x80 carries a header");
        } else {
            EXPECT_EQ(Reader{in}.bytes()->size(), 1u);
        }
    }
    // A list of one byte is no byte.
    const Bytes one_item{0xc1, 0x00};
    EXPECT_TRUE(read_list(one_item).has_value());
}

TEST(RlpDecode, TheLongFormIsForLongItemsOnly) {
    for (const uint8_t base : {uint8_t{0xb7}, uint8_t{0xf7}}) {
        for (size_t n = 1; n <= 300; ++n) {
            Bytes in{static_cast<uint8_t>(base + (n < 256 ? 1 : 2))};
            if (n >= 256) { in.push_back(static_cast<uint8_t>(n >> 8)); }
            in.push_back(static_cast<uint8_t>(n));
            in.resize(in.size() + n, 0x90);
            if (n <= 55) {
                expect_refused(Reader{in}.raw_item(), "long form used for a length of ");
            } else {
                EXPECT_TRUE(Reader{in}.raw_item().has_value()) << n;
            }
        }
    }
}

TEST(RlpDecode, LengthFieldsHaveNoLeadingZeros) {
    for (const uint8_t base : {uint8_t{0xb7}, uint8_t{0xf7}}) {
        for (uint8_t len_bytes = 1; len_bytes <= 8; ++len_bytes) {
            Bytes in{static_cast<uint8_t>(base + len_bytes)};
            in.resize(size_t{1} + len_bytes, 0);
            in.back() = 60;
            if (len_bytes == 1) { in.back() = 0; }
            in.resize(in.size() + 60, 0x90);
            expect_refused(Reader{in}.raw_item(), "length field has a leading zero");
        }
    }
}

TEST(RlpDecode, HugeLengthsAreRefusedWithoutOverflow) {
    for (const char* field :
         {"ffffffffffffffff", "fffffffffffffff6", "fffffffffffffff7", "fffffffffffffff8",
          "8000000000000000", "7fffffffffffffff", "0100000000000000"}) {
        for (const char* base : {"0xbf", "0xff"}) {
            Bytes in = raw(std::string(base) + field);
            expect_refused(Reader{in}.raw_item(), "item announces ");
            expect_refused(Reader{in}.count(), "item announces ");
            in.resize(in.size() + 100, 0x01);
            expect_refused(Reader{in}.raw_item(), "100 are left");
        }
    }
}

TEST(RlpDecode, EveryTruncationIsRefused) {
    const Bytes whole[] = {encode(Bytes{0x80}),   encode(Bytes(55, 7)), encode(Bytes(56, 7)),
                           encode(Bytes(300, 7)), list(Bytes(55, 7)),   list(Bytes(300, 7))};
    for (const Bytes& in : whole) {
        EXPECT_TRUE(Reader{in}.raw_item().has_value());
        for (size_t n = 0; n < in.size(); ++n) {
            // A copy of exactly n bytes, so that the address sanitizer sees a read beyond them.
            const Bytes cut(in.begin(), in.begin() + static_cast<ptrdiff_t>(n));
            EXPECT_FALSE(Reader{cut}.raw_item().has_value()) << n << " of " << in.size();
        }
    }
}

TEST(RlpDecode, AnItemMayNotReachBeyondItsList) {
    const Bytes in = raw("0xc283646f67");
    Reader r{in};
    auto inner = r.list();
    ASSERT_TRUE(inner.has_value());
    expect_refused(inner->bytes(), "item announces 3 bytes, 1 are left");
    expect_refused(inner->count(), "item announces 3 bytes, 1 are left");
}

TEST(RlpDecode, IntegersAreMinimalAndFit) {
    const Bytes zero = raw("0x80");
    EXPECT_EQ(*Reader{zero}.u64(), 0u);
    const Bytes max64 = raw("0x88ffffffffffffffff");
    EXPECT_EQ(*Reader{max64}.u64(), ~uint64_t{0});
    const Bytes above64 = raw("0x89010000000000000000");
    expect_refused(Reader{above64}.u64(), "integer exceeds 64 bits");
    EXPECT_EQ(*Reader{above64}.u256(), (U256{0, 0, 1, 0}));
    const Bytes above256 = raw("0xa101" + std::string(64, '0'));
    expect_refused(Reader{above256}.u256(), "integer exceeds 256 bits");
    for (const char* text : {"0x00", "0x820001", "0x88000000000000000f", "0x820000"}) {
        const Bytes in = raw(text);
        expect_refused(Reader{in}.u64(), "integer has a leading zero");
        expect_refused(Reader{in}.u256(), "integer has a leading zero");
        EXPECT_TRUE(Reader{in}.bytes().has_value()) << "as a string it is canonical";
    }
    const Bytes empty_list = raw("0xc0");
    expect_refused(Reader{empty_list}.u64(), "found a list");
}

TEST(RlpDecode, FixedLengthsAreExact) {
    const Bytes address = encode(Bytes(20, 9));
    EXPECT_EQ(Reader{address}.address()->view()[19], 9);
    expect_refused(Reader{address}.hash(), "expected 32 bytes, found 20");
    const Bytes hash = encode(Bytes(32, 9));
    EXPECT_EQ(Reader{hash}.hash()->view()[31], 9);
    expect_refused(Reader{hash}.address(), "expected 20 bytes, found 32");
    const Bytes empty = raw("0x80");
    expect_refused(Reader{empty}.address(), "expected 20 bytes, found 0");
}

TEST(RlpDecode, AWholeListHasNothingBehindIt) {
    EXPECT_TRUE(read_list(raw("0xc0")).has_value());
    expect_refused(read_list(raw("0xc000")), "1 bytes left after the last item");
    expect_refused(read_list(raw("0x80")), "expected a list, found a byte string");
}

TEST(RlpDecode, DeepNestingCostsNoStack) {
    Bytes in;
    for (int depth = 0; depth < 2'000; ++depth) { in = list(in); }
    ByteView rest = in;
    int depth = 0;
    for (; !rest.empty(); ++depth) {
        const auto inner = read_list(rest);
        ASSERT_TRUE(inner.has_value());
        rest = inner->rest();
    }
    EXPECT_EQ(depth, 2'000);
}

}  // namespace
}  // namespace millrace::rlp
