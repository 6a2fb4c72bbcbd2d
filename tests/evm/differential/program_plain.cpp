// SPDX-License-Identifier: Apache-2.0
// Owns generated statements that stay within a frame: arithmetic, memory, storage, copies, logs.
#include "tests/evm/differential/program.hpp"

namespace millrace::evm::differential {

void Program::arithmetic() {
    const uint64_t pick = choices_.below(26);
    if (pick < 4) {
        operand();
        const bool clz = choices_.one_in(3) && around_.revision >= Revision::osaka;
        return simple(clz ? Opcode::clz : choices_.one_in(2) ? Opcode::iszero : Opcode::not_, 1, 1);
    }
    operand();
    operand();
    if (pick < 8) {
        operand();
        return simple(choices_.one_in(2) ? Opcode::addmod : Opcode::mulmod, 3, 1);
    }
    static constexpr Opcode operations[] = {
        Opcode::add,  Opcode::mul, Opcode::sub,        Opcode::div, Opcode::sdiv, Opcode::mod,
        Opcode::smod, Opcode::exp, Opcode::signextend, Opcode::lt,  Opcode::gt,   Opcode::slt,
        Opcode::sgt,  Opcode::eq,  Opcode::and_,       Opcode::or_, Opcode::xor_, Opcode::byte,
        Opcode::shl,  Opcode::shr, Opcode::sar};
    const Opcode o = choices_.any_of(operations);
    if (choices_.one_in(2) && (o == Opcode::signextend || o >= Opcode::byte)) {
        // The first operand of these is a small count in real code.
        simple(Opcode::pop, 1, 0);
        static constexpr uint64_t bytes[] = {0, 1, 7, 8, 15, 16, 29, 30, 31, 32, 33};
        static constexpr uint64_t bits[] = {0,   1,   7,   8,   63,  64,  65,  127, 128,
                                            191, 192, 193, 247, 248, 255, 256, 257};
        const bool in_bytes = o == Opcode::signextend || o == Opcode::byte;
        if (choices_.one_in(3)) {
            number(choices_.below(in_bytes ? 34 : 260));
        } else {
            number(in_bytes ? choices_.any_of(bytes) : choices_.any_of(bits));
        }
    }
    simple(o, 2, 1);
}

void Program::shuffle() {
    if (choices_.one_in(12)) {  // far enough for the last of DUP and SWAP
        while (depth_ < 17) { operand(); }
        depth_kept_ = 24;
        const uint64_t n = choices_.between(8, 15);
        op(static_cast<uint8_t>(0x90 + n));
        if (choices_.one_in(2)) {
            op(static_cast<uint8_t>(0x80 + n));
            ++depth_;
        }
        return;
    }
    for (uint64_t i = choices_.between(1, 5); i-- > 0;) {
        const uint64_t pick = choices_.below(5);
        if (pick == 0) {
            operand();
        } else if (pick == 1 && depth_ > 0) {
            simple(Opcode::pop, 1, 0);
        } else if (pick == 2 && depth_ > 0) {
            op(static_cast<uint8_t>(0x80 +
                                    choices_.below(static_cast<uint64_t>(std::min(depth_, 16)))));
            ++depth_;
        } else if (depth_ > 1) {
            op(static_cast<uint8_t>(
                0x90 + choices_.below(static_cast<uint64_t>(std::min(depth_ - 1, 16)))));
        }
    }
}

void Program::memory() {
    switch (choices_.below(5)) {
        case 0: extent(); return simple(Opcode::mload, 1, 1);
        case 1:
        case 2:
            operand();
            extent();
            return simple(Opcode::mstore, 2, 0);
        case 3:
            operand();
            extent();
            return simple(Opcode::mstore8, 2, 0);
        default:
            if (around_.revision < Revision::cancun) { return simple(Opcode::msize, 0, 1); }
            extent();
            extent();
            extent();
            return simple(Opcode::mcopy, 3, 0);
    }
}

void Program::storage() {
    if (choices_.one_in(3)) {
        key();
        return simple(Opcode::sload, 1, 1);
    }
    if (choices_.one_in(4)) {
        operand();
    } else {
        number(choices_.below(3));
    }
    key();
    simple(Opcode::sstore, 2, 0);
}

void Program::transient() {
    if (around_.revision < Revision::cancun) { return storage(); }
    if (choices_.one_in(2)) {
        key();
        return simple(Opcode::tload, 1, 1);
    }
    operand();
    key();
    simple(Opcode::tstore, 2, 0);
}

void Program::count_visit() {
    const bool lasting = around_.revision < Revision::cancun || choices_.one_in(4);
    const U256 slot = choices_.any_of(around_.keys);
    push(slot);
    ++depth_;
    simple(lasting ? Opcode::sload : Opcode::tload, 1, 1);
    op(Opcode::dup1);
    ++depth_;
    number(1);
    simple(Opcode::add, 2, 1);
    push(slot);
    ++depth_;
    simple(lasting ? Opcode::sstore : Opcode::tstore, 2, 0);
}

void Program::environment() {
    const uint64_t pick = choices_.below(22);
    if (pick == 0) {
        const U256 number_pick{choices_.between(740, 1003)};
        push(choices_.one_in(8) ? word() : number_pick);
        ++depth_;
        return simple(Opcode::blockhash, 1, 1);
    }
    if (pick == 1 && around_.revision >= Revision::cancun) {
        push(choices_.one_in(8) ? word() : U256{choices_.below(8)});
        ++depth_;
        return simple(Opcode::blobhash, 1, 1);
    }
    if (pick == 2) {
        extent();
        return simple(Opcode::calldataload, 1, 1);
    }
    static constexpr std::pair<Opcode, Revision> values[] = {
        {Opcode::address, Revision::frontier},      {Opcode::origin, Revision::frontier},
        {Opcode::caller, Revision::frontier},       {Opcode::callvalue, Revision::frontier},
        {Opcode::calldatasize, Revision::frontier}, {Opcode::codesize, Revision::frontier},
        {Opcode::gasprice, Revision::frontier},     {Opcode::returndatasize, Revision::byzantium},
        {Opcode::coinbase, Revision::frontier},     {Opcode::timestamp, Revision::frontier},
        {Opcode::number, Revision::frontier},       {Opcode::prevrandao, Revision::frontier},
        {Opcode::gaslimit, Revision::frontier},     {Opcode::chainid, Revision::istanbul},
        {Opcode::selfbalance, Revision::istanbul},  {Opcode::basefee, Revision::london},
        {Opcode::blobbasefee, Revision::cancun},    {Opcode::pc, Revision::frontier},
        {Opcode::msize, Revision::frontier},        {Opcode::gas, Revision::frontier}};
    const auto& [o, since] = choices_.any_of(values);
    if (around_.revision < since && !choices_.one_in(30)) { return simple(Opcode::gas, 0, 1); }
    simple(o, 0, 1);
}

void Program::accounts() {
    address();
    static constexpr Opcode reads[] = {Opcode::balance, Opcode::extcodesize, Opcode::extcodehash};
    const Opcode o = choices_.any_of(reads);
    const bool known = o != Opcode::extcodehash || around_.revision >= Revision::constantinople;
    simple(known ? o : Opcode::balance, 1, 1);
}

void Program::copy() {
    extent();
    extent();
    extent();
    switch (choices_.below(4)) {
        case 0: return simple(Opcode::calldatacopy, 3, 0);
        case 1: return simple(Opcode::codecopy, 3, 0);
        case 2:
            if (around_.revision < Revision::byzantium) { return simple(Opcode::codecopy, 3, 0); }
            // Mostly inside what the last call returned.
            simple(Opcode::pop, 1, 0);
            simple(Opcode::pop, 1, 0);
            simple(Opcode::pop, 1, 0);
            return copy_return_data();
        default: address(); return simple(Opcode::extcodecopy, 4, 0);
    }
}

void Program::copy_return_data() {
    if (choices_.one_in(8)) { fill_return_data(); }
    const uint64_t pick = choices_.below(24);
    if (pick < 12) {
        simple(Opcode::returndatasize, 0, 1);
        number(0);
    } else if (pick < 20) {  // nothing, from the end
        number(0);
        simple(Opcode::returndatasize, 0, 1);
    } else if (pick < 22) {  // one byte too much
        simple(Opcode::returndatasize, 0, 1);
        if (pick == 20) {
            number(1);
            simple(Opcode::add, 2, 1);
            number(0);
        } else {
            number(1);
        }
    } else {
        number(choices_.below(40));
        number(choices_.below(40));
    }
    small_extent();
    simple(Opcode::returndatacopy, 3, 0);
}

void Program::hash_or_log() {
    if (choices_.one_in(2)) {
        extent();
        extent();
        return simple(Opcode::keccak256, 2, 1);
    }
    const uint64_t topics = choices_.below(5);
    for (uint64_t i = 0; i < topics; ++i) { operand(); }
    extent();
    extent();
    op(static_cast<uint8_t>(0xa0 + topics));
    stack_effect(static_cast<int>(topics) + 2, 0);
}

}  // namespace millrace::evm::differential
