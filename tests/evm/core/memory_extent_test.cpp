// SPDX-License-Identifier: Apache-2.0
// Owns the tests of every instruction that names a range of memory: sizes of zero, offsets and
// sizes beyond all gas, and sums that would wrap.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

/// Where an instruction's operands name a range of memory. Positions count from the top of the
/// stack.
struct Range {
    const char* name;
    Opcode op;
    unsigned operands;
    unsigned offset;
    int size;  ///< position; -n for a fixed size of n bytes
    Status end = Status::success;
};

const std::vector<Range>& ranges() {
    static const std::vector<Range> list = {
        {"KECCAK256", Opcode::keccak256, 2, 0, 1},
        {"CALLDATACOPY", Opcode::calldatacopy, 3, 0, 2},
        {"CODECOPY", Opcode::codecopy, 3, 0, 2},
        {"EXTCODECOPY", Opcode::extcodecopy, 4, 1, 3},
        {"RETURNDATACOPY", Opcode::returndatacopy, 3, 0, 2},
        {"MCOPY to", Opcode::mcopy, 3, 0, 2},
        {"MCOPY from", Opcode::mcopy, 3, 1, 2},
        {"MLOAD", Opcode::mload, 1, 0, -32},
        {"MSTORE", Opcode::mstore, 2, 0, -32},
        {"MSTORE8", Opcode::mstore8, 2, 0, -1},
        {"LOG0", Opcode::log0, 2, 0, 1},
        {"LOG4", Opcode::log4, 6, 0, 1},
        {"CREATE", Opcode::create, 3, 1, 2},
        {"CREATE2", Opcode::create2, 4, 1, 2},
        {"CALL in", Opcode::call, 7, 3, 4},
        {"CALL out", Opcode::call, 7, 5, 6},
        {"CALLCODE in", Opcode::callcode, 7, 3, 4},
        {"CALLCODE out", Opcode::callcode, 7, 5, 6},
        {"DELEGATECALL in", Opcode::delegatecall, 6, 2, 3},
        {"DELEGATECALL out", Opcode::delegatecall, 6, 4, 5},
        {"STATICCALL in", Opcode::staticcall, 6, 2, 3},
        {"STATICCALL out", Opcode::staticcall, 6, 4, 5},
        {"RETURN", Opcode::return_, 2, 0, 1},
        {"REVERT", Opcode::revert, 2, 0, 1, Status::revert},
    };
    return list;
}

/// The instruction with all other operands zero.
Code with(const Range& r, const U256& offset, const U256& size) {
    Code c;
    for (unsigned i = r.operands; i-- > 0;) {
        c.push(i == r.offset ? offset : r.size == static_cast<int>(i) ? size : U256{});
    }
    return c.op(r.op);
}

/// More memory than any amount of gas buys; the last ones wrap around 64 or 256 bits when a size is
/// added, or look small when their upper bits are cut off.
const std::vector<U256>& far_numbers() {
    static const std::vector<U256> list = {shl(U256{1}, 36),        shl(U256{1}, 62),
                                           shl(U256{1}, 63),        U256{~uint64_t{0} - 31},
                                           U256{~uint64_t{0} - 30}, U256{~uint64_t{0}},
                                           shl(U256{1}, 64),        shl(U256{1}, 64) + U256{32},
                                           shl(U256{1}, 128),       shl(U256{1}, 255),
                                           U256::max() - U256{31},  U256::max()};
    return list;
}

constexpr RunOptions rich() { return {.gas = int64_t{1} << 62}; }

TEST(MemoryExtent, FarOffsetsRunOutOfGas) {
    Machine m;
    for (const Range& r : ranges()) {
        for (const U256& far : far_numbers()) {
            SCOPED_TRACE(std::string(r.name) + " at " + to_hex_quantity(far));
            EXPECT_EQ(m.run(with(r, far, 1), rich()).status, Status::out_of_gas);
            EXPECT_EQ(m.run(with(r, far, 32), rich()).status, Status::out_of_gas);
        }
    }
}

TEST(MemoryExtent, HugeSizesRunOutOfGas) {
    Machine m;
    for (const Range& r : ranges()) {
        if (r.size < 0) { continue; }
        for (const U256& huge : far_numbers()) {
            SCOPED_TRACE(std::string(r.name) + " of " + to_hex_quantity(huge));
            for (const U256& offset : {U256{0}, U256{1}, U256{32}, U256{} - huge}) {
                EXPECT_EQ(m.run(with(r, offset, huge), rich()).status, Status::out_of_gas);
            }
        }
    }
}

TEST(MemoryExtent, NothingIsNowhere) {
    // Size zero: neither gas nor memory nor a look at the offset.
    Machine m;
    for (const Range& r : ranges()) {
        if (r.size < 0) { continue; }
        const int64_t at_zero = m.run(with(r, 0, 0)).gas_used;
        for (const U256& far : far_numbers()) {
            SCOPED_TRACE(std::string(r.name) + " at " + to_hex_quantity(far));
            const Outcome o = m.run(with(r, far, 0));
            EXPECT_EQ(o.status, r.end);
            // A larger operand is a longer PUSH of the same price.
            EXPECT_EQ(o.gas_used, at_zero);
            EXPECT_TRUE(o.output.empty());
            if (r.op != Opcode::return_ && r.op != Opcode::revert) {
                EXPECT_EQ(m.value_of(with(r, far, 0).op(Opcode::msize)), U256{});
            }
        }
    }
}

TEST(MemoryExtent, GrowsToTheEndOfTheRangeInWords) {
    // MSIZE afterwards, for ranges that end within, at and just behind a word.
    Machine m;
    for (const Range& r : ranges()) {
        if (r.op == Opcode::return_ || r.op == Opcode::revert) { continue; }
        if (r.op == Opcode::returndatacopy) { continue; }  // there is no return data here
        SCOPED_TRACE(r.name);
        const auto msize = [&](uint64_t offset, uint64_t size) {
            return m.value_of(with(r, offset, size).op(Opcode::msize));
        };
        if (r.size < 0) {
            const auto n = static_cast<uint64_t>(-r.size);
            EXPECT_EQ(msize(0, 0), U256{32});
            EXPECT_EQ(msize(64 - n, 0), U256{64});
            EXPECT_EQ(msize(65 - n, 0), U256{96});
            continue;
        }
        EXPECT_EQ(msize(0, 1), U256{32});
        EXPECT_EQ(msize(0, 32), U256{32});
        EXPECT_EQ(msize(0, 33), U256{64});
        EXPECT_EQ(msize(31, 1), U256{32});
        EXPECT_EQ(msize(31, 2), U256{64});
        EXPECT_EQ(msize(1000, 25), U256{1056}) << "1,025 bytes are 33 words";
    }
}

TEST(MemoryExtent, LastAffordableWordAndTheNext) {
    // 30,000,000 gas buy 123,169 words: 3 w + w^2 / 512 = 369,507 + 29,630,083 = 29,999,590 (the
    // next word makes it 30,000,074).
    Machine m;
    const uint64_t last = 32 * 123'168;
    const int64_t price = 3 + 3 + 29'999'590;
    EXPECT_EQ(m.run(Code().push(last).op(Opcode::mload), {.gas = price}).status, Status::success);
    EXPECT_EQ(m.run(Code().push(last).op(Opcode::mload), {.gas = price - 1}).status,
              Status::out_of_gas);
    EXPECT_EQ(m.run(Code().push(last + 1).op(Opcode::mload), {.gas = 30'000'006}).status,
              Status::out_of_gas);
    EXPECT_EQ(m.run(Code().push(last + 1).op(Opcode::mload), {.gas = 30'000'080}).status,
              Status::success);
}

}  // namespace
}  // namespace millrace::evm
