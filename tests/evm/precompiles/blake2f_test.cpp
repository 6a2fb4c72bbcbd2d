// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the precompile BLAKE2F.
#include <openssl/evp.h>

#include <cstring>

#include "tests/evm/precompiles/calling.hpp"
#include "tests/evm/precompiles/oracles/reference_hashes.hpp"

namespace millrace::evm {
namespace {

using namespace test;

constexpr unsigned blake2f = 9;

/// The state of EIP-152's examples: BLAKE2b-512 before its first block, and the block "abc".
const Bytes example_state =
    bytes("48c9bdf267e6096a3ba7ca8485ae67bb2bf894fe72f36e3cf1361d5f3af54fa5"
          "d182e6ad7f520e511f6c3e2b8c68059b6bbd41fbabd9831f79217e1319cde05b");

Bytes rounds_bytes(uint32_t rounds) {
    return {static_cast<uint8_t>(rounds >> 24), static_cast<uint8_t>(rounds >> 16),
            static_cast<uint8_t>(rounds >> 8), static_cast<uint8_t>(rounds)};
}

Bytes little_endian(uint64_t v) {
    Bytes r(8);
    std::memcpy(r.data(), &v, 8);
    return r;
}

Bytes input_of(uint32_t rounds, const Bytes& state, const Bytes& block, uint64_t counter,
               uint8_t final_flag) {
    return join(rounds_bytes(rounds), state, block, little_endian(counter), Bytes(8),
                Bytes{final_flag});
}

Bytes example(uint32_t rounds, uint8_t final_flag) {
    Bytes block(128);
    std::memcpy(block.data(), "abc", 3);
    return input_of(rounds, example_state, block, 3, final_flag);
}

TEST(Blake2f, AnswersTheExamplesOfEip152) {
    expect_result(blake2f, example(0, 1),
                  bytes("08c9bcf367e6096a3ba7ca8485ae67bb2bf894fe72f36e3cf1361d5f3af54fa5"
                        "d282e6ad7f520e511f6c3e2b8c68059b9442be0454267ce079217e1319cde05b"),
                  0, Revision::istanbul);
    expect_result(blake2f, example(12, 1),
                  bytes("ba80a53f981c4d0d6a2797b69f12f6e94c212f14685ac4b74b12bb6fdbffa2d1"
                        "7d87c5392aab792dc252d5de4533cc9518d38aa8dbf1925ab92386edd4009923"),
                  12);
    expect_result(blake2f, example(12, 0),
                  bytes("75ab69d3190a562c51aef8d88f1c2775876944407270c42c9844252c26d28752"
                        "98743e7f6d5ea2f2d3e8d226039cd31b4e426ac4f2d3d666a610c2116fde4735"),
                  12);
    expect_result(blake2f, example(1, 1),
                  bytes("b63a380cb2897d521994a85234ee2c181b5f844d2c624c002677e9703449d2fb"
                        "a551b3a8333bcdf5f2f7e08993d53923de3d64fcc68c034e717b9293fed7a421"),
                  1);
}

TEST(Blake2f, RefusesWrongLengthsFlagsAndPrices) {
    const Bytes good = example(12, 1);
    ASSERT_EQ(213u, good.size());
    expect_failure(blake2f, {});
    expect_failure(blake2f, Bytes(good.begin(), good.end() - 1));
    expect_failure(blake2f, join(good, Bytes{0}));
    for (const uint8_t flag : {2, 3, 0x80, 0xff}) { expect_failure(blake2f, example(12, flag)); }
    // The largest price is refused before any work is done.
    EXPECT_FALSE(call(blake2f, example(0xffffffff, 1), latest_revision, 0xfffffffe).success);
}

TEST(Blake2f, BuildsBlake2b) {
    Random random(152);
    SCOPED_TRACE(random.text());
    for (const size_t size : {0, 1, 127, 128, 129, 255, 256, 257, 1000}) {
        const Bytes message = random.bytes(size);
        Bytes state = example_state;
        size_t done = 0;
        do {
            Bytes block(128);
            const size_t take = std::min<size_t>(128, size - done);
            std::copy_n(message.begin() + static_cast<ptrdiff_t>(done), take, block.begin());
            done += take;
            state = call(blake2f, input_of(12, state, block, done, done == size ? 1 : 0)).output;
        } while (done < size);
        Bytes expected(64);
        ASSERT_EQ(1, EVP_Digest(message.data(), size, expected.data(), nullptr, EVP_blake2b512(),
                                nullptr));
        EXPECT_EQ(to_hex(expected), to_hex(state)) << size;
    }
}

TEST(Blake2f, AgreesWithTheReferenceForEveryNumberOfRounds) {
    Random random(7693);
    SCOPED_TRACE(random.text());
    for (uint32_t rounds = 0; rounds < 45; ++rounds) {
        const Bytes state = random.bytes(64);
        const Bytes block = random.bytes(128);
        const uint64_t counter = random();
        for (const uint8_t flag : {0, 1}) {
            expect_result(
                blake2f, input_of(rounds, state, block, counter, flag),
                oracles::reference_blake2b_compress(rounds, state, block, counter, 0, flag == 1),
                rounds);
        }
    }
}

}  // namespace
}  // namespace millrace::evm
