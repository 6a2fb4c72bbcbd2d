// SPDX-License-Identifier: Apache-2.0
// Owns the tests of Keccak batches on the CPU: every vector target against the reference.
#include "kernels/keccak/keccak_batch.hpp"

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <random>
#include <set>

#include "host/base/hex.hpp"
#include "kernels/keccak/detail/packed.hpp"
#include "kernels/keccak/keccak.hpp"
#include "tests/kernels/keccak/reference_keccak.hpp"

namespace millrace::kernels {
namespace {

using test::reference_keccak256;
using test::test_message;

/// Messages and the views of them that a batch takes.
struct Batch {
    std::vector<Bytes> messages;
    std::vector<ByteView> views;

    void add(Bytes message) { messages.push_back(std::move(message)); }
    std::span<const ByteView> all() {
        views.assign(messages.begin(), messages.end());
        return views;
    }
};

void expect_scalar_digests(Backend backend, Batch& batch) {
    std::vector<Hash256> digests(batch.messages.size());
    const Result<void> hashed = keccak256_batch(backend, batch.all(), digests);
    ASSERT_TRUE(hashed.has_value()) << hashed.error().message;
    for (size_t i = 0; i < digests.size(); ++i) {
        ASSERT_EQ(keccak256(batch.messages[i]), digests[i])
            << "message " << i << " of " << digests.size() << ", " << batch.messages[i].size()
            << " bytes, on " << keccak_backend_status(backend).target;
    }
}

/// Runs the body on every vector target that this CPU has, each forced in turn, and gives the names
/// of those that were really used.
template <class Body>
std::set<std::string> on_every_target(Body body) {
    const int64_t supported = hwy::SupportedTargets();
    std::set<std::string> seen;
    for (int64_t left = supported; left != 0; left &= left - 1) {
        const int64_t target = left & -left;
        hwy::SetSupportedTargetsForTest(target);
        hwy::GetChosenTarget().Update(hwy::SupportedTargets());
        const std::string used = keccak_backend_status(Backend::simd).target;
        if (used == hwy::TargetName(target)) {
            seen.insert(used);
            body();
        }
    }
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    return seen;
}

TEST(KeccakBatch, EveryTargetGivesTheReferenceDigestOfEveryLengthTo300) {
    Batch batch;
    std::vector<Hash256> expected;
    for (size_t size = 0; size <= 300; ++size) {
        batch.add(test_message(size));
        expected.push_back(reference_keccak256(batch.messages.back()));
    }
    const std::set<std::string> seen = on_every_target([&] {
        for (const Backend backend : {Backend::scalar, Backend::simd}) {
            std::vector<Hash256> digests(expected.size());
            ASSERT_TRUE(keccak256_batch(backend, batch.all(), digests).has_value());
            for (size_t i = 0; i < digests.size(); ++i) {
                ASSERT_EQ(expected[i], digests[i]) << i << " bytes";
            }
        }
    });
    EXPECT_FALSE(seen.empty());
#if defined(__x86_64__)
    // Whatever the CPU, 128-bit vectors are compiled in unless the whole build asks for more.
    if (__builtin_cpu_supports("avx512vbmi2") != 0) { EXPECT_TRUE(seen.contains("AVX3")); }
    if (__builtin_cpu_supports("avx2") != 0) { EXPECT_TRUE(seen.contains("AVX2")); }
    EXPECT_TRUE(seen.contains("SSE4") || seen.contains("SSSE3") || seen.contains("AVX2"));
#endif
    for (const std::string& name : seen) { std::printf("[ targets  ] %s\n", name.c_str()); }
}

TEST(KeccakBatch, RaggedCountsOfOneLengthAgree) {
    on_every_target([] {
        for (const size_t count : {0u, 1u, 2u, 3u, 7u, 8u, 9u, 15u, 16u, 17u, 31u, 33u}) {
            for (const size_t size : {0u, 32u, 64u, 135u, 136u, 272u}) {
                Batch batch;
                for (size_t i = 0; i < count; ++i) { batch.add(test_message(size, i)); }
                expect_scalar_digests(Backend::simd, batch);
            }
        }
    });
}

TEST(KeccakBatch, MixedLengthsAgree) {
    std::mt19937_64 random(20260101);
    on_every_target([&] {
        for (int round = 0; round < 40; ++round) {
            Batch batch;
            const size_t count = random() % 70;
            for (size_t i = 0; i < count; ++i) {
                const size_t size = random() % (random() % 4 == 0 ? 5000 : 300);
                batch.add(test_message(size, random()));
            }
            expect_scalar_digests(Backend::simd, batch);
        }
    });
}

TEST(KeccakBatch, LengthsAroundTheBlockEdgesAgree) {
    Batch batch;
    for (const size_t edge : {8u, 16u, 128u, 136u, 272u, 408u, 136u * 16, 136u * 17}) {
        for (size_t size = edge - 1; size <= edge + 1; ++size) { batch.add(test_message(size)); }
    }
    on_every_target([&] { expect_scalar_digests(Backend::simd, batch); });
}

TEST(KeccakBatch, BatchesAroundTheInnerChunkAgree) {
    for (const size_t count : {1023u, 1024u, 1025u, 2049u, 3000u}) {
        Batch batch;
        for (size_t i = 0; i < count; ++i) { batch.add(test_message(i * 7 % 333, i)); }
        expect_scalar_digests(Backend::simd, batch);
    }
}

TEST(KeccakBatch, OneLongMessageAmongShortOnesAgrees) {
    Batch batch;
    for (size_t i = 0; i < 20; ++i) { batch.add(test_message(i == 7 ? 300'000 : 64, i)); }
    expect_scalar_digests(Backend::simd, batch);
}

TEST(KeccakBatch, RefusesDifferentCounts) {
    const std::vector<ByteView> messages(3);
    std::vector<Hash256> digests(2);
    for (const Backend backend : {Backend::scalar, Backend::simd, Backend::cuda}) {
        const Result<void> hashed = keccak256_batch(backend, messages, digests);
        ASSERT_FALSE(hashed.has_value());
        EXPECT_EQ(ErrorCode::invalid_input, hashed.error().code);
    }
}

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

TEST(KeccakBatch, CudaIsEitherUsableOrSaysWhyNot) {
    const BackendStatus cuda = keccak_backend_status(Backend::cuda);
    const ByteView empty;
    Hash256 digest;
    const Result<void> hashed = keccak256_batch(Backend::cuda, {&empty, 1}, {&digest, 1});
    if (cuda.available) {
        ASSERT_TRUE(hashed.has_value()) << hashed.error().message;
        EXPECT_EQ(keccak256_of_empty, digest);
    } else {
        EXPECT_FALSE(cuda.reason.empty());
        ASSERT_FALSE(hashed.has_value());
        EXPECT_EQ(ErrorCode::unavailable, hashed.error().code);
        EXPECT_NE(std::string::npos, hashed.error().message.find(cuda.reason));
    }
}

}  // namespace
}  // namespace millrace::kernels
