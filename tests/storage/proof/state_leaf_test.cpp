// SPDX-License-Identifier: Apache-2.0
// Owns the tests of keys and values of the state's leaves.
#include <gtest/gtest.h>

#include <random>

#include "host/base/hex.hpp"
#include "kernels/keccak/keccak.hpp"
#include "storage/proof/entry.hpp"
#include "storage/proof/state_leaf.hpp"

namespace millrace::storage {
namespace {

const Address someone = address_literal("0xf39Fd6e51aad88F6F4ce6aB8827279cffFb92266");

Bytes encoded(const AccountLeaf& leaf) {
    Bytes out(account_leaf_bytes_max);
    out.resize(encode_account_leaf(leaf, out.data()));
    return out;
}

Bytes encoded(const U256& slot_value) {
    Bytes out(slot_leaf_bytes_max);
    out.resize(encode_slot_leaf(slot_value, out.data()));
    return out;
}

AccountLeaf plain_leaf() {
    AccountLeaf leaf;
    leaf.code_hash = kernels::keccak256_of_empty;
    return leaf;
}

// The hashes were computed by another implementation of Keccak.
TEST(StateLeaf, KeysAreTheDocumentedOnes) {
    EXPECT_EQ(to_hex(account_key(someone)),
              "0x528f57ca0f3b48e197142ef24c431aabf5f89ab02315fd04050bf1490cb2d3cc");
    EXPECT_EQ(to_hex(slot_key(someone, U256{5})),
              "0xa056a4c19da256e5e11b8956676565ebf8b62159c5fbb1ef3a10015ccf1d68e9");
    EXPECT_EQ(to_hex(slot_key(someone, (U256{1} << 255) + U256{1})),
              "0x03bbcf973d78e091d6185106d063dfc2ed75a1f126013e5de5e129651fbcafff");
    EXPECT_EQ(to_hex(birth_counter_key()),
              "0x69c322e3248a5dfc29d73c5b0553b0185a35cd5bb6386747517ef7e53b15e287");
}

TEST(StateLeaf, ValuesAreTheDocumentedOnes) {
    AccountLeaf leaf = plain_leaf();
    EXPECT_EQ(to_hex(encoded(leaf)), "0x00000000");
    leaf.nonce = 7;
    leaf.balance = U256{10'000} * U256{1'000'000'000'000'000'000};
    leaf.ordinal = 300;
    leaf.incarnation = 1;
    EXPECT_EQ(to_hex(encoded(leaf)), "0x01070a021e19e0c9bab240000002012c0101");
    leaf.code_hash = to_hash(U256{0xabcd});
    EXPECT_EQ(to_hex(encoded(leaf)),
              "0x01070a021e19e0c9bab240000002012c0101"
              "000000000000000000000000000000000000000000000000000000000000abcd");
    EXPECT_EQ(to_hex(encoded(U256{1})), "0x01");
    EXPECT_EQ(to_hex(encoded(U256{1} << 255)), "0x80" + std::string(62, '0'));
    EXPECT_EQ(to_hex(encoded(U256{0x1234})), "0x1234");
    Bytes counter(birth_counter_bytes);
    encode_birth_counter(513, counter.data());
    EXPECT_EQ(to_hex(counter), "0x0000000000000201");
}

TEST(StateLeaf, LongestFitsItsBoundAndAnEntry) {
    AccountLeaf leaf;
    leaf.nonce = leaf.ordinal = leaf.incarnation = ~uint64_t{0};
    leaf.balance = ~U256{};
    leaf.code_hash = to_hash(U256{1});
    EXPECT_EQ(encoded(leaf).size(), account_leaf_bytes_max);
    EXPECT_EQ(encoded(~U256{}).size(), slot_leaf_bytes_max);
    EXPECT_LE(account_leaf_bytes_max, entry_value_bytes_max);
}

TEST(StateLeaf, DecodesWhatItEncodes) {
    std::mt19937_64 random{1};
    const auto number = [&] {
        const unsigned bits = static_cast<unsigned>(random() % 65);
        return bits == 0 ? 0 : random() >> (64 - bits);
    };
    for (int i = 0; i < 2000; ++i) {
        AccountLeaf leaf;
        leaf.nonce = number();
        leaf.balance = U256{number(), number(), number(), number()} >> (random() % 256);
        leaf.ordinal = number();
        leaf.incarnation = number();
        leaf.code_hash = random() % 2 == 0 ? kernels::keccak256_of_empty
                                           : to_hash(U256{0, 0, number(), number()});
        const auto decoded = decode_account_leaf(encoded(leaf));
        ASSERT_TRUE(decoded.has_value()) << decoded.error().message;
        EXPECT_EQ(*decoded, leaf);
        const U256 slot = leaf.balance + U256{1};
        EXPECT_EQ(decode_slot_leaf(encoded(slot)).value(), slot);
    }
    Bytes counter(birth_counter_bytes);
    encode_birth_counter(~uint64_t{0}, counter.data());
    EXPECT_EQ(decode_birth_counter(counter).value(), ~uint64_t{0});
}

TEST(StateLeaf, HasOneEncoding) {
    // Whatever is accepted is what would be written: over all short inputs and random longer ones.
    std::mt19937_64 random{2};
    size_t accepted = 0;
    for (int i = 0; i < 200'000; ++i) {
        Bytes value(random() % 12);
        for (uint8_t& b : value) { b = static_cast<uint8_t>(random() % 3); }
        if (random() % 2 == 0) { value.resize(value.size() + 32, 0x77); }
        if (const auto leaf = decode_account_leaf(value)) {
            EXPECT_EQ(encoded(*leaf), value);
            ++accepted;
        }
        if (const auto slot = decode_slot_leaf(value)) { EXPECT_EQ(encoded(*slot), value); }
    }
    EXPECT_GT(accepted, 1000u);
}

TEST(StateLeaf, RefusesWhatIsMalformed) {
    const auto refuses = [](std::string_view hex) {
        return !decode_account_leaf(from_hex(hex).value()).has_value();
    };
    EXPECT_FALSE(refuses("00000000"));
    EXPECT_TRUE(refuses(""));
    EXPECT_TRUE(refuses("000000"));
    EXPECT_TRUE(refuses("0000000000"));
    EXPECT_TRUE(refuses("0100000000")) << "a zero is written as a byte";
    EXPECT_TRUE(refuses("020001000000")) << "a leading zero";
    EXPECT_TRUE(refuses("09010000000000000000000000")) << "a nonce of 65 bits";
    EXPECT_TRUE(refuses("0021" + std::string(66, '1') + "0000")) << "a balance of 33 bytes";
    EXPECT_TRUE(refuses("00000000" + std::string(62, '1'))) << "half a code hash";
    EXPECT_TRUE(refuses("00000000" + to_hex(kernels::keccak256_of_empty).substr(2)))
        << "the hash of empty code is left out";
    EXPECT_FALSE(decode_slot_leaf({}).has_value());
    EXPECT_FALSE(decode_slot_leaf(Bytes{0, 1}).has_value());
    EXPECT_FALSE(decode_slot_leaf(Bytes(33, 1)).has_value());
    EXPECT_FALSE(decode_birth_counter(Bytes(7, 1)).has_value());
    EXPECT_FALSE(decode_birth_counter(Bytes(9, 1)).has_value());
    EXPECT_FALSE(decode_birth_counter(Bytes(8, 0)).has_value());
}

}  // namespace
}  // namespace millrace::storage
