// SPDX-License-Identifier: Apache-2.0
// Owns programs that once ended otherwise than in the interpreter, each under the name of its
// fault.
#include <gtest/gtest.h>

#include "tests/evm/jit/ir_machine.hpp"
#include "tests/evm/jit/outcome.hpp"

namespace millrace::evm::jit {
namespace {

void expect_same(const Scenario& scenario) {
    IrMachine machine;
    const auto finding = examine_every_limit(scenario, machine);
    EXPECT_FALSE(finding) << describe(*finding);
    EXPECT_EQ(machine.violations(), std::vector<std::string>{});
    EXPECT_GT(machine.frames(), 0u);
}

/// The blocks behind the first one were taken for unreachable, and ended the frame with success.
TEST(JitFailingPaths, ProgramsWithoutAnyWayToSucceedFail) {
    const uint8_t jumps_to_invalid[] = {0x60, 0x04, 0x56, 0x00, 0x5b, 0xfe};
    expect_same(call_of(jumps_to_invalid, {}, 1'000));
    const uint8_t reverts_or_fails[] = {0x60, 0x00, 0x35, 0x60, 0x0b, 0x57, 0x60, 0x01, 0x60,
                                        0x20, 0xfd, 0x5b, 0x60, 0x05, 0x60, 0x00, 0xfd};
    expect_same(call_of(reverts_or_fails, {}, 1'000));
    expect_same(call_of(reverts_or_fails, Bytes(32, 1), 1'000));
}

/// A block that was entered by a computed jump takes its items from the stack, and leaves alone
/// what is still in its place. An instruction of the interpreter's writes its operands to the
/// stack: what was in these places is no longer there.
TEST(JitStackTraffic, OperandsOfAStepOverwriteItemsThatWereLoaded) {
    const uint8_t code[] = {
        0x60, 0x2a,        // 0: PUSH1 42
        0x60, 0x07,        // 2: PUSH1 7, below it 42
        0x60, 0x00, 0x35,  // 4: CALLDATALOAD(0) = 10
        0x56,              // 7: JUMP to what nobody knows
        0x00, 0x00,        // 8
        0x5b,              // 10: JUMPDEST [42 7]
        0x80,              // DUP1   [42 7 7]
        0x91,              // SWAP2  [7 7 42]
        0x90,              // SWAP1  [7 42 7]
        0x55,              // SSTORE [7], writes 42 where 7 was loaded from
        0x80,              // DUP1   [7 7]
        0x60, 0x20, 0x35,  // CALLDATALOAD(32) = 21
        0x56,              // JUMP
        0x00,              // 20
        0x5b,              // 21: JUMPDEST [7 7]
        0x60, 0x00, 0x52,  // MSTORE(0, 7)
        0x60, 0x20, 0x60, 0x00, 0xf3,
    };
    Bytes input(64, 0);
    input[31] = 10;
    input[63] = 21;
    const Scenario scenario = call_of(code, input, 100'000);
    const Outcome outcome = run(scenario, nullptr);
    ASSERT_EQ(outcome.status, Status::success);
    ASSERT_EQ(load_be(outcome.output.data()), U256{7});
    IrMachine machine;
    EXPECT_EQ(difference(outcome, run(scenario, &machine)), "");
}

/// Such offsets can be paid for, if only by 3.5e13 gas: growth for no bytes at all would not do.
TEST(JitMemoryBounds, AccessesAtFarConstantsGrowMemoryForAllTheirBytes) {
    const uint8_t code[] = {0x60, 0x01, 0x64, 0x01, 0x00, 0x00, 0x00, 0x01, 0x52,
                            0x64, 0x02, 0x00, 0x00, 0x00, 0x00, 0x51, 0x60, 0x01,
                            0x64, 0x04, 0x00, 0x00, 0x00, 0x00, 0x53, 0x00};
    const Program p = analyze_contract(code, latest_revision);
    unsigned accesses = 0;
    for (const Instruction& i : p.blocks[0].instructions) {
        if (i.kind != Instruction::Kind::evm) { continue; }
        ++accesses;
        EXPECT_FALSE(i.in_bounds);
        EXPECT_EQ(i.reach, i.opcode == Opcode::mstore8 ? 1u : 32u);
    }
    EXPECT_EQ(accesses, 3u);
}

}  // namespace
}  // namespace millrace::evm::jit
