// SPDX-License-Identifier: Apache-2.0
// Owns the grammar of structured programs.
#include "tests/evm/jit/structured_program.hpp"

#include <array>
#include <utility>

#include "evm/core/opcodes.hpp"

namespace millrace::evm::jit {
namespace {

constexpr size_t code_bytes_aim = 1'500;
constexpr unsigned functions_max = 5;
constexpr int depth_kept = 12;  ///< what a statement leaves beyond this is dropped

class Structured {
public:
    Structured(Choices& choices, Revision revision) : c_(choices), revision_(revision) {
        label_bytes_ = c_.one_in(6) ? 3 : 2;
    }

    Bytes write() {
        const uint64_t count = c_.below(functions_max);
        for (uint64_t i = 0; i < count; ++i) {
            functions_.push_back(
                {static_cast<int>(c_.below(4)), static_cast<int>(c_.below(3)), {}});
        }
        // Functions may stand in front, as a dispatcher's do, or behind.
        const bool first = !functions_.empty() && c_.one_in(3);
        if (first) {
            const Label start = push_label();
            op(Opcode::jump);
            write_functions();
            bind(start);
        }
        if (c_.one_in(6)) { many_items(); }
        statements(static_cast<unsigned>(c_.between(1, 12)), 2);
        show();
        if (!first) { write_functions(); }
        link();
        return std::move(code_);
    }

private:
    using Label = size_t;  ///< where the bytes of the destination stand
    struct Function {
        int takes = 0;
        int gives = 0;
        std::vector<Label> uses;
    };

    // --- Assembler ---
    void op(uint8_t o) { code_.push_back(o); }
    void op(Opcode o) { op(static_cast<uint8_t>(o)); }
    void dup(int n) { op(static_cast<uint8_t>(0x7f + n)); }
    void swap(int n) { op(static_cast<uint8_t>(0x8f + n)); }

    void push(const U256& v) {
        const Hash256 bytes = to_hash(v);
        unsigned size = std::max(1u, byte_length(v));
        if (c_.one_in(20)) { size = static_cast<unsigned>(c_.between(size, 32)); }
        op(static_cast<uint8_t>(0x5f + size));
        code_.insert(code_.end(), bytes.end() - size, bytes.end());
        ++depth_;
    }
    /// A destination that is not known yet. Not counted in depth_.
    Label push_label() {
        const unsigned n = c_.one_in(24) ? 4 : label_bytes_;
        op(static_cast<uint8_t>(0x5f + n));
        code_.insert(code_.end(), n, uint8_t{0});
        return code_.size() - 2;
    }
    void set(Label l, size_t target) {
        code_[l] = static_cast<uint8_t>(target >> 8);
        code_[l + 1] = static_cast<uint8_t>(target);
    }
    void bind(Label l) {
        set(l, code_.size());
        op(Opcode::jumpdest);
    }
    void simple(Opcode o, int takes, int gives) {
        op(o);
        depth_ += gives - takes;
    }

    // --- Operands; each leaves one item ---
    U256 word() {
        switch (c_.below(8)) {
            case 0:
            case 1: return U256{c_.below(40)};
            case 2: return shl(U256{1}, c_.below(256));
            case 3: return shl(U256{1}, c_.below(256)) - U256{1};
            case 4: return U256{} - U256{c_.between(1, 100)};
            case 5: {
                static constexpr uint64_t widths[] = {8, 16, 63, 64, 65, 127, 128, 129, 160, 255};
                return shl(U256{1}, c_.any_of(widths)) + U256{c_.below(3)} - U256{1};
            }
            case 6: return U256{c_.next()};
            default: return U256{c_.next(), c_.next(), c_.next(), c_.next()};
        }
    }
    void argument_word() {
        push(U256{32 * c_.below(6)});
        simple(Opcode::calldataload, 1, 1);
    }
    void operand() {
        const uint64_t pick = c_.below(20);
        if (pick < 8 && depth_ > 0) {
            dup(static_cast<int>(c_.between(1, static_cast<uint64_t>(std::min(depth_, 16)))));
            ++depth_;
        } else if (pick < 13) {
            push(word());
        } else if (pick < 17) {
            argument_word();
        } else {
            static constexpr Opcode sources[] = {
                Opcode::caller,    Opcode::address,  Opcode::callvalue, Opcode::calldatasize,
                Opcode::msize,     Opcode::gas,      Opcode::pc,        Opcode::codesize,
                Opcode::timestamp, Opcode::number,   Opcode::gaslimit,  Opcode::origin,
                Opcode::gasprice,  Opcode::coinbase, Opcode::prevrandao};
            simple(c_.any_of(sources), 0, 1);
        }
    }
    /// One that is small in most runs, and known to be.
    void masked(uint64_t mask) {
        operand();
        push(U256{mask});
        simple(Opcode::and_, 2, 1);
    }
    void offset() {
        const uint64_t pick = c_.below(40);
        if (pick == 0) {
            static constexpr uint64_t shifts[] = {16, 31, 32, 33, 35, 36, 62, 63, 64, 128, 255};
            push(shl(U256{1}, c_.any_of(shifts)) - U256{c_.below(40)});
        } else if (pick == 1) {
            push(U256{} - U256{c_.between(1, 70)});
        } else if (pick == 2) {
            operand();
        } else if (pick < 20) {
            push(U256{c_.below(c_.one_in(4) ? 2'000 : 200)});
        } else {
            masked(c_.one_in(2) ? 0xff : 0x1e0);
        }
    }

    // --- Statements ---
    void statements(unsigned count, unsigned nesting) {
        for (unsigned i = 0; i < count && code_.size() < code_bytes_aim; ++i) {
            statement(nesting);
            while (depth_ > depth_kept) { simple(Opcode::pop, 1, 0); }
        }
    }

    void statement(unsigned nesting) {
        switch (c_.below(nesting == 0 ? 16 : 22)) {
            case 0:
            case 1:
            case 2:
            case 3: return arithmetic();
            case 4: return by_count();
            case 5: return modular();
            case 6: return shuffle();
            case 7:
            case 8: return neighbours();
            case 9: return memory();
            case 10: return hash();
            case 11: return storage();
            case 12: return copy();
            case 13: return call_function();
            case 14: return rare();
            case 15: return idiom();
            case 16:
            case 17: return loop(nesting);
            case 18:
            case 19: return choice(nesting);
            case 20: return jump_table(nesting);
            default: return call_function();
        }
    }

    void arithmetic() {
        static constexpr Opcode two[] = {
            Opcode::add,  Opcode::mul, Opcode::sub,  Opcode::div, Opcode::sdiv, Opcode::mod,
            Opcode::smod, Opcode::lt,  Opcode::gt,   Opcode::slt, Opcode::sgt,  Opcode::eq,
            Opcode::and_, Opcode::or_, Opcode::xor_, Opcode::add, Opcode::sub,  Opcode::exp};
        const uint64_t pick = c_.below(10);
        if (pick == 0) {
            operand();
            return simple(c_.one_in(2) ? Opcode::iszero : Opcode::not_, 1, 1);
        }
        if (pick == 1 && revision_ >= Revision::osaka) {
            operand();
            return simple(Opcode::clz, 1, 1);
        }
        // Widths that are known meet widths that are not.
        if (c_.one_in(2)) {
            operand();
        } else {
            masked(word().low64());
        }
        if (c_.one_in(2)) {
            operand();
        } else {
            masked(c_.one_in(2) ? 1 : 0xffffffff);
        }
        simple(c_.any_of(two), 2, 1);
    }

    /// Shifts, BYTE, SIGNEXTEND: the count is a constant at an edge, a small value, or anything.
    void by_count() {
        static constexpr Opcode bits[] = {Opcode::shl, Opcode::shr, Opcode::sar};
        static constexpr Opcode bytes[] = {Opcode::byte, Opcode::signextend};
        static constexpr uint64_t edges[] = {0,   1,   7,   8,   15,  29,  30,  31,
                                             32,  33,  63,  64,  65,  127, 128, 129,
                                             191, 192, 247, 248, 255, 256, 257};
        const bool in_bits = c_.one_in(2) && revision_ >= Revision::constantinople;
        if (c_.one_in(2)) {
            operand();
        } else {
            masked(c_.one_in(2) ? 0xffff : 1);
        }
        switch (c_.below(4)) {
            case 0:
            case 1: push(U256{c_.any_of(edges)}); break;
            case 2: masked(in_bits ? 0x1ff : 0x3f); break;
            default: operand(); break;
        }
        simple(in_bits ? c_.any_of(bits) : c_.any_of(bytes), 2, 1);
    }

    void modular() {
        if (c_.one_in(2)) {
            push(word());
        } else {
            operand();
        }
        operand();
        if (c_.one_in(3)) {
            push(word());
        } else {
            operand();
        }
        simple(c_.one_in(2) ? Opcode::mulmod : Opcode::addmod, 3, 1);
    }

    void shuffle() {
        const int goal = c_.one_in(4) ? 17 : 6;
        while (depth_ < goal) { operand(); }
        for (uint64_t i = c_.between(1, 5); i-- > 0;) {
            const int reach = std::min(depth_ - 1, 16);
            const auto n = static_cast<int>(c_.between(1, static_cast<uint64_t>(reach)));
            if (c_.one_in(3)) {
                dup(n);
                ++depth_;
            } else {
                swap(n);
            }
        }
    }

    /// Accesses at one base and several distances, which may overlap, in any order, with things
    /// between them that end what is paid for together.
    void neighbours() {
        masked(c_.one_in(3) ? 0x7ff : 0xe0);
        for (uint64_t i = c_.between(2, 5); i-- > 0;) {
            const bool stores = c_.one_in(2);
            if (stores) {
                dup(1);
                ++depth_;
                operand();
                swap(1);
            } else {
                dup(1);
                ++depth_;
            }
            if (!c_.one_in(4)) {
                static constexpr uint64_t distances[] = {0,  1,  4,  16,   31,  32,
                                                         33, 64, 96, 4096, 4097};
                push(c_.one_in(24) ? U256{} - U256{c_.below(64)} : U256{c_.any_of(distances)});
                if (c_.one_in(2)) { swap(1); }
                simple(Opcode::add, 2, 1);
            }
            if (stores) {
                simple(c_.one_in(5) ? Opcode::mstore8 : Opcode::mstore, 2, 0);
            } else {
                simple(Opcode::mload, 1, 1);
                swap(1);  // the base stays on top
            }
            if (c_.one_in(6)) {
                simple(c_.one_in(2) ? Opcode::msize : Opcode::gas, 0, 1);
                swap(1);
            }
        }
        simple(Opcode::pop, 1, 0);
    }

    void memory() {
        const uint64_t pick = c_.below(4);
        if (pick == 0) {
            offset();
            return simple(Opcode::mload, 1, 1);
        }
        if (pick == 1 && revision_ >= Revision::cancun) {
            offset();
            offset();
            offset();
            return simple(Opcode::mcopy, 3, 0);
        }
        operand();
        offset();
        simple(pick == 2 ? Opcode::mstore8 : Opcode::mstore, 2, 0);
    }

    void hash() {
        if (c_.one_in(2)) {
            push(U256{c_.one_in(2) ? 64u : 32u});
        } else {
            masked(0x7f);
        }
        offset();
        simple(Opcode::keccak256, 2, 1);
    }

    void storage() {
        const bool transient = revision_ >= Revision::cancun && c_.one_in(3);
        push(U256{c_.below(3)});
        if (c_.one_in(2)) { return simple(transient ? Opcode::tload : Opcode::sload, 1, 1); }
        operand();
        swap(1);
        simple(transient ? Opcode::tstore : Opcode::sstore, 2, 0);
    }

    void copy() {
        masked(0x7f);
        masked(0x3f);
        offset();
        simple(c_.one_in(2) ? Opcode::calldatacopy : Opcode::codecopy, 3, 0);
    }

    void loop(unsigned nesting) {
        // The counter stays on top between rounds; below it is what the rounds change.
        const int before = depth_;
        operand();
        if (c_.one_in(2)) {
            push(U256{c_.between(1, 9)});
        } else {
            masked(7);
        }
        const size_t start = code_.size();
        op(Opcode::jumpdest);
        const int inside = depth_;
        const bool checks_first = c_.one_in(2);
        Label out = 0;
        if (checks_first) {
            dup(1);
            op(Opcode::iszero);
            out = push_label();
            op(Opcode::jumpi);
        }
        // The round must leave the depth as it found it, whatever it did above the counter.
        statements(static_cast<unsigned>(c_.between(1, 3)), nesting - 1);
        fold_to(inside);
        // [... carried counter]: the carried word changes, the counter falls.
        swap(1);
        operand();
        simple(c_.one_in(2) ? Opcode::add : Opcode::xor_, 2, 1);
        swap(1);
        push(U256{1});
        swap(1);
        simple(Opcode::sub, 2, 1);
        if (!checks_first) { dup(1); }
        const Label again = push_label();
        set(again, start);
        op(checks_first ? Opcode::jump : Opcode::jumpi);
        if (checks_first) { bind(out); }
        depth_ = inside;
        simple(Opcode::pop, 1, 0);
        if (c_.one_in(3)) { fold_to(std::max(before, 1)); }
    }

    /// Makes the depth `wanted`; what goes is added into the item that becomes the top, or dropped.
    void fold_to(int wanted) {
        while (depth_ > wanted) {
            if (depth_ >= 2 && depth_ - 1 > wanted && c_.one_in(2)) {
                simple(Opcode::xor_, 2, 1);
            } else {
                simple(Opcode::pop, 1, 0);
            }
        }
        while (depth_ < wanted) { push(U256{1}); }
    }

    void choice(unsigned nesting) {
        operand();
        if (c_.one_in(3)) {
            simple(Opcode::iszero, 1, 1);
        } else if (c_.one_in(3)) {
            operand();
            simple(Opcode::lt, 2, 1);
        }
        const Label other = push_label();
        op(Opcode::jumpi);
        --depth_;
        const int before = depth_;
        statements(static_cast<unsigned>(c_.between(1, 2)), nesting - 1);
        fold_to(before + 1);
        const bool has_other = c_.one_in(2);
        if (!has_other) {
            // The way around brings one item too.
            const Label end = push_label();
            op(Opcode::jump);
            bind(other);
            depth_ = before;
            operand();
            bind(end);
            return;
        }
        const Label end = push_label();
        op(Opcode::jump);
        if (c_.one_in(4)) { op(static_cast<uint8_t>(c_.below(256))); }  // dead, or eats the next
        bind(other);
        depth_ = before;
        statements(static_cast<unsigned>(c_.between(1, 2)), nesting - 1);
        fold_to(before + 1);
        bind(end);
    }

    /// Jumps to a destination that is computed, or comes from memory.
    void jump_table(unsigned nesting) {
        const uint64_t ways = c_.between(2, 4);
        const int before = depth_;
        std::vector<Label> table;
        const uint64_t kind = c_.below(3);
        if (kind == 0) {
            // Chosen by arithmetic: the first, and the distance to the second times a condition.
            operand();
            simple(Opcode::iszero, 1, 1);
            table.push_back(push_label());
            table.push_back(push_label());
            op(Opcode::sub);
            op(Opcode::mul);
            const Label base = push_label();
            table.push_back(base);
            op(Opcode::add);
        } else {
            for (uint64_t i = 0; i < ways; ++i) {
                table.push_back(push_label());
                push(U256{0x400 + 32 * i});
                --depth_;
                op(Opcode::mstore);
            }
            masked(ways == 4 ? 3 : 1);
            push(U256{32});
            simple(Opcode::mul, 2, 1);
            push(U256{0x400});
            simple(Opcode::add, 2, 1);
            simple(Opcode::mload, 1, 1);
        }
        const bool conditional = c_.one_in(5);
        if (conditional) {
            operand();
            swap(1);
            op(Opcode::jumpi);
            depth_ -= 1;
        } else {
            op(Opcode::jump);
        }
        depth_ = before;
        std::vector<Label> ends;
        if (conditional) {
            operand();
            ends.push_back(push_label());
            op(Opcode::jump);
        }
        const size_t targets = kind == 0 ? 2 : table.size();
        for (size_t i = 0; i < targets; ++i) {
            depth_ = before;
            if (kind == 0) {
                // PUSH a PUSH b SUB gives b - a: added to a when the condition holds.
                if (i == 0) {
                    set(table[0], code_.size());
                    set(table[2], code_.size());
                } else {
                    set(table[1], code_.size());
                }
            } else {
                set(table[i], code_.size());
            }
            op(Opcode::jumpdest);
            statements(1, nesting - 1);
            fold_to(before + 1);
            if (i + 1 < targets) {
                ends.push_back(push_label());
                op(Opcode::jump);
            }
        }
        for (const Label l : ends) { set(l, code_.size()); }
        op(Opcode::jumpdest);
        depth_ = before + 1;
    }

    void call_function() {
        if (functions_.empty()) { return arithmetic(); }
        Function& f = functions_[c_.below(functions_.size())];
        // [return address, fuel, arguments ...]
        const Label back = push_label();
        if (fuel_depth_ >= 0) {
            // What the caller has left, less one.
            const int n = depth_ - fuel_depth_ + 1;
            if (n > 15) {
                push(U256{});
                --depth_;
            } else {
                push(U256{1});
                --depth_;
                dup(n + 1);
                op(Opcode::sub);
            }
        } else {
            push(U256{c_.below(5)});
            --depth_;
        }
        const int before = depth_;
        const int fuel = std::exchange(fuel_depth_, -1);
        depth_ = before + 2;
        for (int i = 0; i < f.takes; ++i) { operand(); }
        fuel_depth_ = fuel;
        f.uses.push_back(push_label());
        op(Opcode::jump);
        bind(back);
        depth_ = before + f.gives;
    }

    void write_functions() {
        const int depth = std::exchange(depth_, 0);
        for (size_t i = 0; i < functions_.size(); ++i) { write_function(i); }
        depth_ = depth;
    }

    void write_function(size_t index) {
        starts_.resize(functions_.size(), 0);
        starts_[index] = code_.size();
        const int takes = functions_[index].takes;
        const int gives = functions_[index].gives;
        op(Opcode::jumpdest);
        // [return address, fuel, arguments ...]: items below them belong to the caller.
        depth_ = 2 + takes;
        fuel_depth_ = 1;
        dup(takes + 1);
        const Label more = push_label();
        op(Opcode::jumpi);
        finish_function(gives);
        bind(more);
        depth_ = 2 + takes;
        statements(static_cast<unsigned>(c_.between(1, 3)), 1);
        finish_function(gives);
        fuel_depth_ = -1;
    }

    /// Leaves the results and goes back: [return address, fuel, x, y] becomes [x].
    void finish_function(int gives) {
        fold_to(2 + gives);
        if (gives == 0) {
            op(Opcode::pop);
        } else if (gives == 1) {  // [address, fuel, x]
            swap(2);              // [x, fuel, address]
            swap(1);
            op(Opcode::pop);
        } else {      // [address, fuel, x, y]
            swap(2);  // [address, y, x, fuel]
            op(Opcode::pop);
            swap(2);  // [x, y, address]
        }
        op(Opcode::jump);
    }

    void rare() {
        switch (c_.below(12)) {
            case 0: {  // dead code, and a condition that is known
                push(U256{c_.below(2)});
                const Label l = push_label();
                op(Opcode::jumpi);
                --depth_;
                const int before = depth_;
                operand();
                fold_to(before);
                bind(l);
                return;
            }
            case 1: {  // a jump into the data of a PUSH, seldom taken
                masked(c_.one_in(4) ? 1 : 0);
                const Label l = push_label();
                op(Opcode::jumpi);
                --depth_;
                op(uint8_t{0x61});
                set(l, code_.size());
                op(Opcode::jumpdest);
                op(Opcode::jumpdest);
                op(Opcode::pop);
                return;
            }
            case 2: {  // a call of itself or of another, with what lies in memory
                push(U256{32 * c_.below(3)});
                push(U256{c_.below(64)});
                push(U256{32 * c_.below(4)});
                push(U256{c_.below(64)});
                push(U256{c_.one_in(8) ? 1u : 0u});
                if (c_.one_in(2)) {
                    simple(Opcode::address, 0, 1);
                } else {
                    push(to_u256(differential::numbered_address(1, c_.below(4))));
                }
                push(U256{c_.one_in(2) ? 2'000u : 60'000u});
                static constexpr Opcode calls[] = {Opcode::call, Opcode::callcode};
                return simple(c_.any_of(calls), 7, 1);
            }
            case 3: {
                if (revision_ < Revision::byzantium) { return; }
                push(U256{32});
                push(U256{c_.below(64)});
                push(U256{64});
                push(U256{c_.below(64)});
                push(to_u256(differential::numbered_address(1, c_.below(4))));
                push(U256{40'000});
                return simple(c_.one_in(2) ? Opcode::staticcall : Opcode::delegatecall, 6, 1);
            }
            case 4:
                if (revision_ < Revision::byzantium) { return; }
                simple(Opcode::returndatasize, 0, 1);
                push(U256{});
                push(U256{c_.below(96)});
                return simple(Opcode::returndatacopy, 3, 0);
            case 5:
                operand();
                push(U256{c_.below(70)});
                push(U256{c_.below(70)});
                return simple(Opcode::log1, 3, 0);
            case 6: {  // creates what this code is itself
                push(U256{c_.between(1, 60)});
                push(U256{c_.below(code_.size() + 1)});
                push(U256{});
                simple(Opcode::codecopy, 3, 0);
                push(U256{c_.between(1, 60)});
                push(U256{});
                push(U256{c_.one_in(4) ? 1u : 0u});
                return simple(Opcode::create, 3, 1);
            }
            case 7: {  // require
                operand();
                const Label l = push_label();
                op(Opcode::jumpi);
                --depth_;
                push(U256{c_.below(40)});
                push(U256{c_.below(40)});
                depth_ -= 2;
                op(c_.one_in(3)                       ? Opcode::invalid
                   : revision_ >= Revision::byzantium ? Opcode::revert
                                                      : Opcode::return_);
                return bind(l);
            }
            case 8:
                if (c_.one_in(6)) { op(static_cast<uint8_t>(c_.below(256))); }
                return;
            case 9:
                push(to_u256(differential::numbered_address(1 + c_.below(3), c_.below(3))));
                return simple(c_.one_in(2) ? Opcode::balance : Opcode::extcodesize, 1, 1);
            case 10:
                if (revision_ >= Revision::istanbul) { simple(Opcode::selfbalance, 0, 1); }
                return;
            default: return deep_items();
        }
    }

    /// More items than are values over the edge of a block, and the deep ones used.
    void many_items() {
        const uint64_t count = c_.one_in(8) ? c_.between(990, 1'020) : c_.between(50, 90);
        for (uint64_t i = 0; i < count; ++i) {
            op(c_.one_in(2) ? Opcode::calldatasize : Opcode::pc);
        }
    }
    void deep_items() {
        for (uint64_t i = c_.between(1, 70); i-- > 0;) { operand(); }
        const Label l = push_label();
        op(Opcode::jump);
        bind(l);
        while (depth_ > depth_kept) { simple(c_.one_in(2) ? Opcode::add : Opcode::xor_, 2, 1); }
        for (int i = 0; i < 5; ++i) { swap(static_cast<int>(c_.between(1, 8))); }
    }

    void idiom() {
        switch (c_.below(4)) {
            case 0:  // checked addition
                operand();
                operand();
                dup(2);
                ++depth_;
                simple(Opcode::add, 2, 1);
                dup(2);
                ++depth_;
                dup(2);
                ++depth_;
                return simple(Opcode::lt, 2, 1);
            case 1:  // slot of a mapping
                operand();
                push(U256{});
                simple(Opcode::mstore, 2, 0);
                push(U256{c_.below(3)});
                push(U256{32});
                simple(Opcode::mstore, 2, 0);
                push(U256{64});
                push(U256{});
                simple(Opcode::keccak256, 2, 1);
                return simple(Opcode::sload, 1, 1);
            case 2:  // an address from a word
                operand();
                push(shl(U256{1}, 160) - U256{1});
                return simple(Opcode::and_, 2, 1);
            default:  // free memory pointer
                push(U256{0x40});
                simple(Opcode::mload, 1, 1);
                push(U256{0xfff});
                simple(Opcode::and_, 2, 1);
                dup(1);
                ++depth_;
                push(U256{0x20});
                simple(Opcode::add, 2, 1);
                push(U256{0x40});
                return simple(Opcode::mstore, 2, 0);
        }
    }

    /// What is on the stack and in memory goes to the caller.
    void show() {
        while (depth_ > 1) { simple(c_.one_in(2) ? Opcode::add : Opcode::xor_, 2, 1); }
        if (depth_ == 0) { simple(Opcode::msize, 0, 1); }
        push(U256{});
        simple(Opcode::mstore, 2, 0);
        if (c_.one_in(4)) {
            simple(Opcode::gas, 0, 1);
            push(U256{1});
            simple(Opcode::sstore, 2, 0);
        }
        push(U256{c_.one_in(2) ? 0x500u : 64u});
        push(U256{});
        op(revision_ >= Revision::byzantium && c_.one_in(8) ? Opcode::revert : Opcode::return_);
    }

    /// Destinations of the calls, once all functions stand.
    void link() {
        for (size_t i = 0; i < functions_.size(); ++i) {
            for (const Label l : functions_[i].uses) { set(l, starts_[i]); }
        }
    }

    Choices& c_;
    Revision revision_;
    unsigned label_bytes_ = 2;
    Bytes code_;
    int depth_ = 0;        ///< of this frame, or of the function being written
    int fuel_depth_ = -1;  ///< where the function being written has its fuel
    std::vector<Function> functions_;
    std::vector<size_t> starts_;
};

}  // namespace

Bytes structured_code(Choices& choices, Revision revision) {
    return Structured{choices, revision}.write();
}

Scenario structured_scenario(Choices& choices) {
    Scenario s = differential::generate_scenario(choices);
    // A loop may have no end: the gas is what ends it.
    constexpr uint64_t gas_max = 700'000;
    if (s.gas > gas_max) { s = with_gas(s, gas_max); }
    for (auto& [address, account] : s.world) {
        if (account.code.empty() || account.code.size() == 23 || choices.one_in(6)) { continue; }
        account.code = structured_code(choices, s.revision);
    }
    Bytes& input = s.is_transaction ? s.tx.data : s.input;
    const bool creates = s.creates || (s.is_transaction && !s.tx.to);
    if (!creates) {
        input.resize(32 * choices.below(7));
        for (size_t word = 0; word + 32 <= input.size(); word += 32) {
            U256 v{choices.below(choices.one_in(2) ? 4 : 300)};
            if (choices.one_in(3)) { v = shl(U256{choices.next()}, choices.below(256)); }
            store_be(v, input.data() + word);
        }
    }
    return s;
}

}  // namespace millrace::evm::jit
