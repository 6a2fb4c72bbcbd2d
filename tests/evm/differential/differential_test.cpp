// SPDX-License-Identifier: Apache-2.0
// Owns the runs of the differential comparison: generated worlds, and faults that it must find.
#include <gtest/gtest.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <map>

#include "evm/core/opcodes.hpp"
#include "tests/evm/differential/comparison.hpp"

namespace millrace::evm::differential {
namespace {

using Clock = std::chrono::steady_clock;

uint64_t from_environment(const char* name, uint64_t otherwise) {
    const char* text = std::getenv(name);
    return text == nullptr ? otherwise : std::strtoull(text, nullptr, 0);
}

std::optional<Finding> examine_seed(uint64_t seed, Fault fault = Fault::none) {
    Choices choices{seed};
    const Scenario scenario = generate_scenario(choices);
    return examine(scenario, choices, fault);
}

/// MILLRACE_DIFF_SEED is the first seed, MILLRACE_DIFF_COUNT the number of seeds,
/// MILLRACE_DIFF_SECONDS the time to spend instead of a number of seeds. Under a sanitizer the
/// usual number would take minutes: a minute is enough there.
TEST(EvmDifferential, EngineAgreesWithTheNaiveImplementation) {
    const uint64_t first = from_environment("MILLRACE_DIFF_SEED", 1);
    const uint64_t seconds = from_environment("MILLRACE_DIFF_SECONDS", 0);
    uint64_t count = from_environment("MILLRACE_DIFF_COUNT", 10'000);
    if (seconds != 0) { count = ~uint64_t{0} - first; }
    constexpr uint64_t seconds_max = 60;
    const auto end = Clock::now() + std::chrono::seconds(seconds != 0 ? seconds : seconds_max);
    uint64_t seed = first;
    unsigned failures = 0;
    for (; seed < first + count && Clock::now() < end; ++seed) {
        if (const auto finding = examine_seed(seed)) {
            ADD_FAILURE() << "seed " << seed
                          << " (repeat: MILLRACE_DIFF_COUNT=1 MILLRACE_DIFF_SEED=" << seed << ")\n"
                          << describe(minimized(*finding));
            if (++failures == 3) { break; }
        }
    }
    std::printf("seeds %llu to %llu\n", static_cast<unsigned long long>(first),
                static_cast<unsigned long long>(seed - 1));
}

/// A comparison of runs that all fail at once would agree too.
TEST(EvmDifferential, GeneratedWorldsReachEveryInstructionAndEveryKindOfError) {
    std::array<uint64_t, 256> opcodes{};
    std::map<Status, unsigned> statuses;
    std::map<Revision, unsigned> revisions;
    unsigned refused = 0;
    int depth_max = 0;
    for (uint64_t seed = 1; seed <= 4000; ++seed) {
        Choices choices{seed};
        const Scenario scenario = generate_scenario(choices);
        const Comparison c = compare(scenario);
        for (size_t i = 0; i < 256; ++i) { opcodes[i] += c.opcodes[i]; }
        depth_max = std::max(depth_max, c.depth_max);
        refused += c.refused ? 1 : 0;
        if (!c.refused) { ++statuses[c.status]; }
        ++revisions[scenario.revision];
    }
    for (unsigned op = 0; op < 256; ++op) {
        if (opcode_name(static_cast<uint8_t>(op)) != "UNDEFINED") {
            EXPECT_GE(opcodes[op], 20u) << opcode_name(static_cast<uint8_t>(op));
        }
    }
    for (const Status s :
         {Status::revert, Status::out_of_gas, Status::undefined_instruction,
          Status::invalid_instruction, Status::stack_underflow, Status::stack_overflow,
          Status::bad_jump_destination, Status::static_mode_violation,
          Status::return_data_out_of_bounds, Status::code_starts_with_ef}) {
        EXPECT_GE(statuses[s], 5u) << to_string(s);
    }
    EXPECT_GE(statuses[Status::success], 1000u);
    EXPECT_EQ(revisions.size(), static_cast<size_t>(revision_count));
    EXPECT_EQ(depth_max, 1024);
    EXPECT_LT(refused, 400u);
    for (const auto& [status, count] : statuses) {
        std::printf("%5u %s\n", count, std::string(to_string(status)).c_str());
    }
}

class EvmDifferentialFault : public testing::TestWithParam<int> {};

TEST_P(EvmDifferentialFault, IsFound) {
    const auto fault = static_cast<Fault>(GetParam());
    for (uint64_t seed = 1; seed <= 20'000; ++seed) {
        if (examine_seed(seed, fault)) {
            std::printf("found with seed %llu\n", static_cast<unsigned long long>(seed));
            return;
        }
    }
    FAIL() << "no scenario tells " << to_string(fault) << " from the engine";
}

INSTANTIATE_TEST_SUITE_P(Mutants, EvmDifferentialFault,
                         testing::Range(1, static_cast<int>(Fault::last)), [](const auto& param) {
                             return std::string(to_string(static_cast<Fault>(param.param)));
                         });

}  // namespace
}  // namespace millrace::evm::differential
