// SPDX-License-Identifier: Apache-2.0
// Owns a tier that runs programs of the intermediate form as they are written: an oracle for
// everything between bytecode and LLVM.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "evm/core/native.hpp"
#include "evm/jit/compile.hpp"

namespace millrace::evm::jit {

/// Beside running a program it checks what the later stages rely on: each value stays below its
/// width and is there before it is used, accesses to memory that are marked as in bounds are, and
/// the growth before the others covers them. One thread.
class IrMachine final : public NativeTier {
public:
    using Compiler = std::function<Program(ByteView code, Revision revision)>;
    IrMachine();
    explicit IrMachine(Compiler compiler) : compiler_(std::move(compiler)) {}

    NativeOutcome execute(Frame& frame, int64_t gas) override;
    void note(const Frame&, int64_t) noexcept override {}

    /// Programs are made anew, as after a change of what the compiler does.
    void forget() { programs_.clear(); }

    /// Facts that did not hold, since the start.
    const std::vector<std::string>& violations() const noexcept { return violations_; }
    uint64_t frames() const noexcept { return frames_; }
    uint64_t left_frames() const noexcept { return left_frames_; }
    uint64_t blocks_entered() const noexcept { return blocks_entered_; }

private:
    friend class IrRun;
    std::shared_ptr<const Program> program_of(const Frame& frame);
    void violated(std::string what);

    Compiler compiler_;
    std::map<std::pair<Hash256, Revision>, std::shared_ptr<const Program>> programs_;
    std::vector<std::string> violations_;
    uint64_t frames_ = 0;
    uint64_t left_frames_ = 0;
    uint64_t blocks_entered_ = 0;
};

}  // namespace millrace::evm::jit
