// SPDX-License-Identifier: Apache-2.0
// Owns the writer of one program of the generator, and what programs may refer to.
#pragma once

#include <array>
#include <vector>

#include "evm/core/opcodes.hpp"
#include "evm/core/revision.hpp"
#include "host/base/types.hpp"
#include "host/base/u256.hpp"
#include "tests/evm/differential/choices.hpp"

namespace millrace::evm::differential {

inline Address numbered_address(uint64_t group, uint64_t i) {
    Address a;
    for (size_t k = 0; k < 18; ++k) { a[k] = static_cast<uint8_t>(group * 29 + k * 7 + 1); }
    a[18] = static_cast<uint8_t>(group);
    a[19] = static_cast<uint8_t>(i);
    return a;
}
inline Address low_address(uint64_t number) { return to_address(U256{number}); }

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

    Bytes write(unsigned statements);

    /// Statements that other code can follow.
    Bytes write_piece(unsigned statements);

    /// Init code: some statements, then a deployment of one kind or another.
    Bytes write_init_code();

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

    void push(const U256& v);
    void push(const Address& a) { push(to_u256(a)); }
    /// PUSH2 of a place that is not known yet; the result is for patch().
    size_t push_label();
    void patch(const std::vector<size_t>& uses, size_t target);
    void jumpdest() { op(Opcode::jumpdest); }
    void stack_effect(int takes, int gives) { depth_ = std::max(0, depth_ - takes) + gives; }

    // --- Operands; each leaves one item ---

    U256 word();
    void operand();
    void number(uint64_t v);
    /// A memory offset or size: mostly small, sometimes at an edge, rarely out of this world.
    void extent();
    void small_extent() { number(choices_.one_in(3) ? 0 : choices_.below(100)); }
    void key();
    void address();
    void simple(Opcode o, int takes, int gives);

    // --- Statements ---

    void block(unsigned statements);
    void settle_depth(int wanted);
    void statement();
    void arithmetic();
    void shuffle();
    void memory();
    void storage();
    void transient();

    /// What a guard against re-entry does: reads a slot, keeps what it read, writes another value.
    void count_visit();
    void environment();
    void accounts();
    void copy();
    void copy_return_data();
    void hash_or_log();
    void branch();
    void nested_block(int before);
    void loop();
    void call_function();
    /// Each function has its return address under its own items and ends with a jump to it.
    void write_functions();
    void gas_operand();
    void value_operand();
    void call();
    Bytes small_program(unsigned statements);
    /// Copies a blob to memory and returns it: the runtime code of a deployment.
    void deploy_blob();
    /// Leaves return data behind, by way of the identity precompile.
    void fill_return_data();
    void create();
    /// Does something with the address on top of the stack.
    void created_account();

    /// What compilers write, so that fused instructions are met.
    void idiom();
    void violation();
    void truncated_push();

    /// Makes what is on the stack visible: all of it in one word, stored, logged or returned.
    void fold();
    void show();
    void finish();

    Choices& choices_;
    Surroundings around_;
    unsigned nesting_;
    Bytes code_;
    int depth_ = 0;
    int depth_kept_ = 14;  ///< more than this is popped after a statement
    std::vector<Function> functions_;
    std::vector<Blob> blobs_;
};

}  // namespace millrace::evm::differential
