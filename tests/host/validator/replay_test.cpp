// SPDX-License-Identifier: Apache-2.0
// Owns the tests of replays: both ways equal the serial execution for every number of threads.
#include <gtest/gtest.h>

#include <algorithm>

#include "host/sequencer/executor/block_builder.hpp"
#include "host/sequencer/ledger/mini_block_record.hpp"
#include "net/sync/access_codec.hpp"
#include "storage/state/state_store.hpp"
#include "tests/host/validator/random_chain.hpp"

namespace millrace::validator {
namespace {

using namespace test;

constexpr ReplayWay both_ways[] = {ReplayWay::by_dependencies, ReplayWay::by_values};

/// Whether the delta leads from the state before to the state after, and names only what it may.
std::string difference(const storage::StateDelta& delta, const SerialMiniBlock& m) {
    if (!delta.is_canonical()) { return "not canonical"; }
    MemoryState after = m.pre_state;
    after.apply(delta);
    for (const auto& [address, a] : m.post_state.accounts) {
        const PreAccount b = *after.account(address);
        if (a.nonce != b.nonce || a.balance != b.balance || a.code_hash != b.code_hash) {
            return "account " + to_hex(address);
        }
    }
    if (after.slots != m.post_state.slots) { return "slots"; }
    for (const auto& [address, a] : after.accounts) {
        if (a.code_hash != evm::empty_code_hash && after.code(a.code_hash) == nullptr) {
            return "code of " + to_hex(address);
        }
        if (!m.post_state.accounts.contains(address)) { return "a stranger " + to_hex(address); }
    }
    return {};
}

void expect_serial(Replayer& replayer, ReplayWay way, const SerialMiniBlock& m) {
    const auto r = replayer.replay(way, m.block, m.transactions, m.access, m.pre_state);
    ASSERT_TRUE(r.has_value()) << r.error().text();
    EXPECT_EQ(r->receipts, m.receipts);
    EXPECT_EQ(difference(r->post_values, m), "");
    EXPECT_EQ(r->gas_used, m.receipts.back().cumulative_gas_used - m.block.gas_used_before);
}

class ReplayThreads : public ::testing::TestWithParam<uint32_t> {};

TEST_P(ReplayThreads, BothWaysEqualTheSerialExecution) {
    evm::StandardPrecompiles precompiles;
    Replayer replayer({GetParam()}, precompiles);
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        RandomChain chain(seed, 4 + seed);
        for (int n = 0; n < 3; ++n) {
            const SerialMiniBlock m = chain.next(60 + 40 * static_cast<uint32_t>(n));
            for (const ReplayWay way : both_ways) { expect_serial(replayer, way, m); }
            if (HasFatalFailure()) { return; }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Threads, ReplayThreads, ::testing::Values(1, 2, 3, 4, 5, 6, 7, 8));

struct Profile {
    const char* name;
    uint32_t kinds;
};

class ReplayProfiles : public ::testing::TestWithParam<Profile> {};

TEST_P(ReplayProfiles, BothWaysEqualTheSerialExecution) {
    evm::StandardPrecompiles precompiles;
    Replayer replayer({4}, precompiles);
    for (uint64_t seed = 1; seed <= 4; ++seed) {
        RandomChain chain(seed);
        for (int n = 0; n < 2; ++n) {
            const SerialMiniBlock m = chain.next(150, GetParam().kinds);
            for (const ReplayWay way : both_ways) { expect_serial(replayer, way, m); }
            if (HasFatalFailure()) { return; }
        }
    }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, ReplayProfiles,
    ::testing::Values(
        Profile{"Transfers", kinds({Kind::ring_transfer, Kind::empty_transfer})},
        Profile{"RacingBalances",
                kinds({Kind::racing_transfer, Kind::ring_transfer, Kind::balance_read})},
        Profile{"HotBalance", kinds({Kind::hot_transfer, Kind::hot_balance_read})},
        Profile{"HotCounter", kinds({Kind::counter})}, Profile{"Token", kinds({Kind::token})},
        Profile{"WriteSkew", kinds({Kind::skew})},
        Profile{"Till", kinds({Kind::till, Kind::reverting_payment})},
        Profile{"Destruction", kinds({Kind::factory, Kind::prefunding, Kind::purse})},
        Profile{"Creations",
                kinds({Kind::creation, Kind::creation_without_code, Kind::created_counter})},
        Profile{"Delegations", kinds({Kind::set_code, Kind::delegated_call})},
        Profile{"Block", kinds({Kind::number, Kind::coinbase_read, Kind::block_hash})}),
    [](const auto& info) { return std::string(info.param.name); });

/// The loads are only worth something if they bring about what they are for.
TEST(ReplayLoads, ContainEverythingThatTheListCanSay) {
    size_t codes = 0, removed_codes = 0, read_slots = 0, failures = 0, far = 0, destroyed = 0;
    size_t many = 0;
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        RandomChain chain(seed, 4 + seed);
        const SerialMiniBlock m = chain.next(150);
        for (const sync::CodeChange& c : m.access.code_changes) {
            ++(c.code == nullptr ? removed_codes : codes);
        }
        read_slots += m.access.read_slots.size();
        for (size_t i = 0; i < m.access.transactions.size(); ++i) {
            failures += m.access.transactions[i].success ? 0 : 1;
            const auto d = m.access.dependencies_of(i);
            far += !d.empty() && d.back() > 20 ? 1 : 0;
            many += d.size() > 6 ? 1 : 0;
        }
        for (size_t a = 0; a < m.access.accounts.size(); ++a) {
            const auto balances = m.access.balance_changes_of(a);
            const bool empty = !balances.empty() && balances.back().balance.is_zero();
            destroyed += empty && m.access.nonce_changes_of(a).empty() ? 1 : 0;
        }
    }
    EXPECT_GT(codes, 20u);
    EXPECT_GT(removed_codes, 3u);
    EXPECT_GT(read_slots, 20u);
    EXPECT_GT(failures, 100u);
    EXPECT_GT(far, 100u);
    EXPECT_GT(many, 20u);
    EXPECT_GT(destroyed, 3u);
}

/// The sequencer's own execution of the same transactions, in the same order.
TEST(Replay, GivesThePostValuesAndTheReceiptsDigestOfTheLog) {
    evm::StandardPrecompiles precompiles;
    Replayer replayer({2}, precompiles);
    for (uint64_t seed = 1; seed <= 6; ++seed) {
        RandomChain chain(seed);
        chain.begin_block();
        const SerialMiniBlock m = chain.next(150);
        const auto genesis = sequencer::test::make_genesis({.accounts = 0});
        const auto store = storage::make_memory_state_store();
        ASSERT_TRUE(store->apply(1, m.pre_state.delta()).has_value());
        sequencer::CellTable cells{store->snapshot()};
        sequencer::BlockBuilder builder{genesis.spec, precompiles, cells};
        for (uint64_t n = m.block.environment.number - 4; n < m.block.environment.number; ++n) {
            builder.add_block_hash(n, *m.pre_state.block_hash(n));
        }
        sequencer::OpenBlock open;
        open.number = m.block.environment.number;
        open.timestamp_s = m.block.environment.timestamp;
        open.base_fee_per_gas = m.block.environment.base_fee_per_gas;
        open.gas_limit = m.block.environment.gas_limit;
        open.coinbase = m.block.environment.coinbase;
        open.prev_randao = m.block.environment.prev_randao;
        ASSERT_TRUE(builder.open(open).empty());
        for (const AdmittedPtr& t : m.admitted) { ASSERT_TRUE(builder.execute(t).has_value()); }
        const auto [cut, accesses] = builder.cut(m.block.mini_block_number, 0);
        sequencer::MiniBlockRecorder recorder;
        const auto recorded = recorder.record({}, *cut, *accesses);
        ASSERT_TRUE(recorded.has_value());
        Bytes access;
        ASSERT_TRUE(sync::encode_access(m.access, access).has_value());
        EXPECT_TRUE(std::ranges::equal(recorded->access, access));
        for (const ReplayWay way : both_ways) {
            const auto r = replayer.replay(way, m.block, m.transactions, m.access, m.pre_state);
            ASSERT_TRUE(r.has_value()) << r.error().text();
            EXPECT_EQ(r->post_values.accounts, cut->post_values.accounts);
            EXPECT_EQ(r->post_values.slots, cut->post_values.slots);
            EXPECT_EQ(r->post_values.codes, cut->post_values.codes);
        }
    }
}

TEST(Replay, WorksOnWhatWasDecoded) {
    evm::StandardPrecompiles precompiles;
    Replayer replayer({2}, precompiles);
    RandomChain chain(5);
    SerialMiniBlock m = chain.next(200);
    Bytes bytes;
    ASSERT_TRUE(sync::encode_access(m.access, bytes).has_value());
    sync::MiniBlockAccess decoded;
    ASSERT_TRUE(sync::decode_access(bytes, decoded).has_value());
    ASSERT_EQ(decoded, m.access);
    m.access = decoded;
    for (const ReplayWay way : both_ways) { expect_serial(replayer, way, m); }
}

TEST(Replay, AsksForNothingBeyondTheAccessList) {
    // Every account that is not in the list is hidden, as a witness would have it.
    evm::StandardPrecompiles precompiles;
    Replayer replayer({2}, precompiles);
    RandomChain chain(6);
    SerialMiniBlock m = chain.next(200);
    std::set<Address> listed;
    for (const sync::AccountAccess& a : m.access.accounts) { listed.insert(a.address); }
    for (const auto& [address, account] : m.pre_state.accounts) {
        if (!listed.contains(address)) { m.pre_state.hidden.insert(address); }
    }
    for (const ReplayWay way : both_ways) { expect_serial(replayer, way, m); }
}

TEST(Replay, WhatTheSourceCannotTellIsNamed) {
    evm::StandardPrecompiles precompiles;
    Replayer replayer({2}, precompiles);
    RandomChain chain(7);
    SerialMiniBlock m = chain.next(100);
    m.pre_state.hidden.insert(RandomChain::sender(3));
    for (const ReplayWay way : both_ways) {
        const auto r = replayer.replay(way, m.block, m.transactions, m.access, m.pre_state);
        ASSERT_FALSE(r.has_value());
        EXPECT_EQ(r.error().error, ReplayError::pre_state_missing);
        EXPECT_EQ(r.error().cell->address, RandomChain::sender(3));
    }
    // Code that is missing is found out in the run, and is not remembered as empty.
    m.pre_state.hidden.clear();
    const auto codes = std::exchange(m.pre_state.codes, {});
    Replayer fresh({2}, precompiles);
    for (const ReplayWay way : both_ways) {
        const auto r = fresh.replay(way, m.block, m.transactions, m.access, m.pre_state);
        ASSERT_FALSE(r.has_value());
        EXPECT_EQ(r.error().error, ReplayError::pre_state_missing);
        EXPECT_NE(r.error().detail.find("code with hash"), std::string::npos);
    }
    m.pre_state.codes = codes;
    for (const ReplayWay way : both_ways) { expect_serial(fresh, way, m); }
}

TEST(Replay, OldRulesAreRefused) {
    evm::StandardPrecompiles precompiles;
    Replayer replayer({1}, precompiles);
    RandomChain chain(8);
    SerialMiniBlock m = chain.next(3);
    m.block.rules = evm::ethereum_rules(evm::Revision::shanghai);
    const auto r =
        replayer.replay(ReplayWay::by_values, m.block, m.transactions, m.access, m.pre_state);
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error().text(), "rules_not_supported: the block is of Shanghai");
}

}  // namespace
}  // namespace millrace::validator
