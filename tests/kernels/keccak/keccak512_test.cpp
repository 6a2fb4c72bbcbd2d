// SPDX-License-Identifier: Apache-2.0
// Owns the test of Keccak-512: known answers, and agreement with the bitwise reference.
#include "kernels/keccak/keccak512.hpp"

#include <gtest/gtest.h>

#include "host/base/hex.hpp"
#include "tests/kernels/keccak/reference_keccak.hpp"

namespace millrace::kernels {
namespace {

TEST(Keccak512, KnownAnswers) {
    EXPECT_EQ(
        to_hex(keccak512({})),
        "0x0eab42de4c3ceb9235fc91acffe746b29c29a8c366b7c60e4e67c466f36a4304c00fa9caf9d87976ba469b"
        "cbe06713b435f091ef2769fb160cdab33d3670680e");
    EXPECT_EQ(
        to_hex(keccak512(as_bytes("abc"))),
        "0x18587dc2ea106b9a1563e32b3312421ca164c7f1f07bc922a9c83d77cea3a1e5d0c69910739025372dc14a"
        "c9642629379540c17e2a65b19d77aa511a9d00bb96");
}

TEST(Keccak512, AgreesWithTheReferenceAroundEveryEdge) {
    for (const size_t size : {0, 1, 7, 8, 40, 64, 71, 72, 73, 96, 143, 144, 145, 300}) {
        const Bytes message = test::test_message(size, 3);
        const auto digest = keccak512(message);
        EXPECT_EQ(Bytes(digest.begin(), digest.end()), test::reference_keccak(message, 512))
            << size << " bytes";
    }
}

}  // namespace
}  // namespace millrace::kernels
