// SPDX-License-Identifier: Apache-2.0
// Owns what is found out about a program before it is lowered: widths of values, known memory size.
#pragma once

#include "evm/jit/ir.hpp"

namespace millrace::evm::jit {

/// Sets Value::bits of all values: a fixpoint over the graph, with widening.
void infer_widths(Program& program);
/// Sets Instruction::in_bounds where an earlier access on every way has grown memory far enough,
/// and Instruction::reach where one growth serves several accesses: within a stretch that is paid
/// for as a whole nothing but running out of gas can come between them.
void infer_memory_bounds(Program& program);
/// Replaces parameters that get the same value on every way in, such as what lies deep in the
/// stack. A value may then be used in blocks behind its own: it stands on every way to them.
void remove_redundant_parameters(Program& program);
/// Leaves to the interpreter what can only revert or fail: such paths are many, long and seldom
/// taken. Only the stack items that they look at are handed over; dead values must have been
/// removed, redundant parameters not yet.
void leave_failing_paths(Program& program);
/// Removes instructions without an effect, and parameters, whose value nobody uses.
void remove_dead_values(Program& program);

/// What an instruction only computes from its operands, or reads without trace.
bool is_pure(const Instruction& instruction) noexcept;

}  // namespace millrace::evm::jit
