// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the scrubber of one segment: both forms, and damage anywhere.
#include "storage/qmdb/segment_scrub.hpp"

#include <random>

#include <gtest/gtest.h>

#include "storage/qmdb/frame.hpp"
#include "storage/qmdb/segment_name.hpp"
#include "tests/storage/qmdb/engine_model.hpp"
#include "tests/storage/simulated_disk.hpp"

namespace millrace::storage::qmdb {
namespace {

const std::string directory = "/db/state";

/// The bytes that were read, or what was wrong.
Result<uint64_t> scrub(FileSystem& fs, const std::string& path, uint64_t number) {
    MILLRACE_TRY(const auto segment, SegmentScrub::open(fs, path, number));
    uint64_t all = 0;
    for (;;) {
        MILLRACE_TRY(const size_t bytes, segment->step());
        if (bytes == 0) { return all; }
        all += bytes;
    }
}

/// Segments of more than a piece, the first one rewritten.
void fill(SimulatedDisk& disk) {
    EngineOptions options;
    options.hash = kernels::NodeHash::blake3;
    options.backend = kernels::Backend::scalar;
    options.log.segment_bytes = uint64_t{3} << 20;
    options.history_blocks = 0;
    options.care.rewrite = true;
    options.care.rewrite_gain_percent = 60;
    options.care.background = false;
    auto engine = Engine::open(disk, directory, options, make_pwrite_log_writer("test")).value();
    std::mt19937_64 random{2};
    std::vector<Hash256> keys(9000);
    for (Hash256& key : keys) { key = random_key(random); }
    for (uint64_t height = 1; height <= 100; ++height) {
        // The last ones stay as they were written.
        if (height == 55) {
            engine.reset();
            options.care.rewrite = false;
            engine = Engine::open(disk, directory, options, make_pwrite_log_writer("test")).value();
        }
        Block block;
        for (int i = 0; i < 1000; ++i) {
            // Most are written once.
            const size_t at =
                height < 10 ? (height - 1) * 1000 + static_cast<size_t>(i) : random() % 2000;
            Bytes value(64);
            for (uint8_t& b : value) { b = static_cast<uint8_t>(random()); }
            block[keys[at]] = value;
        }
        ASSERT_TRUE(engine->apply(height, writes_of(block)));
        const auto committed = engine->commit();
        ASSERT_TRUE(committed) << committed.error().message;
    }
}

/// Whether a byte of a segment with frames only fills a header's block or a frame.
bool is_padding(const Bytes& segment, uint64_t at) {
    uint64_t begin = sizeof(SegmentHeader);
    uint64_t end = frame_alignment_bytes;
    while (at >= end) {
        const Frame frame = read_frame(ByteView{segment}.subspan(end));
        if (frame.state != FrameState::valid) { return false; }
        begin = end + sizeof frame.header + frame.header.payload_bytes;
        end += frame_bytes(frame.header.payload_bytes);
    }
    return at >= begin;
}

TEST(SegmentScrub, FindsDamageAnywhereInBothForms) {
    SimulatedDisk disk;
    ASSERT_NO_FATAL_FAILURE(fill(disk));
    std::mt19937_64 random{8};
    const auto names = disk.list(directory).value();
    std::array<uint64_t, 2> seen{};
    // The last one is being written.
    for (uint64_t number = 0; disk.exists(join_path(directory, segment_name(number + 1))).value();
         ++number) {
        const std::string path = join_path(directory, segment_name(number));
        const Bytes content = disk.content(path);
        const bool rewritten = read_rewritten_header(content).has_value();
        if (seen[rewritten ? 1 : 0]++ != 0) { continue; }
        const auto all = scrub(disk, path, number);
        ASSERT_TRUE(all) << all.error().message;
        EXPECT_EQ(*all, content.size());
        EXPECT_GT(content.size(), SegmentScrub::piece_bytes);
        EXPECT_EQ(scrub(disk, path, number + 1).error().code, ErrorCode::corrupt);
        const auto copy = disk.clone();
        for (int i = 0; i < 60; ++i) {
            const uint64_t at = i < 10 ? static_cast<uint64_t>(i) * 8 : random() % content.size();
            if (!rewritten && is_padding(content, at)) { continue; }
            copy->flip_bit(path, at, static_cast<unsigned>(i) % 8);
            const auto found = scrub(*copy, path, number);
            ASSERT_FALSE(found) << "offset " << at;
            EXPECT_EQ(found.error().code, ErrorCode::corrupt);
            EXPECT_NE(found.error().message.find(path), std::string::npos);
            copy->flip_bit(path, at, static_cast<unsigned>(i) % 8);
        }
        EXPECT_TRUE(scrub(*copy, path, number));
        Bytes shorter = content;
        shorter.resize(shorter.size() - 8);
        ASSERT_TRUE(replace_file(*copy, path, shorter));
        EXPECT_EQ(scrub(*copy, path, number).error().code, ErrorCode::corrupt);
        copy->fail_reads(path);
        EXPECT_EQ(scrub(*copy, path, number).error().code, ErrorCode::io);
    }
    EXPECT_GT(seen[0], 0u);
    EXPECT_GT(seen[1], 0u);
    EXPECT_EQ(scrub(disk, directory + "/none", 0).error().code, ErrorCode::not_found);
}

}  // namespace
}  // namespace millrace::storage::qmdb
