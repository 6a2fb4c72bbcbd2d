// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the engine with a device: what goes there, and what a failing one may not do.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <mutex>
#include <thread>

#include "kernels/offload/detail/figures.hpp"
#include "kernels/offload/engine.hpp"
#include "kernels/secp256k1/recover_batch.hpp"
#include "tests/kernels/offload/cases.hpp"
#include "tests/kernels/offload/fake_device.hpp"
#include "tests/kernels/offload/fault_drill.hpp"
#include "tests/kernels/offload/held_worker.hpp"

namespace millrace::kernels {
namespace {

using testing::HasSubstr;

constexpr size_t recover_cuda = 5;  ///< places in OffloadEngine::backends()
constexpr size_t keccak_cuda = 2;

OffloadOptions device_options() {
    OffloadOptions options;
    options.worker_count = 2;
    options.device_keccak_jobs_min = 16;
    options.device_recover_jobs_min = 16;
    options.measure_costs = false;
    // No stall of the machine counts as one of the device; tests of devices that hang take less.
    options.device_timeout_us = 60'000'000;
    options.device_call_timeout_us = 60'000'000;
    // What the device does not do is then countable.
    options.steal = false;
    return options;
}

struct DeviceCase {
    metrics::Registry registry;
    FakeDevice* device = nullptr;
    std::unique_ptr<OffloadEngine> engine;

    explicit DeviceCase(
        std::function<FakePlan(uint64_t)> plan, OffloadOptions options = device_options(),
        const std::function<void(FakeDevice&)>& change = [](FakeDevice&) {}) {
        options.metrics = &registry;
        auto owned = std::make_unique<FakeDevice>(std::move(plan));
        device = owned.get();
        change(*device);
        engine = OffloadEngine::create_with_device(options, std::move(owned)).value();
    }
    explicit DeviceCase(Trick trick, OffloadOptions options = device_options())
        : DeviceCase([trick](uint64_t) { return FakePlan{trick, 1}; }, std::move(options)) {}

    void expect_digests(size_t count, uint64_t seed) const {
        const KeccakCase c = keccak_case(count, seed);
        std::vector<Hash256> digests(count);
        engine->keccak256(c.views, digests);
        EXPECT_EQ(c.digests, digests);
    }
    void expect_senders(size_t count, uint64_t seed) const {
        const RecoverCase c = recover_case(count, seed);
        std::vector<std::optional<Address>> senders(count);
        engine->recover_senders(c.jobs, senders);
        EXPECT_EQ(c.senders, senders);
    }
    uint64_t fall_backs(std::string_view kernel, std::string_view reason) {
        return registry
            .counter("millrace_offload_fall_backs_total", "",
                     "kernel=\"" + std::string(kernel) + "\",reason=\"" + std::string(reason) +
                         "\"")
            .value();
    }
    uint64_t jobs(std::string_view kernel, Backend backend) {
        return registry
            .counter("millrace_offload_jobs_total", "",
                     "kernel=\"" + std::string(kernel) + "\",backend=\"" +
                         std::string(to_string(backend)) + "\"")
            .value();
    }
    int64_t quarantined() {
        return registry.gauge("millrace_offload_device_quarantined", "").value();
    }
};

FakePlan good(uint64_t) { return {}; }

TEST(OffloadDevice, AGoodDeviceDoesLargeBatchesOnly) {
    DeviceCase c(good);
    c.expect_digests(15, 1);
    c.expect_senders(15, 1);
    EXPECT_EQ(0u, c.device->batches.load());
    c.expect_digests(16, 2);
    c.expect_senders(16, 2);
    c.expect_digests(5000, 3);
    c.expect_senders(1000, 3);
    EXPECT_TRUE(c.engine->backends()[keccak_cuda].available);
    EXPECT_TRUE(c.engine->backends()[recover_cuda].available);
    // What is left of a block is for the CPU when it is too small for the device.
    EXPECT_GE(c.jobs("keccak", Backend::cuda), 5016u - 16);
    EXPECT_EQ(5031u, c.jobs("keccak", Backend::cuda) + c.jobs("keccak", Backend::simd));
    EXPECT_GE(c.jobs("secp256k1", Backend::cuda), 1016u - 16);
    EXPECT_EQ(1031u,
              c.jobs("secp256k1", Backend::cuda) + c.jobs("secp256k1", fastest_recover_backend()));
    // Known answers are not counted as jobs, and every refusal was computed again.
    EXPECT_GT(c.device->items.load(),
              c.jobs("secp256k1", Backend::cuda) + c.jobs("keccak", Backend::cuda));
    EXPECT_GE(c.registry.counter("millrace_offload_rechecked_jobs_total", "").value(), 250u);
    EXPECT_EQ(0, c.quarantined());
}

TEST(OffloadDevice, CpuTimeIsKnownForEveryBackEnd) {
    DeviceCase c(good);
    c.expect_senders(300, 1);
    c.expect_senders(9, 2);
    c.expect_digests(2000, 1);
    c.expect_digests(15, 2);
    const std::vector<BackendCost> costs = c.engine->costs();
    ASSERT_EQ(4u, costs.size());
    EXPECT_GT(costs[0].cpu_us_per_item, 1);
    EXPECT_GT(costs[2].cpu_us_per_item, 0);
    EXPECT_EQ(Backend::cuda, costs[2].backend);
    EXPECT_EQ("keccak", costs[3].kernel);
    EXPECT_GT(costs[3].cpu_us_per_item, 0);
}

std::string_view reason_for(Trick trick) {
    switch (trick) {
        case Trick::none: return "";
        case Trick::refuses:
        case Trick::lost:
        case Trick::reports_fault: return "device_error";
        case Trick::hangs:
        case Trick::stuck_submit:
        case Trick::stuck_poll: return "timeout";
        case Trick::all_wrong:
        case Trick::last_wrong: return "canary";
        case Trick::flips_bit:
        case Trick::false_invalid:
        case Trick::false_valid: return "wrong_result";
        case Trick::exchanges: return "";  // by kernel
        case Trick::stale_results: return "";
        case Trick::too_few:
        case Trick::too_many: return "wrong_count";
        case Trick::twice:
        case Trick::wrong_epoch:
        case Trick::wrong_slot:
        case Trick::no_such_slot: return "stale_epoch";
    }
    return "";
}

class EveryTrick : public testing::TestWithParam<Trick> {};

TEST_P(EveryTrick, NeverReachesAResult) {
    OffloadOptions options = device_options();
    options.recheck_one_in = 1;
    if (GetParam() == Trick::hangs) { options.device_timeout_us = 20'000; }
    for (const std::string_view kernel : {"keccak", "secp256k1"}) {
        DeviceCase c(GetParam(), options);
        const auto run = [&](size_t count, uint64_t seed) {
            kernel == "keccak" ? c.expect_digests(count, seed) : c.expect_senders(count, seed);
        };
        run(600, 1);
        // One that reports a batch twice is found out with the next one.
        run(600, 2);
        std::string reason(reason_for(GetParam()));
        if (GetParam() == Trick::exchanges) {
            reason = kernel == "keccak" ? "canary" : "wrong_tag";
        }
        if (GetParam() == Trick::stale_results) {
            reason = kernel == "keccak" ? "canary" : "wrong_tag";
        }
        EXPECT_EQ(1, c.quarantined()) << kernel;
        EXPECT_GE(c.fall_backs(kernel, reason), GetParam() == Trick::twice ? 0u : 1u) << kernel;
        const BackendStatus status = c.engine->backends()[recover_cuda];
        EXPECT_FALSE(status.available);
        EXPECT_THAT(status.reason, HasSubstr("quarantined"));
        // It is not asked again.
        const uint64_t batches = c.device->batches.load();
        run(600, 3);
        EXPECT_EQ(batches, c.device->batches.load());
    }
}

INSTANTIATE_TEST_SUITE_P(OffloadDevice, EveryTrick,
                         testing::Values(Trick::refuses, Trick::lost, Trick::reports_fault,
                                         Trick::hangs, Trick::all_wrong, Trick::last_wrong,
                                         Trick::flips_bit, Trick::false_invalid, Trick::false_valid,
                                         Trick::exchanges, Trick::stale_results, Trick::too_few,
                                         Trick::too_many, Trick::twice, Trick::wrong_epoch,
                                         Trick::wrong_slot, Trick::no_such_slot));

TEST(OffloadDevice, EveryRefusalIsComputedAgainHoweverSmallTheSample) {
    OffloadOptions options = device_options();
    options.recheck_one_in = 1'000'000;
    DeviceCase c(Trick::false_invalid, options);
    c.expect_senders(200, 1);
    EXPECT_EQ(1u, c.fall_backs("secp256k1", "wrong_result"));
}

TEST(OffloadDevice, SamplingReachesEveryPlaceInTime) {
    // One wrong result with one check in 100: a miss is expected at first, and the moving sample
    // must find it within a few hundred batches. A miss shows as a wrong result, so this test
    // looks at the counter only. The wrong one is in the middle, where no sample begins.
    constexpr size_t count = 232;
    for (const std::string_view kernel : {"keccak", "secp256k1"}) {
        OffloadOptions options = device_options();
        options.recheck_one_in = 100;
        DeviceCase c(Trick::flips_bit, options);
        const KeccakCase k = keccak_case(count, 9);
        const RecoverCase r = recover_case(count, 9);
        std::vector<Hash256> digests(count);
        std::vector<std::optional<Address>> senders(count);
        size_t batches = 0;
        for (; c.fall_backs(kernel, "wrong_result") == 0 && batches < 2000; ++batches) {
            kernel == "keccak" ? c.engine->keccak256(k.views, digests)
                               : c.engine->recover_senders(r.jobs, senders);
        }
        EXPECT_LT(batches, 2000u);
        EXPECT_TRUE(kernel == "keccak" ? digests == k.digests : senders == r.senders);
    }
}

TEST(OffloadDevice, QueuedJobsGoStraightFromTheRing) {
    for (const bool pinned : {true, false}) {
        OffloadOptions options = device_options();
        options.worker_count = 1;
        options.deadline_us = 2'000;
        DeviceCase c(good, options, [&](FakeDevice& d) { d.has_pinned_memory = pinned; });
        constexpr size_t count = 200;
        const RecoverCase r = recover_case(count, 5);
        std::vector<std::optional<Address>> got(count, Address{});
        {
            HeldWorker held(*c.engine);
            for (size_t i = 0; i < count; ++i) {
                ASSERT_TRUE(c.engine
                                ->submit_recover({r.jobs[i]},
                                                 [&got, i](auto senders) { got[i] = senders[0]; })
                                .has_value());
            }
            while (c.device->batches.load() == 0) { std::this_thread::yield(); }
        }
        c.engine->shutdown();
        EXPECT_EQ(r.senders, got);
        EXPECT_GE(c.jobs("secp256k1", Backend::cuda), 16u);
        // Neighbours in the ring are one run between the known answers.
        EXPECT_LE(c.device->most_runs.load(), 4u);
    }
}

TEST(OffloadDevice, ScatteredJobsAreGatheredIntoFewRuns) {
    OffloadOptions options = device_options();
    options.worker_count = 1;
    options.deadline_us = 1'000'000;
    options.device_recover_jobs_min = 120;
    DeviceCase c(good, options);
    // Submissions for throughput lie between those that go to the device.
    constexpr size_t count = 240;
    const RecoverCase r = recover_case(count, 5);
    std::vector<std::optional<Address>> got(count, Address{});
    {
        HeldWorker held(*c.engine);
        c.device->paused = true;
        for (size_t i = 0; i < count; ++i) {
            ASSERT_TRUE(c.engine
                            ->submit_recover(
                                {r.jobs[i]}, [&got, i](auto senders) { got[i] = senders[0]; },
                                i % 2 == 0 ? Urgency::latency : Urgency::throughput)
                            .has_value());
        }
        while (c.device->batches.load() == 0) { std::this_thread::yield(); }
        c.device->paused = false;
    }
    c.engine->shutdown();
    EXPECT_EQ(r.senders, got);
    EXPECT_LE(c.device->most_runs.load(), detail::Device::runs_max);
}

TEST(OffloadDevice, ThroughputSubmissionsUseTheDevice) {
    DeviceCase c(good);
    const RecoverCase r = recover_case(400, 8);
    std::latch done(1);
    std::vector<std::optional<Address>> got;
    ASSERT_TRUE(c.engine
                    ->submit_recover(
                        r.jobs,
                        [&](auto senders) {
                            got = std::move(senders);
                            done.count_down();
                        },
                        Urgency::throughput)
                    .has_value());
    done.wait();
    EXPECT_EQ(r.senders, got);
    EXPECT_GE(c.jobs("secp256k1", Backend::cuda), 400u - 16);
}

TEST(OffloadDevice, TheCpuTakesTheTailWhileTheDeviceWorks) {
    OffloadOptions options = device_options();
    options.steal = true;
    DeviceCase c(good, options);
    c.device->paused = true;
    std::jthread caller([&] { c.expect_senders(2000, 1); });
    // All slots are taken, and the rest is done by the CPU.
    while (c.jobs("secp256k1", fastest_recover_backend()) + c.device->items.load() < 2000) {
        std::this_thread::yield();
    }
    c.device->paused = false;
    caller.join();
    EXPECT_GT(c.jobs("secp256k1", Backend::cuda), 0u);
    EXPECT_GT(c.jobs("secp256k1", fastest_recover_backend()), 0u);
    EXPECT_EQ(2000u,
              c.jobs("secp256k1", Backend::cuda) + c.jobs("secp256k1", fastest_recover_backend()));
}

TEST(OffloadDevice, ADeviceThatDisappearsMidRunLosesNothing) {
    DeviceCase c(good);
    c.device->paused = true;
    std::jthread caller([&] { c.expect_senders(2000, 1); });
    while (c.device->batches.load() < 3) { std::this_thread::yield(); }
    c.device->gone = true;
    caller.join();
    EXPECT_EQ(3u, c.fall_backs("secp256k1", "device_error"));
    EXPECT_EQ(0u, c.jobs("secp256k1", Backend::cuda));
}

TEST(OffloadDevice, ShutdownEndsWhatADeviceHas) {
    enum class End : uint8_t { ends, disappears, hangs };
    for (const End how : {End::ends, End::disappears, End::hangs}) {
        OffloadOptions options = device_options();
        if (how == End::hangs) { options.device_timeout_us = 20'000; }
        DeviceCase c(good, options);
        c.device->paused = true;
        const RecoverCase r = recover_case(100, 4);
        std::atomic<size_t> answers{0};
        for (int i = 0; i < 5; ++i) {
            const auto check = [&](auto senders) {
                EXPECT_EQ(r.senders, senders);
                answers.fetch_add(1);
            };
            ASSERT_TRUE(c.engine->submit_recover(r.jobs, check, Urgency::throughput).has_value());
        }
        while (c.device->batches.load() == 0) { std::this_thread::yield(); }
        std::jthread closing([&] {
            c.engine->shutdown();
            EXPECT_EQ(5u, answers.load());
        });
        // Intake is closed first.
        while (c.engine->submit_recover({}, [](auto) {}).has_value()) { std::this_thread::yield(); }
        if (how == End::ends) { c.device->paused = false; }
        if (how == End::disappears) { c.device->gone = true; }
        closing.join();
        EXPECT_EQ(how == End::ends ? 0 : 1, c.quarantined());
        EXPECT_EQ(0u, c.engine->queue_depth_jobs());
        // Calls go on without it.
        c.expect_senders(100, 6);
    }
}

/// A call of the driver that does not return until the test lets it.
struct StuckCall {
    std::latch entered{1};
    std::latch let_go{1};

    /// A device whose batch 1 is stuck, and which keeps `call` for as long as it lives.
    static std::unique_ptr<FakeDevice> device(const std::shared_ptr<StuckCall>& call, Trick trick) {
        auto device = std::make_unique<FakeDevice>(
            [trick](uint64_t batch) { return FakePlan{batch == 1 ? trick : Trick::none, 0}; });
        device->stuck = [call] {
            call->entered.count_down();
            call->let_go.wait();
        };
        return device;
    }
};

class EveryStuckCall : public testing::TestWithParam<Trick> {};

TEST_P(EveryStuckCall, LosesNoJobAndDoesNotHoldUpTheEnd) {
    for (const std::string_view kernel : {"keccak", "secp256k1"}) {
        OffloadOptions options = device_options();
        options.device_call_timeout_us = 20'000;
        auto registry = std::make_unique<metrics::Registry>();
        auto clock = std::make_unique<SystemClock>();
        options.metrics = registry.get();
        options.clock = clock.get();
        auto call = std::make_shared<StuckCall>();
        const std::weak_ptr<StuckCall> device_lives = call;
        auto engine =
            OffloadEngine::create_with_device(options, StuckCall::device(call, GetParam())).value();
        const RecoverCase r = recover_case(600, 1);
        const KeccakCase k = keccak_case(600, 1);
        // A blocking call, and beside it submissions whose callbacks come once.
        std::vector<int> answers(8);
        for (int& answer : answers) {
            ASSERT_TRUE(engine
                            ->submit_recover(
                                r.jobs,
                                [&answer, &r](auto senders) {
                                    EXPECT_EQ(r.senders, senders);
                                    ++answer;
                                },
                                Urgency::throughput)
                            .has_value());
        }
        if (kernel == "keccak") {
            std::vector<Hash256> digests(k.views.size());
            engine->keccak256(k.views, digests);
            EXPECT_EQ(k.digests, digests);
        } else {
            std::vector<std::optional<Address>> senders(r.jobs.size());
            engine->recover_senders(r.jobs, senders);
            EXPECT_EQ(r.senders, senders);
        }
        call->entered.wait();
        engine->shutdown();
        EXPECT_EQ(std::vector<int>(answers.size(), 1), answers);
        EXPECT_EQ(1, registry->gauge("millrace_offload_device_quarantined", "").value());
        uint64_t fall_backs = 0;
        for (const char* of : {"keccak", "secp256k1"}) {
            fall_backs += registry
                              ->counter("millrace_offload_fall_backs_total", "",
                                        "kernel=\"" + std::string(of) + "\",reason=\"timeout\"")
                              .value();
        }
        EXPECT_GE(fall_backs, 1u);
        EXPECT_THAT(engine->backends()[recover_cuda].reason, HasSubstr("did not return"));
        // Calls go on without it; then everything goes that the engine was lent.
        std::vector<std::optional<Address>> senders(r.jobs.size());
        engine->recover_senders(r.jobs, senders);
        EXPECT_EQ(r.senders, senders);
        engine.reset();
        registry.reset();
        clock.reset();
        EXPECT_FALSE(device_lives.expired());
        call->let_go.count_down();
        call.reset();
        // Who comes back frees what was kept for the call.
        while (!device_lives.expired()) { std::this_thread::yield(); }
    }
}

INSTANTIATE_TEST_SUITE_P(OffloadDevice, EveryStuckCall,
                         testing::Values(Trick::stuck_submit, Trick::stuck_poll));

TEST(OffloadDevice, ACallThatReturnsLateLeavesTheEngineAsItIs) {
    OffloadOptions options = device_options();
    options.device_call_timeout_us = 20'000;
    auto call = std::make_shared<StuckCall>();
    const auto engine =
        OffloadEngine::create_with_device(options, StuckCall::device(call, Trick::stuck_submit))
            .value();
    const RecoverCase r = recover_case(900, 2);
    const auto recover = [&] {
        std::vector<std::optional<Address>> senders(r.jobs.size());
        engine->recover_senders(r.jobs, senders);
        EXPECT_EQ(r.senders, senders);
    };
    recover();
    call->entered.wait();
    while (engine->backends()[recover_cuda].available) { std::this_thread::yield(); }
    call->let_go.count_down();
    for (int i = 0; i < 3; ++i) { recover(); }
    engine->shutdown();
    EXPECT_THAT(engine->backends()[recover_cuda].reason, HasSubstr("did not return"));
}

TEST(OffloadDevice, NothingOfADeviceIsUsedAfterItsFirstFault) {
    OffloadOptions options = device_options();
    options.worker_count = 1;
    DeviceCase c(
        [](uint64_t batch) { return FakePlan{batch == 0 ? Trick::all_wrong : Trick::none, 0}; },
        options);
    c.device->paused = true;
    const RecoverCase r = recover_case(252, 4);
    std::atomic<size_t> answers{0};
    {
        HeldWorker held(*c.engine);
        for (int i = 0; i < 3; ++i) {
            const auto check = [&](auto senders) {
                EXPECT_EQ(r.senders, senders);
                answers.fetch_add(1);
            };
            ASSERT_TRUE(c.engine->submit_recover(r.jobs, check, Urgency::throughput).has_value());
        }
        while (c.device->batches.load() < 3) { std::this_thread::yield(); }
        c.device->paused = false;
        // All three have ended, and are checked one after the other, the bad one first.
        while (c.device->ended.load() < 3) { std::this_thread::yield(); }
    }
    c.engine->shutdown();
    EXPECT_EQ(3u, answers.load());
    EXPECT_EQ(3u, c.fall_backs("secp256k1", "canary"));
    EXPECT_EQ(0u, c.jobs("secp256k1", Backend::cuda));
}

TEST(OffloadDevice, ACallerOfABlockIsNotGivenCallbacks) {
    // The caller holds what a callback waits for.
    OffloadOptions options = device_options();
    options.worker_count = 1;
    DeviceCase c([](uint64_t) { return FakePlan{Trick::none, 2}; }, options);
    std::mutex held;
    const RecoverCase r = recover_case(100, 4);
    std::atomic<size_t> answers{0};
    const auto check = [&](auto senders) {
        const std::lock_guard lock(held);
        EXPECT_EQ(r.senders, senders);
        answers.fetch_add(1);
    };
    for (uint64_t i = 0; i < 10; ++i) {
        const std::lock_guard lock(held);
        ASSERT_TRUE(c.engine->submit_recover(r.jobs, check, Urgency::throughput).has_value());
        c.expect_senders(300, i);
    }
    c.engine->shutdown();
    EXPECT_EQ(10u, answers.load());
}

TEST(OffloadDevice, ACallbackOfTheOnlyWorkerMayWaitForTheDevice) {
    OffloadOptions options = device_options();
    options.worker_count = 1;
    DeviceCase c([](uint64_t) { return FakePlan{Trick::none, 3}; }, options);
    std::latch done(1);
    ASSERT_TRUE(c.engine
                    ->submit_recover({},
                                     [&](auto) {
                                         c.expect_senders(500, 1);
                                         c.expect_digests(500, 1);
                                         done.count_down();
                                     })
                    .has_value());
    done.wait();
    EXPECT_GT(c.jobs("secp256k1", Backend::cuda), 0u);
}

TEST(OffloadDevice, MessagesThatDoNotFitAreForTheCpu) {
    DeviceCase c(good);
    // The fake device has 64 KiB for a batch.
    const std::vector<size_t> lengths{100'000, 1, 40'000, 40'000, 70'000, 0, 65'000};
    std::vector<Bytes> messages;
    for (size_t i = 0; i < 70; ++i) {
        messages.emplace_back(lengths[i % lengths.size()], static_cast<uint8_t>(i));
    }
    const std::vector<ByteView> views(messages.begin(), messages.end());
    std::vector<Hash256> digests(views.size());
    c.engine->keccak256(views, digests);
    for (size_t i = 0; i < views.size(); ++i) { EXPECT_EQ(keccak256(views[i]), digests[i]) << i; }
    EXPECT_GT(c.jobs("keccak", Backend::cuda), 0u);
    EXPECT_EQ(0, c.quarantined());
}

TEST(OffloadDevice, AnAbsentDeviceIsNeverCalled) {
    const auto unplug = [](FakeDevice& d) { d.absent = "unplugged"; };
    DeviceCase c(good, device_options(), unplug);
    c.expect_digests(600, 1);
    c.expect_senders(60, 1);
    EXPECT_EQ(0u, c.device->batches.load());
    EXPECT_EQ("unplugged", c.engine->backends()[keccak_cuda].reason);
    EXPECT_EQ(0, c.quarantined());

    OffloadOptions options = device_options();
    options.cuda = CudaPolicy::on;
    auto device = std::make_unique<FakeDevice>(good);
    unplug(*device);
    const auto engine = OffloadEngine::create_with_device(options, std::move(device));
    ASSERT_FALSE(engine.has_value());
    EXPECT_EQ(ErrorCode::unavailable, engine.error().code);
    EXPECT_THAT(engine.error().message, HasSubstr("unplugged"));
}

TEST(OffloadDevice, ADeviceThatFailsWhileItIsMeasuredIsNotUsed) {
    for (const Trick trick :
         {Trick::refuses, Trick::lost, Trick::reports_fault, Trick::hangs, Trick::all_wrong,
          Trick::flips_bit, Trick::too_few, Trick::wrong_epoch}) {
        OffloadOptions options = device_options();
        options.measure_costs = true;
        DeviceCase c(trick, options);
        const uint64_t batches = c.device->batches.load();
        EXPECT_FALSE(c.engine->backends()[recover_cuda].available);
        EXPECT_THAT(c.engine->backends()[recover_cuda].reason, HasSubstr("quarantined"));
        EXPECT_EQ(1, c.quarantined());
        c.expect_senders(100, 1);
        EXPECT_EQ(batches, c.device->batches.load());
    }
}

TEST(OffloadDevice, EveryBatchIsCheckedWhileItIsMeasured) {
    // Signatures are measured first, by six batches or more; then hashes, by as many.
    const auto fails_one = [](uint64_t batch) {
        return FakePlan{batch == 2 ? Trick::all_wrong : Trick::none, 0};
    };
    const auto fails_late = [](uint64_t batch) {
        return FakePlan{batch >= 9 ? Trick::all_wrong : Trick::none, 0};
    };
    OffloadOptions options = device_options();
    options.measure_costs = true;
    for (const std::function<FakePlan(uint64_t)>& plan :
         {std::function<FakePlan(uint64_t)>(fails_one), {fails_late}}) {
        DeviceCase c(plan, options);
        EXPECT_THAT(c.engine->backends()[recover_cuda].reason, HasSubstr("when it was measured"));
        EXPECT_EQ(1, c.quarantined());
    }
}

TEST(OffloadDevice, MeasuringTakesLessThan300Ms) {
    OffloadOptions options = device_options();
    options.measure_costs = true;
    // The fake device computes on this thread, so its CPU time is the time that it would take
    // alone on the machine; room for a core that another thread shares.
    const int64_t start_us = detail::thread_cpu_us();
    DeviceCase c(good, options);
    EXPECT_LT(detail::thread_cpu_us() - start_us, 3 * 300'000);
    EXPECT_TRUE(c.engine->backends()[recover_cuda].available);
    c.expect_senders(100, 1);
}

TEST(OffloadDevice, TheDrillOfARealDeviceFindsNothing) {
    for (const MidBatch fault : mid_batch_faults) {
        drill_engine(std::make_unique<FakeDevice>(good), fault);
    }
}

TEST(OffloadDevice, ManyThreadsSurviveAFault) {
    OffloadOptions options = device_options();
    options.steal = true;
    options.recheck_one_in = 1;
    for (const Trick trick : {Trick::lost, Trick::hangs, Trick::flips_bit, Trick::twice}) {
        options.device_timeout_us = trick == Trick::hangs ? 20'000 : 60'000'000;
        DeviceCase c(
            [trick](uint64_t batch) {
                return FakePlan{batch == 12 ? trick : Trick::none,
                                static_cast<uint32_t>(batch % 3)};
            },
            options);
        std::atomic<size_t> answers{0};
        {
            std::vector<std::jthread> threads;
            for (uint64_t t = 0; t < 4; ++t) {
                threads.emplace_back([&, t] {
                    for (uint64_t i = 0; i < 6; ++i) {
                        c.expect_digests(100 + i * 150, t * 10 + i);
                        const auto r = std::make_shared<RecoverCase>(recover_case(30 + i, t));
                        const auto check = [&answers, r](auto senders) {
                            EXPECT_EQ(r->senders, senders);
                            answers.fetch_add(1);
                        };
                        ASSERT_TRUE(c.engine
                                        ->submit_recover(r->jobs, check,
                                                         i % 2 == 0 ? Urgency::latency
                                                                    : Urgency::throughput)
                                        .has_value());
                        c.expect_senders(40 + i, t * 10 + i);
                    }
                });
            }
        }
        c.engine->shutdown();
        EXPECT_EQ(24u, answers.load());
    }
}

}  // namespace
}  // namespace millrace::kernels
