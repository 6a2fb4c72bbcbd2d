// SPDX-License-Identifier: Apache-2.0
// Owns the tests of Ethash: the public test vectors of its first epoch, and a block of the main
// network.
#include "host/node/conformance/ethash.hpp"

#include <gtest/gtest.h>

#include "host/base/hex.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::node {
namespace {

/// The header "first" of the public vectors: its mix hash is right, its work far from enough.
evm::BlockHeader vector_header() {
    evm::BlockHeader h;
    h.ommers_hash = evm::empty_ommers_hash;
    h.state_root =
        hash_literal("0x9178d0f23c965d81f0834a4c72c6253ce6830f4022b1359aaebfc1ecba442d4e");
    h.transactions_root = evm::empty_trie_root;
    h.receipts_root = evm::empty_trie_root;
    h.difficulty = U256{0x20000};
    h.gas_limit = 1'000'000;
    h.prev_randao =
        hash_literal("0x58f759ede17a706c93f13030328bcea40c1d1341fb26f2facd21ceb0dae57017");
    h.nonce.bytes.fill(0x42);
    return h;
}

/// Block 1 of the main network.
evm::BlockHeader block_one() {
    evm::BlockHeader h;
    h.parent_hash =
        hash_literal("0xd4e56740f876aef8c010b86a40d5f56745a118d0906a34e69aec8c0db1cb8fa3");
    h.ommers_hash = evm::empty_ommers_hash;
    h.coinbase = address_literal("0x05a56e2d52c817161883f50c441c3228cfe54d9f");
    h.state_root =
        hash_literal("0xd67e4d450343046425ae4271474353857ab860dbc0a1dde64b41b5cd3a532bf3");
    h.transactions_root = evm::empty_trie_root;
    h.receipts_root = evm::empty_trie_root;
    h.difficulty = U256{0x3ff800000};
    h.number = 1;
    h.gas_limit = 5000;
    h.timestamp = 0x55ba4224;
    h.extra_data = *from_hex("0x476574682f76312e302e302f6c696e75782f676f312e342e32");
    h.prev_randao =
        hash_literal("0x969b900de27b6ac6a67742365dd65f55a0526c41fd18e1b16f1a1215c2e66f59");
    h.nonce = {{0x53, 0x9b, 0xd4, 0x97, 0x9f, 0xef, 0x1e, 0xc4}};
    return h;
}

TEST(Ethash, AgreesWithThePublicVectors) {
    const auto epoch = ethash_epoch_of(29'999);
    ASSERT_NE(epoch, nullptr);
    EXPECT_EQ(epoch->cache().size() * sizeof(EthashEpoch::Node), 16'776'896u);
    EXPECT_EQ(epoch->dataset_bytes(), 1'073'739'904u);
    const auto* first = reinterpret_cast<const uint8_t*>(epoch->cache().data());
    EXPECT_EQ(to_hex(kernels::keccak256({first, 16'776'896})),
              "0x35ded12eecf2ce2e8da2e15c06d463aae9b84cb2530a00b932e4bbc484cde353");
    const evm::BlockHeader h = vector_header();
    EXPECT_EQ(to_hex(seal_hash(h)),
              "0x2a8de2adf89af77358250bf908bf04ba94a6e8c3ba87775564a41d269a05e4ce");
    const EthashEpoch::Work work = epoch->hash(seal_hash(h), h.nonce);
    EXPECT_EQ(work.mix_hash, h.prev_randao);
    EXPECT_EQ(to_hex(work.result),
              "0xdd47fd2d98db51078356852d7c4014e6a5d6c387c35f40e2875b74a256ed7906");
    EXPECT_FALSE(seal_is_valid(h)) << "dd47... is above 2^256 / 0x20000";
}

TEST(Ethash, ABlockOfTheMainNetworkIsSealed) {
    const evm::BlockHeader h = block_one();
    ASSERT_EQ(to_hex(evm::header_hash(h)),
              "0x88e96d4537bea4d9c05d12549907b32561d3bf31f45aae734cdc119f13406cb6");
    EXPECT_TRUE(seal_is_valid(h));
    evm::BlockHeader other = h;
    other.nonce[7] ^= 1;
    EXPECT_FALSE(seal_is_valid(other));
    other = h;
    other.prev_randao[31] ^= 1;
    EXPECT_FALSE(seal_is_valid(other)) << "enough work, but not the mix hash";
    other = h;
    other.gas_used = 1;
    EXPECT_FALSE(seal_is_valid(other));
    other = h;
    other.difficulty = U256{};
    EXPECT_FALSE(seal_is_valid(other));
}

TEST(Ethash, EpochsEnd) {
    EXPECT_EQ(ethash_epoch_of(EthashEpoch::blocks * EthashEpoch::count_max), nullptr);
    evm::BlockHeader h = block_one();
    h.number = ~uint64_t{0};
    EXPECT_FALSE(seal_is_valid(h));
}

TEST(Ethash, EveryEpochHasItsOwnCache) {
    const EthashEpoch second(1);
    EXPECT_EQ(second.cache().size() * sizeof(EthashEpoch::Node), 16'907'456u);
    EXPECT_EQ(second.dataset_bytes(), 1'082'130'304u);
    EXPECT_NE(second.cache()[0], ethash_epoch_of(0)->cache()[0]);
}

}  // namespace
}  // namespace millrace::node
