// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the intermediate form: small programs as text, and what bounds its size.
#include "evm/jit/ir_builder.hpp"

#include <gtest/gtest.h>

#include "evm/jit/compile.hpp"
#include "tests/evm/jit/hostile_code.hpp"
#include "tests/evm/jit/ir_machine.hpp"
#include "tests/evm/jit/outcome.hpp"

namespace millrace::evm::jit {
namespace {

std::string text_of(const Bytes& code) { return to_text(analyze_contract(code, latest_revision)); }

TEST(JitIrBuilder, ConstantsAreFoldedAndTheStackIsGone) {
    // MSTORE(0, 2 + 3), RETURN(0, 32)
    EXPECT_EQ(
        text_of({0x60, 0x02, 0x60, 0x03, 0x01, 0x60, 0x00, 0x52, 0x60, 0x20, 0x60, 0x00, 0xf3}),
        "; Osaka, 1 blocks, 3 instructions, 0 cut\n"
        "b0() at 0, height 0\n"
        "    charge 21\n"
        "    MSTORE 0, 5\n"
        "    step RETURN 0, 32\n"
        "    end\n");
}

TEST(JitIrBuilder, ALoopKeepsItsCounterInAValue) {
    // for (n = CALLDATASIZE; n - 1 != 0; n = n - 1)
    const std::string text =
        text_of({0x36, 0x5b, 0x60, 0x01, 0x90, 0x03, 0x80, 0x60, 0x01, 0x57, 0x00});
    EXPECT_NE(text.find("jump b1(v0:64)"), std::string::npos) << text;
    EXPECT_NE(text.find("branch v3 ? b1(v3) : b2()"), std::string::npos) << text;
}

TEST(JitIrBuilder, AnInternalFunctionReturnsToAKnownPlace) {
    // f(f(CALLDATASIZE)) with f(x) = x + x, both calls inlined: nothing is dynamic.
    const Bytes program = {0x60, 0x06, 0x36, 0x60, 0x14, 0x56,        // 0: call, back to 6
                           0x5b, 0x60, 0x0d, 0x90, 0x60, 0x14, 0x56,  // 6: again, back to 13
                           0x5b, 0x60, 0x00, 0x52, 0x00, 0x00, 0x00,  // 13: MSTORE(0, x), STOP
                           0x5b, 0x80, 0x01, 0x90, 0x56};             // 20: DUP1 ADD SWAP1 JUMP
    const Program p = analyze_contract(program, latest_revision);
    EXPECT_TRUE(p.dynamic_entries.empty()) << to_text(p);
    for (const Block& b : p.blocks) {
        EXPECT_NE(b.end, Block::End::dynamic) << to_text(p);
        EXPECT_FALSE(b.relative);
    }
    IrMachine machine;
    const Scenario scenario = call_of(program, Bytes(7, 0), 10'000);
    EXPECT_FALSE(examine_every_limit(scenario, machine));
    EXPECT_EQ(machine.left_frames(), 0u);
}

void expect_bounded(const Program& p, const IrLimits& limits, const std::string& name,
                    size_t code_bytes) {
    // What is there when a limit is met is still ended: by one block for each place in the code
    // that is left to the interpreter, and by the instruction that was begun.
    EXPECT_LE(p.blocks.size(), limits.blocks_max + 2 * limits.instructions_max + code_bytes)
        << name;
    EXPECT_LE(p.instruction_count, limits.instructions_max + limits.block_instructions_max + 64)
        << name;
    EXPECT_LE(p.dynamic_entries.size(), limits.dynamic_entries_max) << name;
    size_t compiled_blocks = 0;
    for (const Block& b : p.blocks) {
        EXPECT_LE(b.instructions.size(), limits.block_instructions_max + 32) << name;
        EXPECT_LE(b.parameters.size(), limits.window_max) << name;
        compiled_blocks += b.instructions.empty() ? 0 : 1;
    }
    EXPECT_LE(compiled_blocks, limits.blocks_max + 1) << name;
}

TEST(JitIrBuilder, LimitsBoundHostileCode) {
    IrLimits small;
    small.blocks_max = 20;
    small.instructions_max = 300;
    small.copies_max = 2;
    small.window_max = 7;
    small.block_instructions_max = 10;
    small.dynamic_entries_max = 5;
    for (const size_t bytes : {size_t{4'000}, size_t{24'576}, size_t{49'152}}) {
        for (const HostileCode& h : hostile_codes(bytes)) {
            EXPECT_LE(h.code.size(), bytes) << h.name;
            for (const IrLimits& limits : {IrLimits{}, small}) {
                const Program p = build_program(AnalyzedCode{h.code}, latest_revision, limits);
                expect_bounded(p, limits, h.name, h.code.size());
            }
        }
    }
}

/// What is cut is left to the interpreter in the right state, and nothing is lost by it.
TEST(JitIrBuilder, HostileCodeRunsAsInTheInterpreter) {
    IrMachine machine;
    for (const HostileCode& h : hostile_codes(49'152)) {
        for (const uint64_t gas : {uint64_t{1'000}, uint64_t{50'000}, uint64_t{200'000}}) {
            const Scenario scenario = call_of(h.code, Bytes(200, 3), gas);
            EXPECT_EQ(difference(run(scenario, nullptr), run(scenario, &machine)), "") << h.name;
        }
    }
    EXPECT_EQ(machine.violations(), std::vector<std::string>{});
}

}  // namespace
}  // namespace millrace::evm::jit
