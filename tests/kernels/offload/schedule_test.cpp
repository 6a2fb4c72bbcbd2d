// SPDX-License-Identifier: Apache-2.0
// Owns the test of the engine under random schedules and faults of a device.
#include "tests/kernels/offload/schedule.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <cstdlib>
#include <random>
#include <vector>

#include "host/base/log.hpp"

namespace millrace::kernels {
namespace {

std::vector<uint8_t> script_of(uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<uint8_t> script(16 + random() % 600);
    for (uint8_t& byte : script) { byte = static_cast<uint8_t>(random()); }
    return script;
}

TEST(OffloadSchedule, LosesRepeatsAndFalsifiesNothing) {
    log::configure({log::Level::error, log::Format::terminal});
    // The seed of another run, or longer runs, by the environment.
    const char* const given = std::getenv("MILLRACE_SCHEDULE_SEED");
    const char* const seconds = std::getenv("MILLRACE_SCHEDULE_SECONDS");
    const uint64_t first = given != nullptr ? std::strtoull(given, nullptr, 10) : 1;
    const auto end = std::chrono::steady_clock::now() +
                     std::chrono::seconds(seconds != nullptr ? std::atoi(seconds) : 5);
    ScheduleOutcome all;
    uint64_t runs = 0;
    uint64_t quarantined = 0;
    // As many as fit, but enough to mean something even on a slow machine.
    for (; runs < 100 || (runs < 2'000'000 && std::chrono::steady_clock::now() < end); ++runs) {
        const ScheduleOutcome outcome = run_schedule(script_of(first + runs));
        ASSERT_EQ("", outcome.wrong) << "seed " << first + runs;
        all.submissions += outcome.submissions;
        all.calls += outcome.calls;
        all.device_batches += outcome.device_batches;
        all.device_items += outcome.device_items;
        quarantined += outcome.quarantined ? 1 : 0;
    }
    std::printf("%llu runs: %llu submissions, %llu calls, %llu device batches, %llu items "
                "accepted, %llu quarantines\n",
                static_cast<unsigned long long>(runs),
                static_cast<unsigned long long>(all.submissions),
                static_cast<unsigned long long>(all.calls),
                static_cast<unsigned long long>(all.device_batches),
                static_cast<unsigned long long>(all.device_items),
                static_cast<unsigned long long>(quarantined));
    // The schedules reach what they are for.
    EXPECT_GT(all.device_items, runs);
    EXPECT_GT(quarantined, runs / 10);
    EXPECT_LT(quarantined, runs);
}

TEST(OffloadSchedule, TheSameScriptGivesTheSameRun) {
    const std::vector<uint8_t> script = script_of(7);
    const ScheduleOutcome a = run_schedule(script);
    const ScheduleOutcome b = run_schedule(script);
    EXPECT_EQ(a.submissions, b.submissions);
    EXPECT_EQ(a.device_batches, b.device_batches);
    EXPECT_EQ(a.device_items, b.device_items);
}

}  // namespace
}  // namespace millrace::kernels
