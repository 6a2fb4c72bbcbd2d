// SPDX-License-Identifier: Apache-2.0
// Owns the tests of SHA-256 on a CUDA device; without one they skip with the back end's reason.
#include <gtest/gtest.h>

#include "kernels/sha256/sha256.hpp"
#include "kernels/sha256/sha256_batch.hpp"
#include "tests/kernels/batch/cuda_checks.hpp"

namespace millrace::kernels {
namespace {

const test::HashUnderTest hash{sha256_batch, sha256_batch, sha256_backend_status, sha256};

class Sha256Cuda : public testing::Test {
protected:
    void SetUp() override {
        const BackendStatus status = sha256_backend_status(Backend::cuda);
        if (!status.available) { GTEST_SKIP() << "no CUDA: " << status.reason; }
    }
};

TEST_F(Sha256Cuda, EveryLengthTo1100Agrees) { test::check_every_length(hash, Backend::cuda, 1100); }

TEST_F(Sha256Cuda, CountsAgree) { test::check_counts(hash, Backend::cuda, {0, 32, 64, 65, 136}); }

TEST_F(Sha256Cuda, MoreThanOneLaunchAgrees) { test::check_many_launches(hash); }

TEST_F(Sha256Cuda, AMessageTooLongForStagingAgrees) { test::check_too_long_for_staging(hash); }

TEST_F(Sha256Cuda, ManyThreadsTakeTurns) { test::check_many_threads(hash); }

}  // namespace
}  // namespace millrace::kernels
