// SPDX-License-Identifier: Apache-2.0
// Owns the tests of system and manual clocks.
#include "host/base/clock.hpp"

#include <gtest/gtest.h>

#include <ctime>

namespace millrace {
namespace {

TEST(SystemClock, WallTimeAgreesWithTheSystemsSeconds) {
    const SystemClock clock;
    const std::time_t before_s = std::time(nullptr);
    const int64_t wall_us = clock.wall_us();
    const std::time_t after_s = std::time(nullptr);
    // time() may read a coarser clock that lags by a timer tick.
    EXPECT_GE(wall_us, before_s * 1'000'000);
    EXPECT_LE(wall_us, (after_s + 2) * 1'000'000);
}

TEST(SystemClock, SteadyTimeNeverGoesBackAndIsTheMonotonicClock) {
    const SystemClock clock;
    timespec t{};
    ASSERT_EQ(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    int64_t last_us = t.tv_sec * 1'000'000 + t.tv_nsec / 1'000;
    for (int i = 0; i < 1'000; ++i) {
        const int64_t now_us = clock.steady_us();
        ASSERT_GE(now_us, last_us);
        last_us = now_us;
    }
    ASSERT_EQ(clock_gettime(CLOCK_MONOTONIC, &t), 0);
    EXPECT_LE(last_us, t.tv_sec * 1'000'000 + t.tv_nsec / 1'000);
}

TEST(ManualClock, MovesOnlyWhenTold) {
    ManualClock clock(1'700'000'000'000'000);
    EXPECT_EQ(clock.wall_us(), 1'700'000'000'000'000);
    EXPECT_EQ(clock.steady_us(), 0);
    clock.advance_us(250);
    EXPECT_EQ(clock.wall_us(), 1'700'000'000'000'250);
    EXPECT_EQ(clock.steady_us(), 250);
}

TEST(ManualClock, AWallStepLeavesSteadyTimeAlone) {
    ManualClock clock(1'000);
    clock.step_wall_us(-600);
    EXPECT_EQ(clock.wall_us(), 400);
    EXPECT_EQ(clock.steady_us(), 0);
}

}  // namespace
}  // namespace millrace
