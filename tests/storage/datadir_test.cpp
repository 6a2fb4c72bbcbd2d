// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the data directory: creation, identity, lock and what it says when refused.
#include <gtest/gtest.h>

#include "host/base/hex.hpp"
#include "storage/datadir.hpp"
#include "storage/io/crc32c.hpp"
#include "tests/storage/scratch_directory.hpp"
#include "tests/storage/simulated_disk.hpp"

namespace millrace::storage {
namespace {

DataDirIdentity identity() {
    DataDirIdentity i;
    i.chain_id = 1337;
    i.genesis_hash[5] = 9;
    i.rules_digest[7] = 3;
    i.commitment = "mpt";
    return i;
}

void expect_refused(FileSystem& fs, const DataDirIdentity& wanted, ErrorCode code,
                    const std::string& text) {
    const auto d = DataDir::open(fs, "/d", wanted);
    ASSERT_FALSE(d.has_value());
    EXPECT_EQ(d.error().code, code) << d.error().message;
    EXPECT_NE(d.error().message.find(text), std::string::npos) << d.error().message;
}

/// Replaces the FORMAT file by one with this text and a right checksum.
void forge(FileSystem& fs, std::string text) {
    text += "crc32c = " + to_hex_quantity(uint64_t{crc32c(as_bytes(text))}) + "\n";
    ASSERT_TRUE(replace_file(fs, "/d/FORMAT", as_bytes(text)).has_value());
}

TEST(DataDir, IsCreatedOnceAndOpensAgain) {
    SimulatedDisk disk;
    {
        const auto d = DataDir::open(disk, "/d", identity());
        ASSERT_TRUE(d.has_value()) << d.error().message;
        EXPECT_TRUE(d->created());
        EXPECT_EQ(d->wal_directory(), "/d/wal");
    }
    const auto d = DataDir::open(disk, "/d", identity());
    ASSERT_TRUE(d.has_value()) << d.error().message;
    EXPECT_FALSE(d->created());
    EXPECT_EQ(d->identity(), identity());
}

TEST(DataDir, WorksOnTheRealDisk) {
    const ScratchDirectory scratch;
    const auto fs = make_posix_file_system();
    const std::string path = join_path(scratch.path(), "some/where");
    const auto d = DataDir::open(*fs, path, identity());
    ASSERT_TRUE(d.has_value()) << d.error().message;
    const auto second = DataDir::open(*fs, path, identity());
    ASSERT_FALSE(second.has_value());
    EXPECT_EQ(second.error().code, ErrorCode::conflict);
}

TEST(DataDir, LookSaysWhatADirectoryBelongsTo) {
    SimulatedDisk disk;
    EXPECT_FALSE(DataDir::look(disk, "/d").value().has_value());
    const auto held = DataDir::open(disk, "/d", identity());
    ASSERT_TRUE(held.has_value());
    EXPECT_EQ(DataDir::look(disk, "/d").value(), identity()) << "whoever has it open";
    disk.flip_bit("/d/FORMAT", 30, 0);
    EXPECT_EQ(DataDir::look(disk, "/d").error().code, ErrorCode::corrupt);
}

TEST(DataDir, SaysWhyItRefuses) {
    SimulatedDisk disk;
    {
        const auto held = DataDir::open(disk, "/d", identity());
        expect_refused(disk, identity(), ErrorCode::conflict, "in use");
    }
    DataDirIdentity other = identity();
    other.chain_id = 1;
    expect_refused(disk, other, ErrorCode::config, "belongs to chain 1337, not to chain 1");
    other = identity();
    other.genesis_hash[0] = 1;
    expect_refused(disk, other, ErrorCode::config, "belongs to genesis 0x00");
    other = identity();
    other.rules_digest[0] = 1;
    expect_refused(disk, other, ErrorCode::config, "other rules");
    other = identity();
    other.commitment = "memory";
    expect_refused(disk, other, ErrorCode::config, "'mpt', not 'memory'");
    other.commitment = "two words\nformat = 9";
    expect_refused(disk, other, ErrorCode::config, "no name of a commitment");
    const auto format = [](uint64_t n) {
        return "millrace data directory\nformat = " + std::to_string(n) + "\n";
    };
    forge(disk, format(datadir_format + 1) + "anything = else\n");
    expect_refused(disk, identity(), ErrorCode::unavailable, "newer");
    forge(disk, format(datadir_format - 1));
    expect_refused(disk, identity(), ErrorCode::unavailable, "older");
    forge(disk, format(datadir_format) + "chain_id = x\n");
    expect_refused(disk, identity(), ErrorCode::corrupt, "malformed");
    forge(disk, "millrace data directory\nchain_id = 1\n");
    expect_refused(disk, identity(), ErrorCode::corrupt, "no format number");
    forge(disk, "something else\n");
    expect_refused(disk, identity(), ErrorCode::corrupt, "does not begin");
    ASSERT_TRUE(disk.remove("/d/FORMAT").has_value());
    ASSERT_TRUE(disk.open("/d/photo.jpeg", OpenMode::create).has_value());
    expect_refused(disk, identity(), ErrorCode::corrupt, "'photo.jpeg'");
}

TEST(DataDir, EveryFlippedBitOfFormatIsSeen) {
    SimulatedDisk disk;
    { ASSERT_TRUE(DataDir::open(disk, "/d", identity()).has_value()); }
    const size_t bytes = disk.content("/d/FORMAT").size();
    for (size_t offset = 0; offset < bytes; ++offset) {
        const auto copy = disk.clone();
        copy->flip_bit("/d/FORMAT", offset, offset % 7);
        EXPECT_EQ(DataDir::open(*copy, "/d", identity()).error().code, ErrorCode::corrupt);
    }
}

TEST(DataDir, CreationSurvivesACrashAtEveryStep) {
    for (uint64_t at = 1; at < 12; ++at) {
        for (uint64_t seed = 0; seed < 10; ++seed) {
            SimulatedDisk disk;
            disk.arm(DiskFault::crash, at);
            const bool opened = DataDir::open(disk, "/d", identity()).has_value();
            disk.restart(seed);
            const auto d = DataDir::open(disk, "/d", identity());
            ASSERT_TRUE(d.has_value()) << d.error().message;
            ASSERT_TRUE(!opened || !d->created()) << "what was reported as created is there";
        }
    }
}

}  // namespace
}  // namespace millrace::storage
