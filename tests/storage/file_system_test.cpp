// SPDX-License-Identifier: Apache-2.0
// Owns the tests that the file interface means the same on every kind of disk.
#include <gtest/gtest.h>

#include "storage/io/memory_file_system.hpp"
#include "tests/storage/scratch_directory.hpp"
#include "tests/storage/simulated_disk.hpp"

namespace millrace::storage {
namespace {

class FileSystemTest : public ::testing::TestWithParam<const char*> {
protected:
    FileSystemTest() {
        if (std::string_view{GetParam()} == "posix") {
            fs_ = make_posix_file_system();
            root_ = scratch_.path();
        } else {
            fs_ = std::string_view{GetParam()} == "memory" ? make_memory_file_system()
                                                           : std::make_unique<SimulatedDisk>();
            root_ = "/disk";
            EXPECT_TRUE(fs_->create_directory(root_).has_value());
        }
    }
    std::string path(const std::string& name) const { return join_path(root_, name); }

    ScratchDirectory scratch_;
    std::unique_ptr<FileSystem> fs_;
    std::string root_;
};

TEST_P(FileSystemTest, ReadsBackWhatWasWritten) {
    auto file = fs_->open(path("a"), OpenMode::create_new);
    ASSERT_TRUE(file.has_value());
    const Bytes data(10000, 7);
    ASSERT_TRUE((*file)->write_at(100, data).has_value());
    ASSERT_TRUE((*file)->sync_data().has_value());
    EXPECT_EQ(*(*file)->size(), 10100u);
    Bytes back(20000, 1);
    ASSERT_EQ(*(*file)->read_at(50, back), 10050u);
    EXPECT_EQ(back[49], 0);
    EXPECT_EQ(back[50], 7);
    EXPECT_EQ(back[10049], 7);
    EXPECT_EQ(*(*file)->read_at(99999, back), 0u);
    ASSERT_TRUE((*file)->truncate(101).has_value());
    ASSERT_TRUE((*file)->preallocate(8192).has_value());
    ASSERT_TRUE((*file)->preallocate(100).has_value());
    EXPECT_EQ(*(*file)->size(), 8192u);
    back.assign(2, 9);
    ASSERT_EQ(*(*file)->read_at(100, back), 2u);
    EXPECT_EQ(back, (Bytes{7, 0}));
}

TEST_P(FileSystemTest, OpenModesMeanWhatTheySay) {
    EXPECT_EQ(fs_->open(path("a"), OpenMode::read).error().code, ErrorCode::not_found);
    EXPECT_EQ(fs_->open(path("a"), OpenMode::read_write).error().code, ErrorCode::not_found);
    EXPECT_EQ(fs_->open(path("none/a"), OpenMode::create).error().code, ErrorCode::not_found);
    ASSERT_TRUE((*fs_->open(path("a"), OpenMode::create))->write_at(0, as_bytes("xy")).has_value());
    EXPECT_EQ(fs_->open(path("a"), OpenMode::create_new).error().code, ErrorCode::io);
    EXPECT_EQ(*(*fs_->open(path("a"), OpenMode::create))->size(), 2u);
    EXPECT_EQ(*(*fs_->open(path("a"), OpenMode::create_or_wipe))->size(), 0u);
}

TEST_P(FileSystemTest, NamesComeAndGo) {
    EXPECT_FALSE(*fs_->exists(path("a")));
    ASSERT_TRUE(replace_file(*fs_, path("a"), as_bytes("one")).has_value());
    ASSERT_TRUE(replace_file(*fs_, path("a"), as_bytes("two")).has_value());
    ASSERT_TRUE(replace_file(*fs_, path("b"), as_bytes("three")).has_value());
    EXPECT_EQ(*read_file(*fs_, path("a"), 3), (Bytes{'t', 'w', 'o'}));
    EXPECT_EQ(read_file(*fs_, path("b"), 4).error().code, ErrorCode::limit);
    ASSERT_TRUE(fs_->create_directory(path("deep/er")).has_value());
    ASSERT_TRUE(fs_->create_directory(path("deep/er")).has_value());
    EXPECT_EQ(*fs_->list(root_), (std::vector<std::string>{"a", "b", "deep"}));
    ASSERT_TRUE(fs_->remove(path("a")).has_value());
    ASSERT_TRUE(fs_->remove(path("a")).has_value());
    EXPECT_FALSE(*fs_->exists(path("a")));
    EXPECT_TRUE(*fs_->exists(path("deep")));
    EXPECT_EQ(fs_->list(path("none")).error().code, ErrorCode::not_found);
    EXPECT_EQ(fs_->rename(path("none"), path("c")).error().code, ErrorCode::not_found);
    EXPECT_GT(*fs_->free_bytes(root_), 0u);
}

TEST_P(FileSystemTest, LockIsExclusiveUntilReleased) {
    auto first = fs_->lock(path("LOCK"), "the first");
    ASSERT_TRUE(first.has_value());
    EXPECT_EQ(fs_->lock(path("LOCK"), "the second").error().code, ErrorCode::conflict);
    first->reset();
    EXPECT_TRUE(fs_->lock(path("LOCK"), "the third").has_value());
}

INSTANTIATE_TEST_SUITE_P(Disks, FileSystemTest, ::testing::Values("posix", "memory", "simulated"),
                         [](const auto& param) { return std::string{param.param}; });

TEST(PathText, JoinsAndSplits) {
    EXPECT_EQ(join_path("a", "b"), "a/b");
    EXPECT_EQ(join_path("a/", "b"), "a/b");
    EXPECT_EQ(parent_path("a/b"), "a");
    EXPECT_EQ(parent_path("/a"), "/");
    EXPECT_EQ(parent_path("a"), ".");
    EXPECT_EQ(parent_path("a/b/"), "a");
}

}  // namespace
}  // namespace millrace::storage
