// SPDX-License-Identifier: Apache-2.0
// Owns the tests of prices that depend on operands: exact to the last unit of gas, in every fork in
// which they changed.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;
using R = Revision;

/// The bare price of memory of `words` words, C_mem of the yellow paper: 3 w + floor(w^2 / 512).
int64_t memory(int64_t words) { return 3 * words + words * words / 512; }

struct Price {
    const char* what;
    Code code;
    int64_t pushes;          ///< instructions of 3 gas besides the one that is measured
    std::vector<Since> gas;  ///< with the fork in which the instruction appeared
};

void expect_prices(
    const std::vector<Price>& prices,
    const std::function<void(Machine&)>& prepare = [](Machine&) {}) {
    for (const Price& p : prices) {
        for (const Revision r : revisions(p.gas.front().revision)) {
            SCOPED_TRACE(std::string(p.what) + " in " + std::string(to_string(r)));
            Machine m(r);
            prepare(m);
            expect_exact_gas(m, p.code, 3 * p.pushes + at(p.gas, r));
        }
    }
}

TEST(DynamicGas, ExpPaysPerByteOfTheExponent) {
    const auto exp = [](const U256& exponent) {
        return Code().push(exponent).push(2).op(Opcode::exp);
    };
    // 10 per byte, 50 from EIP-160 on; leading zero bytes are free.
    expect_prices({
        {"exponent 0", exp(0), 2, {{R::frontier, 10}}},
        {"exponent 1", exp(1), 2, {{R::frontier, 20}, {R::spurious_dragon, 60}}},
        {"exponent 255", exp(255), 2, {{R::frontier, 20}, {R::spurious_dragon, 60}}},
        {"exponent 256", exp(256), 2, {{R::frontier, 30}, {R::spurious_dragon, 110}}},
        {"exponent 2^64 - 1", exp(~uint64_t{0}), 2, {{R::frontier, 90}, {R::spurious_dragon, 410}}},
        {"exponent 2^64", exp(shl(1, 64)), 2, {{R::frontier, 100}, {R::spurious_dragon, 460}}},
        {"exponent 2^256 - 1",
         exp(U256::max()),
         2,
         {{R::frontier, 330}, {R::spurious_dragon, 1610}}},
    });
}

TEST(DynamicGas, Keccak256PaysPerWord) {
    const auto hash = [](uint64_t offset, uint64_t size) {
        return Code().push_all(size, offset).op(Opcode::keccak256);
    };
    expect_prices({
        {"1 byte", hash(0, 1), 2, {{R::frontier, 30 + 6 + memory(1)}}},
        {"32 bytes", hash(0, 32), 2, {{R::frontier, 30 + 6 + memory(1)}}},
        {"33 bytes", hash(0, 33), 2, {{R::frontier, 30 + 12 + memory(2)}}},
        {"64 bytes at 1", hash(1, 64), 2, {{R::frontier, 30 + 12 + memory(3)}}},
        {"32,768 bytes", hash(0, 32768), 2, {{R::frontier, 30 + 6 * 1024 + memory(1024)}}},
    });
}

TEST(DynamicGas, CopiesPayPerWordBesidesTheirMemory) {
    const auto copy = [](Opcode op, uint64_t to, uint64_t size) {
        return Code().push_all(size, 0, to).op(op);
    };
    for (const Opcode op : {Opcode::calldatacopy, Opcode::codecopy}) {
        expect_prices({
            {"1 byte", copy(op, 0, 1), 3, {{R::frontier, 3 + 3 + memory(1)}}},
            {"32 bytes", copy(op, 0, 32), 3, {{R::frontier, 3 + 3 + memory(1)}}},
            {"33 bytes", copy(op, 0, 33), 3, {{R::frontier, 3 + 6 + memory(2)}}},
            {"nothing far away", copy(op, 1 << 30, 0), 3, {{R::frontier, 3}}},
            {"32 bytes at 1000", copy(op, 1000, 32), 3, {{R::frontier, 3 + 3 + memory(33)}}},
        });
    }
    const auto from_memory = [](uint64_t to, uint64_t from, uint64_t size) {
        return Code().push_all(size, from, to).op(Opcode::mcopy);
    };
    // EIP-5656: memory grows to the end of the further one.
    expect_prices({
        {"1 byte", from_memory(0, 0, 1), 3, {{R::cancun, 3 + 3 + memory(1)}}},
        {"33 bytes", from_memory(0, 0, 33), 3, {{R::cancun, 3 + 6 + memory(2)}}},
        {"from afar", from_memory(0, 64, 32), 3, {{R::cancun, 3 + 3 + memory(3)}}},
        {"to afar", from_memory(96, 0, 32), 3, {{R::cancun, 3 + 3 + memory(4)}}},
        {"nothing from afar", from_memory(0, 1 << 30, 0), 3, {{R::cancun, 3}}},
    });
}

TEST(DynamicGas, ReturnDataCopyPaysPerWord) {
    // The identity precompile leaves 64 bytes behind: 15 + 3 * 2. It is warm from EIP-2929 on.
    const Code call =
        Code().push_all(0, 0, 64, 0).push(address_of(4)).push(1000).op(Opcode::staticcall);
    const int64_t before = 6 * 3 + 15 + 6 + memory(2);
    const auto copy = [&](uint64_t size) {
        return Code().append(call).push_all(size, 0, 0).op(Opcode::returndatacopy);
    };
    for (const Revision r : revisions(R::byzantium)) {
        SCOPED_TRACE(to_string(r));
        Machine m(r);
        const int64_t access = r >= R::berlin ? 100 : 700;
        EXPECT_EQ(m.run(copy(0)).gas_used, before + access + 9 + 3);
        EXPECT_EQ(m.run(copy(32)).gas_used, before + access + 9 + 3 + 3);
        EXPECT_EQ(m.run(copy(33)).gas_used, before + access + 9 + 3 + 6);
    }
}

TEST(DynamicGas, ExtCodeCopyPaysAccessWordsAndMemory) {
    const auto copy = [](uint64_t size) {
        return Code().push_all(size, 0, 0).push(other_address).op(Opcode::extcodecopy);
    };
    const auto steps = [](int64_t rest) {
        return std::vector<Since>{
            {R::frontier, 20 + rest}, {R::tangerine_whistle, 700 + rest}, {R::berlin, 2600 + rest}};
    };
    expect_prices({
        {"1 byte", copy(1), 4, steps(3 + memory(1))},
        {"33 bytes", copy(33), 4, steps(6 + memory(2))},
        {"32 KiB", copy(32768), 4, steps(3 * 1024 + memory(1024))},
    });
}

TEST(DynamicGas, LogsPayPerTopicByteAndMemory) {
    for (unsigned n = 0; n <= 4; ++n) {
        const auto log = [&](uint64_t offset, uint64_t size) {
            Code c;
            for (unsigned i = 0; i < n; ++i) { c.push(i); }
            return c.push_all(size, offset).op(static_cast<uint8_t>(0xa0 + n));
        };
        const int64_t base = 375 + 375 * static_cast<int64_t>(n);
        expect_prices({
            {"nothing", log(1 << 30, 0), n + 2, {{R::frontier, base}}},
            {"1 byte", log(0, 1), n + 2, {{R::frontier, base + 8 + memory(1)}}},
            {"100 bytes at 50", log(50, 100), n + 2, {{R::frontier, base + 800 + memory(5)}}},
        });
    }
}

TEST(DynamicGas, MemoryAccessPaysForGrowth) {
    const auto store = [](Opcode op, uint64_t offset) { return Code().push_all(1, offset).op(op); };
    const auto load = [](uint64_t offset) { return Code().push(offset).op(Opcode::mload); };
    expect_prices({
        {"MLOAD 0", load(0), 1, {{R::frontier, 3 + memory(1)}}},
        {"MLOAD 1", load(1), 1, {{R::frontier, 3 + memory(2)}}},
        {"MLOAD 32 * 511", load(32 * 511), 1, {{R::frontier, 3 + memory(512)}}},
        {"MLOAD 32 * 512", load(32 * 512), 1, {{R::frontier, 3 + memory(513)}}},
        {"MSTORE 0", store(Opcode::mstore, 0), 2, {{R::frontier, 3 + memory(1)}}},
        {"MSTORE 1", store(Opcode::mstore, 1), 2, {{R::frontier, 3 + memory(2)}}},
        {"MSTORE8 31", store(Opcode::mstore8, 31), 2, {{R::frontier, 3 + memory(1)}}},
        {"MSTORE8 32", store(Opcode::mstore8, 32), 2, {{R::frontier, 3 + memory(2)}}},
        {"RETURN of 33 bytes", Code().ret(0, 33), 2, {{R::frontier, memory(2)}}},
        {"RETURN at 1", Code().ret(1, 32), 2, {{R::frontier, memory(2)}}},
    });
    for (const Revision r : revisions(R::byzantium)) {
        Machine m(r);
        EXPECT_EQ(m.run(Code().revert(1, 32), {.gas = 6 + memory(2)}).status, Status::revert);
        EXPECT_EQ(m.run(Code().revert(1, 32)).gas_used, 6 + memory(2)) << "the rest comes back";
        EXPECT_EQ(m.run(Code().revert(1, 32), {.gas = 5 + memory(2)}).status, Status::out_of_gas);
    }
}

TEST(DynamicGas, MemoryOfALaterInstructionPaysOnlyTheDifference) {
    // Growth is charged as the difference of the whole prices, so rounding happens once.
    Machine m;
    expect_exact_gas(m, Code().mstore(32 * 99, 1).mstore(32 * 699, 1), 12 + 6 + memory(700));
    expect_exact_gas(m, Code().mstore(32 * 699, 1).mstore(32 * 99, 1), 12 + 6 + memory(700));
}

TEST(DynamicGas, CreationsPayPerWordOfInitCode) {
    // Init code of zeros stops at once and deploys nothing.
    const auto create = [](uint64_t size) {
        return Code().push_all(size, 0, 0).op(Opcode::create);
    };
    const auto create2 = [](uint64_t size) {
        return Code().push_all(0, size, 0, 0).op(Opcode::create2);
    };
    // EIP-3860: 2 per word from Shanghai on. EIP-1014: 6 per word for the hash.
    expect_prices({
        {"CREATE, 1 byte",
         create(1),
         3,
         {{R::frontier, 32000 + memory(1)}, {R::shanghai, 32000 + 2 + memory(1)}}},
        {"CREATE, 33 bytes",
         create(33),
         3,
         {{R::frontier, 32000 + memory(2)}, {R::shanghai, 32000 + 4 + memory(2)}}},
        {"CREATE2, 32 bytes",
         create2(32),
         4,
         {{R::constantinople, 32000 + 6 + memory(1)}, {R::shanghai, 32000 + 8 + memory(1)}}},
        {"CREATE2, 33 bytes",
         create2(33),
         4,
         {{R::constantinople, 32000 + 12 + memory(2)}, {R::shanghai, 32000 + 16 + memory(2)}}},
    });
}

TEST(DynamicGas, CallsPayForTheFurtherOfInputAndOutput) {
    const auto call = [](Opcode kind, uint64_t in, uint64_t in_size, uint64_t out,
                         uint64_t out_size) {
        Code c = Code().push_all(out_size, out, in_size, in);
        if (kind == Opcode::call || kind == Opcode::callcode) { c.push(0); }
        return c.push(other_address).push(0).op(kind);
    };
    const std::vector<std::pair<Opcode, Revision>> kinds = {{Opcode::call, R::frontier},
                                                            {Opcode::callcode, R::frontier},
                                                            {Opcode::delegatecall, R::homestead},
                                                            {Opcode::staticcall, R::byzantium}};
    for (const auto& [kind, since] : kinds) {
        SCOPED_TRACE(opcode_name(static_cast<uint8_t>(kind)));
        const int64_t pushes = kind == Opcode::call || kind == Opcode::callcode ? 7 : 6;
        const auto steps = [&, first = since](int64_t rest) {
            std::vector<Since> s{{first, (first >= R::tangerine_whistle ? 700 : 40) + rest}};
            if (first < R::tangerine_whistle) { s.push_back({R::tangerine_whistle, 700 + rest}); }
            s.push_back({R::berlin, 2600 + rest});
            return s;
        };
        expect_prices(
            {
                {"input", call(kind, 0, 33, 0, 0), pushes, steps(memory(2))},
                {"output", call(kind, 0, 0, 0, 33), pushes, steps(memory(2))},
                {"input further", call(kind, 64, 32, 0, 32), pushes, steps(memory(3))},
                {"output further", call(kind, 0, 32, 96, 32), pushes, steps(memory(4))},
                {"none, far away", call(kind, 1 << 30, 0, 1 << 30, 0), pushes, steps(0)},
            },
            [](Machine& m) { m.state.set_balance(other_address, U256{1}); });
    }
}

TEST(DynamicGas, CallWithValueByFork) {
    // 9,000 for the value; 25,000 for an account that comes into being (before EIP-161: that does
    // not exist); of the stipend nothing is used, so it comes back.
    struct Case {
        const char* what;
        bool target_exists;
        uint64_t value;
        std::vector<Since> gas;
    };
    const std::vector<Case> cases = {
        {"existing, no value",
         true,
         0,
         {{R::frontier, 40}, {R::tangerine_whistle, 700}, {R::berlin, 2600}}},
        {"existing, value",
         true,
         1,
         {{R::frontier, 40 + 9000 - 2300},
          {R::tangerine_whistle, 700 + 9000 - 2300},
          {R::berlin, 2600 + 9000 - 2300}}},
        {"new, no value",
         false,
         0,
         {{R::frontier, 40 + 25000},
          {R::tangerine_whistle, 700 + 25000},
          {R::spurious_dragon, 700},
          {R::berlin, 2600}}},
        {"new, value",
         false,
         1,
         {{R::frontier, 40 + 9000 + 25000 - 2300},
          {R::tangerine_whistle, 700 + 9000 + 25000 - 2300},
          {R::berlin, 2600 + 9000 + 25000 - 2300}}},
    };
    for (const Case& c : cases) {
        for (const Revision r : revisions()) {
            SCOPED_TRACE(std::string(c.what) + " in " + std::string(to_string(r)));
            Machine m(r);
            m.state.set_balance(self_address, U256{10});
            if (c.target_exists) { m.state.set_balance(other_address, U256{1}); }
            const Code code = Code().call(other_address, c.value, 0);
            const int64_t spent = 21 + at(c.gas, r);
            EXPECT_EQ(m.run(code).gas_used, spent);
            // The stipend is given after the price has been paid.
            const int64_t least = spent + (c.value != 0 ? 2300 : 0);
            EXPECT_EQ(m.run(code, {.gas = least}).status, Status::success);
            EXPECT_EQ(m.run(code, {.gas = least - 1}).status, Status::out_of_gas);
            // CALLCODE pays for value but never for an account.
            const int64_t callcode =
                at({{R::frontier, 40}, {R::tangerine_whistle, 700}, {R::berlin, 2600}}, r) +
                (c.value != 0 ? 9000 - 2300 : 0);
            EXPECT_EQ(m.run(Code().call(other_address, c.value, 0, Opcode::callcode)).gas_used,
                      21 + callcode);
        }
    }
}

TEST(DynamicGas, SelfdestructByForkBeneficiaryAndBalance) {
    struct Case {
        const char* what;
        bool beneficiary_exists;
        uint64_t balance;
        std::vector<Since> gas;
    };
    const std::vector<Case> cases = {
        {"to somebody",
         true,
         5,
         {{R::frontier, 0}, {R::tangerine_whistle, 5000}, {R::berlin, 7600}}},
        {"to nobody",
         false,
         5,
         {{R::frontier, 0}, {R::tangerine_whistle, 30000}, {R::berlin, 32600}}},
        {"nothing to nobody",
         false,
         0,
         {{R::frontier, 0},
          {R::tangerine_whistle, 30000},
          {R::spurious_dragon, 5000},
          {R::berlin, 7600}}},
        {"nothing to somebody",
         true,
         0,
         {{R::frontier, 0}, {R::tangerine_whistle, 5000}, {R::berlin, 7600}}},
    };
    for (const Case& c : cases) {
        for (const Revision r : revisions()) {
            SCOPED_TRACE(std::string(c.what) + " in " + std::string(to_string(r)));
            Machine m(r);
            m.state.set_balance(self_address, U256{c.balance});
            if (c.beneficiary_exists) { m.state.set_balance(other_address, U256{1}); }
            expect_exact_gas(m, Code().push(other_address).op(Opcode::selfdestruct),
                             3 + at(c.gas, r));
        }
    }
    // A warm beneficiary costs nothing more (EIP-2929), and is not the 100 of other instructions.
    Machine m;
    m.state.set_balance(other_address, U256{1});
    EXPECT_EQ(m.run(Code()
                        .push(other_address)
                        .op(Opcode::balance)
                        .pop()
                        .push(other_address)
                        .op(Opcode::selfdestruct))
                  .gas_used,
              3 + 2600 + 2 + 3 + 5000);
}

}  // namespace
}  // namespace millrace::evm
