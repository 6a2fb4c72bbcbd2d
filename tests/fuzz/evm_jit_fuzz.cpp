// SPDX-License-Identifier: Apache-2.0
// Owns the fuzz target that compares compiled contracts, and their intermediate form, with the
// interpreter.
#include <cstddef>
#include <cstdint>
#include <cstdio>

#include "evm/jit/engine.hpp"
#include "host/base/error.hpp"
#include "tests/evm/jit/ir_machine.hpp"
#include "tests/evm/jit/outcome.hpp"
#include "tests/evm/jit/structured_program.hpp"

using namespace millrace;
using namespace millrace::evm;
using namespace millrace::evm::jit;

namespace {

/// Without LLVM the intermediate form is compared alone.
JitEngine* engine() {
    static const std::unique_ptr<JitEngine> made = [] {
        JitOptions options;
        options.mode = JitMode::eager;
        options.shadow_runs = 0;
        auto engine = JitEngine::create(std::move(options));
        return engine ? std::move(*engine) : nullptr;
    }();
    return made.get();
}

void compare(const Scenario& scenario, NativeTier& tier, Choices choices, const char* name) {
    if (const auto finding = examine(scenario, tier, choices, 4)) {
        std::fputs(describe(minimized(*finding, tier)).c_str(), stderr);
        std::fputs(name, stderr);
        MILLRACE_ASSERT(false, "a tier and the interpreter differ");
    }
}

}  // namespace

/// The input is the list of the generator's decisions. The first one is what is compared: compiling
/// takes a hundred times as long as the intermediate form, and is left out for most inputs.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Choices choices{ByteView{data, size}};
    const uint64_t kind = choices.below(16);
    Scenario scenario =
        kind % 4 == 0 ? differential::generate_scenario(choices) : structured_scenario(choices);
    constexpr uint64_t gas_max = 300'000;
    if (scenario.gas > gas_max) { scenario = with_gas(scenario, gas_max); }
    IrMachine machine;
    compare(scenario, machine, choices, "the intermediate form differs\n");
    for (const std::string& v : machine.violations()) { std::fprintf(stderr, "%s\n", v.c_str()); }
    MILLRACE_ASSERT(machine.violations().empty(), "a fact about a program does not hold");
    if (kind < 2 && engine() != nullptr) {
        compare(scenario, *engine(), choices, "the machine code differs\n");
    }
    return 0;
}
