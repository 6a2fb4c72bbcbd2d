// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the precompiles SHA256, RIPEMD160 and IDENTITY.
#include "tests/evm/precompiles/calling.hpp"

namespace millrace::evm {
namespace {

using namespace test;

Bytes text_bytes(std::string_view text) {
    const ByteView view = as_bytes(text);
    return {view.begin(), view.end()};
}

TEST(Sha256Precompile, GivesThePublishedDigests) {
    expect_result(2, {}, bytes("e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"),
                  60, Revision::frontier);
    expect_result(2, text_bytes("abc"),
                  bytes("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"), 72);
    expect_result(2, text_bytes("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq"),
                  bytes("248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"), 84);
    expect_result(2, Bytes(1'000'000, 'a'),
                  bytes("cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"),
                  60 + 12 * 31250);
}

TEST(Ripemd160Precompile, GivesThePublishedDigestsInAWord) {
    const Bytes padding(12);
    expect_result(3, {}, join(padding, bytes("9c1185a5c5e9fc54612808977ee8f548b2258d31")), 600,
                  Revision::frontier);
    expect_result(3, text_bytes("abc"),
                  join(padding, bytes("8eb208f7e05d987a9b044a8e98c6b087f15a0bfc")), 720);
    expect_result(3, text_bytes("message digest"),
                  join(padding, bytes("5d0689ef49d2fae572b881b123a85ffa21595f36")), 720);
    expect_result(3, Bytes(1'000'000, 'a'),
                  join(padding, bytes("52783243c1697bdbe16d37f97f68f08325dc1528")),
                  600 + 120 * 31250);
}

TEST(IdentityPrecompile, CopiesAndChargesPerStartedWord) {
    Random random(4);
    SCOPED_TRACE(random.text());
    for (const size_t size : {0, 1, 31, 32, 33, 63, 64, 65, 1000}) {
        const Bytes input = random.bytes(size);
        expect_result(4, input, input, 15 + 3 * ((size + 31) / 32), Revision::frontier);
    }
}

}  // namespace
}  // namespace millrace::evm
