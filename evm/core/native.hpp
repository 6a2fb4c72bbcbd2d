// SPDX-License-Identifier: Apache-2.0
// Owns the doorway between the interpreter and compiled code: how a tier above the interpreter runs
// a frame, and how it hands single instructions, or the rest of a frame, back to it.
#pragma once

#include "evm/core/frame.hpp"

namespace millrace::evm {

/// What a tier did with a frame.
struct NativeOutcome {
    enum class Kind : uint8_t {
        declined,     ///< nothing was run: the interpreter runs the frame
        ended,        ///< the frame has ended with `status`; gas_left and the output are set
        interpreted,  ///< the interpreter goes on at `position` with the stack up to `sp` and `gas`
    };
    Kind kind = Kind::declined;
    Status status = Status::success;
    uint64_t position = 0;
    U256* sp = nullptr;
    int64_t gas = 0;
};

/// A tier above the interpreter, shared by all workers: thread-safe. Its results are those of the
/// interpreter, to the gas and the kind of an error.
class NativeTier {
public:
    virtual ~NativeTier() = default;
    /// Asked before each frame that is not traced, with the gas that it begins with. The frame's
    /// code_begin is set.
    virtual NativeOutcome execute(Frame& frame, int64_t gas) = 0;
    /// The interpreter has run a frame of this code for `gas`, that of its calls included. Cheap;
    /// where the code is worth compiling.
    virtual void note(const Frame& frame, int64_t gas) noexcept = 0;
};

/// Runs the one instruction at `position` by the interpreter's rules, for instructions that
/// compiled code leaves to it. Its operands are on the frame's stack, whose top is `sp`; its result
/// is where the interpreter would leave it. Gives what is left of `gas`, or the bitwise complement
/// of the status with which the instruction has ended the frame (gas_left and output are set then).
/// Not for jumps, nor for traced frames. `begin_native` has been called for the frame.
int64_t step_instruction(Frame& frame, uint64_t position, U256* sp, int64_t gas);

/// Prepares a frame for step_instruction.
void begin_native(Frame& frame) noexcept;

/// Grows the frame's memory to hold [0, end) and gives what is left of `gas`; a negative number
/// when it does not suffice, and then nothing has changed.
int64_t grow_memory(Frame& frame, int64_t gas, uint64_t end) noexcept;

/// What compiled code needs to know of an instruction.
struct InstructionTraits {
    bool is_defined = false;  ///< in the revision
    /// Its price is fixed and it neither looks at the gas left nor at state that others may change:
    /// it may be paid for together with its neighbours. Memory growth and the words of KECCAK256
    /// come on top.
    bool has_fixed_price = false;
    uint8_t takes = 0;
    uint8_t gives = 0;
    uint8_t gas = 0;  ///< when has_fixed_price
};
InstructionTraits instruction_traits(Revision revision, uint8_t opcode) noexcept;

/// Goes on in the interpreter, with exact checks, where compiled code has left the frame.
Status resume(Frame& frame, const NativeOutcome& left);

/// Runs the frame in the interpreter from its start, whatever tier there is.
Status interpret(Frame& frame, int64_t gas);

}  // namespace millrace::evm
