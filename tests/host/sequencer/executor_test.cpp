// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the executor: whatever the schedule, its results are those of a serial
// execution in the order of the commits.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "evm/precompiles/standard.hpp"
#include "tests/host/sequencer/parallel_run.hpp"

namespace millrace::sequencer {
namespace {

using namespace test;

uint32_t kinds(std::initializer_list<LoadKind> list) {
    uint32_t mask = 0;
    for (const LoadKind k : list) { mask |= 1u << static_cast<uint32_t>(k); }
    return mask;
}

class ExecutorSchedules : public ::testing::TestWithParam<uint32_t> {};

TEST_P(ExecutorSchedules, EqualTheSerialExecutionInCommitOrder) {
    uint64_t conflicts = 0;
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        ParallelLoad load;
        load.seed = seed;
        load.workers = GetParam();
        load.yield_one_in = seed % 3 == 0 ? 0 : 4;
        const ParallelOutcome out = ParallelRun(load).run();
        ASSERT_EQ(out.wrong, "");
        EXPECT_GT(out.blocks, 0u);
        conflicts += out.statistics.conflicts_read + out.statistics.conflicts_bound;
    }
    if (GetParam() > 1) { EXPECT_GT(conflicts, 0u) << "schedules without conflicts prove nothing"; }
}

INSTANTIATE_TEST_SUITE_P(Workers, ExecutorSchedules, ::testing::Values(1, 2, 3, 8, 32));

struct Profile {
    const char* name;
    uint32_t kinds;
};

class ExecutorProfiles : public ::testing::TestWithParam<Profile> {};

TEST_P(ExecutorProfiles, EqualTheSerialExecutionInCommitOrder) {
    for (uint64_t seed = 1; seed <= 4; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        ParallelLoad load;
        load.seed = seed;
        load.kinds = GetParam().kinds;
        load.workers = 4;
        const ParallelOutcome out = ParallelRun(load).run();
        ASSERT_EQ(out.wrong, "");
        EXPECT_GT(out.succeeded, out.statistics.executed / 2) << "what is refused proves little";
    }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, ExecutorProfiles,
    ::testing::Values(
        Profile{"WriteSkew", kinds({LoadKind::skew})},
        Profile{"RingTransfers", kinds({LoadKind::ring_transfer})},
        Profile{"HotCounter", kinds({LoadKind::counter})},
        Profile{"RacingBalances", kinds({LoadKind::racing_transfer, LoadKind::balance_read})},
        Profile{"Till", kinds({LoadKind::till})},
        Profile{"PurseAndDestruction", kinds({LoadKind::purse, LoadKind::factory})},
        Profile{"Creations", kinds({LoadKind::creation, LoadKind::factory})},
        Profile{"Delegations", kinds({LoadKind::set_code, LoadKind::counter})},
        Profile{"ParentHash", kinds({LoadKind::parent_hash, LoadKind::history, LoadKind::counter})},
        Profile{"BlockBorder", kinds({LoadKind::number, LoadKind::block_hash,
                                      LoadKind::coinbase_read, LoadKind::time})},
        Profile{"TokenHub", kinds({LoadKind::token})}, Profile{"Market", kinds({LoadKind::swap})},
        Profile{"DestructionAndRedeployment",
                kinds({LoadKind::phoenix, LoadKind::phoenix_payment, LoadKind::balance_read})}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Executor, WhoAsksForAHashThatIsToComeWaits) {
    uint64_t waited = 0;
    for (uint64_t seed = 1; seed <= 8; ++seed) {
        ParallelLoad load;
        load.seed = seed;
        load.kinds = kinds({LoadKind::parent_hash, LoadKind::history, LoadKind::ring_transfer});
        const ParallelOutcome out = ParallelRun(load).run();
        ASSERT_EQ(out.wrong, "") << "seed " << seed;
        waited += out.waited;
    }
    EXPECT_GT(waited, 0u) << "schedules in which nobody waits prove nothing";
}

TEST(Executor, ChainsOfAThousandNoncesEqualTheSerialExecution) {
    ParallelLoad load;
    load.senders = 3;
    load.transactions = 3 * 1150;  // a thousand each, whatever chance does
    load.balance = ether;
    load.kinds = kinds({LoadKind::ring_transfer, LoadKind::counter, LoadKind::token});
    load.workers = 4;
    load.yield_one_in = 32;
    const ParallelOutcome out = ParallelRun(load).run();
    ASSERT_EQ(out.wrong, "");
    EXPECT_EQ(out.statistics.executed, load.transactions);
}

TEST(VersionHistory, FindsEveryEdgeThatGoesDown) {
    AccountCells x;
    AccountCells y;
    const auto reads = [](const AccountCells& a, uint64_t sequence) {
        ReadSet r;
        r.reads.push_back({&a.nonce.version_word(), version_of(sequence)});
        return r;
    };
    const auto writes = [](AccountCells& a) {
        Published p;
        p.accounts.emplace_back().account = &a;
        p.accounts.back().nonce = 1;
        return p;
    };
    const auto ends_with = [](AccountCells& a, uint64_t sequence) {
        a.nonce.version_word().store(version_of(sequence), std::memory_order_relaxed);
    };
    {
        VersionHistory h;  // 1 writes x, 2 reads that and writes y, 3 reads both
        h.committed(2, reads(x, 1), writes(y));
        h.committed(1, {}, writes(x));
        ReadSet both = reads(x, 1);
        both.reads.push_back({&y.nonce.version_word(), version_of(2)});
        h.committed(3, both, {});
        ends_with(x, 1);
        ends_with(y, 2);
        EXPECT_EQ(h.check(), "");
        ends_with(y, 1);
        EXPECT_NE(h.check(), "") << "an older version came after a newer one";
        h.border(9);
        ends_with(y, 9);
        EXPECT_EQ(h.check(), "");
    }
    ends_with(x, 1);
    {
        VersionHistory h;
        h.committed(1, {}, writes(x));
        h.committed(2, reads(x, 0), {});
        EXPECT_EQ(h.check(), "rw edge between 2 and 1") << "it missed what came before it";
    }
    {
        VersionHistory h;
        h.committed(1, {}, writes(x));
        h.committed(3, reads(x, 2), {});
        EXPECT_EQ(h.check(), "wr edge between 3 and 2") << "nobody wrote that";
    }
    ends_with(x, 2);
    {
        VersionHistory h;
        h.committed(2, {}, writes(x));
        h.committed(1, reads(x, 2), {});
        EXPECT_EQ(h.check(), "wr edge between 1 and 2") << "it saw what came after it";
    }
    {
        VersionHistory h;
        h.committed(2, {}, writes(x));
        h.committed(2, {}, writes(x));
        EXPECT_EQ(h.check(), "ww edge between 2 and 2");
    }
}

TEST(Executor, HotSlotMakesProgressBecauseTheThirdAttemptIsAlone) {
    ParallelLoad load;
    load.kinds = kinds({LoadKind::counter});
    load.workers = 8;
    load.senders = 40;
    load.yield_one_in = 2;
    const ParallelOutcome out = ParallelRun(load).run();
    ASSERT_EQ(out.wrong, "");
    EXPECT_GT(out.statistics.alone, 0u);
    // Two refusals for each transaction at most, and one more at a border of blocks.
    EXPECT_LE(out.statistics.conflicts_read + out.statistics.conflicts_locked,
              2 * load.transactions + out.blocks * load.workers);
}

/// The standard precompiles and one that takes as long as the test wants: run() says that an
/// attempt has begun, and returns when it is let go.
class Gate final : public evm::PrecompileSet {
public:
    static inline const Address address =
        address_literal("0x00000000000000000000000000000000000000f0");

    bool contains(const Address& a, evm::Revision r) const noexcept override {
        return a == address || standard_.contains(a, r);
    }
    evm::PrecompileOutcome run(const Address& a, ByteView input, uint64_t gas,
                               evm::Revision r) const noexcept override {
        if (a != address) { return standard_.run(a, input, gas, r); }
        const uint32_t attempt = begun_.fetch_add(1) + 1;
        begun_.notify_all();
        for (uint32_t n = let_go_.load(); n < attempt; n = let_go_.load()) { let_go_.wait(n); }
        return {.success = true, .gas_used = 0, .output = {}};
    }

    /// Waits until `attempt` (from 1) runs.
    void await(uint32_t attempt) const {
        for (uint32_t n = begun_.load(); n < attempt; n = begun_.load()) { begun_.wait(n); }
    }
    void let_go(uint32_t attempt) const {
        let_go_.store(attempt);
        let_go_.notify_all();
    }

private:
    evm::StandardPrecompiles standard_;
    mutable std::atomic<uint32_t> begun_{0};
    mutable std::atomic<uint32_t> let_go_{0};
};

TEST(Executor, TransactionThatTakesLongerThanABlockIsExecutedAllTheSame) {
    const Genesis genesis = make_genesis();
    const auto store = storage::make_memory_state_store();
    ASSERT_TRUE(store->apply(1, genesis.state).has_value());
    const Gate gate;
    CellTable cells{store->snapshot()};
    BlockBuilder builder{genesis.spec, gate, cells};
    ExecutorOptions options;
    options.worker_count = 2;
    Executor executor{options, gate, cells};
    // Long, so that it is not the owner's.
    const evm::Transaction tx = call_transaction(0, Gate::address, {}, {}, 2'000'000);
    bool done = false;
    const auto open = [&](uint64_t number) {
        OpenBlock block;
        block.number = number;
        block.timestamp_s = 1'700'000'000 + number;
        block.base_fee_per_gas = U256{gwei};
        block.gas_limit = genesis.block_gas_limit;
        builder.open(block);
        executor.open_block(builder.context());
    };
    const auto close = [&] {
        for (bool closed = false; !closed;) {
            Completion* c = executor.take();
            if (c == nullptr) { continue; }
            closed = c->kind == Completion::Kind::boundary;
            ASSERT_NE(c->kind, Completion::Kind::rejected);
            if (c->kind == Completion::Kind::executed) {
                EXPECT_TRUE(
                    builder.add(std::move(c->execution), c->published, c->reads)->receipt.success);
                builder.cut(1, 0);
                done = true;
            }
        }
        executor.rest();
        builder.close();
    };
    // The block ends in the middle of the first two attempts.
    for (uint32_t attempt = 1; attempt <= options.attempts_max; ++attempt) {
        open(attempt);
        if (attempt == 1) { ASSERT_TRUE(executor.try_dispatch(unsigned_of(account(0), tx))); }
        gate.await(attempt);
        executor.close_block();
        gate.let_go(attempt);
        close();
        ASSERT_FALSE(done);
    }
    // The third is alone, and its block waits for it.
    open(options.attempts_max + 1);
    gate.await(options.attempts_max + 1);
    std::jthread ending([&] {
        // The owner is then in close_block(), or the test proves less.
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        gate.let_go(options.attempts_max + 1);
    });
    executor.close_block();
    close();
    EXPECT_TRUE(done);
    EXPECT_EQ(executor.statistics().alone, 1u) << "a block waits for the attempt that is alone";
    EXPECT_EQ(executor.statistics().conflicts_read, options.attempts_max);
    EXPECT_EQ(executor.under_way(), 0u);
}

TEST(Executor, LongTransactionsAreLeftToHalfOfTheOthers) {
    Genesis genesis = make_genesis();
    genesis.state.sort();
    const auto store = storage::make_memory_state_store();
    ASSERT_TRUE(store->apply(1, genesis.state).has_value());
    evm::StandardPrecompiles precompiles;
    CellTable cells{store->snapshot()};
    BlockBuilder builder{genesis.spec, precompiles, cells};
    ExecutorOptions options;
    options.worker_count = 4;
    Executor executor{options, precompiles, cells};
    const auto long_transaction = [](uint64_t sender) {
        evm::Transaction tx = transfer_transaction(0, stranger(1), U256{1});
        tx.gas_limit = 20'000'000;
        return unsigned_of(account(sender), tx);
    };
    // No block is open, so nothing is executed yet.
    EXPECT_TRUE(executor.try_dispatch(long_transaction(0)));
    EXPECT_TRUE(executor.has_room_for_long());
    EXPECT_TRUE(executor.try_dispatch(long_transaction(1)));
    EXPECT_FALSE(executor.has_room_for_long());
    EXPECT_FALSE(executor.try_dispatch(long_transaction(2)));
    EXPECT_FALSE(executor.has_work()) << "the owner leaves them to the others";
    EXPECT_TRUE(executor.has_room()) << "their gas takes no place from the others";
    EXPECT_TRUE(executor.try_dispatch(
        unsigned_of(account(2), transfer_transaction(0, stranger(1), U256{1}))));
    EXPECT_TRUE(executor.has_work());
    OpenBlock block;
    block.number = 1;
    block.timestamp_s = 1'700'000'001;
    block.base_fee_per_gas = U256{gwei};
    block.gas_limit = genesis.block_gas_limit;
    builder.open(block);
    executor.open_block(builder.context());
    while (executor.under_way() != 0) {
        executor.execute_one();  // unless another worker was quicker
        Completion* c = executor.take();
        if (c == nullptr || c->kind == Completion::Kind::nothing) { continue; }
        ASSERT_EQ(c->kind, Completion::Kind::executed);
        builder.add(std::move(c->execution), c->published, c->reads);
        if (c->transaction->transaction.gas_limit > options.long_gas) {
            EXPECT_TRUE(executor.has_room_for_long());
        }
    }
    EXPECT_EQ(builder.transaction_count(), 3u);
}

TEST(Executor, GasUnderWayIsBounded) {
    const Genesis genesis = make_genesis();
    const auto store = storage::make_memory_state_store();
    ASSERT_TRUE(store->apply(1, genesis.state).has_value());
    evm::StandardPrecompiles precompiles;
    CellTable cells{store->snapshot()};
    ExecutorOptions options;
    options.worker_count = 2;
    options.window_gas = 25'000;
    Executor executor{options, precompiles, cells};
    const auto transfer = [](uint64_t sender) {
        return unsigned_of(account(sender), transfer_transaction(0, stranger(1), U256{1}));
    };
    EXPECT_TRUE(executor.try_dispatch(transfer(0)));
    EXPECT_TRUE(executor.try_dispatch(transfer(1)));
    EXPECT_TRUE(executor.try_dispatch(transfer(2)));  // 42,000 before it
    EXPECT_FALSE(executor.has_room());
    EXPECT_FALSE(executor.try_dispatch(transfer(3)));
}

TEST(Executor, HotCallsStopConflictingOnceTheyHaveALane) {
    ParallelLoad load;
    load.kinds = kinds({LoadKind::counter});
    load.workers = 4;
    load.senders = 40;
    load.yield_one_in = 2;
    load.seed = 4;  // even: with lanes
    load.transactions = 400;
    const ParallelOutcome with = ParallelRun(load).run();
    ASSERT_EQ(with.wrong, "");
    // Without lanes most of them are refused at least once.
    EXPECT_LT(with.statistics.conflicts_read + with.statistics.conflicts_locked, 200u);
}

TEST(Executor, TransfersToOneReceiverDoNotConflict) {
    ParallelLoad load;
    load.kinds = kinds({LoadKind::hot_transfer});
    load.yield_one_in = 0;
    const ParallelOutcome out = ParallelRun(load).run();
    ASSERT_EQ(out.wrong, "");
    EXPECT_EQ(out.statistics.conflicts_bound, 0u);
}

}  // namespace
}  // namespace millrace::sequencer
