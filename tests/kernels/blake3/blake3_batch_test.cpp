// SPDX-License-Identifier: Apache-2.0
// Owns the tests of BLAKE3 batches on the CPU: every vector target against the reference.
#include "kernels/blake3/blake3_batch.hpp"

#include <gtest/gtest.h>

#include "host/base/hex.hpp"
#include "kernels/batch/detail/packed.hpp"
#include "kernels/blake3/detail/packed.hpp"
#include "tests/kernels/batch/batch_checks.hpp"
#include "tests/kernels/blake3/blake3_vectors.hpp"
#include "tests/kernels/blake3/reference_blake3.hpp"

namespace millrace::kernels {
namespace {

const test::HashUnderTest hash{blake3_batch, blake3_batch, blake3_backend_status,
                               test::reference_blake3};

template <class Body>
std::set<std::string> on_every_target(Body body) {
    return test::on_every_target(hash, body);
}

TEST(Blake3Batch, PublishedAnswers) {
    std::vector<Bytes> messages;
    std::vector<ByteView> views;
    for (const auto& [size, digest] : test::blake3_vectors) {
        messages.push_back(test::blake3_vector_input(size));
    }
    views.assign(messages.begin(), messages.end());
    on_every_target([&] {
        std::vector<Hash256> digests(views.size());
        ASSERT_TRUE(blake3_batch(Backend::simd, views, digests).has_value());
        for (size_t i = 0; i < views.size(); ++i) {
            EXPECT_EQ(test::blake3_vectors[i].second, to_hex(digests[i]))
                << views[i].size() << " bytes";
        }
    });
}

TEST(Blake3Batch, EveryLengthTo2100Agrees) {
    test::check_every_length(hash, Backend::scalar, 300);
    test::expect_usual_targets(
        on_every_target([] { test::check_every_length(hash, Backend::simd, 2100); }));
}

TEST(Blake3Batch, CountsAroundTheLanesAgree) {
    on_every_target([] {
        test::check_counts(hash, Backend::simd,
                           {0, 1, 31, 32, 33, 63, 64, 65, 96, 128, 160, 992, 1023, 1024, 1025});
    });
}

TEST(Blake3Batch, MixedLengthsAgree) {
    on_every_target([] { test::check_mixed_lengths(hash, Backend::simd, 40); });
}

TEST(Blake3Batch, CountsAroundTheCutsAgree) {
    on_every_target([] { test::check_cuts(hash, Backend::simd); });
}

TEST(Blake3Batch, OneLongMessageAmongShortOnesAgrees) {
    on_every_target([] { test::check_one_long_among_short(hash, Backend::simd); });
}

TEST(Blake3Batch, EveryCountOfChunksAroundTheLanesAgrees) {
    on_every_target([] {
        std::mt19937_64 random(9);
        std::vector<Bytes> messages;
        for (size_t chunks = 1; chunks <= 36; ++chunks) {
            for (const size_t size : {1024 * chunks, 1024 * chunks + 1, 1024 * chunks + 1023}) {
                messages.push_back(test::random_message(random, size));
            }
        }
        test::expect_reference_digests(hash, Backend::simd, messages);
    });
}

TEST(Blake3Batch, RefusesWrongCounts) { test::check_refusals(hash); }

TEST(Blake3Batch, CudaIsEitherUsableOrSaysWhyNot) { test::check_cuda_answers(hash); }

TEST(Blake3Batch, CpuBackEndsAreAlwaysThere) {
    for (const Backend backend : {Backend::scalar, Backend::simd}) {
        const BackendStatus status = blake3_backend_status(backend);
        EXPECT_TRUE(status.available);
        EXPECT_FALSE(status.target.empty());
        EXPECT_EQ("blake3", status.kernel);
    }
}

TEST(Blake3Packed, TheDevicesThreadRunOnTheHostGivesTheReferenceDigest) {
    std::mt19937_64 random(11);
    for (size_t size = 0; size <= 1024; ++size) {
        const Bytes message = test::random_message(random, size);
        // Stale words around the message, as staging memory has them.
        std::vector<uint64_t> words(detail::packed_words(size) + 2, ~uint64_t{0});
        detail::pack_message(message.data(), size, words.data() + 1);
        EXPECT_EQ(~uint64_t{0}, words.front());
        EXPECT_EQ(~uint64_t{0}, words.back());
        uint32_t digest_words[8];
        detail::blake3_packed(reinterpret_cast<const uint32_t*>(words.data() + 1),
                              static_cast<uint32_t>(size), digest_words);
        Hash256 digest;
        std::memcpy(digest.data(), digest_words, sizeof digest_words);
        ASSERT_EQ(test::reference_blake3(message), digest) << size << " bytes";
    }
}

}  // namespace
}  // namespace millrace::kernels
