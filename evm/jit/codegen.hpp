// SPDX-License-Identifier: Apache-2.0
// Owns the way from the intermediate form to a relocatable object of machine code.
#pragma once

#include <string>

#include "evm/jit/ir.hpp"
#include "host/base/error.hpp"

namespace millrace::evm::jit {

/// Machine code of one contract.
struct CompiledObject {
    Bytes object;              ///< a relocatable ELF file with the symbol contract_symbol
    uint32_t stack_bytes = 0;  ///< of the machine's stack, for each frame
    uint32_t text_bytes = 0;
    bool optimized = false;  ///< CodegenLevel::optimized
};
inline constexpr const char* contract_symbol = "millrace_contract";

/// How much time the code is worth. Measured on the contracts of Uniswap V2: 30 ms for each KB of
/// bytecode against 100, with a time that grows linearly, for code that takes 1.1 to 1.6 times as
/// long (5 times in the tightest loops).
enum class CodegenLevel : uint8_t { quick, optimized };

struct CodegenOptions {
    CodegenLevel level = CodegenLevel::optimized;
    /// Keeps the code as text, for people.
    bool want_llvm = false;
    bool want_assembly = false;
};
struct CodegenText {
    std::string llvm;
    std::string assembly;
};

/// Whether this build can make machine code.
bool has_codegen() noexcept;
/// Name and features of this machine's CPU as far as generated code depends on them.
std::string codegen_cpu();

/// Compiles the program for this machine. Thread-safe. An error says what was refused.
Result<CompiledObject> compile_object(const Program& program, const CodegenOptions& options = {},
                                      CodegenText* text = nullptr);

}  // namespace millrace::evm::jit
