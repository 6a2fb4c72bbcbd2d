// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the offload engine: agreement, limits, shutdown; without a device.
#include "kernels/offload/engine.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <random>
#include <thread>

#include "kernels/secp256k1/recover_batch.hpp"
#include "tests/kernels/offload/cases.hpp"
#include "tests/kernels/offload/held_worker.hpp"

namespace millrace::kernels {
namespace {

using testing::HasSubstr;

OffloadOptions cpu_options(uint32_t workers) {
    OffloadOptions options;
    options.worker_count = workers;
    options.cuda = CudaPolicy::off;
    return options;
}

std::unique_ptr<OffloadEngine> make_engine(const OffloadOptions& options) {
    auto engine = OffloadEngine::create(options);
    EXPECT_TRUE(engine.has_value()) << engine.error().message;
    return std::move(engine).value();
}

/// The back ends of recovery that this CPU has.
std::vector<Backend> recover_backends() {
    std::vector<Backend> out;
    for (const Backend backend : {Backend::scalar, Backend::simd, Backend::cuda}) {
        if (recover_backend_status(backend).available) { out.push_back(backend); }
    }
    return out;
}

TEST(OffloadEngine, RecoversAnyCountWithAnyNumberOfWorkersOnEveryBackEnd) {
    for (const Backend backend : recover_backends()) {
        for (const uint32_t workers : {1u, 2u, 5u}) {
            OffloadOptions options = cpu_options(workers);
            options.recover_backend = backend;
            const auto engine = make_engine(options);
            EXPECT_EQ(workers, engine->worker_count());
            for (const size_t count : {0u, 1u, 2u, 7u, 8u, 9u, 31u, 33u, 300u}) {
                const RecoverCase c = recover_case(count, count);
                std::vector<std::optional<Address>> senders(count, Address{});
                engine->recover_senders(c.jobs, senders);
                EXPECT_EQ(c.senders, senders)
                    << count << " jobs, " << workers << " workers, " << to_string(backend);
            }
        }
    }
}

TEST(OffloadEngine, RefusesABackEndOfRecoveryThatIsAbsent) {
    OffloadOptions options = cpu_options(1);
    options.recover_backend = Backend::cuda;
    const auto engine = OffloadEngine::create(options);
    ASSERT_FALSE(engine.has_value());
    EXPECT_EQ(ErrorCode::unavailable, engine.error().code);
    EXPECT_THAT(engine.error().message, HasSubstr("'cuda'"));
}

TEST(OffloadEngine, GathersSingleSubmissionsIntoOneBatch) {
    for (const Backend backend : recover_backends()) {
        metrics::Registry registry;
        OffloadOptions options = cpu_options(1);
        options.recover_backend = backend;
        options.metrics = &registry;
        const auto engine = make_engine(options);
        constexpr size_t count = 20;
        const RecoverCase c = recover_case(count, 5);
        std::vector<std::optional<Address>> got(count, Address{});
        {
            HeldWorker held(*engine);
            for (size_t i = 0; i < count; ++i) {
                ASSERT_TRUE(engine
                                ->submit_recover({c.jobs[i]},
                                                 [&got, i](auto senders) {
                                                     ASSERT_EQ(1u, senders.size());
                                                     got[i] = senders[0];
                                                 })
                                .has_value());
                // A submission without jobs between them changes nothing.
                ASSERT_TRUE(engine->submit_recover({}, [](auto) {}).has_value());
            }
        }
        engine->shutdown();
        EXPECT_EQ(c.senders, got);
        const std::string labels =
            "kernel=\"secp256k1\",backend=\"" + std::string(to_string(backend)) + "\"";
        EXPECT_EQ(count, registry.counter("millrace_offload_jobs_total", "", labels).value());
        // Without lanes nobody waits for more than seven others; those without jobs count, too.
        const uint64_t batches = recover_lanes(backend) == 1 ? (2 * count + 7) / 8 : 1;
        EXPECT_EQ(batches, registry.counter("millrace_offload_batches_total", "", labels).value());
    }
}

TEST(OffloadEngine, BlockingCallsShareOutFullVectorsHoweverManyWorkers) {
    for (const Backend backend : recover_backends()) {
        metrics::Registry registry;
        OffloadOptions options = cpu_options(8);
        options.recover_backend = backend;
        options.metrics = &registry;
        const auto engine = make_engine(options);
        constexpr size_t count = 27;  // fewer than four for each of nine hands
        const RecoverCase c = recover_case(count, 6);
        std::vector<std::optional<Address>> got(count, Address{});
        engine->recover_senders(c.jobs, got);
        EXPECT_EQ(c.senders, got);
        const std::string labels =
            "kernel=\"secp256k1\",backend=\"" + std::string(to_string(backend)) + "\"";
        const size_t lanes = recover_lanes(backend);
        EXPECT_EQ((count + lanes - 1) / lanes,
                  registry.counter("millrace_offload_batches_total", "", labels).value());
    }
}

TEST(OffloadEngine, HashesAnyCount) {
    const auto engine = make_engine(cpu_options(3));
    for (const size_t count : {0u, 1u, 7u, 8u, 9u, 31u, 33u, 1023u, 1024u, 1025u, 10'000u}) {
        const KeccakCase c = keccak_case(count, count);
        std::vector<Hash256> digests(count);
        engine->keccak256(c.views, digests);
        EXPECT_EQ(c.digests, digests) << count << " messages";
    }
}

TEST(OffloadEngine, ManyThreadsMixBlockingAndQueuedWork) {
    metrics::Registry registry;
    OffloadOptions options = cpu_options(3);
    options.recover_backend = Backend::scalar;
    options.batch_jobs_max = 5;
    options.deadline_us = 1;
    options.metrics = &registry;
    const auto engine = make_engine(options);
    constexpr size_t thread_count = 6;
    constexpr size_t rounds = 8;
    std::atomic<size_t> callbacks{0};
    std::atomic<size_t> jobs{0};
    std::vector<std::jthread> threads;
    for (size_t t = 0; t < thread_count; ++t) {
        threads.emplace_back([&, t] {
            for (size_t round = 0; round < rounds; ++round) {
                const size_t count = (t * 13 + round * 7) % 40;
                const auto c = std::make_shared<RecoverCase>(recover_case(count, t * 100 + round));
                const Result<void> submitted =
                    engine->submit_recover(c->jobs, [&callbacks, c](auto senders) {
                        EXPECT_EQ(c->senders, senders);
                        callbacks.fetch_add(1);
                    });
                ASSERT_TRUE(submitted.has_value()) << submitted.error().message;
                std::vector<std::optional<Address>> senders(count);
                engine->recover_senders(c->jobs, senders);
                EXPECT_EQ(c->senders, senders);
                const KeccakCase k = keccak_case(1500 + count, t);
                std::vector<Hash256> digests(k.views.size());
                engine->keccak256(k.views, digests);
                EXPECT_EQ(k.digests, digests);
                jobs.fetch_add(2 * count);
            }
        });
    }
    threads.clear();
    engine->shutdown();
    EXPECT_EQ(thread_count * rounds, callbacks.load());
    EXPECT_EQ(0u, engine->queue_depth_jobs());
    EXPECT_EQ(jobs.load(), registry
                               .counter("millrace_offload_jobs_total", "",
                                        "kernel=\"secp256k1\",backend=\"scalar\"")
                               .value());
}

TEST(OffloadEngine, OneLargeSubmissionIsCutUpAndPutTogether) {
    OffloadOptions options = cpu_options(4);
    options.batch_jobs_max = 3;
    const auto engine = make_engine(options);
    const RecoverCase c = recover_case(203, 1);
    std::latch done(1);
    std::vector<std::optional<Address>> got;
    const auto keep = [&](auto senders) {
        got = std::move(senders);
        done.count_down();
    };
    ASSERT_TRUE(engine->submit_recover(c.jobs, keep).has_value());
    done.wait();
    engine->shutdown();
    EXPECT_EQ(c.senders, got);
}

TEST(OffloadEngine, AFullQueueRefusesWithLimitAndRecovers) {
    metrics::Registry registry;
    OffloadOptions options = cpu_options(1);
    options.queue_jobs_max = 10;
    options.metrics = &registry;
    const auto engine = make_engine(options);
    std::atomic<size_t> done{0};
    const auto count_down = [&](auto) { done.fetch_add(1); };
    const RecoverCase six = recover_case(6, 1);
    const RecoverCase four = recover_case(4, 2);
    {
        HeldWorker held(*engine);
        ASSERT_TRUE(engine->submit_recover(six.jobs, count_down).has_value());
        const Result<void> refused = engine->submit_recover(six.jobs, count_down);
        ASSERT_FALSE(refused.has_value());
        EXPECT_EQ(ErrorCode::limit, refused.error().code);
        EXPECT_THAT(refused.error().message, HasSubstr("6 of 10"));
        // What still fits is taken; a submission without jobs needs room too.
        ASSERT_TRUE(engine->submit_recover(four.jobs, count_down).has_value());
        EXPECT_EQ(10u, engine->queue_depth_jobs());
        EXPECT_FALSE(engine->submit_recover({}, count_down).has_value());
        EXPECT_EQ(7u, registry.counter("millrace_offload_refused_jobs_total", "").value());
    }
    std::latch drained(1);
    while (!engine->submit_recover({}, [&](auto) { drained.count_down(); }).has_value()) {
        std::this_thread::yield();
    }
    drained.wait();
    engine->shutdown();
    EXPECT_EQ(2u, done.load());
}

TEST(OffloadEngine, ASubmissionAboveTheLimitIsNeverTaken) {
    OffloadOptions options = cpu_options(1);
    options.queue_jobs_max = 3;
    const auto engine = make_engine(options);
    const Result<void> refused =
        engine->submit_recover(recover_case(4, 1).jobs, [](auto) { FAIL(); });
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(ErrorCode::limit, refused.error().code);
}

TEST(OffloadEngine, ShutdownRunsWhatWasQueuedAndRefusesTheRest) {
    const auto engine = make_engine(cpu_options(2));
    std::atomic<size_t> done{0};
    const RecoverCase c = recover_case(5, 3);
    constexpr size_t submissions = 40;
    for (size_t i = 0; i < submissions; ++i) {
        const auto check = [&](auto senders) {
            EXPECT_EQ(c.senders, senders);
            done.fetch_add(1);
        };
        ASSERT_TRUE(engine->submit_recover(c.jobs, check).has_value());
    }
    engine->shutdown();
    EXPECT_EQ(submissions, done.load());
    const Result<void> late = engine->submit_recover(c.jobs, [](auto) { FAIL(); });
    ASSERT_FALSE(late.has_value());
    EXPECT_EQ(ErrorCode::unavailable, late.error().code);
    engine->shutdown();

    // Blocking calls go on alone.
    std::vector<std::optional<Address>> senders(c.jobs.size());
    engine->recover_senders(c.jobs, senders);
    EXPECT_EQ(c.senders, senders);
    const KeccakCase k = keccak_case(5000, 1);
    std::vector<Hash256> digests(k.views.size());
    engine->keccak256(k.views, digests);
    EXPECT_EQ(k.digests, digests);
}

TEST(OffloadEngine, ShutdownFromTwoThreadsWaitsInBoth) {
    const auto engine = make_engine(cpu_options(2));
    std::atomic<size_t> done{0};
    const RecoverCase c = recover_case(20, 4);
    for (int i = 0; i < 10; ++i) {
        ASSERT_TRUE(engine->submit_recover(c.jobs, [&](auto) { done.fetch_add(1); }).has_value());
    }
    std::vector<std::jthread> threads;
    for (int i = 0; i < 2; ++i) {
        threads.emplace_back([&] {
            engine->shutdown();
            EXPECT_EQ(10u, done.load());
        });
    }
}

TEST(OffloadEngine, TheDestructorDrains) {
    std::atomic<size_t> done{0};
    const RecoverCase c = recover_case(10, 5);
    {
        const auto engine = make_engine(cpu_options(1));
        for (int i = 0; i < 5; ++i) {
            ASSERT_TRUE(
                engine->submit_recover(c.jobs, [&](auto) { done.fetch_add(1); }).has_value());
        }
    }
    EXPECT_EQ(5u, done.load());
}

TEST(OffloadEngine, ACallbackMayUseTheEngine) {
    const auto engine = make_engine(cpu_options(1));
    const RecoverCase c = recover_case(9, 6);
    const KeccakCase k = keccak_case(3000, 2);
    std::latch done(1);
    const auto second = [&](auto senders) {
        EXPECT_EQ(c.senders, senders);
        done.count_down();
    };
    const auto first = [&](auto) {
        std::vector<Hash256> digests(k.views.size());
        engine->keccak256(k.views, digests);
        EXPECT_EQ(k.digests, digests);
        EXPECT_TRUE(engine->submit_recover(c.jobs, second).has_value());
    };
    ASSERT_TRUE(engine->submit_recover({c.jobs[0]}, first).has_value());
    done.wait();
    engine->shutdown();
}

TEST(OffloadEngine, JobDoesNotWaitForACallbackThatWaitsForIt) {
    const auto engine = make_engine(cpu_options(4));
    const RecoverCase c = recover_case(1, 1);
    for (int round = 0; round < 5; ++round) {
        // All workers sleep as deeply as they do.
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        std::latch started(1);
        std::latch second(1);
        std::latch first(1);
        ASSERT_TRUE(engine
                        ->submit_recover(c.jobs,
                                         [&](auto) {
                                             started.count_down();
                                             second.wait();
                                             first.count_down();
                                         })
                        .has_value());
        started.wait();
        ASSERT_TRUE(engine->submit_recover(c.jobs, [&](auto) { second.count_down(); }).has_value());
        first.wait();
    }
}

TEST(OffloadEngine, ShutdownWhileAJobIsLeftToABusyWorkerEnds) {
    const RecoverCase c = recover_case(1, 1);
    for (int round = 0; round < 40; ++round) {
        const auto engine = make_engine(cpu_options(8));
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
        std::latch started(1);
        std::atomic<int> done{0};
        ASSERT_TRUE(engine
                        ->submit_recover(c.jobs,
                                         [&](auto) {
                                             started.count_down();
                                             std::this_thread::sleep_for(
                                                 std::chrono::microseconds(500));
                                             ++done;
                                         })
                        .has_value());
        started.wait();
        ASSERT_TRUE(engine->submit_recover(c.jobs, [&](auto) { ++done; }).has_value());
        engine->shutdown();
        EXPECT_EQ(2, done.load());
    }
}

TEST(OffloadEngine, CountsJobsThatWaitedPastTheDeadline) {
    metrics::Registry registry;
    ManualClock clock(0);
    OffloadOptions options = cpu_options(1);
    options.metrics = &registry;
    options.clock = &clock;
    options.deadline_us = 500;
    const auto engine = make_engine(options);
    const RecoverCase c = recover_case(3, 7);
    metrics::Counter& late = registry.counter("millrace_offload_late_jobs_total", "");
    {
        HeldWorker held(*engine);
        ASSERT_TRUE(engine->submit_recover(c.jobs, [](auto) {}).has_value());
        clock.advance_us(500);
        ASSERT_TRUE(engine->submit_recover({c.jobs[0]}, [](auto) {}).has_value());
        clock.advance_us(1);
    }
    engine->shutdown();
    EXPECT_EQ(3u, late.value());
    EXPECT_EQ(3u, registry.histogram("millrace_offload_wait_seconds", "").count());
}

TEST(OffloadEngine, RefusesZeroLimits) {
    const auto refuses = [](auto change) {
        OffloadOptions options = cpu_options(1);
        change(options);
        const auto engine = OffloadEngine::create(options);
        return !engine.has_value() && engine.error().code == ErrorCode::config;
    };
    EXPECT_TRUE(refuses([](OffloadOptions& o) { o.queue_jobs_max = 0; }));
    EXPECT_TRUE(refuses([](OffloadOptions& o) { o.batch_jobs_max = 0; }));
    EXPECT_TRUE(refuses([](OffloadOptions& o) { o.device_keccak_jobs_min = 0; }));
    EXPECT_TRUE(refuses([](OffloadOptions& o) { o.device_recover_jobs_min = 0; }));
    EXPECT_TRUE(refuses([](OffloadOptions& o) { o.device_timeout_us = 0; }));
    EXPECT_TRUE(refuses([](OffloadOptions& o) { o.device_call_timeout_us = 0; }));
    EXPECT_TRUE(refuses([](OffloadOptions& o) { o.recheck_one_in = 0; }));
    EXPECT_FALSE(refuses([](OffloadOptions&) {}));
}

TEST(OffloadEngine, NamesEveryBackEndAndWhyOneIsAbsent) {
    const auto engine = make_engine(cpu_options(1));
    size_t absent = 0;
    std::string names;
    for (const BackendStatus& status : engine->backends()) {
        names += std::string(status.kernel) + "/" + std::string(to_string(status.backend)) + " ";
        EXPECT_FALSE(status.available ? status.target.empty() : status.reason.empty()) << names;
        absent += status.available ? 0 : 1;
    }
    EXPECT_EQ(
        "keccak/scalar keccak/simd keccak/cuda secp256k1/scalar secp256k1/simd secp256k1/cuda ",
        names);
    EXPECT_EQ(recover_backend_status(Backend::simd).available ? 2u : 3u, absent);
}

TEST(OffloadEngine, PolicyOnStartsOnlyWithADevice) {
    OffloadOptions options = cpu_options(1);
    options.cuda = CudaPolicy::on;
    const auto engine = OffloadEngine::create(options);
    options.cuda = CudaPolicy::automatic;
    const auto any = make_engine(options);
    if (any->backends()[2].available) {
        EXPECT_TRUE(engine.has_value());
    } else {
        ASSERT_FALSE(engine.has_value());
        EXPECT_EQ(ErrorCode::unavailable, engine.error().code);
        EXPECT_THAT(engine.error().message, HasSubstr(any->backends()[2].reason));
    }
}

}  // namespace
}  // namespace millrace::kernels
