// SPDX-License-Identifier: Apache-2.0
// Owns the intermediate form of a contract: a control-flow graph over 256-bit values, without the
// stack.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "evm/core/opcodes.hpp"
#include "evm/core/revision.hpp"
#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::evm::jit {

/// Index into Program::values.
using ValueId = uint32_t;
using BlockId = uint32_t;
inline constexpr uint32_t none = ~uint32_t{0};

struct Value {
    enum class Kind : uint8_t {
        constant,   ///< Program::constants[index]
        parameter,  ///< the index-th of its block
        result,     ///< of an instruction
    };
    Kind kind = Kind::constant;
    /// A constant that a PUSH put there and that is a jump destination: it may be a return address.
    bool is_pushed_destination = false;
    /// The value is below 2^bits. An upper bound that holds on every path.
    uint16_t bits = 256;
    uint32_t index = 0;
};

/// One step of a block. Stack items are values here; only instructions that the interpreter runs
/// (Kind::step) see them in the EVM's stack.
struct Instruction {
    enum class Kind : uint8_t {
        evm,          ///< `opcode` on `arguments`, top of the stack first, with or without a result
        step,         ///< the same, run by the interpreter; the gas is exact before and after it
        charge,       ///< takes `amount` gas; what does not suffice ends the frame out of gas
        load_item,    ///< result = the item at `height`, in the EVM's stack
        check_stack,  ///< relative blocks: `need` items below the start, `room` above it, or leave
    };
    Kind kind = Kind::evm;
    Opcode opcode = Opcode::stop;
    uint8_t argument_count = 0;
    /// MLOAD, MSTORE, MSTORE8: memory is known to be large enough.
    bool in_bounds = false;
    /// Otherwise: memory grows for this many bytes from the offset, also for what follows.
    uint32_t reach = 0;
    uint16_t need = 0;
    uint16_t room = 0;
    uint32_t position = 0;  ///< in the bytecode
    uint32_t amount = 0;
    /// step: of the stack before it, counted like Block::height. load_item: of the item.
    int32_t height = 0;
    ValueId result = none;
    uint32_t first_argument = 0;  ///< in Program::arguments
};

/// A value that must be written to its place in the EVM's stack.
struct Spill {
    int32_t height = 0;
    ValueId value = none;
};

/// A way from one block to the next.
struct Edge {
    BlockId to = none;
    std::vector<ValueId> arguments;  ///< of the target's parameters
    std::vector<Spill> spills;       ///< what the target expects in the EVM's stack
    /// Height of the stack on this way, counted like the source's. For targets that are relative.
    int32_t height = 0;
};

struct Block {
    enum class End : uint8_t {
        jump,            ///< edges[0]
        branch,          ///< edges[0] when `condition` is not zero, else edges[1]
        dynamic,         ///< to the destination `target`; the whole stack is spilled by edges[0]
        branch_dynamic,  ///< as dynamic when `condition` is not zero, else edges[1]
        stop,
        ended,      ///< by the last instruction, a step
        fail,       ///< with `status`
        interpret,  ///< the interpreter goes on at `position`; edges[0] spills the stack
    };
    uint32_t position = 0;  ///< of the first instruction in the bytecode
    /// True when the height of the stack at the start is not known: heights count from there, 0 is
    /// the place above the top. Otherwise heights are those of the EVM's stack.
    bool relative = false;
    /// Height at the start: of a block that is not relative.
    int32_t height = 0;
    /// The topmost items of the stack, lowest first; what is below them is in the EVM's stack.
    /// Passes remove those that nobody needs.
    std::vector<ValueId> parameters;
    std::vector<int32_t> parameter_heights;
    std::vector<Instruction> instructions;
    End end = End::stop;
    uint8_t status = 0;
    ValueId condition = none;
    ValueId target = none;
    uint32_t end_position = 0;
    std::vector<Edge> edges;
    uint32_t predecessors = 0;
};

/// A way in from a destination that is only known at run time: a relative block without parameters.
struct DynamicEntry {
    uint32_t position = 0;
    BlockId block = none;
};

struct Program {
    Revision revision = latest_revision;
    std::vector<Value> values;
    std::vector<U256> constants;
    std::vector<ValueId> arguments;
    std::vector<Block> blocks;  ///< the first is entered with an empty stack
    std::vector<DynamicEntry> dynamic_entries;
    /// Instructions of all blocks: a measure of the work of later stages.
    size_t instruction_count = 0;
    /// Places where the interpreter takes over because a limit was met.
    size_t cut_edges = 0;

    bool is_constant(ValueId v) const { return values[v].kind == Value::Kind::constant; }
    const U256& constant(ValueId v) const { return constants[values[v].index]; }
};

/// The program as text, one line for each instruction.
std::string to_text(const Program& program);
/// The control-flow graph in the language of Graphviz.
std::string to_graph(const Program& program);

}  // namespace millrace::evm::jit
