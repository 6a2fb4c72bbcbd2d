// SPDX-License-Identifier: Apache-2.0
// Owns the naive implementation's table of instructions, written from the yellow paper and the
// EIPs.
#include "tests/evm/differential/naive_frame.hpp"

namespace millrace::evm::differential {
namespace {

std::array<NaiveInstruction, 256> make_instructions() {
    std::array<NaiveInstruction, 256> t{};
    auto set = [&](unsigned first, unsigned last, unsigned takes, unsigned gives, unsigned gas,
                   Revision since = Revision::frontier) {
        for (unsigned i = first; i <= last; ++i) { t[i] = {true, takes, gives, gas, since}; }
    };
    set(0x00, 0x00, 0, 0, 0);                            // STOP
    set(0x01, 0x01, 2, 1, 3);                            // ADD
    set(0x02, 0x02, 2, 1, 5);                            // MUL
    set(0x03, 0x03, 2, 1, 3);                            // SUB
    set(0x04, 0x07, 2, 1, 5);                            // DIV SDIV MOD SMOD
    set(0x08, 0x09, 3, 1, 8);                            // ADDMOD MULMOD
    set(0x0a, 0x0a, 2, 1, 10);                           // EXP
    set(0x0b, 0x0b, 2, 1, 5);                            // SIGNEXTEND
    set(0x10, 0x14, 2, 1, 3);                            // LT GT SLT SGT EQ
    set(0x15, 0x15, 1, 1, 3);                            // ISZERO
    set(0x16, 0x18, 2, 1, 3);                            // AND OR XOR
    set(0x19, 0x19, 1, 1, 3);                            // NOT
    set(0x1a, 0x1a, 2, 1, 3);                            // BYTE
    set(0x1b, 0x1d, 2, 1, 3, Revision::constantinople);  // SHL SHR SAR
    set(0x1e, 0x1e, 1, 1, 5, Revision::osaka);           // CLZ
    set(0x20, 0x20, 2, 1, 30);                           // KECCAK256
    set(0x30, 0x30, 0, 1, 2);                            // ADDRESS
    set(0x31, 0x31, 1, 1, 0);                            // BALANCE
    set(0x32, 0x34, 0, 1, 2);                            // ORIGIN CALLER CALLVALUE
    set(0x35, 0x35, 1, 1, 3);                            // CALLDATALOAD
    set(0x36, 0x36, 0, 1, 2);                            // CALLDATASIZE
    set(0x37, 0x37, 3, 0, 3);                            // CALLDATACOPY
    set(0x38, 0x38, 0, 1, 2);                            // CODESIZE
    set(0x39, 0x39, 3, 0, 3);                            // CODECOPY
    set(0x3a, 0x3a, 0, 1, 2);                            // GASPRICE
    set(0x3b, 0x3b, 1, 1, 0);                            // EXTCODESIZE
    set(0x3c, 0x3c, 4, 0, 0);                            // EXTCODECOPY
    set(0x3d, 0x3d, 0, 1, 2, Revision::byzantium);       // RETURNDATASIZE
    set(0x3e, 0x3e, 3, 0, 3, Revision::byzantium);       // RETURNDATACOPY
    set(0x3f, 0x3f, 1, 1, 0, Revision::constantinople);  // EXTCODEHASH
    set(0x40, 0x40, 1, 1, 20);                           // BLOCKHASH
    set(0x41, 0x45, 0, 1, 2);                      // COINBASE TIMESTAMP NUMBER PREVRANDAO GASLIMIT
    set(0x46, 0x46, 0, 1, 2, Revision::istanbul);  // CHAINID
    set(0x47, 0x47, 0, 1, 5, Revision::istanbul);  // SELFBALANCE
    set(0x48, 0x48, 0, 1, 2, Revision::london);    // BASEFEE
    set(0x49, 0x49, 1, 1, 3, Revision::cancun);    // BLOBHASH
    set(0x4a, 0x4a, 0, 1, 2, Revision::cancun);    // BLOBBASEFEE
    set(0x50, 0x50, 1, 0, 2);                      // POP
    set(0x51, 0x51, 1, 1, 3);                      // MLOAD
    set(0x52, 0x53, 2, 0, 3);                      // MSTORE MSTORE8
    set(0x54, 0x54, 1, 1, 0);                      // SLOAD
    set(0x55, 0x55, 2, 0, 0);                      // SSTORE
    set(0x56, 0x56, 1, 0, 8);                      // JUMP
    set(0x57, 0x57, 2, 0, 10);                     // JUMPI
    set(0x58, 0x5a, 0, 1, 2);                      // PC MSIZE GAS
    set(0x5b, 0x5b, 0, 0, 1);                      // JUMPDEST
    set(0x5c, 0x5c, 1, 1, 100, Revision::cancun);  // TLOAD
    set(0x5d, 0x5d, 2, 0, 100, Revision::cancun);  // TSTORE
    set(0x5e, 0x5e, 3, 0, 3, Revision::cancun);    // MCOPY
    set(0x5f, 0x5f, 0, 1, 2, Revision::shanghai);  // PUSH0
    set(0x60, 0x7f, 0, 1, 3);                      // PUSH1 to PUSH32
    for (unsigned n = 1; n <= 16; ++n) {
        set(0x7f + n, 0x7f + n, n, n + 1, 3);      // DUPn
        set(0x8f + n, 0x8f + n, n + 1, n + 1, 3);  // SWAPn
    }
    for (unsigned n = 0; n <= 4; ++n) { set(0xa0 + n, 0xa0 + n, n + 2, 0, 375 * (n + 1)); }
    set(0xf0, 0xf0, 3, 1, 32000);                            // CREATE
    set(0xf1, 0xf2, 7, 1, 0);                                // CALL CALLCODE
    set(0xf3, 0xf3, 2, 0, 0);                                // RETURN
    set(0xf4, 0xf4, 6, 1, 0, Revision::homestead);           // DELEGATECALL
    set(0xf5, 0xf5, 4, 1, 32000, Revision::constantinople);  // CREATE2
    set(0xfa, 0xfa, 6, 1, 0, Revision::byzantium);           // STATICCALL
    set(0xfd, 0xfd, 2, 0, 0, Revision::byzantium);           // REVERT
    set(0xfe, 0xfe, 0, 0, 0);                                // INVALID
    set(0xff, 0xff, 1, 0, 0);                                // SELFDESTRUCT
    return t;
}

}  // namespace

const std::array<NaiveInstruction, 256>& naive_instructions() {
    static const std::array<NaiveInstruction, 256> instructions = make_instructions();
    return instructions;
}

}  // namespace millrace::evm::differential
