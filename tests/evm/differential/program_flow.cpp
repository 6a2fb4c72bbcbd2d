// SPDX-License-Identifier: Apache-2.0
// Owns generated statements that leave the straight line: branches, loops, calls, creations,
// violations.
#include "tests/evm/differential/program.hpp"

namespace millrace::evm::differential {

namespace {

constexpr uint64_t gas_numbers[] = {0,    1,    100,  699,  700,  701,   2299,  2300,  2301,
                                    2600, 5000, 5006, 9000, 9700, 20000, 25000, 32000, 100000};

}  // namespace

void Program::branch() {
    const int before = depth_;
    operand();
    if (choices_.one_in(3)) { simple(Opcode::iszero, 1, 1); }
    const size_t skip = push_label();
    op(Opcode::jumpi);
    depth_ = before;
    nested_block(before);
    if (choices_.one_in(3)) {
        const size_t end = push_label();
        op(Opcode::jump);
        patch({skip}, code_.size());
        jumpdest();
        nested_block(before);
        patch({end}, code_.size());
    } else {
        if (choices_.one_in(10)) { finish(); }
        patch({skip}, code_.size());
    }
    jumpdest();
    depth_ = before;
}

void Program::nested_block(int before) {
    if (nesting_ < 3) {
        ++nesting_;
        block(static_cast<unsigned>(choices_.below(5)));
        --nesting_;
    }
    settle_depth(before);
}

void Program::loop() {
    const int before = depth_;
    if (choices_.one_in(3) && !around_.tame) {  // Without end: gas or the stack stops it.
        const size_t start = code_.size();
        jumpdest();
        nested_block(before);
        for (uint64_t i = choices_.below(4); i-- > 0;) { operand(); }
        if (choices_.one_in(3)) {  // with a way out
            operand();
            number(code_.size() + 10);
            simple(Opcode::jumpi, 2, 0);
        }
        number(start);
        simple(Opcode::jump, 1, 0);
        if (choices_.one_in(3)) { jumpdest(); }
        depth_ = before;
        return;
    }
    number(choices_.between(1, 20));
    const size_t start = code_.size();
    jumpdest();
    nested_block(before + 1);
    number(1);
    op(Opcode::swap1);
    simple(Opcode::sub, 2, 1);
    op(Opcode::dup1);
    push(U256{start});
    op(Opcode::jumpi);
    simple(Opcode::pop, 1, 0);
}

void Program::call_function() {
    const size_t back = push_label();
    ++depth_;
    if (functions_.size() < 3 && (functions_.empty() || choices_.one_in(2))) {
        functions_.emplace_back();
    }
    functions_[choices_.below(functions_.size())].uses.push_back(push_label());
    op(Opcode::jump);
    patch({back}, code_.size());
    jumpdest();
    --depth_;
}

void Program::write_functions() {
    for (size_t i = 0; i < functions_.size(); ++i) {
        patch(functions_[i].uses, code_.size());
        jumpdest();
        depth_ = 0;
        nesting_ += 2;
        // Calls of functions from here would add uses after the patch.
        const auto saved = around_.weights[kind_function];
        around_.weights[kind_function] = 0;
        block(static_cast<unsigned>(choices_.below(6)));
        around_.weights[kind_function] = saved;
        nesting_ -= 2;
        settle_depth(0);
        op(Opcode::jump);
    }
}

void Program::gas_operand() {
    const uint64_t pick = choices_.below(8);
    if (around_.deep || pick < 3) {
        simple(Opcode::gas, 0, 1);
    } else if (pick < 6) {
        number(choices_.any_of(gas_numbers));
    } else if (pick == 6) {
        push(U256::max());
        ++depth_;
    } else {
        operand();
    }
}

void Program::value_operand() {
    const uint64_t pick = choices_.below(8);
    if (pick < 4) {
        number(0);
    } else if (pick < 7) {
        number(choices_.between(1, 3));
    } else {
        operand();
    }
}

void Program::call() {
    static constexpr Opcode kinds[] = {Opcode::call, Opcode::call, Opcode::callcode,
                                       Opcode::delegatecall, Opcode::staticcall};
    Opcode kind = choices_.any_of(kinds);
    if (kind == Opcode::staticcall && around_.revision < Revision::byzantium) {
        kind = Opcode::call;
    }
    if (kind == Opcode::delegatecall && around_.revision < Revision::homestead) {
        kind = Opcode::call;
    }
    const bool has_value = kind == Opcode::call || kind == Opcode::callcode;
    const size_t start = code_.size();
    small_extent();  // output size
    small_extent();
    if (choices_.one_in(10)) {
        extent();
        extent();
    } else {
        small_extent();  // input size
        small_extent();
    }
    if (has_value) { value_operand(); }
    if (around_.deep) {
        simple(Opcode::address, 0, 1);
    } else {
        address();
    }
    gas_operand();
    const size_t end = code_.size();
    simple(kind, has_value ? 7 : 6, 1);
    if (around_.revision >= Revision::byzantium && choices_.one_in(3)) { copy_return_data(); }
    if (!around_.deep && choices_.one_in(4) && end - start < 200) {  // the same once more
        for (size_t i = start; i <= end; ++i) { op(code_[i]); }
        ++depth_;
        if (choices_.one_in(2)) { simple(Opcode::returndatasize, 0, 1); }
    }
}

Bytes Program::small_program(unsigned statements) {
    Surroundings inner = around_;
    inner.deep = false;
    return Program{choices_, inner, nesting_ + 1}.write(statements);
}

void Program::deploy_blob() {
    Bytes runtime = small_program(static_cast<unsigned>(choices_.below(4)));
    const size_t size = runtime.size();
    number(size);
    const size_t use = push_label();
    ++depth_;
    number(0);
    simple(Opcode::codecopy, 3, 0);
    number(choices_.one_in(8) ? size + choices_.below(3) : size);
    number(0);
    simple(Opcode::return_, 2, 0);
    blobs_.push_back({std::move(runtime), {use}});
}

void Program::fill_return_data() {
    number(0);
    number(0);
    number(choices_.between(1, 70));
    number(0);
    number(0);
    number(4);
    simple(Opcode::gas, 0, 1);
    simple(Opcode::call, 7, 1);
}

void Program::create() {
    if (choices_.one_in(4)) { fill_return_data(); }
    const bool two = around_.revision >= Revision::constantinople && choices_.one_in(2);
    const uint64_t pick = choices_.below(12);
    if (pick < 9 && nesting_ < 4 && code_.size() < 2000) {
        Surroundings inner = around_;
        inner.deep = false;
        Bytes init = Program{choices_, inner, nesting_ + 2}.write_init_code();
        const size_t size = init.size();
        number(size);
        const size_t use = push_label();
        ++depth_;
        number(0);
        simple(Opcode::codecopy, 3, 0);
        blobs_.push_back({std::move(init), {use}});
        if (two) { number(choices_.below(2)); }
        number(choices_.one_in(10) ? choices_.below(size + 1) : size);
        number(0);
    } else {
        if (two) { number(choices_.below(2)); }
        if (pick == 9) {
            number(choices_.between(49151, 49153));
        } else {
            extent();
        }
        extent();
    }
    value_operand();
    simple(two ? Opcode::create2 : Opcode::create, two ? 4 : 3, 1);
    if (around_.revision >= Revision::byzantium && choices_.one_in(3)) {
        simple(Opcode::returndatasize, 0, 1);
    }
    if (choices_.one_in(2)) {
        op(Opcode::dup1);
        ++depth_;
        created_account();
    }
}

void Program::created_account() {
    const uint64_t pick = choices_.below(4);
    if (pick == 0) { return simple(Opcode::extcodesize, 1, 1); }
    if (pick == 1) { return simple(Opcode::balance, 1, 1); }
    // A call without data or value; the address stays below its arguments.
    for (int i = 0; i < 5; ++i) { number(0); }
    op(uint8_t{0x85});  // DUP6
    ++depth_;
    gas_operand();
    simple(Opcode::call, 7, 1);
    op(Opcode::swap1);
    simple(Opcode::pop, 1, 0);
}

void Program::idiom() {
    switch (choices_.below(15)) {
        case 12:
        case 13: return show();
        case 14:  // the one quotient that does not fit
            push(U256::max());
            push(shl(U256{1}, 255));
            op(choices_.one_in(3) ? Opcode::smod : Opcode::sdiv);
            ++depth_;
            return;
        case 0:  // free memory pointer
            number(0x80);
            number(0x40);
            return simple(Opcode::mstore, 2, 0);
        case 1: {  // function selector
            number(0);
            simple(Opcode::calldataload, 1, 1);
            number(0xe0);
            simple(Opcode::shr, 2, 1);
            op(Opcode::dup1);
            push(U256{choices_.next() >> 32});
            op(Opcode::eq);
            const size_t target = push_label();
            op(Opcode::jumpi);
            patch({target}, code_.size());
            return jumpdest();
        }
        case 2:  // masking
            operand();
            push(shl(U256{1}, 8 * choices_.between(1, 31)) - U256{1});
            ++depth_;
            return simple(Opcode::and_, 2, 1);
        case 3:  // checked addition
            operand();
            operand();
            op(Opcode::dup1);
            ++depth_;
            operand();
            simple(Opcode::add, 2, 1);
            return simple(Opcode::lt, 2, 1);
        case 4:
            operand();
            operand();
            op(Opcode::swap1);
            return simple(Opcode::pop, 1, 0);
        case 5: {  // require
            operand();
            simple(Opcode::iszero, 1, 1);
            simple(Opcode::iszero, 1, 1);
            const size_t target = push_label();
            op(Opcode::jumpi);
            --depth_;
            op(static_cast<uint8_t>(around_.revision >= Revision::shanghai ? 0x5f : 0x58));
            op(Opcode::dup1);
            op(Opcode::revert);
            patch({target}, code_.size());
            return jumpdest();
        }
        case 6:  // mapping slot
            operand();
            number(0);
            simple(Opcode::mstore, 2, 0);
            operand();
            number(0x20);
            simple(Opcode::mstore, 2, 0);
            number(0x40);
            number(0);
            simple(Opcode::keccak256, 2, 1);
            return simple(Opcode::sload, 1, 1);
        case 7:  // read, change, write
            key();
            op(Opcode::dup1);
            ++depth_;
            simple(Opcode::sload, 1, 1);
            number(1);
            simple(Opcode::add, 2, 1);
            op(Opcode::swap1);
            return simple(Opcode::sstore, 2, 0);
        case 8:
            operand();
            number(choices_.below(260));
            return simple(choices_.one_in(2) ? Opcode::shl : Opcode::shr, 2, 1);
        case 9:
            number(choices_.below(256));
            operand();
            return simple(Opcode::add, 2, 1);
        case 10: {  // a jump whose target is computed
            const size_t low = push_label();
            number(choices_.below(3));
            simple(Opcode::pop, 1, 0);
            number(choices_.one_in(4) ? 1 : 0);
            op(Opcode::add);
            --depth_;
            op(Opcode::jump);
            patch({low}, code_.size());
            return jumpdest();
        }
        default: {  // a jump over data
            const size_t target = push_label();
            op(Opcode::jump);
            for (uint64_t i = choices_.below(5); i-- > 0;) {
                op(static_cast<uint8_t>(choices_.below(256)));
            }
            jumpdest();
            jumpdest();
            patch({target}, code_.size() - 1);
            return;
        }
    }
}

void Program::violation() {
    switch (choices_.below(12)) {
        case 0: return op(static_cast<uint8_t>(choices_.below(256)));
        case 1: return op(Opcode::invalid);
        case 2:  // a bad jump
            push(choices_.one_in(2) ? word() : U256{choices_.below(code_.size() + 40)});
            return op(Opcode::jump);
        case 3: {  // into push data: the JUMPDEST is the immediate of a PUSH
            const size_t target = push_label();
            op(Opcode::jump);
            op(static_cast<uint8_t>(0x60 + choices_.below(4)));
            patch({target}, code_.size());
            jumpdest();
            return op(Opcode::stop);
        }
        case 4: return op(static_cast<uint8_t>(0x80 + choices_.below(32)));  // deeper than known
        case 5:
            for (uint64_t i = choices_.below(20); i-- > 0;) { simple(Opcode::pop, 1, 0); }
            return;
        case 6: {  // fills the stack to its limit, from a place that does not divide it
            for (uint64_t i = choices_.below(8); i-- > 0;) { operand(); }
            const size_t start = code_.size();
            jumpdest();
            for (uint64_t i = choices_.between(1, 6); i-- > 0;) { op(Opcode::msize); }
            for (uint64_t i = choices_.below(2); i-- > 0;) { op(Opcode::pop); }
            push(U256{start});
            return op(Opcode::jump);
        }
        case 7: {  // the same, leaving the loop just below the limit
            number(choices_.between(1015, 1030));
            const size_t start = code_.size();
            jumpdest();
            number(1);
            op(Opcode::swap1);
            op(Opcode::sub);
            op(Opcode::dup1);
            op(Opcode::dup1);
            push(U256{start});
            op(Opcode::jumpi);
            depth_ = 14;
            for (uint64_t i = choices_.below(12); i-- > 0;) { operand(); }
            return;
        }
        case 8:  // the end of it, by destruction
            address();
            return simple(Opcode::selfdestruct, 1, 0);
        case 9: {  // leaves exactly so much gas that the sentry of SSTORE matters
            number(choices_.below(3));
            key();
            return simple(Opcode::sstore, 2, 0);
        }
        case 10: return op(choices_.one_in(2) ? Opcode::clz : Opcode::push0);
        default: return truncated_push();
    }
}

}  // namespace millrace::evm::differential
