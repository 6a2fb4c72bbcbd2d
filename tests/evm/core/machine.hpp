// SPDX-License-Identifier: Apache-2.0
// Owns how the tests write bytecode and run it: an assembler and a machine with a state of its own.
#pragma once

#include <gtest/gtest.h>

#include <cstdlib>
#include <memory>
#include <string>

#include "evm/core/evm.hpp"
#include "evm/core/opcodes.hpp"
#include "evm/core/overlay.hpp"
#include "evm/core/transition.hpp"
#include "evm/precompiles/standard.hpp"
#include "host/base/hex.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::evm::test {

inline Address address_of(uint64_t i) { return to_address(U256{i}); }
inline const Address self_address = address_of(0x5e1f);
inline const Address other_address = address_of(0x07e8);
inline const Address sender_address = address_of(0x5e4d);

/// Bytecode in the making.
class Code {
public:
    Code() = default;
    Code& op(Opcode o) { return op(static_cast<uint8_t>(o)); }
    Code& op(uint8_t o) {
        bytes_.push_back(o);
        return *this;
    }
    /// The shortest PUSH1 to PUSH32.
    Code& push(const U256& v) {
        const unsigned n = std::max(1u, byte_length(v));
        const Hash256 word = to_hash(v);
        op(static_cast<uint8_t>(static_cast<unsigned>(Opcode::push1) + n - 1));
        bytes_.insert(bytes_.end(), word.end() - n, word.end());
        return *this;
    }
    Code& push(const Address& a) { return push(to_u256(a)); }
    template <class... V>
    Code& push_all(const V&... v) {
        (push(U256(v)), ...);
        return *this;
    }
    Code& append(const Code& other) { return append(ByteView{other.bytes_}); }
    Code& append(ByteView b) {
        bytes_.insert(bytes_.end(), b.begin(), b.end());
        return *this;
    }

    Code& mstore(uint64_t offset, const U256& v) {
        return push(v).push(U256{offset}).op(Opcode::mstore);
    }
    Code& sstore(const U256& key, const U256& v) { return push(v).push(key).op(Opcode::sstore); }
    /// Stores the top of the stack.
    Code& sstore_top(const U256& key) { return push(key).op(Opcode::sstore); }
    Code& ret(uint64_t offset, uint64_t size) { return push_all(size, offset).op(Opcode::return_); }
    Code& revert(uint64_t offset, uint64_t size) {
        return push_all(size, offset).op(Opcode::revert);
    }
    /// Returns the top of the stack as a word.
    Code& ret_top() { return push(U256{0}).op(Opcode::mstore).ret(0, 32); }
    /// Puts code into memory at 0, word by word.
    Code& put(ByteView data) {
        for (size_t at = 0; at < data.size(); at += 32) {
            uint8_t word[32] = {};
            std::copy_n(data.begin() + static_cast<ptrdiff_t>(at),
                        std::min<size_t>(32, data.size() - at), word);
            mstore(at, load_be(word));
        }
        return *this;
    }
    /// CALL and CALLCODE without data; leaves the success flag.
    Code& call(const Address& to, const U256& value, const U256& gas, Opcode kind = Opcode::call) {
        return push_all(0, 0, 0, 0).push(value).push(to).push(gas).op(kind);
    }
    Code& delegatecall(const Address& to, const U256& gas, Opcode kind = Opcode::delegatecall) {
        return push_all(0, 0, 0, 0).push(to).push(gas).op(kind);
    }
    /// Any of the four without data and value.
    Code& call_by(Opcode kind, const Address& to, const U256& gas) {
        return kind == Opcode::call || kind == Opcode::callcode ? call(to, 0, gas, kind)
                                                                : delegatecall(to, gas, kind);
    }
    Code& pop() { return op(Opcode::pop); }
    Code& staticcall(const Address& to, const U256& gas) {
        return delegatecall(to, gas, Opcode::staticcall);
    }

    const Bytes& bytes() const { return bytes_; }
    operator ByteView() const { return bytes_; }
    size_t size() const { return bytes_.size(); }

private:
    Bytes bytes_;
};

/// Init code that deploys `runtime`.
inline Code deployer(ByteView runtime) { return Code().put(runtime).ret(0, runtime.size()); }

struct Outcome {
    Status status = Status::success;
    int64_t gas_used = 0;
    int64_t refund = 0;
    Bytes output;
    std::vector<Log> logs;
    StateChanges changes;

    U256 word() const { return output.size() < 32 ? U256{} : load_be(output.data()); }
};

struct RunOptions {
    int64_t gas = 1'000'000;
    Bytes input = {};
    U256 value = {};
    bool is_static = false;
    Tracer* tracer = nullptr;
};

/// A state, a block and the rules of one fork.
class Machine {
public:
    explicit Machine(Revision revision = latest_revision) : rules(ethereum_rules(revision)) {
        block.number = 1000;
        block.timestamp = 1'700'000'000;
        block.gas_limit = 30'000'000;
        block.coinbase = address_of(0xc01);
        block.base_fee_per_gas = revision >= Revision::london ? U256{7} : U256{};
        block.blob_base_fee = revision >= Revision::cancun ? U256{1} : U256{};
        state.set_balance(sender_address, U256{1'000'000'000'000'000'000});
    }

    void deploy(const Address& a, ByteView code) {
        state.set_code(a, code);
        state.set_nonce(a, 1);
    }

    /// Runs `code` as the code of self_address, called by sender_address; the changes are kept in
    /// the state only when asked for.
    Outcome run(ByteView code, const RunOptions& options = {}) {
        deploy(self_address, code);
        Workspace& w = workspace();
        w.state.begin(state, rules, w.codes, precompiles());
        const TransactionEnvironment transaction{sender_address, U256{10}, {}};
        Evm evm{w, rules, precompiles(), block, transaction};
        evm.set_tracer(options.tracer);
        Message m;
        m.is_static = options.is_static;
        m.gas = options.gas;
        m.recipient = m.code_address = self_address;
        m.sender = sender_address;
        m.value = options.value;
        m.input = options.input;
        const CallOutcome r = evm.run(m);
        Outcome o;
        o.status = r.status;
        o.gas_used = options.gas - r.gas_left;
        o.refund = w.state.refund();
        o.output.assign(r.output.begin(), r.output.end());
        o.logs = w.state.logs();
        o.changes = w.state.changes();
        return o;
    }
    /// The word that `code` leaves on the stack.
    U256 value_of(Code code) {
        const Outcome o = run(code.ret_top());
        EXPECT_EQ(o.status, Status::success) << to_string(o.status);
        return o.word();
    }

    /// Executes a whole transaction and applies it.
    std::expected<TransactionResult, TxError>
    execute(const Transaction& tx, std::span<const std::optional<Address>> authorities = {},
            const ExecutionOptions& options = {}) {
        auto r = execute_transaction({tx, sender_address, authorities}, state, workspace(), rules,
                                     precompiles(), block, block.gas_limit, options);
        if (r) { state.apply(r->changes, rules.at_least(Revision::spurious_dragon)); }
        return r;
    }
    /// A legacy call of self_address.
    Transaction transaction() {
        Transaction tx;
        tx.nonce = state.nonce(sender_address);
        tx.max_fee_per_gas = tx.max_priority_fee_per_gas = U256{10};
        tx.gas_limit = 1'000'000;
        tx.to = self_address;
        return tx;
    }

    /// Code runs by run checks from its first call on, or by the exact table only where
    /// MILLRACE_TEST_EXACT is set: every test is run in both ways (CMakeLists.txt).
    static Workspace& workspace() {
        static Workspace w;
        static const bool exact = std::getenv("MILLRACE_TEST_EXACT") != nullptr;
        w.codes.set_uses_until_fast(exact ? ~0u : 0);
        return w;
    }
    static const PrecompileSet& precompiles() {
        static const StandardPrecompiles p;
        return p;
    }

    Rules rules;
    BlockEnvironment block;
    StateOverlay state;
};

/// Every fork from `first` to `last`, both included.
inline std::vector<Revision> revisions(Revision first = Revision::frontier,
                                       Revision last = latest_revision) {
    std::vector<Revision> out;
    for (int r = static_cast<int>(first); r <= static_cast<int>(last); ++r) {
        out.push_back(static_cast<Revision>(r));
    }
    return out;
}

/// A number that changed from fork to fork: the last entry whose fork is not after `r`.
struct Since {
    Revision revision;
    int64_t value;
};
inline int64_t at(const std::vector<Since>& steps, Revision r) {
    int64_t value = 0;
    for (const Since& s : steps) {
        if (r >= s.revision) { value = s.value; }
    }
    return value;
}

/// `code` costs exactly `gas`: it ends well with that much, and runs out of gas with one less.
inline void expect_exact_gas(Machine& m, const Code& code, int64_t gas) {
    EXPECT_EQ(m.run(code, {.gas = gas + 100'000'000}).gas_used, gas);
    const Outcome enough = m.run(code, {.gas = gas});
    EXPECT_EQ(enough.status, Status::success) << to_string(enough.status);
    const Outcome short_by_one = m.run(code, {.gas = gas - 1});
    EXPECT_EQ(short_by_one.status, Status::out_of_gas) << to_string(short_by_one.status);
    EXPECT_EQ(short_by_one.gas_used, gas - 1) << "an exceptional end takes all gas";
}

inline const AccountChange* change_of(const StateChanges& changes, const Address& a) {
    for (const AccountChange& c : changes.accounts) {
        if (c.address == a) { return &c; }
    }
    return nullptr;
}

}  // namespace millrace::evm::test
