// SPDX-License-Identifier: Apache-2.0
// Owns the checks of the recycling allocator: no object shares memory with another one.
#include "host/base/recycled.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

#include "host/base/ring.hpp"

namespace millrace {
namespace {

/// Knows whether somebody else wrote over it.
struct Marked {
    explicit Marked(uint64_t v) { words.fill(v); }
    bool intact(uint64_t v) const noexcept {
        return std::all_of(words.begin(), words.end(), [&](uint64_t w) { return w == v; });
    }
    std::array<uint64_t, 24> words;
};

std::shared_ptr<Marked> make(uint64_t v) {
    return std::allocate_shared<Marked>(RecyclingAllocator<Marked>{}, v);
}

TEST(Recycled, ObjectsThatLiveAtTheSameTimeAreApart) {
    for (unsigned round = 0; round < 3; ++round) {
        std::vector<std::shared_ptr<Marked>> all;
        for (uint64_t i = 0; i < 1'000; ++i) { all.push_back(make(i)); }
        for (uint64_t i = 0; i < 1'000; i += 2) { all[i] = make(1'000 + i); }
        for (uint64_t i = 0; i < 1'000; ++i) {
            EXPECT_TRUE(all[i]->intact(i % 2 == 0 ? 1'000 + i : i));
        }
    }
}

TEST(Recycled, WhatAnotherThreadDroppedIsUsedAgain) {
#if defined(MILLRACE_HEAP_IS_WATCHED)
    GTEST_SKIP() << "a sanitizer owns the allocator";
#else
    constexpr size_t count = 64;
    struct Own : Marked {
        using Marked::Marked;
        uint64_t more = 0;  // a size that no other test uses
    };
    const auto addresses_of_a_round = [] {
        std::vector<std::shared_ptr<Own>> all;
        std::vector<const void*> out;
        for (uint64_t i = 0; i < count; ++i) {
            all.push_back(std::allocate_shared<Own>(RecyclingAllocator<Own>{}, i));
            out.push_back(all.back().get());
        }
        std::thread([dropped = std::move(all)]() mutable { dropped.clear(); }).join();
        std::ranges::sort(out);
        return out;
    };
    const auto first = addresses_of_a_round();
    // As many as are in use at a time, whoever has them.
    EXPECT_EQ(addresses_of_a_round(), first);
    EXPECT_EQ(addresses_of_a_round(), first);
#endif
}

TEST(Recycled, TheSystemGivesWhatIsInUseAtATimeAndLittleMore) {
#if defined(MILLRACE_HEAP_IS_WATCHED)
    GTEST_SKIP() << "a sanitizer owns the allocator";
#else
    // Of a size of its own; every address is one that the system gave.
    using Pool = detail::BlockPool<5 * 64, 8>;
    constexpr size_t threads_count = 8;
    constexpr size_t in_use = 4'000;
    std::set<void*> seen;
    for (unsigned round = 0; round < 20; ++round) {
        std::vector<void*> all;
        std::mutex mutex;  // guards all
        std::vector<std::jthread> threads;
        // Another number of takers in each round, all of whose blocks one thread drops.
        const size_t takers = 1 + round % threads_count;
        for (size_t t = 0; t < takers; ++t) {
            threads.emplace_back([&] {
                for (size_t i = 0; i < in_use / takers; ++i) {
                    void* block = Pool::take();
                    const std::lock_guard lock{mutex};
                    all.push_back(block);
                }
            });
        }
        threads.clear();
        seen.insert(all.begin(), all.end());
        for (void* block : all) { Pool::give(block); }
    }
    EXPECT_LE(seen.size(), in_use + 2 * Pool::batch_blocks * (threads_count + 1));
#endif
}

TEST(Recycled, ManyMakersAndDroppersDisturbNobody) {
    constexpr unsigned pairs = 3;
    constexpr uint64_t count = 20'000;
    std::vector<std::jthread> threads;
    std::atomic<uint64_t> damaged{0};
    std::vector<std::unique_ptr<MpscRing<std::shared_ptr<Marked>>>> rings;
    for (unsigned p = 0; p < pairs; ++p) {
        rings.push_back(std::make_unique<MpscRing<std::shared_ptr<Marked>>>(64));
    }
    for (unsigned p = 0; p < pairs; ++p) {
        threads.emplace_back([&, p] {
            for (uint64_t i = 0; i < count; ++i) {
                auto m = make(i);
                while (!rings[p]->try_push(std::move(m))) { std::this_thread::yield(); }
            }
        });
        threads.emplace_back([&, p] {
            for (uint64_t i = 0; i < count;) {
                auto m = rings[p]->try_pop();
                if (!m) {
                    std::this_thread::yield();
                    continue;
                }
                if (!(*m)->intact(i)) { damaged.fetch_add(1); }
                ++i;
            }
        });
    }
    threads.clear();
    EXPECT_EQ(damaged.load(), 0u);
}

}  // namespace
}  // namespace millrace
