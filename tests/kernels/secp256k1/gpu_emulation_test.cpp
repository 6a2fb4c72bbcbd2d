// SPDX-License-Identifier: Apache-2.0
// Owns the tests of whole recoveries by the GPU's algorithm, run on the host, against libsecp256k1.
#include "kernels/secp256k1/detail/gpu/emulation.hpp"

#include <gtest/gtest.h>

#include "host/base/hex.hpp"
#include "kernels/secp256k1/detail/gpu/known_answers.hpp"
#include "kernels/secp256k1/detail/recover_device.hpp"
#include "tests/kernels/secp256k1/gpu_jobs.hpp"

namespace millrace::kernels::gpu {
namespace {

struct Verdicts {
    size_t valid = 0;
    size_t invalid = 0;
    size_t redo = 0;
};

/// Fails unless each output is the library's answer or asks for it.
Verdicts expect_agreement(const std::vector<RecoverJob>& jobs, uint32_t stride) {
    std::vector<RecoverOutput> outputs(jobs.size());
    recover_emulated(jobs, outputs, stride);
    Verdicts verdicts;
    for (size_t i = 0; i < jobs.size(); ++i) {
        const std::optional<Address> expected = recover_address(jobs[i]);
        const std::string about = "job " + std::to_string(i) + ": digest " +
                                  to_hex(jobs[i].digest.view()) + ", r " +
                                  to_hex_quantity(jobs[i].r) + ", s " + to_hex_quantity(jobs[i].s) +
                                  ", parity " + std::to_string(jobs[i].y_parity);
        EXPECT_EQ(i, outputs[i].tag);
        switch (outputs[i].verdict) {
            case verdict_valid:
                EXPECT_EQ(expected, address_of(outputs[i])) << about;
                ++verdicts.valid;
                break;
            case verdict_invalid:
                EXPECT_FALSE(expected.has_value()) << about;
                EXPECT_TRUE(address_of(outputs[i]).is_zero()) << about;
                ++verdicts.invalid;
                break;
            case verdict_redo:
                EXPECT_TRUE(address_of(outputs[i]).is_zero()) << about;
                ++verdicts.redo;
                break;
            default: ADD_FAILURE() << about << ": verdict " << outputs[i].verdict;
        }
    }
    return verdicts;
}

TEST(GpuRecovery, KnownAnswersAreThoseOfTheLibrary) {
    std::vector<RecoverJob> jobs;
    for (const KnownAnswer& answer : known_answers) { jobs.push_back(answer.job()); }
    std::vector<RecoverOutput> outputs(jobs.size());
    recover_emulated(jobs, outputs, 5);
    for (size_t i = 0; i < jobs.size(); ++i) {
        EXPECT_TRUE(known_answers[i].agrees(outputs[i])) << i;
        const std::optional<Address> expected = recover_address(jobs[i]);
        if (known_answers[i].verdict == verdict_redo) { continue; }
        EXPECT_EQ(expected.has_value(), known_answers[i].verdict == verdict_valid) << i;
        EXPECT_EQ(expected.value_or(Address{}), address_of(outputs[i])) << i;
    }
}

TEST(GpuRecovery, AgreesOnRandomJobs) {
    const Verdicts verdicts = expect_agreement(test::random_jobs(3000, 1), 700);
    // About half of all x have no point.
    EXPECT_GT(verdicts.valid, 1300u);
    EXPECT_GT(verdicts.invalid, 1300u);
    EXPECT_EQ(0u, verdicts.redo);
}

TEST(GpuRecovery, AgreesOnSignedJobsWithoutHelp) {
    const Verdicts verdicts = expect_agreement(test::signed_jobs(2000, 2), 500);
    EXPECT_EQ(2000u, verdicts.valid);
}

TEST(GpuRecovery, AgreesOnAdversarialJobs) {
    const std::vector<RecoverJob> jobs = test::adversarial_jobs();
    const Verdicts verdicts = expect_agreement(jobs, static_cast<uint32_t>(jobs.size()) / 7);
    // The exceptional additions were met, and they are not the rule.
    EXPECT_GT(verdicts.redo, 100u);
    EXPECT_LT(verdicts.redo, jobs.size() / 4);
    EXPECT_GT(verdicts.valid, 500u);
    EXPECT_GT(verdicts.invalid, 500u);
}

TEST(GpuRecovery, TheKeyAtInfinityIsLeftToTheLibrary) {
    // Q = (s R - z G) / r with R = G and z = s.
    const PublicKey g = public_key_of_secret_key(to_hash(U256{1})).value();
    for (const U256& s : {U256{1}, U256{77}, secp256k1_order - U256{5}}) {
        const RecoverJob job{.digest = to_hash(s),
                             .r = load_be(g.data()),
                             .s = s,
                             .y_parity = static_cast<uint8_t>(g[63] & 1)};
        EXPECT_EQ(1u, expect_agreement({job}, 1).redo);
        EXPECT_FALSE(recover_address(job).has_value());
    }
}

TEST(GpuRecovery, SendersAreThoseOfTheLibraryWhateverTheVerdict) {
    const std::vector<RecoverJob> jobs = test::adversarial_jobs();
    std::vector<RecoverOutput> outputs(jobs.size());
    recover_emulated(jobs, outputs, 100);
    // What was there before must go, for refused jobs too.
    std::vector<std::optional<Address>> senders(jobs.size(), Address{{1, 2, 3}});
    detail::take_senders(jobs, outputs, senders);
    for (size_t i = 0; i < jobs.size(); ++i) {
        ASSERT_EQ(recover_address(jobs[i]), senders[i]) << i;
    }
}

TEST(GpuRecovery, EveryCountAndStrideAgrees) {
    const std::vector<RecoverJob> all = test::random_jobs(40, 3);
    for (const size_t count : {0u, 1u, 2u, 7u, 8u, 9u, 31u, 32u, 33u, 40u}) {
        const std::vector<RecoverJob> jobs(all.begin(),
                                           all.begin() + static_cast<ptrdiff_t>(count));
        for (const uint32_t stride : {1u, 3u, 32u, 128u}) { expect_agreement(jobs, stride); }
    }
}

TEST(GpuRecovery, OneBadJobDoesNotSpoilThoseThatShareItsInversion) {
    std::vector<RecoverJob> good = test::signed_jobs(9, 4);
    std::vector<RecoverJob> bad;
    for (const KnownAnswer& answer : known_answers) {
        if (answer.verdict != verdict_valid) { bad.push_back(answer.job()); }
    }
    for (size_t place = 0; place < good.size(); ++place) {
        for (const RecoverJob& job : bad) {
            std::vector<RecoverJob> jobs = good;
            jobs[place] = job;
            const Verdicts verdicts = expect_agreement(jobs, 1);
            EXPECT_EQ(good.size() - 1, verdicts.valid);
        }
    }
    // All of them bad.
    EXPECT_EQ(0u, expect_agreement(bad, 1).valid);
}

}  // namespace
}  // namespace millrace::kernels::gpu
