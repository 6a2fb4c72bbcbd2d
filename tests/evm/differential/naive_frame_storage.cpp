// SPDX-License-Identifier: Apache-2.0
// Owns the naive instructions 0x50 to 0x7f: memory, storage, jumps, PUSH.
#include "tests/evm/differential/naive_frame.hpp"
#include "tests/evm/differential/naive_words.hpp"

namespace millrace::evm::differential {

void NaiveFrame::memory_storage_flow(uint8_t opcode) {
    switch (opcode) {
        case 0x50: pop(); return;
        case 0x51: {
            const Word offset = pop();
            expand(offset, 32);
            return push(from_bytes(read_memory(offset, 32)));
        }
        case 0x52:
        case 0x53: {
            const Word offset = pop();
            const Word value = pop();
            const size_t size = opcode == 0x52 ? 32 : 1;
            expand(offset, Word{size});
            return write_memory(offset, to_bytes(value, size));
        }
        case 0x54: return load_storage();
        case 0x55: return store_storage();
        case 0x56: return jump(pop());
        case 0x57: {
            const Word target = pop();
            const Word condition = pop();
            if (condition != 0) { jump(target); }
            return;
        }
        case 0x58: return push(Word{pc_});
        case 0x59:
            return push(evm_.has_fault(Fault::memory_size_bytes) ? highest_byte_
                                                                 : Word{memory_.size()});
        case 0x5a: return push(gas_);
        case 0x5b: return;
        case 0x5c: {
            const auto it = state_.transient.find({message_.recipient, pop()});
            return push(it == state_.transient.end() ? Word{} : it->second);
        }
        case 0x5d: {
            require_not_static();
            const Word key = pop();
            state_.transient[{message_.recipient, key}] = pop();
            return;
        }
        case 0x5e: {
            const Word to = pop();
            const Word from = pop();
            const Word size = pop();
            expand(to > from ? to : from, size);
            charge_per_word(3, size);
            return write_memory(to, read_memory(from, size));
        }
        default: return push(0);
    }
}

void NaiveFrame::jump(const Word& target) {
    if (target >= code_.size() || !jump_destinations_.contains(target.get_ui())) {
        fail(Status::bad_jump_destination);
    }
    next_ = target.get_ui();
}

void NaiveFrame::push_immediate(unsigned size) {
    push(from_bytes(padded(code_, Word{pc_ + 1}, size)));
}

Word NaiveFrame::slot_of(const std::map<Address, NaiveAccount>& accounts, const Address& a,
                         const Word& key) {
    const auto account = accounts.find(a);
    if (account == accounts.end()) { return 0; }
    const auto slot = account->second.storage.find(key);
    return slot == account->second.storage.end() ? Word{} : slot->second;
}

bool NaiveFrame::warm_slot(const Word& key) {
    return state_.warm_slots.insert({message_.recipient, key}).second;
}

void NaiveFrame::load_storage() {
    const Word key = pop();
    if (at_least(Revision::berlin)) {
        charge(warm_slot(key) ? 2100 : 100);
    } else {
        charge(at_least(Revision::istanbul)            ? 800
               : at_least(Revision::tangerine_whistle) ? 200
                                                       : 50);
    }
    push(slot_of(state_.accounts, message_.recipient, key));
}

void NaiveFrame::store_storage() {
    require_not_static();
    const unsigned sentry = evm_.has_fault(Fault::sstore_sentry) ? 2299 : 2300;
    if (at_least(Revision::istanbul) && gas_ <= sentry) { fail(Status::out_of_gas); }
    const Word key = pop();
    const Word value = pop();
    if (at_least(Revision::berlin) && warm_slot(key)) { charge(2100); }
    const Word current = slot_of(state_.accounts, message_.recipient, key);
    if (at_least(Revision::istanbul) || revision() == Revision::constantinople) {
        charge_net_metered(slot_of(evm_.original(), message_.recipient, key), current, value);
    } else {
        charge(current == 0 && value != 0 ? 20000 : 5000);
        if (current != 0 && value == 0) { state_.refund += 15000; }
    }
    auto& storage = state_.accounts[message_.recipient].storage;
    if (value == 0) {
        storage.erase(key);
    } else {
        storage[key] = value;
    }
}

void NaiveFrame::charge_net_metered(const Word& original, const Word& current, const Word& value) {
    const bool berlin = at_least(Revision::berlin);
    const int load = berlin ? 100 : at_least(Revision::istanbul) ? 800 : 200;
    const int reset = berlin ? 2900 : 5000;
    int clears = at_least(Revision::london) ? 4800 : 15000;
    if (evm_.has_fault(Fault::clear_refund)) { ++clears; }
    if (current == value) { return charge(load); }
    if (original == current) {
        if (original == 0) { return charge(20000); }
        charge(reset);
        if (value == 0) { state_.refund += clears; }
        return;
    }
    charge(load);
    if (original != 0) {
        if (current == 0) { state_.refund -= clears; }
        if (value == 0) { state_.refund += clears; }
    }
    if (original == value) { state_.refund += (original == 0 ? 20000 : reset) - load; }
}

}  // namespace millrace::evm::differential
