// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the log writers on a real file.
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <gtest/gtest.h>

#include "storage/io/log_writer.hpp"
#include "tests/storage/scratch_directory.hpp"
#include "tests/storage/simulated_disk.hpp"

namespace millrace::storage {
namespace {

Bytes pattern(size_t bytes, uint8_t seed) {
    Bytes b(bytes);
    for (size_t i = 0; i < bytes; ++i) { b[i] = static_cast<uint8_t>(i * 31 + i / 251 + seed); }
    return b;
}

/// A descriptor that cannot be written.
class ReadOnlyFile final : public File {
public:
    explicit ReadOnlyFile(const std::string& path)
        : File(path), fd_(::open(path.c_str(), O_RDONLY | O_CREAT, 0644)) {}
    ~ReadOnlyFile() override { ::close(fd_); }
    Result<size_t> read_at(uint64_t, std::span<uint8_t>) const override { return size_t{0}; }
    Result<void> write_at(uint64_t, ByteView) override { return fail(ErrorCode::io, "read-only"); }
    Result<void> sync_data() override { return fail(ErrorCode::io, "read-only"); }
    Result<uint64_t> size() const override { return uint64_t{0}; }
    Result<void> truncate(uint64_t) override { return fail(ErrorCode::io, "read-only"); }
    Result<void> preallocate(uint64_t) override { return fail(ErrorCode::io, "read-only"); }
    int descriptor() const noexcept override { return fd_; }

private:
    int fd_;
};

void check_writer(LogWriter& writer) {
    const ScratchDirectory scratch;
    const auto fs = make_posix_file_system();
    const std::string path = join_path(scratch.path(), "log");
    const auto file = *fs->open(path, OpenMode::create_new);
    EXPECT_FALSE(writer.reason().empty());
    // Inside the buffer, outside of it, longer than one submission, empty, synced and not.
    const auto buffer = writer.buffer();
    const Bytes inside = pattern(std::min<size_t>(buffer.size(), 25 * 4096), 1);
    std::copy(inside.begin(), inside.end(), buffer.begin());
    const Bytes outside = pattern(4096, 2);
    const Bytes large = pattern((size_t{9} << 20) + 123, 3);
    ASSERT_TRUE(writer.write(*file, 0, buffer.first(inside.size()), true).has_value());
    ASSERT_TRUE(writer.write(*file, inside.size(), outside, false).has_value());
    // Not aligned: must not be written directly.
    ASSERT_TRUE(writer.write(*file, 300001, buffer.first(1003), true).has_value());
    ASSERT_TRUE(writer.write(*file, 1 << 20, large, true).has_value());
    ASSERT_TRUE(writer.write(*file, 0, {}, true).has_value());
    const Bytes all = *read_file(*fs, path, uint64_t{1} << 30);
    ASSERT_EQ(all.size(), (size_t{1} << 20) + large.size());
    EXPECT_TRUE(std::equal(inside.begin(), inside.end(), all.begin()));
    EXPECT_TRUE(std::equal(outside.begin(), outside.end(),
                           all.begin() + static_cast<ptrdiff_t>(inside.size())));
    EXPECT_TRUE(std::equal(inside.begin(), inside.begin() + 1003, all.begin() + 300001));
    EXPECT_TRUE(std::equal(large.begin(), large.end(), all.begin() + (1 << 20)));
    ReadOnlyFile refused{join_path(scratch.path(), "read-only")};
    const auto failed = writer.write(refused, 0, outside, true);
    ASSERT_FALSE(failed.has_value());
    EXPECT_EQ(failed.error().code, ErrorCode::io);
    // A file that took the place of another is told from it.
    const auto second = *fs->open(join_path(scratch.path(), "second"), OpenMode::create_new);
    ASSERT_TRUE(writer.write(*second, 0, buffer.first(inside.size()), true).has_value());
    EXPECT_EQ(*read_file(*fs, second->path(), 1 << 20), inside);
    // The writer stays usable after a refused write; what that means is the log's decision.
    ASSERT_TRUE(writer.write(*file, 0, outside, true).has_value());
}

TEST(LogWriter, PwriteWritesAndReportsFailure) {
    const auto writer = make_pwrite_log_writer("asked for by the test", 1 << 20);
    EXPECT_EQ(writer->kind(), "pwrite");
    check_writer(*writer);
}

TEST(LogWriter, UringWritesAndReportsFailure) {
    auto writer = make_uring_log_writer(1 << 20);
    if (!writer) { GTEST_SKIP() << writer.error().message; }
    EXPECT_EQ((*writer)->kind(), "io_uring");
    check_writer(**writer);
}

TEST(LogWriter, UringWithoutRegisteredMemoryStillWrites) {
    // More than the usual limit of locked memory: registration may be refused, writing must not.
    auto writer = make_uring_log_writer(size_t{64} << 20);
    if (!writer) { GTEST_SKIP() << writer.error().message; }
    check_writer(**writer);
}

TEST(LogWriter, UringRefusesFilesThatAreNotOfTheSystem) {
    auto writer = make_uring_log_writer(1 << 20);
    if (!writer) { GTEST_SKIP() << writer.error().message; }
    SimulatedDisk disk;
    ASSERT_TRUE(disk.create_directory("/d").has_value());
    const auto file = *disk.open("/d/a", OpenMode::create);
    EXPECT_FALSE((*writer)->write(*file, 0, Bytes(512), true).has_value());
}

TEST(LogWriter, RefusedUringFallsBackAndSaysWhy) {
    rlimit before{};
    ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
    const rlimit none{0, before.rlim_max};
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &none), 0);
    const auto writer = make_log_writer(1 << 20);
    ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
    EXPECT_EQ(writer->kind(), "pwrite");
    const bool says_why = writer->reason().find("refused") != std::string::npos ||
                          writer->reason().find("without io_uring") != std::string::npos;
    EXPECT_TRUE(says_why) << writer->reason();
    check_writer(*writer);
}

TEST(LogWriter, AutomaticChoiceSaysWhatItTook) {
    const auto writer = make_log_writer(1 << 20);
    if (make_uring_log_writer(1 << 20)) {
        EXPECT_EQ(writer->kind(), "io_uring");
        EXPECT_NE(writer->reason().find("io_uring"), std::string::npos);
    } else {
        EXPECT_EQ(writer->kind(), "pwrite");
        EXPECT_NE(writer->reason().find("pwrite"), std::string::npos);
    }
    check_writer(*writer);
}

}  // namespace
}  // namespace millrace::storage
