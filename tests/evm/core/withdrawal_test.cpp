// SPDX-License-Identifier: Apache-2.0
// Owns the tests of EIP-4895: withdrawals.
#include "evm/core/block_rules.hpp"
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

constexpr uint64_t gwei = 1'000'000'000;

TEST(Withdrawals, AreCreditedInGweiFromShanghaiOn) {
    Machine m;
    const std::vector<Withdrawal> list = {
        {0, 0, other_address, 3}, {1, 0, other_address, 4}, {2, 0, address_of(0x99), 0}};
    apply_withdrawals(m.state, list, ethereum_rules(Revision::paris));
    EXPECT_EQ(m.state.balance(other_address), U256{});
    apply_withdrawals(m.state, list, ethereum_rules(Revision::shanghai));
    EXPECT_EQ(m.state.balance(other_address), U256{7 * gwei});
    EXPECT_FALSE(m.state.account_exists(address_of(0x99))) << "nothing for nobody leaves nobody";
}

TEST(Withdrawals, OfTheWholeRangeOfGwei) {
    Machine m;
    const std::vector<Withdrawal> list = {{0, 0, other_address, ~uint64_t{0}}};
    apply_withdrawals(m.state, list, m.rules);
    EXPECT_EQ(m.state.balance(other_address), U256{~uint64_t{0}} * U256{gwei});
}

TEST(Withdrawals, OfNothingRemoveAnEmptyAccountAndLeaveOthers) {
    // EIP-4895: a zero withdrawal touches (EIP-161).
    Machine m;
    m.state.set_balance(other_address, U256{});
    m.state.set_nonce(address_of(0xa1), 1);
    apply_withdrawals(
        m.state, std::vector<Withdrawal>{{0, 0, other_address, 0}, {1, 0, address_of(0xa1), 0}},
        m.rules);
    EXPECT_FALSE(m.state.account_exists(other_address));
    EXPECT_TRUE(m.state.account_exists(address_of(0xa1)));
}

TEST(Withdrawals, RunNoCode) {
    Machine m;
    m.deploy(other_address, Code().sstore(1, 1));
    apply_withdrawals(m.state, std::vector<Withdrawal>{{0, 0, other_address, 1}}, m.rules);
    EXPECT_EQ(m.state.storage(other_address, U256{1}), U256{});
    EXPECT_EQ(m.state.balance(other_address), U256{gwei});
}

}  // namespace
}  // namespace millrace::evm
