// SPDX-License-Identifier: Apache-2.0
// Owns a digest of everything that the state transition does in one generated scenario.
#pragma once

#include <cstdint>

#include "evm/core/evm.hpp"
#include "host/base/types.hpp"

namespace millrace::evm::freestanding {

/// Generates the scenario of `seed` (tests/evm/differential) and runs it: Keccak-256 over status,
/// gas, refund, output, logs and every account afterwards. The only precompile is identity. Uses
/// no thread, file or clock: the same source runs on the host and on the freestanding machine.
Hash256 scenario_digest(uint64_t seed, Workspace& workspace);

}  // namespace millrace::evm::freestanding
