// SPDX-License-Identifier: Apache-2.0
// Owns the tests of a run: answers are checked, rows are never left out, and it stops in order.
#include "kernels/bench/runner.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "kernels/bench/crew.hpp"
#include "kernels/bench/registry.hpp"
#include "tests/kernels/bench/doubles.hpp"

namespace millrace::kernel_bench {
namespace {

using test::Behaviour;
using test::Calls;
using testing::HasSubstr;

RunOptions short_run(const Family& family) {
    RunOptions options;
    options.batches = {1, 8};
    options.threads = {1};
    options.backends = family.backends;
    options.seconds = 0.001;
    options.peak_seconds = 0;
    return options;
}

Report run(const Family& family, const RunOptions& options) {
    return run_families({&family}, options);
}

TEST(Runner, ARightAnswerIsMeasuredAtEveryBatch) {
    Calls calls;
    const Family family = test::double_family({Behaviour::right}, calls);
    const Report report = run(family, short_run(family));
    ASSERT_EQ(report.rows.size(), 2u);
    for (const Row& row : report.rows) {
        EXPECT_EQ(row.state, RowState::measured) << row.reason;
        EXPECT_GE(row.end_to_end_ns.samples, samples_min);
        EXPECT_GT(row.end_to_end_ns.min, 0);
        EXPECT_LE(row.end_to_end_ns.min, row.end_to_end_ns.median);
        EXPECT_LE(row.end_to_end_ns.median, row.end_to_end_ns.max);
        EXPECT_TRUE(row.calls_per_sample == 1 || !row.end_to_end_ns.p99);
        EXPECT_GT(row.cpu_ns_per_batch, 0);
        EXPECT_DOUBLE_EQ(row.items_per_second() * row.ns_per_item(), 1e9);
        EXPECT_DOUBLE_EQ(row.bytes_per_second(), 8 * row.items_per_second());
    }
    EXPECT_EQ(report.rows[0].batch, 1u);
    EXPECT_EQ(report.rows[1].batch, 8u);
    EXPECT_FALSE(report.interrupted);
}

TEST(Runner, ABatchOfOneThreadHasNoRowsOfMore) {
    for (const bool one_thread : {false, true}) {
        Calls calls;
        Family family = test::double_family({Behaviour::right}, calls);
        family.cases = [cases = family.cases, one_thread](const FamilyOptions& o) {
            std::vector<KernelCase> made = cases(o);
            for (KernelCase& c : made) { c.one_thread = one_thread; }
            return made;
        };
        RunOptions options = short_run(family);
        options.threads = {2};
        size_t announced = 0;
        options.progress = [&](const Row&, size_t, size_t total) { announced = total; };
        const Report report = run(family, options);
        ASSERT_EQ(report.rows.size(), 2u);
        EXPECT_EQ(announced, 2u);
        for (const Row& row : report.rows) { EXPECT_EQ(row.threads, one_thread ? 1u : 2u); }
        EXPECT_EQ(calls.parts_max.load(), one_thread ? 1u : 2u);
    }
}

TEST(Runner, AWrongAnswerFailsItsRowAndNoOther) {
    Calls calls;
    const Family family = test::double_family({Behaviour::wrong_last, Behaviour::right}, calls);
    const Report report = run(family, short_run(family));
    ASSERT_EQ(report.rows.size(), 4u);
    EXPECT_EQ(report.count(RowState::failed), 2u);
    EXPECT_EQ(report.count(RowState::measured), 2u);
    for (const Row& row : report.rows) {
        if (row.backend == "b0") {
            EXPECT_EQ(row.state, RowState::failed);
            EXPECT_THAT(row.reason, HasSubstr("wrong answer: item "));
        } else {
            EXPECT_EQ(row.state, RowState::measured);
        }
    }
}

TEST(Runner, AnAnswerThatTurnsWrongWhileItIsTimedFailsTheRow) {
    Calls calls;
    const Family family = test::double_family({Behaviour::wrong_later}, calls);
    RunOptions options = short_run(family);
    options.batches = {8};
    const Report report = run(family, options);
    ASSERT_EQ(report.rows.size(), 1u);
    EXPECT_EQ(report.rows[0].state, RowState::failed);
    EXPECT_THAT(report.rows[0].reason, HasSubstr("item 7 is 9"));
}

TEST(Runner, AContenderThatDoesNothingCannotPassWithAnothersAnswer) {
    Calls calls;
    const Family family = test::double_family({Behaviour::right, Behaviour::does_nothing}, calls);
    const Report report = run(family, short_run(family));
    for (const Row& row : report.rows) {
        EXPECT_EQ(row.state, row.backend == "b0" ? RowState::measured : RowState::failed);
    }
}

TEST(Runner, AnErrorFailsTheRowWithItsMessage) {
    Calls calls;
    const Family family = test::double_family({Behaviour::fails}, calls);
    const Report report = run(family, short_run(family));
    EXPECT_EQ(report.count(RowState::failed), 2u);
    EXPECT_EQ(report.rows[0].reason, "the double fails as asked");
}

TEST(Runner, AnAbsentBackEndIsOneSkippedRowWithItsReason) {
    Calls calls;
    const Family family = test::double_family({Behaviour::absent, Behaviour::right}, calls);
    const Report report = run(family, short_run(family));
    ASSERT_EQ(report.rows.size(), 3u);
    EXPECT_EQ(report.rows[0].state, RowState::skipped);
    EXPECT_EQ(report.rows[0].batch, 0u);
    EXPECT_EQ(report.rows[0].reason, "the double is not here");
}

TEST(Runner, OnlyTheBackEndsThatWereAskedForRun) {
    Calls calls;
    const Family family = test::double_family({Behaviour::fails, Behaviour::right}, calls);
    RunOptions options = short_run(family);
    options.backends = {"b1"};
    const Report report = run(family, options);
    EXPECT_EQ(report.rows.size(), 2u);
    EXPECT_EQ(report.count(RowState::measured), 2u);
}

TEST(Runner, ADeviceHasAKernelTimeAndACrossover) {
    Calls calls;
    const Family family = test::double_family({Behaviour::right, Behaviour::device}, calls);
    const Report report = run(family, short_run(family));
    for (const Row& row : report.rows) {
        EXPECT_EQ(row.kernel_ns.has_value(), row.on_device);
        if (row.on_device) { EXPECT_DOUBLE_EQ(row.kernel_ns->median, 5000); }
    }
    EXPECT_EQ(report.crossovers.size(), 1u);
}

TEST(Runner, AWrongAnswerOfTheTimedKernelFailsTheRow) {
    Calls calls;
    const Family family = test::double_family({Behaviour::device_wrong_kernel}, calls);
    const Report report = run(family, short_run(family));
    EXPECT_EQ(report.count(RowState::failed), 2u);
    EXPECT_THAT(report.rows[0].reason, HasSubstr("timed kernel"));
}

TEST(Runner, AllThreadsTakeAPartAndNoneMoreThanThereAreItems) {
    Calls calls;
    const Family family = test::double_family({Behaviour::right}, calls);
    RunOptions options = short_run(family);
    options.threads = {1, 3};
    options.batches = {2, 64};
    const Report report = run(family, options);
    EXPECT_EQ(report.count(RowState::measured), 4u);
    EXPECT_EQ(calls.parts_max.load(), 3u);
    options.batches = {2};
    calls.parts_max = 0;
    run(family, options);
    EXPECT_EQ(calls.parts_max.load(), 2u);
}

TEST(Runner, ABatchThatNeedsTooMuchMemoryIsSkippedWithTheFigure) {
    Calls calls;
    const Family family = test::double_family({Behaviour::right}, calls);
    RunOptions options = short_run(family);
    options.batches = {1, size_t{1} << 20};
    options.memory_bytes_max = size_t{4} << 20;
    const Report report = run(family, options);
    EXPECT_EQ(report.rows[0].state, RowState::measured);
    EXPECT_EQ(report.rows[1].state, RowState::skipped);
    EXPECT_THAT(report.rows[1].reason, HasSubstr("8 MiB"));
}

TEST(Runner, ABatchThatWouldTakeTooLongIsSkippedAndLatencyIsNotTakenForWork) {
    Calls calls;
    const Family family =
        test::double_family({Behaviour::slow_items, Behaviour::slow_start}, calls);
    RunOptions options = short_run(family);
    // A call may take a second: the items of 4,096 take two, and no noise makes a wait of 2 ms grow
    // by a tenth of that from one batch to the next.
    options.batches = {4, 4096, 16384};
    options.seconds = 0.1;
    const Report report = run(family, options);
    for (const Row& row : report.rows) {
        const bool too_long = row.backend == "b0" && row.batch > 4;
        EXPECT_EQ(row.state, too_long ? RowState::skipped : RowState::measured)
            << row.name() << row.reason;
        if (too_long) { EXPECT_THAT(row.reason, HasSubstr("one call would take more than")); }
    }
}

TEST(Runner, StopsInOrderAndListsWhatWasNotRun) {
    Calls calls;
    const Family family = test::double_family({Behaviour::right}, calls);
    RunOptions options = short_run(family);
    options.batches = {1, 8, 64};
    std::atomic<bool> stop = false;
    options.stop = &stop;
    size_t seen = 0;
    options.progress = [&](const Row&, size_t done, size_t total) {
        EXPECT_EQ(done, ++seen);
        EXPECT_EQ(total, 3u);
        stop = true;
    };
    const Report report = run(family, options);
    EXPECT_TRUE(report.interrupted);
    ASSERT_EQ(report.rows.size(), 3u);
    EXPECT_EQ(report.rows[0].state, RowState::measured);
    for (size_t i : {1u, 2u}) {
        EXPECT_EQ(report.rows[i].state, RowState::skipped);
        EXPECT_EQ(report.rows[i].reason, "interrupted");
    }
}

TEST(Crew, EachPartRunsOnceAndIsSeenByTheCaller) {
    Crew crew(4);
    std::vector<size_t> counts(4);
    for (size_t round = 0; round < 2000; ++round) {
        crew.run(round % 4 + 1, [&](size_t part) { ++counts[part]; });
    }
    EXPECT_EQ(counts, (std::vector<size_t>{2000, 1500, 1000, 500}));
}

/// Every family of the program, on a few small batches: each row is measured, or is of a back end
/// that says why it is absent.
TEST(Families, AgreeWithTheirOracles) {
    RunOptions options;
    options.batches = {1, 9, 33};
    options.threads = {1, 2};
    options.backends = backend_names(families());
    options.family.message_bytes = {0, 64, 200};
    options.seconds = seconds_min;
    options.peak_seconds = 0;
    std::vector<const Family*> all;
    for (const Family& family : families()) { all.push_back(&family); }
    const Report report = run_families(all, options);
    EXPECT_GT(report.count(RowState::measured), 100u);
    for (const Row& row : report.rows) {
        EXPECT_NE(row.state, RowState::failed) << row.name() << ": " << row.reason;
        if (row.state == RowState::skipped) {
            EXPECT_NE(row.reason, "") << row.name();
            const bool absent = row.batch == 0;
            EXPECT_TRUE(absent || row.reason.starts_with("one call would take")) << row.reason;
        }
    }
}

}  // namespace
}  // namespace millrace::kernel_bench
