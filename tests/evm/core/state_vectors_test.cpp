// SPDX-License-Identifier: Apache-2.0
// Owns the run of Ethereum's state tests, where the vectors are given.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/file.h>
#include <unistd.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <memory>

#include "host/node/conformance/state_test.hpp"
#include "tests/evm/tx/vector_files.hpp"

namespace millrace::node {
namespace {

namespace fs = std::filesystem;

/// The unpacked tests: given as a folder, or unpacked here from the archive once.
std::optional<fs::path> state_tests() {
    if (const auto folder = test::find_vectors("state_tests")) { return folder; }
    auto archive = test::find_vectors("eest-state-tests.tar.zst");
    if (!archive) { archive = test::find_vectors("vectors/eest-state-tests.tar.zst"); }
    if (!archive) { return std::nullopt; }
    const fs::path target = MILLRACE_UNPACK_DIR;
    // CTest runs each test in a process of its own, perhaps several at once.
    const std::string lock_path = target.string() + ".lock";
    const int lock = ::open(lock_path.c_str(), O_CREAT | O_RDWR | O_CLOEXEC, 0644);
    if (lock < 0 || ::flock(lock, LOCK_EX) != 0) {
        ADD_FAILURE() << "cannot lock " << lock_path;
        return std::nullopt;
    }
    const std::unique_ptr<const int, void (*)(const int*)> unlock{
        &lock, [](const int* fd) { ::close(*fd); }};
    const fs::path done = target / "state_tests.unpacked";
    if (!fs::exists(done) || fs::last_write_time(done) < fs::last_write_time(*archive)) {
        fs::remove_all(target);
        fs::create_directories(target);
        const std::string command =
            "tar --zstd -xf '" + archive->string() + "' -C '" + target.string() + "'";
        if (std::system(command.c_str()) != 0) {
            ADD_FAILURE() << "cannot unpack: " << command;
            return std::nullopt;
        }
        std::ofstream(done) << archive->string() << "\n";
    }
    return target;
}

TEST(StateTests, EveryFixtureGivesTheExpectedRootAndLogs) {
    const auto folder = state_tests();
    if (!folder) {
        GTEST_SKIP() << "vectors 'eest-state-tests.tar.zst' are not here; set MILLRACE_VECTORS to "
                        "the folder that has them";
    }
    // By run checks from the start, as code is used, and never.
    for (const auto uses : {std::optional{0u}, std::optional<uint32_t>{}, std::optional{~0u}}) {
        RunnerOptions options;
        options.uses_until_fast = uses;
        const auto report = run_state_tests(folder->string(), options);
        ASSERT_TRUE(report.has_value()) << report.error().message;
        EXPECT_GT(report->passed, 1000u) << "these are not all the state tests";
        for (const CaseFailure& f : report->failures) {
            ADD_FAILURE() << f.test << " [" << f.fork << "] in " << f.file << ": " << f.reason
                          << " " << f.expected << " " << f.got << "; uses until fast "
                          << (uses ? std::to_string(*uses) : "by size");
        }
        std::printf("%llu of %llu state tests pass\n",
                    static_cast<unsigned long long>(report->passed),
                    static_cast<unsigned long long>(report->total()));
    }
}

/// A part of the tests: those of four forks, a seventh of all.
TEST(StateTests, TracingChangesNoResult) {
    const auto folder = state_tests();
    if (!folder) { GTEST_SKIP() << "vectors 'eest-state-tests.tar.zst' are not here"; }
    uint64_t lines = 0;
    RunnerOptions options;
    options.trace = [&](std::string_view text) {
        lines += static_cast<uint64_t>(std::count(text.begin(), text.end(), '\n'));
    };
    unsigned parts = 0;
    for (const char* part : {"constantinople", "frontier", "prague", "shanghai"}) {
        fs::path path = *folder / part;
        if (!fs::exists(path)) { path = *folder / "state_tests" / part; }
        if (!fs::exists(path)) { continue; }
        ++parts;
        const auto report = run_state_tests(path.string(), options);
        ASSERT_TRUE(report.has_value()) << report.error().message;
        EXPECT_GT(report->passed, 0u);
        for (const CaseFailure& f : report->failures) {
            ADD_FAILURE() << f.test << " [" << f.fork << "] in " << f.file << ": " << f.reason;
        }
    }
    if (parts == 0) { GTEST_SKIP() << "the vectors are not in folders of forks"; }
    EXPECT_GT(lines, 100'000u) << "hardly anything was traced";
}

TEST(StateTests, NothingToReadIsAnError) {
    const auto nothing = run_state_tests("/nonexistent-folder-of-fixtures", {});
    ASSERT_FALSE(nothing.has_value());
    EXPECT_EQ(nothing.error().code, ErrorCode::not_found);
    const fs::path folder = fs::path(MILLRACE_UNPACK_DIR).parent_path() / "malformed";
    fs::create_directories(folder);
    std::ofstream(folder / "bad.json") << "{\"a\": 1}";
    std::ofstream(folder / "worse.json") << "{";
    const auto malformed = run_state_tests(folder.string(), {});
    ASSERT_TRUE(malformed.has_value());
    EXPECT_EQ(malformed->passed, 0u);
    EXPECT_EQ(malformed->failures.size(), 2u) << "a malformed fixture is a failure, not a crash";
}

}  // namespace
}  // namespace millrace::node
