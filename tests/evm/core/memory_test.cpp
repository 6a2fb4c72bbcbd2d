// SPDX-License-Identifier: Apache-2.0
// Owns the tests of memory: its growth, what it costs, and the copies into it.
#include "evm/core/gas.hpp"
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

TEST(Memory, HugeOffsetsAndSizesRunOutOfGas) {
    Machine m;
    for (const U256& far : {shl(U256{1}, 36), shl(U256{1}, 63), shl(U256{1}, 64), U256::max(),
                            U256{~uint64_t{0}} - U256{31}}) {
        SCOPED_TRACE(to_hex_quantity(far));
        const RunOptions rich{.gas = int64_t{1} << 62};
        EXPECT_EQ(m.run(Code().push(1).push(far).op(Opcode::mstore), rich).status,
                  Status::out_of_gas);
        EXPECT_EQ(m.run(Code().push(far).op(Opcode::mload), rich).status, Status::out_of_gas);
        EXPECT_EQ(m.run(Code().push(far).push(0).op(Opcode::return_), rich).status,
                  Status::out_of_gas);
        EXPECT_EQ(m.run(Code().push(32).push(far).op(Opcode::keccak256), rich).status,
                  Status::out_of_gas);
        EXPECT_EQ(m.run(Code().push(1).push(0).push(far).op(Opcode::calldatacopy), rich).status,
                  Status::out_of_gas);
        EXPECT_EQ(m.run(Code().push(far).push(0).push(0).op(Opcode::mcopy), rich).status,
                  Status::out_of_gas);
        EXPECT_EQ(m.run(Code().push(far).push(0).op(Opcode::log0), rich).status,
                  Status::out_of_gas);
        EXPECT_EQ(m.run(Code().push(far).push(0).push(0).op(Opcode::create), rich).status,
                  Status::out_of_gas);
    }
    // Size zero never touches memory, wherever it is.
    EXPECT_EQ(m.run(Code().push(0).push(U256::max()).op(Opcode::return_)).status, Status::success);
    EXPECT_EQ(m.run(Code().push(0).push(U256::max()).op(Opcode::keccak256)).gas_used, 36);
    EXPECT_EQ(
        m.value_of(
            Code().push(0).push(0).push(U256::max()).op(Opcode::calldatacopy).op(Opcode::msize)),
        U256{});
}

TEST(Memory, CopiesPadWithZeros) {
    Machine m;
    const Bytes input = {1, 2, 3, 4};
    const auto copied = [&](const U256& offset) {
        // Memory is dirty before.
        const Code c = Code()
                           .mstore(0, U256::max())
                           .push(32)
                           .push(offset)
                           .push(0)
                           .op(Opcode::calldatacopy)
                           .ret(0, 32);
        return m.run(c, {.input = input}).word();
    };
    EXPECT_EQ(copied(0), shl(U256{0x01020304}, 224));
    EXPECT_EQ(copied(2), shl(U256{0x0304}, 240));
    EXPECT_EQ(copied(4), U256{});
    EXPECT_EQ(copied(U256::max()), U256{});
    EXPECT_EQ(
        m.run(Code().push(33).push(0).push(0).op(Opcode::calldatacopy), {.input = input}).gas_used,
        9 + 3 + 2 * 3 + 6);
}

TEST(Memory, CodeCopies) {
    Machine m;
    m.deploy(other_address, Bytes{0xaa, 0xbb});
    EXPECT_EQ(m.value_of(Code()
                             .push(32)
                             .push(0)
                             .push(0)
                             .push(other_address)
                             .op(Opcode::extcodecopy)
                             .push(0)
                             .op(Opcode::mload)),
              shl(U256{0xaabb}, 240));
    EXPECT_EQ(m.value_of(Code().push(other_address).op(Opcode::extcodesize)), U256{2});
    EXPECT_EQ(m.value_of(Code().push(other_address).op(Opcode::extcodehash)),
              to_u256(kernels::keccak256(Bytes{0xaa, 0xbb})));
    EXPECT_EQ(m.value_of(Code().push(address_of(0x99)).op(Opcode::extcodehash)), U256{})
        << "no such account";
    EXPECT_EQ(m.value_of(Code().push(sender_address).op(Opcode::extcodehash)),
              to_u256(kernels::keccak256_of_empty));
    const Code own = Code().push(32).push(0).push(0).op(Opcode::codecopy).push(0).op(Opcode::mload);
    Code whole = own;
    whole.ret_top();
    uint8_t word[32] = {};
    std::copy_n(whole.bytes().begin(), std::min<size_t>(32, whole.size()), word);
    EXPECT_EQ(m.value_of(own), load_be(word));
}

TEST(Memory, McopyHandlesOverlapBothWays) {
    Machine m;
    const U256 pattern = shl(U256{0x0102030405060708}, 192);
    const auto moved = [&](uint64_t to, uint64_t from, uint64_t n) {
        return m.value_of(Code()
                              .mstore(0, pattern)
                              .push_all(n, from, to)
                              .op(Opcode::mcopy)
                              .push(0)
                              .op(Opcode::mload));
    };
    EXPECT_EQ(moved(1, 0, 8), shl(U256{0x0101020304050607}, 192) + shl(U256{0x08}, 184));
    EXPECT_EQ(moved(0, 1, 8), shl(U256{0x0203040506070800}, 192));
    EXPECT_EQ(moved(0, 64, 0), pattern);
    EXPECT_EQ(m.value_of(Code().push_all(1, 100, 0).op(Opcode::mcopy).op(Opcode::msize)), U256{128})
        << "the source grows memory too";
}

TEST(Memory, NewMemoryIsZeroAlsoAfterAnotherFrameUsedTheSpace) {
    Machine m;
    m.deploy(other_address, Code().mstore(0, U256::max()).mstore(320, U256::max()));
    EXPECT_EQ(
        m.value_of(
            Code().call(other_address, 0, 100'000).op(Opcode::pop).push(320).op(Opcode::mload)),
        U256{});
}

TEST(Memory, LogsCopyAndCost) {
    Machine m;
    const Outcome o =
        m.run(Code().mstore(0, 0xabcd).push_all(4, 3, 2, 1).push_all(2, 30).op(Opcode::log4));
    ASSERT_EQ(o.logs.size(), 1u);
    EXPECT_EQ(o.logs[0].address, self_address);
    EXPECT_EQ(o.logs[0].data, (Bytes{0xab, 0xcd}));
    EXPECT_EQ(o.logs[0].topics, (std::vector{to_hash(U256{1}), to_hash(U256{2}), to_hash(U256{3}),
                                             to_hash(U256{4})}));
    EXPECT_EQ(o.gas_used, 9 + 3 + 6 * 3 + 375 + 4 * 375 + 2 * 8);
    m.deploy(other_address, Code().push_all(0, 0).op(Opcode::log0).revert(0, 0));
    EXPECT_TRUE(m.run(Code().call(other_address, 0, 100'000)).logs.empty())
        << "a reverted frame logs nothing";
}

}  // namespace
}  // namespace millrace::evm
