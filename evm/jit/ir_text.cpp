// SPDX-License-Identifier: Apache-2.0
// Owns the intermediate form as text.
#include "evm/core/message.hpp"
#include "evm/jit/ir.hpp"
#include "host/base/hex.hpp"

namespace millrace::evm::jit {
namespace {

std::string name(const Program& p, ValueId v) {
    if (v == none) { return "-"; }
    if (!p.is_constant(v)) { return "v" + std::to_string(v); }
    const U256& c = p.constant(v);
    if (c.fits_u64() && c.low64() < 1'000) { return std::to_string(c.low64()); }
    std::string hex = to_hex(to_hash(c).view());
    const size_t digits = hex.find_first_not_of('0', 2);
    return "0x" + (digits == std::string::npos ? "0" : hex.substr(digits));
}

std::string width(const Program& p, ValueId v) {
    return p.values[v].bits < 256 ? ":" + std::to_string(p.values[v].bits) : "";
}

std::string list(const Program& p, const std::vector<ValueId>& values) {
    std::string out;
    for (const ValueId v : values) {
        out += (out.empty() ? "" : ", ") + name(p, v) + (p.is_constant(v) ? "" : width(p, v));
    }
    return out;
}

std::string edge_text(const Program& p, const Edge& e) {
    std::string out;
    if (e.to != none) { out = "b" + std::to_string(e.to) + "(" + list(p, e.arguments) + ")"; }
    for (const Spill& s : e.spills) {
        out += " [" + std::to_string(s.height) + "]=" + name(p, s.value);
    }
    return out;
}

std::string end_text(const Program& p, const Block& b) {
    switch (b.end) {
        case Block::End::jump: return "jump " + edge_text(p, b.edges[0]);
        case Block::End::branch:
            return "branch " + name(p, b.condition) + " ? " + edge_text(p, b.edges[0]) + " : " +
                   edge_text(p, b.edges[1]);
        case Block::End::dynamic: return "jump to " + name(p, b.target) + edge_text(p, b.edges[0]);
        case Block::End::branch_dynamic:
            return "branch " + name(p, b.condition) + " ? to " + name(p, b.target) +
                   edge_text(p, b.edges[0]) + " : " + edge_text(p, b.edges[1]);
        case Block::End::stop: return "stop";
        case Block::End::ended: return "end";
        case Block::End::fail:
            return "fail: " + std::string(to_string(static_cast<Status>(b.status)));
        case Block::End::interpret:
            return "interpret from " + std::to_string(b.end_position) + edge_text(p, b.edges[0]);
    }
    return {};
}

std::string instruction_text(const Program& p, const Instruction& i) {
    std::string out;
    if (i.result != none) { out = name(p, i.result) + width(p, i.result) + " = "; }
    switch (i.kind) {
        case Instruction::Kind::charge: return "charge " + std::to_string(i.amount);
        case Instruction::Kind::check_stack:
            return "check " + std::to_string(i.need) + " items, room for " + std::to_string(i.room);
        case Instruction::Kind::load_item: return out + "item [" + std::to_string(i.height) + "]";
        case Instruction::Kind::step: out += "step "; break;
        case Instruction::Kind::evm: break;
    }
    out += opcode_name(static_cast<uint8_t>(i.opcode));
    for (size_t k = 0; k < i.argument_count; ++k) {
        out += (k == 0 ? " " : ", ") + name(p, p.arguments[i.first_argument + k]);
    }
    return out + (i.in_bounds ? " in bounds" : "");
}

}  // namespace

std::string to_text(const Program& p) {
    std::string out = "; " + std::string(to_string(p.revision)) + ", " +
                      std::to_string(p.blocks.size()) + " blocks, " +
                      std::to_string(p.instruction_count) + " instructions, " +
                      std::to_string(p.cut_edges) + " cut\n";
    for (const DynamicEntry& d : p.dynamic_entries) {
        out += "entry " + std::to_string(d.position) + " -> b" + std::to_string(d.block) + "\n";
    }
    for (size_t n = 0; n < p.blocks.size(); ++n) {
        const Block& b = p.blocks[n];
        out += "b" + std::to_string(n) + "(" + list(p, b.parameters) + ") at " +
               std::to_string(b.position) +
               (b.relative ? ", relative" : ", height " + std::to_string(b.height)) + "\n";
        for (const Instruction& i : b.instructions) {
            out += "    " + instruction_text(p, i) + "\n";
        }
        out += "    " + end_text(p, b) + "\n";
    }
    return out;
}

std::string to_graph(const Program& p) {
    std::string out = "digraph contract {\n  node [shape=box, fontname=monospace];\n";
    for (size_t n = 0; n < p.blocks.size(); ++n) {
        const Block& b = p.blocks[n];
        const std::string id = "b" + std::to_string(n);
        out += "  " + id + " [label=\"" + id + " at " + std::to_string(b.position) + "\\n" +
               std::to_string(b.instructions.size()) + " instructions\"];\n";
        for (const Edge& e : b.edges) {
            if (e.to != none) { out += "  " + id + " -> b" + std::to_string(e.to) + ";\n"; }
        }
    }
    return out + "}\n";
}

}  // namespace millrace::evm::jit
