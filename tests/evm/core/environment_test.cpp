// SPDX-License-Identifier: Apache-2.0
// Owns the tests of what a contract sees of its message, transaction, block and chain.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST(Environment, IsThatOfTheMessage) {
    Machine m;
    const Hash256 data = to_hash(U256{0x11, 0x22, 0x33, 0x44});
    const Bytes input(data.begin(), data.end());
    const auto ask = [&](Code c) {
        return m.run(c.ret_top(), {.input = input, .value = U256{5}}).word();
    };
    EXPECT_EQ(ask(Code().op(Opcode::address)), to_u256(self_address));
    EXPECT_EQ(ask(Code().op(Opcode::caller)), to_u256(sender_address));
    EXPECT_EQ(ask(Code().op(Opcode::origin)), to_u256(sender_address));
    EXPECT_EQ(ask(Code().op(Opcode::callvalue)), U256{5});
    EXPECT_EQ(ask(Code().op(Opcode::selfbalance)), U256{5});
    EXPECT_EQ(ask(Code().op(Opcode::calldatasize)), U256{32});
    EXPECT_EQ(ask(Code().push(0).op(Opcode::calldataload)), load_be(input.data()));
    EXPECT_EQ(ask(Code().push(31).op(Opcode::calldataload)), shl(0x44, 248));
    EXPECT_EQ(ask(Code().push(32).op(Opcode::calldataload)), U256{});
    EXPECT_EQ(ask(Code().push(U256::max()).op(Opcode::calldataload)), U256{});
    EXPECT_EQ(ask(Code().op(Opcode::number)), U256{1000});
    EXPECT_EQ(ask(Code().op(Opcode::timestamp)), U256{1'700'000'000});
    EXPECT_EQ(ask(Code().op(Opcode::chainid)), U256{1});
    EXPECT_EQ(ask(Code().op(Opcode::basefee)), U256{7});
    EXPECT_EQ(ask(Code().op(Opcode::gasprice)), U256{10});
    EXPECT_EQ(ask(Code().op(Opcode::gas)), U256{1'000'000 - 2});
    EXPECT_EQ(ask(Code().push(0).push(0).op(Opcode::keccak256)),
              to_u256(kernels::keccak256_of_empty));
}

TEST(Environment, BlockFieldsKeepAllTheirBits) {
    Machine m(Revision::london);
    m.block.number = ~uint64_t{0};
    m.block.timestamp = ~uint64_t{0} - 1;
    m.block.gas_limit = uint64_t{1} << 63;
    m.block.coinbase = address_literal("0xffffffffffffffffffffffffffffffffffffff01");
    m.block.difficulty = U256::max() - U256{1};
    m.block.base_fee_per_gas = shl(1, 200);
    m.block.prev_randao = to_hash(U256{77});
    EXPECT_EQ(m.value_of(Code().op(Opcode::number)), U256{~uint64_t{0}});
    EXPECT_EQ(m.value_of(Code().op(Opcode::timestamp)), U256{~uint64_t{0} - 1});
    EXPECT_EQ(m.value_of(Code().op(Opcode::gaslimit)), U256{uint64_t{1} << 63});
    EXPECT_EQ(m.value_of(Code().op(Opcode::coinbase)), to_u256(m.block.coinbase));
    EXPECT_EQ(m.value_of(Code().op(Opcode::basefee)), shl(1, 200)) << "EIP-3198";
}

TEST(Environment, DifficultyBecomesPrevRandaoWithParis) {
    // EIP-4399: the same opcode, 0x44.
    for (const Revision r : revisions()) {
        Machine m(r);
        m.block.difficulty = U256{131072};
        m.block.prev_randao = to_hash(U256::max() - U256{5});
        EXPECT_EQ(m.value_of(Code().op(Opcode::prevrandao)),
                  r >= Revision::paris ? U256::max() - U256{5} : U256{131072})
            << to_string(r);
    }
}

TEST(Environment, ChainIdIsThatOfTheRules) {
    // EIP-1344.
    Machine m(Revision::istanbul);
    m.rules = ethereum_rules(Revision::istanbul, ~uint64_t{0});
    EXPECT_EQ(m.value_of(Code().op(Opcode::chainid)), U256{~uint64_t{0}});
}

TEST(Environment, BlobFieldsOfEip4844And7516) {
    Machine m;
    m.block.blob_base_fee = shl(1, 100);
    EXPECT_EQ(m.value_of(Code().op(Opcode::blobbasefee)), shl(1, 100));
    EXPECT_EQ(m.value_of(Code().push(0).op(Opcode::blobhash)), U256{}) << "there are no blobs";
    EXPECT_EQ(m.value_of(Code().push(U256::max()).op(Opcode::blobhash)), U256{});
}

TEST(Environment, OriginIsTheSenderOfTheTransactionInEveryFrame) {
    Machine m;
    m.deploy(other_address, Code().op(Opcode::origin).op(Opcode::caller).op(Opcode::sub).ret_top());
    const Outcome o = m.run(Code()
                                .push_all(32, 0, 0, 0, 0)
                                .push(other_address)
                                .push(100'000)
                                .op(Opcode::call)
                                .pop()
                                .ret(0, 32));
    EXPECT_EQ(o.word(), to_u256(self_address) - to_u256(sender_address)) << "CALLER less ORIGIN";
}

TEST(Environment, InitCodeSeesItsOwnCodeAndNoCallData) {
    // Returns CODESIZE * 2^32 + CALLDATASIZE * 2^16 + EXTCODESIZE(ADDRESS) as the deployed code.
    Machine m;
    const Code init = Code()
                          .op(Opcode::address)
                          .op(Opcode::extcodesize)
                          .op(Opcode::calldatasize)
                          .push(16)
                          .op(Opcode::shl)
                          .op(Opcode::add)
                          .op(Opcode::codesize)
                          .push(32)
                          .op(Opcode::shl)
                          .op(Opcode::add)
                          .ret_top();
    const Outcome o = m.run(Code().put(init).push_all(init.size(), 0, 0).op(Opcode::create),
                            {.input = {1, 2, 3}});
    const AccountChange* created = change_of(o.changes, create_address(self_address, 1));
    ASSERT_NE(created, nullptr);
    ASSERT_NE(created->code, nullptr);
    EXPECT_EQ(load_be(ByteView{*created->code}), shl(U256{init.size()}, 32));
}

TEST(Environment, BalanceIsThatOfThisMoment) {
    Machine m;
    m.state.set_balance(self_address, U256{100});
    m.state.set_balance(other_address, U256{7});
    EXPECT_EQ(m.value_of(Code().push(other_address).op(Opcode::balance)), U256{7});
    EXPECT_EQ(m.value_of(Code().push(address_of(0x9999)).op(Opcode::balance)), U256{});
    // The upper 96 bits of an address operand are ignored.
    EXPECT_EQ(
        m.value_of(Code().push(to_u256(other_address) | shl(U256::max(), 160)).op(Opcode::balance)),
        U256{7});
    const Code give = Code().call(other_address, 30, 0).pop();
    EXPECT_EQ(m.value_of(Code().append(give).op(Opcode::selfbalance)), U256{70}) << "EIP-1884";
    EXPECT_EQ(m.value_of(Code().append(give).push(self_address).op(Opcode::balance)), U256{70});
    EXPECT_EQ(m.value_of(Code().append(give).push(other_address).op(Opcode::balance)), U256{37});
    // A callee that fails gives everything back.
    m.deploy(other_address, Code().op(Opcode::invalid));
    m.state.set_balance(other_address, U256{7});
    EXPECT_EQ(m.value_of(Code().append(give).op(Opcode::selfbalance)), U256{100});
}

TEST(Environment, GasIsWhatIsLeftAfterTheInstruction) {
    Machine m;
    EXPECT_EQ(m.run(Code().op(Opcode::gas).ret_top(), {.gas = 50}).word(), U256{48});
    EXPECT_EQ(
        m.run(Code().push_all(1, 2).op(Opcode::add).pop().op(Opcode::gas).ret_top(), {.gas = 100})
            .word(),
        U256{100 - 9 - 2 - 2});
}

}  // namespace
}  // namespace millrace::evm
