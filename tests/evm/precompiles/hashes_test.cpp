// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the precompiles SHA256, RIPEMD160, IDENTITY and ECRECOVER.
#include "kernels/secp256k1/recover.hpp"
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

/// The arguments of a call that recovers a94f53.. (its s is high).
struct Recovery {
    U256 digest = number("0x18c547e4f7b0f325ad1e56f57e26c745b09a3e503d86e00e5255ff7f715d3d1c");
    U256 v{28};
    U256 r = number("0x73b1693892219d736caba55bdb67216e485557ea6b6af75f37096c9aa6a5a75f");
    U256 s = number("0xeeb940b1d03b21e36b0e47e79769f095fe2ab855bd91e3a38756b7d75a9c4549");

    Bytes input() const { return join(word(digest), word(v), word(r), word(s)); }
};

const Bytes recovered = bytes("000000000000000000000000a94f5374fce5edbc8e2a8697c15331677e6ebf0b");

TEST(EcrecoverPrecompile, RecoversTheKnownSigner) {
    expect_result(1, Recovery{}.input(), recovered, 3000, Revision::frontier);
    expect_result(1, Recovery{}.input(), recovered, 3000);
}

TEST(EcrecoverPrecompile, IgnoresWhatFollowsAndPadsWhatIsMissing) {
    expect_result(1, join(Recovery{}.input(), Bytes(5, 0xff)), recovered, 3000);
    // A missing last byte counts as zero: another s, and so another signer.
    Bytes cut = Recovery{}.input();
    cut.pop_back();
    const Bytes padded = join(cut, Bytes(1));
    EXPECT_EQ(call(1, padded).output, call(1, cut).output);
    EXPECT_NE(recovered, call(1, cut).output);
    EXPECT_EQ(32u, call(1, cut).output.size());
    expect_result(1, {}, {}, 3000);
}

TEST(EcrecoverPrecompile, GivesNothingForWhatIsNoSignatureAndStillCharges) {
    const auto expect_nothing = [](const Recovery& recovery) {
        expect_result(1, recovery.input(), {}, 3000);
    };
    for (const U256& v : {U256{0}, U256{1}, U256{26}, U256{29}, U256{256 + 27},
                          shl(U256{1}, 64) + U256{28}, shl(U256{27}, 248), U256::max()}) {
        expect_nothing({.v = v});
    }
    const U256 order = kernels::secp256k1_order;
    for (const U256& bad : {U256{0}, order, order + U256{1}, U256::max()}) {
        expect_nothing({.r = bad});
        expect_nothing({.s = bad});
    }
    // No point of secp256k1 has x = 5.
    expect_nothing({.r = U256{5}});
}

TEST(EcrecoverPrecompile, RecoversWhatWasSigned) {
    Random random(1);
    SCOPED_TRACE(random.text());
    for (int i = 0; i < 50; ++i) {
        const Hash256 key = to_hash(random.u256() >> 1);
        const Hash256 digest = to_hash(random.edgy_u256());
        const auto signature = kernels::sign(digest, key);
        ASSERT_TRUE(signature);
        const Bytes input = join(digest, word(U256{27u + signature->y_parity}), word(signature->r),
                                 word(signature->s));
        const Bytes expected = join(Bytes(12), *kernels::address_of_secret_key(key));
        EXPECT_EQ(expected, call(1, input).output);
        // The mirrored signature has the other parity and a high s.
        const Bytes mirrored =
            join(digest, word(U256{28u - signature->y_parity}), word(signature->r),
                 word(kernels::secp256k1_order - signature->s));
        EXPECT_EQ(expected, call(1, mirrored).output);
    }
}

}  // namespace
}  // namespace millrace::evm
