// SPDX-License-Identifier: Apache-2.0
// Owns the tests of mapped files whose pages the disk cannot give: a file that is cut behind the
// mapping raises the same signal as a read error.
#include "storage/qmdb/mapping_guard.hpp"

#include <csignal>

#include <gtest/gtest.h>

#include "storage/qmdb/engine.hpp"
#include "storage/qmdb/segment_file.hpp"
#include "tests/storage/qmdb/engine_model.hpp"
#include "tests/storage/scratch_directory.hpp"

namespace millrace::storage::qmdb {
namespace {

TEST(MappingGuard, WhatCannotBeReadIsZeroAndSaysSo) {
    const ScratchDirectory scratch;
    const auto fs = make_posix_file_system();
    const std::string path = scratch.path() + "/file";
    const auto writer = fs->open(path, OpenMode::create).value();
    const Bytes content(16384, 7);
    ASSERT_TRUE(writer->write_at(0, content));
    auto moved =
        SegmentFile::open(fs->open(path, OpenMode::read_write).value(), 16384, true).value();
    const SegmentFile file = std::move(moved);
    ASSERT_TRUE(file.mapped());
    const SegmentFile other =
        SegmentFile::open(fs->open(path, OpenMode::read_write).value(), 16384, true).value();
    ASSERT_TRUE(writer->truncate(8192));
    EXPECT_EQ(file.read(8000, 192, {}).value()[191], 7);
    EXPECT_FALSE(file.failed());
    const ByteView tail = file.read(8000, 8000, {}).value();
    for (size_t i = 0; i < tail.size(); ++i) { ASSERT_EQ(tail[i], i < 192 ? 7 : 0) << i; }
    EXPECT_TRUE(file.failed());
    EXPECT_FALSE(other.failed());
    // What another mapping reads later is not hidden by that.
    ASSERT_TRUE(writer->write_at(8192, ByteView{content}.first(8192)));
    EXPECT_EQ(other.read(12000, 1, {}).value()[0], 7);
    EXPECT_FALSE(other.failed());
}

TEST(MappingGuard, RangesAreFreeAgain) {
    const ScratchDirectory scratch;
    const auto fs = make_posix_file_system();
    const std::string path = scratch.path() + "/file";
    ASSERT_TRUE(fs->open(path, OpenMode::create).value()->write_at(0, Bytes(4096)));
    for (int i = 0; i < 10'000; ++i) {
        const auto file =
            SegmentFile::open(fs->open(path, OpenMode::read_write).value(), 4096, true).value();
        ASSERT_TRUE(file.mapped());
    }
}

TEST(MappingGuardDeathTest, AnotherBusErrorEndsTheProcessAsEver) {
    const ScratchDirectory scratch;
    const auto fs = make_posix_file_system();
    const std::string path = scratch.path() + "/file";
    ASSERT_TRUE(fs->open(path, OpenMode::create).value()->write_at(0, Bytes(4096)));
    EXPECT_DEATH(
        {
            const auto file =
                SegmentFile::open(fs->open(path, OpenMode::read_write).value(), 4096, true).value();
            (void)std::raise(SIGBUS);
            (void)std::raise(SIGBUS);
        },
        "");
}

TEST(MappingGuard, TheEngineReportsADiskThatCannotRead) {
    std::mt19937_64 random{5};
    const ScratchDirectory scratch;
    const auto fs = make_posix_file_system();
    EngineOptions options;
    options.hash = kernels::NodeHash::blake3;
    options.log.segment_bytes = uint64_t{1} << 20;
    auto engine =
        Engine::open(*fs, scratch.path(), options, make_pwrite_log_writer("test")).value();
    EngineModel model{kernels::NodeHash::blake3};
    const Block block = random_block(model, 100, 10, random);
    model.apply(1, block);
    ASSERT_TRUE(engine->apply(1, writes_of(block)));
    ASSERT_TRUE(engine->commit());
    const Hash256 key = model.keys().front();
    ASSERT_EQ(engine->get(key).value(), model.get(key));
    const auto file = fs->open(scratch.path() + "/entries-000000000000", OpenMode::read_write);
    ASSERT_TRUE((*file)->truncate(4096));
    EXPECT_EQ(engine->get(key).error().code, ErrorCode::io);
    EXPECT_EQ(engine->prove(key).error().code, ErrorCode::io);
    const Bytes value{9};
    const std::vector<StateWrite> one{{key, value}};
    EXPECT_EQ(engine->apply(2, one).error().code, ErrorCode::io);
    EXPECT_EQ(engine->commit().error().code, ErrorCode::io);  // final
}

}  // namespace
}  // namespace millrace::storage::qmdb
