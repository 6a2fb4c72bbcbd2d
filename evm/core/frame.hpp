// SPDX-License-Identifier: Apache-2.0
// Owns the running frame: what the interpreter keeps outside of registers.
#pragma once

#include "evm/core/evm.hpp"

// The calling convention that keeps the interpreter's four values in registers; ASan cannot
// compile it (build notes), other compilers and machines do not know it.
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MILLRACE_NO_PRESERVE_NONE 1
#endif
#endif
#if defined(__clang__) && (defined(__x86_64__) || defined(__aarch64__)) && \
    !defined(MILLRACE_NO_PRESERVE_NONE)
#define MILLRACE_PRESERVE_NONE __attribute__((preserve_none))
#else
#define MILLRACE_PRESERVE_NONE
#endif

namespace millrace::evm {

struct Frame;
struct Dispatch;

/// One instruction. `sp` points at the top of the stack, `gas` is what is left, `table` is
/// frame->dispatch. Ends in a tail call of the next instruction, or returns the frame's status.
typedef Status (*Instruction)(const uint8_t* pc, U256* sp, int64_t gas, Frame* frame,
                              const Dispatch* table) MILLRACE_PRESERVE_NONE;

/// Instruction table of one revision.
struct Dispatch {
    Instruction op[256];
};

struct Frame {
    /// The fast table, whose instructions lean on run checks, or the checked one. The fast one
    /// changes to the checked one when a run check fails, so that the frame fails by exact rules.
    const Dispatch* dispatch = nullptr;
    const Dispatch* checked = nullptr;
    const RunCheck* runs = nullptr;  ///< of the code, by position; null while it has none
    /// Jumps that the checked table takes before it asks whether the code is worth run checks; 0
    /// when it is not to ask.
    uint32_t jumps_until_note = 0;
    uint32_t jumps_noted = 0;  ///< what it counts down from
    const uint8_t* code_begin = nullptr;
    /// One below the first element: the stack is empty when sp == stack_base.
    U256* stack_base = nullptr;
    uint8_t* memory = nullptr;
    uint64_t memory_size = 0;   ///< bytes, a multiple of 32
    uint64_t memory_limit = 0;  ///< bytes that the workspace has left from `memory`
    const AnalyzedCode* code = nullptr;
    const Message* message = nullptr;
    Evm* evm = nullptr;
    TxState* state = nullptr;
    TxAccount* self = nullptr;  ///< record of message->recipient
    Bytes* return_data = nullptr;
    Revision revision = latest_revision;

    // Set when compiled code leaves the rest of the frame to the interpreter (native.hpp).
    uint64_t resume_position = 0;
    U256* resume_sp = nullptr;

    // Set when the frame ends, and then too.
    int64_t gas_left = 0;
    uint64_t output_offset = 0;
    uint64_t output_size = 0;
};

/// Runs the frame's code from its start; fills gas_left and the output range.
Status execute(Frame& frame, int64_t gas);

}  // namespace millrace::evm
