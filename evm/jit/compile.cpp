// SPDX-License-Identifier: Apache-2.0
// Owns the order of a compilation's stages.
#include "evm/jit/compile.hpp"

#include "evm/jit/ir_facts.hpp"

namespace millrace::evm::jit {

Program analyze_contract(ByteView code, Revision revision, const IrLimits& limits) {
    Program program = build_program(AnalyzedCode{code}, revision, limits);
    remove_dead_values(program);
    leave_failing_paths(program);
    remove_dead_values(program);
    remove_redundant_parameters(program);
    remove_dead_values(program);
    infer_widths(program);
    infer_memory_bounds(program);
    return program;
}

Result<CompiledObject> compile_contract(ByteView code, Revision revision,
                                        const CompileLimits& limits) {
    if (code.empty() || code.size() > code_bytes_max) {
        return fail(ErrorCode::limit, "code of " + std::to_string(code.size()) +
                                          " bytes, only 1 to " + std::to_string(code_bytes_max) +
                                          " are compiled");
    }
    const Program program = analyze_contract(code, revision, limits.ir);
    CodegenOptions options;
    if (program.instruction_count > limits.optimized_instructions_max) {
        options.level = CodegenLevel::quick;
    }
    return compile_object(program, options);
}

}  // namespace millrace::evm::jit
