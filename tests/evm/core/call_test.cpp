// SPDX-License-Identifier: Apache-2.0
// Owns the tests of calls: whose code, storage, sender and value; failure, depth.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

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

TEST(Call, DelegatecallKeepsSenderAndValueThroughLevels) {
    for (const Revision r : revisions(Revision::homestead)) {
        Machine m(r);
        m.state.set_balance(self_address, U256{100});
        m.deploy(address_of(0xa1),
                 Code().op(Opcode::caller).sstore_top(0).op(Opcode::callvalue).sstore_top(1));
        m.deploy(other_address, Code().delegatecall(address_of(0xa1), 100'000));
        // Sender -> self (value 3) -DELEGATECALL-> other -DELEGATECALL-> a1
        const Outcome o = m.run(Code().delegatecall(other_address, 200'000), {.value = U256{3}});
        const AccountChange* c = change_of(o.changes, self_address);
        ASSERT_EQ(c->storage.size(), 2u) << to_string(r);
        EXPECT_EQ(c->storage[0].value, to_u256(sender_address));
        EXPECT_EQ(c->storage[1].value, U256{3});
    }
}

TEST(Call, CallcodeNeedsTheValueButMovesNone) {
    for (const Revision r : revisions()) {
        Machine m(r);
        m.state.set_balance(self_address, U256{5});
        m.state.set_balance(other_address, U256{1});
        const auto flag = [&](uint64_t value) {
            const Outcome o =
                m.run(Code().call(other_address, value, 1000, Opcode::callcode).sstore_top(0));
            const AccountChange* c = change_of(o.changes, self_address);
            EXPECT_TRUE(c == nullptr || (c->debit.is_zero() && c->credit.is_zero()));
            EXPECT_EQ(change_of(o.changes, other_address), nullptr);
            return c != nullptr && !c->storage.empty();
        };
        EXPECT_TRUE(flag(5)) << to_string(r);
        EXPECT_FALSE(flag(6)) << to_string(r);
    }
}

TEST(Call, ToAnAccountWithoutCodeSucceeds) {
    for (const Revision r : revisions()) {
        Machine m(r);
        m.state.set_balance(self_address, U256{5});
        const Outcome o = m.run(Code().call(other_address, 5, 0).sstore_top(0));
        EXPECT_EQ(change_of(o.changes, self_address)->storage[0].value, U256{1}) << to_string(r);
        EXPECT_EQ(change_of(o.changes, other_address)->credit, U256{5});
    }
}

TEST(Call, InputIsCopiedAndPaddedByNothing) {
    Machine m;
    m.deploy(other_address, Code()
                                .op(Opcode::calldatasize)
                                .sstore_top(0)
                                .push(0)
                                .op(Opcode::calldataload)
                                .sstore_top(1));
    const Outcome o = m.run(Code()
                                .mstore(0, U256::max())
                                .push_all(0, 0, 3, 30, 0)
                                .push(other_address)
                                .push(100'000)
                                .op(Opcode::call));
    const AccountChange* c = change_of(o.changes, other_address);
    ASSERT_EQ(c->storage.size(), 2u);
    EXPECT_EQ(c->storage[0].value, U256{3});
    EXPECT_EQ(c->storage[1].value, shl(0xffff, 240)) << "two bytes of the word, one behind it";
}

TEST(Call, StaticcallEndsAtTheDepthLimitToo) {
    // STATICCALL needs EIP-150's 63/64, so the limit is reached with enough gas only: 2^40 lasts
    // for 1,024 levels, as (63/64)^1024 is about 10^-7.
    Machine m(Revision::byzantium);
    // Returns 1 + what the callee returned, or 1 where the call failed.
    const Code code = Code()
                          .push_all(32, 0, 0, 0)
                          .push(self_address)
                          .op(Opcode::gas)
                          .op(Opcode::staticcall)
                          .pop()
                          .push(0)
                          .op(Opcode::mload)
                          .push(1)
                          .op(Opcode::add)
                          .ret_top();
    EXPECT_EQ(m.run(code, {.gas = int64_t{1} << 40}).word(), U256{1025});
}

}  // namespace
}  // namespace millrace::evm
