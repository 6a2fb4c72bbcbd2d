// SPDX-License-Identifier: Apache-2.0
// Owns the run of Ethereum's blockchain tests and of real blocks, where these are given.
#include <gtest/gtest.h>

#include "host/node/conformance/block_test.hpp"
#include "host/node/conformance/mainnet_block.hpp"
#include "tests/evm/tx/unpacked_vectors.hpp"

namespace millrace::node {
namespace {

TEST(BlockchainTests, EveryFixturePassesAndEveryInvalidBlockIsRefusedForItsReason) {
    const auto folder = test::unpacked_vectors("blockchain_tests", "eest-blockchain-tests.tar.zst",
                                               MILLRACE_UNPACK_DIR);
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
