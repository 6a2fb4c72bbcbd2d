// SPDX-License-Identifier: Apache-2.0
// Owns the checks that the batches of every hash function must pass, against its reference.
#pragma once

#include <gtest/gtest.h>
#include <hwy/targets.h>

#include <cstdio>
#include <functional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "kernels/backend.hpp"

namespace millrace::test {

/// One hash function under test.
struct HashUnderTest {
    Result<void> (*ragged)(kernels::Backend, std::span<const ByteView>, std::span<Hash256>);
    Result<void> (*equal)(kernels::Backend, ByteView, size_t, std::span<Hash256>);
    kernels::BackendStatus (*status)(kernels::Backend);
    std::function<Hash256(ByteView)> reference;
};

/// `size` random bytes in memory of exactly that size, so that a read beyond it is found.
inline Bytes random_message(std::mt19937_64& random, size_t size) {
    Bytes message(size);
    for (uint8_t& byte : message) { byte = static_cast<uint8_t>(random()); }
    return message;
}

/// Hashes the messages as a ragged batch, and as an equal one if they are equally long.
inline void expect_reference_digests(const HashUnderTest& hash, kernels::Backend backend,
                                     const std::vector<Bytes>& messages) {
    const std::vector<ByteView> views(messages.begin(), messages.end());
    std::vector<Hash256> digests(messages.size());
    const Result<void> ragged = hash.ragged(backend, views, digests);
    ASSERT_TRUE(ragged.has_value()) << ragged.error().message;
    bool equal = !messages.empty();
    for (size_t i = 0; i < digests.size(); ++i) {
        ASSERT_EQ(hash.reference(views[i]), digests[i])
            << "message " << i << " of " << digests.size() << ", " << views[i].size()
            << " bytes, on " << hash.status(backend).target;
        equal = equal && views[i].size() == views[0].size();
    }
    if (!equal) { return; }
    Bytes row;
    for (const ByteView view : views) { row.insert(row.end(), view.begin(), view.end()); }
    std::vector<Hash256> again(messages.size());
    const Result<void> done = hash.equal(backend, row, views[0].size(), again);
    ASSERT_TRUE(done.has_value()) << done.error().message;
    ASSERT_EQ(digests, again) << digests.size() << " messages of " << views[0].size()
                              << " bytes in a row, on " << hash.status(backend).target;
}

/// Runs the body on every vector target that this CPU has, each forced in turn, and gives the names
/// of those that were really used.
template <class Body>
std::set<std::string> on_every_target(const HashUnderTest& hash, Body body) {
    std::set<std::string> seen;
    for (int64_t left = hwy::SupportedTargets(); left != 0; left &= left - 1) {
        const int64_t target = left & -left;
        hwy::SetSupportedTargetsForTest(target);
        hwy::GetChosenTarget().Update(hwy::SupportedTargets());
        const std::string used = hash.status(kernels::Backend::simd).target;
        if (used == hwy::TargetName(target)) {
            seen.insert(used);
            body();
        }
    }
    hwy::SetSupportedTargetsForTest(0);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
    return seen;
}

/// The targets that this CPU must offer. Whatever it is, 128-bit vectors are compiled in unless the
/// whole build asks for more.
inline void expect_usual_targets(const std::set<std::string>& seen) {
    EXPECT_FALSE(seen.empty());
#if defined(__x86_64__)
    if (__builtin_cpu_supports("avx512vbmi2") != 0) { EXPECT_TRUE(seen.contains("AVX3")); }
    if (__builtin_cpu_supports("avx2") != 0) { EXPECT_TRUE(seen.contains("AVX2")); }
    EXPECT_TRUE(seen.contains("SSE4") || seen.contains("SSSE3") || seen.contains("AVX2"));
#endif
    for (const std::string& name : seen) { std::printf("[ targets  ] %s\n", name.c_str()); }
}

/// One batch with a message of every length.
inline void check_every_length(const HashUnderTest& hash, kernels::Backend backend,
                               size_t bytes_max) {
    std::mt19937_64 random(bytes_max);
    std::vector<Bytes> messages;
    for (size_t size = 0; size <= bytes_max; ++size) {
        messages.push_back(random_message(random, size));
    }
    expect_reference_digests(hash, backend, messages);
}

/// Counts around every count of lanes, for lengths with paths of their own and their neighbours.
inline void check_counts(const HashUnderTest& hash, kernels::Backend backend,
                         std::initializer_list<size_t> sizes) {
    std::mt19937_64 random(7);
    for (const size_t count : {0u,  1u,  2u,  3u,  4u,  5u,  7u,  8u,  9u,  11u, 12u, 13u, 15u,
                               16u, 17u, 31u, 32u, 33u, 44u, 47u, 48u, 49u, 63u, 64u, 65u}) {
        for (const size_t size : sizes) {
            std::vector<Bytes> messages;
            for (size_t i = 0; i < count; ++i) { messages.push_back(random_message(random, size)); }
            expect_reference_digests(hash, backend, messages);
        }
    }
}

/// Random counts of random lengths, few of them long.
inline void check_mixed_lengths(const HashUnderTest& hash, kernels::Backend backend, int rounds) {
    std::mt19937_64 random(20260101);
    for (int round = 0; round < rounds; ++round) {
        std::vector<Bytes> messages;
        const size_t count = random() % 70;
        for (size_t i = 0; i < count; ++i) {
            const size_t bytes_max = random() % 8 == 0 ? 6000 : 300;
            messages.push_back(random_message(random, random() % bytes_max));
        }
        SCOPED_TRACE("round " + std::to_string(round) + " of seed 20260101");
        expect_reference_digests(hash, backend, messages);
    }
}

/// Counts around the lists that a batch is cut into, ragged and equal.
inline void check_cuts(const HashUnderTest& hash, kernels::Backend backend) {
    std::mt19937_64 random(3);
    for (const size_t count : {511u, 512u, 513u, 1023u, 1024u, 1025u, 1541u}) {
        std::vector<Bytes> ragged;
        std::vector<Bytes> equal;
        for (size_t i = 0; i < count; ++i) {
            ragged.push_back(random_message(random, i * 7 % 333));
            equal.push_back(random_message(random, 64));
        }
        expect_reference_digests(hash, backend, ragged);
        expect_reference_digests(hash, backend, equal);
    }
}

inline void check_one_long_among_short(const HashUnderTest& hash, kernels::Backend backend) {
    std::mt19937_64 random(5);
    for (const size_t place : {0u, 7u, 19u}) {
        std::vector<Bytes> messages;
        for (size_t i = 0; i < 20; ++i) {
            messages.push_back(random_message(random, i == place ? 300'001 : 64));
        }
        expect_reference_digests(hash, backend, messages);
    }
}

inline void check_refusals(const HashUnderTest& hash) {
    const Bytes bytes(129);
    const std::vector<ByteView> messages(3);
    std::vector<Hash256> digests(2);
    for (const kernels::Backend backend :
         {kernels::Backend::scalar, kernels::Backend::simd, kernels::Backend::cuda}) {
        const Result<void> ragged = hash.ragged(backend, messages, digests);
        ASSERT_FALSE(ragged.has_value());
        EXPECT_EQ(ErrorCode::invalid_input, ragged.error().code);
        for (const size_t size : {size_t{0}, size_t{64}, size_t{65}, SIZE_MAX / 2 + 1}) {
            const Result<void> equal = hash.equal(backend, bytes, size, digests);
            ASSERT_FALSE(equal.has_value()) << size;
            EXPECT_EQ(ErrorCode::invalid_input, equal.error().code);
        }
    }
}

/// CUDA is either usable or says why not, with the reason of its status.
inline void check_cuda_answers(const HashUnderTest& hash) {
    const kernels::BackendStatus cuda = hash.status(kernels::Backend::cuda);
    const ByteView empty;
    Hash256 digest;
    const Result<void> hashed = hash.ragged(kernels::Backend::cuda, {&empty, 1}, {&digest, 1});
    if (cuda.available) {
        ASSERT_TRUE(hashed.has_value()) << hashed.error().message;
        EXPECT_EQ(hash.reference(empty), digest);
    } else {
        EXPECT_FALSE(cuda.reason.empty());
        ASSERT_FALSE(hashed.has_value());
        EXPECT_EQ(ErrorCode::unavailable, hashed.error().code);
        EXPECT_NE(std::string::npos, hashed.error().message.find(cuda.reason));
    }
}

}  // namespace millrace::test
