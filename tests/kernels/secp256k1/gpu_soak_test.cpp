// SPDX-License-Identifier: Apache-2.0
// Owns the long comparisons of the GPU's algorithm with libsecp256k1: many jobs, every table entry.
#include <gtest/gtest.h>

#include "kernels/secp256k1/detail/gpu/emulation.hpp"
#include "kernels/secp256k1/detail/gpu/generator_table.hpp"
#include "tests/kernels/secp256k1/gpu_jobs.hpp"

namespace millrace::kernels::gpu {
namespace {

void expect_all_equal(const std::vector<RecoverJob>& jobs) {
    std::vector<RecoverOutput> outputs(jobs.size());
    recover_emulated(jobs, outputs, static_cast<uint32_t>(jobs.size() / 8));
    for (size_t i = 0; i < jobs.size(); ++i) {
        ASSERT_NE(verdict_redo, outputs[i].verdict);
        std::optional<Address> got;
        if (outputs[i].verdict == verdict_valid) { got = address_of(outputs[i]); }
        ASSERT_EQ(recover_address(jobs[i]), got) << "job " << i;
    }
}

TEST(GpuSoak, ManyRandomJobsAgree) {
    for (uint64_t seed = 100; seed < 105; ++seed) {
        expect_all_equal(test::random_jobs(4000, seed));
    }
}

TEST(GpuSoak, ManySignedJobsAgree) {
    for (uint64_t seed = 200; seed < 205; ++seed) {
        expect_all_equal(test::signed_jobs(4000, seed));
    }
}

TEST(GpuSoak, EveryEntryOfTheGeneratorsTableIsTheLibrarys) {
    const std::vector<Affine> table = make_generator_table();
    U256 base{1};
    for (size_t row = 0; row < generator_windows; ++row) {
        U256 factor = base;
        const U256 step = add_mod(base, base, secp256k1_order);
        for (size_t column = 0; column < generator_table_row; ++column) {
            const PublicKey expected = public_key_of_secret_key(to_hash(factor)).value();
            const Affine& entry = table[row * generator_table_row + column];
            U256 x;
            U256 y;
            std::memcpy(x.w, entry.x.v, sizeof x.w);
            std::memcpy(y.w, entry.y.v, sizeof y.w);
            ASSERT_EQ(load_be(expected.data()), x) << row << ", " << column;
            ASSERT_EQ(load_be(expected.data() + 32), y) << row << ", " << column;
            factor = add_mod(factor, step, secp256k1_order);
        }
        for (int i = 0; i < generator_window_bits; ++i) {
            base = add_mod(base, base, secp256k1_order);
        }
    }
}

}  // namespace
}  // namespace millrace::kernels::gpu
