// SPDX-License-Identifier: Apache-2.0
// Owns the run of Ethereum's state tests, where the vectors are given.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

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
