// SPDX-License-Identifier: Apache-2.0
// Owns the tests of SELFDESTRUCT through the forks.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

const Address heir = address_of(0x4e14);

Code destroy(const Address& to) { return Code().push(to).op(Opcode::selfdestruct); }

TEST(Selfdestruct, GasAndRefundByFork) {
    struct Row {
        Revision revision;
        int64_t to_nobody, to_somebody, refund;
    };
    for (const Row& r : std::vector<Row>{{Revision::frontier, 0, 0, 24000},
                                         {Revision::tangerine_whistle, 30000, 5000, 24000},
                                         {Revision::spurious_dragon, 30000, 5000, 24000},
                                         {Revision::berlin, 32600, 7600, 24000},
                                         {Revision::london, 32600, 7600, 0},
                                         {Revision::osaka, 32600, 7600, 0}}) {
        SCOPED_TRACE(to_string(r.revision));
        Machine m(r.revision);
        m.state.set_balance(self_address, U256{5});
        const Outcome nobody = m.run(destroy(heir));
        EXPECT_EQ(nobody.gas_used - 3, r.to_nobody);
        EXPECT_EQ(nobody.refund, r.refund);
        m.state.set_balance(heir, U256{1});
        EXPECT_EQ(m.run(destroy(heir)).gas_used - 3, r.to_somebody);
    }
    Machine poor;
    EXPECT_EQ(poor.run(destroy(heir)).gas_used - 3, 7600)
        << "without a balance nobody comes into being";
}

TEST(Selfdestruct, RemovesTheContractBeforeCancun) {
    Machine m(Revision::shanghai);
    m.state.set_balance(self_address, U256{5});
    m.state.set_storage(self_address, U256{1}, U256{1});
    const Outcome o = m.run(destroy(heir));
    EXPECT_TRUE(change_of(o.changes, self_address)->destroyed);
    EXPECT_EQ(change_of(o.changes, heir)->credit, U256{5});
    m.state.apply(o.changes, true);
    EXPECT_FALSE(m.state.account_exists(self_address));
    EXPECT_EQ(m.state.storage(self_address, U256{1}), U256{});
    EXPECT_EQ(m.state.balance(heir), U256{5});
}

TEST(Selfdestruct, OnlySendsTheBalanceFromCancunOn) {
    Machine m;
    m.state.set_balance(self_address, U256{5});
    m.state.set_storage(self_address, U256{1}, U256{1});
    const Outcome o = m.run(destroy(heir));
    EXPECT_FALSE(change_of(o.changes, self_address)->destroyed);
    m.state.apply(o.changes, true);
    EXPECT_EQ(m.state.balance(self_address), U256{});
    EXPECT_EQ(m.state.balance(heir), U256{5});
    EXPECT_EQ(m.state.storage(self_address, U256{1}), U256{1});
    EXPECT_EQ(m.state.nonce(self_address), 1u);
}

TEST(Selfdestruct, ToOneselfBurnsBeforeCancunAndKeepsAfterwards) {
    for (const Revision r : {Revision::shanghai, Revision::cancun}) {
        Machine m(r);
        m.state.set_balance(self_address, U256{5});
        const Outcome o = m.run(destroy(self_address));
        m.state.apply(o.changes, true);
        EXPECT_EQ(m.state.balance(self_address), r >= Revision::cancun ? U256{5} : U256{})
            << to_string(r);
        EXPECT_EQ(m.state.account_exists(self_address), r >= Revision::cancun);
    }
}

TEST(Selfdestruct, RemovesWhatTheSameTransactionCreated) {
    Machine m;
    m.state.set_balance(self_address, U256{50});
    const Code init = Code().sstore(1, 1).append(destroy(heir));
    const Outcome o =
        m.run(Code().put(init).push_all(init.size(), 0, 9).op(Opcode::create).ret_top());
    const Address created = to_address(o.word());
    EXPECT_EQ(created, create_address(self_address, 1)) << "the creation itself succeeds";
    ASSERT_NE(change_of(o.changes, created), nullptr);
    EXPECT_TRUE(change_of(o.changes, created)->destroyed);
    m.state.apply(o.changes, true);
    EXPECT_FALSE(m.state.account_exists(created));
    EXPECT_EQ(m.state.nonce(created), 0u);
    EXPECT_EQ(m.state.balance(heir), U256{9});
}

TEST(Selfdestruct, BurnsTheBalanceOfANewContractThatNamesItself) {
    Machine m;
    m.state.set_balance(self_address, U256{50});
    const Code init = Code().op(Opcode::address).op(Opcode::selfdestruct);
    const Outcome o =
        m.run(Code().put(init).push_all(init.size(), 0, 9).op(Opcode::create).ret_top());
    m.state.apply(o.changes, true);
    EXPECT_EQ(m.state.balance(to_address(o.word())), U256{});
    EXPECT_EQ(m.state.balance(self_address), U256{41});
}

TEST(Selfdestruct, IsUndoneByARevert) {
    Machine m(Revision::shanghai);
    m.deploy(other_address, destroy(heir));
    m.state.set_balance(other_address, U256{5});
    m.deploy(address_of(0xabc),
             Code().call(other_address, 0, 100'000).op(Opcode::pop).revert(0, 0));
    const Outcome o = m.run(Code().call(address_of(0xabc), 0, 300'000));
    EXPECT_TRUE(change_of(o.changes, other_address) == nullptr ||
                !change_of(o.changes, other_address)->destroyed);
    EXPECT_EQ(change_of(o.changes, heir), nullptr);
}

TEST(Selfdestruct, CodeStillRunsUntilTheTransactionEnds) {
    Machine m(Revision::shanghai);
    m.deploy(other_address, Code()
                                .op(Opcode::callvalue)
                                .push(7)
                                .op(Opcode::jumpi)
                                .append(destroy(heir).op(Opcode::stop)));
    const Code probe = Code()
                           .call(other_address, 0, 100'000)
                           .op(Opcode::pop)
                           .push(other_address)
                           .op(Opcode::extcodesize);
    EXPECT_FALSE(m.value_of(probe).is_zero());
}

TEST(Selfdestruct, ValueSentAfterwardsInTheSameTransactionIsBurntWithTheContract) {
    // Before Cancun the account goes at the end, with whatever it got in the meantime.
    for (const Revision r : revisions()) {
        SCOPED_TRACE(to_string(r));
        Machine m(r);
        m.state.set_balance(self_address, U256{50});
        m.deploy(other_address, destroy(heir));
        m.state.set_balance(other_address, U256{5});
        // The second call finds the code still there: it sends what it just received.
        const Outcome o = m.run(
            Code().call(other_address, 0, 100'000).pop().call(other_address, 7, 100'000).pop());
        m.state.apply(o.changes, r >= Revision::spurious_dragon);
        EXPECT_EQ(m.state.balance(heir), U256{12});
        EXPECT_EQ(m.state.balance(other_address), U256{});
        EXPECT_EQ(m.state.account_exists(other_address), r >= Revision::cancun);
    }
    Machine m(Revision::shanghai);
    m.state.set_balance(self_address, U256{50});
    m.deploy(other_address, Code()
                                .op(Opcode::callvalue)
                                .push(27)
                                .op(Opcode::jumpi)
                                .append(destroy(heir))
                                .append(Bytes(27, 0x5b)));
    const Outcome o =
        m.run(Code().call(other_address, 0, 100'000).pop().call(other_address, 7, 100'000).pop());
    m.state.apply(o.changes, true);
    EXPECT_EQ(m.state.balance(self_address), U256{43});
    EXPECT_EQ(m.state.balance(other_address), U256{}) << "seven wei are gone";
    EXPECT_FALSE(m.state.account_exists(other_address));
}

TEST(Selfdestruct, ByDelegatecallDestroysTheCaller) {
    for (const Revision r : {Revision::homestead, Revision::shanghai, Revision::osaka}) {
        Machine m(r);
        m.state.set_balance(self_address, U256{5});
        m.deploy(other_address, destroy(heir));
        const Outcome o = m.run(Code().delegatecall(other_address, 100'000));
        m.state.apply(o.changes, true);
        EXPECT_EQ(m.state.balance(heir), U256{5});
        EXPECT_EQ(m.state.account_exists(self_address), r >= Revision::cancun);
        EXPECT_TRUE(m.state.account_exists(other_address));
    }
}

TEST(Selfdestruct, Eip6780CountsTheTransactionNotTheFrame) {
    // Created in one frame, destroyed by a later call of the same transaction: removed. Destroyed
    // in the next transaction: only emptied.
    Machine m;
    m.state.set_balance(self_address, U256{50});
    const Code runtime = destroy(heir);
    const Code init = deployer(runtime);
    const Address created = create_address(self_address, 1);
    const Code creation = Code().put(init).push_all(init.size(), 0, 9).op(Opcode::create).pop();
    const Outcome same = m.run(Code().append(creation).call(created, 0, 100'000));
    EXPECT_TRUE(change_of(same.changes, created)->destroyed);
    EXPECT_EQ(change_of(same.changes, heir)->credit, U256{9});

    m.state.apply(m.run(creation).changes, true);
    EXPECT_TRUE(m.state.account_exists(created));
    const Outcome later = m.run(Code().call(created, 0, 100'000));
    EXPECT_FALSE(change_of(later.changes, created)->destroyed);
    m.state.apply(later.changes, true);
    EXPECT_TRUE(m.state.account_exists(created));
    EXPECT_EQ(m.state.balance(created), U256{});
    EXPECT_EQ(m.state.balance(heir), U256{9});
}

TEST(Selfdestruct, AccountThatHadABalanceBeforeItsCreationIsNew) {
    // EIP-6780 asks whether the contract was created in the transaction, not the account.
    Machine m;
    const Address created = create_address(self_address, 1);
    m.state.set_balance(created, U256{3});
    const Code init = destroy(heir);
    const Outcome o = m.run(Code().put(init).push_all(init.size(), 0, 0).op(Opcode::create));
    m.state.apply(o.changes, true);
    EXPECT_FALSE(m.state.account_exists(created));
    EXPECT_EQ(m.state.balance(heir), U256{3});
}

TEST(Selfdestruct, EndsTheFrameWithoutOutput) {
    Machine m;
    const Outcome o = m.run(Code().mstore(0, 7).append(destroy(heir)).op(Opcode::invalid));
    EXPECT_EQ(o.status, Status::success);
    EXPECT_TRUE(o.output.empty());
}

TEST(Selfdestruct, StorageWrittenBeforeIsGoneWithTheContract) {
    Machine m(Revision::shanghai);
    m.state.set_storage(self_address, U256{1}, U256{1});
    const Outcome o = m.run(Code().sstore(2, 2).append(destroy(heir)));
    m.state.apply(o.changes, true);
    EXPECT_EQ(m.state.storage(self_address, U256{1}), U256{});
    EXPECT_EQ(m.state.storage(self_address, U256{2}), U256{});
}

TEST(Selfdestruct, BeneficiaryIsTakenFromTheLow160Bits) {
    Machine m;
    m.state.set_balance(self_address, U256{5});
    const Outcome o =
        m.run(Code().push(to_u256(heir) | shl(U256::max(), 160)).op(Opcode::selfdestruct));
    EXPECT_EQ(change_of(o.changes, heir)->credit, U256{5});
}

TEST(Selfdestruct, BalanceOfAContractThatNamesItselfIsGoneAtOnce) {
    // Not only at the end: until then the contract could send the same balance a second time.
    for (const Revision r : revisions()) {
        Machine m(r);
        m.deploy(other_address, Code().op(Opcode::address).op(Opcode::selfdestruct));
        m.state.set_balance(other_address, U256{5});
        EXPECT_EQ(m.value_of(Code()
                                 .call(other_address, 0, 100'000)
                                 .pop()
                                 .push(other_address)
                                 .op(Opcode::balance)),
                  r >= Revision::cancun ? U256{5} : U256{})
            << to_string(r);
    }
    // From Cancun on only what this transaction created is removed, and burns what it has.
    Machine m;
    m.state.set_balance(self_address, U256{50});
    const Code init = Code().op(Opcode::address).op(Opcode::selfdestruct);
    EXPECT_EQ(
        m.value_of(
            Code().put(init).push_all(init.size(), 0, 9).op(Opcode::create).op(Opcode::balance)),
        U256{});
}

TEST(Selfdestruct, CoinbaseThatDestroysItselfBurnsItsFee) {
    // Fees are paid before the accounts of the transaction are removed.
    for (const Revision r : {Revision::homestead, Revision::shanghai, Revision::osaka}) {
        Machine m(r);
        m.deploy(m.block.coinbase, destroy(heir));
        Transaction tx = m.transaction();
        tx.to = m.block.coinbase;
        tx.value = U256{3};
        EXPECT_TRUE(m.execute(tx)->success());
        EXPECT_EQ(m.state.balance(heir), U256{3});
        EXPECT_EQ(m.state.account_exists(m.block.coinbase), r >= Revision::cancun) << to_string(r);
        EXPECT_EQ(m.state.balance(m.block.coinbase).is_zero(), r < Revision::cancun);
    }
}

}  // namespace
}  // namespace millrace::evm
