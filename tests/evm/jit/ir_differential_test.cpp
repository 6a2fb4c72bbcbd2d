// SPDX-License-Identifier: Apache-2.0
// Owns the comparison of the interpreter with programs of the intermediate form on generated
// worlds.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

#include "evm/jit/ir_facts.hpp"
#include "tests/evm/jit/ir_machine.hpp"
#include "tests/evm/jit/outcome.hpp"
#include "tests/evm/jit/structured_program.hpp"

namespace millrace::evm::jit {
namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

/// MILLRACE_DIFF_SEED is the first seed, MILLRACE_DIFF_COUNT the number of seeds.
template <typename Make>
void compare_seeds(uint64_t usual_count, IrMachine& machine, Make&& make) {
    const uint64_t first = from_environment("MILLRACE_DIFF_SEED", 1);
    const uint64_t count = from_environment("MILLRACE_DIFF_COUNT", usual_count);
    unsigned failures = 0;
    for (uint64_t seed = first; seed < first + count && failures < 3; ++seed) {
        Choices choices{seed};
        const Scenario scenario = make(choices);
        if (const auto finding = examine(scenario, machine, choices, 4)) {
            ++failures;
            ADD_FAILURE() << "seed " << seed << "\n" << describe(minimized(*finding, machine));
        }
        for (const std::string& v : machine.violations()) {
            ++failures;
            ADD_FAILURE() << "seed " << seed << ": " << v;
        }
        if (!machine.violations().empty()) { break; }
    }
    EXPECT_GT(machine.blocks_entered(), 4 * count);
    std::printf("%llu frames, %llu left to the interpreter, %llu blocks entered\n",
                static_cast<unsigned long long>(machine.frames()),
                static_cast<unsigned long long>(machine.left_frames()),
                static_cast<unsigned long long>(machine.blocks_entered()));
}

TEST(JitIr, AgreesOnGeneratedWorlds) {
    IrMachine machine;
    compare_seeds(1'500, machine, [](Choices& c) { return differential::generate_scenario(c); });
}

TEST(JitIr, AgreesOnStructuredPrograms) {
    IrMachine machine;
    compare_seeds(1'500, machine, [](Choices& c) { return structured_scenario(c); });
}

/// Every limit cuts programs somewhere else: the interpreter takes over there, with the stack that
/// it would have had.
TEST(JitIr, AgreesUnderAnyLimits) {
    IrLimits limits;
    IrMachine machine{
        [&limits](ByteView code, Revision r) { return analyze_contract(code, r, limits); }};
    compare_seeds(1'500, machine, [&](Choices& c) {
        limits.blocks_max = c.between(1, 40);
        limits.instructions_max = c.between(1, 400);
        limits.copies_max = c.between(1, 4);
        limits.relative_copies_max = c.between(1, 3);
        limits.window_max = c.one_in(2) ? c.below(6) : c.below(80);
        limits.block_instructions_max = c.between(1, c.one_in(2) ? 8 : 200);
        limits.dynamic_entries_max = c.below(12);
        machine.forget();
        return structured_scenario(c);
    });
}

/// Without the passes behind the builder: a fault of a pass cannot hide one of the builder.
TEST(JitIr, AgreesWithoutPasses) {
    IrMachine machine{[](ByteView code, Revision r) {
        Program p = build_program(AnalyzedCode{code}, r);
        infer_widths(p);
        infer_memory_bounds(p);
        return p;
    }};
    compare_seeds(700, machine, [](Choices& c) { return structured_scenario(c); });
}

}  // namespace
}  // namespace millrace::evm::jit
