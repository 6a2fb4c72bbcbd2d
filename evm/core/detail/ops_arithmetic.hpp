// SPDX-License-Identifier: Apache-2.0
// Owns instructions 0x01 to 0x20: arithmetic, comparison, bits, KECCAK256.
#pragma once

#include "evm/core/detail/instruction.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::evm::detail {

#define MILLRACE_BINARY(name, cost, expression) \
    MILLRACE_INSTRUCTION(name) {                \
        MILLRACE_ENTER(2, 1, cost);             \
        const U256& a = sp[0];                  \
        const U256& b = sp[-1];                 \
        const U256 r = (expression);            \
        --sp;                                   \
        copy_word(sp, &r);                      \
        MILLRACE_NEXT(1);                       \
    }

MILLRACE_BINARY(op_add, 3, a + b)
MILLRACE_BINARY(op_mul, 5, a* b)
MILLRACE_BINARY(op_sub, 3, a - b)
MILLRACE_BINARY(op_div, 5, a / b)
MILLRACE_BINARY(op_sdiv, 5, signed_div(a, b))
MILLRACE_BINARY(op_mod, 5, a % b)
MILLRACE_BINARY(op_smod, 5, signed_mod(a, b))
MILLRACE_BINARY(op_signextend, 5, sign_extend(a, b))
MILLRACE_BINARY(op_lt, 3, U256{a < b ? 1u : 0u})
MILLRACE_BINARY(op_gt, 3, U256{b < a ? 1u : 0u})
MILLRACE_BINARY(op_slt, 3, U256{signed_less(a, b) ? 1u : 0u})
MILLRACE_BINARY(op_sgt, 3, U256{signed_less(b, a) ? 1u : 0u})
MILLRACE_BINARY(op_eq, 3, U256{a == b ? 1u : 0u})
MILLRACE_BINARY(op_and, 3, a& b)
MILLRACE_BINARY(op_or, 3, a | b)
MILLRACE_BINARY(op_xor, 3, a ^ b)
MILLRACE_BINARY(op_byte, 3, byte_at(a, b))
MILLRACE_BINARY(op_shl, 3, shl(b, a.saturate64()))
MILLRACE_BINARY(op_shr, 3, shr(b, a.saturate64()))
MILLRACE_BINARY(op_sar, 3, sar(b, a.saturate64()))
#undef MILLRACE_BINARY

MILLRACE_INSTRUCTION(op_addmod) {
    MILLRACE_ENTER(3, 1, 8);
    const U256 r = add_mod(sp[0], sp[-1], sp[-2]);
    sp -= 2;
    copy_word(sp, &r);
    MILLRACE_NEXT(1);
}

MILLRACE_INSTRUCTION(op_mulmod) {
    MILLRACE_ENTER(3, 1, 8);
    const U256 r = mul_mod(sp[0], sp[-1], sp[-2], f->evm->workspace().mulmod_modulus);
    sp -= 2;
    copy_word(sp, &r);
    MILLRACE_NEXT(1);
}

MILLRACE_INSTRUCTION(op_exp) {
    MILLRACE_ENTER_APART(2, 1, 10);
    MILLRACE_CHARGE(gas::exp_byte(f->revision) * static_cast<int64_t>(byte_length(sp[-1])));
    const U256 r = power(sp[0], sp[-1]);
    --sp;
    copy_word(sp, &r);
    MILLRACE_NEXT_APART();
}

MILLRACE_INSTRUCTION(op_iszero) {
    MILLRACE_ENTER(1, 1, 3);
    *sp = U256{sp->is_zero() ? 1u : 0u};
    MILLRACE_NEXT(1);
}

MILLRACE_INSTRUCTION(op_not) {
    MILLRACE_ENTER(1, 1, 3);
    *sp = ~*sp;
    MILLRACE_NEXT(1);
}

MILLRACE_INSTRUCTION(op_clz) {
    MILLRACE_ENTER(1, 1, 5);
    *sp = U256{count_leading_zeros(*sp)};
    MILLRACE_NEXT(1);
}

MILLRACE_INSTRUCTION(op_keccak256) {
    MILLRACE_ENTER(2, 1, 30);
    const U256& offset = sp[0];
    const U256& size = sp[-1];
    // The words are paid for first: once memory has grown the instruction could not be run again.
    int64_t left = size.fits_u64() && size.low64() <= memory_size_max
                       ? gas - copy_cost(size, gas::keccak_word)
                       : -1;
    if (left < 0 || (left = grow_memory(f, left, offset, size)) < 0) [[unlikely]] {
        MILLRACE_OUT_OF_GAS_IN_RUN(gas, left);
    }
    gas = left;
    const uint64_t n = size.low64();
    if (n == 64) {
        const U256& h = f->evm->workspace().keccak_memo.hash(f->memory + offset.low64());
        --sp;
        copy_word(sp, &h);
    } else {
        const U256 h = to_u256(n == 0 ? kernels::keccak256_of_empty
                                      : kernels::keccak256({f->memory + offset.low64(), n}));
        --sp;
        copy_word(sp, &h);
    }
    MILLRACE_NEXT(1);
}

}  // namespace millrace::evm::detail
