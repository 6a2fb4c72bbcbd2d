// SPDX-License-Identifier: Apache-2.0
// Owns the frame of a generated program: operands, statements in a row, its end.
#include "tests/evm/differential/program.hpp"

namespace millrace::evm::differential {

namespace {

constexpr uint64_t edge_numbers[] = {0,   1,   2,   3,    4,    7,    8,    15,   16,   31,  32,
                                     33,  63,  64,  65,   95,   96,   127,  128,  129,  255, 256,
                                     257, 511, 512, 1023, 1024, 1025, 4095, 4096, 6143, 8191};

}  // namespace

Bytes Program::write(unsigned statements) {
    if (choices_.one_in(4)) { count_visit(); }
    block(statements);
    finish();
    write_functions();
    if (choices_.one_in(12)) { truncated_push(); }
    for (const Blob& blob : blobs_) {
        if (choices_.one_in(4)) { op(Opcode::invalid); }
        patch(blob.uses, code_.size());
        code_.insert(code_.end(), blob.data.begin(), blob.data.end());
    }
    return std::move(code_);
}

Bytes Program::write_piece(unsigned statements) {
    block(statements);
    settle_depth(0);
    return std::move(code_);
}

Bytes Program::write_init_code() {
    block(static_cast<unsigned>(choices_.below(6)));
    switch (choices_.below(8)) {
        case 0: finish(); break;
        case 1: {  // Zeros around the limit of EIP-170; mostly too expensive.
            push(U256{choices_.between(24575, 24577)});
            push(U256{});
            op(Opcode::return_);
            break;
        }
        case 2:
        case 3: {  // A first byte that EIP-3541 looks at.
            push(U256{choices_.one_in(2) ? 0xefu : choices_.below(256)});
            push(U256{});
            op(Opcode::mstore8);
            push(U256{choices_.below(8)});
            push(U256{});
            op(Opcode::return_);
            break;
        }
        default: deploy_blob(); break;
    }
    write_functions();
    for (const Blob& blob : blobs_) {
        patch(blob.uses, code_.size());
        code_.insert(code_.end(), blob.data.begin(), blob.data.end());
    }
    return std::move(code_);
}

void Program::push(const U256& v) {
    const Hash256 bytes = to_hash(v);
    unsigned size = 1;
    for (unsigned i = 32; i > 1; --i) {
        if (bytes[32 - i] != 0) {
            size = i;
            break;
        }
    }
    if (v.is_zero() && around_.revision >= Revision::shanghai && choices_.one_in(2)) {
        op(Opcode::push0);
        return;
    }
    if (choices_.one_in(16)) { size = static_cast<unsigned>(choices_.between(size, 32)); }
    op(static_cast<uint8_t>(0x5f + size));
    code_.insert(code_.end(), bytes.end() - size, bytes.end());
}

size_t Program::push_label() {
    op(0x61);
    op(uint8_t{0});
    op(uint8_t{0});
    return code_.size() - 2;
}

void Program::patch(const std::vector<size_t>& uses, size_t target) {
    for (const size_t use : uses) {
        code_[use] = static_cast<uint8_t>(target >> 8);
        code_[use + 1] = static_cast<uint8_t>(target);
    }
}

U256 Program::word() {
    switch (choices_.below(10)) {
        case 0:
        case 1: return U256{choices_.below(4)};
        case 2:
        case 3: return U256{choices_.any_of(edge_numbers)};
        case 4: return shl(U256{1}, choices_.one_in(4) ? 255 : choices_.below(256));
        case 5: return shl(U256{1}, choices_.below(256)) - U256{1};
        case 6: return U256{} - U256{choices_.below(choices_.one_in(2) ? 4 : 300)};
        case 7: return shl(U256{choices_.next()}, 64 * choices_.below(4));
        case 8: {
            U256 v;
            for (uint64_t& limb : v.w) {
                const uint64_t pick = choices_.below(4);
                limb = pick == 0 ? 0 : pick == 1 ? ~uint64_t{0} : choices_.next();
            }
            return v;
        }
        default: {
            if (choices_.one_in(4)) {
                return shl(U256{1}, 255) + U256{choices_.below(3)} - U256{1};
            }
            const U256 v{choices_.next(), choices_.next(), choices_.next(), choices_.next()};
            return shr(v, choices_.one_in(3) ? 8 * choices_.below(32) : 0);
        }
    }
}

void Program::operand() {
    if (depth_ > 0 && choices_.one_in(3)) {
        const auto n =
            static_cast<uint8_t>(choices_.below(static_cast<uint64_t>(std::min(depth_, 16))));
        op(static_cast<uint8_t>(0x80 + n));
    } else if (choices_.one_in(12)) {
        op(choices_.any_of(std::array{Opcode::gas, Opcode::caller, Opcode::address, Opcode::pc,
                                      Opcode::msize, Opcode::callvalue, Opcode::calldatasize,
                                      Opcode::codesize}));
    } else if (choices_.one_in(12)) {
        push(U256{choices_.below(70)});
        op(Opcode::calldataload);
    } else {
        push(word());
    }
    ++depth_;
}

void Program::number(uint64_t v) {
    push(U256{v});
    ++depth_;
}

void Program::extent() {
    const uint64_t pick = choices_.below(around_.tame ? 8 : 64);
    if (pick < 40) {
        number(choices_.below(70));
    } else if (pick < 58) {
        number(choices_.any_of(edge_numbers));
    } else if (pick < 62) {
        number(choices_.below(100000));
    } else if (pick == 62) {
        operand();
    } else {
        push(choices_.any_of(std::array{U256{0xffffffff}, U256{0x100000000}, U256{1ull << 35},
                                        U256{(1ull << 35) + 1}, U256{~uint64_t{0}},
                                        U256{~uint64_t{0} - 31}, U256{0, 0, 1, 0}, U256::max()}));
        ++depth_;
    }
}

void Program::key() {
    if (choices_.one_in(20)) { return operand(); }
    push(choices_.any_of(around_.keys));
    ++depth_;
}

void Program::address() {
    if (choices_.one_in(30)) { return operand(); }
    if (choices_.one_in(10)) {
        op(choices_.any_of(
            std::array{Opcode::address, Opcode::caller, Opcode::origin, Opcode::coinbase}));
    } else {
        U256 a = to_u256(choices_.any_of(around_.addresses));
        if (choices_.one_in(20)) { a = a | shl(U256{choices_.next()}, 160); }
        push(a);
    }
    ++depth_;
}

void Program::simple(Opcode o, int takes, int gives) {
    op(o);
    stack_effect(takes, gives);
}

void Program::block(unsigned statements) {
    for (unsigned i = 0; i < statements && code_.size() < 3000; ++i) {
        statement();
        while (depth_ > depth_kept_) { simple(Opcode::pop, 1, 0); }
    }
}

void Program::settle_depth(int wanted) {
    while (depth_ > wanted) { simple(Opcode::pop, 1, 0); }
    while (depth_ < wanted) { operand(); }
}

void Program::statement() {
    unsigned sum = 0;
    for (const uint8_t w : around_.weights) { sum += w; }
    uint64_t pick = choices_.below(sum);
    uint8_t kind = 0;
    while (pick >= around_.weights[kind]) { pick -= around_.weights[kind++]; }
    switch (kind) {
        case kind_arithmetic: return arithmetic();
        case kind_stack: return shuffle();
        case kind_memory: return memory();
        case kind_storage: return storage();
        case kind_transient: return transient();
        case kind_environment: return environment();
        case kind_accounts: return accounts();
        case kind_copy: return copy();
        case kind_hash_log: return hash_or_log();
        case kind_branch: return branch();
        case kind_loop: return loop();
        case kind_function: return call_function();
        case kind_call: return call();
        case kind_create: return create();
        case kind_idiom: return idiom();
        default: return violation();
    }
}

void Program::truncated_push() {
    op(static_cast<uint8_t>(choices_.between(0x60, 0x7f)));
    for (uint64_t i = choices_.below(8); i-- > 0;) { op(Opcode::jumpdest); }
}

void Program::fold() {
    const int items = std::min(depth_, 15);
    if (items == 0) { return; }
    for (int i = 1; i < items; ++i) {
        // Sums weigh the items differently from exclusive ors and lose nothing.
        simple(choices_.one_in(2) ? Opcode::add : Opcode::xor_, 2, 1);
    }
}

void Program::show() {
    fold();
    if (depth_ == 0) { return; }
    switch (choices_.below(4)) {
        case 0: key(); return simple(Opcode::sstore, 2, 0);
        case 1:
            number(0);
            number(0);
            op(Opcode::log1);
            return stack_effect(3, 0);
        default: number(32 * choices_.below(3)); return simple(Opcode::mstore, 2, 0);
    }
}

void Program::finish() {
    if (!choices_.one_in(4)) { show(); }
    if (choices_.one_in(3)) {  // what lies in memory goes to the caller
        number(choices_.one_in(2) ? 32 : 96);
        number(0);
        const bool reverts = around_.revision >= Revision::byzantium && choices_.one_in(4);
        return simple(reverts ? Opcode::revert : Opcode::return_, 2, 0);
    }
    switch (choices_.below(10)) {
        case 0: return op(Opcode::stop);
        case 1: address(); return simple(Opcode::selfdestruct, 1, 0);
        case 2: return op(Opcode::invalid);
        case 3:
        case 4:
            if (around_.revision < Revision::byzantium) { return op(Opcode::stop); }
            small_extent();
            small_extent();
            return simple(Opcode::revert, 2, 0);
        case 5: return;  // runs into what follows
        default:
            small_extent();
            small_extent();
            return simple(Opcode::return_, 2, 0);
    }
}

}  // namespace millrace::evm::differential
