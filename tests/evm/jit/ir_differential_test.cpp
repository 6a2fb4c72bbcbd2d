// SPDX-License-Identifier: Apache-2.0
// Owns the comparison of the interpreter with programs of the intermediate form on generated
// worlds.
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>

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
void compare_seeds(uint64_t usual_count, Make&& make) {
    const uint64_t first = from_environment("MILLRACE_DIFF_SEED", 1);
    const uint64_t count = from_environment("MILLRACE_DIFF_COUNT", usual_count);
    IrMachine machine;
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
    EXPECT_GT(machine.blocks_entered(), 10 * count);
    std::printf("%llu frames, %llu left to the interpreter, %llu blocks entered\n",
                static_cast<unsigned long long>(machine.frames()),
                static_cast<unsigned long long>(machine.left_frames()),
                static_cast<unsigned long long>(machine.blocks_entered()));
}

TEST(JitIr, AgreesOnGeneratedWorlds) {
    compare_seeds(1'500, [](Choices& c) { return differential::generate_scenario(c); });
}

TEST(JitIr, AgreesOnStructuredPrograms) {
    compare_seeds(1'500, [](Choices& c) { return structured_scenario(c); });
}

}  // namespace
}  // namespace millrace::evm::jit
