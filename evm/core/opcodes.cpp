// SPDX-License-Identifier: Apache-2.0
// Owns the mnemonics of instructions.
#include "evm/core/opcodes.hpp"

#include <array>

namespace millrace::evm {
namespace {

constexpr std::array<std::string_view, 256> make_names() {
    std::array<std::string_view, 256> n{};
    n.fill("UNDEFINED");
    constexpr std::string_view arithmetic[] = {"STOP",   "ADD",    "MUL", "SUB",
                                               "DIV",    "SDIV",   "MOD", "SMOD",
                                               "ADDMOD", "MULMOD", "EXP", "SIGNEXTEND"};
    constexpr std::string_view compare[] = {"LT",     "GT",  "SLT", "SGT", "EQ",
                                            "ISZERO", "AND", "OR",  "XOR", "NOT",
                                            "BYTE",   "SHL", "SHR", "SAR", "CLZ"};
    constexpr std::string_view environment[] = {
        "ADDRESS",      "BALANCE",      "ORIGIN",       "CALLER",         "CALLVALUE",
        "CALLDATALOAD", "CALLDATASIZE", "CALLDATACOPY", "CODESIZE",       "CODECOPY",
        "GASPRICE",     "EXTCODESIZE",  "EXTCODECOPY",  "RETURNDATASIZE", "RETURNDATACOPY",
        "EXTCODEHASH",  "BLOCKHASH",    "COINBASE",     "TIMESTAMP",      "NUMBER",
        "PREVRANDAO",   "GASLIMIT",     "CHAINID",      "SELFBALANCE",    "BASEFEE",
        "BLOBHASH",     "BLOBBASEFEE"};
    constexpr std::string_view flow[] = {
        "POP", "MLOAD", "MSTORE", "MSTORE8",  "SLOAD", "SSTORE", "JUMP",  "JUMPI",
        "PC",  "MSIZE", "GAS",    "JUMPDEST", "TLOAD", "TSTORE", "MCOPY", "PUSH0"};
    constexpr std::string_view push[] = {
        "PUSH1",  "PUSH2",  "PUSH3",  "PUSH4",  "PUSH5",  "PUSH6",  "PUSH7",  "PUSH8",
        "PUSH9",  "PUSH10", "PUSH11", "PUSH12", "PUSH13", "PUSH14", "PUSH15", "PUSH16",
        "PUSH17", "PUSH18", "PUSH19", "PUSH20", "PUSH21", "PUSH22", "PUSH23", "PUSH24",
        "PUSH25", "PUSH26", "PUSH27", "PUSH28", "PUSH29", "PUSH30", "PUSH31", "PUSH32"};
    constexpr std::string_view dup[] = {"DUP1",  "DUP2",  "DUP3",  "DUP4",  "DUP5",  "DUP6",
                                        "DUP7",  "DUP8",  "DUP9",  "DUP10", "DUP11", "DUP12",
                                        "DUP13", "DUP14", "DUP15", "DUP16"};
    constexpr std::string_view swap[] = {"SWAP1",  "SWAP2",  "SWAP3",  "SWAP4",  "SWAP5",  "SWAP6",
                                         "SWAP7",  "SWAP8",  "SWAP9",  "SWAP10", "SWAP11", "SWAP12",
                                         "SWAP13", "SWAP14", "SWAP15", "SWAP16"};
    constexpr std::string_view log[] = {"LOG0", "LOG1", "LOG2", "LOG3", "LOG4"};
    constexpr std::string_view call[] = {"CREATE", "CALL",         "CALLCODE",
                                         "RETURN", "DELEGATECALL", "CREATE2"};
    auto put = [&](size_t at, auto& list) {
        for (const std::string_view name : list) { n[at++] = name; }
    };
    put(0x00, arithmetic);
    put(0x10, compare);
    n[0x20] = "KECCAK256";
    put(0x30, environment);
    put(0x50, flow);
    put(0x60, push);
    put(0x80, dup);
    put(0x90, swap);
    put(0xa0, log);
    put(0xf0, call);
    n[0xfa] = "STATICCALL";
    n[0xfd] = "REVERT";
    n[0xfe] = "INVALID";
    n[0xff] = "SELFDESTRUCT";
    return n;
}
constexpr std::array<std::string_view, 256> names = make_names();

}  // namespace

std::string_view opcode_name(uint8_t opcode) noexcept { return names[opcode]; }

}  // namespace millrace::evm
