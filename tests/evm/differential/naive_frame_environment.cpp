// SPDX-License-Identifier: Apache-2.0
// Owns the naive instructions 0x20 to 0x4a: hashing, copies, what a contract can see.
#include "kernels/keccak/keccak.hpp"
#include "tests/evm/differential/naive_frame.hpp"
#include "tests/evm/differential/naive_words.hpp"

namespace millrace::evm::differential {

void NaiveFrame::environment(uint8_t opcode) {
    switch (opcode) {
        case 0x20: {
            const Word offset = pop();
            const Word size = pop();
            expand(offset, size);
            charge_per_word(6, size);
            return push(word_from(kernels::keccak256(read_memory(offset, size))));
        }
        case 0x30: return push(word_from(message_.recipient));
        case 0x31: {
            const Address a = address_from(pop());
            charge_account_access(a, at_least(Revision::istanbul)            ? 700
                                     : at_least(Revision::tangerine_whistle) ? 400
                                                                             : 20);
            return push(balance_of(a));
        }
        case 0x32: return push(word_from(evm_.context().origin));
        case 0x33: return push(word_from(message_.sender));
        case 0x34: return push(message_.value);
        case 0x35: {
            const Word offset = pop();
            return push(from_bytes(padded(message_.input, offset, 32)));
        }
        case 0x36: return push(Word{message_.input.size()});
        case 0x37: return copy_to_memory(message_.input);
        case 0x38: return push(Word{code_.size()});
        case 0x39: return copy_to_memory(code_);
        case 0x3a: return push(evm_.context().gas_price);
        case 0x3b: {
            const Address a = address_from(pop());
            charge_account_access(a, at_least(Revision::tangerine_whistle) ? 700 : 20);
            return push(Word{code_of(a).size()});
        }
        case 0x3c: return external_code_copy();
        case 0x3d: return push(Word{return_data_.size()});
        case 0x3e: return return_data_copy();
        default: {
            const Address a = address_from(pop());
            charge_account_access(a, at_least(Revision::istanbul) ? 700 : 400);
            return push(is_dead(a) ? Word{} : word_from(kernels::keccak256(code_of(a))));
        }
    }
}

void NaiveFrame::copy_to_memory(const Bytes& from) {
    const Word to = pop();
    const Word offset = pop();
    const Word size = pop();
    expand(to, size);
    charge_per_word(3, size);
    write_memory(to, padded(from, offset, size));
}

void NaiveFrame::external_code_copy() {
    const Address a = address_from(pop());
    const Word to = pop();
    const Word offset = pop();
    const Word size = pop();
    expand(to, size);
    charge_per_word(3, size);
    charge_account_access(a, at_least(Revision::tangerine_whistle) ? 700 : 20);
    write_memory(to, padded(code_of(a), offset, size));
}

void NaiveFrame::return_data_copy() {
    const Word to = pop();
    const Word offset = pop();
    const Word size = pop();
    expand(to, size);
    const unsigned slack = evm_.has_fault(Fault::return_data_bound) ? 1 : 0;
    if (offset + size > Word{return_data_.size()} + slack) {
        fail(Status::return_data_out_of_bounds);
    }
    charge_per_word(3, size);
    write_memory(to, padded(return_data_, offset, size));
}

void NaiveFrame::block_information(uint8_t opcode) {
    const NaiveContext& c = evm_.context();
    switch (opcode) {
        case 0x40: {
            const Word number = pop();
            const Word current{c.block.number};
            if (number >= current || current - number > 256) { return push(0); }
            const auto it = c.block_hashes.find(number.get_ui());
            return push(it == c.block_hashes.end() ? Word{} : word_from(it->second));
        }
        case 0x41: return push(word_from(c.block.coinbase));
        case 0x42: return push(Word{c.block.timestamp});
        case 0x43: return push(Word{c.block.number});
        case 0x44:
            return push(at_least(Revision::paris) ? word_from(c.block.prev_randao)
                                                  : to_word(c.block.difficulty));
        case 0x45: return push(Word{c.block.gas_limit});
        case 0x46: return push(Word{c.chain_id});
        case 0x47: return push(balance_of(message_.recipient));
        case 0x48: return push(to_word(c.block.base_fee_per_gas));
        case 0x49: {
            const Word index = pop();
            return push(index < c.blob_hashes.size() ? word_from(c.blob_hashes[index.get_ui()])
                                                     : Word{});
        }
        default: return push(to_word(c.block.blob_base_fee));
    }
}

}  // namespace millrace::evm::differential
