// SPDX-License-Identifier: Apache-2.0
// Owns the tests of BLAKE3 on a CUDA device; without one they skip with the back end's reason.
#include <gtest/gtest.h>

#include "kernels/blake3/blake3.hpp"
#include "kernels/blake3/blake3_batch.hpp"
#include "tests/kernels/batch/cuda_checks.hpp"

namespace millrace::kernels {
namespace {

const test::HashUnderTest hash{blake3_batch, blake3_batch, blake3_backend_status, blake3};

class Blake3Cuda : public testing::Test {
protected:
    void SetUp() override {
        const BackendStatus status = blake3_backend_status(Backend::cuda);
        if (!status.available) { GTEST_SKIP() << "no CUDA: " << status.reason; }
    }
};

TEST_F(Blake3Cuda, EveryLengthTo1100Agrees) { test::check_every_length(hash, Backend::cuda, 1100); }

TEST_F(Blake3Cuda, CountsAgree) { test::check_counts(hash, Backend::cuda, {0, 32, 64, 65, 136}); }

TEST_F(Blake3Cuda, MoreThanOneLaunchAgrees) { test::check_many_launches(hash); }

TEST_F(Blake3Cuda, AMessageTooLongForStagingAgrees) { test::check_too_long_for_staging(hash); }

TEST_F(Blake3Cuda, ManyThreadsTakeTurns) { test::check_many_threads(hash); }

}  // namespace
}  // namespace millrace::kernels
