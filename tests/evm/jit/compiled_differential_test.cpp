// SPDX-License-Identifier: Apache-2.0
// Owns the comparison of the interpreter with machine code on generated worlds.
#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>

#include "evm/jit/engine.hpp"
#include "tests/evm/jit/outcome.hpp"
#include "tests/evm/jit/structured_program.hpp"

namespace millrace::evm::jit {
namespace {

uint64_t from_environment(const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

/// All code compiled before it runs, and trusted at once.
JitEngine& engine() {
    static const std::unique_ptr<JitEngine> made = [] {
        JitOptions options;
        options.mode = JitMode::eager;
        options.shadow_runs = 0;
        return JitEngine::create(std::move(options)).value();
    }();
    return *made;
}

/// MILLRACE_DIFF_SEED is the first seed, MILLRACE_DIFF_COUNT the number of seeds.
template <typename Make>
void compare_seeds(uint64_t usual_count, unsigned limits, Make&& make) {
    const uint64_t first = from_environment("MILLRACE_DIFF_SEED", 1);
    const uint64_t count = from_environment("MILLRACE_DIFF_COUNT", usual_count);
    unsigned failures = 0;
    const uint64_t frames = engine().statistics().native_frames;
    for (uint64_t seed = first; seed < first + count && failures < 3; ++seed) {
        Choices choices{seed};
        const Scenario scenario = make(choices);
        if (const auto finding = examine(scenario, engine(), choices, limits)) {
            ++failures;
            ADD_FAILURE() << "seed " << seed << "\n" << describe(minimized(*finding, engine()));
        }
    }
    const JitStatistics s = engine().statistics();
    EXPECT_GT(s.native_frames, frames + count);
    std::printf(
        "%llu frames, %llu left to the interpreter, %llu contracts compiled, %llu refused\n",
        static_cast<unsigned long long>(s.native_frames),
        static_cast<unsigned long long>(s.left_frames), static_cast<unsigned long long>(s.compiled),
        static_cast<unsigned long long>(s.refused_by_compiler + s.refused_for_room));
}

TEST(JitCompiled, AgreesOnGeneratedWorlds) {
    compare_seeds(60, 12, [](Choices& c) { return differential::generate_scenario(c); });
}

TEST(JitCompiled, AgreesOnStructuredPrograms) {
    compare_seeds(60, 24, [](Choices& c) { return structured_scenario(c); });
}

/// Large programs are compiled by fewer passes; here all are.
TEST(JitCompiled, AgreesWhenCompiledQuickly) {
    JitOptions options;
    options.mode = JitMode::eager;
    options.shadow_runs = 0;
    options.limits.optimized_instructions_max = 0;
    const auto quick = JitEngine::create(std::move(options)).value();
    for (uint64_t seed = 900; seed < 930; ++seed) {
        Choices choices{seed};
        const auto finding = examine(structured_scenario(choices), *quick, choices, 24);
        ASSERT_FALSE(finding) << "seed " << seed << "\n" << describe(*finding);
    }
    EXPECT_GT(quick->statistics().native_frames, 300u);
}

/// The gas ends at every instruction, and between what is paid for together.
TEST(JitCompiled, AgreesUnderEveryGasLimit) {
    constexpr uint64_t gas = 2'500;
    unsigned examined = 0;
    for (uint64_t seed = 1; seed <= 30; ++seed) {
        Choices choices{seed * 7919};
        const auto revision =
            static_cast<Revision>(choices.between(0, static_cast<uint64_t>(latest_revision)));
        Bytes input(192);
        for (size_t word = 0; word < 6; ++word) {
            input[32 * word + 31] = static_cast<uint8_t>(choices.below(9));
        }
        const Scenario s = call_of(structured_code(choices, revision), input, gas, revision);
        const auto finding = examine_every_limit(s, engine());
        ASSERT_FALSE(finding) << "seed " << seed << "\n" << describe(*finding);
        ++examined;
    }
    EXPECT_EQ(examined, 30u);
}

}  // namespace
}  // namespace millrace::evm::jit
