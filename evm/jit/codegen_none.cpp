// SPDX-License-Identifier: Apache-2.0
// Owns what a build without LLVM answers: that contracts run in the interpreter.
#include "evm/jit/codegen.hpp"
#include "evm/jit/loader.hpp"

namespace millrace::evm::jit {
namespace {

std::unexpected<Error> absent() {
    return fail(ErrorCode::unavailable,
                "this build has no compiler for contracts: it was made without LLVM 19");
}

}  // namespace

bool has_codegen() noexcept { return false; }
std::string codegen_cpu() { return "none"; }
Result<CompiledObject> compile_object(const Program&, const CodegenOptions&, CodegenText*) {
    return absent();
}
Result<std::unique_ptr<Loader>> Loader::create() { return absent(); }

}  // namespace millrace::evm::jit
