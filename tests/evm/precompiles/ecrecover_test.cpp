// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the precompile ECRECOVER.
#include "kernels/secp256k1/recover.hpp"
#include "tests/evm/precompiles/calling.hpp"
#include "tests/evm/precompiles/oracles/prime_curve.hpp"

namespace millrace::evm {
namespace {

using namespace test;

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

const U256 order = kernels::secp256k1_order;

U256 power_mod_order(const U256& base, const U256& exponent) {
    U256 r{1};
    for (unsigned bit = 256; bit-- > 0;) {
        r = mul_mod(r, r, order);
        if (((exponent.w[bit / 64] >> (bit % 64)) & 1) != 0) { r = mul_mod(r, base, order); }
    }
    return r;
}

/// The contract computes u1 G + u2 R. This is the input with these u1 and u2 and R = nonce * G; the
/// signer's key is u1 + u2 * nonce.
struct Chosen {
    U256 u1;
    U256 u2;
    U256 nonce;

    U256 secret() const { return add_mod(u1, mul_mod(u2, nonce, order), order); }
    Bytes input() const {
        const auto point = kernels::public_key_of_secret_key(to_hash(nonce));
        EXPECT_TRUE(point);
        const U256 r = load_be(point->data()) % order;
        const U256 digest = mul_mod(order - u1, r, order);
        return join(word(digest), word(U256{27u + (point->back() & 1u)}), word(r),
                    word(mul_mod(u2, r, order)));
    }
    Bytes expected() const {
        const auto signer = kernels::address_of_secret_key(to_hash(secret()));
        return signer ? join(Bytes(12), *signer) : Bytes{};
    }
};

/// A cube root of one modulo the order: its half scalars are 0 and 1.
const U256 lambda = number("0x5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72");

TEST(EcrecoverPrecompile, MultipliesByScalarsAtTheEdges) {
    ASSERT_EQ(U256{1}, power_mod_order(lambda, U256{3}));
    const U256 half_word = shl(U256{1}, 128);
    const std::vector<U256> edges{U256{1},
                                  U256{2},
                                  U256{3},
                                  order - U256{1},
                                  order - U256{2},
                                  lambda,
                                  order - lambda,
                                  mul_mod(lambda, lambda, order),
                                  lambda + U256{1},
                                  half_word,
                                  half_word - U256{1},
                                  mul_mod(lambda, half_word - U256{1}, order),
                                  shr(order, 1),
                                  shr(order, 1) + U256{1},
                                  shl(U256{1}, 255)};
    const U256 ordinary =
        number("0x3a1b2c4d5e6f708192a3b4c5d6e7f8091a2b3c4d5e6f708192a3b4c5d6e7f809");
    for (const U256& u1 : edges) {
        for (const U256& u2 : edges) {
            // R = +-jG makes the two products meet: equal, opposite, or in the same table.
            for (const U256& nonce : {ordinary, U256{1}, U256{2}, U256{15}, order - U256{1},
                                      order - U256{16}, lambda}) {
                const Chosen chosen{u1, u2, nonce};
                expect_result(1, chosen.input(), chosen.expected(), 3000);
            }
        }
    }
}

TEST(EcrecoverPrecompile, GivesNothingForAKeyAtInfinity) {
    for (const U256& nonce : {U256{1}, U256{2}, U256{7}, lambda, order - U256{3}}) {
        for (const U256& u2 : {U256{1}, U256{5}, lambda, order - U256{1}}) {
            const Chosen chosen{order - mul_mod(u2, nonce, order), u2, nonce};
            ASSERT_TRUE(chosen.secret().is_zero());
            expect_result(1, chosen.input(), {}, 3000);
        }
    }
}

TEST(EcrecoverPrecompile, TakesTheDigestModuloTheOrderAndZeroToo) {
    const U256 nonce{12345};
    const U256 u2 = lambda + U256{99};
    const auto with_digest = [&](const U256& digest) {
        Bytes input = Chosen{U256{}, u2, nonce}.input();
        const Bytes bytes_of_digest = word(digest);
        std::copy(bytes_of_digest.begin(), bytes_of_digest.end(), input.begin());
        return input;
    };
    // A digest of zero is u1 = 0: the key is u2 * nonce.
    const Bytes expected = Chosen{U256{}, u2, nonce}.expected();
    expect_result(1, with_digest(U256{}), expected, 3000);
    expect_result(1, with_digest(order), expected, 3000);
    EXPECT_EQ(call(1, with_digest(U256{7})).output, call(1, with_digest(order + U256{7})).output);
    EXPECT_EQ(call(1, with_digest(U256::max() - order)).output,
              call(1, with_digest(U256::max())).output);
    // The other zero half: u1 as usual, and the point of the nonce alone.
    for (const U256& u1 : {U256{1}, order - U256{1}, lambda}) {
        const Chosen chosen{u1, U256{1}, U256{77}};
        expect_result(1, chosen.input(), chosen.expected(), 3000);
    }
}

TEST(EcrecoverPrecompile, NeverAddsTheOrderToR) {
    // Where x = r is on no point but x = r + n is, recovery ids 2 and 3 would find a key.
    const oracles::PrimeCurve curve{
        bytes("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f"), 7, order};
    int seen = 0;
    for (uint64_t r = 1; r < 60; ++r) {
        const bool low = curve.point_at(word(U256{r}), false).has_value();
        const bool high = curve.point_at(word(order + U256{r}), false).has_value();
        const Bytes input = Recovery{.r = U256{r}}.input();
        EXPECT_EQ(low ? 32u : 0u, call(1, input).output.size()) << r;
        seen += !low && high ? 1 : 0;
    }
    EXPECT_GT(seen, 5);
}

}  // namespace
}  // namespace millrace::evm
