// SPDX-License-Identifier: Apache-2.0
// Owns the tests of state deltas and log records: encoding, refusal, merging.
#include <gtest/gtest.h>

#include "storage/wal/record.hpp"
#include "tests/storage/state_model.hpp"

namespace millrace::storage {
namespace {

Bytes encoded(const StateDelta& d) {
    Bytes out;
    encode_state_delta(d, out);
    return out;
}

TEST(StateDelta, EncodingRoundTrips) {
    std::mt19937_64 random{3};
    StateModel model;
    for (int i = 0; i < 500; ++i) {
        const StateDelta d = random_delta(random, model);
        model.apply(d);
        const auto back = decode_state_delta(encoded(d));
        ASSERT_TRUE(back.has_value()) << back.error().message;
        ASSERT_EQ(*back, d);
    }
    EXPECT_EQ(*decode_state_delta(encoded({})), StateDelta{});
}

TEST(StateDelta, EveryCutAndEveryExtraByteIsRefused) {
    std::mt19937_64 random{4};
    StateModel model;
    StateDelta d;
    while (d.accounts.size() < 3 || d.slots.size() < 3 || d.codes.empty()) {
        d = random_delta(random, model, 12, 8, 12);
    }
    Bytes raw = encoded(d);
    for (size_t n = 0; n < raw.size(); ++n) {
        ASSERT_FALSE(decode_state_delta(ByteView{raw}.first(n)).has_value()) << n;
    }
    raw.push_back(0);
    EXPECT_FALSE(decode_state_delta(raw).has_value());
}

TEST(StateDelta, FlippedBytesAreRefusedOrMeanExactlyWhatTheySay) {
    std::mt19937_64 random{5};
    const StateDelta d = random_delta(random, {}, 12, 8, 12);
    const Bytes raw = encoded(d);
    for (size_t i = 0; i < raw.size() * 8; ++i) {
        Bytes changed = raw;
        changed[i / 8] ^= static_cast<uint8_t>(1u << (i % 8));
        const auto back = decode_state_delta(changed);
        if (back) { ASSERT_EQ(encoded(*back), changed); }
    }
}

TEST(StateDelta, HugeCountsAreRefusedBeforeMemoryIsTaken) {
    EXPECT_FALSE(decode_state_delta(Bytes{0xff, 0xff, 0xff, 0xff, 0, 0, 0, 0}).has_value());
    EXPECT_FALSE(decode_state_delta(Bytes{0, 0, 0, 0, 0xff, 0xff, 0xff, 0x7f, 0, 0}).has_value());
}

TEST(StateDelta, MergingEqualsApplyingOneAfterTheOther) {
    for (uint64_t seed = 0; seed < 300; ++seed) {
        std::mt19937_64 random{seed};
        StateModel start;
        start.apply(random_delta(random, start, 6, 4, 8));
        StateModel apart = start;
        StateDelta merged;
        for (int i = 0; i < 4; ++i) {
            const StateDelta d = random_delta(random, apart, 6, 4, 8);
            apart.apply(d);
            merged = merge(merged, d);
            ASSERT_TRUE(merged.is_canonical());
        }
        StateModel together = start;
        together.apply(merged);
        ASSERT_EQ(together, apart) << "seed " << seed;
    }
}

std::vector<Record> sample_records() {
    std::mt19937_64 random{6};
    StateModel model;
    const auto delta = [&] { return random_delta(random, model, 12, 8, 10); };
    const auto hash = [&](uint64_t i) { return to_hash(U256{i, 2, 3, random()}); };
    std::vector<Record> records;
    records.push_back(BlockOpen{7, 1700000000, hash(1), U256{1000000000}, 30000000,
                                model_address(1), hash(2), hash(3), false, delta()});
    records.push_back(MiniBlock{1337,
                                3,
                                99,
                                hash(4),
                                7,
                                2,
                                -5,
                                {Bytes{1, 2, 3}, Bytes{}, Bytes(300, 9)},
                                Bytes(40, 6),
                                delta(),
                                hash(5),
                                Bytes(65, 1)});
    records.push_back(MiniBlock{});
    records.push_back(BlockSeal{7, hash(6), Bytes(600, 4), hash(7), delta()});
    records.push_back(DevEdit{"anvil_setBalance", delta()});
    records.push_back(Revert{5, 6, 4, delta()});
    records.push_back(BlockClose{7, delta()});
    records.push_back(BlockOpen{
        8, 1700000001, {}, U256{1}, 1, model_address(1), hash(2), hash(3), true, delta()});
    return records;
}

TEST(LogRecord, EveryKindRoundTrips) {
    for (const Record& r : sample_records()) {
        Bytes raw;
        encode_record(r, raw);
        const auto back = decode_record(kind_of(r), raw);
        ASSERT_TRUE(back.has_value()) << back.error().message;
        EXPECT_EQ(*back, r);
        EXPECT_EQ(kind_of(*back), kind_of(r));
        for (size_t n = 0; n < raw.size(); ++n) {
            ASSERT_FALSE(decode_record(kind_of(r), ByteView{raw}.first(n)).has_value());
        }
        raw.push_back(0);
        EXPECT_FALSE(decode_record(kind_of(r), raw).has_value());
    }
    EXPECT_FALSE(decode_record(static_cast<RecordKind>(0), {}).has_value());
    EXPECT_FALSE(decode_record(static_cast<RecordKind>(7), {}).has_value());
}

TEST(LogRecord, DigestCoversAllButTheSignature) {
    const MiniBlock base = std::get<MiniBlock>(sample_records()[1]);
    const Hash256 digest = mini_block_digest(base);
    MiniBlock m = base;
    m.signature = {9};
    EXPECT_EQ(mini_block_digest(m), digest);
    std::vector<MiniBlock> changed(12, base);
    changed[0].chain_id++;
    changed[1].epoch++;
    changed[2].number++;
    changed[3].parent[0]++;
    changed[4].block_number++;
    changed[5].index++;
    changed[6].time_us++;
    changed[7].transactions.pop_back();
    changed[8].post_values.slots.clear();
    changed[8].post_values.accounts.clear();
    changed[9].receipts_digest[31]++;
    changed[11].access[0]++;
    changed[10].transactions[0][0]++;
    for (const MiniBlock& c : changed) { EXPECT_NE(mini_block_digest(c), digest); }
}

}  // namespace
}  // namespace millrace::storage
