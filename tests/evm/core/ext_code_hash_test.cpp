// SPDX-License-Identifier: Apache-2.0
// Owns the tests of EIP-1052: EXTCODEHASH of every kind of account.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

/// keccak256(""), from EIP-1052.
const U256 hash_of_nothing =
    to_u256(hash_literal("0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"));

U256 hash_of(Machine& m, const Address& a) {
    return m.value_of(Code().push(a).op(Opcode::extcodehash));
}

TEST(ExtCodeHash, TellsNothingFromNoCode) {
    for (const Revision r : revisions(Revision::constantinople)) {
        SCOPED_TRACE(to_string(r));
        Machine m(r);
        EXPECT_EQ(hash_of(m, other_address), U256{}) << "nobody";
        m.state.set_balance(other_address, U256{});
        EXPECT_EQ(hash_of(m, other_address), U256{}) << "an empty account of old";
        m.state.set_balance(other_address, U256{1});
        EXPECT_EQ(hash_of(m, other_address), hash_of_nothing);
        m.state.set_balance(other_address, U256{});
        m.state.set_nonce(other_address, 1);
        EXPECT_EQ(hash_of(m, other_address), hash_of_nothing);
    }
}

TEST(ExtCodeHash, OfCodeIsItsHash) {
    Machine m;
    m.state.set_code(other_address, Bytes{0x00});
    // keccak256(0x00)
    EXPECT_EQ(hash_of(m, other_address),
              to_u256(hash_literal(
                  "0xbc36789e7a1e281436464229828f817d6612f7b477d66591ff96a9e064bcc98a")));
    EXPECT_EQ(
        m.value_of(
            Code().push(to_u256(other_address) | shl(U256::max(), 160)).op(Opcode::extcodehash)),
        hash_of(m, other_address))
        << "the upper bits of the operand are ignored";
}

TEST(ExtCodeHash, OfPrecompilesIsThatOfTheirAccounts) {
    for (const uint64_t a : {1, 4, 9}) {
        Machine m;
        EXPECT_EQ(hash_of(m, address_of(a)), U256{});
        m.state.set_balance(address_of(a), U256{1});
        EXPECT_EQ(hash_of(m, address_of(a)), hash_of_nothing);
    }
}

TEST(ExtCodeHash, FollowsTheTransaction) {
    Machine m;
    m.state.set_balance(self_address, U256{5});
    EXPECT_EQ(
        m.value_of(
            Code().call(other_address, 1, 0).pop().push(other_address).op(Opcode::extcodehash)),
        hash_of_nothing)
        << "value made it exist";
    // A contract under construction has no code yet, but a nonce of one.
    const Code init = Code().op(Opcode::address).op(Opcode::extcodehash).ret_top();
    const Outcome o = m.run(Code().put(init).push_all(init.size(), 0, 0).op(Opcode::create));
    EXPECT_EQ(load_be(ByteView{*change_of(o.changes, create_address(self_address, 1))->code}),
              hash_of_nothing);
    // A reverted creation leaves nobody.
    const Code failing = Code().revert(0, 0);
    EXPECT_EQ(m.value_of(Code()
                             .put(failing)
                             .push_all(failing.size(), 0, 0)
                             .op(Opcode::create)
                             .pop()
                             .push(create_address(self_address, 1))
                             .op(Opcode::extcodehash)),
              U256{});
}

TEST(ExtCodeHash, OfADestroyedContractStaysUntilTheEnd) {
    Machine m(Revision::shanghai);
    m.deploy(other_address, Code().push(0x999).op(Opcode::selfdestruct));
    const U256 before = hash_of(m, other_address);
    EXPECT_EQ(m.value_of(Code()
                             .call(other_address, 0, 50'000)
                             .pop()
                             .push(other_address)
                             .op(Opcode::extcodehash)),
              before);
}

TEST(ExtCodeHash, OfADelegatedAccountIsThatOfTheDesignator) {
    // EIP-7702: all three see 0xef0100 || address, not the delegate's code.
    Machine m;
    const Address delegate = address_of(0xde1);
    m.deploy(delegate, Bytes(100));
    m.state.set_code(other_address, delegation_designator(delegate));
    Bytes designator{0xef, 0x01, 0x00};
    designator.insert(designator.end(), delegate.begin(), delegate.end());
    EXPECT_EQ(hash_of(m, other_address), to_u256(kernels::keccak256(designator)));
    EXPECT_EQ(m.value_of(Code().push(other_address).op(Opcode::extcodesize)), U256{23});
    const Outcome o =
        m.run(Code().push_all(23, 0, 0).push(other_address).op(Opcode::extcodecopy).ret(0, 23));
    EXPECT_EQ(o.output, designator);
    // Reading it touches the account alone: the delegate stays cold.
    EXPECT_EQ(
        m.run(Code().push(other_address).op(Opcode::extcodehash).push(delegate).op(Opcode::balance))
            .gas_used,
        6 + 2 * 2600);
}

}  // namespace
}  // namespace millrace::evm
