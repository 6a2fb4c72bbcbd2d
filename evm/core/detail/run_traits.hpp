// SPDX-License-Identifier: Apache-2.0
// Owns what run checks need to know of each instruction: its place in a run, stack effect and
// price.
#pragma once

#include <array>
#include <cstdint>

#include "evm/core/code.hpp"
#include "evm/core/opcodes.hpp"

namespace millrace::evm::detail {

enum class RunKind : uint8_t {
    inside,  ///< fixed price (memory growth and hashing apart, which are charged when they happen)
    last,    ///< as inside, and control leaves or may leave here
    apart,   ///< variable price or a look at the gas: stands between two runs and checks by itself
};

struct RunTraits {
    RunKind kind = RunKind::apart;
    uint8_t takes = 0;
    uint8_t gives = 0;
    uint8_t gas = 0;
};

/// The prices are those of the instructions in ops_*.hpp; no fork changed any of them. Bytes that
/// no fork defines end a run like STOP does.
constexpr std::array<RunTraits, 256> make_run_traits() {
    std::array<RunTraits, 256> t{};
    for (RunTraits& x : t) { x = {RunKind::last, 0, 0, 0}; }
    auto set = [&t](Opcode op, RunKind kind, int takes, int gives, int gas) {
        t[static_cast<uint8_t>(op)] = {kind, static_cast<uint8_t>(takes),
                                       static_cast<uint8_t>(gives), static_cast<uint8_t>(gas)};
    };
    auto inside = [&set](Opcode op, int takes, int gives, int gas) {
        set(op, RunKind::inside, takes, gives, gas);
    };
    auto apart = [&set](Opcode op) { set(op, RunKind::apart, 0, 0, 0); };
    for (const Opcode op : {Opcode::add, Opcode::sub, Opcode::lt, Opcode::gt, Opcode::slt,
                            Opcode::sgt, Opcode::eq, Opcode::and_, Opcode::or_, Opcode::xor_,
                            Opcode::byte, Opcode::shl, Opcode::shr, Opcode::sar}) {
        inside(op, 2, 1, 3);
    }
    for (const Opcode op :
         {Opcode::mul, Opcode::div, Opcode::sdiv, Opcode::mod, Opcode::smod, Opcode::signextend}) {
        inside(op, 2, 1, 5);
    }
    for (const Opcode op : {Opcode::addmod, Opcode::mulmod}) { inside(op, 3, 1, 8); }
    for (const Opcode op : {Opcode::iszero, Opcode::not_}) { inside(op, 1, 1, 3); }
    inside(Opcode::clz, 1, 1, 5);
    inside(Opcode::keccak256, 2, 1, 30);
    for (const Opcode op :
         {Opcode::address, Opcode::origin, Opcode::caller, Opcode::callvalue, Opcode::calldatasize,
          Opcode::codesize, Opcode::gasprice, Opcode::returndatasize, Opcode::coinbase,
          Opcode::timestamp, Opcode::number, Opcode::prevrandao, Opcode::gaslimit, Opcode::chainid,
          Opcode::basefee, Opcode::blobbasefee, Opcode::pc, Opcode::msize, Opcode::push0}) {
        inside(op, 0, 1, 2);
    }
    inside(Opcode::selfbalance, 0, 1, 5);
    inside(Opcode::calldataload, 1, 1, 3);
    inside(Opcode::blockhash, 1, 1, 20);
    inside(Opcode::blobhash, 1, 1, 3);
    inside(Opcode::pop, 1, 0, 2);
    inside(Opcode::mload, 1, 1, 3);
    inside(Opcode::mstore, 2, 0, 3);
    inside(Opcode::mstore8, 2, 0, 3);
    inside(Opcode::tload, 1, 1, 100);
    inside(Opcode::tstore, 2, 0, 100);
    inside(Opcode::jumpdest, 0, 0, 1);
    for (int n = 1; n <= 32; ++n) { t[static_cast<size_t>(0x5f + n)] = {RunKind::inside, 0, 1, 3}; }
    for (int n = 1; n <= 16; ++n) {
        t[static_cast<size_t>(0x7f + n)] = {RunKind::inside, static_cast<uint8_t>(n),
                                            static_cast<uint8_t>(n + 1), 3};
        t[static_cast<size_t>(0x8f + n)] = {RunKind::inside, static_cast<uint8_t>(n + 1),
                                            static_cast<uint8_t>(n + 1), 3};
    }
    set(Opcode::jump, RunKind::last, 1, 0, 8);
    set(Opcode::jumpi, RunKind::last, 2, 0, 10);
    for (const Opcode op : {Opcode::exp,
                            Opcode::balance,
                            Opcode::calldatacopy,
                            Opcode::codecopy,
                            Opcode::extcodesize,
                            Opcode::extcodecopy,
                            Opcode::returndatacopy,
                            Opcode::extcodehash,
                            Opcode::sload,
                            Opcode::sstore,
                            Opcode::gas,
                            Opcode::mcopy,
                            Opcode::log0,
                            Opcode::log1,
                            Opcode::log2,
                            Opcode::log3,
                            Opcode::log4,
                            Opcode::create,
                            Opcode::call,
                            Opcode::callcode,
                            Opcode::return_,
                            Opcode::delegatecall,
                            Opcode::create2,
                            Opcode::staticcall,
                            Opcode::revert,
                            Opcode::selfdestruct}) {
        apart(op);
    }
    return t;
}
inline constexpr std::array<RunTraits, 256> run_traits = make_run_traits();

/// Adds up a run.
class RunBuilder {
public:
    void add(const RunTraits& t) noexcept {
        gas_ += t.gas;
        need_ = std::max(need_, static_cast<int64_t>(t.takes) - height_);
        height_ += static_cast<int64_t>(t.gives) - t.takes;
        peak_ = std::max(peak_, height_);
    }
    /// A run that can never pass gets a check that always fails: the frame then runs, and fails, by
    /// the exact rules.
    RunCheck check() const noexcept {
        constexpr int64_t limit = 1024;
        if (gas_ > 0x7fffffff || need_ + peak_ > limit) { return {0, 0xffff, 0}; }
        return {static_cast<uint32_t>(gas_), static_cast<uint16_t>(need_ * 32),
                static_cast<uint16_t>((limit - peak_ - need_) * 32)};
    }

private:
    int64_t gas_ = 0;
    int64_t need_ = 0;
    int64_t height_ = 0;
    int64_t peak_ = 0;
};

/// Prepaid gas of the instructions from `pc` to the end of its run.
inline int64_t unexecuted_gas(const uint8_t* pc) noexcept {
    int64_t gas = 0;
    for (bool first = true;; first = false) {
        const uint8_t op = *pc;
        const RunTraits& t = run_traits[op];
        const bool boundary = op == static_cast<uint8_t>(Opcode::jumpdest) && !first;
        if (t.kind == RunKind::apart || boundary) { return gas; }
        gas += t.gas;
        if (t.kind == RunKind::last) { return gas; }
        pc += op >= 0x60 && op <= 0x7f ? op - 0x5e : 1;
    }
}

}  // namespace millrace::evm::detail
