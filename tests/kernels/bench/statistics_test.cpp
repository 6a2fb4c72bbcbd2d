// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the order statistics of timings.
#include "kernels/bench/statistics.hpp"

#include <gtest/gtest.h>

#include <numeric>

namespace millrace::kernel_bench {
namespace {

TEST(Summarize, NoSampleIsAllZero) {
    const Summary s = summarize({});
    EXPECT_EQ(s.samples, 0u);
    EXPECT_EQ(s.min, 0);
    EXPECT_EQ(s.median, 0);
    EXPECT_FALSE(s.p99);
    EXPECT_EQ(s.max, 0);
    EXPECT_EQ(s.spread, 0);
}

TEST(Summarize, OneSampleIsEveryQuantile) {
    const Summary s = summarize({7});
    EXPECT_EQ(s.samples, 1u);
    EXPECT_EQ(s.min, 7);
    EXPECT_EQ(s.median, 7);
    EXPECT_FALSE(s.p99) << "of one sample there is no tail";
    EXPECT_EQ(s.max, 7);
    EXPECT_EQ(s.spread, 0);
}

TEST(Summarize, OrderOfSamplesDoesNotMatter) {
    std::vector<double> samples(200);
    std::iota(samples.begin(), samples.end(), 1.0);
    const Summary up = summarize(samples);
    std::reverse(samples.begin(), samples.end());
    const Summary down = summarize(samples);
    EXPECT_EQ(up.median, 100);
    EXPECT_EQ(up.p99, 198);
    EXPECT_EQ(up.max, 200);
    EXPECT_DOUBLE_EQ(up.spread, (150.0 - 50.0) / 100.0);
    EXPECT_EQ(down.median, up.median);
    EXPECT_EQ(down.p99, up.p99);
    EXPECT_EQ(down.spread, up.spread);
}

TEST(Summarize, MedianOfAnEvenNumberIsASampleThatWasSeen) {
    EXPECT_EQ(summarize({1, 2, 30, 40}).median, 2);
}

TEST(Summarize, SpreadOfZeroTimesIsZero) { EXPECT_EQ(summarize({0, 0, 0, 5}).spread, 0); }

TEST(NearestRank, TakesTheEndsAndNothingBeyond) {
    const std::vector<double> ascending = {1, 2, 3};
    EXPECT_EQ(nearest_rank(ascending, 0), 1);
    EXPECT_EQ(nearest_rank(ascending, 1.0 / 3), 1);
    EXPECT_EQ(nearest_rank(ascending, 0.34), 2);
    EXPECT_EQ(nearest_rank(ascending, 1), 3);
}

}  // namespace
}  // namespace millrace::kernel_bench
