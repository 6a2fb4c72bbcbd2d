// SPDX-License-Identifier: Apache-2.0
// Owns the evaluation of instructions whose operands are known at compile time.
#pragma once

#include <vector>

#include "evm/core/opcodes.hpp"
#include "host/base/u256.hpp"

namespace millrace::evm::jit {

/// Sets `result` to what the instruction gives for these operands, top of the stack first; false
/// when it is none that only depends on them.
inline bool fold(Opcode opcode, const std::vector<const U256*>& x, U256& result) {
    const auto truth = [](bool b) { return U256{b ? 1u : 0u}; };
    switch (opcode) {
        case Opcode::add: result = *x[0] + *x[1]; return true;
        case Opcode::mul: result = *x[0] * *x[1]; return true;
        case Opcode::sub: result = *x[0] - *x[1]; return true;
        case Opcode::div: result = *x[0] / *x[1]; return true;
        case Opcode::sdiv: result = signed_div(*x[0], *x[1]); return true;
        case Opcode::mod: result = *x[0] % *x[1]; return true;
        case Opcode::smod: result = signed_mod(*x[0], *x[1]); return true;
        case Opcode::addmod: result = add_mod(*x[0], *x[1], *x[2]); return true;
        case Opcode::mulmod: result = mul_mod(*x[0], *x[1], *x[2]); return true;
        case Opcode::signextend: result = sign_extend(*x[0], *x[1]); return true;
        case Opcode::lt: result = truth(*x[0] < *x[1]); return true;
        case Opcode::gt: result = truth(*x[0] > *x[1]); return true;
        case Opcode::slt: result = truth(signed_less(*x[0], *x[1])); return true;
        case Opcode::sgt: result = truth(signed_less(*x[1], *x[0])); return true;
        case Opcode::eq: result = truth(*x[0] == *x[1]); return true;
        case Opcode::iszero: result = truth(x[0]->is_zero()); return true;
        case Opcode::and_: result = *x[0] & *x[1]; return true;
        case Opcode::or_: result = *x[0] | *x[1]; return true;
        case Opcode::xor_: result = *x[0] ^ *x[1]; return true;
        case Opcode::not_: result = ~*x[0]; return true;
        case Opcode::byte: result = byte_at(*x[0], *x[1]); return true;
        case Opcode::shl: result = shl(*x[1], x[0]->saturate64()); return true;
        case Opcode::shr: result = shr(*x[1], x[0]->saturate64()); return true;
        case Opcode::sar: result = sar(*x[1], x[0]->saturate64()); return true;
        case Opcode::clz: result = U256{count_leading_zeros(*x[0])}; return true;
        default: return false;
    }
}

}  // namespace millrace::evm::jit
