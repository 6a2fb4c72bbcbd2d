// SPDX-License-Identifier: Apache-2.0
// Owns the tests of recovery and signing: published vectors, every refusal, and agreement with the
// reference arithmetic.
#include "kernels/secp256k1/recover.hpp"

#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "host/base/hex.hpp"
#include "kernels/keccak/keccak.hpp"
#include "tests/kernels/secp256k1/reference_recover.hpp"

namespace millrace::kernels {
namespace {

using test::field_prime;
using test::generator_x;
using test::reference_recover;

U256 number(std::string_view hex) { return u256_from_hex(hex).value(); }

/// The ECRECOVER precompile's well-known call (its s is high).
RecoverJob precompile_job() {
    return {.digest =
                hash_literal("0x18c547e4f7b0f325ad1e56f57e26c745b09a3e503d86e00e5255ff7f715d3d1c"),
            .r = number("0x73b1693892219d736caba55bdb67216e485557ea6b6af75f37096c9aa6a5a75f"),
            .s = number("0xeeb940b1d03b21e36b0e47e79769f095fe2ab855bd91e3a38756b7d75a9c4549"),
            .y_parity = 1};
}

Hash256 random_hash(std::mt19937_64& random) {
    return to_hash(U256{random(), random(), random(), random()});
}

TEST(Recover, GivesThePrecompilesKnownAddress) {
    EXPECT_EQ(address_literal("0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b"),
              recover_address(precompile_job()));
}

TEST(Recover, GivesTheSenderOfTheEip155Example) {
    const RecoverJob job{
        .digest =
            hash_literal("0xdaf5a779ae972f972197303d7b574746c7ef83eadac0f2791ad23db92e4c8e53"),
        .r = number("0x28ef61340bd939bc2195fe537567866003e1a15d3c71ff63e1590620aa636276"),
        .s = number("0x67cbe9d8997f761aecb703304b3800ccf555c9f3dc64214b297fb1966a3b6d83"),
        .y_parity = 0};
    EXPECT_EQ(address_literal("0x9d8a62f656a8d1615c1294fd71e9cfb3e4855a4f"), recover_address(job));
    // The example's key signs with RFC 6979 to the very same signature.
    const Hash256 key =
        hash_literal("0x4646464646464646464646464646464646464646464646464646464646464646");
    const std::optional<RecoverableSignature> signature = sign(job.digest, key);
    ASSERT_TRUE(signature.has_value());
    EXPECT_EQ(job.r, signature->r);
    EXPECT_EQ(job.s, signature->s);
    EXPECT_EQ(job.y_parity, signature->y_parity);
}

TEST(Recover, AcceptsHighSAndItsMirrorGivesTheSameKey) {
    RecoverJob job = precompile_job();
    ASSERT_GT(job.s, secp256k1_half_order);
    const std::optional<Address> address = recover_address(job);
    job.s = secp256k1_order - job.s;
    job.y_parity ^= 1;
    EXPECT_LE(job.s, secp256k1_half_order);
    EXPECT_EQ(address, recover_address(job));
}

TEST(Recover, RefusesRAndSOutsideTheOrder) {
    const U256 zero{};
    for (const U256& bad :
         {zero, secp256k1_order, secp256k1_order + U256{1}, field_prime, U256::max()}) {
        RecoverJob job = precompile_job();
        job.r = bad;
        EXPECT_FALSE(recover_address(job).has_value()) << "r = " << to_hex_quantity(bad);
        job = precompile_job();
        job.s = bad;
        EXPECT_FALSE(recover_address(job).has_value()) << "s = " << to_hex_quantity(bad);
    }
}

TEST(Recover, TakesTheLargestS) {
    RecoverJob job = precompile_job();
    job.s = secp256k1_order - U256{1};
    EXPECT_TRUE(recover_public_key(job).has_value());
    EXPECT_EQ(reference_recover(job), recover_public_key(job));
}

TEST(Recover, RefusesRecoveryIdsAboveOne) {
    RecoverJob job = precompile_job();
    for (const uint8_t parity : {2, 3, 4, 27, 28, 255}) {
        job.y_parity = parity;
        EXPECT_FALSE(recover_address(job).has_value()) << int{parity};
    }
}

TEST(Recover, RefusesAnXWithoutPoint) {
    // 5 is the smallest x with no point: 5^3 + 7 = 132 is no square modulo p.
    RecoverJob job = precompile_job();
    job.r = 5;
    EXPECT_FALSE(recover_address(job).has_value());
    EXPECT_FALSE(reference_recover(job).has_value());
    job.r = 1;
    EXPECT_TRUE(recover_address(job).has_value());
}

TEST(Recover, TakesAZeroDigest) {
    RecoverJob job = precompile_job();
    job.digest = {};
    ASSERT_TRUE(recover_public_key(job).has_value());
    EXPECT_EQ(reference_recover(job), recover_public_key(job));
}

TEST(Recover, ReducesTheDigestModuloTheOrder) {
    RecoverJob small = precompile_job();
    small.digest = to_hash(U256{5});
    RecoverJob large = small;
    large.digest = to_hash(secp256k1_order + U256{5});
    EXPECT_EQ(recover_address(small), recover_address(large));
    RecoverJob zero = small;
    zero.digest = {};
    RecoverJob order = small;
    order.digest = to_hash(secp256k1_order);
    EXPECT_EQ(recover_address(zero), recover_address(order));
    EXPECT_NE(recover_address(zero), recover_address(small));
}

TEST(Recover, RefusesTheKeyAtInfinity) {
    // Q = (s R - z G) / r with R = kG vanishes when z = s k.
    std::mt19937_64 random(7);
    for (int i = 0; i < 20; ++i) {
        const U256 k = to_u256(random_hash(random)) % secp256k1_order;
        const PublicKey point = public_key_of_secret_key(to_hash(k)).value();
        const U256 s = to_u256(random_hash(random)) % secp256k1_order;
        RecoverJob job{.digest = to_hash(mul_mod(s, k, secp256k1_order)),
                       .r = load_be(point.data()),
                       .s = s,
                       .y_parity = static_cast<uint8_t>(point[63] & 1)};
        EXPECT_FALSE(recover_address(job).has_value());
        EXPECT_FALSE(reference_recover(job).has_value());
        job.y_parity ^= 1;  // R = -kG: an ordinary key
        ASSERT_TRUE(recover_address(job).has_value());
        EXPECT_EQ(reference_recover(job), recover_public_key(job));
    }
}

TEST(Recover, TakesRThatIsASmallMultipleOfTheGenerator) {
    for (uint64_t j = 1; j <= 16; ++j) {
        const PublicKey point = public_key_of_secret_key(to_hash(U256{j})).value();
        for (uint8_t parity = 0; parity < 2; ++parity) {
            for (const U256& s : {U256{1}, U256{2}, U256{j}, secp256k1_order - U256{1},
                                  secp256k1_order - U256{j}}) {
                for (const U256& z : {U256{0}, U256{1}, U256{j}, secp256k1_order - U256{1}}) {
                    const RecoverJob job{.digest = to_hash(z),
                                         .r = load_be(point.data()),
                                         .s = s,
                                         .y_parity = parity};
                    EXPECT_EQ(reference_recover(job), recover_public_key(job))
                        << "j = " << j << ", s = " << to_hex_quantity(s)
                        << ", z = " << to_hex_quantity(z) << ", parity " << int{parity};
                }
            }
        }
    }
}

TEST(Recover, AgreesWithTheReferenceOnRandomJobs) {
    std::mt19937_64 random(20260102);
    size_t refused = 0;
    for (int i = 0; i < 200; ++i) {
        const RecoverJob job{.digest = random_hash(random),
                             .r = to_u256(random_hash(random)),
                             .s = to_u256(random_hash(random)),
                             .y_parity = static_cast<uint8_t>(random() % 2)};
        const std::optional<PublicKey> key = recover_public_key(job);
        EXPECT_EQ(reference_recover(job), key) << "job " << i;
        refused += key ? 0 : 1;
    }
    // About half of all x have no point: both outcomes were met.
    EXPECT_GT(refused, 50u);
    EXPECT_LT(refused, 150u);
}

TEST(Sign, RoundTripsThroughRecovery) {
    std::mt19937_64 random(20260103);
    for (int i = 0; i < 500; ++i) {
        const Hash256 key = random_hash(random);
        const Hash256 digest = random_hash(random);
        const std::optional<RecoverableSignature> signature = sign(digest, key);
        ASSERT_TRUE(signature.has_value());
        EXPECT_LE(signature->s, secp256k1_half_order);
        const RecoverJob job{digest, signature->r, signature->s, signature->y_parity};
        EXPECT_EQ(address_of_secret_key(key), recover_address(job));
        EXPECT_EQ(public_key_of_secret_key(key), recover_public_key(job));
        const RecoverJob flipped{digest, signature->r, signature->s,
                                 static_cast<uint8_t>(signature->y_parity ^ 1)};
        EXPECT_NE(address_of_secret_key(key), recover_address(flipped));
    }
}

TEST(Sign, RefusesKeysOutsideTheOrder) {
    const Hash256 digest = keccak256(as_bytes("message"));
    for (const U256& bad : {U256{}, secp256k1_order, U256::max()}) {
        EXPECT_FALSE(sign(digest, to_hash(bad)).has_value());
        EXPECT_FALSE(address_of_secret_key(to_hash(bad)).has_value());
        EXPECT_FALSE(public_key_of_secret_key(to_hash(bad)).has_value());
    }
    EXPECT_TRUE(sign(digest, to_hash(secp256k1_order - U256{1})).has_value());
}

TEST(Address, OfKnownSecretKeys) {
    EXPECT_EQ(address_literal("0x7e5f4552091a69125d5dfcb7b8c2659029395bdf"),
              address_of_secret_key(to_hash(U256{1})));
    EXPECT_EQ(address_literal("0xf39fd6e51aad88f6f4ce6ab8827279cfffb92266"),
              address_of_secret_key(hash_literal(
                  "0xac0974bec39a17e36ba4a6b4d238ff944bacb478cbed5efcae784d7bf4f2ff80")));
    EXPECT_EQ(generator_x, load_be(public_key_of_secret_key(to_hash(U256{1})).value().data()));
}

TEST(Recover, FirstUseFromManyThreadsAgrees) {
    std::vector<std::optional<Address>> addresses(8);
    {
        std::vector<std::jthread> threads;
        for (std::optional<Address>& address : addresses) {
            threads.emplace_back([&address] { address = recover_address(precompile_job()); });
        }
    }
    for (const std::optional<Address>& address : addresses) {
        EXPECT_EQ(address_literal("0xa94f5374fce5edbc8e2a8697c15331677e6ebf0b"), address);
    }
}

}  // namespace
}  // namespace millrace::kernels
