// SPDX-License-Identifier: Apache-2.0
// Owns the fuzz target of the precompiles: any input at any fork gives a well-formed outcome, the
// same twice, and the price it names is the price that suffices.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstdlib>

#include "evm/precompiles/standard.hpp"

namespace {

using namespace millrace;
using namespace millrace::evm;

void require(bool condition) {
    if (!condition) { std::abort(); }
}

}  // namespace

/// Input: the precompile's number (0x12 stands for 0x100), the fork, then the call's input.
extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
    if (size < 2) { return 0; }
    Address address;
    const uint8_t number = data[0] % 0x13;
    address[18] = number == 0x12 ? 1 : 0;
    address[19] = number == 0x12 ? 0 : number;
    const Revision revision = static_cast<Revision>(data[1] % revision_count);
    const ByteView input{data + 2, size - 2};

    // Enough for every fixed price, small enough for one run to stay short.
    constexpr uint64_t gas = 500'000;
    const StandardPrecompiles set;
    const PrecompileOutcome first = set.run(address, input, gas, revision);
    if (!first.success) {
        require(first.gas_used == 0 && first.output.empty());
        return 0;
    }
    require(set.contains(address, revision));
    require(first.gas_used <= gas);
    const PrecompileOutcome exact = set.run(address, input, first.gas_used, revision);
    require(exact.success && exact.gas_used == first.gas_used && exact.output == first.output);
    if (first.gas_used > 0) {
        require(!set.run(address, input, first.gas_used - 1, revision).success);
    }
    return 0;
}
