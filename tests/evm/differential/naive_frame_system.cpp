// SPDX-License-Identifier: Apache-2.0
// Owns the naive instructions 0xa0 to 0xff: logs, calls, creations, ends of frames.
#include "tests/evm/differential/naive_frame.hpp"
#include "tests/evm/differential/naive_words.hpp"

namespace millrace::evm::differential {

void NaiveFrame::log(unsigned topics) {
    require_not_static();
    const Word offset = pop();
    const Word size = pop();
    expand(offset, size);
    charge(8 * size);
    Log entry;
    entry.address = message_.recipient;
    entry.data = read_memory(offset, size);
    for (unsigned i = 0; i < topics; ++i) {
        entry.topics.push_back(Hash256::from(to_bytes(pop(), 32)));
    }
    state_.logs.push_back(entry);
}

void NaiveFrame::system(uint8_t opcode) {
    switch (opcode) {
        case 0xf0: return create(CallKind::create);
        case 0xf1: return call(CallKind::call);
        case 0xf2: return call(CallKind::callcode);
        case 0xf4: return call(CallKind::delegatecall);
        case 0xf5: return create(CallKind::create2);
        case 0xfa: return call(CallKind::staticcall);
        case 0xf3:
        case 0xfd: {
            const Word offset = pop();
            const Word size = pop();
            expand(offset, size);
            output_ = read_memory(offset, size);
            return end(opcode == 0xf3 ? Status::success : Status::revert);
        }
        case 0xfe: fail(Status::invalid_instruction);
        default: return self_destruct();
    }
}

Word NaiveFrame::all_but_one_64th() const {
    if (evm_.has_fault(Fault::call_gas_rounding)) { return gas_ * 63 / 64; }
    return gas_ - gas_ / 64;
}

void NaiveFrame::call(CallKind kind) {
    const bool has_value = kind == CallKind::call || kind == CallKind::callcode;
    const Word requested = pop();
    const Address target = address_from(pop());
    const Word value = has_value ? pop() : Word{};
    const Word input_offset = pop();
    const Word input_size = pop();
    const Word output_offset = pop();
    const Word output_size = pop();
    if (kind == CallKind::call && value != 0) { require_not_static(); }

    charge_account_access(target, at_least(Revision::tangerine_whistle) ? 700 : 40);
    expand(input_offset, input_size);
    expand(output_offset, output_size);
    if (value != 0) { charge(9000); }
    NaiveMessage m;
    m.code_address = target;
    if (at_least(Revision::prague)) {
        Address delegate;
        if (naive_delegation(code_of(target), delegate) != nullptr) {
            const bool cold = evm_.warm(delegate);
            charge(cold && !evm_.has_fault(Fault::delegation_gas) ? 2600 : 100);
            m.code_address = delegate;
            m.delegated = true;
        }
    }
    if (kind == CallKind::call) {
        const bool pays =
            at_least(Revision::spurious_dragon) ? value != 0 && is_dead(target) : !exists(target);
        if (pays) { charge(25000); }
    }

    m.gas = requested;
    if (at_least(Revision::tangerine_whistle) && m.gas > all_but_one_64th()) {
        m.gas = all_but_one_64th();
    }
    if (evm_.has_fault(Fault::call_price)) { settle_cost(); }
    charge(m.gas);
    settle_cost();
    if (value != 0) { m.gas += evm_.has_fault(Fault::stipend) ? 2299 : 2300; }

    m.kind = kind;
    m.is_static = message_.is_static || kind == CallKind::staticcall;
    m.depth = message_.depth + 1;
    const bool keeps_self = kind == CallKind::callcode || kind == CallKind::delegatecall;
    m.recipient = keeps_self ? message_.recipient : target;
    m.sender = kind == CallKind::delegatecall ? message_.sender : message_.recipient;
    m.value = kind == CallKind::delegatecall ? message_.value : value;
    m.input = read_memory(input_offset, input_size);

    return_data_.clear();
    if (message_.depth + 1 > static_cast<int>(depth_max) ||
        value > balance_of(message_.recipient)) {
        gas_ += m.gas;
        return push(0);
    }
    const NaiveResult r = evm_.run(m);
    gas_ += r.gas_left;
    return_data_ = r.output;
    Bytes seen = r.output;
    if (output_size < seen.size()) { seen.resize(output_size.get_ui()); }
    write_memory(output_offset, seen);
    push(flag(r.status == Status::success));
}

void NaiveFrame::create(CallKind kind) {
    require_not_static();
    const Word value = pop();
    const Word offset = pop();
    const Word size = pop();
    const Word salt = kind == CallKind::create2 ? pop() : Word{};
    expand(offset, size);
    if (at_least(Revision::shanghai)) {
        if (size > 49152) { fail(Status::initcode_size_exceeded); }
    }
    Word per_word = at_least(Revision::shanghai) ? 2 : 0;
    if (kind == CallKind::create2) { per_word += 6; }
    charge(per_word * ceil_div(size, 32));
    if (!evm_.has_fault(Fault::creation_price)) { settle_cost(); }

    if (!evm_.has_fault(Fault::return_data_kept)) { return_data_.clear(); }
    NaiveAccount& self = state_.accounts[message_.recipient];
    if (message_.depth + 1 > static_cast<int>(depth_max) || self.nonce == nonce_max ||
        value > self.balance) {
        return push(0);
    }
    NaiveMessage m;
    m.kind = kind;
    m.depth = message_.depth + 1;
    m.sender = message_.recipient;
    m.value = value;
    m.input = read_memory(offset, size);
    m.recipient = kind == CallKind::create2 ? naive_create2_address(m.sender, salt, m.input)
                                            : naive_create_address(m.sender, self.nonce);
    m.gas = at_least(Revision::tangerine_whistle) ? all_but_one_64th() : gas_;
    charge(m.gas);
    self.nonce += 1;
    const NaiveResult r = evm_.run(m);
    if (r.status == Status::address_collision && evm_.has_fault(Fault::create_nonce)) {
        state_.accounts[message_.recipient].nonce -= 1;
    }
    gas_ += r.gas_left;
    if (r.status == Status::success) { return push(word_from(m.recipient)); }
    return_data_ = r.output;
    push(0);
}

void NaiveFrame::self_destruct() {
    require_not_static();
    const Address beneficiary = address_from(pop());
    const Address self = message_.recipient;
    if (at_least(Revision::tangerine_whistle)) { charge(5000); }
    if (at_least(Revision::berlin) && evm_.warm(beneficiary)) { charge(2600); }
    const Word amount = balance_of(self);
    if (at_least(Revision::spurious_dragon)) {
        if (amount != 0 && is_dead(beneficiary)) { charge(25000); }
    } else if (at_least(Revision::tangerine_whistle) && !exists(beneficiary)) {
        charge(25000);
    }
    const bool removes = !at_least(Revision::cancun) || state_.created.contains(self) ||
                         evm_.has_fault(Fault::destroy_existing);
    state_.accounts[self].balance -= amount;
    state_.accounts[beneficiary].balance += amount;
    if (removes) {
        if (beneficiary == self) { state_.accounts[self].balance = 0; }
        if (state_.destroyed.insert(self).second && !at_least(Revision::london)) {
            state_.refund += 24000;
        }
    }
    end(Status::success);
}

}  // namespace millrace::evm::differential
