// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the bounded rings and the mailbox, alone and between threads.
#include "host/base/ring.hpp"

#include <gtest/gtest.h>

#include <chrono>
#include <thread>
#include <vector>

#include "host/base/clock.hpp"

namespace millrace {
namespace {

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
constexpr uint64_t stress_count = 50'000;
#else
constexpr uint64_t stress_count = 400'000;
#endif
#else
constexpr uint64_t stress_count = 400'000;
#endif

/// Counts its living instances; a moved-from one lives on.
struct Tracked {
    static inline std::atomic<int> alive{0};
    uint64_t value = 0;
    std::unique_ptr<uint64_t> heap;  // makes leaks and double frees visible to the sanitizers
    explicit Tracked(uint64_t v) : value(v), heap(std::make_unique<uint64_t>(v)) { ++alive; }
    Tracked(Tracked&& o) noexcept : value(o.value), heap(std::move(o.heap)) { ++alive; }
    Tracked& operator=(Tracked&&) = delete;
    ~Tracked() { --alive; }
};

template <class Ring>
class AnyRing : public testing::Test {};
using Rings = testing::Types<SpscRing<Tracked>, MpscRing<Tracked>, Mailbox<Tracked>>;
TYPED_TEST_SUITE(AnyRing, Rings);

TYPED_TEST(AnyRing, KeepsOrderAndRefusesWhenFull) {
    for (const size_t capacity : {size_t{2}, size_t{4}, size_t{64}}) {
        TypeParam ring(capacity);
        EXPECT_EQ(ring.capacity(), capacity);
        EXPECT_EQ(ring.size_approx(), 0u);
        EXPECT_FALSE(ring.try_pop().has_value());
        for (uint64_t i = 0; i < capacity; ++i) {
            ASSERT_TRUE(ring.try_push(Tracked(i)));
            EXPECT_EQ(ring.size_approx(), i + 1);
        }
        Tracked refused(99);
        EXPECT_FALSE(ring.try_push(std::move(refused)));
        ASSERT_NE(refused.heap, nullptr) << "a refused element is untouched";
        EXPECT_EQ(ring.size_approx(), capacity);
        for (uint64_t i = 0; i < capacity; ++i) {
            auto v = ring.try_pop();
            ASSERT_TRUE(v.has_value());
            EXPECT_EQ(v->value, i);
            EXPECT_EQ(*v->heap, i);
        }
        EXPECT_FALSE(ring.try_pop().has_value());
        EXPECT_EQ(ring.size_approx(), 0u);
    }
    EXPECT_EQ(Tracked::alive, 0);
}

TYPED_TEST(AnyRing, WorksAtEveryFillLevelAroundTheWrap) {
    TypeParam ring(4);
    uint64_t pushed = 0;
    uint64_t popped = 0;
    for (uint64_t level = 0; level <= 4; ++level) {
        for (int round = 0; round < 20; ++round) {
            while (pushed - popped < level) { ASSERT_TRUE(ring.try_push(Tracked(pushed++))); }
            ASSERT_EQ(ring.size_approx(), level);
            Tracked extra(pushed);
            ASSERT_EQ(ring.try_push(std::move(extra)), level < 4);
            if (level < 4) { ++pushed; }
            const auto v = ring.try_pop();
            ASSERT_TRUE(v.has_value());
            ASSERT_EQ(v->value, popped++);
        }
    }
}

TYPED_TEST(AnyRing, DestroysWhatIsLeft) {
    {
        TypeParam ring(8);
        for (uint64_t i = 0; i < 5; ++i) { ASSERT_TRUE(ring.try_push(Tracked(i))); }
        ASSERT_TRUE(ring.try_pop().has_value());
        EXPECT_EQ(Tracked::alive, 4);
    }
    EXPECT_EQ(Tracked::alive, 0);
}

TYPED_TEST(AnyRing, ACapacityThatIsNoPowerOfTwoIsABug) {
    for (const size_t capacity : {size_t{0}, size_t{1}, size_t{3}, size_t{12}}) {
        EXPECT_DEATH(TypeParam ring(capacity), "the capacity of a ring is a power of two");
    }
}

TEST(SpscRing, HandsOverEverythingInOrderBetweenTwoThreads) {
    SpscRing<Tracked> ring(16);
    std::thread producer([&ring] {
        for (uint64_t i = 0; i < stress_count; ++i) {
            Tracked v(i);
            while (!ring.try_push(std::move(v))) { std::this_thread::yield(); }
        }
    });
    for (uint64_t i = 0; i < stress_count;) {
        const auto v = ring.try_pop();
        if (!v) {
            std::this_thread::yield();
            continue;
        }
        ASSERT_EQ(v->value, i);
        ASSERT_EQ(*v->heap, i);
        ASSERT_LE(ring.size_approx(), ring.capacity());
        ++i;
    }
    producer.join();
    EXPECT_FALSE(ring.try_pop().has_value());
    EXPECT_EQ(Tracked::alive, 0);
}

constexpr uint64_t producers_count = 3;

/// Starts the producers, each of which pushes (id << 32 | 0, 1, 2 ..) with pauses of `pause_every`.
template <class Queue>
std::vector<std::thread> start_producers(Queue& queue, uint64_t each, uint64_t pause_every) {
    std::vector<std::thread> threads;
    for (uint64_t p = 0; p < producers_count; ++p) {
        threads.emplace_back([&queue, p, each, pause_every] {
            for (uint64_t i = 0; i < each; ++i) {
                Tracked v(p << 32 | i);
                while (!queue.try_push(std::move(v))) { std::this_thread::yield(); }
                if (pause_every != 0 && i % pause_every == 0) {
                    std::this_thread::sleep_for(std::chrono::microseconds(100));
                }
            }
        });
    }
    return threads;
}

/// Checks that each producer's elements come once and in order.
class OrderCheck {
public:
    void see(const Tracked& v) {
        const uint64_t p = v.value >> 32;
        ASSERT_LT(p, producers_count);
        ASSERT_EQ(v.value & 0xffffffff, next_[p]);
        ASSERT_EQ(*v.heap, v.value);
        ++next_[p];
    }

private:
    uint64_t next_[producers_count] = {};
};

TEST(MpscRing, KeepsTheOrderOfEachOfManyProducers) {
    MpscRing<Tracked> ring(8);
    constexpr uint64_t each = stress_count / producers_count;
    auto producers = start_producers(ring, each, 0);
    OrderCheck order;
    for (uint64_t n = 0; n < each * producers_count;) {
        const auto v = ring.try_pop();
        if (!v) {
            std::this_thread::yield();
            continue;
        }
        order.see(*v);
        ASSERT_LE(ring.size_approx(), ring.capacity());
        ++n;
    }
    for (std::thread& t : producers) { t.join(); }
    EXPECT_FALSE(ring.try_pop().has_value());
    EXPECT_EQ(Tracked::alive, 0);
}

TEST(Mailbox, NoWakeUpIsLostWhileTheConsumerKeepsFallingAsleep) {
    Mailbox<Tracked> mailbox(8);
    constexpr uint64_t each = stress_count / 50;
    auto producers = start_producers(mailbox, each, 7);
    const SystemClock clock;
    OrderCheck order;
    for (uint64_t n = 0; n < each * producers_count; ++n) {
        // A lost wake-up would sleep through the whole deadline and come back late.
        const int64_t start_us = clock.steady_us();
        const auto v = mailbox.pop_wait_until(start_us + 60'000'000);
        ASSERT_TRUE(v.has_value());
        ASSERT_LT(clock.steady_us() - start_us, 60'000'000);
        order.see(*v);
    }
    for (std::thread& t : producers) { t.join(); }
    EXPECT_EQ(Tracked::alive, 0);
}

// Each side sends while the other is about to sleep: the moment that the fences are for.
TEST(Mailbox, PingPongNeverStalls) {
    Mailbox<Tracked> there(2);
    Mailbox<Tracked> back(2);
    constexpr uint64_t rounds = stress_count / 8;
    std::thread echo([&] {
        const SystemClock clock;
        for (uint64_t i = 0; i < rounds; ++i) {
            auto v = there.pop_wait_until(clock.steady_us() + 60'000'000);
            ASSERT_TRUE(v.has_value());
            ASSERT_TRUE(back.try_push(std::move(*v)));
        }
    });
    const SystemClock clock;
    for (uint64_t i = 0; i < rounds; ++i) {
        ASSERT_TRUE(there.try_push(Tracked(i)));
        const int64_t start_us = clock.steady_us();
        const auto v = back.pop_wait_until(start_us + 60'000'000);
        ASSERT_TRUE(v.has_value());
        ASSERT_LT(clock.steady_us() - start_us, 60'000'000);
        ASSERT_EQ(v->value, i);
    }
    echo.join();
}

TEST(Mailbox, ShortDeadlinesUnderLoadLoseNothing) {
    Mailbox<Tracked> mailbox(8);
    constexpr uint64_t each = stress_count / 50;
    auto producers = start_producers(mailbox, each, 5);
    const SystemClock clock;
    OrderCheck order;
    for (uint64_t n = 0; n < each * producers_count;) {
        const auto v = mailbox.pop_wait_until(clock.steady_us() + 50);
        if (v) {
            order.see(*v);
            ++n;
        }
    }
    for (std::thread& t : producers) { t.join(); }
    EXPECT_EQ(Tracked::alive, 0);
}

TEST(Mailbox, WaitsForItsDeadlineAndNotMuchLonger) {
    Mailbox<Tracked> mailbox(2);
    const SystemClock clock;
    const int64_t start_us = clock.steady_us();
    EXPECT_FALSE(mailbox.pop_wait_until(start_us + 30'000).has_value());
    const int64_t waited_us = clock.steady_us() - start_us;
    EXPECT_GE(waited_us, 30'000);
    EXPECT_LT(waited_us, 30'000'000) << "a wrong unit or a lost wake-up";
}

TEST(Mailbox, ADeadlineInThePastStillPops) {
    Mailbox<Tracked> mailbox(2);
    for (const int64_t deadline_us : {int64_t{-5}, int64_t{0}, int64_t{1}}) {
        EXPECT_FALSE(mailbox.pop_wait_until(deadline_us).has_value());
        ASSERT_TRUE(mailbox.try_push(Tracked(4)));
        const auto v = mailbox.pop_wait_until(deadline_us);
        ASSERT_TRUE(v.has_value());
        EXPECT_EQ(v->value, 4u);
    }
}

TEST(Mailbox, AWakeEndsThePresentOrTheNextWaitOnce) {
    Mailbox<Tracked> mailbox(2);
    const SystemClock clock;
    mailbox.wake();
    int64_t start_us = clock.steady_us();
    EXPECT_FALSE(mailbox.pop_wait_until(start_us + 60'000'000).has_value());
    EXPECT_LT(clock.steady_us() - start_us, 60'000'000);

    start_us = clock.steady_us();
    EXPECT_FALSE(mailbox.pop_wait_until(start_us + 10'000).has_value());
    EXPECT_GE(clock.steady_us() - start_us, 10'000) << "the request was used up";

    int order_to_stop = 0;  // not atomic: wake() hands it over
    std::thread waker([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        order_to_stop = 1;
        mailbox.wake();
    });
    start_us = clock.steady_us();
    EXPECT_FALSE(mailbox.pop_wait_until(start_us + 60'000'000).has_value());
    EXPECT_EQ(order_to_stop, 1);
    EXPECT_LT(clock.steady_us() - start_us, 60'000'000);
    waker.join();
}

TEST(Mailbox, AnElementIsPreferredToAWake) {
    Mailbox<Tracked> mailbox(2);
    mailbox.wake();
    ASSERT_TRUE(mailbox.try_push(Tracked(1)));
    EXPECT_TRUE(mailbox.pop_wait_until(0).has_value());
    EXPECT_FALSE(mailbox.pop_wait_until(0).has_value());
}

}  // namespace
}  // namespace millrace
