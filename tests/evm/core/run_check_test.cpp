// SPDX-License-Identifier: Apache-2.0
// Owns the tests of run checks: what is paid in advance, and that failures stay exact all the same.
#include <gtest/gtest.h>

#include "evm/core/code.hpp"
#include "host/base/hex.hpp"
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

AnalyzedCode analyze(std::string_view hex) { return AnalyzedCode{*from_hex(hex), 0}; }

TEST(RunCheck, AddsGasAndStackOfAStraightPiece) {
    // PUSH1 1, PUSH1 2, ADD, STOP
    const AnalyzedCode code = analyze("600160020100");
    EXPECT_EQ(code.runs()[0].gas, 9u);
    EXPECT_EQ(code.runs()[0].need_bytes, 0u);
    EXPECT_EQ(code.runs()[0].room_bytes, (1024 - 2) * 32);
}

TEST(RunCheck, NeedsWhatTheDeepestInstructionReaches) {
    // POP, ADD, SWAP2: 1 item, then 2 of what is left, then 3
    const AnalyzedCode code = analyze("50019100");
    EXPECT_EQ(code.runs()[0].need_bytes, 5 * 32);
    EXPECT_EQ(code.runs()[0].room_bytes, (1024 - 5) * 32);
}

TEST(RunCheck, BeginsAnewBehindJumpDestinationsBranchesAndVariablePrices) {
    // PUSH1 1, JUMPDEST, PUSH1 2, GAS, PUSH1 3, JUMPI, PUSH1 4, STOP
    const AnalyzedCode code = analyze("60015b60025a600357600400");
    EXPECT_EQ(code.runs()[0].gas, 3u);
    EXPECT_EQ(code.runs()[2].gas, 0u) << "arriving at a JUMPDEST costs nothing by itself";
    EXPECT_EQ(code.runs()[3].gas, 1u + 3u) << "the run behind it pays for it";
    EXPECT_EQ(code.runs()[6].gas, 3u + 10u);
    EXPECT_EQ(code.runs()[9].gas, 3u);
}

TEST(RunCheck, PushDataIsNoInstruction) {
    // PUSH2 0x5b5b, STOP
    const AnalyzedCode code = analyze("615b5b00");
    EXPECT_FALSE(code.is_jump_destination(1));
    EXPECT_FALSE(code.is_jump_destination(2));
    EXPECT_EQ(code.runs()[0].gas, 3u);
}

TEST(RunCheck, CanNeverHoldWhereTheStackCannotSuffice) {
    Bytes code(1025, 0x5f);  // PUSH0, once too often
    const AnalyzedCode analyzed{code, 0};
    EXPECT_EQ(analyzed.runs()[0].need_bytes, 0xffffu);
}

TEST(RunCheck, HoldsWhereTheStackJustSuffices) {
    const Bytes code(1024, 0x5f);  // PUSH0, as often as may be
    const AnalyzedCode analyzed{code, 0};
    EXPECT_EQ(analyzed.runs()[0].need_bytes, 0u);
    EXPECT_EQ(analyzed.runs()[0].room_bytes, 0u);
    EXPECT_EQ(analyzed.runs()[0].gas, 2u * 1024);
}

/// Every amount of gas up to `gas_max` gives the status and rest that executing instruction by
/// instruction gives; a tracer forces the latter. `uses_until_fast` says when the code gets run
/// checks: a call counts as 8 uses, a jump as one.
void expect_exact(std::string_view hex, int64_t gas_max, uint32_t uses_until_fast) {
    class Silent final : public Tracer {
        void on_instruction(const Frame&, uint64_t, uint8_t, int64_t,
                            std::span<const U256>) override {}
        void on_frame_end(const Frame&, Status, int64_t) override {}
    };
    for (int64_t gas = 0; gas <= gas_max; ++gas) {
        CallOutcome outcomes[2];
        Bytes outputs[2];
        for (int traced = 0; traced < 2; ++traced) {
            static Workspace workspace;
            static const StandardPrecompiles precompiles;
            StateOverlay state;
            const Address self = address_literal("0x00000000000000000000000000000000000000aa");
            state.set_nonce(self, 1);
            state.set_code(self, *from_hex(hex));
            const Rules rules = ethereum_rules(Revision::osaka);
            const BlockEnvironment block;
            const TransactionEnvironment transaction;
            workspace.codes = CodeCache{};
            workspace.codes.set_uses_until_fast(uses_until_fast);
            workspace.state.begin(state, rules, workspace.codes, precompiles);
            Evm evm{workspace, rules, precompiles, block, transaction};
            Silent silent;
            if (traced == 1) { evm.set_tracer(&silent); }
            Message m;
            m.gas = gas;
            m.recipient = m.code_address = self;
            outcomes[traced] = evm.run(m);
            outputs[traced].assign(outcomes[traced].output.begin(), outcomes[traced].output.end());
        }
        ASSERT_EQ(outcomes[0].status, outcomes[1].status) << hex << " with gas " << gas;
        ASSERT_EQ(outcomes[0].gas_left, outcomes[1].gas_left) << hex << " with gas " << gas;
        ASSERT_EQ(outputs[0], outputs[1]) << hex << " with gas " << gas;
    }
}

void expect_exact(std::string_view hex, int64_t gas_max) {
    for (const uint32_t uses : {0u, 9u, 10u, 11u, 100u, ~0u}) {
        SCOPED_TRACE("uses until fast: " + std::to_string(uses));
        expect_exact(hex, gas_max, uses);
    }
}

TEST(RunCheck, MemoryGrowthWithinARunKeepsExactGas) {
    // PUSH1 1, PUSH2 0x0400, MSTORE, PUSH1 0, MLOAD, PUSH1 32, PUSH2 0x0800, KECCAK256, STOP
    expect_exact("6001610400526000516020610800202000", 400);
    // The same, then INVALID: all gas goes, but the kind depends on how far it came.
    expect_exact("60016104005260005160206108002020fe", 400);
}

TEST(RunCheck, GasIsSeenExactlyBetweenRuns) {
    // GAS, PUSH1 0, MSTORE, GAS, PUSH1 32, MSTORE, PUSH1 64, PUSH1 0, RETURN
    expect_exact("5a6000525a60205260406000f3", 200);
}

TEST(RunCheck, UnderflowComesBeforeTheGasOfWhatFollows) {
    // PUSH1 1, ADD (underflow), then expensive instructions
    expect_exact("600101610400516104005100", 300);
}

TEST(RunCheck, AreMadeForCodeThatIsUsed) {
    const AnalyzedCode code{*from_hex("5b600056"), 20};
    EXPECT_EQ(code.runs(), nullptr);
    EXPECT_FALSE(code.note_uses(8));
    EXPECT_EQ(code.jumps_until_note(), 12u);
    EXPECT_FALSE(code.note_uses(11));
    EXPECT_EQ(code.jumps_until_note(), 1u);
    EXPECT_TRUE(code.note_uses(1));
    const RunCheck* made = code.make_runs();
    ASSERT_NE(made, nullptr);
    EXPECT_EQ(code.runs(), made);
    EXPECT_EQ(code.make_runs(), made) << "once";
}

TEST(RunCheck, AFrameBecomesFastInTheMiddleOfALoop) {
    // 40 rounds: JUMPDEST, PUSH1 1, ADD, DUP1, PUSH1 40, GT, PUSH1 2, JUMPI, then GAS to memory
    // and RETURN; the loop's jump is where the frame changes over.
    expect_exact("60005b600101806028116002575a60005260206000f3", 1'800);
    // Into a JUMPDEST whose run fails for want of stack: POP POP POP.
    expect_exact("60045b600190038060025700", 500);
}

TEST(RunCheck, LoopsEndByGasAtTheSamePlace) {
    // JUMPDEST, PUSH1 1, PUSH1 0, MSTORE, PUSH1 0, JUMP
    expect_exact("5b6001600052600056", 500);
}

}  // namespace
}  // namespace millrace::evm
