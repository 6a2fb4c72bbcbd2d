// SPDX-License-Identifier: Apache-2.0
// Owns the tests of receipts and the bloom filter that need no files.
#include "evm/tx/receipt.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <random>

#include "evm/tx/bloom_memo.hpp"
#include "host/base/hex.hpp"
#include "host/base/rlp.hpp"
#include "kernels/keccak/keccak.hpp"
#include "tests/evm/tx/sample_transactions.hpp"

namespace millrace::evm {
namespace {

using test::all_types;
using test::filled;
using ::testing::HasSubstr;

Receipt sample_receipt(TxType type) {
    Receipt r;
    r.type = type;
    r.success = true;
    r.cumulative_gas_used = 0x123456;
    r.logs = {{filled<20>(1), {}, {}},
              {filled<20>(2), {filled<32>(3), filled<32>(4), filled<32>(5), filled<32>(6)}, {1}},
              {filled<20>(7), {filled<32>(8)}, Bytes(300, 0x99)}};
    r.bloom = bloom_of(r.logs);
    return r;
}

TEST(Bloom, HoldsWhatWasAdded) {
    Bloom bloom;
    bloom_add(bloom, as_bytes("one"));
    EXPECT_TRUE(bloom_may_contain(bloom, as_bytes("one")));
    EXPECT_FALSE(bloom_may_contain(bloom, as_bytes("two")));
    Bloom other;
    bloom_add(other, as_bytes("two"));
    bloom_merge(bloom, other);
    EXPECT_TRUE(bloom_may_contain(bloom, as_bytes("one")));
    EXPECT_TRUE(bloom_may_contain(bloom, as_bytes("two")));
    EXPECT_FALSE(bloom_may_contain(other, as_bytes("one")));
}

TEST(Bloom, SetsTheBitsOfTheYellowPaper) {
    // keccak256("") starts c5d2 4601 86f7: bits 0x5d2, 0x601 and 0x6f7, counted from the end.
    Bloom bloom;
    bloom_add(bloom, ByteView{});
    Bloom expected;
    for (const unsigned bit : {0x5d2u, 0x601u, 0x6f7u}) {
        expected[255 - bit / 8] |= static_cast<uint8_t>(1u << (bit % 8));
    }
    EXPECT_EQ(bloom, expected);
}

TEST(Bloom, OfALogHasAddressAndTopicsButNotData) {
    const Log log{filled<20>(1), {filled<32>(2)}, {0xaa, 0xbb}};
    const Bloom bloom = bloom_of({log});
    EXPECT_TRUE(bloom_may_contain(bloom, log.address.view()));
    EXPECT_TRUE(bloom_may_contain(bloom, log.topics[0].view()));
    EXPECT_FALSE(bloom_may_contain(bloom, log.data));
}

TEST(Bloom, MemoGivesTheBitsThatHashingGives) {
    BloomMemo memo;
    std::mt19937_64 random{7};
    for (int round = 0; round < 20'000; ++round) {
        Log log;
        // Few enough to come again, more than the memo holds, and topics that begin like addresses.
        const auto item = random() % 6000;
        log.address =
            Address::from(kernels::keccak256(as_bytes(std::to_string(item))).view().first(20));
        Bytes padded(log.address.begin(), log.address.end());
        padded.resize(32);
        const Hash256 like_the_address = Hash256::from(padded);
        log.topics = {like_the_address, Hash256{}, kernels::keccak256(log.address.view())};
        ASSERT_EQ(memo.bloom_of({log}), bloom_of({log}));
    }
    EXPECT_EQ(memo.bloom_of({}), Bloom{});
}

TEST(Receipt, SampleOfEveryTypeSurvivesEncoding) {
    for (const TxType type : all_types()) {
        for (const bool success : {false, true}) {
            Receipt receipt = sample_receipt(type);
            receipt.success = success;
            const Bytes raw = encode_receipt(receipt);
            const auto decoded = decode_receipt(raw);
            ASSERT_TRUE(decoded) << decoded.error().message;
            EXPECT_EQ(*decoded, receipt);
            EXPECT_EQ(raw[0] < 0xc0 ? raw[0] : 0, static_cast<uint8_t>(type));
        }
    }
}

TEST(Receipt, StateRootTakesThePlaceOfTheStatus) {
    Receipt receipt = sample_receipt(TxType::legacy);
    receipt.success = false;
    receipt.state_root = filled<32>(0x77);
    const Bytes raw = encode_receipt(receipt);
    EXPECT_EQ(decode_receipt(raw).value(), receipt);
    Bytes typed{0x02};
    typed.insert(typed.end(), raw.begin(), raw.end());
    const auto decoded = decode_receipt(typed);
    ASSERT_FALSE(decoded);
    EXPECT_THAT(decoded.error().message, HasSubstr("'status' is neither 0 nor 1"));
}

TEST(Receipt, PrefixesAndTrailersAreRefused) {
    for (const TxType type : all_types()) {
        Bytes raw = encode_receipt(sample_receipt(type));
        for (size_t n = 0; n < raw.size(); n += 7) {
            EXPECT_FALSE(decode_receipt(ByteView(raw).first(n)));
        }
        raw.push_back(0);
        EXPECT_FALSE(decode_receipt(raw));
    }
    EXPECT_FALSE(decode_receipt(Bytes{0x05, 0xc0}));
}

TEST(Receipt, MoreThanFourTopicsAreRefused) {
    const auto with_topics = [](size_t count) {
        Bytes topics;
        for (size_t i = 0; i < count; ++i) { rlp::append_fixed(topics, filled<32>(9)); }
        Bytes log;
        rlp::append_fixed(log, filled<20>(1));
        rlp::append_list(log, topics);
        rlp::append_bytes(log, {});
        Bytes payload;
        rlp::append_u64(payload, 1);
        rlp::append_u64(payload, 21000);
        rlp::append_fixed(payload, Bloom{});
        rlp::append_list(payload, rlp::list(log));
        return rlp::list(payload);
    };
    ASSERT_TRUE(decode_receipt(with_topics(4)));
    const auto decoded = decode_receipt(with_topics(5));
    ASSERT_FALSE(decoded);
    EXPECT_THAT(decoded.error().message, HasSubstr("'topics' has more than 4 items"));
    EXPECT_THAT(decoded.error().message, HasSubstr("item 0"));
}

}  // namespace
}  // namespace millrace::evm
