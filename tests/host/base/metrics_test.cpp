// SPDX-License-Identifier: Apache-2.0
// Owns the tests of counters, gauges, histograms and their Prometheus text.
#include "host/base/metrics.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <thread>

namespace millrace::metrics {
namespace {

using testing::HasSubstr;

TEST(Metrics, TheTextOfCountersAndGaugesIsExact) {
    Registry registry;
    registry.gauge("millrace_pool_bytes", "Bytes in the pool.").set(-5);
    registry.counter("millrace_txs_total", "Transactions.", "kind=\"b\"").add(2);
    registry.counter("millrace_txs_total", "ignored", "kind=\"a\"").add();
    EXPECT_EQ(registry.prometheus(), "# HELP millrace_pool_bytes Bytes in the pool.\n"
                                     "# TYPE millrace_pool_bytes gauge\n"
                                     "millrace_pool_bytes -5\n"
                                     "# HELP millrace_txs_total Transactions.\n"
                                     "# TYPE millrace_txs_total counter\n"
                                     "millrace_txs_total{kind=\"a\"} 1\n"
                                     "millrace_txs_total{kind=\"b\"} 2\n");
}

TEST(Metrics, AnEmptyRegistryHasNoText) { EXPECT_EQ(Registry().prometheus(), ""); }

TEST(Metrics, HelpIsEscaped) {
    Registry registry;
    registry.counter("a_total", "one\\two\nthree");
    EXPECT_THAT(registry.prometheus(), HasSubstr("# HELP a_total one\\\\two\\nthree\n"));
}

TEST(Metrics, AskingTwiceGivesTheSameObjectForEver) {
    Registry registry;
    Counter& first = registry.counter("c_total", "C.", "n=\"0\"");
    for (int i = 1; i < 500; ++i) {
        registry.counter("c_total", "C.", "n=\"" + std::to_string(i) + "\"");
        registry.gauge("g_" + std::to_string(i), "G.");
    }
    first.add(3);
    EXPECT_EQ(&registry.counter("c_total", "C.", "n=\"0\""), &first);
    EXPECT_NE(&registry.counter("c_total", "C.", "n=\"1\""), &first);
    EXPECT_EQ(registry.counter("c_total", "C.", "n=\"0\"").value(), 3u);
}

TEST(MetricsDeathTest, ANameHasOneTypeAndAValidForm) {
    Registry registry;
    registry.counter("x_total", "X.");
    EXPECT_DEATH(registry.gauge("x_total", "X."), "a metric's name has one type");
    EXPECT_DEATH(registry.counter("x total", "X."), "a metric's name is");
    EXPECT_DEATH(registry.counter("9x", "X."), "a metric's name is");
    EXPECT_DEATH(registry.counter("", "X."), "a metric's name is");
}

TEST(Histogram, BucketsHoldTheirUpperBound) {
    for (size_t i = 0; i < Histogram::bucket_count; ++i) {
        const uint64_t bound_us = uint64_t{1} << i;
        Histogram at;
        at.observe_us(bound_us);
        EXPECT_EQ(at.bucket(i), 1u) << bound_us;
        Histogram above;
        above.observe_us(bound_us + 1);
        EXPECT_EQ(above.bucket(i + 1), 1u) << bound_us;
    }
    Histogram edges;
    edges.observe_us(0);
    edges.observe_us(UINT64_MAX);
    EXPECT_EQ(edges.bucket(0), 1u);
    EXPECT_EQ(edges.bucket(Histogram::bucket_count), 1u);
}

TEST(Histogram, QuantilesAreBucketBounds) {
    Histogram h;
    EXPECT_EQ(h.quantile_us(0.5), 0u);
    for (int i = 0; i < 90; ++i) { h.observe_us(100); }
    for (int i = 0; i < 10; ++i) { h.observe_us(1'000); }
    EXPECT_EQ(h.count(), 100u);
    EXPECT_DOUBLE_EQ(h.sum_seconds(), 0.019);
    EXPECT_EQ(h.quantile_us(0.0), 128u);
    EXPECT_EQ(h.quantile_us(0.5), 128u);
    EXPECT_EQ(h.quantile_us(0.9), 128u);
    EXPECT_EQ(h.quantile_us(0.91), 1'024u);
    EXPECT_EQ(h.quantile_us(1.0), 1'024u);
    EXPECT_EQ(h.quantile_us(7.0), 1'024u);
    h.observe_us(UINT64_MAX / 2);
    EXPECT_EQ(h.quantile_us(1.0), UINT64_MAX);
}

TEST(Histogram, TextHasCumulativeBucketsInSeconds) {
    Registry registry;
    Histogram& h = registry.histogram("millrace_stage_seconds", "Time.", "stage=\"execute\"");
    h.observe_us(1);
    h.observe_us(3);
    h.observe_us(1'500'000);
    h.observe_us(100'000'000);
    const std::string text = registry.prometheus();
    EXPECT_THAT(text,
                HasSubstr("# TYPE millrace_stage_seconds histogram\n"
                          "millrace_stage_seconds_bucket{stage=\"execute\",le=\"0.000001\"} 1\n"
                          "millrace_stage_seconds_bucket{stage=\"execute\",le=\"0.000002\"} 1\n"
                          "millrace_stage_seconds_bucket{stage=\"execute\",le=\"0.000004\"} 2\n"));
    EXPECT_THAT(text,
                HasSubstr("millrace_stage_seconds_bucket{stage=\"execute\",le=\"1.048576\"} 2\n"
                          "millrace_stage_seconds_bucket{stage=\"execute\",le=\"2.097152\"} 3\n"));
}

TEST(Histogram, TextEndsWithInfinitySumAndCount) {
    Registry registry;
    Histogram& h = registry.histogram("d_seconds", "D.");
    h.observe_us(1'500'000);
    h.observe_us(100'500'000);
    EXPECT_THAT(registry.prometheus(), HasSubstr("d_seconds_bucket{le=\"67.108864\"} 1\n"
                                                 "d_seconds_bucket{le=\"+Inf\"} 2\n"
                                                 "d_seconds_sum 102\n"
                                                 "d_seconds_count 2\n"));
}

TEST(Metrics, CountsFromManyThreadsAddUp) {
    Registry registry;
    std::vector<std::thread> threads;
    for (int t = 0; t < 4; ++t) {
        threads.emplace_back([&registry] {
            Counter& counter = registry.counter("n_total", "N.");
            Histogram& histogram = registry.histogram("n_seconds", "N.");
            for (uint64_t i = 0; i < 10'000; ++i) {
                counter.add();
                histogram.observe_us(i);
                if (i % 1'000 == 0) { EXPECT_THAT(registry.prometheus(), HasSubstr("n_total ")); }
            }
        });
    }
    for (std::thread& t : threads) { t.join(); }
    EXPECT_EQ(registry.counter("n_total", "N.").value(), 40'000u);
    EXPECT_EQ(registry.histogram("n_seconds", "N.").count(), 40'000u);
}

TEST(StageFigures, ShareTheirNamesAndDifferByLabel) {
    Registry registry;
    StageFigures pool(registry, "pool");
    StageFigures commit(registry, "commit");
    pool.depth.set(3);
    pool.drops.add(2);
    commit.age.observe_us(7);
    StageFigures again(registry, "pool");
    EXPECT_EQ(&again.depth, &pool.depth);
    const std::string text = registry.prometheus();
    EXPECT_THAT(text, HasSubstr("millrace_stage_depth{stage=\"commit\"} 0\n"
                                "millrace_stage_depth{stage=\"pool\"} 3\n"));
    EXPECT_THAT(text, HasSubstr("millrace_stage_drops_total{stage=\"pool\"} 2\n"));
    EXPECT_THAT(text, HasSubstr("millrace_stage_age_seconds_count{stage=\"commit\"} 1\n"));
}

}  // namespace
}  // namespace millrace::metrics
