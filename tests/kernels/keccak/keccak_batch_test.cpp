// SPDX-License-Identifier: Apache-2.0
// Owns the tests of Keccak batches on the CPU: every vector target against the reference.
#include "kernels/keccak/keccak_batch.hpp"

#include <gtest/gtest.h>

#include "kernels/batch/detail/packed.hpp"
#include "kernels/keccak/detail/packed.hpp"
#include "kernels/keccak/keccak.hpp"
#include "tests/kernels/batch/batch_checks.hpp"
#include "tests/kernels/keccak/reference_keccak.hpp"

namespace millrace::kernels {
namespace {

using test::reference_keccak256;
using test::test_message;

const test::HashUnderTest hash{keccak256_batch, keccak256_batch, keccak_backend_status, keccak256};
/// As above, by the slow reference.
const test::HashUnderTest exact{keccak256_batch, keccak256_batch, keccak_backend_status,
                                [](ByteView message) { return reference_keccak256(message); }};

template <class Body>
std::set<std::string> on_every_target(Body body) {
    return test::on_every_target(hash, body);
}

TEST(KeccakBatch, EveryLengthTo300IsTheReferenceDigest) {
    test::check_every_length(exact, Backend::scalar, 300);
    test::expect_usual_targets(
        on_every_target([] { test::check_every_length(exact, Backend::simd, 300); }));
}

TEST(KeccakBatch, CountsAroundTheLanesAgree) {
    on_every_target([] {
        test::check_counts(hash, Backend::simd,
                           {0,   1,   8,   31,  32,  33,  63,  64,  65,  127, 128,
                            129, 134, 135, 136, 137, 144, 271, 272, 273, 1024});
    });
}

TEST(KeccakBatch, MixedLengthsAgree) {
    on_every_target([] { test::check_mixed_lengths(hash, Backend::simd, 40); });
}

TEST(KeccakBatch, LengthsAroundTheBlockEdgesAgree) {
    std::vector<Bytes> messages;
    for (const size_t edge : {8u, 16u, 128u, 136u, 272u, 408u, 136u * 16, 136u * 17}) {
        for (size_t size = edge - 1; size <= edge + 1; ++size) {
            messages.push_back(test_message(size));
        }
    }
    on_every_target([&] { test::expect_reference_digests(hash, Backend::simd, messages); });
}

TEST(KeccakBatch, CountsAroundTheCutsAgree) {
    on_every_target([] { test::check_cuts(hash, Backend::simd); });
}

TEST(KeccakBatch, OneLongMessageAmongShortOnesAgrees) {
    on_every_target([] { test::check_one_long_among_short(hash, Backend::simd); });
}

TEST(KeccakBatch, RefusesWrongCounts) { test::check_refusals(hash); }

TEST(KeccakBatch, CudaIsEitherUsableOrSaysWhyNot) { test::check_cuda_answers(hash); }

TEST(KeccakBatch, CpuBackEndsAreAlwaysThere) {
    EXPECT_TRUE(keccak_backend_status(Backend::scalar).available);
    const BackendStatus simd = keccak_backend_status(Backend::simd);
    EXPECT_TRUE(simd.available);
    EXPECT_FALSE(simd.target.empty());
    EXPECT_EQ("keccak", simd.kernel);
}

TEST(KeccakPacked, TheDevicesThreadRunOnTheHostGivesTheReferenceDigest) {
    for (size_t size = 0; size <= 420; ++size) {
        const Bytes message = test_message(size);
        // Stale words around the message, as staging memory has them.
        std::vector<uint64_t> words(detail::packed_words(size) + 2, ~uint64_t{0});
        detail::pack_message(message.data(), size, words.data() + 1);
        EXPECT_EQ(~uint64_t{0}, words.front());
        EXPECT_EQ(~uint64_t{0}, words.back());
        uint64_t lanes[4];
        detail::keccak256_packed(words.data() + 1, static_cast<uint32_t>(size),
                                 detail::keccak_round_constants, lanes);
        Hash256 digest;
        std::memcpy(digest.data(), lanes, sizeof lanes);
        ASSERT_EQ(keccak256(message), digest) << size << " bytes";
        if (size <= 280) { ASSERT_EQ(reference_keccak256(message), digest) << size << " bytes"; }
    }
}

}  // namespace
}  // namespace millrace::kernels
