// SPDX-License-Identifier: Apache-2.0
// Owns linking by LLVM's ORC and JITLink.
#include <atomic>

#include <llvm/ExecutionEngine/JITLink/JITLinkMemoryManager.h>
#include <llvm/ExecutionEngine/Orc/LLJIT.h>
#include <llvm/ExecutionEngine/Orc/ObjectLinkingLayer.h>
#include <llvm/Support/TargetSelect.h>

#include "evm/jit/codegen.hpp"
#include "evm/jit/loader.hpp"

namespace millrace::evm::jit {
namespace {

std::unexpected<Error> refused(const char* what, llvm::Error error) {
    return fail(ErrorCode::internal, std::string(what) + ": " + llvm::toString(std::move(error)));
}

class OrcCode final : public LoadedCode {
public:
    OrcCode(llvm::orc::LLJIT& jit, llvm::orc::JITDylib& library) : jit_(jit), library_(library) {}
    ~OrcCode() override {
        // Nothing is left to be done when it fails: the pages stay.
        llvm::consumeError(jit_.getExecutionSession().removeJITDylib(library_));
    }

private:
    llvm::orc::LLJIT& jit_;
    llvm::orc::JITDylib& library_;
};

class OrcLoader final : public Loader {
public:
    explicit OrcLoader(std::unique_ptr<llvm::orc::LLJIT> jit) : jit_(std::move(jit)) {}

    Result<std::unique_ptr<LoadedCode>> load(ByteView object) override {
        const std::string name = "contract" + std::to_string(counter_.fetch_add(1));
        auto library = jit_->getExecutionSession().createJITDylib(name);
        if (!library) { return refused("cannot make a library", library.takeError()); }
        auto code = std::make_unique<OrcCode>(*jit_, *library);
        llvm::orc::SymbolMap symbols;
        for (const RuntimeSymbol& s : runtime_symbols()) {
            symbols[jit_->mangleAndIntern(s.name)] = {llvm::orc::ExecutorAddr::fromPtr(s.address),
                                                      llvm::JITSymbolFlags::Exported |
                                                          llvm::JITSymbolFlags::Callable};
        }
        if (auto e = library->define(llvm::orc::absoluteSymbols(std::move(symbols)))) {
            return refused("cannot define the runtime", std::move(e));
        }
        auto buffer = llvm::MemoryBuffer::getMemBufferCopy(
            llvm::StringRef(reinterpret_cast<const char*>(object.data()), object.size()), name);
        if (auto e = jit_->addObjectFile(*library, std::move(buffer))) {
            return refused("cannot add the object", std::move(e));
        }
        auto entry = jit_->lookup(*library, contract_symbol);
        if (!entry) { return refused("cannot link the object", entry.takeError()); }
        code->entry = entry->toPtr<ContractEntry>();
        return code;
    }

private:
    std::unique_ptr<llvm::orc::LLJIT> jit_;
    std::atomic<uint64_t> counter_{0};
};

}  // namespace

Result<std::unique_ptr<Loader>> Loader::create() {
    llvm::InitializeNativeTarget();
    llvm::InitializeNativeTargetAsmPrinter();
    llvm::orc::LLJITBuilder builder;
    builder.setObjectLinkingLayerCreator(
        [](llvm::orc::ExecutionSession& session, const llvm::Triple&) {
            return std::make_unique<llvm::orc::ObjectLinkingLayer>(session);
        });
    // Without a platform: contracts have no initialisers.
    builder.setPlatformSetUp(llvm::orc::setUpInactivePlatform);
    auto jit = builder.create();
    if (!jit) { return refused("cannot start LLVM's linker", jit.takeError()); }
    return std::make_unique<OrcLoader>(std::move(*jit));
}

}  // namespace millrace::evm::jit
