// SPDX-License-Identifier: Apache-2.0
// Owns the tests of checkpoint files: retention, fall-back, damage, faults.
#include <gtest/gtest.h>

#include "storage/state/checkpoint.hpp"
#include "tests/storage/simulated_disk.hpp"
#include "tests/storage/state_model.hpp"

namespace millrace::storage {
namespace {

constexpr const char* directory = "/d/checkpoints";

struct Chain {
    std::mt19937_64 random{11};
    std::unique_ptr<StateStore> store = make_memory_state_store();
    std::map<uint64_t, StateModel> history{{0, {}}};

    void grow(uint64_t versions) {
        for (uint64_t i = 0; i < versions; ++i) {
            const uint64_t version = store->version();
            StateModel model = history.at(version);
            const StateDelta d = random_delta(random, model);
            model.apply(d);
            ASSERT_TRUE(store->apply(version + 1, d).has_value());
            history[version + 1] = model;
        }
    }
    CheckpointMetadata metadata() const {
        CheckpointMetadata m;
        m.sequence = store->version();
        m.mini_block_number = m.sequence * 2;
        m.mini_block_digest[0] = 3;
        m.block_number = m.sequence / 3;
        m.block_hash[0] = 1;
        m.state_root[0] = 2;
        m.epoch = 4;
        return m;
    }
    Result<void> checkpoint(FileSystem& fs) const {
        return write_checkpoint(fs, directory, *store->snapshot(), metadata());
    }
};

struct Loaded {
    std::unique_ptr<StateStore> store = make_memory_state_store();
    Result<std::optional<LoadedCheckpoint>> result;
    explicit Loaded(FileSystem& fs) : result(load_checkpoint(fs, directory, *store)) {}
};

TEST(Checkpoint, NoneIsNoError) {
    SimulatedDisk disk;
    const Loaded l{disk};
    ASSERT_TRUE(l.result.has_value());
    EXPECT_FALSE(l.result->has_value());
    EXPECT_EQ(*oldest_checkpoint_sequence(disk, directory), 0u);
}

TEST(Checkpoint, NewestTwoAreKeptAndTheNewestIsLoaded) {
    SimulatedDisk disk;
    Chain chain;
    for (int i = 0; i < 4; ++i) {
        chain.grow(10);
        ASSERT_TRUE(chain.checkpoint(disk).has_value());
    }
    EXPECT_EQ(disk.list(directory)->size(), checkpoints_kept);
    EXPECT_EQ(*oldest_checkpoint_sequence(disk, directory), 30u);
    const Loaded l{disk};
    ASSERT_TRUE(l.result.has_value() && l.result->has_value());
    EXPECT_EQ((*l.result)->metadata, chain.metadata());
    EXPECT_TRUE((*l.result)->warning.empty());
    EXPECT_EQ(StateModel::of(*l.store->snapshot()), chain.history.at(40));
    EXPECT_EQ(l.store->version(), 40u);
    EXPECT_EQ(l.store->snapshot_at(39).error().code, ErrorCode::unavailable);
}

TEST(Checkpoint, AnOlderSnapshotCanBeWrittenWhileTheStoreMovesOn) {
    SimulatedDisk disk;
    Chain chain;
    chain.grow(20);
    const auto snapshot = chain.store->snapshot();
    const CheckpointMetadata metadata = chain.metadata();
    chain.grow(20);
    ASSERT_TRUE(write_checkpoint(disk, directory, *snapshot, metadata).has_value());
    EXPECT_FALSE(write_checkpoint(disk, directory, *snapshot, chain.metadata()).has_value());
    const Loaded l{disk};
    EXPECT_EQ(StateModel::of(*l.store->snapshot()), chain.history.at(20));
}

TEST(Checkpoint, EveryDamageIsSeenAndTheOlderOneTaken) {
    SimulatedDisk disk;
    Chain chain;
    chain.grow(15);
    ASSERT_TRUE(chain.checkpoint(disk).has_value());
    chain.grow(15);
    ASSERT_TRUE(chain.checkpoint(disk).has_value());
    const auto names = *disk.list(directory);
    const std::string newest = join_path(directory, names.back());
    const uint64_t bytes = disk.content(newest).size();
    for (uint64_t offset = 0; offset < bytes; offset += 1 + bytes / 300) {
        const auto copy = disk.clone();
        copy->flip_bit(newest, offset, offset % 8);
        const Loaded l{*copy};
        ASSERT_TRUE(l.result.has_value()) << l.result.error().message;
        ASSERT_EQ((*l.result)->metadata.sequence, 15u) << "offset " << offset;
        ASSERT_NE((*l.result)->warning.find(newest), std::string::npos);
        ASSERT_EQ(StateModel::of(*l.store->snapshot()), chain.history.at(15));
    }
    for (uint64_t cut = 0; cut < bytes; cut += 1 + bytes / 100) {
        const auto copy = disk.clone();
        ASSERT_TRUE((*copy->open(newest, OpenMode::read_write))->truncate(cut).has_value());
        const Loaded l{*copy};
        ASSERT_TRUE(l.result.has_value());
        ASSERT_EQ((*l.result)->metadata.sequence, 15u);
    }
    for (const std::string& name : names) { disk.flip_bit(join_path(directory, name), 40, 1); }
    const Loaded l{disk};
    ASSERT_FALSE(l.result.has_value());
    EXPECT_EQ(l.result.error().code, ErrorCode::corrupt);
}

TEST(Checkpoint, FaultsWhileWritingLeaveTheOldOnes) {
    Chain chain;
    chain.grow(15);
    SimulatedDisk disk;
    ASSERT_TRUE(chain.checkpoint(disk).has_value());
    chain.grow(5);
    const uint64_t begin = disk.operation_count();
    ASSERT_TRUE(chain.checkpoint(*disk.clone()).has_value());
    for (const DiskFault fault : {DiskFault::no_space, DiskFault::write_error,
                                  DiskFault::short_write, DiskFault::sync_failure}) {
        for (uint64_t at = 1;; ++at) {
            const auto copy = disk.clone();
            copy->arm(fault, at);
            const auto written = chain.checkpoint(*copy);
            if (copy->operation_count() < at) { break; }
            copy->restart(at);
            const Loaded l{*copy};
            ASSERT_TRUE(l.result.has_value()) << l.result.error().message;
            ASSERT_TRUE(l.result->has_value());
            const uint64_t sequence = (*l.result)->metadata.sequence;
            ASSERT_TRUE(sequence == 15 || sequence == 20);
            ASSERT_EQ(StateModel::of(*l.store->snapshot()), chain.history.at(sequence));
            if (written) { ASSERT_EQ(sequence, 20u); }
        }
    }
    EXPECT_EQ(disk.operation_count(), begin);
}

}  // namespace
}  // namespace millrace::storage
