// SPDX-License-Identifier: Apache-2.0
// Owns instructions 0x50 to 0xa4 and the ends of a frame: stack, memory, storage, jumps, logs.
#pragma once

#include "evm/core/detail/instruction.hpp"

namespace millrace::evm::detail {

MILLRACE_INSTRUCTION(op_stop) {
    f->gas_left = gas;
    f->output_size = 0;
    return Status::success;
}

MILLRACE_INSTRUCTION(op_undefined) { MILLRACE_FAIL(Status::undefined_instruction); }
MILLRACE_INSTRUCTION(op_invalid) { MILLRACE_FAIL(Status::invalid_instruction); }

MILLRACE_INSTRUCTION(op_pop) {
    MILLRACE_ENTER(1, 0, 2);
    --sp;
    MILLRACE_NEXT(1);
}

MILLRACE_INSTRUCTION(op_mload) {
    MILLRACE_ENTER(1, 1, 3);
    const int64_t left = grow_memory(f, gas, *sp, 32);
    if (left < 0) [[unlikely]] { MILLRACE_OUT_OF_GAS_IN_RUN(gas, left); }
    gas = left;
    *sp = load_be(f->memory + sp->low64());
    MILLRACE_NEXT(1);
}

MILLRACE_INSTRUCTION(op_mstore) {
    MILLRACE_ENTER(2, 0, 3);
    const int64_t left = grow_memory(f, gas, *sp, 32);
    if (left < 0) [[unlikely]] { MILLRACE_OUT_OF_GAS_IN_RUN(gas, left); }
    gas = left;
    store_be(sp[-1], f->memory + sp->low64());
    sp -= 2;
    MILLRACE_NEXT(1);
}

MILLRACE_INSTRUCTION(op_mstore8) {
    MILLRACE_ENTER(2, 0, 3);
    const int64_t left = grow_memory(f, gas, *sp, 1);
    if (left < 0) [[unlikely]] { MILLRACE_OUT_OF_GAS_IN_RUN(gas, left); }
    gas = left;
    f->memory[sp->low64()] = static_cast<uint8_t>(sp[-1].low64());
    sp -= 2;
    MILLRACE_NEXT(1);
}

MILLRACE_INSTRUCTION(op_mcopy) {
    MILLRACE_ENTER_APART(3, 0, 3);
    const U256& further = sp[0] < sp[-1] ? sp[-1] : sp[0];
    if ((gas = grow_memory(f, gas, further, sp[-2])) < 0) { MILLRACE_FAIL(Status::out_of_gas); }
    MILLRACE_CHARGE(copy_cost(sp[-2], gas::copy_word));
    if (const uint64_t n = sp[-2].low64(); n != 0) {
        std::memmove(f->memory + sp[0].low64(), f->memory + sp[-1].low64(), n);
    }
    sp -= 3;
    MILLRACE_NEXT_APART();
}

MILLRACE_INSTRUCTION(op_sload) {
    MILLRACE_ENTER_APART(1, 1, 0);
    TxSlot& s = f->state->slot(*f->self, *sp);
    if (f->revision >= Revision::berlin) {
        MILLRACE_CHARGE(f->state->warm_slot(s) ? gas::cold_slot : gas::warm);
    } else {
        MILLRACE_CHARGE(gas::sload(f->revision));
    }
    *sp = f->state->load(s);
    MILLRACE_NEXT_APART();
}

MILLRACE_INSTRUCTION(op_sstore) {
    MILLRACE_ENTER_APART(2, 0, 0);
    if (f->message->is_static) { MILLRACE_FAIL(Status::static_mode_violation); }
    if (f->revision >= Revision::istanbul && gas <= gas::sstore_sentry) {
        MILLRACE_FAIL(Status::out_of_gas);
    }
    TxSlot& s = f->state->slot(*f->self, sp[0]);
    if (f->revision >= Revision::berlin && f->state->warm_slot(s)) {
        MILLRACE_CHARGE(gas::cold_slot);
    }
    const U256 current = f->state->load(s);
    const U256& value = sp[-1];
    const gas::StorageCost cost =
        gas::sstore(f->revision, s.original == current, current == value, s.original == value,
                    s.original.is_zero(), current.is_zero(), value.is_zero());
    MILLRACE_CHARGE(cost.gas);
    if (cost.refund != 0) { f->state->add_refund(cost.refund); }
    if (current != value) { f->state->store(s, value); }
    sp -= 2;
    MILLRACE_NEXT_APART();
}

MILLRACE_INSTRUCTION(op_tload) {
    MILLRACE_ENTER(1, 1, gas::warm);
    *sp = f->state->transient_load(*f->self, *sp);
    MILLRACE_NEXT(1);
}

MILLRACE_INSTRUCTION(op_tstore) {
    MILLRACE_ENTER(2, 0, gas::warm);
    if (f->message->is_static) { MILLRACE_FAIL(Status::static_mode_violation); }
    f->state->transient_store(*f->self, sp[0], sp[-1]);
    sp -= 2;
    MILLRACE_NEXT(1);
}

// Enters the run behind the JUMPDEST at `pc`, for a frame that has just become fast.
MILLRACE_INSTRUCTION(op_enter_run) { MILLRACE_NEXT_RUN(pc + 1, pc + 1 - f->code_begin, pc); }

// A valid destination: its JUMPDEST has no effect of its own, so the run behind it is entered at
// once.
#define MILLRACE_JUMP_TO(position)                                                          \
    do {                                                                                    \
        if constexpr (checked) {                                                            \
            const uint8_t* jump_pc = f->code_begin + (position);                            \
            if (f->jumps_until_note != 0 && --f->jumps_until_note == 0 && become_fast(*f))  \
                [[unlikely]] {                                                              \
                [[clang::musttail]] return op_enter_run<false>(jump_pc, sp, gas, f, table); \
            }                                                                               \
            [[clang::musttail]] return table->op[*jump_pc](jump_pc, sp, gas, f, table);     \
        } else {                                                                            \
            MILLRACE_NEXT_RUN(f->code_begin + (position) + 1, (position) + 1,               \
                              f->code_begin + (position));                                  \
        }                                                                                   \
    } while (false)

MILLRACE_INSTRUCTION(op_jump) {
    MILLRACE_ENTER(1, 0, 8);
    const U256& target = *sp;
    if (!target.fits_u64() || !f->code->is_jump_destination(target.low64())) [[unlikely]] {
        MILLRACE_FAIL(Status::bad_jump_destination);
    }
    const uint64_t position = target.low64();
    --sp;
    MILLRACE_JUMP_TO(position);
}

MILLRACE_INSTRUCTION(op_jumpi) {
    MILLRACE_ENTER(2, 0, 10);
    if (sp[-1].is_zero()) {
        sp -= 2;
        MILLRACE_NEXT_APART();
    }
    const U256& target = *sp;
    if (!target.fits_u64() || !f->code->is_jump_destination(target.low64())) [[unlikely]] {
        MILLRACE_FAIL(Status::bad_jump_destination);
    }
    const uint64_t position = target.low64();
    sp -= 2;
    MILLRACE_JUMP_TO(position);
}

MILLRACE_INSTRUCTION(op_jumpdest) {
    MILLRACE_ENTER(0, 0, 1);
    // The run begins behind the instruction and has paid for it.
    MILLRACE_NEXT_RUN(pc + 1, pc + 1 - f->code_begin, pc);
}

MILLRACE_INSTRUCTION_T(int n, op_push) {
    MILLRACE_ENTER(0, 1, 3);
    // Reads 8-byte groups from the end of the immediate; padding makes running past the code safe.
    U256 v;
    constexpr int whole = n / 8;
    constexpr int rest = n % 8;
    const uint8_t* end = pc + 1 + n;
    for (int i = 0; i < whole; ++i) {
        uint64_t w;
        std::memcpy(&w, end - 8 * (i + 1), 8);
        v.w[i] = __builtin_bswap64(w);
    }
    if constexpr (rest != 0) {
        uint64_t w = 0;
        for (int i = 0; i < rest; ++i) { w = w << 8 | pc[1 + i]; }
        v.w[whole] = w;
    }
    *++sp = v;
    MILLRACE_NEXT(n + 1);
}

MILLRACE_INSTRUCTION_T(int n, op_dup) {
    MILLRACE_ENTER(n, n + 1, 3);
    copy_word(sp + 1, sp + 1 - n);
    ++sp;
    MILLRACE_NEXT(1);
}

MILLRACE_INSTRUCTION_T(int n, op_swap) {
    MILLRACE_ENTER(n + 1, n + 1, 3);
    // Limb by limb: a wide copy right after limb stores stalls on store forwarding (build notes).
    U256 top;
    copy_word(&top, sp);
    copy_word(sp, sp - n);
    copy_word(sp - n, &top);
    MILLRACE_NEXT(1);
}

[[gnu::noinline]] inline void add_log(Frame* f, const U256* sp, int topic_count, uint64_t size) {
    Log log;
    log.address = f->message->recipient;
    if (size != 0) {
        const uint8_t* data = f->memory + sp[0].low64();
        log.data.assign(data, data + size);
    }
    for (int i = 0; i < topic_count; ++i) { log.topics.push_back(to_hash(sp[-2 - i])); }
    f->state->add_log(std::move(log));
}

MILLRACE_INSTRUCTION_T(int n, op_log) {
    MILLRACE_ENTER_APART(n + 2, 0, (n + 1) * gas::log_topic);
    if (f->message->is_static) { MILLRACE_FAIL(Status::static_mode_violation); }
    if ((gas = grow_memory(f, gas, sp[0], sp[-1])) < 0) { MILLRACE_FAIL(Status::out_of_gas); }
    const uint64_t size = sp[-1].low64();
    MILLRACE_CHARGE(static_cast<int64_t>(size) * gas::log_byte);
    add_log(f, sp, n, size);
    sp -= n + 2;
    MILLRACE_NEXT_APART();
}

MILLRACE_INSTRUCTION_T(Status status, op_return) {
    MILLRACE_ENTER_APART(2, 0, 0);
    if ((gas = grow_memory(f, gas, sp[0], sp[-1])) < 0) { MILLRACE_FAIL(Status::out_of_gas); }
    f->output_size = sp[-1].low64();
    f->output_offset = f->output_size == 0 ? 0 : sp[0].low64();
    f->gas_left = gas;
    return status;
}

}  // namespace millrace::evm::detail
