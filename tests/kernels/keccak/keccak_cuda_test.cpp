// SPDX-License-Identifier: Apache-2.0
// Owns the tests of Keccak-256 on a CUDA device; without one they skip with the back end's reason.
#include <gtest/gtest.h>

#include "kernels/keccak/keccak.hpp"
#include "kernels/keccak/keccak_batch.hpp"
#include "tests/kernels/batch/cuda_checks.hpp"

namespace millrace::kernels {
namespace {

const test::HashUnderTest hash{keccak256_batch, keccak256_batch, keccak_backend_status, keccak256};

class KeccakCuda : public testing::Test {
protected:
    void SetUp() override {
        const BackendStatus status = keccak_backend_status(Backend::cuda);
        if (!status.available) { GTEST_SKIP() << "no CUDA: " << status.reason; }
    }
};

TEST_F(KeccakCuda, EveryLengthTo1100Agrees) { test::check_every_length(hash, Backend::cuda, 1100); }

TEST_F(KeccakCuda, CountsAgree) { test::check_counts(hash, Backend::cuda, {0, 32, 64, 65, 136}); }

TEST_F(KeccakCuda, MoreThanOneLaunchAgrees) { test::check_many_launches(hash); }

TEST_F(KeccakCuda, AMessageTooLongForStagingAgrees) { test::check_too_long_for_staging(hash); }

TEST_F(KeccakCuda, ManyThreadsTakeTurns) { test::check_many_threads(hash); }

}  // namespace
}  // namespace millrace::kernels
