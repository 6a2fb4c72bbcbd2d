// SPDX-License-Identifier: Apache-2.0
// Owns the tests of arithmetic, comparison and bit instructions at the edges of their operands.
#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

const U256 max = U256::max();
const U256 min_signed = shl(U256{1}, 255);
const U256 max_signed = min_signed - U256{1};
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
        {Opcode::add, 0, 0, 0},
        {Opcode::add, min_signed, min_signed, 0},
        {Opcode::add, ~uint64_t{0}, 1, shl(1, 64)},
        {Opcode::add, shl(1, 128) - U256{1}, 1, shl(1, 128)},
        {Opcode::add, shl(1, 192) - U256{1}, 1, shl(1, 192)},
        {Opcode::sub, 0, 0, 0},
        {Opcode::sub, 0, max, 1},
        {Opcode::sub, min_signed, 1, max_signed},
        {Opcode::sub, shl(1, 64), 1, ~uint64_t{0}},
        {Opcode::sub, shl(1, 192), 1, shl(1, 192) - U256{1}},
        {Opcode::mul, 0, max, 0},
        {Opcode::mul, max, 2, max - U256{1}},
        {Opcode::mul, min_signed, 2, 0},
        {Opcode::mul, min_signed, 3, min_signed},
        // (2^128 - 1)^2 = 2^256 - 2^129 + 1
        {Opcode::mul, shl(1, 128) - U256{1}, shl(1, 128) - U256{1}, U256{1} - shl(1, 129)},
        {Opcode::div, 0, 0, 0},
        {Opcode::div, 0, max, 0},
        {Opcode::div, max, 1, max},
        {Opcode::div, 1, max, 0},
        {Opcode::div, max, 2, max_signed},
        {Opcode::div, max, shl(1, 128), shl(1, 128) - U256{1}},
        // 2^256 - 1 = (2^128 - 1)(2^128 + 1)
        {Opcode::div, max, shl(1, 128) + U256{1}, shl(1, 128) - U256{1}},
        {Opcode::div, min_signed, max, 0},
        {Opcode::sdiv, 0, 0, 0},
        {Opcode::sdiv, max, 0, 0},
        {Opcode::sdiv, min_signed, 1, min_signed},
        {Opcode::sdiv, min_signed, min_signed, 1},
        {Opcode::sdiv, min_signed, 2, negate(shl(1, 254))},
        {Opcode::sdiv, max_signed, max, min_signed + U256{1}},
        {Opcode::sdiv, max_signed, min_signed, 0},
        {Opcode::sdiv, 7, minus(2), minus(3)},
        {Opcode::sdiv, minus(1), 2, 0},
        {Opcode::mod, 0, 0, 0},
        {Opcode::mod, max, 0, 0},
        {Opcode::mod, max, 1, 0},
        {Opcode::mod, max, max, 0},
        {Opcode::mod, max, shl(1, 64), ~uint64_t{0}},
        {Opcode::mod, max - U256{1}, max, max - U256{1}},
        {Opcode::mod, max, shl(1, 128) + U256{1}, 0},
        {Opcode::smod, min_signed, max, 0},
        {Opcode::smod, min_signed, min_signed, 0},
        {Opcode::smod, max_signed, min_signed, max_signed},
        {Opcode::smod, min_signed, max_signed, minus(1)},
        {Opcode::smod, minus(7), minus(3), minus(1)},
        {Opcode::smod, minus(7), 0, 0},
        {Opcode::smod, minus(6), 3, 0},
        {Opcode::exp, 0, 1, 0},
        {Opcode::exp, 0, max, 0},
        {Opcode::exp, 1, max, 1},
        {Opcode::exp, max, 0, 1},
        {Opcode::exp, max, 2, 1},
        {Opcode::exp, max, max, max},
        {Opcode::exp, 2, 254, shl(1, 254)},
        {Opcode::exp, 4, 128, 0},
        {Opcode::exp, 2, shl(1, 64), 0},
        {Opcode::exp, 256, 31, shl(1, 248)},
        // 3^(2^254) = 1: the group of odd numbers modulo 2^256 has exponent 2^254.
        {Opcode::exp, 3, shl(1, 254), 1},
        {Opcode::exp, 3, shl(1, 254) + U256{1}, 3},
        {Opcode::signextend, 0, 0x7f, 0x7f},
        {Opcode::signextend, 0, 0xff, max},
        {Opcode::signextend, 0, 0x100, 0},
        {Opcode::signextend, 1, 0x80, 0x80},
        {Opcode::signextend, 1, 0x8000, minus(0x8000)},
        {Opcode::signextend, 1, 0x123456, 0x3456},
        {Opcode::signextend, 7, shl(1, 63), minus(uint64_t{1} << 63)},
        {Opcode::signextend, 8, shl(1, 63), shl(1, 63)},
        {Opcode::signextend, 8, shl(1, 71), negate(shl(1, 71))},
        {Opcode::signextend, 15, max, max},
        {Opcode::signextend, 15, shl(1, 128), 0},
        {Opcode::signextend, 30, max_signed, max},
        {Opcode::signextend, 31, max_signed, max_signed},
        {Opcode::signextend, 32, 0xff, 0xff},
        {Opcode::signextend, shl(1, 64), 0xff, 0xff},
        {Opcode::signextend, shl(1, 255), 0xff, 0xff},
        {Opcode::lt, 0, 0, 0},
        {Opcode::lt, 2, 1, 0},
        {Opcode::lt, shl(1, 64), 1, 0},
        {Opcode::lt, 1, shl(1, 192), 1},
        {Opcode::lt, min_signed, max_signed, 0},
        {Opcode::gt, 0, 0, 0},
        {Opcode::gt, 1, shl(1, 64), 0},
        {Opcode::gt, min_signed, max_signed, 1},
        {Opcode::slt, 0, max, 0},
        {Opcode::slt, 0, 0, 0},
        {Opcode::slt, min_signed, max_signed, 1},
        {Opcode::slt, max_signed, min_signed, 0},
        {Opcode::slt, minus(2), minus(1), 1},
        {Opcode::sgt, max, 0, 0},
        {Opcode::sgt, max_signed, min_signed, 1},
        {Opcode::sgt, minus(1), minus(2), 1},
        {Opcode::eq, 0, 0, 1},
        {Opcode::eq, 1, shl(1, 64) + U256{1}, 0},
        {Opcode::eq, 1, shl(1, 192) + U256{1}, 0},
        {Opcode::eq, max, max_signed, 0},
        {Opcode::and_, max, min_signed, min_signed},
        {Opcode::and_, max_signed, min_signed, 0},
        {Opcode::or_, max_signed, min_signed, max},
        {Opcode::xor_, max, max, 0},
        {Opcode::xor_, max, min_signed, max_signed},
        {Opcode::byte, 0, max_signed, 0x7f},
        {Opcode::byte, 15, shl(0xee, 128), 0xee},
        {Opcode::byte, 16, shl(0xee, 120), 0xee},
        {Opcode::byte, 31, 0x1ff, 0xff},
        {Opcode::byte, shl(1, 64), max, 0},
        {Opcode::byte, shl(1, 255), max, 0},
        {Opcode::shl, 0, max, max},
        {Opcode::shl, 1, min_signed, 0},
        {Opcode::shl, 64, 1, shl(1, 64)},
        {Opcode::shl, 255, 1, min_signed},
        {Opcode::shl, 257, 1, 0},
        {Opcode::shl, shl(1, 64), 1, 0},
        {Opcode::shl, shl(1, 64) + U256{1}, 1, 0},
        {Opcode::shr, 0, max, max},
        {Opcode::shr, 1, min_signed, shl(1, 254)},
        {Opcode::shr, 1, 1, 0},
        {Opcode::shr, 192, max, ~uint64_t{0}},
        {Opcode::shr, 255, max_signed, 0},
        {Opcode::shr, shl(1, 64), max, 0},
        {Opcode::shr, max, max, 0},
        {Opcode::sar, 0, max, max},
        {Opcode::sar, 1, min_signed, min_signed + shl(1, 254)},
        {Opcode::sar, 254, min_signed, minus(2)},
        {Opcode::sar, 255, min_signed, max},
        {Opcode::sar, 255, max_signed, 0},
        {Opcode::sar, 254, max_signed, 1},
        {Opcode::sar, 256, max_signed, 0},
        {Opcode::sar, 257, max, max},
        {Opcode::sar, shl(1, 64), min_signed, max},
        {Opcode::sar, shl(1, 64), max_signed, 0},
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

TEST(Arithmetic, ModuloOfSumsAndProductsBeyond256Bits) {
    Machine m;
    const auto addmod = [&](const U256& a, const U256& b, const U256& n) {
        return to_hex_quantity(m.value_of(Code().push(n).push(b).push(a).op(Opcode::addmod)));
    };
    const auto mulmod = [&](const U256& a, const U256& b, const U256& n) {
        return to_hex_quantity(m.value_of(Code().push(n).push(b).push(a).op(Opcode::mulmod)));
    };
    const auto hex = [](const U256& v) { return to_hex_quantity(v); };
    for (const U256& n : {U256{0}, U256{1}}) {
        EXPECT_EQ(addmod(max, max, n), hex(0));
        EXPECT_EQ(addmod(0, 0, n), hex(0));
        EXPECT_EQ(mulmod(max, max, n), hex(0));
        EXPECT_EQ(mulmod(0, max, n), hex(0));
    }
    // The sum has 257 bits: max + max = 2^257 - 2.
    EXPECT_EQ(addmod(max, max, min_signed), hex(min_signed - U256{2}));
    EXPECT_EQ(addmod(max, max, max - U256{1}), hex(2)) << "2^257 - 2 = 2 (2^256 - 2) + 2";
    EXPECT_EQ(addmod(max, 1, max), hex(1));
    EXPECT_EQ(addmod(max, max, 3), hex(0)) << "3 divides 2^256 - 1";
    EXPECT_EQ(addmod(min_signed, min_signed, max), hex(1)) << "2^256 = 1 modulo 2^256 - 1";
    EXPECT_EQ(addmod(min_signed, min_signed, 7), hex(2)) << "2^256 = 2^(3 * 85 + 1) = 2 modulo 7";
    EXPECT_EQ(addmod(max, 0, 7), hex(1));
    EXPECT_EQ(addmod(5, 6, max), hex(11));
    // The product has 512 bits: max * max = 2^512 - 2^257 + 1.
    EXPECT_EQ(mulmod(max, max, max), hex(0));
    EXPECT_EQ(mulmod(max, max, max - U256{1}), hex(1)) << "max = 1 modulo max - 1";
    EXPECT_EQ(mulmod(max, max, min_signed), hex(1));
    EXPECT_EQ(mulmod(min_signed, 2, max), hex(1));
    EXPECT_EQ(mulmod(min_signed, min_signed, max), hex(shl(1, 254))) << "2^510 = 2^(256 + 254)";
    EXPECT_EQ(mulmod(max, max, 7), hex(1)) << "(2 - 1)^2";
    EXPECT_EQ(mulmod(shl(1, 128), shl(1, 128), shl(1, 64) + U256{1}), hex(1))
        << "2^64 = -1, so 2^256 = 1";
    EXPECT_EQ(mulmod(max - U256{1}, max - U256{1}, max), hex(1)) << "(-1)^2";
    EXPECT_EQ(mulmod(max - U256{1}, 3, max), hex(max - U256{3})) << "-3";
    EXPECT_EQ(mulmod(shl(1, 255), shl(1, 255), shl(1, 255) + U256{1}), hex(1)) << "(-1)^2";
}

TEST(Arithmetic, ClzCountsFromTheTop) {
    // EIP-7939, with the examples of its text.
    Machine m;
    const auto clz = [&](const U256& v) { return m.value_of(Code().push(v).op(Opcode::clz)); };
    EXPECT_EQ(clz(0), U256{256});
    EXPECT_EQ(clz(max), U256{0});
    EXPECT_EQ(clz(shl(1, 254)), U256{1});
    EXPECT_EQ(clz(max_signed), U256{1});
    EXPECT_EQ(clz(1), U256{255});
    for (uint64_t bit = 0; bit < 256; ++bit) {
        EXPECT_EQ(clz(shl(1, bit)), U256{255 - bit});
        EXPECT_EQ(clz(shl(1, bit) | U256{1}), U256{255 - bit}) << "lower bits do not count";
    }
}

TEST(Arithmetic, ByteAndShiftsAtEveryPosition) {
    // 0x00 0x01 ... 0x1f from the highest byte down.
    U256 counting;
    for (uint64_t i = 0; i < 32; ++i) { counting = counting << 8 | U256{i}; }
    Machine m;
    for (uint64_t i = 0; i < 32; ++i) {
        EXPECT_EQ(m.value_of(Code().push(counting).push(i).op(Opcode::byte)), U256{i});
    }
    for (uint64_t i = 0; i < 256; ++i) {
        // 2^i by multiplication, apart from the shifts of the word type.
        U256 power{1};
        for (uint64_t k = 0; k < i; ++k) { power = power + power; }
        EXPECT_EQ(m.value_of(Code().push_all(1, i).op(Opcode::shl)), power);
        EXPECT_EQ(m.value_of(Code().push(power).push(i).op(Opcode::shr)), U256{1});
        EXPECT_EQ(m.value_of(Code().push(min_signed).push(i).op(Opcode::sar)),
                  negate(min_signed / power))
            << "-2^255 / 2^i";
    }
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

}  // namespace
}  // namespace millrace::evm
