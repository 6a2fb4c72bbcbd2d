// SPDX-License-Identifier: Apache-2.0
// Owns the tests of PUSH, DUP, SWAP, POP and of the limits of the stack.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST(Stack, LimitsHold) {
    Machine m;
    EXPECT_EQ(m.run(Code().op(Opcode::add)).status, Status::stack_underflow);
    EXPECT_EQ(m.run(Code().push(1).op(Opcode::add)).status, Status::stack_underflow);
    EXPECT_EQ(m.run(Code().op(Opcode::pop)).status, Status::stack_underflow);
    EXPECT_EQ(m.run(Code().push(1).op(Opcode::swap1)).status, Status::stack_underflow);
    Code full;
    for (int i = 0; i < 1024; ++i) { full.push(1); }
    EXPECT_EQ(m.run(full).status, Status::success);
    EXPECT_EQ(m.run(Code().append(full).push(1)).status, Status::stack_overflow);
    EXPECT_EQ(m.run(Code().append(full).op(Opcode::dup1)).status, Status::stack_overflow);
    EXPECT_EQ(m.run(Code().append(full).op(Opcode::push0)).status, Status::stack_overflow);
    EXPECT_EQ(m.run(Code().append(full).op(Opcode::add)).status, Status::success);
}

TEST(Stack, DupAndSwapReachTheirDepth) {
    Machine m;
    for (unsigned n = 1; n <= 16; ++n) {
        Code dup;
        Code swap;
        for (unsigned i = 17; i > 0; --i) {
            dup.push(i);
            swap.push(i);
        }
        EXPECT_EQ(m.value_of(dup.op(static_cast<uint8_t>(0x7f + n))), U256{n});
        EXPECT_EQ(m.value_of(swap.op(static_cast<uint8_t>(0x8f + n))), U256{n + 1});
    }
}

TEST(Stack, PushTakesItsBytesAndZerosBeyondTheEnd) {
    Machine m;
    for (unsigned n = 1; n <= 32; ++n) {
        Code c;
        c.op(static_cast<uint8_t>(0x5f + n));
        U256 expected;
        for (unsigned i = 0; i < n; ++i) {
            c.op(static_cast<uint8_t>(0xa0 + i));
            expected = expected << 8 | U256{0xa0 + i};
        }
        EXPECT_EQ(m.value_of(c), expected) << "PUSH" << n;
    }
    // The data of the last PUSH is cut off: the word is padded, and the code ends there.
    const Outcome o = m.run(Code().op(0x61).op(0x01));
    EXPECT_EQ(o.status, Status::success);
    EXPECT_EQ(o.gas_used, 3);
}

TEST(Stack, EveryPushIsCutOffAtTheEndOfTheCode) {
    // What the code does not have reads as zero and the code ends there: gas and status as if it
    // were all there. With a JUMPDEST inside of the data none can be jumped to (jump_test.cpp).
    Machine m;
    for (unsigned n = 1; n <= 32; ++n) {
        for (unsigned present = 0; present < n; ++present) {
            Code c = Code().op(static_cast<uint8_t>(0x5f + n)).append(Bytes(present, 0xff));
            const Outcome o = m.run(c);
            EXPECT_EQ(o.status, Status::success);
            EXPECT_EQ(o.gas_used, 3) << "PUSH" << n << " with " << present << " bytes";
            EXPECT_EQ(m.run(c, {.gas = 2}).status, Status::out_of_gas);
        }
    }
    // On a full stack it is still an overflow.
    Code full;
    for (int i = 0; i < 1024; ++i) { full.push(1); }
    EXPECT_EQ(m.run(full.op(0x7f)).status, Status::stack_overflow);
}

TEST(Stack, ZeroIsPushedWithoutData) {
    // EIP-3855.
    Machine m;
    EXPECT_EQ(m.value_of(Code().push(7).op(Opcode::push0)), U256{});
    EXPECT_EQ(m.run(Code().op(Opcode::push0)).gas_used, 2);
}

TEST(Stack, SwapLeavesTheItemsBetweenAlone) {
    Machine m;
    for (unsigned n = 1; n <= 16; ++n) {
        Code c;
        for (unsigned i = n + 1; i > 0; --i) { c.push(i); }  // 1 is on top, n + 1 below
        c.op(static_cast<uint8_t>(0x8f + n));
        // From the top: n + 1, 2, ..., n, 1. Weighted by position so that an exchange shows.
        for (unsigned i = 0; i <= n; ++i) { c.sstore_top(i); }
        const Outcome o = m.run(c);
        const AccountChange* change = change_of(o.changes, self_address);
        ASSERT_NE(change, nullptr);
        ASSERT_EQ(change->storage.size(), n + 1);
        for (unsigned i = 0; i <= n; ++i) {
            const uint64_t expected = i == 0 ? n + 1 : i == n ? 1 : i + 1;
            EXPECT_EQ(change->storage[i].value, U256{expected}) << "SWAP" << n << ", item " << i;
        }
    }
}

}  // namespace
}  // namespace millrace::evm
