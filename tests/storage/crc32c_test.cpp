// SPDX-License-Identifier: Apache-2.0
// Owns the tests of CRC-32C: known answers, and hardware against software at every edge.
#include <random>

#include <gtest/gtest.h>

#include "storage/io/crc32c.hpp"

namespace millrace::storage {

TEST(Crc32c, KnownAnswersOfRfc3720) {
    const Bytes zeros(32, 0x00);
    const Bytes ones(32, 0xff);
    Bytes up(32);
    Bytes down(32);
    for (uint8_t i = 0; i < 32; ++i) {
        up[i] = i;
        down[i] = static_cast<uint8_t>(31 - i);
    }
    for (const auto f : {crc32c, crc32c_software}) {
        EXPECT_EQ(f(zeros, 0), 0x8a9136aau);
        EXPECT_EQ(f(ones, 0), 0x62a8ab43u);
        EXPECT_EQ(f(up, 0), 0x46dd794eu);
        EXPECT_EQ(f(down, 0), 0x113fdb5cu);
        EXPECT_EQ(f(as_bytes("123456789"), 0), 0xe3069283u);
        EXPECT_EQ(f({}, 0), 0u);
    }
}

TEST(Crc32c, BothFormsAgreeAtEveryLengthAndCut) {
    std::mt19937_64 random{1};
    Bytes data(20000);
    for (uint8_t& b : data) { b = static_cast<uint8_t>(random()); }
    const ByteView all{data};
    for (size_t n = 0; n < 200; ++n) {
        ASSERT_EQ(crc32c(all.first(n)), crc32c_software(all.first(n))) << n;
    }
    for (const size_t n : {3071u, 3072u, 3073u, 6143u, 6144u, 6151u, 9216u, 20000u}) {
        ASSERT_EQ(crc32c(all.first(n)), crc32c_software(all.first(n))) << n;
    }
    for (int i = 0; i < 200; ++i) {
        const size_t from = random() % 64;
        const size_t cut = from + random() % (data.size() - from);
        const uint32_t joined = crc32c(all.subspan(cut), crc32c(all.subspan(from, cut - from)));
        ASSERT_EQ(joined, crc32c_software(all.subspan(from))) << from << " " << cut;
    }
}

}  // namespace millrace::storage
