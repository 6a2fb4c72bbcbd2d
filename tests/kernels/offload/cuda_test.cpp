// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the engine on a CUDA device; without one they skip with its reason.
#include <gtest/gtest.h>

#include <atomic>
#include <memory>
#include <thread>

#include "kernels/offload/engine.hpp"
#include "kernels/secp256k1/recover_batch.hpp"
#include "tests/kernels/offload/cases.hpp"
#include "tests/kernels/offload/fault_drill.hpp"
#include "tests/kernels/secp256k1/gpu_jobs.hpp"

namespace millrace::kernels {
namespace {

class OffloadCuda : public testing::Test {
protected:
    void SetUp() override {
        OffloadOptions options;
        options.metrics = &registry_;
        options.device_recover_jobs_min = 32;
        options.device_keccak_jobs_min = 32;
        options.steal = false;
        options.recheck_one_in = 16;
        engine_ = OffloadEngine::create(options).value();
        const BackendStatus status = engine_->backends().back();
        if (!status.available) { GTEST_SKIP() << "no CUDA: " << status.reason; }
    }

    /// The device was used, and nothing that it said was refused.
    void TearDown() override {
        if (IsSkipped()) { return; }
        engine_->shutdown();
        EXPECT_EQ(0, registry_.gauge("millrace_offload_device_quarantined", "").value())
            << engine_->backends().back().reason;
        uint64_t jobs = 0;
        for (const char* kernel : {"secp256k1", "keccak"}) {
            jobs += registry_
                        .counter("millrace_offload_jobs_total", "",
                                 "kernel=\"" + std::string(kernel) + "\",backend=\"cuda\"")
                        .value();
        }
        EXPECT_GT(jobs, 0u);
    }

    void expect_senders(const std::vector<RecoverJob>& jobs) {
        std::vector<std::optional<Address>> senders(jobs.size());
        std::vector<std::optional<Address>> right(jobs.size());
        engine_->recover_senders(jobs, senders);
        ASSERT_TRUE(recover_addresses(fastest_recover_backend(), jobs, right).has_value());
        ASSERT_EQ(right, senders) << jobs.size() << " jobs";
    }

    metrics::Registry registry_;
    std::unique_ptr<OffloadEngine> engine_;
};

TEST_F(OffloadCuda, RecoversWhatAnAttackerChooses) { expect_senders(test::adversarial_jobs()); }

TEST_F(OffloadCuda, RecoversAroundTheEdgesOfEveryGraph) {
    // Four known answers go with each batch.
    for (const size_t count : {32u, 251u, 252u, 253u, 508u, 509u, 4092u, 4093u, 16'896u, 70'000u}) {
        expect_senders(test::random_jobs(count, count));
    }
}

TEST_F(OffloadCuda, HashesMixedLengths) {
    for (const size_t count : {32u, 253u, 254u, 255u, 10'000u, 150'000u}) {
        const KeccakCase c = keccak_case(count, count);
        std::vector<Hash256> digests(count);
        engine_->keccak256(c.views, digests);
        ASSERT_EQ(c.digests, digests) << count << " messages";
    }
}

TEST_F(OffloadCuda, ManyThreadsMixBlocksAndSingleTransactions) {
    std::atomic<size_t> answers{0};
    constexpr size_t threads_count = 4;
    constexpr size_t singles = 2000;
    {
        std::vector<std::jthread> threads;
        for (uint64_t t = 0; t < threads_count; ++t) {
            threads.emplace_back([&, t] {
                const auto jobs =
                    std::make_shared<std::vector<RecoverJob>>(test::signed_jobs(singles, t));
                for (size_t i = 0; i < singles; ++i) {
                    const auto check = [&answers, jobs, i](auto senders) {
                        EXPECT_EQ(recover_address((*jobs)[i]), senders[0]);
                        answers.fetch_add(1);
                    };
                    ASSERT_TRUE(engine_->submit_recover({(*jobs)[i]}, check).has_value());
                }
                expect_senders(test::random_jobs(3000, t));
            });
        }
    }
    engine_->shutdown();
    EXPECT_EQ(threads_count * singles, answers.load());
}

TEST(OffloadDrill, ADeviceThatFailsInTheMiddleOfABatchLosesAndRepeatsNothing) {
    for (const MidBatch fault : mid_batch_faults) {
        auto device = detail::make_cuda_device();
        const BackendStatus status = device->status(detail::Kernel::secp256k1);
        if (!status.available) { GTEST_SKIP() << "no CUDA: " << status.reason; }
        drill_engine(std::move(device), fault);
    }
}

}  // namespace
}  // namespace millrace::kernels
