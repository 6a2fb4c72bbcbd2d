// SPDX-License-Identifier: Apache-2.0
// Owns instructions that start or end contracts: the CALL family, CREATE, CREATE2, SELFDESTRUCT.
#pragma once

#include <limits>

#include "evm/core/detail/instruction.hpp"

namespace millrace::evm::detail {

/// Runs `m` as a child of `f`, whose top of stack is `sp`.
inline CallOutcome run_child(Frame* f, U256* sp, const Message& m) {
    Evm& evm = *f->evm;
    evm.stack_top = sp;
    evm.memory_top = f->memory + f->memory_size;
    return evm.run(m);
}

/// All but one 64th (EIP-150).
inline int64_t all_but_one_64th(int64_t gas) noexcept { return gas - gas / 64; }

// Calls and creations are plain functions: they are far too large for the tail-called
// instructions, which only unpack and continue. They return success and leave the changed gas and
// the result word in place; with an error, the gas at which they failed (MILLRACE_FAIL).

/// Tells the tracer that a call or creation is paid for. Only the checked instructions run traced.
template <bool checked>
inline void announce_call(const Frame& f, int64_t gas) {
    if constexpr (checked) {
        if (Tracer* tracer = f.evm->tracer()) { tracer->on_call(f, gas); }
    }
}

template <CallKind kind, bool checked>
[[gnu::noinline]] Status do_call(Frame* f, U256*& sp, int64_t& gas) {
    constexpr bool has_value = kind == CallKind::call || kind == CallKind::callcode;
    constexpr int arguments = has_value ? 7 : 6;
    TxState& state = *f->state;
    const Revision revision = f->revision;

    const U256 requested_gas = sp[0];
    const Address target = to_address(sp[-1]);
    const U256 value = has_value ? sp[-2] : U256{};
    const U256 input_offset = sp[has_value ? -3 : -2];
    const U256 input_size = sp[has_value ? -4 : -3];
    const U256 output_offset = sp[has_value ? -5 : -4];
    const U256 output_size = sp[has_value ? -6 : -5];

    if (kind == CallKind::call && f->message->is_static && !value.is_zero()) {
        return Status::static_mode_violation;
    }

    TxAccount& callee = state.account(target);
    if ((gas -= account_access_cost(f, callee, gas::call(revision))) < 0) {
        return Status::out_of_gas;
    }
    if ((gas = grow_memory(f, gas, input_offset, input_size)) < 0 ||
        (gas = grow_memory(f, gas, output_offset, output_size)) < 0) {
        return Status::out_of_gas;
    }
    if (has_value && !value.is_zero()) {
        if ((gas -= gas::call_value) < 0) { return Status::out_of_gas; }
    }

    Message m;
    m.code_address = target;
    if (revision >= Revision::prague) {
        if (const auto& delegate = state.code(callee).delegation()) {
            m.code_address = *delegate;
            m.delegated = true;
            TxAccount& code_account = state.account(*delegate);
            if ((gas -= state.warm_account(code_account) ? gas::cold_account : gas::warm) < 0) {
                return Status::out_of_gas;
            }
        }
    }
    if constexpr (kind == CallKind::call) {
        const bool creates_account = revision >= Revision::spurious_dragon
                                         ? !value.is_zero() && state.is_empty(callee)
                                         : !state.exists(callee);
        if (creates_account && (gas -= gas::new_account) < 0) { return Status::out_of_gas; }
    }

    int64_t child_gas;
    if (revision >= Revision::tangerine_whistle) {
        const int64_t available = all_but_one_64th(gas);
        child_gas =
            requested_gas.fits_u64() && requested_gas.low64() < static_cast<uint64_t>(available)
                ? static_cast<int64_t>(requested_gas.low64())
                : available;
    } else {
        // No frame has as much as the largest amount that can be counted.
        constexpr uint64_t countless = std::numeric_limits<int64_t>::max();
        child_gas = static_cast<int64_t>(std::min(requested_gas.saturate64(), countless));
        if (child_gas > gas) {
            gas -= child_gas;
            return Status::out_of_gas;
        }
    }
    gas -= child_gas;
    announce_call<checked>(*f, gas);

    m.kind = kind;
    m.is_static = f->message->is_static || kind == CallKind::staticcall;
    m.depth = f->message->depth + 1;
    m.gas = child_gas;
    if constexpr (kind == CallKind::delegatecall) {
        m.recipient = f->message->recipient;
        m.sender = f->message->sender;
        m.value = f->message->value;
        m.transfers_value = false;
    } else {
        m.recipient = kind == CallKind::callcode ? f->message->recipient : target;
        m.sender = f->message->recipient;
        m.value = value;
        m.transfers_value = true;
    }
    if (has_value && !value.is_zero()) { m.gas += gas::call_stipend; }
    if (!input_size.is_zero()) { m.input = {f->memory + input_offset.low64(), input_size.low64()}; }

    f->return_data->clear();
    sp -= arguments - 1;
    *sp = U256{};
    if (m.depth > static_cast<int32_t>(Workspace::depth_limit) ||
        (has_value && !value.is_zero() && !state.balance_at_least(*f->self, value))) {
        gas += m.gas;
        return Status::success;
    }

    const CallOutcome r = run_child(f, sp, m);
    gas += r.gas_left;
    f->return_data->assign(r.output.begin(), r.output.end());
    const uint64_t copied = std::min<uint64_t>(output_size.low64(), r.output.size());
    if (copied != 0) { std::memcpy(f->memory + output_offset.low64(), r.output.data(), copied); }
    if (r.status == Status::success) { *sp = U256{1}; }
    return Status::success;
}

template <CallKind kind, bool checked>
[[gnu::noinline]] Status do_create(Frame* f, U256*& sp, int64_t& gas) {
    constexpr int arguments = kind == CallKind::create2 ? 4 : 3;
    TxState& state = *f->state;
    const Revision revision = f->revision;

    if (f->message->is_static) { return Status::static_mode_violation; }
    const U256 value = sp[0];
    const U256 offset = sp[-1];
    const U256 size = sp[-2];
    if ((gas = grow_memory(f, gas, offset, size)) < 0) { return Status::out_of_gas; }
    if (size.low64() > f->evm->rules().initcode_size_max) { return Status::initcode_size_exceeded; }
    int64_t per_word = revision >= Revision::shanghai ? gas::initcode_word : 0;
    if (kind == CallKind::create2) { per_word += gas::keccak_word; }
    if ((gas -= copy_cost(size, per_word)) < 0) { return Status::out_of_gas; }
    announce_call<checked>(*f, gas);

    Message m;
    m.kind = kind;
    m.depth = f->message->depth + 1;
    m.sender = f->message->recipient;
    m.value = value;
    if (!size.is_zero()) { m.input = {f->memory + offset.low64(), size.low64()}; }
    const U256 salt = kind == CallKind::create2 ? sp[-3] : U256{};

    f->return_data->clear();
    sp -= arguments - 1;
    *sp = U256{};
    const uint64_t nonce = state.nonce(*f->self);
    if (m.depth > static_cast<int32_t>(Workspace::depth_limit) || nonce == ~uint64_t{0} ||
        !state.balance_at_least(*f->self, value)) {
        return Status::success;
    }
    m.gas = revision >= Revision::tangerine_whistle ? all_but_one_64th(gas) : gas;
    gas -= m.gas;
    state.set_nonce(*f->self, nonce + 1);
    m.recipient = kind == CallKind::create2 ? create2_address(m.sender, salt, m.input)
                                            : create_address(m.sender, nonce);

    const CallOutcome r = run_child(f, sp, m);
    gas += r.gas_left;
    if (r.status == Status::success) {
        *sp = to_u256(m.recipient);
    } else {
        f->return_data->assign(r.output.begin(), r.output.end());
    }
    return Status::success;
}

MILLRACE_INSTRUCTION_T(CallKind kind, op_call) {
    constexpr bool has_value = kind == CallKind::call || kind == CallKind::callcode;
    MILLRACE_ENTER_APART(has_value ? 7 : 6, 1, 0);
    U256* stack = sp;
    int64_t left = gas;
    const Status s = do_call<kind, checked>(f, stack, left);
    gas = left;
    if (s != Status::success) { MILLRACE_FAIL(s); }
    sp = stack;
    MILLRACE_NEXT_APART();
}

MILLRACE_INSTRUCTION_T(CallKind kind, op_create) {
    MILLRACE_ENTER_APART(kind == CallKind::create2 ? 4 : 3, 1, gas::create);
    U256* stack = sp;
    int64_t left = gas;
    const Status s = do_create<kind, checked>(f, stack, left);
    gas = left;
    if (s != Status::success) { MILLRACE_FAIL(s); }
    sp = stack;
    MILLRACE_NEXT_APART();
}

MILLRACE_INSTRUCTION(op_selfdestruct) {
    MILLRACE_ENTER_APART(1, 0, 0);
    if (f->message->is_static) { MILLRACE_FAIL(Status::static_mode_violation); }
    TxState& state = *f->state;
    const Revision revision = f->revision;
    TxAccount& self = *f->self;
    TxAccount& beneficiary = state.account(to_address(*sp));
    MILLRACE_CHARGE(gas::selfdestruct(revision));
    if (revision >= Revision::berlin && state.warm_account(beneficiary)) {
        MILLRACE_CHARGE(gas::cold_account);
    }
    if (revision >= Revision::spurious_dragon) {
        if (!state.balance(self).is_zero() && state.is_empty(beneficiary)) {
            MILLRACE_CHARGE(gas::new_account);
        }
    } else if (revision >= Revision::tangerine_whistle && !state.exists(beneficiary)) {
        MILLRACE_CHARGE(gas::new_account);
    }

    // Since EIP-6780 only a contract created in the same transaction is removed; others just send
    // their balance away, and sending it to oneself changes nothing.
    const bool removes = revision < Revision::cancun || self.created;
    const U256 amount = state.balance(self);
    if (&beneficiary != &self) {
        state.debit(self, amount);
        state.credit(beneficiary, amount);
    } else if (removes) {
        state.debit(self, amount);
    }
    if (removes && state.mark_destroyed(self) && revision < Revision::london) {
        state.add_refund(gas::selfdestruct_refund);
    }
    f->gas_left = gas;
    f->output_size = 0;
    return Status::success;
}

}  // namespace millrace::evm::detail
