// SPDX-License-Identifier: Apache-2.0
// Owns the tests of which failure is reported when several hold at once. All of them take all gas
// and undo the frame, so the order shows in traces only; it is: undefined opcode, stack underflow,
// stack overflow, the instruction's fixed gas, static mode (for SSTORE, CALL and SELFDESTRUCT even
// before gas), memory and other variable gas, then the instruction's own conditions.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

Status status_of(const Code& code, int64_t gas, bool is_static = false,
                 Revision r = latest_revision) {
    Machine m(r);
    return m.run(code, {.gas = gas, .is_static = is_static}).status;
}

TEST(FailureOrder, GasOfAnEarlierInstructionComesBeforeALaterFailure) {
    // Two PUSH1 cost 6; what follows is only reached with that much.
    const std::vector<std::pair<Code, Status>> ends = {
        {Code().op(0x0c), Status::undefined_instruction},
        {Code().op(Opcode::invalid), Status::invalid_instruction},
        {Code().op(Opcode::mulmod), Status::stack_underflow},
    };
    for (const auto& [end, status] : ends) {
        const Code code = Code().push_all(1, 2).append(end);
        EXPECT_EQ(status_of(code, 5), Status::out_of_gas);
        EXPECT_EQ(status_of(code, 6), status);
        EXPECT_EQ(status_of(code, 1000), status);
    }
}

TEST(FailureOrder, AnEarlierFailureComesBeforeALaterLackOfGas) {
    // ADD lacks an item; the TLOAD behind it in the same straight piece could not be paid.
    EXPECT_EQ(status_of(Code().push(1).op(Opcode::add).op(Opcode::tload), 50),
              Status::stack_underflow);
    // The overflow of the second PUSH0 comes before the KECCAK256 that nobody could pay.
    Code full;
    for (int i = 0; i < 1023; ++i) { full.push(0); }
    const Code over = Code().append(full).op(Opcode::push0).op(Opcode::push0).op(Opcode::keccak256);
    EXPECT_EQ(status_of(over, 3 * 1023 + 2 + 2), Status::stack_overflow);
    EXPECT_EQ(status_of(over, 3 * 1023 + 1), Status::out_of_gas);
}

TEST(FailureOrder, GasComesBeforeTheJumpDestination) {
    EXPECT_EQ(status_of(Code().push(99).op(Opcode::jump), 3 + 7), Status::out_of_gas);
    EXPECT_EQ(status_of(Code().push(99).op(Opcode::jump), 3 + 8), Status::bad_jump_destination);
    EXPECT_EQ(status_of(Code().push_all(1, 99).op(Opcode::jumpi), 6 + 9), Status::out_of_gas);
    EXPECT_EQ(status_of(Code().push_all(1, 99).op(Opcode::jumpi), 6 + 10),
              Status::bad_jump_destination);
    EXPECT_EQ(status_of(Code().push(99).op(Opcode::jumpi), 1000), Status::stack_underflow)
        << "JUMPI lacks its condition";
}

TEST(FailureOrder, StaticModeComesFirstForSstoreCallAndSelfdestruct) {
    EXPECT_EQ(status_of(Code().sstore(0, 1), 6, true), Status::static_mode_violation);
    EXPECT_EQ(status_of(Code().call(other_address, 1, 0), 21, true), Status::static_mode_violation);
    EXPECT_EQ(status_of(Code().push(0).op(Opcode::selfdestruct), 3, true),
              Status::static_mode_violation);
    // CALL without value is no violation, so its gas counts.
    EXPECT_EQ(status_of(Code().call(other_address, 0, 0), 21, true), Status::out_of_gas);
}

TEST(FailureOrder, StaticModeComesBetweenFixedAndVariableGas) {
    const U256 far = shl(1, 100);
    struct Case {
        const char* name;
        Code code;  ///< grows memory beyond all gas
        int64_t fixed;
    };
    const std::vector<Case> cases = {
        {"LOG0", Code().push(1).push(far).op(Opcode::log0), 6 + 375},
        {"LOG4", Code().push_all(0, 0, 0, 0, 1).push(far).op(Opcode::log4), 18 + 5 * 375},
        {"CREATE", Code().push(1).push(far).push(0).op(Opcode::create), 9 + 32000},
        {"CREATE2", Code().push_all(0, 1).push(far).push(0).op(Opcode::create2), 12 + 32000},
        {"TSTORE", Code().push_all(0, 0).op(Opcode::tstore), 6 + 100},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        EXPECT_EQ(status_of(c.code, c.fixed - 1, true), Status::out_of_gas);
        EXPECT_EQ(status_of(c.code, c.fixed, true), Status::static_mode_violation);
    }
}

TEST(FailureOrder, MemoryComesBeforeTheBoundsOfReturnData) {
    const auto copy = [](const U256& to, uint64_t size) {
        return Code().push_all(size, 0).push(to).op(Opcode::returndatacopy);
    };
    EXPECT_EQ(status_of(copy(shl(1, 100), 1), 100'000), Status::out_of_gas);
    EXPECT_EQ(status_of(copy(0, 1), 100'000), Status::return_data_out_of_bounds);
    EXPECT_EQ(status_of(copy(0, 1), 9 + 2), Status::out_of_gas) << "the fixed 3";
}

TEST(FailureOrder, SentryOfSstoreComesBeforeItsPrice) {
    // EIP-2200: with 2,300 or less left SSTORE fails although 100 would do for a warm slot.
    const Code warm = Code().push(0).op(Opcode::sload).pop().sstore(0, 0);
    const int64_t before = 3 + 2100 + 2 + 6;
    EXPECT_EQ(status_of(warm, before + 2300), Status::out_of_gas);
    EXPECT_EQ(status_of(warm, before + 2301), Status::success);
}

TEST(FailureOrder, CreationChecksDepthBalanceAndNonceBeforeTheCollision) {
    // A creation that cannot pay its value neither counts the nonce nor meets the collision, which
    // would take 63/64 of the gas.
    Machine m;
    m.state.set_nonce(create_address(self_address, 1), 1);
    const Outcome poor = m.run(Code().push_all(0, 0, 1).op(Opcode::create).ret_top());
    EXPECT_EQ(poor.word(), U256{});
    EXPECT_LT(poor.gas_used, 40'000);
    EXPECT_TRUE(change_of(poor.changes, self_address) == nullptr ||
                !change_of(poor.changes, self_address)->nonce);
    const Outcome collides = m.run(Code().push_all(0, 0, 0).op(Opcode::create).ret_top());
    EXPECT_EQ(collides.word(), U256{});
    EXPECT_GT(collides.gas_used, 900'000);
    EXPECT_EQ(change_of(collides.changes, self_address)->nonce, 2u);
}

TEST(FailureOrder, InitCodeSizeComesAfterMemoryAndBeforeTheCollision) {
    // EIP-3860: too large init code is an exceptional end, not a failed creation.
    Machine m;
    m.state.set_nonce(create_address(self_address, 1), 1);
    const Code code = Code().push_all(0xc001, 0, 0).op(Opcode::create).ret_top();
    EXPECT_EQ(m.run(code).status, Status::initcode_size_exceeded);
    EXPECT_EQ(m.run(code, {.gas = 9 + 32000}).status, Status::out_of_gas);
}

TEST(FailureOrder, FailureAfterAStoreUndoesItAndIsReportedForWhatItIs) {
    // SSTORE stands between two straight pieces, the second of which fails.
    Machine m;
    const int64_t store = 6 + 22'100;
    struct Case {
        Code rest;
        int64_t gas;  ///< what is left behind the SSTORE
        Status status;
    };
    const std::vector<Case> cases = {
        {Code().op(Opcode::add), 0, Status::stack_underflow},
        {Code().op(Opcode::add), 1000, Status::stack_underflow},
        {Code().push_all(1, 2).op(Opcode::add), 8, Status::out_of_gas},
        {Code().push_all(1, 2).op(Opcode::add).op(Opcode::invalid), 8, Status::out_of_gas},
        {Code().push_all(1, 2).op(Opcode::add).op(Opcode::invalid), 9, Status::invalid_instruction},
        {Code().push(99).op(Opcode::jump), 11, Status::bad_jump_destination},
        {Code().op(0x0c), 0, Status::undefined_instruction},
        {Code().revert(0, 0), 6, Status::revert},
        {Code().revert(0, 0), 5, Status::out_of_gas},
    };
    for (size_t i = 0; i < cases.size(); ++i) {
        const Case& c = cases[i];
        const Outcome o = m.run(Code().sstore(0, 1).append(c.rest), {.gas = store + c.gas});
        EXPECT_EQ(o.status, c.status) << i << ": " << to_string(o.status);
        EXPECT_TRUE(change_of(o.changes, self_address) == nullptr ||
                    change_of(o.changes, self_address)->storage.empty());
    }
}

TEST(FailureOrder, GasIsTheSameHoweverABlockIsReached) {
    // The piece behind the JUMPDEST at 8 is entered by falling into it and by JUMPI.
    for (const uint64_t jumps : {0, 1}) {
        Machine m;
        // 0: PUSH1 jumps, 2: PUSH1 8, 4: JUMPI, 5: PUSH1 9, 7: POP, 8: JUMPDEST, PUSH1, POP
        const Code c = Code()
                           .push_all(jumps, 8)
                           .op(Opcode::jumpi)
                           .push(9)
                           .pop()
                           .op(Opcode::jumpdest)
                           .push(1)
                           .pop();
        expect_exact_gas(m, c, 6 + 10 + (jumps != 0 ? 0 : 5) + 1 + 3 + 2);
    }
}

}  // namespace
}  // namespace millrace::evm
