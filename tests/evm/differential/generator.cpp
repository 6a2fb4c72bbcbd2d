// SPDX-License-Identifier: Apache-2.0
// Owns the generator of bytecode and of the worlds that it runs in.
#include "tests/evm/differential/generator.hpp"

#include <array>

#include "evm/core/evm.hpp"
#include "evm/core/opcodes.hpp"

namespace millrace::evm::differential {
namespace {

constexpr uint64_t edge_numbers[] = {0,   1,   2,   3,    4,    7,    8,    15,   16,   31,  32,
                                     33,  63,  64,  65,   95,   96,   127,  128,  129,  255, 256,
                                     257, 511, 512, 1023, 1024, 1025, 4095, 4096, 6143, 8191};
constexpr uint64_t gas_numbers[] = {0,    1,    100,  699,  700,  701,   2299,  2300,  2301,
                                    2600, 5000, 5006, 9000, 9700, 20000, 25000, 32000, 100000};

Address numbered_address(uint64_t group, uint64_t i) {
    Address a;
    for (size_t k = 0; k < 18; ++k) { a[k] = static_cast<uint8_t>(group * 29 + k * 7 + 1); }
    a[18] = static_cast<uint8_t>(group);
    a[19] = static_cast<uint8_t>(i);
    return a;
}
Address low_address(uint64_t number) { return to_address(U256{number}); }

/// What one program may refer to, and which kinds of statement it prefers.
struct Surroundings {
    Revision revision = latest_revision;
    std::vector<Address> addresses;  ///< contracts first
    std::vector<U256> keys;
    std::array<uint8_t, 16> weights{};  ///< by Kind
    bool tame = false;                  ///< no deliberate violation, no loop
    bool deep = false;                  ///< straight-line, calls itself once
};

enum Kind : uint8_t {
    kind_arithmetic,
    kind_stack,
    kind_memory,
    kind_storage,
    kind_transient,
    kind_environment,
    kind_accounts,
    kind_copy,
    kind_hash_log,
    kind_branch,
    kind_loop,
    kind_function,
    kind_call,
    kind_create,
    kind_idiom,
    kind_violation,
};

/// Writes one program. `depth_` is what the stack holds at this place if nothing was violated.
class Program {
public:
    Program(Choices& choices, const Surroundings& around, unsigned nesting)
        : choices_(choices), around_(around), nesting_(nesting) {}

    Bytes write(unsigned statements) {
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

    /// Statements that other code can follow.
    Bytes write_piece(unsigned statements) {
        block(statements);
        settle_depth(0);
        return std::move(code_);
    }

    /// Init code: some statements, then a deployment of one kind or another.
    Bytes write_init_code() {
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

private:
    struct Blob {
        Bytes data;
        std::vector<size_t> uses;
    };
    struct Function {
        std::vector<size_t> uses;
    };

    // --- Assembler ---

    void op(uint8_t o) { code_.push_back(o); }
    void op(Opcode o) { op(static_cast<uint8_t>(o)); }

    void push(const U256& v) {
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
    void push(const Address& a) { push(to_u256(a)); }
    /// PUSH2 of a place that is not known yet; the result is for patch().
    size_t push_label() {
        op(0x61);
        op(uint8_t{0});
        op(uint8_t{0});
        return code_.size() - 2;
    }
    void patch(const std::vector<size_t>& uses, size_t target) {
        for (const size_t use : uses) {
            code_[use] = static_cast<uint8_t>(target >> 8);
            code_[use + 1] = static_cast<uint8_t>(target);
        }
    }
    void jumpdest() { op(Opcode::jumpdest); }
    void stack_effect(int takes, int gives) { depth_ = std::max(0, depth_ - takes) + gives; }

    // --- Operands; each leaves one item ---

    U256 word() {
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
    void operand() {
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
    void number(uint64_t v) {
        push(U256{v});
        ++depth_;
    }
    /// A memory offset or size: mostly small, sometimes at an edge, rarely out of this world.
    void extent() {
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
            push(choices_.any_of(std::array{
                U256{0xffffffff}, U256{0x100000000}, U256{1ull << 35}, U256{(1ull << 35) + 1},
                U256{~uint64_t{0}}, U256{~uint64_t{0} - 31}, U256{0, 0, 1, 0}, U256::max()}));
            ++depth_;
        }
    }
    void small_extent() { number(choices_.one_in(3) ? 0 : choices_.below(100)); }
    void key() {
        if (choices_.one_in(20)) { return operand(); }
        push(choices_.any_of(around_.keys));
        ++depth_;
    }
    void address() {
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
    void simple(Opcode o, int takes, int gives) {
        op(o);
        stack_effect(takes, gives);
    }

    // --- Statements ---

    void block(unsigned statements) {
        for (unsigned i = 0; i < statements && code_.size() < 3000; ++i) {
            statement();
            while (depth_ > depth_kept_) { simple(Opcode::pop, 1, 0); }
        }
    }
    void settle_depth(int wanted) {
        while (depth_ > wanted) { simple(Opcode::pop, 1, 0); }
        while (depth_ < wanted) { operand(); }
    }

    void statement() {
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

    void arithmetic() {
        const uint64_t pick = choices_.below(26);
        if (pick < 4) {
            operand();
            const bool clz = choices_.one_in(3) && around_.revision >= Revision::osaka;
            return simple(clz                  ? Opcode::clz
                          : choices_.one_in(2) ? Opcode::iszero
                                               : Opcode::not_,
                          1, 1);
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

    void shuffle() {
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
                op(static_cast<uint8_t>(
                    0x80 + choices_.below(static_cast<uint64_t>(std::min(depth_, 16)))));
                ++depth_;
            } else if (depth_ > 1) {
                op(static_cast<uint8_t>(
                    0x90 + choices_.below(static_cast<uint64_t>(std::min(depth_ - 1, 16)))));
            }
        }
    }

    void memory() {
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

    void storage() {
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

    void transient() {
        if (around_.revision < Revision::cancun) { return storage(); }
        if (choices_.one_in(2)) {
            key();
            return simple(Opcode::tload, 1, 1);
        }
        operand();
        key();
        simple(Opcode::tstore, 2, 0);
    }

    /// What a guard against re-entry does: reads a slot, keeps what it read, writes another value.
    void count_visit() {
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

    void environment() {
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
            {Opcode::address, Revision::frontier},
            {Opcode::origin, Revision::frontier},
            {Opcode::caller, Revision::frontier},
            {Opcode::callvalue, Revision::frontier},
            {Opcode::calldatasize, Revision::frontier},
            {Opcode::codesize, Revision::frontier},
            {Opcode::gasprice, Revision::frontier},
            {Opcode::returndatasize, Revision::byzantium},
            {Opcode::coinbase, Revision::frontier},
            {Opcode::timestamp, Revision::frontier},
            {Opcode::number, Revision::frontier},
            {Opcode::prevrandao, Revision::frontier},
            {Opcode::gaslimit, Revision::frontier},
            {Opcode::chainid, Revision::istanbul},
            {Opcode::selfbalance, Revision::istanbul},
            {Opcode::basefee, Revision::london},
            {Opcode::blobbasefee, Revision::cancun},
            {Opcode::pc, Revision::frontier},
            {Opcode::msize, Revision::frontier},
            {Opcode::gas, Revision::frontier}};
        const auto& [o, since] = choices_.any_of(values);
        if (around_.revision < since && !choices_.one_in(30)) { return simple(Opcode::gas, 0, 1); }
        simple(o, 0, 1);
    }

    void accounts() {
        address();
        static constexpr Opcode reads[] = {Opcode::balance, Opcode::extcodesize,
                                           Opcode::extcodehash};
        const Opcode o = choices_.any_of(reads);
        const bool known = o != Opcode::extcodehash || around_.revision >= Revision::constantinople;
        simple(known ? o : Opcode::balance, 1, 1);
    }

    void copy() {
        extent();
        extent();
        extent();
        switch (choices_.below(4)) {
            case 0: return simple(Opcode::calldatacopy, 3, 0);
            case 1: return simple(Opcode::codecopy, 3, 0);
            case 2:
                if (around_.revision < Revision::byzantium) {
                    return simple(Opcode::codecopy, 3, 0);
                }
                // Mostly inside what the last call returned.
                simple(Opcode::pop, 1, 0);
                simple(Opcode::pop, 1, 0);
                simple(Opcode::pop, 1, 0);
                return copy_return_data();
            default: address(); return simple(Opcode::extcodecopy, 4, 0);
        }
    }
    void copy_return_data() {
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

    void hash_or_log() {
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

    void branch() {
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
    void nested_block(int before) {
        if (nesting_ < 3) {
            ++nesting_;
            block(static_cast<unsigned>(choices_.below(5)));
            --nesting_;
        }
        settle_depth(before);
    }

    void loop() {
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

    void call_function() {
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
    /// Each function has its return address under its own items and ends with a jump to it.
    void write_functions() {
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

    void gas_operand() {
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
    void value_operand() {
        const uint64_t pick = choices_.below(8);
        if (pick < 4) {
            number(0);
        } else if (pick < 7) {
            number(choices_.between(1, 3));
        } else {
            operand();
        }
    }
    void call() {
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

    Bytes small_program(unsigned statements) {
        Surroundings inner = around_;
        inner.deep = false;
        return Program{choices_, inner, nesting_ + 1}.write(statements);
    }
    /// Copies a blob to memory and returns it: the runtime code of a deployment.
    void deploy_blob() {
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
    /// Leaves return data behind, by way of the identity precompile.
    void fill_return_data() {
        number(0);
        number(0);
        number(choices_.between(1, 70));
        number(0);
        number(0);
        number(4);
        simple(Opcode::gas, 0, 1);
        simple(Opcode::call, 7, 1);
    }
    void create() {
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
    /// Does something with the address on top of the stack.
    void created_account() {
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

    /// What compilers write, so that fused instructions are met.
    void idiom() {
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

    void violation() {
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
            case 4:
                return op(static_cast<uint8_t>(0x80 + choices_.below(32)));  // deeper than known
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
    void truncated_push() {
        op(static_cast<uint8_t>(choices_.between(0x60, 0x7f)));
        for (uint64_t i = choices_.below(8); i-- > 0;) { op(Opcode::jumpdest); }
    }

    /// Makes what is on the stack visible: all of it in one word, stored, logged or returned.
    void fold() {
        const int items = std::min(depth_, 15);
        if (items == 0) { return; }
        for (int i = 1; i < items; ++i) {
            // Sums weigh the items differently from exclusive ors and lose nothing.
            simple(choices_.one_in(2) ? Opcode::add : Opcode::xor_, 2, 1);
        }
    }
    void show() {
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

    void finish() {
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

    Choices& choices_;
    Surroundings around_;
    unsigned nesting_;
    Bytes code_;
    int depth_ = 0;
    int depth_kept_ = 14;  ///< more than this is popped after a statement
    std::vector<Function> functions_;
    std::vector<Blob> blobs_;
};

/// Every scenario prefers other statements, so that rare ones meet often in some.
Surroundings surroundings(Choices& choices, Revision revision) {
    Surroundings s;
    s.revision = revision;
    s.keys = {U256{0}, U256{1}, U256{2}, U256::max()};
    static constexpr std::array<uint8_t, 16> usual = {10, 5, 6, 8, 3, 5, 4, 4,
                                                      4,  5, 2, 2, 6, 2, 8, 1};
    for (size_t i = 0; i < usual.size(); ++i) {
        const uint64_t pick = choices.below(6);
        s.weights[i] = pick == 0 ? 0 : pick == 1 ? static_cast<uint8_t>(usual[i] * 4) : usual[i];
    }
    s.weights[kind_arithmetic] = std::max<uint8_t>(s.weights[kind_arithmetic], 1);
    return s;
}

uint64_t pick_gas(Choices& choices) {
    switch (choices.below(8)) {
        case 0: return choices.below(1000);
        case 1: return choices.below(10'000);
        case 2:
        case 3: return choices.between(20'000, 100'000);
        case 7: return choices.one_in(4) ? choices.between(1'000'000, 8'000'000) : 700'000;
        default: return choices.between(100'000, 500'000);
    }
}

/// The contracts, the people and the special accounts of a world.
class WorldBuilder {
public:
    WorldBuilder(Choices& choices, Scenario& s)
        : choices_(choices), s_(s), around_(surroundings(choices, s.revision)) {}

    void build() {
        const uint64_t contracts = choices_.between(1, 5);
        for (uint64_t i = 0; i < contracts; ++i) {
            around_.addresses.push_back(numbered_address(1, i));
        }
        for (uint64_t i = 0; i < 2; ++i) {
            around_.addresses.push_back(numbered_address(2, i));
        }  // absent
        around_.addresses.push_back(numbered_address(3, 0));
        for (uint64_t i = 0; i < 3; ++i) {
            around_.addresses.push_back(low_address(choices_.between(1, 18)));
        }
        around_.addresses.push_back(low_address(choices_.below(6)));
        if (choices_.one_in(8)) { around_.addresses.push_back(low_address(0x100)); }
        const uint64_t delegated = s_.revision >= Revision::cancun ? choices_.below(4) : 0;
        for (uint64_t i = 0; i < delegated; ++i) {
            around_.addresses.push_back(numbered_address(4, i));
        }
        s_.sender = numbered_address(5, 0);
        around_.addresses.push_back(s_.sender);
        s_.block.coinbase =
            choices_.one_in(6) ? choices_.any_of(around_.addresses) : numbered_address(6, 0);
        around_.addresses.push_back(s_.block.coinbase);

        const bool deep = choices_.one_in(64);
        for (uint64_t i = 0; i < contracts; ++i) {
            add_contract(numbered_address(1, i), deep && i == 0);
        }
        for (uint64_t i = 0; i < delegated; ++i) { add_delegated(numbered_address(4, i)); }
        s_.world[numbered_address(3, 0)].balance = U256{choices_.between(1, 1000)};
        AccountSpec& sender = s_.world[s_.sender];
        sender.nonce = choices_.below(3);
        sender.balance = shl(U256{1}, 120);
        if (choices_.one_in(6)) { block_creation_address(); }
        deep_ = deep;
    }

    bool deep() const { return deep_; }
    const Surroundings& around() const { return around_; }
    Bytes program(unsigned statements) { return Program{choices_, around_, 0}.write(statements); }
    Bytes init_code() { return Program{choices_, around_, 1}.write_init_code(); }

private:
    void add_contract(const Address& a, bool deep) {
        Surroundings around = around_;
        if (deep) {
            // A straight line that calls itself, alone in the use of its gas.
            around.deep = around.tame = true;
            around.weights = {};
            around.weights[kind_arithmetic] = 6;
            around.weights[kind_storage] = 2;
            around.weights[kind_transient] = 1;
        }
        AccountSpec& account = s_.world[a];
        account.nonce =
            choices_.one_in(20) ? ~uint64_t{0} - choices_.below(2) : choices_.between(1, 3);
        account.balance =
            choices_.one_in(3) ? U256{} : U256{choices_.below(choices_.one_in(2) ? 4 : 1'000'000)};
        for (uint64_t i = choices_.below(4); i-- > 0;) {
            account.storage[choices_.any_of(around_.keys)] = U256{choices_.between(1, 2)};
        }
        if (!deep) {
            account.code =
                Program{choices_, around, 0}.write(static_cast<unsigned>(choices_.between(1, 30)));
            return;
        }
        // Both halves are plain arithmetic and storage; between them is the one call.
        Surroundings caller = around;
        caller.weights = {};
        caller.weights[kind_call] = 1;
        Bytes code = Straight{choices_, around}.write(static_cast<unsigned>(choices_.below(4)));
        const Bytes middle = Straight{choices_, caller}.write(1);
        const Bytes rest =
            Straight{choices_, around}.write(static_cast<unsigned>(choices_.below(4)));
        code.insert(code.end(), middle.begin(), middle.end());
        code.insert(code.end(), rest.begin(), rest.end());
        account.code = std::move(code);
    }

    /// A program without an end of its own, so that pieces can follow each other.
    struct Straight {
        Choices& choices;
        const Surroundings& around;
        Bytes write(unsigned statements) {
            return Program{choices, around, 4}.write_piece(statements);
        }
    };

    void add_delegated(const Address& a) {
        AccountSpec& account = s_.world[a];
        account.nonce = choices_.between(1, 3);
        account.balance = U256{choices_.below(5)};
        account.code = delegation_designator(choices_.any_of(around_.addresses));
        if (choices_.one_in(10)) { account.code.resize(choices_.between(1, 25)); }
    }

    /// Puts something where a contract's next creation goes.
    void block_creation_address() {
        const Address creator = numbered_address(1, 0);
        AccountSpec& account = s_.world[create_address(creator, s_.world[creator].nonce)];
        switch (choices_.below(3)) {
            case 0: account.nonce = 1; break;
            case 1: account.balance = U256{5}; break;
            default:
                account.balance = U256{1};
                account.storage[U256{1}] = U256{1};
                break;
        }
    }

    Choices& choices_;
    Scenario& s_;
    Surroundings around_;
    bool deep_ = false;
};

void make_block(Choices& choices, Scenario& s) {
    s.block.number = 1000;
    s.block.timestamp = 1'700'000'000;
    s.block.gas_limit = uint64_t{1} << 50;
    s.block.difficulty = U256{131072};
    for (size_t i = 0; i < 32; ++i) { s.block.prev_randao[i] = static_cast<uint8_t>(i * 11 + 3); }
    if (s.revision >= Revision::london) { s.block.base_fee_per_gas = U256{7}; }
    if (s.revision >= Revision::cancun) { s.block.blob_base_fee = U256{1 + choices.below(3)}; }
    for (uint64_t n = 740; n < 1000; ++n) {
        Hash256 h;
        for (size_t i = 0; i < 32; ++i) { h[i] = static_cast<uint8_t>(n * 13 + i); }
        s.block_hashes[n] = h;
    }
}

TxType pick_type(Choices& choices, Revision r) {
    std::vector<TxType> types{TxType::legacy};
    if (r >= Revision::berlin) { types.push_back(TxType::access_list); }
    if (r >= Revision::london) { types.push_back(TxType::dynamic_fee); }
    if (r >= Revision::cancun) { types.push_back(TxType::blob); }
    if (r >= Revision::prague) {
        types.push_back(TxType::set_code);
        types.push_back(TxType::set_code);
    }
    return choices.any_of(types);
}

void add_authorizations(Choices& choices, Scenario& s, const Surroundings& around) {
    for (uint64_t i = choices.between(choices.one_in(20) ? 0 : 1, 3); i-- > 0;) {
        Authorization a;
        a.chain_id = U256{choices.one_in(8) ? 2 : choices.below(2)};
        a.address = choices.one_in(5) ? Address{} : choices.any_of(around.addresses);
        const Address authority = choices.any_of(around.addresses);
        const auto account = s.world.find(authority);
        a.nonce = account == s.world.end() ? 0 : account->second.nonce;
        if (authority == s.sender) { ++a.nonce; }
        if (choices.one_in(8)) { a.nonce += choices.below(3); }
        if (choices.one_in(30)) { a.nonce = ~uint64_t{0}; }
        s.tx.authorization_list.push_back(a);
        // Nobody holds the key of a precompile's address.
        const bool known = to_u256(authority) > U256{0xffff} && !choices.one_in(10);
        s.authorities.push_back(known ? std::optional{authority} : std::nullopt);
    }
}

void make_transaction(Choices& choices, Scenario& s, WorldBuilder& builder) {
    Transaction& tx = s.tx;
    const Surroundings& around = builder.around();
    tx.type = pick_type(choices, s.revision);
    tx.nonce = s.world[s.sender].nonce + (choices.one_in(40) ? 1 : 0);
    if (tx.type != TxType::legacy ||
        choices.one_in(s.revision < Revision::spurious_dragon ? 20 : 2)) {
        tx.chain_id = 1;
    }
    tx.max_fee_per_gas = U256{choices.between(7, 12)};
    if (choices.one_in(40)) { tx.max_fee_per_gas = U256{choices.below(8)}; }
    tx.max_priority_fee_per_gas =
        tx.has_gas_price_only() ? tx.max_fee_per_gas : U256{choices.below(7)};
    tx.value = choices.one_in(2) ? U256{} : U256{choices.below(100)};
    if (choices.one_in(40)) { tx.value = shl(U256{1}, 120); }
    const bool may_create = tx.type != TxType::blob && tx.type != TxType::set_code;
    if (may_create && !builder.deep() && choices.one_in(4)) {
        tx.data = builder.init_code();
    } else {
        tx.to = !builder.deep() && choices.one_in(4) ? choices.any_of(around.addresses)
                                                     : around.addresses[0];
        for (uint64_t i = choices.below(choices.one_in(4) ? 800 : 70); i-- > 0;) {
            tx.data.push_back(static_cast<uint8_t>(choices.one_in(2) ? 0 : choices.below(256)));
        }
    }
    if (tx.type != TxType::legacy) {
        for (uint64_t i = choices.below(4); i-- > 0;) {
            AccessListEntry e;
            e.address = choices.any_of(around.addresses);
            for (uint64_t k = choices.below(4); k-- > 0;) {
                e.storage_keys.push_back(to_hash(choices.any_of(around.keys)));
            }
            tx.access_list.push_back(e);
        }
    }
    if (tx.type == TxType::blob) {
        tx.max_fee_per_blob_gas = U256{choices.between(choices.one_in(20) ? 0 : 3, 5)};
        for (uint64_t i = choices.one_in(20) ? choices.below(11) : choices.between(1, 5);
             i-- > 0;) {
            Hash256 h;
            h[0] = choices.one_in(60) ? 2 : 1;
            h[31] = static_cast<uint8_t>(i);
            tx.blob_versioned_hashes.push_back(h);
        }
    }
    if (tx.type == TxType::set_code) { add_authorizations(choices, s, around); }
    if (builder.deep() && tx.to && s.revision < Revision::osaka) {
        tx.gas_limit = choices.between(100'000'000'000, 1'000'000'000'000);
    } else {
        tx.gas_limit = 21000 + 20 * tx.data.size() + 25000 * tx.authorization_list.size() +
                       6000 * tx.access_list.size() + pick_gas(choices);
        if (tx.is_creation()) { tx.gas_limit += 32000; }
        if (choices.one_in(40)) { tx.gas_limit = choices.between(20000, 60000); }
        if (choices.one_in(200)) { tx.gas_limit = 16777216 + choices.below(2); }
    }
    s.gas = tx.gas_limit;
}

void make_message(Choices& choices, Scenario& s, WorldBuilder& builder) {
    const Surroundings& around = builder.around();
    s.gas =
        builder.deep() ? choices.between(100'000'000'000, 1'000'000'000'000) : pick_gas(choices);
    s.gas_price = U256{choices.below(20)};
    s.creates = !builder.deep() && choices.one_in(8);
    s.value = choices.one_in(2) ? U256{} : U256{choices.below(100)};
    if (s.creates) {
        s.input = builder.init_code();
        s.to = create_address(s.sender, s.world[s.sender].nonce);
    } else {
        s.is_static = choices.one_in(10);
        if (s.is_static) { s.value = U256{}; }
        s.to = !builder.deep() && choices.one_in(8) ? choices.any_of(around.addresses)
                                                    : around.addresses[0];
        for (uint64_t i = choices.below(100); i-- > 0;) {
            s.input.push_back(static_cast<uint8_t>(choices.below(256)));
        }
    }
    for (uint64_t i = choices.below(4); i-- > 0;) {
        Hash256 h;
        h[0] = 1;
        h[31] = static_cast<uint8_t>(i + 1);
        s.blob_hashes.push_back(h);
    }
}

}  // namespace

Scenario generate_scenario(Choices& choices, Revision first) {
    Scenario s;
    // Half of the scenarios run at one of the last three forks.
    const auto last = static_cast<uint64_t>(latest_revision);
    const uint64_t low = choices.one_in(2) ? static_cast<uint64_t>(first) : last - 2;
    s.revision = static_cast<Revision>(choices.between(low, last));
    make_block(choices, s);
    WorldBuilder builder{choices, s};
    builder.build();
    s.is_transaction = choices.one_in(2);
    if (s.is_transaction) {
        make_transaction(choices, s, builder);
    } else {
        make_message(choices, s, builder);
    }
    std::erase_if(s.world, [](const auto& entry) {
        return entry.second.nonce == 0 && entry.second.balance.is_zero() &&
               entry.second.code.empty();
    });
    return s;
}

Bytes generate_code(Choices& choices, Revision revision) {
    Surroundings around = surroundings(choices, revision);
    around.addresses = {numbered_address(1, 0), low_address(4)};
    return Program{choices, around, 0}.write(static_cast<unsigned>(choices.between(1, 60)));
}

}  // namespace millrace::evm::differential
