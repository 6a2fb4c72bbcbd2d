// SPDX-License-Identifier: Apache-2.0
// Owns the drill of the engine: a device, real or not, fails in the middle of a batch under load.
#pragma once

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <atomic>
#include <latch>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "kernels/offload/engine.hpp"
#include "tests/kernels/offload/cases.hpp"
#include "tests/kernels/offload/faulty_device.hpp"

namespace millrace::kernels {

inline std::string_view name_of(MidBatch fault) {
    switch (fault) {
        case MidBatch::refuses: return "refuses";
        case MidBatch::lost: return "lost";
        case MidBatch::hangs: return "hangs";
        case MidBatch::flips: return "flips";
        case MidBatch::stuck: return "stuck";
    }
    return "";
}

/// Threads recover and hash through an engine whose device does two batches and then fails in the
/// middle of one. Every answer must be right and come once, the device must be quarantined, and the
/// engine must go on and come to its end.
inline void drill_engine(std::unique_ptr<detail::Device> device, MidBatch fault) {
    SCOPED_TRACE(std::string(name_of(fault)));
    struct Stuck {
        std::latch let_go{1};
    };
    auto stuck = std::make_shared<Stuck>();
    const std::weak_ptr<Stuck> device_lives = stuck;
    metrics::Registry registry;
    OffloadOptions options;
    options.worker_count = 2;
    options.metrics = &registry;
    options.device_recover_jobs_min = 64;
    options.device_keccak_jobs_min = 64;
    options.measure_costs = false;
    options.steal = false;
    // Long for a device and a machine that are well; the faults that time shows get little.
    options.device_timeout_us = fault == MidBatch::hangs ? 100'000 : 60'000'000;
    options.device_call_timeout_us = fault == MidBatch::stuck ? 400'000 : 60'000'000;
    constexpr uint64_t good_batches = 2;
    auto engine =
        OffloadEngine::create_with_device(
            options, std::make_unique<FaultyDevice>(std::move(device), fault, good_batches,
                                                    [stuck] { stuck->let_go.wait(); }))
            .value();
    constexpr size_t threads_count = 3;
    constexpr size_t rounds = 4;
    std::atomic<size_t> answers{0};
    {
        std::vector<std::jthread> threads;
        for (uint64_t t = 0; t < threads_count; ++t) {
            threads.emplace_back([&, t] {
                for (uint64_t round = 0; round < rounds; ++round) {
                    const auto r = std::make_shared<RecoverCase>(recover_case(200, 10 * t + round));
                    ASSERT_TRUE(engine
                                    ->submit_recover(
                                        r->jobs,
                                        [&answers, r](auto senders) {
                                            EXPECT_EQ(r->senders, senders);
                                            answers.fetch_add(1);
                                        },
                                        round % 2 == 0 ? Urgency::latency : Urgency::throughput)
                                    .has_value());
                    std::vector<std::optional<Address>> senders(r->jobs.size());
                    engine->recover_senders(r->jobs, senders);
                    EXPECT_EQ(r->senders, senders);
                    const KeccakCase k = keccak_case(300, 10 * t + round);
                    std::vector<Hash256> digests(k.views.size());
                    engine->keccak256(k.views, digests);
                    EXPECT_EQ(k.digests, digests);
                }
            });
        }
    }
    engine->shutdown();
    EXPECT_EQ(threads_count * rounds, answers.load()) << "every callback comes once";
    EXPECT_EQ(1, registry.gauge("millrace_offload_device_quarantined", "").value());
    EXPECT_THAT(engine->backends().back().reason, testing::HasSubstr("quarantined"));
    uint64_t fall_backs = 0;
    for (const char* kernel : {"keccak", "secp256k1"}) {
        for (const char* reason : {"device_error", "timeout", "wrong_result"}) {
            fall_backs +=
                registry
                    .counter("millrace_offload_fall_backs_total", "",
                             "kernel=\"" + std::string(kernel) + "\",reason=\"" + reason + "\"")
                    .value();
        }
    }
    EXPECT_GE(fall_backs, 1u) << "a batch was given back";
    engine.reset();
    // A call that is stuck keeps the device until it returns.
    stuck->let_go.count_down();
    stuck.reset();
    while (!device_lives.expired()) { std::this_thread::yield(); }
}

inline constexpr MidBatch mid_batch_faults[] = {MidBatch::refuses, MidBatch::lost, MidBatch::hangs,
                                                MidBatch::flips, MidBatch::stuck};

}  // namespace millrace::kernels
