// SPDX-License-Identifier: Apache-2.0
// Owns the tests of SHA-256 batches on the CPU: every vector target and SHA-NI against OpenSSL.
#include "kernels/sha256/sha256_batch.hpp"

#include <gtest/gtest.h>

#include "kernels/batch/detail/packed.hpp"
#include "kernels/sha256/detail/backends.hpp"
#include "kernels/sha256/detail/packed.hpp"
#include "kernels/sha256/detail/sha_ni.hpp"
#include "tests/kernels/batch/batch_checks.hpp"
#include "tests/kernels/sha256/openssl_sha256.hpp"

namespace millrace::kernels {
namespace {

const test::HashUnderTest hash{sha256_batch, sha256_batch, sha256_backend_status,
                               test::openssl_sha256};

class Sha256Batch : public testing::Test {
protected:
    ~Sha256Batch() override { detail::sha256_simd_use(detail::Sha256Units::automatic); }

    /// Runs the body on the lanes of every vector target, on SHA-NI, and on the choice for this
    /// CPU.
    template <class Body>
    void on_all_units(Body body) {
        detail::sha256_simd_use(detail::Sha256Units::lanes);
        targets_ = test::on_every_target(hash, body);
        if (detail::sha256_ni_supported()) {
            detail::sha256_simd_use(detail::Sha256Units::sha_ni);
            EXPECT_EQ("SHA-NI", sha256_backend_status(Backend::simd).target);
            body();
        }
        detail::sha256_simd_use(detail::Sha256Units::automatic);
        body();
    }

    std::set<std::string> targets_;
};

TEST_F(Sha256Batch, EveryLengthTo300Agrees) {
    test::check_every_length(hash, Backend::scalar, 300);
    on_all_units([] { test::check_every_length(hash, Backend::simd, 300); });
    test::expect_usual_targets(targets_);
}

TEST_F(Sha256Batch, CountsAroundTheLanesAgree) {
    on_all_units([] {
        test::check_counts(
            hash, Backend::simd,
            {0, 1, 31, 32, 33, 55, 56, 63, 64, 65, 96, 119, 120, 127, 128, 136, 160, 1024});
    });
}

TEST_F(Sha256Batch, MixedLengthsAgree) {
    on_all_units([] { test::check_mixed_lengths(hash, Backend::simd, 30); });
}

TEST_F(Sha256Batch, CountsAroundTheCutsAgree) {
    on_all_units([] { test::check_cuts(hash, Backend::simd); });
}

TEST_F(Sha256Batch, OneLongMessageAmongShortOnesAgrees) {
    on_all_units([] { test::check_one_long_among_short(hash, Backend::simd); });
}

TEST_F(Sha256Batch, EqualMessagesOfManyBlocksAgree) {
    // Lengths of whole blocks in turn, since the schedule of the padding is kept between groups.
    on_all_units([] {
        std::vector<Bytes> messages;
        for (size_t i = 0; i < 200; ++i) {
            messages.emplace_back(64 * (1 + i / 40), static_cast<uint8_t>(i));
        }
        test::expect_reference_digests(hash, Backend::simd, messages);
    });
}

TEST_F(Sha256Batch, RefusesWrongCounts) { test::check_refusals(hash); }

TEST_F(Sha256Batch, CudaIsEitherUsableOrSaysWhyNot) { test::check_cuda_answers(hash); }

TEST_F(Sha256Batch, CpuBackEndsAreAlwaysThere) {
    for (const Backend backend : {Backend::scalar, Backend::simd}) {
        const BackendStatus status = sha256_backend_status(backend);
        EXPECT_TRUE(status.available);
        EXPECT_FALSE(status.target.empty());
        EXPECT_EQ("sha256", status.kernel);
    }
}

TEST(Sha256Packed, TheDevicesThreadRunOnTheHostGivesTheReferenceDigest) {
    std::mt19937_64 random(11);
    for (size_t size = 0; size <= 420; ++size) {
        const Bytes message = test::random_message(random, size);
        // Stale words around the message, as staging memory has them.
        std::vector<uint64_t> words(detail::packed_words(size) + 2, ~uint64_t{0});
        detail::pack_message(message.data(), size, words.data() + 1);
        EXPECT_EQ(~uint64_t{0}, words.front());
        EXPECT_EQ(~uint64_t{0}, words.back());
        uint32_t digest_words[8];
        detail::sha256_packed(reinterpret_cast<const uint32_t*>(words.data() + 1),
                              static_cast<uint32_t>(size), detail::sha256_round_constants,
                              detail::sha256_padding_of_64.words, digest_words);
        Hash256 digest;
        std::memcpy(digest.data(), digest_words, sizeof digest_words);
        ASSERT_EQ(test::openssl_sha256(message), digest) << size << " bytes";
    }
}

}  // namespace
}  // namespace millrace::kernels
