// SPDX-License-Identifier: Apache-2.0
// Owns the tests of SHA-256 of one message: published answers, and OpenSSL on every path.
#include "kernels/sha256/sha256.hpp"

#include <gtest/gtest.h>

#include <random>

#include "host/base/hex.hpp"
#include "kernels/sha256/detail/one_message.hpp"
#include "tests/kernels/sha256/openssl_sha256.hpp"

namespace millrace::kernels {
namespace {

using test::openssl_sha256;

/// Runs the body with each implementation of this CPU in use.
template <class Body>
void on_every_path(Body body) {
    const detail::Sha256Path& before = detail::sha256_path();
    for (const detail::Sha256Path* path : detail::sha256_paths()) {
        detail::sha256_use(*path);
        SCOPED_TRACE(path->name);
        body();
    }
    detail::sha256_use(before);
}

TEST(Sha256, PublishedAnswers) {
    // FIPS 180-2, appendix B, and the empty message of NIST's example values.
    on_every_path([] {
        EXPECT_EQ("0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
                  to_hex(sha256({})));
        EXPECT_EQ("0xba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
                  to_hex(sha256(as_bytes("abc"))));
        EXPECT_EQ(
            "0x248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1",
            to_hex(sha256(as_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"))));
        EXPECT_EQ("0xcdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0",
                  to_hex(sha256(Bytes(1'000'000, 'a'))));
    });
}

TEST(Sha256, EveryLengthTo600AgreesWithOpenssl) {
    on_every_path([] {
        std::mt19937_64 random(1);
        for (size_t size = 0; size <= 600; ++size) {
            Bytes message(size);
            for (uint8_t& byte : message) { byte = static_cast<uint8_t>(random()); }
            ASSERT_EQ(openssl_sha256(message), sha256(message)) << size << " bytes";
        }
    });
}

TEST(Sha256, UnalignedMessagesAgree) {
    on_every_path([] {
        const Bytes bytes(400, 0x5a);
        for (size_t offset = 0; offset < 64; ++offset) {
            const ByteView message = ByteView(bytes).subspan(offset, 300);
            ASSERT_EQ(openssl_sha256(message), sha256(message)) << "offset " << offset;
        }
    });
}

TEST(Sha256, ShaNiIsFirstWhereTheCpuHasIt) {
    const auto paths = detail::sha256_paths();
    ASSERT_FALSE(paths.empty());
    EXPECT_STREQ("portable", paths.back()->name);
    if (paths.size() == 2) { EXPECT_STREQ("SHA-NI", paths.front()->name); }
    EXPECT_EQ(paths.front(), &detail::sha256_path());
}

}  // namespace
}  // namespace millrace::kernels
