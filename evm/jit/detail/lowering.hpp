// SPDX-License-Identifier: Apache-2.0
// Owns the doorway to lowering: a program becomes a function of LLVM's.
#pragma once

#include "evm/jit/ir.hpp"

namespace llvm {
class Module;
}

namespace millrace::evm::jit {

/// Adds the function contract_symbol to the module, with declarations of the runtime's functions.
void lower_program(const Program& program, llvm::Module& module);

}  // namespace millrace::evm::jit
