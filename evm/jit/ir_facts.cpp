// SPDX-License-Identifier: Apache-2.0
// Owns the dataflow over programs.
#include "evm/jit/ir_facts.hpp"

#include <algorithm>
#include <deque>

namespace millrace::evm::jit {
namespace {

constexpr uint16_t word_bits = 256;
constexpr uint16_t address_bits = 160;
/// Sizes, block numbers, gas: what a 64-bit register holds.
constexpr uint16_t register_bits = 64;

uint16_t clamp(uint32_t bits) { return static_cast<uint16_t>(std::min<uint32_t>(bits, word_bits)); }

/// Bound of an instruction's result from those of its operands.
uint16_t result_bits(const Program& p, const Instruction& i) {
    const auto argument = [&](size_t k) { return p.arguments[i.first_argument + k]; };
    const auto bits = [&](size_t k) { return p.values[argument(k)].bits; };
    const auto shift = [&]() -> int {
        if (!p.is_constant(argument(0))) { return -1; }
        return static_cast<int>(
            std::min<uint64_t>(p.constant(argument(0)).saturate64(), word_bits));
    };
    switch (i.opcode) {
        case Opcode::add: return clamp(std::max(bits(0), bits(1)) + 1u);
        case Opcode::mul: return clamp(uint32_t{bits(0)} + bits(1));
        case Opcode::div: return bits(0);
        case Opcode::mod: return std::min(bits(0), bits(1));
        case Opcode::addmod:
        case Opcode::mulmod: return bits(2);
        case Opcode::and_: return std::min(bits(0), bits(1));
        case Opcode::or_:
        case Opcode::xor_: return std::max(bits(0), bits(1));
        case Opcode::lt:
        case Opcode::gt:
        case Opcode::slt:
        case Opcode::sgt:
        case Opcode::eq:
        case Opcode::iszero:
        case Opcode::call:
        case Opcode::callcode:
        case Opcode::delegatecall:
        case Opcode::staticcall: return 1;
        case Opcode::byte: return 8;
        case Opcode::shl: return shift() < 0 ? word_bits : clamp(bits(1) + uint32_t(shift()));
        case Opcode::shr:
            return shift() < 0 ? bits(1)
                               : static_cast<uint16_t>(std::max(0, int{bits(1)} - shift()));
        case Opcode::sar:
            if (bits(1) == word_bits) { return word_bits; }
            return shift() < 0 ? bits(1)
                               : static_cast<uint16_t>(std::max(0, int{bits(1)} - shift()));
        case Opcode::signextend:
            if (p.is_constant(argument(0))) {
                const uint64_t byte = std::min<uint64_t>(p.constant(argument(0)).saturate64(), 31);
                if (bits(1) < 8 * (byte + 1)) { return bits(1); }
            }
            return word_bits;
        case Opcode::clz: return 9;
        case Opcode::address:
        case Opcode::origin:
        case Opcode::caller:
        case Opcode::coinbase:
        case Opcode::create:
        case Opcode::create2: return address_bits;
        case Opcode::calldatasize:
        case Opcode::returndatasize:
        case Opcode::timestamp:
        case Opcode::number:
        case Opcode::gaslimit:
        case Opcode::chainid:
        case Opcode::msize:
        case Opcode::gas:
        case Opcode::extcodesize: return register_bits;
        default: return word_bits;
    }
}

}  // namespace

bool is_pure(const Instruction& i) noexcept {
    if (i.kind == Instruction::Kind::load_item) { return true; }
    if (i.kind != Instruction::Kind::evm) { return false; }
    switch (i.opcode) {
        case Opcode::mload:      // may grow memory, and that costs
        case Opcode::keccak256:  // likewise
        case Opcode::mstore:
        case Opcode::mstore8: return false;
        default: return true;
    }
}

void infer_widths(Program& p) {
    // From below: a parameter is as wide as what was seen to arrive. After a few rounds one that
    // still grows, as a counter does, is given the full width.
    constexpr uint8_t growth_max = 4;
    std::vector<uint8_t> growth(p.values.size(), 0);
    for (Value& v : p.values) {
        if (v.kind != Value::Kind::constant) { v.bits = 0; }
    }
    bool changed = true;
    while (changed) {
        changed = false;
        for (Block& b : p.blocks) {
            for (const Instruction& i : b.instructions) {
                if (i.result == none) { continue; }
                const uint16_t bits =
                    i.kind == Instruction::Kind::load_item ? word_bits : result_bits(p, i);
                Value& v = p.values[i.result];
                if (bits > v.bits) {
                    v.bits = bits;
                    changed = true;
                }
            }
            for (const Edge& e : b.edges) {
                if (e.to == none) { continue; }
                const Block& to = p.blocks[e.to];
                for (size_t k = 0; k < e.arguments.size(); ++k) {
                    Value& v = p.values[to.parameters[k]];
                    if (v.kind != Value::Kind::parameter) { continue; }
                    const uint16_t bits = p.values[e.arguments[k]].bits;
                    if (bits <= v.bits) { continue; }
                    v.bits = ++growth[to.parameters[k]] > growth_max ? word_bits : bits;
                    changed = true;
                }
            }
        }
    }
}

namespace {

/// Where each value comes from.
struct Origin {
    BlockId block = none;
    uint32_t index = none;  ///< of the instruction or the parameter
};

std::vector<Origin> origins(const Program& p) {
    std::vector<Origin> out(p.values.size());
    for (BlockId b = 0; b < p.blocks.size(); ++b) {
        const Block& block = p.blocks[b];
        for (uint32_t k = 0; k < block.parameters.size(); ++k) {
            if (p.values[block.parameters[k]].kind == Value::Kind::parameter) {
                out[block.parameters[k]] = {b, k};
            }
        }
        for (uint32_t k = 0; k < block.instructions.size(); ++k) {
            const ValueId v = block.instructions[k].result;
            if (v != none) { out[v] = {b, k}; }
        }
    }
    return out;
}

/// The edges that lead to each block.
std::vector<std::vector<const Edge*>> incoming_edges(const Program& p) {
    std::vector<std::vector<const Edge*>> out(p.blocks.size());
    for (const Block& b : p.blocks) {
        for (const Edge& e : b.edges) {
            if (e.to != none) { out[e.to].push_back(&e); }
        }
    }
    return out;
}

/// Takes those parameters away, and what edges hand over for them.
void erase_parameters(Program& p, const std::vector<bool>& unwanted) {
    std::vector<std::vector<bool>> places(p.blocks.size());
    for (BlockId b = 0; b < p.blocks.size(); ++b) {
        for (const ValueId v : p.blocks[b].parameters) { places[b].push_back(unwanted[v]); }
    }
    for (BlockId b = 0; b < p.blocks.size(); ++b) {
        size_t n = 0;
        std::erase_if(p.blocks[b].parameters, [&](ValueId) { return places[b][n++]; });
        n = 0;
        std::erase_if(p.blocks[b].parameter_heights, [&](int32_t) { return places[b][n++]; });
        for (Edge& e : p.blocks[b].edges) {
            if (e.to == none) { continue; }
            n = 0;
            std::erase_if(e.arguments, [&](ValueId) { return places[e.to][n++]; });
        }
    }
}

}  // namespace

void remove_redundant_parameters(Program& p) {
    std::vector<ValueId> instead(p.values.size());
    for (ValueId v = 0; v < instead.size(); ++v) { instead[v] = v; }
    const auto find = [&instead](ValueId v) {
        while (instead[v] != v) { v = instead[v] = instead[instead[v]]; }
        return v;
    };
    const auto incoming = incoming_edges(p);
    bool changed = true;
    while (changed) {
        changed = false;
        for (BlockId b = 1; b < p.blocks.size(); ++b) {
            const Block& block = p.blocks[b];
            for (size_t k = 0; k < block.parameters.size(); ++k) {
                const ValueId v = block.parameters[k];
                if (p.values[v].kind != Value::Kind::parameter || instead[v] != v) { continue; }
                ValueId only = none;
                bool same = !incoming[b].empty();
                for (const Edge* e : incoming[b]) {
                    const ValueId x = find(e->arguments[k]);
                    if (x == v || x == only) { continue; }
                    same = same && only == none;
                    only = x;
                }
                if (same && only != none) {
                    instead[v] = only;
                    changed = true;
                }
            }
        }
    }
    for (ValueId& v : p.arguments) { v = find(v); }
    std::vector<bool> unwanted(p.values.size());
    // Constants need not be handed over either.
    for (ValueId v = 0; v < instead.size(); ++v) {
        unwanted[v] = instead[v] != v || p.values[v].kind != Value::Kind::parameter;
    }
    erase_parameters(p, unwanted);
    for (Block& b : p.blocks) {
        if (b.condition != none) { b.condition = find(b.condition); }
        if (b.target != none) { b.target = find(b.target); }
        for (Edge& e : b.edges) {
            for (ValueId& v : e.arguments) { v = find(v); }
            for (Spill& s : e.spills) { s.value = find(s.value); }
        }
    }
}

void leave_failing_paths(Program& p) {
    // What can reach an end that keeps its changes, backwards from these ends.
    const size_t count = p.blocks.size();
    std::vector<std::vector<BlockId>> before(count);
    std::vector<bool> good(count, false);
    std::vector<BlockId> work;
    for (BlockId b = 0; b < count; ++b) {
        const Block& block = p.blocks[b];
        for (const Edge& e : block.edges) {
            if (e.to != none) { before[e.to].push_back(b); }
        }
        const bool reverts =
            block.end == Block::End::ended && block.instructions.back().opcode == Opcode::revert;
        if (block.end == Block::End::stop || block.end == Block::End::dynamic ||
            block.end == Block::End::branch_dynamic || block.end == Block::End::interpret ||
            (block.end == Block::End::ended && !reverts)) {
            good[b] = true;
            work.push_back(b);
        }
    }
    while (!work.empty()) {
        const BlockId b = work.back();
        work.pop_back();
        for (const BlockId from : before[b]) {
            if (!good[from]) {
                good[from] = true;
                work.push_back(from);
            }
        }
    }
    std::vector<bool> entered(count, false);
    for (const DynamicEntry& d : p.dynamic_entries) { entered[d.block] = true; }
    for (BlockId b = 1; b < count; ++b) {
        // The first block is never left out, so it leads on even when it can only fail.
        for (const BlockId from : before[b]) { entered[b] = entered[b] || good[from] || from == 0; }
    }
    for (BlockId b = 1; b < count; ++b) {
        Block& block = p.blocks[b];
        if (good[b]) { continue; }
        // Failing at once is as short as leaving.
        if (block.end == Block::End::fail && block.instructions.size() <= 1) { continue; }
        block.instructions.clear();
        block.edges.clear();
        if (!entered[b]) {
            block.end = Block::End::fail;
            continue;
        }
        block.end = Block::End::interpret;
        block.end_position = block.position;
        Edge& out = block.edges.emplace_back();
        out.height = block.height;
        // What the rest of the stack holds makes no difference: nobody looks at it on these paths.
        for (size_t k = 0; k < block.parameters.size(); ++k) {
            out.spills.push_back({block.parameter_heights[k], block.parameters[k]});
        }
    }
}

void remove_dead_values(Program& p) {
    const std::vector<Origin> from = origins(p);
    const auto incoming = incoming_edges(p);
    std::vector<bool> live(p.values.size(), false);
    std::vector<ValueId> work;
    const auto use = [&](ValueId v) {
        if (v == none || live[v]) { return; }
        live[v] = true;
        work.push_back(v);
    };
    const auto use_arguments = [&](const Instruction& i) {
        for (size_t k = 0; k < i.argument_count; ++k) { use(p.arguments[i.first_argument + k]); }
    };
    for (const Block& b : p.blocks) {
        for (const Instruction& i : b.instructions) {
            if (!is_pure(i)) { use_arguments(i); }
        }
        use(b.condition);
        use(b.target);
        for (const Edge& e : b.edges) {
            for (const Spill& s : e.spills) { use(s.value); }
        }
    }
    while (!work.empty()) {
        const ValueId v = work.back();
        work.pop_back();
        const Origin& o = from[v];
        if (o.block == none) { continue; }
        if (p.values[v].kind == Value::Kind::parameter) {
            for (const Edge* e : incoming[o.block]) { use(e->arguments[o.index]); }
        } else {
            use_arguments(p.blocks[o.block].instructions[o.index]);
        }
    }
    std::vector<bool> unwanted(p.values.size());
    // Known return addresses are kept: what leaves to the interpreter may need them.
    for (ValueId v = 0; v < unwanted.size(); ++v) {
        unwanted[v] = !live[v] && p.values[v].kind == Value::Kind::parameter;
    }
    erase_parameters(p, unwanted);
    p.instruction_count = 0;
    for (Block& b : p.blocks) {
        std::erase_if(b.instructions, [&](const Instruction& i) {
            return i.result != none && !live[i.result] && is_pure(i);
        });
        p.instruction_count += b.instructions.size();
    }
}

}  // namespace millrace::evm::jit
