// SPDX-License-Identifier: Apache-2.0
// Owns the writer of programs that are hard for a compiler: loops, internal functions, jump tables.
#pragma once

#include "tests/evm/jit/outcome.hpp"

namespace millrace::evm::jit {

/// Code with loops that count, functions with return addresses on the stack that are called from
/// many heights and by themselves, jump tables, shifts and extensions by constants and by values,
/// words carried over blocks, dead code, deep DUP and SWAP, and accesses at a base and a distance.
/// It shows what it has computed. The same choices give the same code.
Bytes structured_code(Choices& choices, Revision revision);

/// A generated world (tests/evm/differential) whose contracts are structured code, mostly.
Scenario structured_scenario(Choices& choices);

}  // namespace millrace::evm::jit
