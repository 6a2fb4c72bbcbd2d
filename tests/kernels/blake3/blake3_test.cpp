// SPDX-License-Identifier: Apache-2.0
// Owns the tests of BLAKE3 of one message: published answers, and the reference at every edge.
#include "kernels/blake3/blake3.hpp"

#include <gtest/gtest.h>

#include <random>

#include "host/base/hex.hpp"
#include "tests/kernels/blake3/blake3_vectors.hpp"
#include "tests/kernels/blake3/reference_blake3.hpp"

namespace millrace::kernels {
namespace {

using test::blake3_vectors;
using test::reference_blake3;

TEST(Blake3, PublishedAnswers) {
    for (const auto& [size, digest] : blake3_vectors) {
        EXPECT_EQ(digest, to_hex(blake3(test::blake3_vector_input(size)))) << size << " bytes";
    }
}

TEST(Blake3, TheReferenceGivesThePublishedAnswers) {
    for (const auto& [size, digest] : blake3_vectors) {
        EXPECT_EQ(digest, to_hex(reference_blake3(test::blake3_vector_input(size)))) << size;
    }
}

TEST(Blake3, EveryLengthTo2100Agrees) {
    std::mt19937_64 random(1);
    for (size_t size = 0; size <= 2100; ++size) {
        Bytes message(size);
        for (uint8_t& byte : message) { byte = static_cast<uint8_t>(random()); }
        ASSERT_EQ(reference_blake3(message), blake3(message)) << size << " bytes";
    }
}

TEST(Blake3, EveryCountOfChunksTo70Agrees) {
    std::mt19937_64 random(2);
    Bytes message(70 * 1024 + 1);
    for (uint8_t& byte : message) { byte = static_cast<uint8_t>(random()); }
    for (size_t chunks = 1; chunks <= 70; ++chunks) {
        for (const size_t size : {1024 * chunks - 1, 1024 * chunks, 1024 * chunks + 1}) {
            const ByteView part = ByteView(message).first(size);
            ASSERT_EQ(reference_blake3(part), blake3(part)) << size << " bytes";
        }
    }
}

}  // namespace
}  // namespace millrace::kernels
