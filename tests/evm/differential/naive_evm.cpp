// SPDX-License-Identifier: Apache-2.0
// Owns how the naive implementation runs messages: calls, creations, addresses, reverts.
#include "tests/evm/differential/naive_evm.hpp"

#include "kernels/keccak/keccak.hpp"
#include "tests/evm/differential/naive_frame.hpp"
#include "tests/evm/differential/naive_words.hpp"

namespace millrace::evm::differential {

Word to_word(const U256& v) {
    Word w;
    mpz_import(w.get_mpz_t(), 4, -1, 8, 0, 0, v.w);
    return w;
}

U256 to_u256(const Word& v) {
    U256 out;
    Word rest = wrap(v);
    for (uint64_t& limb : out.w) {
        limb = Word{rest & Word{~0ul}}.get_ui();
        rest >>= 64;
    }
    return out;
}

std::string_view to_string(Fault fault) {
    switch (fault) {
        case Fault::none: return "none";
        case Fault::call_gas_rounding: return "call_gas_rounding";
        case Fault::stipend: return "stipend";
        case Fault::clear_refund: return "clear_refund";
        case Fault::sstore_sentry: return "sstore_sentry";
        case Fault::cold_slot_kept: return "cold_slot_kept";
        case Fault::transient_kept: return "transient_kept";
        case Fault::log_kept: return "log_kept";
        case Fault::touch_kept: return "touch_kept";
        case Fault::exponent_gas: return "exponent_gas";
        case Fault::memory_divisor: return "memory_divisor";
        case Fault::memory_size_bytes: return "memory_size_bytes";
        case Fault::copy_gas_floor: return "copy_gas_floor";
        case Fault::jump_into_push_data: return "jump_into_push_data";
        case Fault::return_data_bound: return "return_data_bound";
        case Fault::return_data_kept: return "return_data_kept";
        case Fault::signed_division_minimum: return "signed_division_minimum";
        case Fault::signed_remainder_sign: return "signed_remainder_sign";
        case Fault::sign_extend_limit: return "sign_extend_limit";
        case Fault::add_mod_wraps: return "add_mod_wraps";
        case Fault::shift_limit: return "shift_limit";
        case Fault::leading_zeros: return "leading_zeros";
        case Fault::stack_limit: return "stack_limit";
        case Fault::underflow_after_gas: return "underflow_after_gas";
        case Fault::create_nonce: return "create_nonce";
        case Fault::code_prefix: return "code_prefix";
        case Fault::delegation_gas: return "delegation_gas";
        case Fault::destroy_existing: return "destroy_existing";
        case Fault::access_list_gas: return "access_list_gas";
        case Fault::floor_gas: return "floor_gas";
        case Fault::refund_quotient: return "refund_quotient";
        case Fault::call_price: return "call_price";
        case Fault::creation_price: return "creation_price";
        case Fault::last: break;
    }
    return "unknown";
}

const Address* naive_delegation(const Bytes& code, Address& target) {
    if (code.size() != 23 || code[0] != 0xef || code[1] != 0x01 || code[2] != 0x00) {
        return nullptr;
    }
    target = Address::from(ByteView{code}.subspan(3));
    return &target;
}

Address naive_create_address(const Address& sender, const Word& nonce) {
    // rlp([sender, nonce]): both are short, so every header is one byte.
    Bytes nonce_bytes = to_bytes(nonce, 8);
    while (!nonce_bytes.empty() && nonce_bytes.front() == 0) {
        nonce_bytes.erase(nonce_bytes.begin());
    }
    Bytes payload{0x94};
    payload.insert(payload.end(), sender.begin(), sender.end());
    if (nonce_bytes.size() != 1 || nonce_bytes[0] >= 0x80) {
        payload.push_back(static_cast<uint8_t>(0x80 + nonce_bytes.size()));
    }
    payload.insert(payload.end(), nonce_bytes.begin(), nonce_bytes.end());
    payload.insert(payload.begin(), static_cast<uint8_t>(0xc0 + payload.size()));
    return Address::from(kernels::keccak256(payload).view().subspan(12));
}

Address naive_create2_address(const Address& sender, const Word& salt, const Bytes& init_code) {
    Bytes preimage{0xff};
    preimage.insert(preimage.end(), sender.begin(), sender.end());
    const Bytes salt_bytes = to_bytes(salt, 32);
    preimage.insert(preimage.end(), salt_bytes.begin(), salt_bytes.end());
    const Hash256 code_hash = kernels::keccak256(init_code);
    preimage.insert(preimage.end(), code_hash.begin(), code_hash.end());
    return Address::from(kernels::keccak256(preimage).view().subspan(12));
}

bool NaiveEvm::warm(const Address& a) {
    return state_.warm_accounts.insert(a).second && !is_precompile(a);
}

NaiveResult NaiveEvm::run(const NaiveMessage& message) {
    const bool creates = message.kind == CallKind::create || message.kind == CallKind::create2;
    return creates ? run_create(message) : run_call(message);
}

NaiveResult NaiveEvm::run_code(const NaiveMessage& message, const Bytes& code) {
    if (code.empty()) { return {Status::success, message.gas, {}}; }
    return NaiveFrame{*this, message, code}.run();
}

void NaiveEvm::transfer(const Address& from, const Address& to, const Word& value) {
    if (value == 0) { return; }
    state_.accounts[from].balance -= value;
    state_.accounts[to].balance += value;
}

void NaiveEvm::revert_to(const NaiveState& snapshot) {
    NaiveState undone = state_;
    state_ = snapshot;
    if (has_fault(Fault::cold_slot_kept)) { state_.warm_slots = undone.warm_slots; }
    if (has_fault(Fault::transient_kept)) { state_.transient = undone.transient; }
    if (has_fault(Fault::log_kept)) { state_.logs = undone.logs; }
    if (has_fault(Fault::touch_kept)) {
        for (const auto& [address, account] : undone.accounts) { state_.accounts[address]; }
    }
}

NaiveResult NaiveEvm::run_call(const NaiveMessage& message) {
    const NaiveState snapshot = state_;
    if (message.kind == CallKind::call || message.kind == CallKind::staticcall) {
        state_.accounts[message.recipient];  // Touched: it exists from now on (before EIP-161).
        transfer(message.sender, message.recipient, message.value);
    }
    NaiveResult r;
    if (!message.delegated && is_precompile(message.code_address)) {
        const PrecompileOutcome p = context_.precompiles->run(
            message.code_address, message.input, message.gas.get_ui(), context_.revision);
        if (p.success) {
            r = {Status::success, message.gas - Word{p.gas_used}, p.output};
        } else {
            r = {Status::precompile_failure, 0, {}};
        }
    } else {
        const auto account = state_.accounts.find(message.code_address);
        // A copy: the account may change while its code runs.
        const Bytes code = account == state_.accounts.end() ? Bytes{} : account->second.code;
        r = run_code(message, code);
    }
    if (r.status != Status::success) { revert_to(snapshot); }
    return r;
}

NaiveResult NaiveEvm::run_create(const NaiveMessage& message) {
    if (at_least(Revision::berlin)) { warm(message.recipient); }
    if (const auto it = state_.accounts.find(message.recipient); it != state_.accounts.end()) {
        const NaiveAccount& a = it->second;
        if (a.nonce != 0 || !a.code.empty() || !a.storage.empty()) {
            return {Status::address_collision, 0, {}};
        }
    }
    const NaiveState snapshot = state_;
    state_.created.insert(message.recipient);
    state_.accounts[message.recipient].nonce = at_least(Revision::spurious_dragon) ? 1 : 0;
    transfer(message.sender, message.recipient, message.value);

    NaiveMessage m = message;
    m.input.clear();
    NaiveResult r = run_code(m, message.input);
    if (r.status == Status::success) {
        const Word price = 200 * Word{r.output.size()};
        const bool checks_prefix = at_least(Revision::london) && !has_fault(Fault::code_prefix);
        if (checks_prefix && !r.output.empty() && r.output[0] == 0xef) {
            r = {Status::code_starts_with_ef, 0, {}};
        } else if (at_least(Revision::spurious_dragon) && r.output.size() > 24576) {
            r = {Status::code_size_exceeded, 0, {}};
        } else if (r.gas_left >= price) {
            r.gas_left -= price;
            state_.accounts[message.recipient].code = r.output;
        } else if (at_least(Revision::homestead)) {
            r = {Status::out_of_gas, 0, {}};
        }
    }
    if (r.status == Status::success) {
        r.output.clear();
    } else {
        revert_to(snapshot);
    }
    return r;
}

}  // namespace millrace::evm::differential
