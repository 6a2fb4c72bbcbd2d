// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the engine's parts by themselves: policy, costs and their file, rings, nodes.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <unistd.h>

#include <atomic>
#include <filesystem>
#include <fstream>
#include <thread>

#include "host/base/clock.hpp"
#include "host/base/log.hpp"
#include "kernels/offload/detail/calibration.hpp"
#include "kernels/offload/detail/canary.hpp"
#include "kernels/offload/detail/dispatch.hpp"
#include "kernels/offload/detail/event_count.hpp"
#include "kernels/offload/detail/intake.hpp"
#include "kernels/offload/detail/numa.hpp"
#include "kernels/offload/detail/policy.hpp"
#include "kernels/secp256k1/recover_batch.hpp"
#include "tests/kernels/offload/cases.hpp"
#include "tests/kernels/offload/fake_device.hpp"

namespace millrace::kernels::detail {
namespace {

// A device of 300 us and 20 M/s beside cores of 5 us a signature.
const KernelCost typical{.cpu = {.fixed_us = 0, .per_item_us = 5},
                         .device = {.fixed_us = 300, .per_item_us = 0.05},
                         .device_cpu = {.fixed_us = 30, .per_item_us = 0.1}};

TEST(OffloadPolicy, TheCrossoverIsTheFirstSizeAtWhichTheDeviceIsNotSlower) {
    for (const size_t cores : {1u, 2u, 16u}) {
        const size_t n = latency_crossover(typical, cores);
        const auto on_cpu = [&](size_t count) {
            return 5.0 * static_cast<double>(count) / static_cast<double>(cores);
        };
        EXPECT_LE(typical.device.at(n), on_cpu(n));
        EXPECT_GT(typical.device.at(n - 1), on_cpu(n - 1));
    }
    const size_t n = cpu_time_crossover(typical);
    EXPECT_LE(typical.device_cpu.at(n), typical.cpu.at(n));
    EXPECT_GT(typical.device_cpu.at(n - 1), typical.cpu.at(n - 1));
    EXPECT_EQ(7u, n);
}

TEST(OffloadPolicy, ADeviceThatIsNeverFasterHasNoCrossover) {
    KernelCost slow = typical;
    slow.device.per_item_us = 6;
    EXPECT_EQ(never, latency_crossover(slow, 1));
    slow.device = {.fixed_us = 1e30, .per_item_us = 4.9};
    EXPECT_EQ(never, latency_crossover(slow, 1));
    slow.device = {.fixed_us = 0, .per_item_us = 0};
    EXPECT_EQ(1u, latency_crossover(slow, 1));
}

QueueLimits limits() {
    return {.deadline_us = 500,
            .latency_crossover = 1000,
            .cpu_time_crossover = 7,
            .saturation_jobs = 16'896,
            .batch_jobs_max = 65'532,
            .device = typical.device};
}

TEST(OffloadPolicy, AnEmptyQueueAsksForNothing) {
    const QueueDecision d = decide(limits(), {.arrivals_per_us = 1, .slots_free = 3});
    EXPECT_EQ(0u, d.launch_jobs);
    EXPECT_EQ(0u, d.device_share_jobs);
    EXPECT_LT(d.look_again_us, 0);
}

TEST(OffloadPolicy, LightLoadIsLeftToTheCpu) {
    // Three jobs and one more every 100 us: no batch that is worth the device gathers in time.
    const QueueDecision d = decide(
        limits(), {.jobs = 3, .oldest_age_us = 10, .arrivals_per_us = 0.01, .slots_free = 3});
    EXPECT_EQ(0u, d.launch_jobs);
    EXPECT_EQ(0u, d.device_share_jobs);
}

TEST(OffloadPolicy, UnderLoadJobsWaitForTheDeviceUntilTheDeadlineLessItsRun) {
    QueueLoad load{.jobs = 20, .oldest_age_us = 10, .arrivals_per_us = 0.1, .slots_free = 3};
    QueueDecision d = decide(limits(), load);
    EXPECT_EQ(0u, d.launch_jobs);
    EXPECT_GE(d.device_share_jobs, 20u);
    // 500 - 10 - 301 us of slack.
    EXPECT_GT(d.look_again_us, 100);
    EXPECT_LE(d.look_again_us, 189);
    load.oldest_age_us = 170;
    d = decide(limits(), load);
    EXPECT_EQ(20u, d.launch_jobs);
    // Without a free slot they would be late.
    load.slots_free = 0;
    d = decide(limits(), load);
    EXPECT_EQ(0u, d.launch_jobs);
    EXPECT_EQ(0u, d.device_share_jobs);
}

TEST(OffloadPolicy, ADeadlineThatTheDeviceMissesIsForTheCpu) {
    QueueLimits tight = limits();
    tight.deadline_us = 200;
    const QueueDecision d =
        decide(tight, {.jobs = 500, .oldest_age_us = 0, .arrivals_per_us = 0.1, .slots_free = 3});
    EXPECT_EQ(0u, d.launch_jobs);
    EXPECT_EQ(0u, d.device_share_jobs);
}

TEST(OffloadPolicy, AnIdleDeviceTakesWhatItDoesFasterAndAFullBatchNeverWaits) {
    QueueLoad load{.jobs = 1000, .oldest_age_us = 0, .slots_free = 3};
    EXPECT_EQ(1000u, decide(limits(), load).launch_jobs);
    load.batches_in_flight = 1;
    EXPECT_EQ(0u, decide(limits(), load).launch_jobs);
    load.jobs = 16'896;
    EXPECT_EQ(16'896u, decide(limits(), load).launch_jobs);
    load.jobs = 1'000'000;
    EXPECT_EQ(65'532u, decide(limits(), load).launch_jobs);
}

TEST(OffloadPolicy, ABusyDeviceKeepsWhatCanWaitForItsNextSlot) {
    QueueLoad load{.jobs = 16'896, .oldest_age_us = 0, .batches_in_flight = 3, .slots_free = 0};
    QueueLimits patient = limits();
    patient.deadline_us = 5'000;  // a run takes 1,144 us
    EXPECT_EQ(0u, decide(patient, load).launch_jobs);
    EXPECT_EQ(16'896u, decide(patient, load).device_share_jobs);
    load.oldest_age_us = 3'000;
    EXPECT_EQ(0u, decide(patient, load).device_share_jobs);
    load.slots_free = 1;
    EXPECT_EQ(16'896u, decide(patient, load).launch_jobs);
}

TEST(OffloadPolicy, WhatTheDeviceCannotDoInTimeIsForTheCpu) {
    QueueLimits slow = limits();
    slow.device.per_item_us = 1;
    slow.latency_crossover = never;
    const QueueDecision d =
        decide(slow, {.jobs = 100, .oldest_age_us = 0, .arrivals_per_us = 0.1, .slots_free = 3});
    EXPECT_EQ(0u, d.launch_jobs);
    EXPECT_EQ(200u, d.device_share_jobs);
}

TEST(OffloadCosts, ALineIsFoundAgainAndNoiseMakesNothingNegative) {
    const std::vector<CostSample> exact{{256, 300 + 256 * 0.05}, {4096, 300 + 4096 * 0.05}};
    const LinearCost line = fit_cost(exact);
    EXPECT_NEAR(300, line.fixed_us, 1e-6);
    EXPECT_NEAR(0.05, line.per_item_us, 1e-9);
    const LinearCost falling = fit_cost(std::vector<CostSample>{{10, 100}, {1000, 50}});
    EXPECT_GT(falling.fixed_us, 0);
    EXPECT_EQ(0, falling.per_item_us);
    const LinearCost steep = fit_cost(std::vector<CostSample>{{10, 1}, {100, 1000}});
    EXPECT_EQ(0, steep.fixed_us);
    EXPECT_GT(steep.per_item_us, 0);
}

TEST(OffloadCosts, PriorsPutTheCrossoversWhereTheyAreExpected) {
    const Costs costs = prior_costs(Backend::simd);
    const size_t recover = latency_crossover(costs[0], 16);
    EXPECT_GT(recover, 500u);
    EXPECT_LT(recover, 2500u);
    EXPECT_GT(latency_crossover(costs[1], 1), 4000u);
    EXPECT_LT(latency_crossover(prior_costs(Backend::scalar)[0], 16), 400u);
}

TEST(OffloadCosts, AMeasurementGivesACostForEveryBackEnd) {
    FakeDevice device([](uint64_t) { return FakePlan{Trick::none, 1}; });
    const Result<Costs> costs = measure_costs(device, fastest_recover_backend(), 200'000);
    ASSERT_TRUE(costs.has_value()) << costs.error().message;
    for (const KernelCost& cost : *costs) {
        EXPECT_GT(cost.cpu.at(1000), 0);
        EXPECT_GT(cost.device.at(1000), 0);
        EXPECT_GT(cost.device_cpu.at(1000), 0);
    }
}

class CostFile : public testing::Test {
protected:
    void SetUp() override {
        path_ = testing::TempDir() + "millrace-costs-" + std::to_string(getpid());
        std::filesystem::remove(path_);
    }
    void TearDown() override { std::filesystem::remove(path_); }
    std::string content() const {
        std::ifstream file(path_);
        return {std::istreambuf_iterator<char>(file), {}};
    }
    void write(const std::string& text) const { std::ofstream(path_) << text; }

    std::string path_;
    Costs costs_ = [] {
        Costs costs = prior_costs(Backend::simd);
        costs[0].device = {.fixed_us = 317.0 / 3, .per_item_us = 1e-7};
        return costs;
    }();
};

TEST_F(CostFile, KeepsCostsExactly) {
    EXPECT_FALSE(load_costs(path_, "key\n").has_value());
    ASSERT_TRUE(store_costs(path_, "key\n", costs_).has_value());
    EXPECT_EQ(costs_, load_costs(path_, "key\n"));
    ASSERT_TRUE(store_costs(path_, "key\n", prior_costs(Backend::scalar)).has_value());
    EXPECT_EQ(prior_costs(Backend::scalar), load_costs(path_, "key\n"));
    EXPECT_FALSE(std::filesystem::exists(path_ + ".next"));
}

TEST_F(CostFile, AnotherMachinesFileIsIgnored) {
    ASSERT_TRUE(store_costs(path_, "device a\n", costs_).has_value());
    EXPECT_FALSE(load_costs(path_, "device b\n").has_value());
    EXPECT_FALSE(load_costs(path_, "device a\nmore\n").has_value());
    EXPECT_TRUE(load_costs(path_, "device a\n").has_value());
}

TEST_F(CostFile, AnyDamageIsSeen) {
    log::configure({log::Level::error, log::Format::terminal});  // a line for each is too many
    ASSERT_TRUE(store_costs(path_, "key\n", costs_).has_value());
    const std::string good = content();
    for (size_t i = 0; i < good.size(); ++i) {
        std::string bad = good;
        bad[i] ^= 1;
        write(bad);
        EXPECT_FALSE(load_costs(path_, "key\n").has_value()) << "byte " << i;
        write(good.substr(0, i));
        EXPECT_FALSE(load_costs(path_, "key\n").has_value()) << i << " bytes";
    }
    write(good + "x");
    EXPECT_FALSE(load_costs(path_, "key\n").has_value());
    write(std::string(100'000, 'a'));
    EXPECT_FALSE(load_costs(path_, "key\n").has_value());
}

TEST_F(CostFile, AFolderThatIsNotThereIsAnError) {
    const Result<void> stored = store_costs(path_ + "/no/such", "key\n", costs_);
    ASSERT_FALSE(stored.has_value());
    EXPECT_EQ(ErrorCode::io, stored.error().code);
}

TEST(OffloadCosts, TheKeyNamesWhatCostsDependOn) {
    const std::string key = cost_key({"uuid-7", "driver-9"}, Backend::simd);
    EXPECT_THAT(key, testing::HasSubstr("uuid-7"));
    EXPECT_THAT(key, testing::HasSubstr("driver-9"));
    EXPECT_NE(key, cost_key({"uuid-8", "driver-9"}, Backend::simd));
    EXPECT_NE(key, cost_key({"uuid-7", "driver-8"}, Backend::simd));
    EXPECT_EQ(std::string::npos, key.find("program unknown"));
}

TEST(OffloadNuma, ReadsListsOfProcessors) {
    EXPECT_EQ((std::vector<unsigned>{0, 1, 2, 3, 8}), parse_cpu_list("0-3,8"));
    EXPECT_EQ((std::vector<unsigned>{5}), parse_cpu_list("5"));
    for (const char* bad : {"", "a", "3-1", "1-", "1,,2", "99999", "1 2", "0-99999999999"}) {
        EXPECT_TRUE(parse_cpu_list(bad).empty()) << bad;
    }
}

TEST(OffloadNuma, ReadsNodesAndTakesOneWhereThereIsNothing) {
    const std::string root = testing::TempDir() + "millrace-nodes-" + std::to_string(getpid());
    EXPECT_EQ(1u, read_numa_topology(root).node_count());
    std::filesystem::create_directories(root + "/node0");
    std::filesystem::create_directories(root + "/node2");
    std::ofstream(root + "/has_cpu") << "0,2\n";
    std::ofstream(root + "/node0/cpulist") << "0-1\n";
    std::ofstream(root + "/node2/cpulist") << "2-3\n";
    const NumaTopology topology = read_numa_topology(root);
    EXPECT_EQ(2u, topology.node_count());
    EXPECT_EQ((std::vector<uint16_t>{0, 0, 1, 1}), topology.node_of_cpu);
    EXPECT_LT(topology.node_here(), 2u);
    { const OnNode here(topology, 0); }
    std::filesystem::remove_all(root);
    EXPECT_GE(read_numa_topology().node_count(), 1u);
}

TEST(OffloadIntake, ManyProducersFillAndDrainTheRingsOfTwoNodes) {
    constexpr size_t producers = 4;
    constexpr size_t each = 300;
    Intake intake(NumaTopology{{{}, {}}, {}}, 64, 16, nullptr);
    const RecoverCase r = recover_case(8, 1);
    std::atomic<size_t> answers{0};
    std::atomic<size_t> refused{0};
    std::vector<std::jthread> threads;
    for (size_t t = 0; t < producers; ++t) {
        threads.emplace_back([&] {
            for (size_t i = 0; i < each; ++i) {
                const std::vector<RecoverJob> jobs(r.jobs.begin(), r.jobs.begin() + i % 8);
                while (
                    !intake.submit(
                               jobs, [&](auto) { answers.fetch_add(1); }, Urgency::latency, 0)
                         .has_value()) {
                    refused.fetch_add(1);
                    std::this_thread::yield();
                }
            }
        });
    }
    std::vector<std::shared_ptr<Submission>> held;
    size_t taken = 0;
    while (taken < producers * each) {
        bool idle = true;
        if (auto submission = intake.pop()) {
            idle = false;
            for (size_t i = 0; i < submission->job_count; ++i) {
                const RecoverJob job = job_of(submission->ring->at(submission->position + i));
                EXPECT_EQ(r.jobs[i].s, job.s);
                EXPECT_EQ(r.jobs[i].digest, job.digest);
            }
            ++taken;
            submission->node_depth->fetch_sub(submission->weight);
            held.push_back(std::move(submission));
        }
        // Out of order, as workers and a device end them. When nothing arrives they are ended too:
        // an old one may hold up a whole ring.
        if (held.size() >= 4 || idle || taken == producers * each) {
            while (!held.empty()) {
                held.back()->finish(held.back()->weight);
                held.pop_back();
            }
        }
    }
    threads.clear();
    EXPECT_EQ(producers * each, answers.load());
    EXPECT_EQ(0u, intake.depth());
    EXPECT_FALSE(intake.pinned());
    intake.close();
    EXPECT_EQ(ErrorCode::unavailable,
              intake.submit({}, [](auto) {}, Urgency::latency, 0).error().code);
}

TEST(OffloadIntake, ARingThatIsHeldUpByAnOldJobRefuses) {
    std::vector<gpu::RecoverSlot> slots(8);
    JobRing ring(slots);
    ASSERT_EQ(0u, ring.claim(3));
    ASSERT_EQ(3u, ring.claim(4));
    EXPECT_FALSE(ring.claim(2).has_value());
    EXPECT_EQ(7u, ring.claim(1));
    ring.release(3, 4);
    ring.release(7, 1);
    EXPECT_FALSE(ring.claim(1).has_value());
    EXPECT_EQ(8u, ring.claim(0));
    ring.release(0, 3);
    EXPECT_EQ(8u, ring.claim(8));
    EXPECT_FALSE(ring.claim(9).has_value());
    const auto runs = ring.runs(14, 4);
    EXPECT_EQ(2u, runs[0].size());
    EXPECT_EQ(slots.data() + 6, runs[0].data());
    EXPECT_EQ(2u, runs[1].size());
    EXPECT_EQ(slots.data(), runs[1].data());
}

TEST(OffloadDispatch, ExpressJobsGoFirstAndLeaveAQuarterToTheOthers) {
    Intake intake(NumaTopology{{{}}, {}}, 4096, 64, nullptr);
    DispatchLimits limits;
    limits.lanes = 8;
    limits.batch_jobs_max = 64;
    Dispatch dispatch(intake, limits, false);
    const auto submit = [&](Urgency urgency, size_t count) {
        for (size_t i = 0; i < count; ++i) {
            ASSERT_TRUE(intake.submit({RecoverJob{}}, [](auto) {}, urgency, 0).has_value());
        }
    };
    using Taken = std::array<size_t, 3>;  // by urgency
    const auto take = [&](bool others_awake = true) {
        Task task;
        dispatch.next(task, 0, others_awake);
        Taken taken{};
        for (const Part& part : task.parts) {
            taken[static_cast<size_t>(part.submission->urgency)] += part.size();
        }
        dispatch.finish(task.parts);
        return taken;
    };
    submit(Urgency::latency, 1000);
    submit(Urgency::express, 100);
    EXPECT_EQ(take(), (Taken{48, 16, 0}));
    EXPECT_EQ(take(), (Taken{48, 16, 0}));
    EXPECT_EQ(take(), (Taken{4, 60, 0})) << "the others take what is left";
    EXPECT_EQ(take(), (Taken{0, 64, 0}));
    while (dispatch.depth() != 0) { ASSERT_NE(take(false), Taken{}); }
    // Others that are awake have young jobs left to them, but not express ones.
    submit(Urgency::express, 70);
    EXPECT_EQ(take(), (Taken{64, 0, 0}));
    EXPECT_EQ(take(), (Taken{6, 0, 0}));
    dispatch.stop(false);
    EXPECT_TRUE(dispatch.finished());
}

TEST(OffloadDispatch, ADeviceThatGoesDownWhileItsPartIsPackedLosesNothing) {
    for (const size_t fits : {0u, 50u}) {
        Intake intake(NumaTopology{{{}}, {}}, 64, 64, nullptr);
        DispatchLimits limits;
        limits.device_items_min = {16, 16};
        Dispatch dispatch(intake, limits, true);
        std::vector<ByteView> messages(1000);
        std::vector<Hash256> digests(1000);
        Call call;
        call.kernel = Kernel::keccak;
        call.messages = messages;
        call.digests = digests;
        call.end = messages.size();
        call.step = 10;
        dispatch.begin(call);
        std::vector<Part> parts;
        Kernel kernel{};
        ASSERT_TRUE(dispatch.take_block({100, 100}, parts, kernel));
        dispatch.device_down();
        dispatch.set_device_share(3000);
        EXPECT_EQ(0u, dispatch.device_share()) << "it was decided before the device went down";
        std::vector<int> taken(messages.size());
        const auto take_step = [&] {
            Task task;
            dispatch.next(task, 0);
            if (task.kind != Task::Kind::call_step) { return false; }
            for (size_t i = task.range.begin; i < task.range.end; ++i) { ++taken[i]; }
            dispatch.finish_step(call);
            return true;
        };
        // A worker is quicker than the lane, of whose part only so many messages fit.
        ASSERT_TRUE(take_step());
        dispatch.shorten(parts[0], fits);
        for (size_t i = parts[0].begin; i < parts[0].end; ++i) { ++taken[i]; }
        dispatch.finish(parts);
        while (take_step()) {}
        EXPECT_EQ(std::vector<int>(messages.size(), 1), taken) << "with " << fits << " that fit";
        EXPECT_TRUE(call.done());
        dispatch.end(call);
    }
}

TEST(OffloadEventCount, NoWakeUpIsLost) {
    EventCount event;
    std::atomic<int> published{0};
    std::atomic<int> seen{0};
    std::atomic<bool> lost{false};
    constexpr int rounds = 20'000;
    std::jthread consumer([&] {
        while (seen.load() < rounds && !lost.load()) {
            const auto there = [&] { return published.load() > seen.load(); };
            if (!there()) {
                const uint32_t key = event.prepare();
                if (there()) {
                    event.cancel();
                } else {
                    constexpr int64_t lost_us = 60'000'000;
                    const SystemClock clock;
                    const int64_t start_us = clock.steady_us();
                    event.wait(key, lost_us);
                    lost = clock.steady_us() - start_us >= lost_us;
                    continue;
                }
            }
            seen.fetch_add(1);
        }
    });
    // Each is published when the one before has been seen: nothing else would wake the consumer.
    for (int i = 0; i < rounds && !lost.load(); ++i) {
        // At another moment of the consumer's way to sleep in each round.
        for (int pause = 0; pause < i % 200; ++pause) { published.load(); }
        published.fetch_add(1);
        event.notify();
        for (int look = 0; seen.load() <= i && !lost.load(); ++look) {
            if (look > 2000) { std::this_thread::yield(); }
        }
    }
    EXPECT_FALSE(lost.load());
}

TEST(OffloadCanary, EveryBatchHasValidAndInvalidOnesAtBothEnds) {
    for (uint64_t epoch = 0; epoch < 100; ++epoch) {
        const auto canaries = canaries_of(epoch);
        for (const size_t half : {0u, 2u}) {
            EXPECT_NE(canaries[half]->verdict, canaries[half + 1]->verdict);
            for (size_t i = half; i < half + 2; ++i) {
                EXPECT_EQ(canaries[i]->verdict == gpu::verdict_valid,
                          recover_address(canaries[i]->job()).has_value());
            }
        }
        EXPECT_NE(canaries[0], canaries[3]);
    }
}

}  // namespace
}  // namespace millrace::kernels::detail
