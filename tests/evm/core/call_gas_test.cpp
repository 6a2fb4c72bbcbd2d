// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the gas of calls: what is handed on, the stipend, value, new accounts.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

/// Returns the gas that it began with, less the two of GAS itself.
Code gas_reporter() { return Code().op(Opcode::gas).ret_top(); }

/// Calls with 32 bytes of output at 0, without data.
Code call_for_word(const Address& to, const U256& value, const U256& gas,
                   Opcode kind = Opcode::call) {
    return Code().push_all(32, 0, 0, 0).push(value).push(to).push(gas).op(kind);
}

TEST(CallGas, AllButOne64thIsHandedOn) {
    Machine m;
    m.deploy(other_address, gas_reporter());
    for (const int64_t given : {10'000, 123'456, 1'000'000}) {
        const Outcome o =
            m.run(call_for_word(other_address, 0, U256::max()).op(Opcode::pop).ret(0, 32),
                  {.gas = given});
        const int64_t left = given - 7 * 3 - 2600 - 3;
        EXPECT_EQ(o.word(), U256{static_cast<uint64_t>(left - left / 64 - 2)});
    }
    const Outcome asked = m.run(call_for_word(other_address, 0, 5000).op(Opcode::pop).ret(0, 32));
    EXPECT_EQ(asked.word(), U256{4998}) << "less than what could be had";
}

TEST(CallGas, BeforeEip150TheCallerMustHaveWhatItAsksFor) {
    for (const Revision r : {Revision::frontier, Revision::homestead}) {
        Machine m(r);
        m.deploy(other_address, gas_reporter());
        const Code code = call_for_word(other_address, 0, 50'000).op(Opcode::pop).ret(0, 32);
        EXPECT_EQ(m.run(code, {.gas = 60'000}).word(), U256{49'998});
        EXPECT_EQ(m.run(code, {.gas = 50'000}).status, Status::out_of_gas);
        EXPECT_EQ(m.run(code, {.gas = 50'000 + 21 + 40 + 3 - 1}).status, Status::out_of_gas);
        EXPECT_EQ(m.run(code, {.gas = 50'000 + 21 + 40 + 3}).status, Status::success)
            << "what is left comes back";
        EXPECT_EQ(m.run(call_for_word(other_address, 0, U256::max())).status, Status::out_of_gas);
    }
    Machine later(Revision::tangerine_whistle);
    later.deploy(other_address, gas_reporter());
    EXPECT_EQ(later.run(call_for_word(other_address, 0, U256::max())).status, Status::success);
}

TEST(CallGas, ValueCostsNineThousandAndBringsAStipend) {
    Machine m;
    m.state.set_balance(self_address, U256{100});
    m.deploy(other_address, gas_reporter());
    const Outcome o = m.run(call_for_word(other_address, 1, 0).op(Opcode::pop).ret(0, 32));
    EXPECT_EQ(o.word(), U256{2298});
    EXPECT_EQ(change_of(o.changes, self_address)->debit, U256{1});
    EXPECT_EQ(change_of(o.changes, other_address)->credit, U256{1});
    // What is left of the stipend goes back to the caller: nothing runs in a plain receiver.
    m.state.set_balance(address_of(0xe0a), U256{1});
    const int64_t plain = m.run(Code().call(address_of(0xe0a), 1, 0)).gas_used;
    EXPECT_EQ(plain, 7 * 3 + 2600 + 9000 - 2300);
}

TEST(CallGas, NewAccountByFork) {
    const Address nobody = address_of(0x123456);
    const auto gas = [&](Revision r, uint64_t value) {
        Machine m(r);
        m.state.set_balance(self_address, U256{100});
        return m.run(Code().call(nobody, value, 0)).gas_used - 21;
    };
    EXPECT_EQ(gas(Revision::frontier, 0), 40 + 25000) << "before EIP-161 even without value";
    EXPECT_EQ(gas(Revision::tangerine_whistle, 0), 700 + 25000);
    EXPECT_EQ(gas(Revision::spurious_dragon, 0), 700);
    EXPECT_EQ(gas(Revision::spurious_dragon, 1), 700 + 9000 + 25000 - 2300);
    EXPECT_EQ(gas(Revision::osaka, 0), 2600);
    EXPECT_EQ(gas(Revision::osaka, 1), 2600 + 9000 + 25000 - 2300);
}

TEST(CallGas, TooLittleBalanceFailsSoftlyAndGivesTheGasBack) {
    Machine m;
    m.state.set_balance(self_address, U256{5});
    m.deploy(other_address, Code().op(Opcode::invalid));
    const Outcome o = m.run(Code().call(other_address, 6, 100'000).ret_top());
    EXPECT_EQ(o.status, Status::success);
    EXPECT_EQ(o.word(), U256{0});
    EXPECT_EQ(o.gas_used, 21 + 2600 + 9000 - 2300 + 3 + 3 + 3 + 6)
        << "nothing ran, and the stipend is a gift";
    EXPECT_EQ(m.run(Code().call(other_address, 5, 100'000)).gas_used, 21 + 2600 + 9000 + 100'000);
}

TEST(CallGas, StipendIsOnTopOfWhatWasAskedFor) {
    // In every fork: the callee has the gas operand and 2,300 more, of which only the former is
    // paid.
    for (const Revision r : revisions()) {
        SCOPED_TRACE(to_string(r));
        Machine m(r);
        m.state.set_balance(self_address, U256{100});
        m.deploy(other_address, gas_reporter());
        for (const uint64_t asked : {0, 1, 10'000}) {
            for (const Opcode kind : {Opcode::call, Opcode::callcode}) {
                const Outcome o =
                    m.run(call_for_word(other_address, 1, asked, kind).pop().ret(0, 32));
                EXPECT_EQ(o.word(), U256{asked + 2300 - 2});
            }
        }
    }
}

TEST(CallGas, NoStipendWithoutValue) {
    Machine m;
    m.deploy(other_address, Code().op(Opcode::gas));
    EXPECT_EQ(m.value_of(Code().call(other_address, 0, 1)), U256{0}) << "GAS costs 2";
    EXPECT_EQ(m.value_of(Code().call(other_address, 0, 2)), U256{1});
    EXPECT_EQ(m.value_of(Code().delegatecall(other_address, 1)), U256{0});
    EXPECT_EQ(m.run(Code().delegatecall(other_address, 1).ret_top(), {.value = U256{5}}).word(),
              U256{0})
        << "DELEGATECALL shows a value but moves none";
}

TEST(CallGas, OneSixtyFourthIsTakenFromWhatIsLeftAfterAllOtherPrices) {
    // EIP-150: after access, memory, value and new account have been paid.
    Machine m;
    m.state.set_balance(self_address, U256{100});
    const Code code = Code()
                          .push_all(32, 0, 64, 0, 1)
                          .push(other_address)
                          .push(U256::max())
                          .op(Opcode::call)
                          .op(Opcode::gas)
                          .ret_top();
    // The callee is an account without code: all it was given comes back, with the stipend.
    const int64_t given = 200'000;
    const int64_t spent = 7 * 3 + 2600 + 2 * 3 + 9000 + 25000;
    EXPECT_EQ(m.run(code, {.gas = given}).word(),
              U256{static_cast<uint64_t>(given - spent + 2300 - 2)});
    // A callee that burns everything leaves the 64th alone, rounded up.
    m.deploy(other_address, Code().op(Opcode::invalid));
    const int64_t left = given - (spent - 25000);
    EXPECT_EQ(m.run(code, {.gas = given}).word(), U256{static_cast<uint64_t>(left / 64 - 2)});
    for (const int64_t rest : {0, 1, 63}) {
        const int64_t gas = (spent - 25000) + 64 * 1000 + rest;
        EXPECT_EQ(m.run(code, {.gas = gas}).word(), U256{1000 - 2}) << rest;
    }
}

TEST(CallGas, FailureOfTheCalleeTakesExactlyWhatItWasGiven) {
    for (const Revision r : revisions()) {
        SCOPED_TRACE(to_string(r));
        Machine m(r);
        m.deploy(other_address, Code().op(Opcode::invalid));
        const int64_t access = r >= Revision::berlin              ? 2600
                               : r >= Revision::tangerine_whistle ? 700
                                                                  : 40;
        EXPECT_EQ(m.run(Code().call(other_address, 0, 12'345)).gas_used, 21 + access + 12'345);
        m.deploy(other_address, Code().push_all(0, 0).op(Opcode::pop));
        EXPECT_EQ(m.run(Code().call(other_address, 0, 12'345)).gas_used, 21 + access + 8)
            << "and success only what it used";
    }
}

TEST(CallGas, HugeGasOperandsAreCappedFromEip150On) {
    for (const Revision r : revisions()) {
        SCOPED_TRACE(to_string(r));
        Machine m(r);
        m.state.set_balance(other_address, U256{1});
        for (const U256& gas : {U256{~uint64_t{0}}, shl(U256{1}, 63), shl(U256{1}, 64),
                                shl(U256{1}, 64) + U256{1000}, shl(U256{1}, 255), U256::max()}) {
            EXPECT_EQ(m.run(Code().call(other_address, 0, gas)).status,
                      r >= Revision::tangerine_whistle ? Status::success : Status::out_of_gas);
        }
    }
}

TEST(CallGas, ValueToOneselfBeyondTheBalanceFailsAndRefunds) {
    Machine m;
    m.state.set_balance(self_address, U256{5});
    for (const Opcode kind : {Opcode::call, Opcode::callcode}) {
        const Outcome o = m.run(Code().call(self_address, 6, 100'000, kind).ret_top());
        EXPECT_EQ(o.status, Status::success);
        EXPECT_EQ(o.word(), U256{0});
        // Its own account counts as any other: cold here, as the message is run by itself.
        EXPECT_EQ(o.gas_used, 21 + 2600 + 9000 - 2300 + 3 + 3 + 3 + 6);
    }
}

TEST(CallGas, CallAtTheDepthLimitFailsSoftly) {
    // A contract calls itself to the limit; at depth 1,024 its call fails, and the frame goes on.
    // Each frame writes the flag of its call to the slot of its depth, kept in call data.
    Machine m(Revision::homestead);
    m.state.set_balance(self_address, U256{1});
    // mem[0] = calldata[0] + 1; call(self, value 1, gas - 50,000, mem[0..32])
    const Code code = Code()
                          .push(0)
                          .op(Opcode::calldataload)
                          .push(1)
                          .op(Opcode::add)
                          .push(0)
                          .op(Opcode::mstore)
                          .push_all(0, 0, 32, 0, 1)
                          .push(self_address)
                          .push(50'000)
                          .op(Opcode::gas)
                          .op(Opcode::sub)
                          .op(Opcode::call)
                          .push(0)
                          .op(Opcode::mload)
                          .op(Opcode::sstore);
    const Outcome o = m.run(code, {.gas = int64_t{1} << 40});
    ASSERT_EQ(o.status, Status::success);
    const AccountChange* c = change_of(o.changes, self_address);
    ASSERT_NE(c, nullptr);
    // Depths 0 to 1,024 ran; all but the last have a successful call. Slot k belongs to depth k
    // - 1.
    ASSERT_EQ(c->storage.size(), 1024u);
    EXPECT_EQ(c->storage.front().key, U256{1});
    EXPECT_EQ(c->storage.back().key, U256{1024});
    for (const StorageWrite& w : c->storage) { EXPECT_EQ(w.value, U256{1}); }
}

}  // namespace
}  // namespace millrace::evm
