// SPDX-License-Identifier: Apache-2.0
// Owns the tests of arithmetic, comparison, bit and flow instructions run as bytecode.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

const U256 max = U256::max();
const U256 min_signed = shl(U256{1}, 255);
U256 minus(uint64_t v) { return negate(U256{v}); }

struct BinaryCase {
    Opcode op;
    U256 a;  ///< top of the stack
    U256 b;
    U256 expected;
};

TEST(Arithmetic, BinaryInstructionsAtTheirEdges) {
    const std::vector<BinaryCase> cases = {
        {Opcode::add, max, 1, 0},
        {Opcode::add, max, max, max - U256{1}},
        {Opcode::sub, 0, 1, max},
        {Opcode::sub, 5, 7, minus(2)},
        {Opcode::mul, max, max, 1},
        {Opcode::mul, shl(1, 128), shl(1, 128), 0},
        {Opcode::div, 7, 2, 3},
        {Opcode::div, 7, 0, 0},
        {Opcode::div, max, max, 1},
        {Opcode::sdiv, minus(7), 2, minus(3)},
        {Opcode::sdiv, min_signed, max, min_signed},
        {Opcode::sdiv, minus(8), minus(2), 4},
        {Opcode::sdiv, 1, 0, 0},
        {Opcode::mod, 7, 4, 3},
        {Opcode::mod, 7, 0, 0},
        {Opcode::smod, minus(8), 3, minus(2)},
        {Opcode::smod, 8, minus(3), 2},
        {Opcode::smod, 8, 0, 0},
        {Opcode::exp, 2, 255, min_signed},
        {Opcode::exp, 2, 256, 0},
        {Opcode::exp, 0, 0, 1},
        {Opcode::exp, 3, 5, 243},
        {Opcode::exp, max, 3, max},
        {Opcode::signextend, 0, 0x80, minus(0x80)},
        {Opcode::signextend, 0, 0x17f, 0x7f},
        {Opcode::signextend, 30, shl(1, 247), max - shl(1, 247) + U256{1}},
        {Opcode::signextend, 31, min_signed, min_signed},
        {Opcode::signextend, max, 0x80, 0x80},
        {Opcode::lt, 1, 2, 1},
        {Opcode::lt, max, 0, 0},
        {Opcode::gt, max, 0, 1},
        {Opcode::slt, max, 0, 1},
        {Opcode::slt, min_signed, max, 1},
        {Opcode::sgt, 0, max, 1},
        {Opcode::sgt, max, min_signed, 1},
        {Opcode::eq, max, max, 1},
        {Opcode::and_, 0xff00, 0x0ff0, 0x0f00},
        {Opcode::or_, 0xff00, 0x0ff0, 0xfff0},
        {Opcode::xor_, 0xff00, 0x0ff0, 0xf0f0},
        {Opcode::byte, 31, 0xab, 0xab},
        {Opcode::byte, 0, shl(0xcd, 248), 0xcd},
        {Opcode::byte, 32, max, 0},
        {Opcode::byte, max, max, 0},
        {Opcode::shl, 1, 1, 2},
        {Opcode::shl, 255, 3, min_signed},
        {Opcode::shl, 256, max, 0},
        {Opcode::shl, max, max, 0},
        {Opcode::shr, 255, max, 1},
        {Opcode::shr, 256, max, 0},
        {Opcode::sar, 1, minus(2), max},
        {Opcode::sar, 256, min_signed, max},
        {Opcode::sar, max, 5, 0},
        {Opcode::sar, 0, min_signed, min_signed},
    };
    Machine m;
    for (const BinaryCase& c : cases) {
        SCOPED_TRACE(std::string(opcode_name(static_cast<uint8_t>(c.op))) + " " +
                     to_hex_quantity(c.a) + " " + to_hex_quantity(c.b));
        EXPECT_EQ(to_hex_quantity(m.value_of(Code().push(c.b).push(c.a).op(c.op))),
                  to_hex_quantity(c.expected));
    }
}

TEST(Arithmetic, UnaryAndTernaryInstructions) {
    Machine m;
    EXPECT_EQ(m.value_of(Code().push(0).op(Opcode::iszero)), U256{1});
    EXPECT_EQ(m.value_of(Code().push(max).op(Opcode::iszero)), U256{0});
    EXPECT_EQ(m.value_of(Code().push(0).op(Opcode::not_)), max);
    EXPECT_EQ(m.value_of(Code().push(0).op(Opcode::clz)), U256{256});
    EXPECT_EQ(m.value_of(Code().push(1).op(Opcode::clz)), U256{255});
    EXPECT_EQ(m.value_of(Code().push(min_signed).op(Opcode::clz)), U256{0});
    const auto ternary = [&](Opcode op, const U256& a, const U256& b, const U256& n) {
        return m.value_of(Code().push(n).push(b).push(a).op(op));
    };
    EXPECT_EQ(ternary(Opcode::addmod, max, 2, 10), (U256{5} + U256{2}) % U256{10})
        << "2^256 - 1 ends in 5";
    EXPECT_EQ(ternary(Opcode::addmod, max, max, max), U256{0});
    EXPECT_EQ(ternary(Opcode::addmod, 1, 2, 0), U256{0});
    EXPECT_EQ(ternary(Opcode::mulmod, max, max, 12), U256{9})
        << "15 * 15 mod 12 = 9, as 2^256 - 1 = 3 mod 12";
    EXPECT_EQ(ternary(Opcode::mulmod, max, max, 0), U256{0});
}

TEST(Arithmetic, MulmodDoesNotDependOnTheModulusBefore) {
    // An implementation may keep something of the last modulus.
    Machine m;
    uint64_t x = 1;
    const auto word = [&] {
        U256 v;
        for (uint64_t& limb : v.w) {
            limb = x = x * 6364136223846793005ull + 1442695040888963407ull;
        }
        return v;
    };
    std::vector<U256> moduli = {0,          1,
                                2,          3,
                                max,        max - U256{1},
                                min_signed, min_signed + U256{1},
                                shl(1, 64), shl(1, 192) - U256{1},
                                shl(1, 128)};
    for (int i = 0; i < 6; ++i) { moduli.push_back(word() >> (40 * static_cast<uint64_t>(i))); }
    for (const U256& before : moduli) {
        for (const U256& n : moduli) {
            const U256 a = word();
            const U256 b = word();
            const Code c = Code()
                               .push(before)
                               .push(b)
                               .push(a)
                               .op(Opcode::mulmod)
                               .op(Opcode::pop)
                               .push(n)
                               .push(b)
                               .push(a)
                               .op(Opcode::mulmod);
            ASSERT_EQ(to_hex_quantity(m.value_of(c)), to_hex_quantity(mul_mod(a, b, n)))
                << to_hex_quantity(before) << " then " << to_hex_quantity(n);
            const Code largest = Code().push(n).push(max).push(max).op(Opcode::mulmod);
            ASSERT_EQ(m.value_of(largest), mul_mod(max, max, n)) << to_hex_quantity(n);
        }
    }
}

TEST(Arithmetic, GasOfExpCountsBytesOfTheExponent) {
    const auto gas = [](Revision r, const U256& exponent) {
        Machine m(r);
        return m.run(Code().push(exponent).push(2).op(Opcode::exp)).gas_used - 6;
    };
    EXPECT_EQ(gas(Revision::frontier, 0), 10);
    EXPECT_EQ(gas(Revision::frontier, 255), 20);
    EXPECT_EQ(gas(Revision::tangerine_whistle, 256), 30);
    EXPECT_EQ(gas(Revision::spurious_dragon, 255), 60);
    EXPECT_EQ(gas(Revision::osaka, U256::max()), 10 + 32 * 50);
}

TEST(Arithmetic, InstructionsAreUndefinedBeforeTheirFork) {
    const std::vector<std::pair<uint8_t, Revision>> introduced = {
        {0x1b, Revision::constantinople}, {0x1c, Revision::constantinople},
        {0x1d, Revision::constantinople}, {0x1e, Revision::osaka},
        {0x3d, Revision::byzantium},      {0x3e, Revision::byzantium},
        {0x3f, Revision::constantinople}, {0x46, Revision::istanbul},
        {0x47, Revision::istanbul},       {0x48, Revision::london},
        {0x49, Revision::cancun},         {0x4a, Revision::cancun},
        {0x5c, Revision::cancun},         {0x5d, Revision::cancun},
        {0x5e, Revision::cancun},         {0x5f, Revision::shanghai},
        {0xf4, Revision::homestead},      {0xf5, Revision::constantinople},
        {0xfa, Revision::byzantium},      {0xfd, Revision::byzantium},
    };
    for (const auto& [opcode, since] : introduced) {
        for (int r = 0; r < revision_count; ++r) {
            const auto revision = static_cast<Revision>(r);
            Machine m(revision);
            Code code;
            code.push_all(0, 0, 0, 0, 0, 0, 0);
            const Status status = m.run(code.op(opcode)).status;
            EXPECT_EQ(status == Status::undefined_instruction, revision < since)
                << opcode_name(opcode) << " in " << to_string(revision) << ": "
                << to_string(status);
        }
    }
    Machine m;
    for (const uint8_t opcode : {0x0c, 0x1f, 0x21, 0x4b, 0xa5, 0xef, 0xf6, 0xfb, 0xfc}) {
        EXPECT_EQ(m.run(Code().op(opcode)).status, Status::undefined_instruction)
            << static_cast<int>(opcode);
    }
    const Outcome invalid = m.run(Code().op(Opcode::invalid), {.gas = 500});
    EXPECT_EQ(invalid.status, Status::invalid_instruction);
    EXPECT_EQ(invalid.gas_used, 500) << "an exceptional end takes all gas";
}

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

TEST(Flow, JumpsGoToDestinationsOnly) {
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

TEST(Flow, EnvironmentIsThatOfTheMessage) {
    Machine m;
    const Hash256 data = to_hash(U256{0x11, 0x22, 0x33, 0x44});
    const Bytes input(data.begin(), data.end());
    const auto ask = [&](Code c) {
        return m.run(c.ret_top(), {.input = input, .value = U256{5}}).word();
    };
    EXPECT_EQ(ask(Code().op(Opcode::address)), to_u256(self_address));
    EXPECT_EQ(ask(Code().op(Opcode::caller)), to_u256(sender_address));
    EXPECT_EQ(ask(Code().op(Opcode::origin)), to_u256(sender_address));
    EXPECT_EQ(ask(Code().op(Opcode::callvalue)), U256{5});
    EXPECT_EQ(ask(Code().op(Opcode::selfbalance)), U256{5});
    EXPECT_EQ(ask(Code().op(Opcode::calldatasize)), U256{32});
    EXPECT_EQ(ask(Code().push(0).op(Opcode::calldataload)), load_be(input.data()));
    EXPECT_EQ(ask(Code().push(31).op(Opcode::calldataload)), shl(0x44, 248));
    EXPECT_EQ(ask(Code().push(32).op(Opcode::calldataload)), U256{});
    EXPECT_EQ(ask(Code().push(U256::max()).op(Opcode::calldataload)), U256{});
    EXPECT_EQ(ask(Code().op(Opcode::number)), U256{1000});
    EXPECT_EQ(ask(Code().op(Opcode::timestamp)), U256{1'700'000'000});
    EXPECT_EQ(ask(Code().op(Opcode::chainid)), U256{1});
    EXPECT_EQ(ask(Code().op(Opcode::basefee)), U256{7});
    EXPECT_EQ(ask(Code().op(Opcode::gasprice)), U256{10});
    EXPECT_EQ(ask(Code().op(Opcode::gas)), U256{1'000'000 - 2});
    EXPECT_EQ(ask(Code().push(0).push(0).op(Opcode::keccak256)),
              to_u256(kernels::keccak256_of_empty));
}

}  // namespace
}  // namespace millrace::evm
