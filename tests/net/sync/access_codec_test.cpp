// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the encoding of a mini-block's access: pinned bytes, strictness, limits.
#include <gtest/gtest.h>

#include "host/base/hex.hpp"
#include "net/sync/access_codec.hpp"
#include "tests/net/sync/random_access.hpp"

namespace millrace::sync {
namespace {

using namespace test;

Bytes encoded(const MiniBlockAccess& m) {
    Bytes out;
    const auto done = encode_access(m, out);
    EXPECT_TRUE(done.has_value()) << (done ? "" : done.error().message);
    return out;
}

/// Two transactions: one moves 5 wei and counts in a slot, the other deploys code; both read.
MiniBlockAccess small_access() {
    NestedAccess n;
    n.header.mini_block_number = 1000;
    n.header.environment.block_number = 12;
    n.header.environment.timestamp_s = 1'700'000'000;
    n.header.environment.gas_limit = 10'000'000'000;
    n.header.environment.base_fee_per_gas = U256{1'000'000'000};
    n.header.environment.coinbase.bytes.fill(0xcb);
    n.header.environment.prev_randao.bytes.fill(0x7a);
    n.header.first_transaction_index = 300;
    n.header.gas_used_before = 6'300'000;
    n.header.transactions_digest.bytes.fill(0x11);
    n.header.receipts_digest.bytes.fill(0x22);
    n.transactions = {{43'000, true, {}}, {53'000, false, {1}}};
    NestedAccount a;
    a.address.bytes.fill(0xa1);
    a.nonces = {{0, 7}, {1, 8}};
    a.balances = {{0, U256{1, 0, 0, 5}}, {1, U256{}}};
    n.accounts.push_back(a);
    NestedAccount b;
    b.address.bytes.fill(0xb2);
    b.reads = field_nonce | field_balance;
    b.codes = {{1, std::make_shared<const Bytes>(Bytes{0x60, 0x00})}};
    b.changed_slots = {{U256{}, {{0, U256{9}}}}, {U256{256}, {{0, U256{1}}, {1, U256{}}}}};
    b.read_slots = {U256{1}, U256::max()};
    n.accounts.push_back(b);
    NestedAccount c;
    c.address.bytes.fill(0xc3);
    c.codes = {{1, nullptr}};
    n.accounts.push_back(c);
    return flat(n);
}

TEST(AccessCodec, EncodingIsPinned) {
    EXPECT_EQ(
        to_hex(encoded(small_access())),
        "0x"
        "01e8070c80e2cfaa0680c8afa025043b9aca00"    // version, numbers, base fee
        "cbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcbcb"  // coinbase
        "7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a7a"  // prev_randao
        "ac02e0c28003"                                                      // place in the block
        "1111111111111111111111111111111111111111111111111111111111111111"  // digests
        "2222222222222222222222222222222222222222222222222222222222222222"
        "02f19f050090bc060100"  // two transactions, the second depends on the first
        "03"                    // three accounts
        "a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a1a118"  // nonce and balance changes
        "0100070008010019010000000000000000000000000000000000000000000000050000"
        "b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2b2e3"  // nonce and balance read, code, slots
        "0001026000"
        "010000000109020100010001010000"                                            // changed slots
        "01010120ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff"  // read slots
        "c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c3c320000100");                        // code removed
}

TEST(AccessCodec, WhatIsEncodedIsDecoded) {
    MiniBlockAccess out;  // reused
    for (uint64_t seed = 1; seed <= 200; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        const MiniBlockAccess m =
            plain_access(random_header(seed), random_accesses(seed, 1 + seed % 60, 1 + seed % 9));
        const Bytes bytes = encoded(m);
        const auto done = decode_access(bytes, out);
        ASSERT_TRUE(done.has_value()) << done.error().message;
        ASSERT_EQ(out, m);
        ASSERT_EQ(encoded(out), bytes);
    }
}

TEST(AccessCodec, EncodingIsAppended) {
    Bytes out{1, 2, 3};
    ASSERT_TRUE(encode_access(small_access(), out).has_value());
    const Bytes alone = encoded(small_access());
    ASSERT_EQ(out.size(), alone.size() + 3);
    EXPECT_TRUE(std::equal(alone.begin(), alone.end(), out.begin() + 3));
}

TEST(AccessCodec, EveryPrefixAndEverythingAfterIsRefused) {
    const Bytes whole = encoded(small_access());
    MiniBlockAccess out;
    for (size_t n = 0; n < whole.size(); ++n) {
        ASSERT_FALSE(decode_access(ByteView{whole}.first(n), out).has_value()) << n;
    }
    Bytes longer = whole;
    longer.push_back(0);
    const auto refused = decode_access(longer, out);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().message, "mini-block access: something follows the end at byte " +
                                           std::to_string(whole.size()));
}

TEST(AccessCodec, WhatIsAcceptedEncodesBackWhateverByteIsChanged) {
    const Bytes whole = encoded(small_access());
    MiniBlockAccess out;
    for (size_t at = 0; at < whole.size(); ++at) {
        for (int v = 0; v < 256; ++v) {
            Bytes changed = whole;
            changed[at] = static_cast<uint8_t>(v);
            if (!decode_access(changed, out).has_value()) { continue; }
            ASSERT_TRUE(check_canonical(out).has_value());
            ASSERT_EQ(encoded(out), changed) << at;
        }
    }
}

TEST(AccessCodec, AnotherVersionIsRefusedByName) {
    Bytes bytes = encoded(small_access());
    bytes[0] = 2;
    MiniBlockAccess out;
    const auto refused = decode_access(bytes, out);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().message,
              "mini-block access: a version that is not known (this node reads 1) at byte 1");
}

TEST(AccessCodec, CountsMakeNoRoom) {
    // A header, then a count that the input cannot hold.
    MiniBlockAccess m = small_access();
    Bytes bytes = encoded(m);
    Bytes header(bytes.begin(), bytes.begin() + 144);
    MiniBlockAccess out;
    for (size_t n = 100; n < 144; ++n) {
        Bytes lie(header.begin(), header.begin() + static_cast<ptrdiff_t>(n));
        lie.insert(lie.end(), {0xff, 0xff, 0xff, 0xff, 0x0f});
        const auto refused = decode_access(lie, out);
        ASSERT_FALSE(refused.has_value());
        EXPECT_LT(out.transactions.capacity(), 1000u);
    }
}

TEST(AccessCodec, LimitsHold) {
    MiniBlockAccess m = small_access();
    m.transactions.resize(transactions_max + 1, m.transactions.back());
    Bytes out{7};
    const auto refused = encode_access(m, out);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(out, Bytes{7});

    MiniBlockAccess large = small_access();
    large.code_changes[0].code = std::make_shared<const Bytes>(access_bytes_max, uint8_t{1});
    const auto too_long = encode_access(large, out);
    ASSERT_FALSE(too_long.has_value());
    EXPECT_EQ(too_long.error().code, ErrorCode::limit);
    EXPECT_EQ(out, Bytes{7});
    EXPECT_EQ(decode_access(Bytes(access_bytes_max + 1), m).error().code, ErrorCode::limit);
}

TEST(AccessCodec, WhatIsNotCanonicalIsNeitherEncodedNorDecoded) {
    NestedAccess n = nested(small_access());
    size_t refused = 0;
    size_t passed = 0;
    for_each_mutation(n, [&](const Mutation& mutation) {
        const MiniBlockAccess m = flat(n);
        Bytes bytes;
        if (!encode_access(m, bytes).has_value()) {
            ASSERT_FALSE(check_canonical(m).has_value()) << mutation.what;
            ++refused;
            return;
        }
        MiniBlockAccess back;
        ASSERT_TRUE(decode_access(bytes, back).has_value()) << mutation.what;
        ASSERT_EQ(back, m) << mutation.what;
        ++passed;
    });
    EXPECT_GT(refused, 20u);
    EXPECT_GT(passed, 20u);
}

TEST(AccessCodec, FormFaultsAreNamed) {
    const auto message = [](auto&& change) {
        NestedAccess n = nested(small_access());
        change(n);
        const auto checked = check_canonical(flat(n));
        return checked ? std::string("canonical") : checked.error().message;
    };
    EXPECT_EQ(message([](NestedAccess&) {}), "canonical");
    EXPECT_EQ(message([](NestedAccess& n) { std::swap(n.accounts[0], n.accounts[1]); }),
              "mini-block access: accounts not ascending (entry 1)");
    EXPECT_EQ(message([](NestedAccess& n) { n.accounts[0].reads = field_nonce; }),
              "mini-block access: an account's field both read and changed, or unknown (entry 0)");
    EXPECT_EQ(message([](NestedAccess& n) { n.accounts[2].codes.clear(); }),
              "mini-block access: an account without entries (entry 2)");
    EXPECT_EQ(message([](NestedAccess& n) { n.accounts[1].read_slots[0] = U256{256}; }),
              "mini-block access: a slot both read and changed (entry 1)");
    EXPECT_EQ(message([](NestedAccess& n) { n.transactions[1].dependencies = {2}; }),
              "mini-block access: depends on what is before the mini-block (entry 1)");
    EXPECT_EQ(message([](NestedAccess& n) { n.transactions.clear(); }),
              "mini-block access: has no transaction (entry 0)");
    EXPECT_EQ(message([](NestedAccess& n) {
                  n.accounts[2].codes[0].code = std::make_shared<const Bytes>();
              }),
              "mini-block access: empty code is null (entry 1)");
}

}  // namespace
}  // namespace millrace::sync
