// SPDX-License-Identifier: Apache-2.0
// Owns the run of Ethereum's state tests, where the vectors are given.
#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "evm/jit/engine.hpp"
#include "host/node/conformance/state_test.hpp"
#include "tests/evm/tx/unpacked_vectors.hpp"

namespace millrace::node {
namespace {

namespace fs = std::filesystem;

TEST(StateTests, EveryFixtureGivesTheExpectedRootAndLogs) {
    const auto folder =
        test::unpacked_vectors("state_tests", "eest-state-tests.tar.zst", MILLRACE_UNPACK_DIR);
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
    const auto folder =
        test::unpacked_vectors("state_tests", "eest-state-tests.tar.zst", MILLRACE_UNPACK_DIR);
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

/// A part of the tests, all code compiled before it runs; evm/jit/README.md has the command for all.
TEST(StateTests, CompiledCodeChangesNoResult) {
    const auto folder =
        test::unpacked_vectors("state_tests", "eest-state-tests.tar.zst", MILLRACE_UNPACK_DIR);
    if (!folder) { GTEST_SKIP() << "vectors 'eest-state-tests.tar.zst' are not here"; }
    evm::jit::JitOptions jit_options;
    jit_options.mode = evm::jit::JitMode::eager;
    jit_options.shadow_runs = 0;
    jit_options.limits.optimizing_cost_max = 300;  // both levels, most of it quick
    auto jit = evm::jit::JitEngine::create(std::move(jit_options));
    if (!jit) { GTEST_SKIP() << jit.error().message; }
    RunnerOptions options;
    options.native_tier = jit->get();
    unsigned parts = 0;
    for (const char* part : {"byzantium", "constantinople", "istanbul", "osaka", "shanghai"}) {
        fs::path path = *folder / part;
        if (!fs::exists(path)) { path = *folder / "state_tests" / part; }
        if (!fs::exists(path)) { continue; }
        ++parts;
        const auto report = run_state_tests(path.string(), options);
        ASSERT_TRUE(report.has_value()) << report.error().message;
        EXPECT_GT(report->passed, 0u);
        for (const CaseFailure& f : report->failures) {
            ADD_FAILURE() << f.test << " [" << f.fork << "] in " << f.file << ": " << f.reason
                          << " " << f.expected << " " << f.got;
        }
    }
    if (parts == 0) { GTEST_SKIP() << "the vectors are not in folders of forks"; }
    EXPECT_GT((*jit)->statistics().native_frames, 1'000u) << "hardly anything ran compiled";
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
