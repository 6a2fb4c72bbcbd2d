// SPDX-License-Identifier: Apache-2.0
// Owns the tests of headers, withdrawals and blocks that need no files.
#include "evm/tx/block.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "host/base/hex.hpp"
#include "host/base/rlp.hpp"
#include "kernels/keccak/keccak.hpp"
#include "tests/evm/tx/sample_transactions.hpp"

namespace millrace::evm {
namespace {

using test::filled;
using ::testing::HasSubstr;

BlockHeader sample_header(int tail_fields) {
    BlockHeader h;
    h.parent_hash = filled<32>(1);
    h.ommers_hash = empty_ommers_hash;
    h.coinbase = filled<20>(2);
    h.state_root = filled<32>(3);
    h.transactions_root = filled<32>(4);
    h.receipts_root = filled<32>(5);
    h.logs_bloom = filled<256>(6);
    h.difficulty = U256{1, 0, 0, 0};
    h.number = 7;
    h.gas_limit = 30'000'000;
    h.gas_used = 21'000;
    h.timestamp = 1'700'000'000;
    h.extra_data = {'m', 'r'};
    h.prev_randao = filled<32>(8);
    h.nonce = filled<8>(9);
    if (tail_fields > 0) { h.base_fee_per_gas = U256{}; }
    if (tail_fields > 1) { h.withdrawals_root = empty_trie_root; }
    if (tail_fields > 2) { h.blob_gas_used = 0; }
    if (tail_fields > 3) { h.excess_blob_gas = 131072; }
    if (tail_fields > 4) { h.parent_beacon_block_root = filled<32>(10); }
    if (tail_fields > 5) { h.requests_hash = empty_requests_hash; }
    return h;
}

Block sample_block() {
    Block block;
    block.header = sample_header(6);
    for (const TxType type : test::all_types()) {
        block.transactions.push_back(test::sample(type));
    }
    block.ommers = {sample_header(0), sample_header(1)};
    block.withdrawals = std::vector<Withdrawal>{{1, 2, filled<20>(3), 4}, {~0ull, 0, {}, ~0ull}};
    return block;
}

TEST(BlockConstants, AreTheHashesTheyStandFor) {
    EXPECT_EQ(empty_code_hash, kernels::keccak256({}));
    EXPECT_EQ(empty_trie_root, kernels::keccak256(Bytes{0x80}));
    EXPECT_EQ(empty_ommers_hash, kernels::keccak256(Bytes{0xc0}));
    EXPECT_EQ(ommers_hash({}), empty_ommers_hash);
    EXPECT_EQ(to_hex(empty_requests_hash),
              "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
}

TEST(BlockHeader, SurvivesEncodingWithEveryLengthOfItsTail) {
    for (int n = 0; n <= 6; ++n) {
        const BlockHeader header = sample_header(n);
        const Bytes raw = encode_header(header);
        const auto decoded = decode_header(raw);
        ASSERT_TRUE(decoded) << decoded.error().message;
        EXPECT_EQ(*decoded, header);
        EXPECT_EQ(rlp::read_list(raw)->count().value(), 15u + static_cast<unsigned>(n));
        EXPECT_EQ(header_hash(header), kernels::keccak256(raw));
    }
}

TEST(BlockHeader, EndsAtTheFirstAbsentField) {
    BlockHeader header = sample_header(6);
    header.blob_gas_used.reset();
    EXPECT_EQ(encode_header(header), encode_header(sample_header(2)));
}

TEST(BlockHeader, TooManyAndTooFewFieldsAreRefused) {
    const Bytes raw = encode_header(sample_header(6));
    rlp::Reader reader = rlp::read_list(raw).value();
    Bytes payload(reader.rest().begin(), reader.rest().end());
    payload.push_back(0x80);
    const auto more = decode_header(rlp::list(payload));
    ASSERT_FALSE(more);
    EXPECT_THAT(more.error().message, HasSubstr("too many fields"));
    Bytes fewer;
    for (int i = 0; i < 14; ++i) {
        const ByteView item = reader.raw_item().value();
        fewer.insert(fewer.end(), item.begin(), item.end());
        EXPECT_FALSE(decode_header(rlp::list(fewer)));
    }
    Bytes trailed = raw;
    trailed.push_back(0);
    EXPECT_FALSE(decode_header(trailed));
}

TEST(Withdrawal, SurvivesEncoding) {
    const Withdrawal w{1, 2, filled<20>(3), ~0ull};
    const Bytes raw = encode_withdrawal(w);
    EXPECT_EQ(decode_withdrawal(raw).value(), w);
    EXPECT_FALSE(decode_withdrawal(ByteView(raw).first(raw.size() - 1)));
}

TEST(Block, SurvivesEncodingWithAndWithoutWithdrawals) {
    Block block = sample_block();
    auto decoded = decode_block(encode_block(block));
    ASSERT_TRUE(decoded) << decoded.error().message;
    EXPECT_EQ(*decoded, block);
    block.withdrawals->clear();
    EXPECT_EQ(decode_block(encode_block(block)).value(), block);
    block.withdrawals.reset();
    EXPECT_EQ(decode_block(encode_block(block)).value(), block);
    block.transactions.clear();
    block.ommers.clear();
    EXPECT_EQ(decode_block(encode_block(block)).value(), block);
}

TEST(Block, PrefixesTrailersAndExtraFieldsAreRefused) {
    Bytes raw = encode_block(sample_block());
    for (size_t n = 0; n < raw.size(); n += 13) {
        EXPECT_FALSE(decode_block(ByteView(raw).first(n)));
    }
    const rlp::Reader reader = rlp::read_list(raw).value();
    Bytes payload(reader.rest().begin(), reader.rest().end());
    payload.push_back(0xc0);
    EXPECT_FALSE(decode_block(rlp::list(payload)));
    raw.push_back(0);
    EXPECT_FALSE(decode_block(raw));
}

TEST(Block, LegacyTransactionsAreListsAndTypedOnesStrings) {
    const Bytes header = encode_header(sample_header(0));
    const auto decode_with = [&](ByteView transactions) {
        Bytes payload = header;
        rlp::append_list(payload, transactions);
        payload.push_back(0xc0);
        return decode_block(rlp::list(payload));
    };
    const Bytes legacy = encode_transaction(test::sample(TxType::legacy));
    const Bytes typed = encode_transaction(test::sample(TxType::dynamic_fee));
    EXPECT_TRUE(decode_with(legacy));
    EXPECT_TRUE(decode_with(rlp::encode(ByteView(typed))));
    const auto wrapped = decode_with(rlp::encode(ByteView(legacy)));
    ASSERT_FALSE(wrapped);
    EXPECT_THAT(wrapped.error().message, HasSubstr("wrapped in a byte string"));
    EXPECT_FALSE(decode_with(typed));
    EXPECT_FALSE(decode_with(Bytes{0x80}));
}

}  // namespace
}  // namespace millrace::evm
