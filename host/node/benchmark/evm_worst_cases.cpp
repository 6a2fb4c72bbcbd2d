// SPDX-License-Identifier: Apache-2.0
// Owns the programs of the worst cases, see evm_worst_cases.hpp.
#include "host/node/benchmark/evm_worst_cases.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <optional>

#include "evm/core/opcodes.hpp"
#include "host/base/u256.hpp"

namespace millrace::node {
namespace {

using enum evm::Opcode;
using evm::Opcode;

/// The gas limit of one transaction (EIP-7825).
constexpr int64_t transaction_gas = 16'777'216;
constexpr size_t code_bytes_max = 24'576;
constexpr size_t initcode_bytes_max = 49'152;
constexpr uint64_t first_account = worst_case_first_account;

/// Numbers of full length, each different: what multiplies and divides slowest.
U256 scrambled(uint64_t seed) {
    const auto word = [&seed] {
        seed += 0x9e3779b97f4a7c15ull;
        uint64_t z = seed;
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ull;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebull;
        return z ^ (z >> 31);
    };
    const uint64_t w0 = word();
    const uint64_t w1 = word();
    const uint64_t w2 = word();
    const uint64_t w3 = word() | uint64_t{1} << 63;
    return {w3, w2, w1, w0};
}

class Program {
public:
    Program& op(Opcode o) {
        code_.push_back(static_cast<uint8_t>(o));
        return *this;
    }
    Program& op(Opcode base, unsigned step) {
        code_.push_back(static_cast<uint8_t>(static_cast<unsigned>(base) + step));
        return *this;
    }
    Program& dup(unsigned n) { return op(dup1, n - 1); }
    Program& swap(unsigned n) { return op(swap1, n - 1); }
    /// The shortest push of `v`.
    Program& push(const U256& v) {
        std::array<uint8_t, 32> bytes;
        for (size_t i = 0; i < 32; ++i) {
            bytes[31 - i] = static_cast<uint8_t>(v.w[i / 8] >> (8 * (i % 8)));
        }
        const auto first = std::find_if(bytes.begin(), bytes.end(), [](uint8_t b) { return b; });
        return push_bytes({&*first, static_cast<size_t>(bytes.end() - first)});
    }
    Program& push(uint64_t v) { return push(U256{v}); }
    Program& push_bytes(ByteView bytes) {
        op(push0, static_cast<unsigned>(bytes.size()));
        code_.insert(code_.end(), bytes.begin(), bytes.end());
        return *this;
    }
    /// `body` again and again to the size limit of code, then a jump back to the first.
    Program& loop(const std::function<void(Program&)>& body, size_t bytes_max = code_bytes_max) {
        const size_t start = code_.size();
        op(jumpdest);
        Program one;
        body(one);
        while (code_.size() + one.code_.size() + 5 <= bytes_max) { body(*this); }
        const std::array<uint8_t, 2> target{static_cast<uint8_t>(start >> 8),
                                            static_cast<uint8_t>(start)};
        push_bytes(target);
        return op(jump);
    }
    size_t size() const { return code_.size(); }
    Bytes take() { return std::move(code_); }

private:
    Bytes code_;
};

using Body = std::function<void(Program&)>;

/// Collects the cases; the functions below add groups of them.
class Cases {
public:
    EvmWorstCase& add(std::string name, Program program) {
        EvmWorstCase c;
        c.name = std::move(name);
        c.code = program.take();
        c.gas_limit = transaction_gas;
        list_.push_back(std::move(c));
        return list_.back();
    }
    EvmWorstCase& loop(std::string name, const Body& prologue, const Body& body) {
        Program p;
        if (prologue) { prologue(p); }
        p.loop(body);
        return add(std::move(name), std::move(p));
    }
    /// `body` once for each of `count` accounts, whose address lies on top of the stack.
    EvmWorstCase& each_account(std::string name, size_t count, Bytes account_code,
                               const Body& body) {
        Program p;
        p.push(first_account);
        for (size_t i = 0; i < count; ++i) {
            body(p);
            p.push(1).op(Opcode::add);
        }
        EvmWorstCase& c = add(std::move(name), std::move(p));
        c.ends = true;
        c.account_count = count;
        c.account_code = std::move(account_code);
        return c;
    }
    std::vector<EvmWorstCase> take() { return std::move(list_); }

private:
    std::vector<EvmWorstCase> list_;
};

std::string lower_name(Opcode o) {
    std::string s(evm::opcode_name(static_cast<uint8_t>(o)));
    std::ranges::transform(s, s.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? c + 32 : c; });
    return s;
}

/// The operands, topmost last, are copied for each use and stay below.
void add_operation(Cases& cases, std::string name, Opcode o, std::vector<U256> operands) {
    const auto count = static_cast<unsigned>(operands.size());
    cases.loop(
        std::move(name),
        [&](Program& p) {
            for (const U256& v : operands) { p.push(v); }
        },
        [&](Program& p) {
            for (unsigned i = 0; i < count; ++i) { p.dup(count); }
            p.op(o).op(pop);
        });
}

void add_arithmetic(Cases& cases) {
    const U256 a = scrambled(1);
    const U256 b = scrambled(2);
    const U256 c = scrambled(3);
    for (const Opcode o : {Opcode::add, mul, sub, lt, gt, slt, sgt, eq, and_, or_, xor_}) {
        add_operation(cases, lower_name(o), o, {b, a});
    }
    for (const Opcode o : {iszero, not_, clz}) { add_operation(cases, lower_name(o), o, {a}); }
    for (const Opcode o : {byte, shl, shr, sar, signextend}) {
        add_operation(cases, lower_name(o), o, {a, U256{13}});
    }
    for (unsigned divisor_bits = 64; divisor_bits <= 256; divisor_bits += 64) {
        const std::string suffix = "_by_" + std::to_string(divisor_bits) + "_bits";
        const U256 divisor = b >> (256 - divisor_bits);
        for (const Opcode o : {Opcode::div, sdiv, mod, smod}) {
            add_operation(cases, lower_name(o) + suffix, o, {divisor, a});
        }
        add_operation(cases, "addmod" + suffix, addmod, {divisor, c, a});
        add_operation(cases, "mulmod" + suffix, mulmod, {divisor, c, a});
        // Two moduli in turn: nothing that is remembered about the last one helps.
        cases.loop(
            "mulmod_in_turn" + suffix,
            [&](Program& p) {
                p.push(divisor).push(scrambled(4) >> (256 - divisor_bits)).push(c).push(a);
            },
            [&](Program& p) {
                p.dup(4).dup(3).dup(3).op(mulmod).op(pop);
                p.dup(3).dup(3).dup(3).op(mulmod).op(pop);
            });
    }
    for (const unsigned bits : {8u, 64u, 128u, 256u}) {
        add_operation(cases, "exp_of_" + std::to_string(bits) + "_bits", Opcode::exp,
                      {U256::max() >> (256 - bits), a});
    }
}

void add_stack_and_flow(Cases& cases) {
    for (unsigned size = 0; size <= 32; ++size) {
        const Bytes bytes(size, 0xa5);
        cases.loop("push" + std::to_string(size), {},
                   [&](Program& p) { p.push_bytes(bytes).op(pop); });
    }
    const Body seventeen = [](Program& p) {
        for (uint64_t i = 0; i < 17; ++i) { p.push(scrambled(i)); }
    };
    for (unsigned n = 1; n <= 16; ++n) {
        cases.loop("dup" + std::to_string(n), seventeen, [&](Program& p) { p.dup(n).op(pop); });
        cases.loop("swap" + std::to_string(n), seventeen, [&](Program& p) { p.swap(n); });
    }
    cases.loop("jumpdest", {}, [](Program& p) { p.op(jumpdest); });
    for (const Opcode o : {pc, msize, gas}) {
        cases.loop(lower_name(o), {}, [&](Program& p) { p.op(o).op(pop); });
    }
    // Blocks of JUMPDEST PUSH2 JUMP, run in an order that no predictor knows.
    for (const bool conditional : {false, true}) {
        const size_t block_bytes = conditional ? 6 : 5;
        const size_t count = (code_bytes_max - 8) / block_bytes;
        std::vector<size_t> order(count);
        for (size_t i = 0; i < count; ++i) { order[i] = i; }
        for (size_t i = count - 1; i > 0; --i) {
            std::swap(order[i], order[scrambled(i).w[0] % (i + 1)]);
        }
        std::vector<size_t> next(count);
        for (size_t i = 0; i < count; ++i) { next[order[i]] = order[(i + 1) % count]; }
        Program p;
        for (size_t i = 0; i < count; ++i) {
            const size_t at = next[i] * block_bytes;
            const std::array<uint8_t, 2> target{static_cast<uint8_t>(at >> 8),
                                                static_cast<uint8_t>(at)};
            p.op(jumpdest);
            if (conditional) { p.op(address); }
            p.push_bytes(target).op(conditional ? jumpi : jump);
        }
        cases.add(conditional ? "jumpi_at_random" : "jump_at_random", std::move(p));
    }
    // A branch that hangs on one bit of a hash-like sequence.
    cases.loop(
        "jumpi_unpredictable", [](Program& p) { p.push(scrambled(1)).push(scrambled(2)); },
        [](Program& p) {
            // x = x * a + a; skip one instruction when bit 100 is set.
            p.dup(2).op(mul).dup(2).op(Opcode::add);
            p.push(1).dup(2).push(100).op(shr).op(and_);
            const size_t target = p.size() + 5;
            const std::array<uint8_t, 2> bytes{static_cast<uint8_t>(target >> 8),
                                               static_cast<uint8_t>(target)};
            p.push_bytes(bytes).op(jumpi).op(jumpdest).op(jumpdest);
        });
    // Cheap instructions in an order that repeats only after the whole code.
    Program p;
    for (uint64_t i = 0; i < 16; ++i) { p.push(scrambled(i)); }
    const size_t start = p.size();
    p.op(jumpdest);
    constexpr std::array cheap{Opcode::add, sub, and_, or_, xor_, lt, eq};
    constexpr std::array fillers{caller, address, callvalue, calldatasize, pc, gas, msize};
    for (uint64_t i = 0; p.size() < code_bytes_max - 8; ++i) {
        const uint64_t r = scrambled(i + 1'000).w[0];
        p.op(fillers[r % fillers.size()]).op(cheap[(r >> 8) % cheap.size()]);
        if ((r >> 16) % 4 == 0) { p.swap(1 + (r >> 20) % 8); }
        if ((r >> 24) % 4 == 0) { p.op((r >> 28) % 2 == 0 ? iszero : not_); }
    }
    p.push(start).op(jump);
    cases.add("mixed_at_random", std::move(p));
}

void add_environment(Cases& cases) {
    for (const Opcode o : {address, origin, caller, callvalue, calldatasize, codesize, gasprice,
                           returndatasize, coinbase, timestamp, number, prevrandao, gaslimit,
                           chainid, selfbalance, basefee, blobbasefee}) {
        cases.loop(lower_name(o), {}, [&](Program& p) { p.op(o).op(pop); });
    }
    add_operation(cases, "calldataload", calldataload, {U256{3}});
    add_operation(cases, "blobhash", blobhash, {U256{0}});
    add_operation(cases, "blockhash", blockhash, {U256{9'999'900}});
    for (const Opcode o : {balance, extcodesize, extcodehash}) {
        add_operation(cases, lower_name(o) + "_warm", o, {U256{first_account}});
        cases.each_account(lower_name(o) + "_cold_absent", 3'000, {},
                           [&](Program& p) { p.dup(1).op(o).op(pop); });
        cases.each_account(lower_name(o) + "_cold_large_code", 3'000,
                           Bytes(code_bytes_max, static_cast<uint8_t>(jumpdest)),
                           [&](Program& p) { p.dup(1).op(o).op(pop); });
    }
}

void add_memory(Cases& cases) {
    add_operation(cases, "mload", mload, {U256{1}});
    cases.loop(
        "mstore", [](Program& p) { p.push(scrambled(1)); },
        [](Program& p) { p.dup(1).push(1).op(mstore); });
    cases.loop("mstore8", {}, [](Program& p) { p.push(7).push(1).op(mstore8); });
    cases.loop("mstore_expanding", {}, [](Program& p) { p.op(msize).op(msize).op(mstore); });
    cases.loop("mload_expanding", {}, [](Program& p) { p.op(msize).op(mload).op(pop); });
    for (const uint64_t size : {0u, 1u, 32u, 33u, 256u, 8'192u}) {
        const std::string suffix = "_of_" + std::to_string(size) + "_bytes";
        cases.loop("mcopy" + suffix, {},
                   [&](Program& p) { p.push(size).push(1).push(0).op(mcopy); });
        for (const Opcode o : {calldatacopy, codecopy}) {
            cases
                .loop(lower_name(o) + suffix, {},
                      [&](Program& p) { p.push(size).push(1).push(0).op(o); })
                .input = Bytes(size + 1, 0x5a);
        }
        cases.loop(
            "returndatacopy" + suffix,
            [&](Program& p) {
                // Identity gives the return data.
                p.push(0).push(0).push(size).push(0).push(4).op(gas).op(staticcall).op(pop);
            },
            [&](Program& p) { p.push(size).push(0).push(0).op(returndatacopy); });
        EvmWorstCase& copy = cases.loop(
            "extcodecopy" + suffix, [](Program& p) { p.push(first_account); },
            [&](Program& p) { p.push(size).push(1).push(0).dup(4).op(extcodecopy); });
        copy.account_count = 1;
        copy.account_code = Bytes(code_bytes_max, 0);
        for (unsigned topics = 0; topics <= 4; ++topics) {
            if (size != 0 && size != 8'192 && topics != 0) { continue; }
            cases.loop("log" + std::to_string(topics) + suffix, {}, [&](Program& p) {
                for (unsigned i = 0; i < topics; ++i) { p.op(address); }
                p.push(size).push(0).op(log0, topics);
            });
        }
    }
    for (const uint64_t size : {0u, 1u, 32u, 64u, 135u, 136u, 271u, 272u, 8'192u}) {
        // The digest becomes part of the next message: none is hashed twice.
        cases.loop("keccak256_of_" + std::to_string(size) + "_bytes", {},
                   [&](Program& p) { p.push(size).push(0).op(keccak256).push(0).op(mstore); });
    }
}

void add_storage(Cases& cases) {
    const Body count_up = [](Program& p) { p.push(0); };
    add_operation(cases, "sload_warm", sload, {U256{1}});
    cases
        .loop("sload_cold", count_up,
              [](Program& p) { p.dup(1).op(sload).op(pop).push(1).op(Opcode::add); })
        .slot_count = 8'000;
    // Bits of the key are spread as those of a mapping's slots are.
    cases.loop(
        "sload_cold_spread", [](Program& p) { p.push(scrambled(1)).push(1); },
        [](Program& p) { p.dup(1).op(sload).op(pop).dup(2).op(mul).push(1).op(Opcode::add); });
    cases.loop("sstore_same_value", {}, [](Program& p) { p.push(0).push(1).op(sstore); });
    cases.loop("sstore_dirty", {},
               [](Program& p) { p.push(1).push(1).op(sstore).push(2).push(1).op(sstore); });
    cases.loop(
        "sstore_set_cold", [](Program& p) { p.push(1'000'000); },
        [](Program& p) { p.dup(1).dup(1).op(sstore).push(1).op(Opcode::add); });
    cases
        .loop("sstore_clear_cold", count_up,
              [](Program& p) { p.push(0).dup(2).op(sstore).push(1).op(Opcode::add); })
        .slot_count = 8'000;
    add_operation(cases, "tload", tload, {U256{1}});
    cases.loop(
        "tload_spread", [](Program& p) { p.push(scrambled(1)).push(1); },
        [](Program& p) { p.dup(1).op(tload).op(pop).dup(2).op(mul).push(1).op(Opcode::add); });
    cases.loop("tstore", {}, [](Program& p) { p.push(1).push(1).op(tstore); });
    cases.loop(
        "tstore_spread", [](Program& p) { p.push(scrambled(1)).push(1); },
        [](Program& p) { p.dup(1).dup(1).op(tstore).dup(2).op(mul).push(1).op(Opcode::add); });
}

/// Pushes what a call needs under its gas: no input, no output, `value` where the opcode has one.
void push_call(Program& p, Opcode o, uint64_t value, const Body& push_address) {
    p.push(0).push(0).push(0).push(0);
    if (o == call || o == callcode) { p.push(value); }
    push_address(p);
}

void add_calls(Cases& cases) {
    const Body known = [](Program& p) { p.push(first_account); };
    for (const Opcode o : {call, callcode, delegatecall, staticcall}) {
        const std::string name = lower_name(o);
        cases.loop(name + "_warm_empty", {}, [&](Program& p) {
            push_call(p, o, 0, known);
            p.op(gas).op(o).op(pop);
        });
        EvmWorstCase& runs = cases.loop(name + "_warm_code", {}, [&](Program& p) {
            push_call(p, o, 0, known);
            p.op(gas).op(o).op(pop);
        });
        runs.account_count = 1;
        runs.account_code = Program{}.op(jumpdest).op(stop).take();
        // Each contract is met for the first time: its code is loaded and analysed.
        cases
            .each_account(name + "_cold_large_code", 1'400,
                          Bytes(code_bytes_max, static_cast<uint8_t>(jumpdest)),
                          [&](Program& p) {
                              push_call(p, o, 0, [](Program&) {});
                              // Brings the address up from below the operands.
                              p.dup(o == call || o == callcode ? 6 : 5).push(1).op(o).op(pop);
                          })
            .gas_limit = 20'000'000;
    }
    cases.loop("call_identity", {}, [](Program& p) {
        push_call(p, staticcall, 0, [](Program& q) { q.push(4); });
        p.op(gas).op(staticcall).op(pop);
    });
    cases.loop("call_with_value", {}, [&](Program& p) {
        push_call(p, call, 1, known);
        p.push(0).op(call).op(pop);
    });
    // Reaches the deepest frame, each a call of itself.
    cases.loop("call_itself_deep", {}, [](Program& p) {
        push_call(p, delegatecall, 0, [](Program& q) { q.op(address); });
        p.op(gas).op(delegatecall).op(pop);
    });
    for (const uint64_t bytes : {1'024u, 32'768u, 262'144u}) {
        // A callee's memory is zero again for every call.
        EvmWorstCase& c = cases.loop("call_fresh_memory_of_" + std::to_string(bytes) + "_bytes", {},
                                     [&](Program& p) {
                                         push_call(p, staticcall, 0, known);
                                         p.op(gas).op(staticcall).op(pop);
                                     });
        c.account_count = 1;
        c.account_code = Program{}.push(bytes - 32).op(mload).op(stop).take();
    }
    for (const Opcode o : {return_, revert}) {
        EvmWorstCase& c = cases.loop(lower_name(o), {}, [&](Program& p) {
            push_call(p, staticcall, 0, known);
            p.op(gas).op(staticcall).op(pop);
        });
        c.account_count = 1;
        c.account_code = Program{}.push(0).push(0).op(o).take();
    }
    EvmWorstCase& fails = cases.loop("invalid", {}, [&](Program& p) {
        push_call(p, staticcall, 0, known);
        p.push(0).op(staticcall).op(pop);
    });
    fails.account_count = 1;
    fails.account_code = Program{}.op(invalid).take();
    EvmWorstCase& destroys = cases.loop("selfdestruct", {}, [&](Program& p) {
        push_call(p, call, 0, known);
        p.op(gas).op(call).op(pop);
    });
    destroys.account_count = 1;
    destroys.account_code = Program{}.op(address).op(selfdestruct).take();
}

void add_creations(Cases& cases) {
    for (const uint64_t size : {uint64_t{0}, uint64_t{initcode_bytes_max}}) {
        for (const bool salted : {false, true}) {
            const std::string name =
                (salted ? "create2_of_" : "create_of_") + std::to_string(size) + "_bytes";
            cases
                .loop(
                    name,
                    [&](Program& p) {
                        // Init code of STOP, then JUMPDESTs to analyse.
                        p.push(0);
                        if (size != 0) { p.push(size - 1).push(0).push(1).op(calldatacopy); }
                    },
                    [&](Program& p) {
                        if (salted) { p.dup(1); }
                        p.push(size).push(0).push(0);
                        p.op(salted ? create2 : create).op(pop).push(1).op(Opcode::add);
                    })
                .input = Bytes(size, static_cast<uint8_t>(jumpdest));
        }
    }
}

}  // namespace

std::vector<EvmWorstCase> evm_worst_cases() {
    Cases cases;
    add_arithmetic(cases);
    add_stack_and_flow(cases);
    add_environment(cases);
    add_memory(cases);
    add_storage(cases);
    add_calls(cases);
    add_creations(cases);
    return cases.take();
}

}  // namespace millrace::node
