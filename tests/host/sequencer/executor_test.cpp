// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the executor: whatever the schedule, its results are those of a serial
// execution in the order of the commits.
#include <gtest/gtest.h>

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
    if (GetParam() > 1) {
        EXPECT_GT(conflicts, 50u) << "schedules without conflicts prove nothing";
    }
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
        ASSERT_EQ(ParallelRun(load).run().wrong, "");
    }
}

INSTANTIATE_TEST_SUITE_P(
    Kinds, ExecutorProfiles,
    ::testing::Values(Profile{"WriteSkew", kinds({LoadKind::skew})},
                      Profile{"RingTransfers", kinds({LoadKind::ring_transfer})},
                      Profile{"HotCounter", kinds({LoadKind::counter})},
                      Profile{"RacingBalances",
                              kinds({LoadKind::racing_transfer, LoadKind::balance_read})},
                      Profile{"Till", kinds({LoadKind::till})},
                      Profile{"PurseAndDestruction", kinds({LoadKind::purse, LoadKind::factory})},
                      Profile{"Creations", kinds({LoadKind::creation, LoadKind::factory})},
                      Profile{"Delegations", kinds({LoadKind::set_code, LoadKind::counter})},
                      Profile{"BlockBorder", kinds({LoadKind::number, LoadKind::block_hash,
                                                    LoadKind::coinbase_read})}),
    [](const auto& info) { return std::string(info.param.name); });

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
