// SPDX-License-Identifier: Apache-2.0
// Owns the table of all 256 opcodes in all forks: since when each exists, what it takes from the
// stack, what it leaves, and what it costs when its operands are zero.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;
using R = Revision;

/// One opcode, or a range of equal ones, as the yellow paper's appendix H and the EIPs have it.
/// `gas` is the whole price with every operand zero: no byte is copied or hashed, memory does not
/// grow, and an address operand names the account 0, which does not exist and is cold.
struct Row {
    unsigned first;
    unsigned last;
    unsigned takes;
    unsigned gives;
    std::vector<Since> gas;  ///< the first entry is the fork that introduced it
};

constexpr auto frontier = R::frontier;

const std::vector<Row>& table() {
    static const std::vector<Row> rows = [] {
        std::vector<Row> t = {
            {0x00, 0x00, 0, 0, {{frontier, 0}}},           // STOP
            {0x01, 0x01, 2, 1, {{frontier, 3}}},           // ADD
            {0x02, 0x02, 2, 1, {{frontier, 5}}},           // MUL
            {0x03, 0x03, 2, 1, {{frontier, 3}}},           // SUB
            {0x04, 0x07, 2, 1, {{frontier, 5}}},           // DIV SDIV MOD SMOD
            {0x08, 0x09, 3, 1, {{frontier, 8}}},           // ADDMOD MULMOD
            {0x0a, 0x0a, 2, 1, {{frontier, 10}}},          // EXP, no byte in the exponent
            {0x0b, 0x0b, 2, 1, {{frontier, 5}}},           // SIGNEXTEND
            {0x10, 0x14, 2, 1, {{frontier, 3}}},           // LT GT SLT SGT EQ
            {0x15, 0x15, 1, 1, {{frontier, 3}}},           // ISZERO
            {0x16, 0x18, 2, 1, {{frontier, 3}}},           // AND OR XOR
            {0x19, 0x19, 1, 1, {{frontier, 3}}},           // NOT
            {0x1a, 0x1a, 2, 1, {{frontier, 3}}},           // BYTE
            {0x1b, 0x1d, 2, 1, {{R::constantinople, 3}}},  // SHL SHR SAR, EIP-145
            {0x1e, 0x1e, 1, 1, {{R::osaka, 5}}},           // CLZ, EIP-7939
            {0x20, 0x20, 2, 1, {{frontier, 30}}},          // KECCAK256
            {0x30, 0x30, 0, 1, {{frontier, 2}}},           // ADDRESS
            // BALANCE: EIP-150, EIP-1884, EIP-2929
            {0x31,
             0x31,
             1,
             1,
             {{frontier, 20}, {R::tangerine_whistle, 400}, {R::istanbul, 700}, {R::berlin, 2600}}},
            {0x32, 0x34, 0, 1, {{frontier, 2}}},  // ORIGIN CALLER CALLVALUE
            {0x35, 0x35, 1, 1, {{frontier, 3}}},  // CALLDATALOAD
            {0x36, 0x36, 0, 1, {{frontier, 2}}},  // CALLDATASIZE
            {0x37, 0x37, 3, 0, {{frontier, 3}}},  // CALLDATACOPY
            {0x38, 0x38, 0, 1, {{frontier, 2}}},  // CODESIZE
            {0x39, 0x39, 3, 0, {{frontier, 3}}},  // CODECOPY
            {0x3a, 0x3a, 0, 1, {{frontier, 2}}},  // GASPRICE
            // EXTCODESIZE, EXTCODECOPY: EIP-150, EIP-2929
            {0x3b, 0x3b, 1, 1, {{frontier, 20}, {R::tangerine_whistle, 700}, {R::berlin, 2600}}},
            {0x3c, 0x3c, 4, 0, {{frontier, 20}, {R::tangerine_whistle, 700}, {R::berlin, 2600}}},
            {0x3d, 0x3d, 0, 1, {{R::byzantium, 2}}},  // RETURNDATASIZE, EIP-211
            {0x3e, 0x3e, 3, 0, {{R::byzantium, 3}}},  // RETURNDATACOPY
            // EXTCODEHASH: EIP-1052, EIP-1884, EIP-2929
            {0x3f, 0x3f, 1, 1, {{R::constantinople, 400}, {R::istanbul, 700}, {R::berlin, 2600}}},
            {0x40, 0x40, 1, 1, {{frontier, 20}}},     // BLOCKHASH
            {0x41, 0x45, 0, 1, {{frontier, 2}}},      // COINBASE TIMESTAMP NUMBER 0x44 GASLIMIT
            {0x46, 0x46, 0, 1, {{R::istanbul, 2}}},   // CHAINID, EIP-1344
            {0x47, 0x47, 0, 1, {{R::istanbul, 5}}},   // SELFBALANCE, EIP-1884
            {0x48, 0x48, 0, 1, {{R::london, 2}}},     // BASEFEE, EIP-3198
            {0x49, 0x49, 1, 1, {{R::cancun, 3}}},     // BLOBHASH, EIP-4844
            {0x4a, 0x4a, 0, 1, {{R::cancun, 2}}},     // BLOBBASEFEE, EIP-7516
            {0x50, 0x50, 1, 0, {{frontier, 2}}},      // POP
            {0x51, 0x51, 1, 1, {{frontier, 3 + 3}}},  // MLOAD, with one word of memory
            {0x52, 0x53, 2, 0, {{frontier, 3 + 3}}},  // MSTORE MSTORE8, likewise
            // SLOAD: EIP-150, EIP-1884 (by EIP-2200), EIP-2929
            {0x54,
             0x54,
             1,
             1,
             {{frontier, 50}, {R::tangerine_whistle, 200}, {R::istanbul, 800}, {R::berlin, 2100}}},
            // SSTORE of zero over zero: EIP-1283 for one fork, EIP-2200, EIP-2929
            {0x55,
             0x55,
             2,
             0,
             {{frontier, 5000},
              {R::constantinople, 200},
              {R::petersburg, 5000},
              {R::istanbul, 800},
              {R::berlin, 2100 + 100}}},
            {0x56, 0x56, 1, 0, {{frontier, 8}}},      // JUMP
            {0x57, 0x57, 2, 0, {{frontier, 10}}},     // JUMPI, not taken
            {0x58, 0x5a, 0, 1, {{frontier, 2}}},      // PC MSIZE GAS
            {0x5b, 0x5b, 0, 0, {{frontier, 1}}},      // JUMPDEST
            {0x5c, 0x5c, 1, 1, {{R::cancun, 100}}},   // TLOAD, EIP-1153
            {0x5d, 0x5d, 2, 0, {{R::cancun, 100}}},   // TSTORE
            {0x5e, 0x5e, 3, 0, {{R::cancun, 3}}},     // MCOPY, EIP-5656
            {0x5f, 0x5f, 0, 1, {{R::shanghai, 2}}},   // PUSH0, EIP-3855
            {0x60, 0x7f, 0, 1, {{frontier, 3}}},      // PUSH1 to PUSH32
            {0xf0, 0xf0, 3, 1, {{frontier, 32000}}},  // CREATE
            // CALL: before EIP-161 the account 0 comes into being, whatever the value.
            {0xf1,
             0xf1,
             7,
             1,
             {{frontier, 40 + 25000},
              {R::tangerine_whistle, 700 + 25000},
              {R::spurious_dragon, 700},
              {R::berlin, 2600}}},
            {0xf2, 0xf2, 7, 1, {{frontier, 40}, {R::tangerine_whistle, 700}, {R::berlin, 2600}}},
            {0xf3, 0xf3, 2, 0, {{frontier, 0}}},  // RETURN
            // DELEGATECALL: EIP-7, EIP-150, EIP-2929
            {0xf4,
             0xf4,
             6,
             1,
             {{R::homestead, 40}, {R::tangerine_whistle, 700}, {R::berlin, 2600}}},
            {0xf5, 0xf5, 4, 1, {{R::constantinople, 32000}}},              // CREATE2, EIP-1014
            {0xfa, 0xfa, 6, 1, {{R::byzantium, 700}, {R::berlin, 2600}}},  // STATICCALL, EIP-214
            {0xfd, 0xfd, 2, 0, {{R::byzantium, 0}}},                       // REVERT, EIP-140
            {0xfe, 0xfe, 0, 0, {{frontier, 0}}},                           // INVALID, EIP-141
            // SELFDESTRUCT without a balance: EIP-150 (even so to a new account), EIP-161, EIP-2929
            {0xff,
             0xff,
             1,
             0,
             {{frontier, 0},
              {R::tangerine_whistle, 5000 + 25000},
              {R::spurious_dragon, 5000},
              {R::berlin, 5000 + 2600}}},
        };
        for (unsigned n = 1; n <= 16; ++n) {
            t.push_back({0x7f + n, 0x7f + n, n, n + 1, {{frontier, 3}}});      // DUPn
            t.push_back({0x8f + n, 0x8f + n, n + 1, n + 1, {{frontier, 3}}});  // SWAPn
        }
        for (unsigned n = 0; n <= 4; ++n) {  // LOGn
            t.push_back({0xa0 + n, 0xa0 + n, n + 2, 0, {{frontier, 375 + 375 * int64_t{n}}}});
        }
        return t;
    }();
    return rows;
}

const Row* row_of(unsigned opcode, Revision r) {
    for (const Row& row : table()) {
        if (opcode >= row.first && opcode <= row.last) {
            return r >= row.gas.front().revision ? &row : nullptr;
        }
    }
    return nullptr;
}

/// `count` zeros on the stack; 3 gas each.
Code zeros(unsigned count) {
    Code c;
    for (unsigned i = 0; i < count; ++i) { c.push(0); }
    return c;
}
/// The instruction, for PUSHes with their data.
Code with_immediate(unsigned opcode) {
    Code c;
    c.op(static_cast<uint8_t>(opcode));
    if (opcode >= 0x60 && opcode <= 0x7f) { c.append(Bytes(opcode - 0x5f)); }
    return c;
}

std::string name_of(unsigned opcode, Revision r) {
    return "opcode " + std::to_string(opcode) + " (" +
           std::string(opcode_name(static_cast<uint8_t>(opcode))) + ") in " +
           std::string(to_string(r));
}

/// How the instruction ends on a stack of zeros with enough gas.
Status normal_end(unsigned opcode) {
    switch (opcode) {
        case 0x56: return Status::bad_jump_destination;  // there is no JUMPDEST at 0
        case 0xfd: return Status::revert;
        case 0xfe: return Status::invalid_instruction;
        default: return Status::success;
    }
}
bool ends_frame(unsigned opcode) {
    return opcode == 0x00 || opcode == 0x56 || opcode == 0xf3 || opcode >= 0xfd;
}

/// Runs `check(machine, opcode, row)` for every opcode and fork; row is null where it does not
/// exist.
template <class Check>
void for_every_opcode(Check check) {
    for (const Revision r : revisions()) {
        Machine m(r);
        for (unsigned opcode = 0; opcode < 256; ++opcode) {
            SCOPED_TRACE(name_of(opcode, r));
            check(m, opcode, row_of(opcode, r));
            if (::testing::Test::HasFailure()) { return; }
        }
    }
}

TEST(OpcodeTable, NamesEveryOpcodeOfTheLastForkAndNoOther) {
    for (unsigned opcode = 0; opcode < 256; ++opcode) {
        EXPECT_EQ(opcode_name(static_cast<uint8_t>(opcode)) == "UNDEFINED",
                  row_of(opcode, latest_revision) == nullptr)
            << opcode;
    }
    // As many as the specification of Osaka has, INVALID included.
    unsigned count = 0;
    for (const Row& row : table()) { count += row.last - row.first + 1; }
    EXPECT_EQ(count, 150u);
}

TEST(OpcodeTable, ExistsFromItsForkOn) {
    for_every_opcode([](Machine& m, unsigned opcode, const Row* row) {
        const Outcome o = m.run(zeros(17).append(with_immediate(opcode)), {.gas = 500'000});
        if (row == nullptr) {
            EXPECT_EQ(o.status, Status::undefined_instruction);
            EXPECT_EQ(o.gas_used, 500'000) << "an exceptional end takes all gas";
        } else {
            EXPECT_EQ(o.status, normal_end(opcode)) << to_string(o.status);
        }
    });
}

TEST(OpcodeTable, NeedsItsItemsOnTheStack) {
    for_every_opcode([](Machine& m, unsigned opcode, const Row* row) {
        if (row == nullptr || row->takes == 0) { return; }
        EXPECT_EQ(m.run(zeros(row->takes - 1).append(with_immediate(opcode))).status,
                  Status::stack_underflow);
        EXPECT_EQ(m.run(zeros(row->takes).append(with_immediate(opcode))).status,
                  normal_end(opcode));
    });
}

TEST(OpcodeTable, LeavesItsItemsOnTheStack) {
    for_every_opcode([](Machine& m, unsigned opcode, const Row* row) {
        if (row == nullptr || ends_frame(opcode)) { return; }
        Code code = zeros(row->takes).append(with_immediate(opcode));
        for (unsigned i = 0; i < row->gives; ++i) { code.pop(); }
        EXPECT_EQ(m.run(code).status, Status::success);
        EXPECT_EQ(m.run(code.pop()).status, Status::stack_underflow);
    });
}

TEST(OpcodeTable, OverflowsOnlyAt1024Items) {
    for_every_opcode([](Machine& m, unsigned opcode, const Row* row) {
        if (row == nullptr) { return; }
        const unsigned grows = row->gives > row->takes ? row->gives - row->takes : 0;
        ASSERT_LE(grows, 1u) << "no instruction adds more than one item";
        EXPECT_EQ(m.run(zeros(1024).append(with_immediate(opcode))).status,
                  grows != 0 ? Status::stack_overflow : normal_end(opcode));
        if (grows != 0) {
            EXPECT_EQ(m.run(zeros(1023).append(with_immediate(opcode))).status, Status::success);
        }
    });
}

TEST(OpcodeTable, CostsItsPriceAndRunsOutOfGasByOne) {
    for_every_opcode([](Machine& m, unsigned opcode, const Row* row) {
        if (row == nullptr) { return; }
        const Code code = zeros(17).append(with_immediate(opcode));
        const int64_t price = 17 * 3 + at(row->gas, m.rules.revision);
        if (opcode != 0x56 && opcode != 0xfe) {
            EXPECT_EQ(m.run(code, {.gas = 500'000}).gas_used, price);
        }
        // EIP-2200: SSTORE wants more than 2,300 gas to be left, whatever it costs.
        const bool sentry = opcode == 0x55 && m.rules.revision >= R::istanbul;
        const int64_t least = sentry ? 17 * 3 + 2301 : price;
        EXPECT_EQ(m.run(code, {.gas = least}).status, normal_end(opcode));
        const Outcome poor = m.run(code, {.gas = least - 1});
        EXPECT_EQ(poor.status, Status::out_of_gas);
        EXPECT_EQ(poor.gas_used, least - 1);
    });
}

TEST(OpcodeTable, ChecksTheStackBeforeTheGas) {
    // The specification pops before it charges; both ends take all gas, so only traces differ.
    for_every_opcode([](Machine& m, unsigned opcode, const Row* row) {
        if (row == nullptr) { return; }
        if (row->takes > 0) {
            EXPECT_EQ(m.run(with_immediate(opcode), {.gas = 0}).status, Status::stack_underflow);
            EXPECT_EQ(m.run(with_immediate(opcode), {.gas = 0, .is_static = true}).status,
                      Status::stack_underflow);
        }
        if (row->gives > row->takes) {
            EXPECT_EQ(m.run(zeros(1024).append(with_immediate(opcode)), {.gas = 3 * 1024}).status,
                      Status::stack_overflow);
        }
    });
}

TEST(OpcodeTable, UndefinedBytesEndBeforeAnythingElseIsChecked) {
    // Neither an empty stack nor a full one nor the lack of gas changes the verdict.
    for_every_opcode([](Machine& m, unsigned opcode, const Row* row) {
        if (row != nullptr) { return; }
        const Code alone = with_immediate(opcode);
        EXPECT_EQ(m.run(alone, {.gas = 0}).status, Status::undefined_instruction);
        EXPECT_EQ(m.run(alone, {.gas = 10, .is_static = true}).status,
                  Status::undefined_instruction);
        EXPECT_EQ(m.run(zeros(1024).append(alone), {.gas = 3 * 1024}).status,
                  Status::undefined_instruction);
    });
}

}  // namespace
}  // namespace millrace::evm
