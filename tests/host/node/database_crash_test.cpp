// SPDX-License-Identifier: Apache-2.0
// Owns the tests that `millrace db verify` judges a directory as a start does: after reverts and
// after crashes at the operations of the ledger's script.
#include <gtest/gtest.h>

#include <cstdlib>

#include "host/node/database/verify.hpp"
#include "tests/host/sequencer/ledger_script.hpp"

namespace millrace::node {
namespace {

using namespace sequencer::test;
using sequencer::Genesis;
using storage::DiskFault;
using storage::SimulatedDisk;

#define ASSERT_OK(expression)                                        \
    do {                                                             \
        const auto& result_ = (expression);                          \
        ASSERT_TRUE(result_.has_value()) << result_.error().message; \
    } while (false)

const std::string datadir = "/node";

class DatabaseJudgement : public ::testing::TestWithParam<const char*> {
protected:
    ScriptedNode node(SimulatedDisk& disk) const {
        return {disk, genesis_, small_ledger_options(datadir, GetParam())};
    }
    /// Why a node does not start on a copy of it; empty when it does.
    std::string refusal(const SimulatedDisk& disk) const {
        const auto copy = disk.clone();
        ScriptedNode n = node(*copy);
        const auto started = n.start();
        return started ? "" : started.error().message;
    }
    /// The damages that are found in a copy of it, one a line.
    std::string damages(const SimulatedDisk& disk) const {
        const auto copy = disk.clone();
        const auto report = verify_database(*copy, datadir, {&genesis_, {}, true});
        if (!report) {
            // Before the directory is one there is nothing to check.
            return report.error().code == ErrorCode::not_found ? "" : report.error().message;
        }
        std::string all;
        for (const std::string& damage : report->damages) { all += damage + "\n"; }
        return all;
    }
    static Result<void> add_block(ScriptedNode& n) {
        MILLRACE_CHECK(n.open_block());
        MILLRACE_TRY(const auto m,
                     n.mini_block({sequencer::test::admitted(
                         0, transfer_transaction(n.nonce(0), stranger(1), U256{1}))}));
        MILLRACE_CHECK(n.seal());
        return {};
    }
    /// Blocks 1 to 4 with a checkpoint of the last.
    static Result<void> four_blocks(ScriptedNode& n) {
        MILLRACE_CHECK(n.start());
        for (int i = 0; i < 4; ++i) { MILLRACE_CHECK(add_block(n)); }
        return n.ledger->checkpoint(true);
    }
    /// Takes the place of a folder.
    static void put_back(SimulatedDisk& disk, SimulatedDisk& older, const std::string& folder) {
        for (const std::string& name : disk.list(folder).value_or(std::vector<std::string>{})) {
            ASSERT_OK(disk.remove(storage::join_path(folder, name)));
        }
        for (const std::string& name : older.list(folder).value_or(std::vector<std::string>{})) {
            const std::string path = storage::join_path(folder, name);
            const auto file = disk.open(path, storage::OpenMode::create_or_wipe);
            ASSERT_OK(file);
            ASSERT_OK((*file)->write_at(0, older.content(path)));
            ASSERT_OK((*file)->sync_data());
        }
    }

    Genesis genesis_ = make_genesis({.commitment = GetParam()});
    SimulatedDisk disk_;
};

TEST_P(DatabaseJudgement, ARevertBelowACheckpointIsNoDamage) {
    {
        ScriptedNode n = node(disk_);
        ASSERT_OK(four_blocks(n));
        EXPECT_EQ(damages(disk_), "");
        ASSERT_OK(n.revert(2));
        EXPECT_EQ(damages(disk_), "");
        EXPECT_EQ(refusal(disk_), "");
        ASSERT_OK(add_block(n));
        EXPECT_EQ(damages(disk_), "");
        EXPECT_EQ(refusal(disk_), "");
        ASSERT_OK(n.ledger->checkpoint(true));
    }
    EXPECT_EQ(damages(disk_), "");
    EXPECT_EQ(refusal(disk_), "");
    // The block that the newer checkpoint is of is still asked for.
    ASSERT_OK(disk_.remove(datadir + "/chain/blocks"));
    EXPECT_NE(damages(disk_).find("lacks block 3"), std::string::npos) << damages(disk_);
}

TEST_P(DatabaseJudgement, RevertsBelowRevertsAndACheckpointAreNoDamage) {
    {
        ScriptedNode n = node(disk_);
        ASSERT_OK(four_blocks(n));
        ASSERT_OK(n.revert(3));
        ASSERT_OK(n.revert(2));
        ASSERT_OK(add_block(n));
        ASSERT_OK(n.revert(1));
    }
    EXPECT_EQ(refusal(disk_), "");
    EXPECT_EQ(damages(disk_), "");
    {
        ScriptedNode n = node(disk_);
        ASSERT_OK(n.start());
        EXPECT_EQ(n.ledger->view().head()->header.number, 1u);
        ASSERT_OK(n.ledger->checkpoint(true));
    }
    EXPECT_EQ(refusal(disk_), "");
    EXPECT_EQ(damages(disk_), "");
    {
        ScriptedNode n = node(disk_);
        ASSERT_OK(n.start());
        ASSERT_OK(add_block(n));
        ASSERT_OK(n.revert(1));
        ASSERT_OK(add_block(n));
        ASSERT_OK(n.ledger->checkpoint(true));
    }
    EXPECT_EQ(refusal(disk_), "");
    EXPECT_EQ(damages(disk_), "");
}

TEST_P(DatabaseJudgement, ACrashDuringARevertIsNoDamage) {
    size_t points = 0;
    for (bool reached = true; reached; ++points) {
        SimulatedDisk disk;
        {
            ScriptedNode n = node(disk);
            ASSERT_OK(four_blocks(n));
            disk.arm(DiskFault::crash, points + 1);
            const bool done = n.revert(2) && n.ledger->checkpoint(true) && add_block(n);
            n.ledger->settle();  // the state engine ends on a thread of its own
            reached = disk.crashed();
            ASSERT_TRUE(done || reached);
        }
        disk.restart(points);
        SCOPED_TRACE(points);
        EXPECT_EQ(refusal(disk), "");
        EXPECT_EQ(damages(disk), "");
    }
    EXPECT_GT(points, 5u);
}

TEST_P(DatabaseJudgement, DamageIsWhatAStartRefusesAfterACrashAnywhere) {
    // Thinned; MILLRACE_CRASH_STEP=1 takes all.
    const char* const asked = std::getenv("MILLRACE_CRASH_STEP");
    const uint64_t step = asked != nullptr ? std::stoull(asked) : 17;
    uint64_t points = 0;
    uint64_t refused = 0;
    bool reached = true;
    for (uint64_t at = 1; reached; at += step, ++points) {
        SCOPED_TRACE(at);
        SimulatedDisk disk;
        std::unique_ptr<SimulatedDisk> older;
        disk.arm(DiskFault::crash, at);
        const auto live = [&](uint64_t seed, uint64_t blocks) -> Result<void> {
            ScriptedNode n = node(disk);
            MILLRACE_CHECK(n.start());
            return run_script(n, seed, blocks);
        };
        const auto ran = [&]() -> Result<void> {
            MILLRACE_CHECK(live(1 + points % 3, 2));
            older = disk.clone();
            return live(4 + points % 3, 7);
        }();
        reached = disk.crashed();
        ASSERT_TRUE(ran || reached) << ran.error().message;
        disk.restart(at);
        ASSERT_EQ(refusal(disk), "");
        EXPECT_EQ(damages(disk), "");
        if (older == nullptr) { continue; }
        older->restart(at);
        for (const char* folder : {"/wal", "/chain", "/checkpoints", "/state"}) {
            const auto mixed = disk.clone();
            put_back(*mixed, *older, datadir + folder);
            const std::string why = refusal(*mixed);
            if (why.empty()) { continue; }
            ++refused;
            EXPECT_NE(damages(*mixed), "") << folder << ": " << why;
        }
    }
    EXPECT_GT(points, 15u);
    EXPECT_GT(refused, 10u);
}

INSTANTIATE_TEST_SUITE_P(Commitments, DatabaseJudgement, ::testing::Values("mpt", "qmdb-keccak256"),
                         [](const auto& p) {
                             return std::string(p.param).substr(0, std::string(p.param).find('-'));
                         });

}  // namespace
}  // namespace millrace::node
