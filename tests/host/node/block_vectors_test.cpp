// SPDX-License-Identifier: Apache-2.0
// Owns the run of Ethereum's blockchain tests and of real blocks, where these are given.
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "host/node/conformance/block_test.hpp"
#include "host/node/conformance/mainnet_block.hpp"
#include "tests/evm/tx/vector_files.hpp"

namespace millrace::node {
namespace {

namespace fs = std::filesystem;

/// The unpacked tests: given as a folder, or unpacked here from the archive once.
std::optional<fs::path> blockchain_tests() {
    if (const auto folder = test::find_vectors("blockchain_tests")) { return folder; }
    auto archive = test::find_vectors("eest-blockchain-tests.tar.zst");
    if (!archive) { archive = test::find_vectors("vectors/eest-blockchain-tests.tar.zst"); }
    if (!archive) { return std::nullopt; }
    const fs::path target = MILLRACE_UNPACK_DIR;
    const fs::path done = target / "blockchain_tests.unpacked";
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

TEST(BlockchainTests, EveryFixturePassesAndEveryInvalidBlockIsRefusedForItsReason) {
    const auto folder = blockchain_tests();
    if (!folder) {
        GTEST_SKIP() << "vectors 'eest-blockchain-tests.tar.zst' are not here; set "
                        "MILLRACE_VECTORS to the folder that has them";
    }
    const auto report = run_block_tests(folder->string(), {});
    ASSERT_TRUE(report.has_value()) << report.error().message;
    EXPECT_GT(report->passed, 1000u) << "these are not all the blockchain tests";
    EXPECT_TRUE(report->failures.empty()) << summary_text(*report, "block tests");
    RecordProperty("passed", std::to_string(report->passed));
}

TEST(MainnetBlocks, EveryGivenBlockAgreesWithItsHeader) {
    MILLRACE_NEED_VECTORS(folder, "blocks");
    const auto results = run_mainnet_blocks(folder.string(), {});
    ASSERT_TRUE(results.has_value()) << results.error().message;
    for (const MainnetBlockResult& r : *results) { EXPECT_EQ(r.failure, "") << r.file; }
    RecordProperty("passed", std::to_string(results->size()));
}

}  // namespace
}  // namespace millrace::node
