// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the timed calls of precompiles: their answers hold, and a wrong one is noticed.
#include "host/node/benchmark/precompile_bench.hpp"

#include <gtest/gtest.h>

#include <set>

namespace millrace::node {
namespace {

/// One sample of each: the answers are checked, the times mean nothing.
PrecompileBenchOptions quick(evm::Revision revision = evm::latest_revision) {
    return {.revision = revision, .samples_min = 1, .seconds_min = 0};
}

TEST(PrecompileBench, EveryCaseGivesItsAnswerAndEveryContractHasOne) {
    const auto cases = precompile_cases();
    std::set<unsigned> numbers;
    std::set<std::string> names;
    for (const PrecompileCase& c : cases) {
        numbers.insert(c.number);
        EXPECT_TRUE(names.insert(c.name).second) << c.name;
    }
    EXPECT_EQ(18u, numbers.size());
    EXPECT_EQ(1u, *numbers.begin());
    EXPECT_EQ(0x100u, *numbers.rbegin());
    const auto timings = run_precompile_bench(cases, quick());
    ASSERT_TRUE(timings) << timings.error().message;
    ASSERT_EQ(cases.size(), timings->size());
    for (const PrecompileTiming& t : *timings) {
        EXPECT_GT(t.gas, 0u) << t.name;
        EXPECT_GT(t.median_us, 0) << t.name;
    }
}

TEST(PrecompileBench, UsesThePricesAndContractsOfTheFork) {
    const auto timings = run_precompile_bench(precompile_cases(), [] {
        PrecompileBenchOptions options = quick(evm::Revision::byzantium);
        options.filter = "bn254";
        return options;
    }());
    ASSERT_TRUE(timings);
    ASSERT_FALSE(timings->empty());
    EXPECT_EQ("bn254_add", timings->front().name);
    EXPECT_EQ(500u, timings->front().gas);
    PrecompileBenchOptions options = quick(evm::Revision::istanbul);
    options.filter = "bls12";
    const auto none = run_precompile_bench(precompile_cases(), options);
    ASSERT_TRUE(none);
    EXPECT_TRUE(none->empty());
}

TEST(PrecompileBench, StopsAtAWrongAnswer) {
    std::vector<PrecompileCase> cases{{"sha256/0", 2, {}, Bytes(32)}};
    const auto wrong = run_precompile_bench(cases, quick());
    ASSERT_FALSE(wrong);
    EXPECT_NE(std::string::npos, wrong.error().message.find("sha256/0: returned 0xe3b0c442"));
    cases = {{"blake2f/short", 9, Bytes(3), {}}};
    const auto failed = run_precompile_bench(cases, quick());
    ASSERT_FALSE(failed);
    EXPECT_NE(std::string::npos, failed.error().message.find("blake2f/short: failed"));
}

}  // namespace
}  // namespace millrace::node
