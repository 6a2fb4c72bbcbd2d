// SPDX-License-Identifier: Apache-2.0
// Owns the tests of JUMP, JUMPI, JUMPDEST and PC.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

TEST(Jump, JumpsGoToDestinationsOnly) {
    Machine m;
    EXPECT_EQ(
        m.run(Code().push(4).op(Opcode::jump).op(Opcode::invalid).op(Opcode::jumpdest)).status,
        Status::success);
    EXPECT_EQ(m.run(Code().push(3).op(Opcode::jump).op(Opcode::stop)).status,
              Status::bad_jump_destination);
    EXPECT_EQ(m.run(Code().push(U256::max()).op(Opcode::jump)).status,
              Status::bad_jump_destination);
    EXPECT_EQ(m.run(Code().push(shl(1, 64)).op(Opcode::jump)).status, Status::bad_jump_destination);
    EXPECT_EQ(m.run(Code().push(100).op(Opcode::jump)).status, Status::bad_jump_destination);
    // 0x5b inside of the data of a PUSH is none.
    EXPECT_EQ(m.run(Code().push(4).op(Opcode::jump).push(0x5b)).status,
              Status::bad_jump_destination);
    EXPECT_EQ(m.run(Code().push_all(0, 99).op(Opcode::jumpi)).status, Status::success)
        << "not taken, not checked";
    EXPECT_EQ(m.run(Code().push_all(1, 99).op(Opcode::jumpi)).status, Status::bad_jump_destination);
    EXPECT_EQ(
        m.run(Code().push_all(7, 6).op(Opcode::jumpi).op(Opcode::invalid).op(Opcode::jumpdest))
            .status,
        Status::success);
}

/// PUSH of the target, JUMP, and `rest` from position 3 on (for targets of one byte).
Status jump_to(uint64_t target, ByteView rest) {
    Machine m;
    return m.run(Code().push(target).op(Opcode::jump).append(rest)).status;
}

TEST(Jump, DestinationMayBeTheLastByte) {
    EXPECT_EQ(jump_to(3, Bytes{0x5b}), Status::success);
    EXPECT_EQ(jump_to(4, Bytes{0x5b}), Status::bad_jump_destination) << "the end of the code";
    EXPECT_EQ(jump_to(5, Bytes{0x5b}), Status::bad_jump_destination);
    EXPECT_EQ(jump_to(3, Bytes{}), Status::bad_jump_destination);
}

TEST(Jump, NoByteOfPushDataIsADestination) {
    for (unsigned n = 1; n <= 32; ++n) {
        Bytes rest{static_cast<uint8_t>(0x5f + n)};
        rest.insert(rest.end(), n, 0x5b);
        rest.push_back(0x5b);
        for (unsigned i = 0; i < n; ++i) {
            EXPECT_EQ(jump_to(4 + i, rest), Status::bad_jump_destination) << "PUSH" << n;
        }
        EXPECT_EQ(jump_to(4 + n, rest), Status::success) << "right behind the data of PUSH" << n;
        // Data that is cut off by the end of the code is data all the same.
        Bytes cut(rest.begin(), rest.begin() + n);
        for (unsigned i = 1; i < n; ++i) {
            EXPECT_EQ(jump_to(3 + i, cut), Status::bad_jump_destination) << "PUSH" << n;
        }
    }
    // PUSH0 has no data (EIP-3855), nor have the bytes around the PUSHes.
    EXPECT_EQ(jump_to(4, Bytes{0x5f, 0x5b}), Status::success);
    EXPECT_EQ(jump_to(4, Bytes{0x80, 0x5b}), Status::success);
    // A PUSH inside the data of another is none.
    EXPECT_EQ(jump_to(5, Bytes{0x60, 0x7f, 0x5b}), Status::success);
    // Before Shanghai 0x5f is undefined; it never had data.
    EXPECT_EQ(Machine(Revision::paris)
                  .run(Code().push(4).op(Opcode::jump).append(Bytes{0x5f, 0x5b}))
                  .status,
              Status::success);
}

TEST(Jump, NoBitOfTheTargetIsLost) {
    // 60 is a destination; the same number with a higher bit set is none.
    Machine m;
    for (const uint64_t bit : {8, 16, 31, 32, 33, 63, 64, 127, 128, 192, 255}) {
        const U256 target = shl(U256{1}, bit) + U256{60};
        Code jump = Code().push(target).op(Opcode::jump);
        Code jumpi = Code().push(1).push(target).op(Opcode::jumpi);
        for (Code* c : {&jump, &jumpi}) {
            while (c->size() < 60) { c->op(Opcode::stop); }
            c->op(Opcode::jumpdest);
            EXPECT_EQ(m.run(*c).status, Status::bad_jump_destination) << bit;
        }
    }
}

TEST(Jump, ConditionIsTheWholeWord) {
    Machine m;
    for (const uint64_t bit : {0, 1, 7, 8, 63, 64, 128, 192, 255}) {
        const Code c = Code().push(shl(U256{1}, bit)).push(60).op(Opcode::jumpi).op(Opcode::stop);
        EXPECT_EQ(m.run(c).status, Status::bad_jump_destination) << "taken: bit " << bit;
    }
    EXPECT_EQ(m.run(Code().push_all(0, 60).op(Opcode::jumpi)).gas_used, 6 + 10) << "not taken";
}

TEST(Jump, LoopRunsUntilItsConditionIsZero) {
    // 5 rounds: PUSH1 5; JUMPDEST (2), PUSH1 1, SWAP1, SUB, DUP1, PUSH1 2, JUMPI
    const Code c = Code()
                       .push(5)
                       .op(Opcode::jumpdest)
                       .push(1)
                       .op(Opcode::swap1)
                       .op(Opcode::sub)
                       .op(Opcode::dup1)
                       .push(2)
                       .op(Opcode::jumpi);
    Machine m;
    expect_exact_gas(m, c, 3 + 5 * (1 + 3 + 3 + 3 + 3 + 3 + 10));
}

TEST(Jump, StackIsCheckedAnewAtEveryDestination) {
    // Each round leaves one item more, so round 1,024 overflows; popping two too many underflows.
    Machine m;
    const Code grows = Code().op(Opcode::jumpdest).push(0).push(0).op(Opcode::jump);
    EXPECT_EQ(m.run(grows).status, Status::stack_overflow);
    const Code shrinks =
        Code().push_all(1, 2, 3).op(Opcode::jumpdest).pop().push(6).op(Opcode::jump);
    EXPECT_EQ(m.run(shrinks).status, Status::stack_underflow);
}

TEST(Jump, ProgramCounterCountsBytes) {
    Machine m;
    EXPECT_EQ(m.value_of(Code().op(Opcode::pc)), U256{0});
    EXPECT_EQ(m.value_of(Code().op(Opcode::jumpdest).op(Opcode::pc)), U256{1});
    EXPECT_EQ(m.value_of(Code().push(U256::max()).pop().op(Opcode::pc)), U256{34});
    EXPECT_EQ(m.value_of(Code()
                             .push(4)
                             .op(Opcode::jump)
                             .op(Opcode::invalid)
                             .op(Opcode::jumpdest)
                             .op(Opcode::pc)),
              U256{5});
}

TEST(Jump, InitCodeHasDestinationsOfItsOwn) {
    // The creator's code is all JUMPDEST at that place; the init code is not.
    Machine m;
    const Code init = Code().push(5).op(Opcode::jump);
    const Code code = Code().put(init).push_all(init.size(), 0, 0).op(Opcode::create);
    EXPECT_EQ(m.value_of(code), U256{});
    const Code good = Code().push(3).op(Opcode::jump).op(Opcode::jumpdest);
    EXPECT_NE(m.value_of(Code().put(good).push_all(good.size(), 0, 0).op(Opcode::create)), U256{});
}

}  // namespace
}  // namespace millrace::evm
