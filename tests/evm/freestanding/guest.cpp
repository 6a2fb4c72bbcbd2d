// SPDX-License-Identifier: Apache-2.0
// Owns the freestanding program: it prints the digest of each scenario, for freestanding_test to
// compare.
#include "host/base/hex.hpp"
#include "tests/evm/freestanding/machine.hpp"
#include "tests/evm/freestanding/scenario_digest.hpp"

namespace millrace::evm::freestanding {

int run_guest(uint64_t first_seed, uint64_t count) {
    Workspace workspace;
    for (uint64_t seed = first_seed; seed < first_seed + count; ++seed) {
        write_line(to_hex(scenario_digest(seed, workspace).bytes));
    }
    return 0;
}

}  // namespace millrace::evm::freestanding
