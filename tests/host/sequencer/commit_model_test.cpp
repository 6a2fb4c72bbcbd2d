// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the commit protocol in every schedule that a few transactions can have.
#include <gtest/gtest.h>

#include <cstdio>
#include <set>

#include "tests/host/sequencer/commit_model.hpp"

namespace millrace::sequencer {
namespace {

using namespace test;

/// Explores them all; the sums, and nothing where one of them is wrong.
CommitModelReport explore_all(const std::vector<CommitModel>& models) {
    CommitModelReport sum;
    for (const CommitModel& m : models) {
        SCOPED_TRACE(m.name);
        const CommitModelReport r = explore_commits(m);
        EXPECT_EQ(r.exploration.wrong, "") << r.exploration.schedule;
        if (!r.exploration.wrong.empty()) { break; }
        EXPECT_GT(r.committed_all, 0u) << "some schedule lets all of them through";
        sum.committed += r.committed;
        sum.refused += r.refused;
        sum.refused_early += r.refused_early;
        sum.in_next_block += r.in_next_block;
        sum.exploration.schedules += r.exploration.schedules;
        sum.exploration.states += r.exploration.states;
        sum.exploration.steps += r.exploration.steps;
    }
    std::printf("%zu models, %llu states, %llu schedules to the end, %llu commits, %llu refusals\n",
                models.size(), static_cast<unsigned long long>(sum.exploration.states),
                static_cast<unsigned long long>(sum.exploration.schedules),
                static_cast<unsigned long long>(sum.committed),
                static_cast<unsigned long long>(sum.refused + sum.refused_early));
    // With fewer the schedules would hardly meet.
    EXPECT_GT(sum.refused, 1000u);
    EXPECT_GT(sum.refused_early, 1000u);
    return sum;
}

TEST(CommitModel, EveryTwoTransactionsOverTwoCellsAreSerialInTheOrderOfTheirNumbers) {
    explore_all(models_of_pairs());
}

TEST(CommitModel, BalancesAndBoundsOfTwoTransactionsAreSerial) {
    explore_all(models_of_balances());
}

TEST(CommitModel, ThreeTransactionsAreSerial) { explore_all(models_of_three()); }

TEST(CommitModel, TransactionsStayInTheBlockThatTheySaw) {
    EXPECT_GT(explore_all(models_of_borders()).in_next_block, 1000u);
}

/// The exploration itself, by programs whose outcomes are known.
class ExplorationTest : public ::testing::Test {
protected:
    /// The outcomes of two threads, each once.
    std::set<std::string> outcomes(const Exploration::Thread& a, const Exploration::Thread& b,
                                   const std::function<std::string()>& outcome) {
        std::set<std::string> seen;
        Exploration exploration;
        report_ = exploration.explore(
            {a, b}, [] {},
            [&] {
                seen.insert(outcome());
                return std::string{};
            });
        return seen;
    }
    Exploration::Report report_;
    SharedWord x_{0};
    SharedWord y_{0};
    uint64_t a_ = 0;
    uint64_t b_ = 0;
    std::string both() const { return std::to_string(a_) + std::to_string(b_); }
};

constexpr auto relaxed = std::memory_order_relaxed;
constexpr auto acquire = std::memory_order_acquire;
constexpr auto release = std::memory_order_release;

TEST_F(ExplorationTest, MessageIsSeenWithItsFlagOnlyWhenReleasedAndAcquired) {
    for (const bool ordered : {true, false}) {
        for (const bool acquired : {true, false}) {
            const auto seen = outcomes(
                [&] {
                    x_.store(1, relaxed);
                    y_.store(1, ordered ? release : relaxed);
                },
                [&] {
                    a_ = y_.load(acquired ? acquire : relaxed);
                    b_ = x_.load(relaxed);
                },
                [&] { return both(); });
            EXPECT_EQ(seen.contains("10"), !ordered || !acquired);
            EXPECT_TRUE(seen.contains("00") && seen.contains("01") && seen.contains("11"));
        }
    }
}

TEST_F(ExplorationTest, StoresMayComeLaterThanTheLoadsBehindThem) {
    const auto seen = outcomes(
        [&] {
            x_.store(1, release);
            a_ = y_.load(acquire);
        },
        [&] {
            y_.store(1, release);
            b_ = x_.load(acquire);
        },
        [&] { return both(); });
    EXPECT_EQ(seen, (std::set<std::string>{"00", "01", "10", "11"}));
}

TEST_F(ExplorationTest, OneWordNeverGoesBack) {
    const auto seen = outcomes(
        [&] {
            x_.store(1, relaxed);
            x_.store(2, relaxed);
        },
        [&] {
            a_ = x_.load(relaxed);
            b_ = x_.load(relaxed);
        },
        [&] { return both(); });
    EXPECT_EQ(seen, (std::set<std::string>{"00", "01", "02", "11", "12", "22"}));
}

TEST_F(ExplorationTest, AdditionsAreNotLostAndPassOnWhatWasKnown) {
    const auto seen = outcomes(
        [&] {
            x_.store(1, relaxed);
            y_.fetch_add(1, release);
        },
        [&] {
            a_ = y_.fetch_add(1, acquire);
            b_ = x_.load(relaxed);
        },
        [&] { return both() + std::to_string(y_.load(relaxed)); });
    EXPECT_EQ(seen, (std::set<std::string>{"002", "012", "112"}));
}

TEST_F(ExplorationTest, ThreadsThatWaitForEachOtherAreToldOf) {
    const auto lock = [](SharedWord& word) {
        for (Backoff backoff;; backoff.wait()) {
            uint64_t seen = word.load(relaxed);
            if (seen == 0 && word.compare_exchange_weak(seen, 1, acquire, relaxed)) { return; }
        }
    };
    const auto both_locks = [&](SharedWord& first, SharedWord& second) {
        lock(first);
        lock(second);
        second.store(0, release);
        first.store(0, release);
    };
    (void)outcomes([&] { both_locks(x_, y_); }, [&] { both_locks(x_, y_); }, [] { return ""; });
    EXPECT_EQ(report_.wrong, "");
    EXPECT_GT(report_.schedules, 0u);
    (void)outcomes([&] { both_locks(x_, y_); }, [&] { both_locks(y_, x_); }, [] { return ""; });
    EXPECT_EQ(report_.wrong, "threads wait for each other") << report_.schedule;
}

}  // namespace
}  // namespace millrace::sequencer
