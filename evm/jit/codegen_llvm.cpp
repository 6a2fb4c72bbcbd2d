// SPDX-License-Identifier: Apache-2.0
// Owns LLVM's part of a compilation: a short list of passes that take linear time, and the
// emission.
#include <mutex>

#include <llvm/ADT/SmallVector.h>
#include <llvm/Analysis/CGSCCPassManager.h>
#include <llvm/Analysis/LoopAnalysisManager.h>
#include <llvm/IR/LLVMContext.h>
#include <llvm/IR/LegacyPassManager.h>
#include <llvm/IR/Module.h>
#include <llvm/IR/Verifier.h>
#include <llvm/MC/TargetRegistry.h>
#include <llvm/Object/ObjectFile.h>
#include <llvm/Passes/PassBuilder.h>
#include <llvm/Support/TargetSelect.h>
#include <llvm/Support/raw_ostream.h>
#include <llvm/Target/TargetMachine.h>
#include <llvm/TargetParser/Host.h>
#include <llvm/Transforms/InstCombine/InstCombine.h>
#include <llvm/Transforms/Scalar/EarlyCSE.h>
#include <llvm/Transforms/Scalar/SimplifyCFG.h>

#include "evm/jit/codegen.hpp"
#include "evm/jit/detail/lowering.hpp"

namespace millrace::evm::jit {
namespace {

std::string host_features() {
    std::string out;
    for (const auto& f : llvm::sys::getHostCPUFeatures()) {
        // Words are handled limb by limb; with AVX-512 a pass of the back end (domain reassignment)
        // takes a time that is not linear.
        const bool wide = f.getKey().starts_with("avx512");
        out += (out.empty() ? "" : ",") + std::string(f.getValue() && !wide ? "+" : "-") +
               f.getKey().str();
    }
    return out;
}

void initialize() {
    static std::once_flag once;
    std::call_once(once, [] {
        llvm::InitializeNativeTarget();
        llvm::InitializeNativeTargetAsmPrinter();
    });
}

std::unique_ptr<llvm::TargetMachine> make_machine(llvm::CodeGenOptLevel level) {
    const std::string triple = llvm::sys::getProcessTriple();
    std::string error;
    const llvm::Target* target = llvm::TargetRegistry::lookupTarget(triple, error);
    if (target == nullptr) { return nullptr; }
    llvm::TargetOptions options;
    options.EmitStackSizeSection = true;
    return std::unique_ptr<llvm::TargetMachine>(
        target->createTargetMachine(triple, llvm::sys::getHostCPUName(), host_features(), options,
                                    llvm::Reloc::PIC_, llvm::CodeModel::Small, level, true));
}

void optimize(llvm::Module& module, llvm::TargetMachine& machine, CodegenLevel level) {
    llvm::LoopAnalysisManager loops;
    llvm::FunctionAnalysisManager functions;
    llvm::CGSCCAnalysisManager components;
    llvm::ModuleAnalysisManager modules;
    llvm::PassBuilder builder(&machine);
    builder.registerModuleAnalyses(modules);
    builder.registerCGSCCAnalyses(components);
    builder.registerFunctionAnalyses(functions);
    builder.registerLoopAnalyses(loops);
    builder.crossRegisterProxies(loops, functions, components, modules);
    llvm::FunctionPassManager passes;
    passes.addPass(llvm::SimplifyCFGPass());
    passes.addPass(llvm::EarlyCSEPass(true));
    // It looks at all users of a word that is used, and at all comparisons before: quadratic time
    // in large programs.
    if (level != CodegenLevel::quick) { passes.addPass(llvm::InstCombinePass()); }
    passes.addPass(llvm::SimplifyCFGPass());
    passes.addPass(llvm::EarlyCSEPass(true));
    llvm::ModulePassManager manager;
    manager.addPass(llvm::createModuleToFunctionPassAdaptor(std::move(passes)));
    manager.run(module, modules);
}

std::string printed(const llvm::Module& module) {
    std::string out;
    llvm::raw_string_ostream stream(out);
    module.print(stream, nullptr);
    return out;
}

Result<llvm::SmallVector<char, 0>> emit(llvm::Module& module, llvm::TargetMachine& machine,
                                        llvm::CodeGenFileType type) {
    llvm::SmallVector<char, 0> out;
    llvm::raw_svector_ostream stream(out);
    llvm::legacy::PassManager passes;
    if (machine.addPassesToEmitFile(passes, stream, nullptr, type)) {
        return fail(ErrorCode::internal, "LLVM cannot emit code for this machine");
    }
    passes.run(module);
    return out;
}

/// Reads what the object says of itself.
Result<CompiledObject> describe(llvm::SmallVector<char, 0> bytes) {
    CompiledObject out;
    bool says_stack = false;  // none at all is an answer too
    out.object.assign(bytes.begin(), bytes.end());
    const llvm::MemoryBufferRef buffer({bytes.data(), bytes.size()}, "contract");
    auto file = llvm::object::ObjectFile::createObjectFile(buffer);
    if (!file) {
        return fail(ErrorCode::internal, "LLVM emitted an object that it cannot read: " +
                                             llvm::toString(file.takeError()));
    }
    for (const llvm::object::SectionRef& section : (*file)->sections()) {
        auto name = section.getName();
        auto contents = section.getContents();
        if (!name || !contents) {
            llvm::consumeError(name.takeError());
            llvm::consumeError(contents.takeError());
            continue;
        }
        if (section.isText()) { out.text_bytes += static_cast<uint32_t>(section.getSize()); }
        // An address of 8 bytes, to be relocated, and the size as ULEB128; one function.
        if (*name == ".stack_sizes" && contents->size() > 8) {
            uint64_t size = 0;
            unsigned shift = 0;
            for (size_t i = 8; i < contents->size() && shift < 35; ++i, shift += 7) {
                size |= static_cast<uint64_t>((*contents)[i] & 0x7f) << shift;
                if (((*contents)[i] & 0x80) == 0) { break; }
            }
            out.stack_bytes = static_cast<uint32_t>(size);
            says_stack = true;
        }
    }
    if (out.text_bytes == 0 || !says_stack) {
        return fail(ErrorCode::internal, "LLVM's object has no code or does not say its stack");
    }
    return out;
}

}  // namespace

bool has_codegen() noexcept { return true; }

std::string codegen_cpu() { return llvm::sys::getHostCPUName().str() + " " + host_features(); }

Result<CompiledObject> compile_object(const Program& program, const CodegenOptions& options,
                                      CodegenText* text) {
    initialize();
    llvm::LLVMContext context;
    llvm::Module module("contract", context);
    const auto machine =
        make_machine(options.level == CodegenLevel::quick ? llvm::CodeGenOptLevel::None
                                                          : llvm::CodeGenOptLevel::Less);
    if (machine == nullptr) {
        return fail(ErrorCode::unavailable, "LLVM has no code generator for this machine");
    }
    module.setDataLayout(machine->createDataLayout());
    module.setTargetTriple(machine->getTargetTriple().str());
    lower_program(program, module);
    std::string problem;
    llvm::raw_string_ostream stream(problem);
    if (llvm::verifyModule(module, &stream)) {
        return fail(ErrorCode::internal, "the lowered program is not well-formed: " + problem);
    }
    optimize(module, *machine, options.level);
    if (text != nullptr && options.want_llvm) { text->llvm = printed(module); }
    if (text != nullptr && options.want_assembly) {
        // Emission changes the module: it works on a copy of the text.
        auto lines = emit(module, *machine, llvm::CodeGenFileType::AssemblyFile);
        if (!lines) { return std::unexpected(lines.error()); }
        text->assembly.assign(lines->begin(), lines->end());
        return compile_object(program, {options.level, false, false});
    }
    auto bytes = emit(module, *machine, llvm::CodeGenFileType::ObjectFile);
    if (!bytes) { return std::unexpected(bytes.error()); }
    MILLRACE_TRY(CompiledObject out, describe(std::move(*bytes)));
    out.optimized = options.level == CodegenLevel::optimized;
    return out;
}

}  // namespace millrace::evm::jit
