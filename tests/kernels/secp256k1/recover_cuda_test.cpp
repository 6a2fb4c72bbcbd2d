// SPDX-License-Identifier: Apache-2.0
// Owns the tests of recovery on a CUDA device; without one they skip with the back end's reason.
#include "kernels/secp256k1/recover_cuda.hpp"

#include <gtest/gtest.h>

#include <thread>

#include "tests/kernels/secp256k1/gpu_jobs.hpp"

namespace millrace::kernels {
namespace {

class RecoverCuda : public testing::Test {
protected:
    void SetUp() override {
        const BackendStatus status = recover_cuda_status();
        if (!status.available) { GTEST_SKIP() << "no CUDA: " << status.reason; }
    }

    static void expect_agreement(const std::vector<RecoverJob>& jobs) {
        std::vector<std::optional<Address>> senders(jobs.size());
        const Result<void> done = recover_addresses_cuda(jobs, senders);
        ASSERT_TRUE(done.has_value()) << done.error().message;
        for (size_t i = 0; i < jobs.size(); ++i) {
            ASSERT_EQ(recover_address(jobs[i]), senders[i]) << "job " << i << " of " << jobs.size();
        }
    }
};

TEST_F(RecoverCuda, AdversarialJobsAgree) { expect_agreement(test::adversarial_jobs()); }

TEST_F(RecoverCuda, RaggedCountsAgree) {
    for (const size_t count :
         {0u, 1u, 7u, 31u, 32u, 33u, 127u, 128u, 129u, 255u, 256u, 257u, 5000u}) {
        expect_agreement(test::random_jobs(count, count));
    }
}

TEST_F(RecoverCuda, MoreThanOneBatchAgrees) { expect_agreement(test::random_jobs(150'000, 1)); }

TEST_F(RecoverCuda, ManyThreadsTakeTurns) {
    std::vector<std::jthread> threads;
    for (uint64_t seed = 0; seed < 4; ++seed) {
        threads.emplace_back([seed] {
            for (uint64_t i = 0; i < 5; ++i) {
                expect_agreement(test::signed_jobs(300, 10 * seed + i));
            }
        });
    }
}

TEST(RecoverCudaStatus, SaysWhatItRunsOnOrWhyNot) {
    const BackendStatus status = recover_cuda_status();
    EXPECT_EQ("secp256k1", status.kernel);
    EXPECT_EQ(Backend::cuda, status.backend);
    EXPECT_NE(status.target.empty(), status.reason.empty());
    EXPECT_EQ(status.available, status.reason.empty());
}

TEST(RecoverCudaStatus, WithoutADeviceACallFailsWithTheReason) {
    const BackendStatus status = recover_cuda_status();
    if (status.available) { GTEST_SKIP() << "there is a device: " << status.target; }
    const std::vector<RecoverJob> jobs = test::random_jobs(3, 1);
    std::vector<std::optional<Address>> senders(jobs.size());
    const Result<void> done = recover_addresses_cuda(jobs, senders);
    ASSERT_FALSE(done.has_value());
    EXPECT_EQ(ErrorCode::unavailable, done.error().code);
    EXPECT_NE(std::string::npos, done.error().message.find(status.reason));
}

TEST(RecoverCudaStatus, DifferingCountsAreRefused) {
    const std::vector<RecoverJob> jobs = test::random_jobs(3, 1);
    std::vector<std::optional<Address>> senders(2);
    const Result<void> done = recover_addresses_cuda(jobs, senders);
    ASSERT_FALSE(done.has_value());
    EXPECT_EQ(ErrorCode::invalid_input, done.error().code);
}

}  // namespace
}  // namespace millrace::kernels
