// SPDX-License-Identifier: Apache-2.0
// Owns the tests of memory: its growth, what it costs, what it holds.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST(Memory, GrowthCostsThreePerWordAndASquare) {
    Machine m;
    const auto gas = [&](uint64_t offset) {
        return m.run(Code().mstore(offset, 1), {.gas = 100'000'000}).gas_used - 9;
    };
    EXPECT_EQ(gas(0), 3);
    EXPECT_EQ(gas(1), 6);
    EXPECT_EQ(gas(32), 6);
    EXPECT_EQ(gas(32 * 22), 23 * 3 + 1) << "23^2 / 512 is 1";
    EXPECT_EQ(gas(32 * 1023), 1024 * 3 + 2048);
    EXPECT_EQ(gas(1 << 20), 3 * 32769 + int64_t{32769} * 32769 / 512);
}

TEST(Memory, OnlyTheGrowthIsPaid) {
    Machine m;
    const int64_t once = m.run(Code().mstore(960, 1)).gas_used;
    EXPECT_EQ(m.run(Code().mstore(960, 1).mstore(0, 1)).gas_used, once + 9);
    EXPECT_EQ(m.run(Code().mstore(960, 1).push(0).op(Opcode::mload)).gas_used, once + 6);
    EXPECT_EQ(m.value_of(Code().mstore(960, 1).op(Opcode::msize)), U256{992});
    EXPECT_EQ(m.value_of(Code().push_all(1, 33).op(Opcode::mstore8).op(Opcode::msize)), U256{64});
}

TEST(Memory, WordsAndBytesAreStoredBigEndianAtAnyOffset) {
    Machine m;
    const U256 word = shl(U256{0x0102030405060708}, 192) | U256{0x1718191a1b1c1d1e};
    for (const uint64_t offset : {0, 1, 31, 32, 33}) {
        EXPECT_EQ(m.value_of(Code().mstore(offset, word).push(offset).op(Opcode::mload)), word);
    }
    // Read one byte further on: the first byte is lost, a zero comes in.
    EXPECT_EQ(m.value_of(Code().mstore(0, word).push(1).op(Opcode::mload)), shl(word, 8));
    EXPECT_EQ(m.value_of(Code().mstore(1, word).push(0).op(Opcode::mload)), shr(word, 8));
    // MSTORE8 takes the lowest byte and leaves its neighbours alone.
    const auto with_byte = [&](uint64_t offset, const U256& byte) {
        return m.value_of(Code()
                              .mstore(0, U256::max())
                              .push(byte)
                              .push(offset)
                              .op(Opcode::mstore8)
                              .push(0)
                              .op(Opcode::mload));
    };
    EXPECT_EQ(with_byte(31, 0x1234), U256::max() - U256{0xff - 0x34});
    EXPECT_EQ(with_byte(0, shl(1, 8)), shr(U256::max(), 8));
    EXPECT_EQ(with_byte(0, 0x7f), shr(U256::max(), 1));
}

TEST(Memory, ReadingGrowsItAndGivesZeros) {
    Machine m;
    EXPECT_EQ(m.value_of(Code().push(100).op(Opcode::mload)), U256{});
    EXPECT_EQ(m.value_of(Code().push(100).op(Opcode::mload).pop().op(Opcode::msize)), U256{160});
    EXPECT_EQ(m.value_of(Code().op(Opcode::msize)), U256{});
    EXPECT_EQ(m.value_of(Code().push_all(32, 64).op(Opcode::keccak256).pop().op(Opcode::msize)),
              U256{96});
}

TEST(Memory, EveryFrameHasItsOwn) {
    // The caller's memory is where it was after a callee has used far more, and grows on from
    // there.
    Machine m;
    m.deploy(other_address, Code().mstore(100'000, U256::max()).ret(99'968, 64));
    const Code code = Code()
                          .mstore(0, 0x1111)
                          .mstore(64, 0x2222)
                          .call(other_address, 0, 500'000)
                          .pop()
                          .push(0)
                          .op(Opcode::mload)
                          .push(64)
                          .op(Opcode::mload)
                          .op(Opcode::add)
                          .push(96)
                          .op(Opcode::mload)
                          .op(Opcode::add)
                          .op(Opcode::msize)
                          .op(Opcode::add);
    EXPECT_EQ(m.value_of(code), U256{0x3333 + 128});
}

TEST(Memory, NewMemoryIsZeroAlsoAfterAnotherFrameUsedTheSpace) {
    Machine m;
    m.deploy(other_address, Code().mstore(0, U256::max()).mstore(320, U256::max()));
    EXPECT_EQ(
        m.value_of(
            Code().call(other_address, 0, 100'000).op(Opcode::pop).push(320).op(Opcode::mload)),
        U256{});
}

}  // namespace
}  // namespace millrace::evm
