// SPDX-License-Identifier: Apache-2.0
// Owns instructions 0x30 to 0x4a: what a contract can see of its call, its chain and other
// accounts.
#pragma once

#include "evm/core/detail/instruction.hpp"
#include "evm/tx/block.hpp"

namespace millrace::evm::detail {

#define MILLRACE_PUSH_VALUE(name, cost, expression) \
    MILLRACE_INSTRUCTION(name) {                    \
        MILLRACE_ENTER(0, 1, cost);                 \
        const U256 r = (expression);                \
        *++sp = r;                                  \
        MILLRACE_NEXT(1);                           \
    }

MILLRACE_PUSH_VALUE(op_address, 2, to_u256(f->message->recipient))
MILLRACE_PUSH_VALUE(op_origin, 2, to_u256(f->evm->transaction().origin))
MILLRACE_PUSH_VALUE(op_caller, 2, to_u256(f->message->sender))
MILLRACE_PUSH_VALUE(op_callvalue, 2, f->message->value)
MILLRACE_PUSH_VALUE(op_calldatasize, 2, U256{f->message->input.size()})
MILLRACE_PUSH_VALUE(op_codesize, 2, U256{f->code->size()})
MILLRACE_PUSH_VALUE(op_gasprice, 2, f->evm->transaction().gas_price)
MILLRACE_PUSH_VALUE(op_returndatasize, 2, U256{f->return_data->size()})
MILLRACE_PUSH_VALUE(op_coinbase, 2, to_u256(f->evm->block().coinbase))
MILLRACE_PUSH_VALUE(op_timestamp, 2, U256{f->evm->block().timestamp})
MILLRACE_PUSH_VALUE(op_number, 2, U256{f->evm->block().number})
MILLRACE_PUSH_VALUE(op_prevrandao, 2,
                    f->revision >= Revision::paris ? to_u256(f->evm->block().prev_randao)
                                                   : f->evm->block().difficulty)
MILLRACE_PUSH_VALUE(op_gaslimit, 2, U256{f->evm->block().gas_limit})
MILLRACE_PUSH_VALUE(op_chainid, 2, U256{f->evm->rules().chain_id})
MILLRACE_PUSH_VALUE(op_selfbalance, 5, f->state->balance(*f->self))
MILLRACE_PUSH_VALUE(op_basefee, 2, f->evm->block().base_fee_per_gas)
MILLRACE_PUSH_VALUE(op_blobbasefee, 2, f->evm->block().blob_base_fee)
MILLRACE_PUSH_VALUE(op_pc, 2, U256{static_cast<uint64_t>(pc - f->code_begin)})
MILLRACE_PUSH_VALUE(op_msize, 2, U256{f->memory_size})
MILLRACE_PUSH_VALUE(op_push0, 2, U256{})
#undef MILLRACE_PUSH_VALUE

MILLRACE_INSTRUCTION(op_gas) {
    MILLRACE_ENTER_APART(0, 1, 2);
    *++sp = U256{static_cast<uint64_t>(gas)};
    MILLRACE_NEXT_APART();
}

MILLRACE_INSTRUCTION(op_calldataload) {
    MILLRACE_ENTER(1, 1, 3);
    const ByteView data = f->message->input;
    const U256 offset = *sp;
    if (offset.fits_u64() && data.size() >= 32 && offset.low64() <= data.size() - 32) {
        *sp = load_be(data.data() + offset.low64());
    } else {
        uint8_t word[32];
        copy_padded(word, data, offset, 32);
        *sp = load_be(word);
    }
    MILLRACE_NEXT(1);
}

MILLRACE_INSTRUCTION(op_calldatacopy) {
    MILLRACE_ENTER_APART(3, 0, 3);
    if ((gas = grow_memory(f, gas, sp[0], sp[-2])) < 0) { MILLRACE_FAIL(Status::out_of_gas); }
    MILLRACE_CHARGE(copy_cost(sp[-2], gas::copy_word));
    if (const uint64_t n = sp[-2].low64(); n != 0) {
        copy_padded(f->memory + sp[0].low64(), f->message->input, sp[-1], n);
    }
    sp -= 3;
    MILLRACE_NEXT_APART();
}

MILLRACE_INSTRUCTION(op_codecopy) {
    MILLRACE_ENTER_APART(3, 0, 3);
    if ((gas = grow_memory(f, gas, sp[0], sp[-2])) < 0) { MILLRACE_FAIL(Status::out_of_gas); }
    MILLRACE_CHARGE(copy_cost(sp[-2], gas::copy_word));
    if (const uint64_t n = sp[-2].low64(); n != 0) {
        copy_padded(f->memory + sp[0].low64(), f->code->bytes(), sp[-1], n);
    }
    sp -= 3;
    MILLRACE_NEXT_APART();
}

MILLRACE_INSTRUCTION(op_returndatacopy) {
    MILLRACE_ENTER_APART(3, 0, 3);
    if ((gas = grow_memory(f, gas, sp[0], sp[-2])) < 0) { MILLRACE_FAIL(Status::out_of_gas); }
    const uint64_t available = f->return_data->size();
    if (!sp[-1].fits_u64() || sp[-1].low64() > available || !sp[-2].fits_u64() ||
        sp[-2].low64() > available - sp[-1].low64()) {
        MILLRACE_FAIL(Status::return_data_out_of_bounds);
    }
    MILLRACE_CHARGE(copy_cost(sp[-2], gas::copy_word));
    if (const uint64_t n = sp[-2].low64(); n != 0) {
        std::memcpy(f->memory + sp[0].low64(), f->return_data->data() + sp[-1].low64(), n);
    }
    sp -= 3;
    MILLRACE_NEXT_APART();
}

MILLRACE_INSTRUCTION(op_balance) {
    MILLRACE_ENTER_APART(1, 1, 0);
    TxAccount& a = f->state->account(to_address(*sp));
    MILLRACE_CHARGE(account_access_cost(f, a, gas::balance(f->revision)));
    *sp = f->state->balance(a);
    MILLRACE_NEXT_APART();
}

MILLRACE_INSTRUCTION(op_extcodesize) {
    MILLRACE_ENTER_APART(1, 1, 0);
    TxAccount& a = f->state->account(to_address(*sp));
    MILLRACE_CHARGE(account_access_cost(f, a, gas::extcode(f->revision)));
    *sp = U256{f->state->code_bytes(a).size()};
    MILLRACE_NEXT_APART();
}

MILLRACE_INSTRUCTION(op_extcodecopy) {
    MILLRACE_ENTER_APART(4, 0, 0);
    if ((gas = grow_memory(f, gas, sp[-1], sp[-3])) < 0) { MILLRACE_FAIL(Status::out_of_gas); }
    MILLRACE_CHARGE(copy_cost(sp[-3], gas::copy_word));
    TxAccount& a = f->state->account(to_address(sp[0]));
    MILLRACE_CHARGE(account_access_cost(f, a, gas::extcode(f->revision)));
    if (const uint64_t n = sp[-3].low64(); n != 0) {
        copy_padded(f->memory + sp[-1].low64(), f->state->code_bytes(a), sp[-2], n);
    }
    sp -= 4;
    MILLRACE_NEXT_APART();
}

MILLRACE_INSTRUCTION(op_extcodehash) {
    MILLRACE_ENTER_APART(1, 1, 0);
    TxAccount& a = f->state->account(to_address(*sp));
    MILLRACE_CHARGE(account_access_cost(f, a, gas::extcodehash(f->revision)));
    // An account with code is not empty; only the others need the balance looked at.
    const Hash256& hash = f->state->code_hash(a);
    *sp = hash == empty_code_hash && f->state->is_empty(a) ? U256{} : to_u256(hash);
    MILLRACE_NEXT_APART();
}

MILLRACE_INSTRUCTION(op_blockhash) {
    MILLRACE_ENTER(1, 1, 20);
    const uint64_t current = f->evm->block().number;
    const U256 wanted = *sp;
    const bool in_range =
        wanted.fits_u64() && wanted.low64() < current && current - wanted.low64() <= 256;
    *sp = in_range ? to_u256(f->state->block_hash(wanted.low64())) : U256{};
    MILLRACE_NEXT(1);
}

MILLRACE_INSTRUCTION(op_blobhash) {
    MILLRACE_ENTER(1, 1, 3);
    const auto hashes = f->evm->transaction().blob_hashes;
    *sp = sp->fits_u64() && sp->low64() < hashes.size() ? to_u256(hashes[sp->low64()]) : U256{};
    MILLRACE_NEXT(1);
}

}  // namespace millrace::evm::detail
