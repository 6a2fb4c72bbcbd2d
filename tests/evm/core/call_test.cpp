// SPDX-License-Identifier: Apache-2.0
// Owns the tests of calls: gas handed on, stipend, value, static frames, return data, depth.
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

TEST(Call, TooLittleBalanceFailsSoftlyAndGivesTheGasBack) {
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

TEST(Call, FailureOfTheCalleeUndoesItOnly) {
    Machine m;
    m.state.set_balance(self_address, U256{100});
    m.deploy(other_address, Code().sstore(1, 9).op(Opcode::invalid));
    const Outcome o = m.run(Code().sstore(2, 8).call(other_address, 7, 100'000).ret_top());
    EXPECT_EQ(o.status, Status::success);
    EXPECT_EQ(o.word(), U256{0});
    EXPECT_EQ(change_of(o.changes, self_address)->storage.size(), 1u);
    EXPECT_TRUE(change_of(o.changes, self_address)->debit.is_zero());
    EXPECT_TRUE(change_of(o.changes, other_address) == nullptr ||
                change_of(o.changes, other_address)->storage.empty());
}

TEST(Call, KindsDifferInWhoseCodeStorageSenderAndValue) {
    Machine m;
    m.state.set_balance(self_address, U256{100});
    // Writes ADDRESS, CALLER and CALLVALUE to slots 0 to 2.
    m.deploy(other_address, Code()
                                .op(Opcode::address)
                                .sstore_top(0)
                                .op(Opcode::caller)
                                .sstore_top(1)
                                .op(Opcode::callvalue)
                                .sstore_top(2));
    const auto slots = [&](Code call) {
        const Outcome o = m.run(call, {.value = U256{3}});
        EXPECT_EQ(o.status, Status::success);
        std::map<Address, std::vector<StorageWrite>> out;
        for (const AccountChange& c : o.changes.accounts) {
            if (!c.storage.empty()) { out[c.address] = c.storage; }
        }
        return out;
    };
    using Writes = std::vector<StorageWrite>;
    const U256 self = to_u256(self_address);
    const U256 other = to_u256(other_address);
    EXPECT_EQ(slots(Code().call(other_address, 5, 200'000)),
              (std::map<Address, Writes>{{other_address, {{0, other}, {1, self}, {2, 5}}}}));
    EXPECT_EQ(slots(Code().call(other_address, 5, 200'000, Opcode::callcode)),
              (std::map<Address, Writes>{{self_address, {{0, self}, {1, self}, {2, 5}}}}));
    EXPECT_EQ(slots(Code().delegatecall(other_address, 200'000)),
              (std::map<Address, Writes>{
                  {self_address, {{0, self}, {1, to_u256(sender_address)}, {2, 3}}}}));
    EXPECT_TRUE(slots(Code().staticcall(other_address, 200'000)).empty());
}

TEST(Static, ForbidsEveryChange) {
    Machine m;
    m.state.set_balance(self_address, U256{100});
    const RunOptions in_static{.is_static = true};
    const std::vector<std::pair<std::string, Code>> forbidden = {
        {"SSTORE", Code().sstore(0, 1)},
        {"TSTORE", Code().push_all(1, 0).op(Opcode::tstore)},
        {"LOG0", Code().push_all(0, 0).op(Opcode::log0)},
        {"LOG4", Code().push_all(0, 0, 0, 0, 0, 0).op(Opcode::log4)},
        {"CREATE", Code().push_all(0, 0, 0).op(Opcode::create)},
        {"CREATE2", Code().push_all(0, 0, 0, 0).op(Opcode::create2)},
        {"SELFDESTRUCT", Code().push(0).op(Opcode::selfdestruct)},
        {"CALL with value", Code().call(other_address, 1, 1000)},
    };
    for (const auto& [name, code] : forbidden) {
        SCOPED_TRACE(name);
        EXPECT_EQ(m.run(code, in_static).status, Status::static_mode_violation);
        EXPECT_EQ(m.run(code).status, Status::success) << "and elsewhere it works";
        // A nested frame inherits the restriction whatever kind of call begins it.
        m.deploy(other_address, code);
        for (const Opcode kind :
             {Opcode::call, Opcode::callcode, Opcode::delegatecall, Opcode::staticcall}) {
            Code nested;
            if (kind == Opcode::call || kind == Opcode::callcode) {
                nested.call(other_address, 0, 300'000, kind);
            } else {
                nested.delegatecall(other_address, 300'000, kind);
            }
            EXPECT_EQ(m.run(nested.ret_top(), in_static).word(), U256{0});
        }
    }
    for (const Code& allowed : {Code().push(0).op(Opcode::sload), Code().push(0).op(Opcode::tload),
                                Code().call(other_address, 0, 1000),
                                Code().call(other_address, 1, 1000, Opcode::callcode),
                                Code().push_all(1, 0).op(Opcode::mstore)}) {
        EXPECT_EQ(m.run(allowed, in_static).status, Status::success);
    }
}

TEST(ReturnData, IsThatOfTheLastCallAndBounded) {
    Machine m;
    m.deploy(other_address, Code().mstore(0, 0x1234).ret(0, 32));
    m.deploy(address_of(0xbad), Code().mstore(0, 0x99).revert(31, 1));
    const Code call = Code().call(other_address, 0, 50'000).op(Opcode::pop);
    EXPECT_EQ(m.value_of(Code().op(Opcode::returndatasize)), U256{0});
    EXPECT_EQ(m.value_of(Code().append(call).op(Opcode::returndatasize)), U256{32});
    EXPECT_EQ(m.value_of(Code()
                             .append(call)
                             .push_all(2, 30, 0)
                             .op(Opcode::returndatacopy)
                             .push(0)
                             .op(Opcode::mload)),
              shl(U256{0x1234}, 240));
    const Code failed = Code().call(address_of(0xbad), 0, 50'000).op(Opcode::pop);
    EXPECT_EQ(m.value_of(Code().append(call).append(failed).op(Opcode::returndatasize)), U256{1});
    // One byte too many is an exceptional end, unlike every other copy.
    const auto copy = [&](const U256& size, const U256& offset) {
        return m.run(Code().append(call).push(size).push(offset).push(0).op(Opcode::returndatacopy))
            .status;
    };
    EXPECT_EQ(copy(32, 0), Status::success);
    EXPECT_EQ(copy(0, 32), Status::success);
    EXPECT_EQ(copy(33, 0), Status::return_data_out_of_bounds);
    EXPECT_EQ(copy(1, 32), Status::return_data_out_of_bounds);
    EXPECT_EQ(copy(0, 33), Status::return_data_out_of_bounds);
    EXPECT_EQ(copy(32, U256::max()), Status::return_data_out_of_bounds);
    EXPECT_EQ(copy(2, ~uint64_t{0}), Status::return_data_out_of_bounds);
    // A call that never began, and a successful creation, leave it empty.
    EXPECT_EQ(m.value_of(Code()
                             .append(call)
                             .call(other_address, 1'000'000, 0)
                             .op(Opcode::pop)
                             .op(Opcode::returndatasize)),
              U256{0});
    EXPECT_EQ(m.value_of(Code()
                             .append(call)
                             .push_all(0, 0, 0)
                             .op(Opcode::create)
                             .op(Opcode::pop)
                             .op(Opcode::returndatasize)),
              U256{0});
}

TEST(ReturnData, OutputIsCutToTheCallersSpaceAndLeavesTheRestAlone) {
    Machine m;
    m.deploy(other_address, Code().mstore(0, U256::max()).ret(0, 4));
    const Outcome o = m.run(Code()
                                .mstore(0, 0x77)
                                .push_all(32, 0, 0, 0, 0)
                                .push(other_address)
                                .push(50'000)
                                .op(Opcode::call)
                                .op(Opcode::pop)
                                .ret(0, 32));
    EXPECT_EQ(o.word(), (shl(U256{0xffffffff}, 224) | U256{0x77}));
    const Outcome cut = m.run(Code()
                                  .mstore(0, 0)
                                  .push_all(2, 0, 0, 0, 0)
                                  .push(other_address)
                                  .push(50'000)
                                  .op(Opcode::call)
                                  .op(Opcode::pop)
                                  .ret(0, 32));
    EXPECT_EQ(cut.word(), shl(U256{0xffff}, 240));
}

TEST(Call, DepthEndsAt1024) {
    // Calls itself with all gas and counts in slot 0; before EIP-150 nothing but the depth ends it.
    Machine m(Revision::homestead);
    Code code = Code().push(0).op(Opcode::sload).push(1).op(Opcode::add).sstore_top(0);
    code.push_all(0, 0, 0, 0, 0)
        .push(self_address)
        .push(30'000)
        .op(Opcode::gas)
        .op(Opcode::sub)
        .op(Opcode::call);
    const Outcome o = m.run(code, {.gas = int64_t{1} << 40});
    EXPECT_EQ(o.status, Status::success);
    EXPECT_EQ(change_of(o.changes, self_address)->storage[0].value, U256{1025});
}

TEST(Call, PrecompileRunsAndItsFailureTakesTheGas) {
    Machine m;
    m.state.set_balance(self_address, U256{100});
    // IDENTITY: 15 + 3 per word.
    const Outcome o = m.run(Code()
                                .mstore(0, 0xabc)
                                .push_all(32, 32, 32, 0, 0, 4, 1000)
                                .op(Opcode::call)
                                .op(Opcode::pop)
                                .ret(32, 32));
    EXPECT_EQ(o.word(), U256{0xabc});
    const Outcome poor = m.run(Code().push_all(0, 0, 32, 0, 0, 4, 17).op(Opcode::call).ret_top());
    EXPECT_EQ(poor.word(), U256{0});
    const Outcome value = m.run(Code().call(address_of(4), 7, 0));
    EXPECT_EQ(change_of(value.changes, address_of(4))->credit, U256{7})
        << "the stipend pays for it";
}

TEST(Call, ToOneselfWithValueMovesNothing) {
    Machine m;
    m.state.set_balance(self_address, U256{100});
    const Outcome o = m.run(Code()
                                .push(0)
                                .op(Opcode::calldataload)
                                .push(100)
                                .op(Opcode::jumpi)
                                .call(self_address, 100, 50'000)
                                .op(Opcode::pop));
    const AccountChange* c = change_of(o.changes, self_address);
    EXPECT_TRUE(c == nullptr || (c->credit.is_zero() && c->debit.is_zero()));
}

}  // namespace
}  // namespace millrace::evm
