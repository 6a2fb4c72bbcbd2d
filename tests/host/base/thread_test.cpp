// SPDX-License-Identifier: Apache-2.0
// Owns the tests of thread names and processor binding.
#include "host/base/thread.hpp"

#include <gtest/gtest.h>
#include <pthread.h>
#include <sched.h>

#include <string>
#include <thread>

namespace millrace {
namespace {

std::string own_name() {
    char text[16] = {};
    EXPECT_EQ(pthread_getname_np(pthread_self(), text, sizeof text), 0);
    return text;
}

TEST(ThreadName, IsSetAndCutAtFifteenBytes) {
    std::thread([] {
        set_thread_name("sealer");
        EXPECT_EQ(own_name(), "sealer");
        set_thread_name("abcdefghijklmno");
        EXPECT_EQ(own_name(), "abcdefghijklmno");
        set_thread_name("abcdefghijklmnopqrstuvwxyz");
        EXPECT_EQ(own_name(), "abcdefghijklmno");
        set_thread_name("");
        EXPECT_EQ(own_name(), "");
    }).join();
}

TEST(ThreadName, NeedsNoTerminatingZero) {
    std::thread([] {
        set_thread_name(std::string_view("worker-17-extra").substr(0, 9));
        EXPECT_EQ(own_name(), "worker-17");
    }).join();
}

TEST(ThreadPinning, BindsToAProcessorOfTheProcess) {
    cpu_set_t allowed;
    ASSERT_EQ(sched_getaffinity(0, sizeof allowed, &allowed), 0);
    unsigned cpu = 0;
    while (!CPU_ISSET(cpu, &allowed)) { ++cpu; }
    std::thread([cpu] {
        ASSERT_TRUE(pin_thread_to_cpu(cpu).has_value());
        EXPECT_EQ(sched_getcpu(), static_cast<int>(cpu));
    }).join();
}

TEST(ThreadPinning, RefusesAProcessorThatDoesNotExist) {
    for (const unsigned cpu : {1023u, 1024u, ~0u}) {
        const auto r = pin_thread_to_cpu(cpu);
        ASSERT_FALSE(r.has_value()) << cpu;
        EXPECT_EQ(r.error().code, ErrorCode::unavailable);
        EXPECT_NE(r.error().message.find(std::to_string(cpu)), std::string::npos);
    }
}

}  // namespace
}  // namespace millrace
