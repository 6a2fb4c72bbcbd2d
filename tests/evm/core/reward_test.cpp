// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the rewards of proof of work.
#include "evm/core/block_rules.hpp"
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

constexpr uint64_t gwei = 1'000'000'000;

TEST(Rewards, OfProofOfWork) {
    const U256 ether = U256{gwei} * U256{gwei};
    EXPECT_EQ(block_reward(Revision::frontier), U256{5} * ether);
    EXPECT_EQ(block_reward(Revision::byzantium), U256{3} * ether);
    EXPECT_EQ(block_reward(Revision::constantinople), U256{2} * ether);
    EXPECT_EQ(block_reward(Revision::london), U256{2} * ether);
    EXPECT_EQ(block_reward(Revision::paris), U256{});
    Machine m(Revision::frontier);
    BlockHeader header;
    header.number = 10;
    header.coinbase = address_of(1000);
    BlockHeader ommer;
    ommer.number = 8;
    ommer.coinbase = address_of(1001);
    apply_rewards(m.state, header, std::vector{ommer}, m.rules);
    EXPECT_EQ(m.state.balance(address_of(1000)), U256{5} * ether + U256{5} * ether / U256{32});
    EXPECT_EQ(m.state.balance(address_of(1001)), U256{5} * ether * U256{6} / U256{8});
}

TEST(Rewards, ByFork) {
    // Yellow paper 11.3; EIP-649 (Byzantium), EIP-1234 (Constantinople), EIP-3675 (Paris).
    const U256 ether = U256{gwei} * U256{gwei};
    for (const Revision r : revisions()) {
        const uint64_t expected = r >= Revision::paris            ? 0
                                  : r >= Revision::constantinople ? 2
                                  : r >= Revision::byzantium      ? 3
                                                                  : 5;
        EXPECT_EQ(block_reward(r), U256{expected} * ether) << to_string(r);
    }
}

TEST(Rewards, OfOmmersByTheirAge) {
    // An ommer gets (8 - age) / 8, the block a 32nd for each.
    const U256 reward = U256{2 * gwei} * U256{gwei};
    for (uint64_t age = 1; age <= 6; ++age) {
        Machine m(Revision::istanbul);
        BlockHeader header;
        header.number = 100;
        header.coinbase = address_of(1000);
        BlockHeader ommer;
        ommer.number = 100 - age;
        ommer.coinbase = address_of(1001);
        apply_rewards(m.state, header, std::vector{ommer, ommer}, m.rules);
        EXPECT_EQ(m.state.balance(address_of(1001)), U256{2} * (reward * U256{8 - age} / U256{8}));
        EXPECT_EQ(m.state.balance(address_of(1000)), reward + reward / U256{16});
    }
}

TEST(Rewards, NoneFromParisOn) {
    Machine m(Revision::paris);
    BlockHeader header;
    header.number = 100;
    header.coinbase = address_of(1000);
    apply_rewards(m.state, header, {}, m.rules);
    EXPECT_FALSE(m.state.account_exists(address_of(1000)));
}

}  // namespace
}  // namespace millrace::evm
