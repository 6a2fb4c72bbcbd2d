// SPDX-License-Identifier: Apache-2.0
// Owns the fuzz target that compares the engine with the naive implementation of the EVM.
#include <cstddef>
#include <cstdint>
#include <cstdio>

#include "host/base/error.hpp"
#include "tests/evm/differential/comparison.hpp"

using namespace millrace;
using namespace millrace::evm::differential;

/// The input is the list of the generator's decisions.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    Choices choices{ByteView{data, size}};
    Scenario scenario = generate_scenario(choices);
    // A target must be quick; long loops are the work of the property test.
    constexpr uint64_t gas_max = 300'000;
    if (scenario.gas > gas_max) { scenario = with_gas(scenario, gas_max); }
    if (const auto finding = examine(scenario, choices)) {
        std::fputs(describe(minimized(*finding)).c_str(), stderr);
        MILLRACE_ASSERT(false, "the engine and the naive implementation differ");
    }
    return 0;
}
