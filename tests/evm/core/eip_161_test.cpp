// SPDX-License-Identifier: Apache-2.0
// Owns the tests of EIP-161: empty accounts, when a touch removes them, and the touch of RIPEMD-160
// that outlives a revert.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;
using R = Revision;

const Address sha256_precompile = address_of(2);
const Address ripemd_precompile = address_of(3);

/// A state of a time before EIP-161: `empty` exists without nonce, balance and code.
void make_empty(Machine& m, const Address& empty) { m.state.set_balance(empty, U256{}); }

/// Runs a transaction of self_address's code and tells whether `a` exists afterwards.
bool exists_after(Machine& m, const Code& code, const Address& a) {
    m.deploy(self_address, code);
    EXPECT_TRUE(m.execute(m.transaction()).has_value());
    return m.state.account_exists(a);
}

TEST(EmptyAccounts, CallWithoutValueTouches) {
    for (const R r : revisions()) {
        SCOPED_TRACE(to_string(r));
        const bool clears = r >= R::spurious_dragon;
        Machine m(r);
        // Nobody: before EIP-161 a call makes an empty account, which it pays 25,000 for.
        EXPECT_EQ(exists_after(m, Code().call(other_address, 0, 0), other_address), !clears);
        make_empty(m, other_address);
        EXPECT_EQ(exists_after(m, Code().call(other_address, 0, 0), other_address), !clears);
    }
}

TEST(EmptyAccounts, OnlySomeInstructionsTouch) {
    struct Case {
        const char* what;
        Code code;
        bool touches;
        R since = R::spurious_dragon;
    };
    const std::vector<Case> cases = {
        {"CALL", Code().call(other_address, 0, 0), true},
        {"STATICCALL", Code().staticcall(other_address, 0), true, R::byzantium},
        {"CALLCODE", Code().call(other_address, 0, 0, Opcode::callcode), false},
        {"DELEGATECALL", Code().delegatecall(other_address, 0), false},
        {"SELFDESTRUCT", Code().push(other_address).op(Opcode::selfdestruct), true},
        {"BALANCE", Code().push(other_address).op(Opcode::balance), false},
        {"EXTCODESIZE", Code().push(other_address).op(Opcode::extcodesize), false},
        {"EXTCODEHASH", Code().push(other_address).op(Opcode::extcodehash), false,
         R::constantinople},
    };
    for (const Case& c : cases) {
        for (const R r : revisions(c.since)) {
            SCOPED_TRACE(std::string(c.what) + " in " + std::string(to_string(r)));
            Machine m(r);
            make_empty(m, other_address);
            EXPECT_EQ(exists_after(m, c.code, other_address), !c.touches);
        }
    }
}

TEST(EmptyAccounts, TransactionWithoutValueTouchesItsRecipient) {
    for (const R r : {R::tangerine_whistle, R::spurious_dragon, R::osaka}) {
        Machine m(r);
        make_empty(m, other_address);
        Transaction tx = m.transaction();
        tx.to = other_address;
        EXPECT_TRUE(m.execute(tx)->success());
        EXPECT_EQ(m.state.account_exists(other_address), r < R::spurious_dragon) << to_string(r);
    }
}

TEST(EmptyAccounts, CoinbaseIsTouchedEvenWithoutATip) {
    for (const R r : {R::london, R::osaka}) {
        Machine m(r);
        make_empty(m, m.block.coinbase);
        Transaction tx = m.transaction();
        tx.to = other_address;
        tx.value = U256{1};
        tx.max_fee_per_gas = tx.max_priority_fee_per_gas = m.block.base_fee_per_gas;
        EXPECT_TRUE(m.execute(tx)->success());
        EXPECT_FALSE(m.state.account_exists(m.block.coinbase)) << to_string(r);
    }
    Machine frontier(R::frontier);
    Transaction tx = frontier.transaction();
    tx.to = other_address;
    tx.max_fee_per_gas = tx.max_priority_fee_per_gas = U256{};
    EXPECT_TRUE(frontier.execute(tx)->success());
    EXPECT_TRUE(frontier.state.account_exists(frontier.block.coinbase))
        << "an empty account before EIP-161";
}

TEST(EmptyAccounts, AccountsWithNonceBalanceOrCodeStay) {
    Machine m(R::spurious_dragon);
    m.state.set_nonce(address_of(0xa1), 1);
    m.state.set_balance(address_of(0xa2), U256{1});
    m.state.set_code(address_of(0xa3), Bytes{0x00});
    Code code;
    for (const uint64_t a : {0xa1, 0xa2, 0xa3}) { code.call(address_of(a), 0, 1000).pop(); }
    m.deploy(self_address, code);
    EXPECT_TRUE(m.execute(m.transaction())->success());
    for (const uint64_t a : {0xa1, 0xa2, 0xa3}) {
        EXPECT_TRUE(m.state.account_exists(address_of(a)));
    }
}

TEST(EmptyAccounts, AccountEmptiedByTheTransactionIsRemoved) {
    // A contract without code and nonce cannot send; a self-destructing creation can leave one.
    // Here value comes and the account is touched; it stays as long as it has a balance.
    Machine m(R::spurious_dragon);
    make_empty(m, other_address);
    m.state.set_balance(self_address, U256{5});
    EXPECT_TRUE(exists_after(m, Code().call(other_address, 5, 0), other_address));
    EXPECT_EQ(m.state.balance(other_address), U256{5});
}

TEST(EmptyAccounts, ARevertUndoesTheTouch) {
    for (const R r : revisions(R::byzantium)) {
        Machine m(r);
        make_empty(m, other_address);
        m.deploy(address_of(0xabc), Code().call(other_address, 0, 0).pop().revert(0, 0));
        EXPECT_TRUE(
            exists_after(m, Code().call(address_of(0xabc), 0, 100'000).pop(), other_address))
            << to_string(r);
    }
    // Before EIP-161 the same revert undoes the coming into being.
    for (const R r : revisions(R::frontier, R::tangerine_whistle)) {
        Machine m(r);
        m.deploy(address_of(0xabc), Code().call(other_address, 0, 0).op(Opcode::invalid));
        EXPECT_FALSE(
            exists_after(m, Code().call(address_of(0xabc), 0, 100'000).pop(), other_address))
            << to_string(r);
    }
}

TEST(EmptyAccounts, TouchOfRipemd160OutlivesTheFailureOfItsCall) {
    // Block 2,675,119 of the main network (yellow paper, appendix K.1): a call of 0x03 ran out of
    // gas, and the empty account there was removed all the same. No other account has this.
    for (const R r : revisions(R::spurious_dragon)) {
        SCOPED_TRACE(to_string(r));
        Machine m(r);
        make_empty(m, ripemd_precompile);
        make_empty(m, sha256_precompile);
        // RIPEMD-160 costs 600 + 120 per word, SHA-256 costs 60 + 12 per word: both run out of gas.
        const Code poor = Code().call(ripemd_precompile, 0, 1).pop().call(sha256_precompile, 0, 1);
        m.deploy(self_address, poor);
        EXPECT_TRUE(m.execute(m.transaction())->success());
        EXPECT_FALSE(m.state.account_exists(ripemd_precompile));
        EXPECT_TRUE(m.state.account_exists(sha256_precompile));
    }
}

TEST(EmptyAccounts, TouchOfRipemd160OutlivesTheRevertOfAFrameAbove) {
    Machine m(R::byzantium);
    make_empty(m, ripemd_precompile);
    m.deploy(address_of(0xabc), Code().call(ripemd_precompile, 0, 10'000).pop().revert(0, 0));
    EXPECT_FALSE(
        exists_after(m, Code().call(address_of(0xabc), 0, 100'000).pop(), ripemd_precompile));
}

TEST(EmptyAccounts, RevertedTouchOfRipemd160LeavesNothingBehindWhereItIsAbsentOrFull) {
    // It only ever removes: no account comes into being, and one with a balance stays.
    Machine m(R::spurious_dragon);
    const Code poor = Code().call(ripemd_precompile, 0, 1).pop();
    EXPECT_FALSE(exists_after(m, poor, ripemd_precompile));
    m.state.set_balance(ripemd_precompile, U256{1});
    EXPECT_TRUE(exists_after(m, poor, ripemd_precompile));
    EXPECT_EQ(m.state.balance(ripemd_precompile), U256{1});
}

TEST(EmptyAccounts, TouchOfRipemd160IsUndoneLikeAnyBeforeEip161) {
    for (const R r : revisions(R::frontier, R::tangerine_whistle)) {
        Machine m(r);
        EXPECT_FALSE(exists_after(m, Code().call(ripemd_precompile, 0, 1).pop(), ripemd_precompile))
            << to_string(r);
    }
}

}  // namespace
}  // namespace millrace::evm
