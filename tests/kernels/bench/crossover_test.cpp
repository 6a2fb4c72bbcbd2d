// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the crossover on made-up rates.
#include "kernels/bench/crossover.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/bench/report.hpp"

namespace millrace::kernel_bench {
namespace {

using testing::HasSubstr;

/// A device that takes `latency` and then `each`, beside a CPU that takes only `each_cpu`.
std::vector<RatesAtBatch> linear(double latency, double each, double each_cpu) {
    std::vector<RatesAtBatch> rates;
    for (size_t batch = 1; batch <= 65536; batch *= 4) {
        const auto n = static_cast<double>(batch);
        rates.push_back({batch, n / (latency + n * each), 1 / each_cpu});
    }
    return rates;
}

TEST(FindCrossover, LatencyAgainstRateCrossesWhereTheTimesAreEqual) {
    // 100 + n = 2 n at n = 100: behind at 64, ahead at 256.
    const Crossover c = find_crossover(linear(100, 1, 2), "");
    EXPECT_EQ(c.first, 256u);
    EXPECT_EQ(c.last_lost, 64u);
    EXPECT_EQ(c.last, 65536u);
    EXPECT_TRUE(c.to_the_end);
    ASSERT_TRUE(c.interpolated.has_value());
    // A straight line instead of the curve between them.
    EXPECT_NEAR(*c.interpolated, 100, 15);
    EXPECT_THAT(describe(c), HasSubstr("from 256, behind at 64, equal at about"));
}

TEST(FindCrossover, ADeviceThatAlwaysWinsWinsFromTheSmallest) {
    const Crossover c = find_crossover(linear(0, 1, 2), "");
    EXPECT_EQ(c.first, 1u);
    EXPECT_FALSE(c.last_lost.has_value());
    EXPECT_FALSE(c.interpolated.has_value());
    EXPECT_THAT(describe(c), HasSubstr("from 1, the smallest batch compared"));
}

TEST(FindCrossover, ADeviceThatNeverWinsHasAReason) {
    const Crossover c = find_crossover(linear(100, 3, 2), "");
    EXPECT_FALSE(c.first.has_value());
    EXPECT_THAT(c.reason, HasSubstr("65536"));
    EXPECT_THAT(describe(c), HasSubstr("none: "));
}

TEST(FindCrossover, EqualRatesAreNoWin) {
    const Crossover c = find_crossover({{1, 5.0, 5.0}, {4, 5.0, 5.0}}, "");
    EXPECT_FALSE(c.first.has_value());
}

TEST(FindCrossover, ASingleWinAmongLossesIsTakenForNoise) {
    const Crossover c = find_crossover(
        {{1, 1.0, 2.0}, {4, 3.0, 2.0}, {16, 1.0, 2.0}, {64, 3.0, 2.0}, {256, 3.0, 2.0}}, "");
    EXPECT_EQ(c.first, 64u);
    EXPECT_EQ(c.last_lost, 16u);
}

TEST(FindCrossover, AWinAtTheLargestBatchAloneCounts) {
    const Crossover c = find_crossover({{1, 1.0, 2.0}, {4, 1.0, 2.0}, {16, 3.0, 2.0}}, "");
    EXPECT_EQ(c.first, 16u);
    EXPECT_TRUE(c.to_the_end);
}

TEST(FindCrossover, ADeviceThatFallsBehindAgainHasAnEnd) {
    const Crossover c =
        find_crossover({{1, 1.0, 2.0}, {4, 3.0, 2.0}, {16, 3.0, 2.0}, {64, 1.0, 2.0}}, "");
    EXPECT_EQ(c.first, 4u);
    EXPECT_EQ(c.last, 16u);
    EXPECT_FALSE(c.to_the_end);
    EXPECT_THAT(describe(c), HasSubstr("from 4 to 16"));
}

TEST(FindCrossover, BatchesWithoutARivalAreLeftOut) {
    const Crossover c = find_crossover(
        {{1, 1.0, 2.0}, {4, 9.0, std::nullopt}, {16, std::nullopt, 2.0}, {64, 3.0, 2.0}}, "");
    EXPECT_EQ(c.first, 64u);
    EXPECT_EQ(c.last_lost, 1u);
}

TEST(FindCrossover, SaysWhyThereIsNothingToCompare) {
    EXPECT_EQ(find_crossover({{1, std::nullopt, 2.0}}, "no driver").reason, "no driver");
    EXPECT_EQ(find_crossover({}, "").reason, "no device was measured");
    EXPECT_THAT(find_crossover({{1, 2.0, std::nullopt}}, "").reason, HasSubstr("no CPU back end"));
}

Row row_of(const char* backend, bool on_device, size_t threads, size_t batch, double ns) {
    Row row;
    row.family = "hash";
    row.kernel = "k";
    row.shape = "s";
    row.backend = backend;
    row.on_device = on_device;
    row.threads = threads;
    row.batch = batch;
    row.state = RowState::measured;
    row.end_to_end_ns = summarize({ns});
    return row;
}

TEST(FindCrossovers, TheCpuIsTakenAtItsBest) {
    // One core beats the device at 100; all cores do so at 1000 too.
    const std::vector<Row> rows = {
        row_of("cuda", true, 1, 100, 500),    row_of("scalar", false, 1, 100, 900),
        row_of("simd", false, 1, 100, 400),   row_of("simd", false, 8, 100, 2000),
        row_of("cuda", true, 1, 1000, 900),   row_of("simd", false, 1, 1000, 4000),
        row_of("simd", false, 8, 1000, 800),  row_of("cuda", true, 1, 10000, 4000),
        row_of("simd", false, 8, 10000, 8000)};
    const auto crossovers = find_crossovers(rows);
    ASSERT_EQ(crossovers.size(), 1u);
    EXPECT_EQ(crossovers[0].kernel, "k");
    EXPECT_EQ(crossovers[0].crossover.first, 10000u);
    EXPECT_EQ(crossovers[0].crossover.last_lost, 1000u);
}

TEST(FindCrossovers, AnAbsentDevicesReasonIsTheCrossovers) {
    Row absent = row_of("cuda", true, 1, 0, 0);
    absent.state = RowState::skipped;
    absent.reason = "no device: the driver lists none";
    const auto crossovers = find_crossovers({absent, row_of("simd", false, 1, 16, 10)});
    ASSERT_EQ(crossovers.size(), 1u);
    EXPECT_EQ(crossovers[0].crossover.reason, absent.reason);
}

TEST(FindCrossovers, WhatHasNoRivalOfTheOtherKindIsLeftOut) {
    EXPECT_TRUE(find_crossovers({row_of("simd", false, 1, 16, 10)}).empty());
    EXPECT_TRUE(find_crossovers({row_of("cuda", true, 1, 16, 10)}).empty());
}

}  // namespace
}  // namespace millrace::kernel_bench
