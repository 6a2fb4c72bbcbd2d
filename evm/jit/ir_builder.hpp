// SPDX-License-Identifier: Apache-2.0
// Owns the way from bytecode to the intermediate form.
#pragma once

#include "evm/core/code.hpp"
#include "evm/jit/ir.hpp"
#include "host/base/error.hpp"

namespace millrace::evm::jit {

/// What bounds the work of a compilation by construction: beyond these the interpreter takes over,
/// at the start of a block.
struct IrLimits {
    size_t blocks_max = 2'000;
    size_t instructions_max = 24'000;
    /// Copies of the code at one position, for different callers and heights of the stack.
    size_t copies_max = 128;
    /// Likewise where the height is not known: mostly the same function from deeper callers.
    size_t relative_copies_max = 1;
    /// Stack items that are values over the edge of a block; deeper ones are in the EVM's stack.
    size_t window_max = 64;
    size_t block_instructions_max = 200;
    /// Destinations that a jump to a computed place can lead to.
    size_t dynamic_entries_max = 1'024;
};

/// Builds the program of `code`: blocks are found from the start, jumps to constants are resolved,
/// a block is copied for each of its callers within the limits, so that internal functions are
/// inlined and return to known places. Linear in the limits.
Program build_program(const AnalyzedCode& code, Revision revision, const IrLimits& limits = {});

}  // namespace millrace::evm::jit
