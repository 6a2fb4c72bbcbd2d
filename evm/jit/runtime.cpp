// SPDX-License-Identifier: Apache-2.0
// Owns the functions that compiled code calls for what is not worth being inlined.
#include "evm/jit/runtime.hpp"

#include <cstddef>

#include "evm/core/gas.hpp"
#include "evm/core/native.hpp"
#include "evm/core/opcodes.hpp"
#include "evm/tx/block.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::evm::jit {
namespace {

/// Counts the changes of what is generated that the layout does not show.
constexpr uint64_t generation = 1;

int64_t step(Frame* f, uint64_t position, U256* sp, int64_t gas) {
    return step_instruction(*f, position, sp, gas);
}

int64_t grow(Frame* f, int64_t gas, uint64_t end) { return grow_memory(*f, gas, end); }

void divide(U256* out, const U256* a, const U256* b) { *out = *a / *b; }
void remainder(U256* out, const U256* a, const U256* b) { *out = *a % *b; }
void signed_divide(U256* out, const U256* a, const U256* b) { *out = signed_div(*a, *b); }
void signed_remainder(U256* out, const U256* a, const U256* b) { *out = signed_mod(*a, *b); }
void extend_sign(U256* out, const U256* index, const U256* v) { *out = sign_extend(*index, *v); }
void add_modulo(U256* out, const U256* a, const U256* b, const U256* m) {
    *out = add_mod(*a, *b, *m);
}
void multiply_modulo(Frame* f, U256* out, const U256* a, const U256* b, const U256* m) {
    *out = mul_mod(*a, *b, *m, f->evm->workspace().mulmod_modulus);
}

/// a * b mod m for a modulus of at least 2^254 with 2^256 = c (mod m), c < 2^64: secp256k1's prime,
/// 2^255 - 19 and their like. The high half is folded in twice, each time times c.
void multiply_modulo_sparse(U256* out, const U256* a, const U256* b, const U256* m, uint64_t c) {
    using u128 = unsigned __int128;
    U256 high;
    U256 low = mul_full(*a, *b, high);
    u128 carry = 0;
    for (int i = 0; i < 4; ++i) {
        carry += static_cast<u128>(high.w[i]) * c + low.w[i];
        low.w[i] = static_cast<uint64_t>(carry);
        carry >>= 64;
    }
    // What is above 256 bits is at most c; folded in it may carry once more, and then the rest is
    // small.
    carry *= c;
    for (int i = 0; i < 4; ++i) {
        carry += low.w[i];
        low.w[i] = static_cast<uint64_t>(carry);
        carry >>= 64;
    }
    if (carry != 0) { low += U256{c}; }
    while (low >= *m) { low -= *m; }
    *out = low;
}

/// KECCAK256 whose fixed price is paid; `size` and `offset` are saturated.
int64_t keccak(Frame* f, int64_t gas, uint64_t offset, uint64_t size, U256* out) {
    constexpr uint64_t size_max = uint64_t{1} << 35;
    if (size > size_max) { return -1; }
    gas -= static_cast<int64_t>(gas::words(size)) * gas::keccak_word;
    if (gas < 0) { return gas; }
    if (size == 0) {
        *out = to_u256(kernels::keccak256_of_empty);
        return gas;
    }
    if (offset > size_max || (gas = grow_memory(*f, gas, offset + size)) < 0) { return -1; }
    if (size == 64) {
        *out = f->evm->workspace().keccak_memo.hash(f->memory + offset);
    } else {
        *out = to_u256(kernels::keccak256({f->memory + offset, size}));
    }
    return gas;
}

/// The word at `offset`, saturated, of call data that does not reach that far.
void load_calldata(Frame* f, uint64_t offset, U256* out) {
    const ByteView data = f->message->input;
    uint8_t word[32] = {};
    if (offset < data.size()) {
        std::memcpy(word, data.data() + offset, std::min<uint64_t>(32, data.size() - offset));
    }
    *out = load_be(word);
}

/// Instructions that show what does not change while the frame runs code of its own.
void environment(Frame* f, uint64_t opcode, U256* out) {
    switch (static_cast<Opcode>(opcode)) {
        case Opcode::address: *out = to_u256(f->message->recipient); return;
        case Opcode::origin: *out = to_u256(f->evm->transaction().origin); return;
        case Opcode::caller: *out = to_u256(f->message->sender); return;
        case Opcode::gasprice: *out = f->evm->transaction().gas_price; return;
        case Opcode::returndatasize: *out = U256{f->return_data->size()}; return;
        case Opcode::coinbase: *out = to_u256(f->evm->block().coinbase); return;
        case Opcode::timestamp: *out = U256{f->evm->block().timestamp}; return;
        case Opcode::number: *out = U256{f->evm->block().number}; return;
        case Opcode::prevrandao:
            *out = f->revision >= Revision::paris ? to_u256(f->evm->block().prev_randao)
                                                  : f->evm->block().difficulty;
            return;
        case Opcode::gaslimit: *out = U256{f->evm->block().gas_limit}; return;
        case Opcode::chainid: *out = U256{f->evm->rules().chain_id}; return;
        case Opcode::basefee: *out = f->evm->block().base_fee_per_gas; return;
        case Opcode::blobbasefee: *out = f->evm->block().blob_base_fee; return;
        default: *out = f->message->value; return;
    }
}

/// BLOBHASH; `index` is saturated.
void blob_hash(Frame* f, uint64_t index, U256* out) {
    const auto hashes = f->evm->transaction().blob_hashes;
    *out = index < hashes.size() ? to_u256(hashes[index]) : U256{};
}

uint64_t is_destination(Frame* f, uint64_t position) {
    return f->code->is_jump_destination(position) ? 1 : 0;
}

template <typename F>
RuntimeSymbol symbol(const char* name, F* function) {
    return {name, reinterpret_cast<void*>(function)};
}

const RuntimeSymbol symbols[] = {
    symbol("mr_step", step),
    symbol("mr_grow", grow),
    symbol("mr_div", divide),
    symbol("mr_mod", remainder),
    symbol("mr_sdiv", signed_divide),
    symbol("mr_smod", signed_remainder),
    symbol("mr_signextend", extend_sign),
    symbol("mr_addmod", add_modulo),
    symbol("mr_mulmod", multiply_modulo),
    symbol("mr_mulmod_sparse", multiply_modulo_sparse),
    symbol("mr_keccak", keccak),
    symbol("mr_calldataload", load_calldata),
    symbol("mr_environment", environment),
    symbol("mr_blobhash", blob_hash),
    symbol("mr_is_destination", is_destination),
};

}  // namespace

std::span<const RuntimeSymbol> runtime_symbols() noexcept { return symbols; }

uint64_t runtime_version() noexcept {
    const size_t layout[] = {
        offsetof(Frame, memory),
        offsetof(Frame, memory_size),
        offsetof(Frame, stack_base),
        offsetof(Frame, message),
        offsetof(Frame, resume_position),
        offsetof(Frame, resume_sp),
        offsetof(Frame, gas_left),
        offsetof(Frame, output_size),
        offsetof(Message, input),
        offsetof(Message, value),
        sizeof(Frame),
        sizeof(Message),
        std::size(symbols),
    };
    uint64_t hash = 0xcbf29ce484222325 ^ generation;
    for (const size_t v : layout) { hash = (hash ^ v) * 0x100000001b3; }
    return hash;
}

}  // namespace millrace::evm::jit
