// SPDX-License-Identifier: Apache-2.0
// Owns the whole way from bytecode to an object, and the text of its stages for people.
#pragma once

#include "evm/jit/codegen.hpp"
#include "evm/jit/ir_builder.hpp"

namespace millrace::evm::jit {

/// Longer code is not compiled: what a creation may leave, and as much again.
inline constexpr size_t code_bytes_max = 48 * 1024;

/// The program of `code` with everything that is known of it.
Program analyze_contract(ByteView code, Revision revision, const IrLimits& limits = {});

struct CompileLimits {
    IrLimits ir;
    /// Programs of more instructions are compiled by CodegenLevel::quick.
    size_t optimized_instructions_max = 4'000;
};

/// Compiles `code` for this machine; the error says why it is refused. Thread-safe.
Result<CompiledObject> compile_contract(ByteView code, Revision revision,
                                        const CompileLimits& limits = {});

}  // namespace millrace::evm::jit
