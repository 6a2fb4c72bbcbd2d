// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the simulated disk itself: what survives a crash and what its faults do.
#include <set>

#include <gtest/gtest.h>

#include "tests/storage/simulated_disk.hpp"

namespace millrace::storage {
namespace {

Bytes block(uint8_t fill, size_t bytes = 2048) { return Bytes(bytes, fill); }

struct Fixture {
    SimulatedDisk disk;
    Fixture() { EXPECT_TRUE(disk.create_directory("/d").has_value()); }
    std::unique_ptr<File> durable_file() {
        auto f = *disk.open("/d/a", OpenMode::create);
        EXPECT_TRUE(f->write_at(0, block(1)).has_value());
        EXPECT_TRUE(f->sync_data().has_value());
        EXPECT_TRUE(disk.sync_directory("/d").has_value());
        return f;
    }
};

TEST(SimulatedDisk, SyncedDataAndNamesSurviveEveryCrash) {
    for (uint64_t seed = 0; seed < 50; ++seed) {
        Fixture x;
        const auto f = x.durable_file();
        x.disk.restart(seed);
        EXPECT_EQ(x.disk.content("/d/a"), block(1));
        EXPECT_EQ(f->sync_data().error().code, ErrorCode::io) << "handles die with the power";
    }
}

TEST(SimulatedDisk, UnsyncedSectorsSurviveInArbitrarySubsets) {
    std::set<Bytes> outcomes;
    for (uint64_t seed = 0; seed < 300; ++seed) {
        Fixture x;
        const auto f = x.durable_file();
        ASSERT_TRUE(f->write_at(0, block(2)).has_value());
        x.disk.restart(seed);
        const Bytes after = x.disk.content("/d/a");
        for (size_t s = 0; s < 4; ++s) {
            const std::set<uint8_t> values(after.begin() + static_cast<ptrdiff_t>(512 * s),
                                           after.begin() + static_cast<ptrdiff_t>(512 * s + 512));
            ASSERT_EQ(values.size(), 1u) << "sectors are atomic";
        }
        outcomes.insert(after);
    }
    EXPECT_EQ(outcomes.size(), 16u);
}

TEST(SimulatedDisk, UnsyncedNamesMayOrMayNotSurvive) {
    std::set<std::vector<std::string>> outcomes;
    for (uint64_t seed = 0; seed < 200; ++seed) {
        Fixture x;
        x.durable_file();
        ASSERT_TRUE(x.disk.open("/d/b", OpenMode::create_new).has_value());
        ASSERT_TRUE(x.disk.rename("/d/a", "/d/c").has_value());
        x.disk.restart(seed);
        const auto names = *x.disk.list("/d");
        ASSERT_TRUE(std::count(names.begin(), names.end(), "a") +
                        std::count(names.begin(), names.end(), "c") ==
                    1)
            << "renaming is atomic";
        outcomes.insert(names);
    }
    EXPECT_EQ(outcomes.size(), 4u);
}

TEST(SimulatedDisk, FaultsHitTheArmedOperationOnly) {
    Fixture x;
    const auto f = x.durable_file();
    x.disk.arm(DiskFault::write_error, 2);
    EXPECT_TRUE(f->write_at(0, block(2)).has_value());
    EXPECT_EQ(f->write_at(0, block(3)).error().code, ErrorCode::io);
    EXPECT_EQ(x.disk.content("/d/a"), block(2));
    x.disk.arm(DiskFault::no_space, 1);
    EXPECT_EQ(f->write_at(0, block(3)).error().code, ErrorCode::limit);
    x.disk.arm(DiskFault::short_write, 1);
    EXPECT_EQ(f->write_at(0, block(4)).error().code, ErrorCode::io);
    EXPECT_EQ(x.disk.content("/d/a")[1023], 4);
    EXPECT_EQ(x.disk.content("/d/a")[1024], 2);
    x.disk.arm(DiskFault::crash, 1);
    EXPECT_FALSE(f->write_at(0, block(5)).has_value());
    EXPECT_TRUE(x.disk.crashed());
    EXPECT_FALSE(x.disk.exists("/d/a").has_value());
}

TEST(SimulatedDisk, ALaterSyncDoesNotSaveWhatAFailedOneLost) {
    bool lost = false;
    for (uint64_t seed = 0; seed < 20; ++seed) {
        Fixture x;
        const auto f = x.durable_file();
        ASSERT_TRUE(f->write_at(0, block(2, 512)).has_value());
        x.disk.arm(DiskFault::sync_failure, 1);
        EXPECT_EQ(f->sync_data().error().code, ErrorCode::io);
        EXPECT_TRUE(f->sync_data().has_value());
        EXPECT_EQ(x.disk.content("/d/a")[0], 2) << "still readable from the cache";
        x.disk.restart(seed);
        lost = lost || x.disk.content("/d/a")[0] == 1;
    }
    EXPECT_TRUE(lost);
}

TEST(SimulatedDisk, SpaceRunsOut) {
    Fixture x;
    const auto f = x.durable_file();
    x.disk.set_free_bytes(100);
    EXPECT_EQ(*x.disk.free_bytes("/d"), 100u);
    EXPECT_EQ(f->write_at(2048, block(1, 101)).error().code, ErrorCode::limit);
    EXPECT_TRUE(f->write_at(2048, block(1, 100)).has_value());
    EXPECT_EQ(f->preallocate(4096).error().code, ErrorCode::limit);
}

}  // namespace
}  // namespace millrace::storage
