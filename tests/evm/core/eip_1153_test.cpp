// SPDX-License-Identifier: Apache-2.0
// Owns the tests of EIP-1153: transient storage.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

Code tstore(const U256& key, const U256& value) {
    return Code().push(value).push(key).op(Opcode::tstore);
}
Code tload(const U256& key) { return Code().push(key).op(Opcode::tload); }

TEST(TransientStorage, HoldsWordsByKeyWithinATransaction) {
    Machine m;
    EXPECT_EQ(m.value_of(tload(1)), U256{}) << "zero at first";
    EXPECT_EQ(m.value_of(tstore(1, 5).append(tload(1))), U256{5});
    EXPECT_EQ(m.value_of(tstore(1, 5).append(tload(2))), U256{});
    EXPECT_EQ(m.value_of(tstore(1, 5).append(tload(shl(1, 64) + U256{1}))), U256{});
    EXPECT_EQ(m.value_of(tstore(1, 5).append(tstore(1, 6)).append(tload(1))), U256{6});
    EXPECT_EQ(m.value_of(tstore(1, 5).append(tstore(1, 0)).append(tload(1))), U256{});
    EXPECT_EQ(m.value_of(tstore(U256::max(), U256::max()).append(tload(U256::max()))), U256::max());
}

TEST(TransientStorage, IsNotStorage) {
    Machine m;
    m.state.set_storage(self_address, U256{1}, U256{3});
    EXPECT_EQ(m.value_of(tload(1)), U256{});
    EXPECT_EQ(m.value_of(tstore(1, 5).push(1).op(Opcode::sload)), U256{3});
    const Outcome o = m.run(tstore(1, 5));
    EXPECT_TRUE(change_of(o.changes, self_address) == nullptr ||
                change_of(o.changes, self_address)->storage.empty());
    EXPECT_EQ(o.refund, 0);
}

TEST(TransientStorage, CostsAHundredAlways) {
    // No cold surcharge, no sentry, no price for setting or clearing.
    Machine m;
    expect_exact_gas(m, tstore(1, 5), 6 + 100);
    expect_exact_gas(m, tstore(1, 5).append(tstore(1, 0)).append(tstore(1, 7)), 3 * 106);
    expect_exact_gas(m, tload(1).append(tload(1)), 2 * 103);
}

TEST(TransientStorage, BelongsToTheRunningAccount) {
    Machine m;
    m.deploy(other_address, tstore(1, 9));
    EXPECT_EQ(m.value_of(Code().call(other_address, 0, 50'000).pop().append(tload(1))), U256{});
    EXPECT_EQ(m.value_of(Code().delegatecall(other_address, 50'000).pop().append(tload(1))),
              U256{9});
    EXPECT_EQ(
        m.value_of(Code().call(other_address, 0, 50'000, Opcode::callcode).pop().append(tload(1))),
        U256{9});
    // A second call of the same account in the same transaction finds what the first one left.
    m.deploy(
        other_address,
        tload(1).push(1).op(Opcode::add).push(1).op(Opcode::tstore).append(tload(1)).ret_top());
    const Code twice = Code()
                           .call(other_address, 0, 50'000)
                           .pop()
                           .push_all(32, 0, 0, 0, 0)
                           .push(other_address)
                           .push(50'000)
                           .op(Opcode::call)
                           .pop()
                           .ret(0, 32);
    EXPECT_EQ(m.run(twice).word(), U256{2});
}

TEST(TransientStorage, IsUndoneWithItsFrame) {
    Machine m;
    const Code probe = tload(1);
    for (const Code& end : {Code().revert(0, 0), Code().op(Opcode::invalid)}) {
        m.deploy(other_address, tstore(1, 9).append(end));
        EXPECT_EQ(m.value_of(tstore(1, 4).delegatecall(other_address, 50'000).pop().append(probe)),
                  U256{4})
            << "back to what the caller wrote";
        EXPECT_EQ(m.value_of(Code().delegatecall(other_address, 50'000).pop().append(probe)),
                  U256{});
    }
}

TEST(TransientStorage, MayBeReadButNotWrittenInAStaticFrame) {
    Machine m;
    m.deploy(other_address, tload(1).ret_top());
    EXPECT_EQ(m.value_of(Code().staticcall(other_address, 50'000)), U256{1});
    m.deploy(other_address, tstore(1, 1));
    EXPECT_EQ(m.value_of(Code().staticcall(other_address, 50'000)), U256{});
    EXPECT_EQ(m.run(tstore(0, 0), {.is_static = true}).status, Status::static_mode_violation)
        << "even where it changes nothing";
}

TEST(TransientStorage, IsForgottenBetweenTransactions) {
    Machine m;
    m.deploy(self_address, tload(1).sstore_top(0).append(tstore(1, 5)));
    EXPECT_TRUE(m.execute(m.transaction())->success());
    EXPECT_TRUE(m.execute(m.transaction())->success());
    EXPECT_EQ(m.state.storage(self_address, U256{0}), U256{});
}

TEST(TransientStorage, LivesOnAfterSelfdestructInTheSameTransaction) {
    // EIP-1153: destroyed contracts keep theirs until the transaction ends.
    Machine m;
    m.deploy(other_address, Code()
                                .op(Opcode::callvalue)
                                .push(60)
                                .op(Opcode::jumpi)
                                .append(tstore(1, 7))
                                .push(0)
                                .op(Opcode::selfdestruct));
    Code padded{};
    padded.append(*m.state.code(m.state.code_hash(other_address)));
    while (padded.size() < 60) { padded.op(Opcode::stop); }
    m.deploy(other_address, padded.op(Opcode::jumpdest).append(tload(1)).ret_top());
    m.state.set_balance(self_address, U256{1});
    const Outcome o = m.run(Code()
                                .call(other_address, 0, 50'000)
                                .pop()
                                .push_all(32, 0, 0, 0, 1)
                                .push(other_address)
                                .push(50'000)
                                .op(Opcode::call)
                                .pop()
                                .ret(0, 32));
    EXPECT_EQ(o.word(), U256{7});
}

}  // namespace
}  // namespace millrace::evm
