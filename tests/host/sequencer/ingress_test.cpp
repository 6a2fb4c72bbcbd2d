// SPDX-License-Identifier: Apache-2.0
// Owns the claims about the gate and the order of submission.
#include <gtest/gtest.h>

#include <numeric>
#include <random>
#include <thread>

#include "host/sequencer/ingress_gate.hpp"
#include "host/sequencer/pool/pool.hpp"
#include "host/sequencer/pool/tip_bucket.hpp"
#include "host/sequencer/submission_order.hpp"
#include "tests/host/sequencer/test_chain.hpp"

namespace millrace::sequencer::test {
namespace {

using Lane = IngressGate::Lane;
constexpr size_t unlimited = size_t{1} << 40;

TEST(IngressGate, CountsTransactionsAndBytesOfWhatIsInside) {
    IngressGate gate({3, 1000, unlimited, unlimited});
    EXPECT_TRUE(gate.try_enter(400, Lane::priority));
    EXPECT_TRUE(gate.try_enter(400, Lane::priority));
    EXPECT_FALSE(gate.try_enter(400, Lane::priority)) << "bytes";
    EXPECT_FALSE(gate.has_room(400, Lane::priority));
    EXPECT_TRUE(gate.try_enter(200, Lane::priority));
    EXPECT_FALSE(gate.try_enter(0, Lane::priority)) << "transactions";
    EXPECT_EQ(gate.count(), 3u);
    gate.leave(400);
    EXPECT_TRUE(gate.has_room(400, Lane::priority));
    EXPECT_TRUE(gate.try_enter(400, Lane::priority));
    EXPECT_EQ(gate.count(), 3u);
}

TEST(IngressGate, KeepsAPlaceInThePoolForAllThatItLetIn) {
    IngressGate gate({unlimited, unlimited, 10, unlimited});
    gate.set_pool(8, 0);
    EXPECT_TRUE(gate.try_enter(100, Lane::priority));
    EXPECT_TRUE(gate.try_enter(100, Lane::priority));
    EXPECT_FALSE(gate.try_enter(100, Lane::priority));
    // One moves on: it still takes its place.
    gate.set_pool(9, 0);
    gate.leave(100);
    EXPECT_FALSE(gate.try_enter(100, Lane::priority));
    gate.set_pool(8, 0);
    EXPECT_TRUE(gate.try_enter(100, Lane::priority));

    IngressGate bytes({unlimited, unlimited, unlimited, pooled_bytes(5, 500)});
    bytes.set_pool(4, pooled_bytes(4, 400));
    EXPECT_FALSE(bytes.try_enter(101, Lane::priority));
    EXPECT_TRUE(bytes.try_enter(100, Lane::priority));
}

TEST(IngressGate, LeavesAnEighthToPriority) {
    IngressGate gate({80, 8'000, unlimited, unlimited});
    for (int i = 0; i < 70; ++i) { ASSERT_TRUE(gate.try_enter(10, Lane::ordinary)); }
    EXPECT_FALSE(gate.has_room(10, Lane::ordinary));
    EXPECT_FALSE(gate.try_enter(10, Lane::ordinary));
    for (int i = 0; i < 10; ++i) { ASSERT_TRUE(gate.try_enter(10, Lane::priority)); }
    EXPECT_FALSE(gate.try_enter(10, Lane::priority));
    IngressGate pool({unlimited, unlimited, 800, unlimited});
    pool.set_pool(700, 0);
    EXPECT_FALSE(pool.try_enter(10, Lane::ordinary));
    EXPECT_TRUE(pool.try_enter(10, Lane::priority));
    IngressGate bytes({unlimited, 800, unlimited, unlimited});
    EXPECT_FALSE(bytes.try_enter(701, Lane::ordinary));
    EXPECT_TRUE(bytes.try_enter(701, Lane::priority));
}

TEST(TipBucket, IsAPowerOfFour) {
    EXPECT_EQ(tip_bucket(U256{}), 0u);
    EXPECT_EQ(tip_bucket(U256{1}), 0u);
    EXPECT_EQ(tip_bucket(U256{3}), 0u);
    EXPECT_EQ(tip_bucket(U256{4}), 1u);
    EXPECT_EQ(tip_bucket(U256{15}), 1u);
    EXPECT_EQ(tip_bucket(U256{16}), 2u);
    EXPECT_EQ(tip_bucket(U256::max()), tip_bucket_count - 1);
}

TEST(PriorityLine, LiesAboveWhatMostPay) {
    PriorityLine line;
    EXPECT_FALSE(line.has_priority(U256::max())) << "nothing is known";
    const auto pay = [&](uint64_t tip, uint32_t count) {
        for (uint32_t i = 0; i < count; ++i) { line.count(U256{tip}); }
    };
    pay(gwei, PriorityLine::window);
    EXPECT_FALSE(line.has_priority(U256{gwei}));
    EXPECT_TRUE(line.has_priority(U256{10 * gwei}));
    // A sixteenth pays ten times as much: it has priority, and stays below the share.
    for (int i = 0; i < 64; ++i) {
        pay(gwei, 60);
        pay(10 * gwei, 4);
    }
    EXPECT_FALSE(line.has_priority(U256{gwei}));
    EXPECT_TRUE(line.has_priority(U256{10 * gwei}));
    // When half do, the line moves above them.
    for (int i = 0; i < 64; ++i) {
        pay(gwei, 32);
        pay(10 * gwei, 32);
    }
    EXPECT_FALSE(line.has_priority(U256{10 * gwei}));
    EXPECT_TRUE(line.has_priority(U256{100 * gwei}));
    // And it comes down with them.
    pay(1'000, 100 * PriorityLine::window);
    EXPECT_TRUE(line.has_priority(U256{gwei}));
    EXPECT_FALSE(line.has_priority(U256{1'000}));
}

TEST(IngressGate, NeverLetsInTooManyOfThoseThatComeTogether) {
    IngressGate gate({100, unlimited, unlimited, unlimited});
    std::atomic<size_t> inside{0};
    std::atomic<size_t> most{0};
    {
        std::vector<std::jthread> threads;
        for (int t = 0; t < 4; ++t) {
            threads.emplace_back([&] {
                for (int i = 0; i < 20'000; ++i) {
                    if (!gate.try_enter(1, Lane::priority)) { continue; }
                    const size_t now = ++inside;
                    for (size_t seen = most;
                         seen < now && !most.compare_exchange_weak(seen, now);) {}
                    if (now > 90 || i % 3 == 0) {
                        --inside;
                        gate.leave(1);
                    }
                }
            });
        }
    }
    EXPECT_LE(most.load(), 100u);
    EXPECT_EQ(gate.count(), inside.load());
}

TEST(IngressGate, TellsWhenToTryAgainByDepthAndRate) {
    IngressGate gate({unlimited, unlimited, unlimited, unlimited});
    EXPECT_EQ(gate.retry_after_ms(), IngressGate::retry_ms_unknown);
    // 100 in each 10 ms: 10,000 a second.
    int64_t now_us = 50'000'000;
    for (int i = 0; i < 200; ++i) { gate.executed(100, now_us += 10'000); }
    EXPECT_NEAR(gate.executed_per_s(), 10'000, 1'000);
    EXPECT_EQ(gate.retry_after_ms(), IngressGate::retry_ms_min) << "nothing stands before it";
    gate.set_pool(4'000, 0);
    // A quarter of them takes 100 ms.
    EXPECT_NEAR(gate.retry_after_ms(), 100, 15);
    // A pause is no work that was slow.
    now_us += 60'000'000;
    gate.executed(1, now_us);
    EXPECT_NEAR(gate.executed_per_s(), 10'000, 1'000);
    gate.set_pool(100'000'000, 0);
    EXPECT_EQ(gate.retry_after_ms(), IngressGate::retry_ms_max);
    // It follows the work.
    for (int i = 0; i < 200; ++i) { gate.executed(1'000, now_us += 10'000); }
    EXPECT_NEAR(gate.executed_per_s(), 100'000, 10'000);
}

TEST(SubmissionOrder, FirstMissingPassesWhatHasArrivedInAnyOrder) {
    SubmissionOrder order(64);
    order.arrived(2);
    order.arrived(1);
    EXPECT_EQ(order.first_missing(), 0u);
    order.arrived(0);
    EXPECT_EQ(order.first_missing(), 3u);
    std::mt19937 random(7);
    uint64_t base = 3;
    for (int round = 0; round < 100; ++round) {
        std::vector<uint64_t> block(50);
        std::iota(block.begin(), block.end(), base);
        std::ranges::shuffle(block, random);
        std::set<uint64_t> missing(block.begin(), block.end());
        for (const uint64_t n : block) {
            order.arrived(n);
            missing.erase(n);
            const uint64_t first = missing.empty() ? base + 50 : *missing.begin();
            ASSERT_EQ(order.first_missing(), first);
        }
        base += 50;
    }
}

TEST(SubmissionOrder, WhatManyHaveOvertakenIsNotWaitedFor) {
    SubmissionOrder order(64);
    for (uint64_t n = 1; n <= 63; ++n) { order.arrived(n); }
    EXPECT_EQ(order.first_missing(), 0u);
    order.arrived(64);
    EXPECT_EQ(order.first_missing(), 65u);
    order.arrived(0);  // at last
    EXPECT_EQ(order.first_missing(), 65u);
    order.arrived(65);
    EXPECT_EQ(order.first_missing(), 66u);
    order.arrived(1'000'000);
    EXPECT_EQ(order.first_missing(), 1'000'000u - 63);
}

TEST(HeldArrivals, GivesBackByNonceOfTheSenderOrByNumber) {
    HeldArrivals<std::string> held;
    const Address a = account(1);
    const Address b = account(2);
    held.hold(5, a, 7, "a7");
    held.hold(9, a, 7, "a7 again");
    held.hold(6, a, 8, "a8");
    held.hold(3, b, 7, "b7");
    EXPECT_EQ(held.size(), 4u);
    EXPECT_FALSE(held.take(a, 6));
    EXPECT_FALSE(held.take(account(3), 7));
    EXPECT_EQ(held.take(a, 7), "a7") << "the earlier one";
    EXPECT_FALSE(held.take_before(3));
    EXPECT_EQ(held.take_before(4), "b7");
    EXPECT_FALSE(held.take_before(6));
    EXPECT_EQ(held.take_before(100), "a8");
    EXPECT_EQ(held.take_before(100), "a7 again");
    EXPECT_TRUE(held.empty());
    EXPECT_FALSE(held.take(a, 7));
}

}  // namespace
}  // namespace millrace::sequencer::test
