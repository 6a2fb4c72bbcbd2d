// SPDX-License-Identifier: Apache-2.0
// Owns the tests of EIP-779: which blocks the DAO fork marks and whose balances it moves.
#include <algorithm>

#include "evm/core/block_rules.hpp"
#include "evm/core/chain_spec.hpp"
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST(ChainSpec, TheDaoForkMarksTenBlocks) {
    ChainSpec spec;
    spec.rule_set = RuleSet::ethereum;
    spec.forks = {{Revision::homestead, 0, {}}};
    EXPECT_EQ(spec.rules_at(5, 0).dao_fork, DaoFork::none);
    spec.dao_fork_block = 5;
    EXPECT_EQ(spec.rules_at(4, 0).dao_fork, DaoFork::none);
    EXPECT_EQ(spec.rules_at(5, 0).dao_fork, DaoFork::moved);
    EXPECT_EQ(spec.rules_at(6, 0).dao_fork, DaoFork::marked);
    EXPECT_EQ(spec.rules_at(14, 0).dao_fork, DaoFork::marked);
    EXPECT_EQ(spec.rules_at(15, 0).dao_fork, DaoFork::none);
}

TEST(DaoFork, MovesTheBalancesOfTheListAndNothingElse) {
    const Address refund = address_literal("0xbf4ed7b27f1d666546e30d74d50d173d20bca754");
    const Address the_dao = address_literal("0xbb9bc244d798123fde783fcc1c72d3bb8c189413");
    const Address extra_balance = address_literal("0x807640a13483f8ac783c557fcdf27be11ea4ac7a");
    StateOverlay state;
    state.set_balance(refund, U256{1});
    state.set_balance(the_dao, U256{20});
    state.set_nonce(the_dao, 7);
    state.set_balance(extra_balance, U256{300});
    state.set_balance(other_address, U256{4000});
    move_dao_balances(state);
    EXPECT_EQ(state.balance(refund), U256{321});
    EXPECT_EQ(state.balance(the_dao), U256{});
    EXPECT_EQ(state.nonce(the_dao), 7u);
    EXPECT_EQ(state.balance(extra_balance), U256{});
    EXPECT_EQ(state.balance(other_address), U256{4000});
    // Every account of the list exists afterwards, as on the main network.
    const auto existing =
        std::ranges::count_if(state.accounts(), [](const auto& a) { return a.second.exists; });
    EXPECT_EQ(existing, 116 + 2);
}

}  // namespace
}  // namespace millrace::evm
