// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the precompile MODEXP: the power, the three price formulas, the limits.
#include "tests/evm/precompiles/calling.hpp"

namespace millrace::evm {
namespace {

using namespace test;

constexpr unsigned modexp = 5;

Bytes with_lengths(const U256& base_length, const U256& exponent_length, const U256& modulus_length,
                   const Bytes& rest = {}) {
    return join(word(base_length), word(exponent_length), word(modulus_length), rest);
}

Bytes input_of(const Bytes& base, const Bytes& exponent, const Bytes& modulus) {
    return with_lengths(U256{base.size()}, U256{exponent.size()}, U256{modulus.size()},
                        join(base, exponent, modulus));
}

/// Square and multiply over the node's own 256-bit arithmetic, which shares nothing with GMP.
U256 reference_power(U256 base, const U256& exponent, const U256& modulus) {
    U256 r = U256{1} % modulus;
    for (unsigned bit = 0; bit < bit_length(exponent); ++bit) {
        if (((exponent.w[bit / 64] >> (bit % 64)) & 1) != 0) { r = mul_mod(r, base, modulus); }
        base = mul_mod(base, base, modulus);
    }
    return r;
}

TEST(Modexp, AnswersTheExamplesOfEip198) {
    const Bytes p = bytes("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f");
    const Bytes p_minus_1 =
        bytes("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2e");
    expect_result(modexp, input_of({3}, p_minus_1, p), word(U256{1}), 13056, Revision::byzantium);
    expect_result(modexp, input_of({3}, p_minus_1, p), word(U256{1}), 1360, Revision::berlin);
    expect_result(modexp, input_of({3}, p_minus_1, p), word(U256{1}), 4080, Revision::osaka);
    expect_result(modexp, input_of({}, p_minus_1, p), word(U256{}), 13056, Revision::byzantium);
    // What follows the modulus does not count; what is missing of it is zeros.
    const Bytes expected =
        bytes("3b01b01ac41f2d6e917c6d6a221ce793802469026d9ab7578fa2e79e4da6aaab");
    const Bytes head = bytes("03ffff8000000000000000000000000000000000000000000000000000000000"
                             "00000007");
    expect_result(modexp, with_lengths(U256{1}, U256{2}, U256{32}, head), expected, 768,
                  Revision::byzantium);
    expect_result(modexp, with_lengths(U256{1}, U256{2}, U256{32}, bytes("03ffff80")), expected,
                  768, Revision::byzantium);
    // An exponent of 2^256 - 1 bytes cannot be paid for.
    expect_failure(modexp, with_lengths(U256{}, U256::max(), U256::max()), Revision::byzantium);
}

TEST(Modexp, AgreesWithReferenceArithmetic) {
    Random random(198);
    SCOPED_TRACE(random.text());
    for (int i = 0; i < 500; ++i) {
        const U256 base = random.edgy_u256();
        const U256 exponent = random.edgy_u256();
        const U256 modulus = random.edgy_u256();
        const PrecompileOutcome outcome =
            call(modexp, input_of(word(base), word(exponent), word(modulus)));
        ASSERT_TRUE(outcome.success);
        const U256 expected = modulus.is_zero() ? U256{} : reference_power(base, exponent, modulus);
        ASSERT_EQ(to_hex(word(expected)), to_hex(outcome.output))
            << to_hex(word(base)) << ' ' << to_hex(word(exponent)) << ' ' << to_hex(word(modulus));
    }
}

TEST(Modexp, AgreesWithReferenceArithmeticOnBytes) {
    for (unsigned base = 0; base < 12; ++base) {
        for (unsigned exponent = 0; exponent < 12; ++exponent) {
            for (unsigned modulus = 0; modulus < 20; ++modulus) {
                unsigned expected = modulus == 0 ? 0 : 1 % modulus;
                for (unsigned i = 0; i < exponent && modulus != 0; ++i) {
                    expected = expected * base % modulus;
                }
                const PrecompileOutcome outcome = call(
                    modexp, input_of({static_cast<uint8_t>(base)}, {static_cast<uint8_t>(exponent)},
                                     {static_cast<uint8_t>(modulus)}));
                ASSERT_EQ(Bytes{static_cast<uint8_t>(expected)}, outcome.output)
                    << base << '^' << exponent << " mod " << modulus;
            }
        }
    }
}

TEST(Modexp, MultipliesExponentsOfAnyLength) {
    // (b^e)^f = b^(e f) for a modulus of 1,000 bytes; the product of exponents is made by hand.
    Random random(2565);
    SCOPED_TRACE(random.text());
    const Bytes base = random.bytes(700);
    Bytes modulus = random.bytes(1000);
    const Bytes e = random.bytes(333);
    const uint64_t f = random.below(256);
    Bytes ef(e.size() + 1);
    uint64_t carry = 0;
    for (size_t i = e.size(); i-- > 0;) {
        carry += e[i] * f;
        ef[i + 1] = static_cast<uint8_t>(carry);
        carry >>= 8;
    }
    ef[0] = static_cast<uint8_t>(carry);
    for (const uint8_t last : {0, 1}) {
        modulus.back() = last;
        const Bytes once = call(modexp, input_of(base, e, modulus)).output;
        const Bytes twice = call(modexp, input_of(once, {static_cast<uint8_t>(f)}, modulus)).output;
        const Bytes direct = call(modexp, input_of(base, ef, modulus)).output;
        EXPECT_EQ(1000u, direct.size());
        EXPECT_EQ(to_hex(direct), to_hex(twice));
    }
}

TEST(Modexp, ChargesByEveryFormula) {
    struct Case {
        size_t base;
        Bytes exponent;
        size_t modulus;
        uint64_t byzantium;
        uint64_t berlin;
        uint64_t osaka;
    };
    // Each figure worked out from the text of EIP-198, EIP-2565 and EIP-7883.
    const Case cases[] = {
        {0, {}, 0, 0, 200, 500},
        {1, {0}, 1, 0, 200, 500},
        {32, {1}, 32, 51, 200, 500},
        {33, {1}, 1, 54, 200, 500},
        // 64 bytes: 64^2 against 8^2; exponent of bit length 256.
        {64, Bytes(32, 0xff), 64, 64 * 64 * 255 / 20, 64 * 255 / 3, 2 * 64 * 255},
        {1, Bytes(32, 0xff), 65, (65 * 65 / 4 + 96 * 65 - 3072) * 255 / 20, 81 * 255 / 3,
         2 * 81 * 255},
        {1024, {3}, 8, (1024 * 1024 / 4 + 96 * 1024 - 3072) / 20, 128 * 128 / 3, 2 * 128 * 128},
        // 40 bytes of exponent, the first 32 of them zero: 8 bytes count 8 or 16 each.
        {32, join(Bytes(32), Bytes(8, 0xff)), 32, 1024 * 64 / 20, 16 * 64 / 3, 16 * 128},
        {32, join(Bytes(31), Bytes{0x80}, Bytes(8)), 32, 1024 * (64 + 7) / 20, 16 * (64 + 7) / 3,
         16 * (128 + 7)},
        {32, join(Bytes{0x80}, Bytes(39)), 32, 1024 * (64 + 255) / 20, 16 * (64 + 255) / 3,
         16 * (128 + 255)},
    };
    for (const Case& c : cases) {
        const Bytes input = input_of(Bytes(c.base, 2), c.exponent, Bytes(c.modulus, 3));
        const auto expect_price = [&input](uint64_t price, Revision revision) {
            const PrecompileOutcome outcome = call(modexp, input, revision);
            ASSERT_TRUE(outcome.success);
            expect_result(modexp, input, outcome.output, price, revision);
        };
        SCOPED_TRACE("case " + std::to_string(&c - cases));
        expect_price(c.byzantium, Revision::byzantium);
        expect_price(c.byzantium, Revision::istanbul);
        expect_price(c.berlin, Revision::berlin);
        expect_price(c.berlin, Revision::prague);
        expect_price(c.osaka, Revision::osaka);
    }
}

TEST(Modexp, ChargesLongOperandsBeforeOsaka) {
    // EIP-198's third piece: x^2 / 16 + 480 x - 199680.
    const Bytes input = input_of(Bytes(2000, 1), {1}, Bytes(5, 1));
    EXPECT_EQ((2000ull * 2000 / 16 + 480 * 2000 - 199680) / 20,
              call(modexp, input, Revision::byzantium).gas_used);
    EXPECT_EQ(250ull * 250 / 3, call(modexp, input, Revision::berlin).gas_used);
}

TEST(Modexp, EmptyOperandsGiveEmptyOutputWhateverTheExponentsLength) {
    for (const U256& length : {U256{}, U256{1000}, shl(U256{1}, 64), U256::max()}) {
        expect_result(modexp, with_lengths(U256{}, length, U256{}), {}, 0, Revision::byzantium);
        expect_result(modexp, with_lengths(U256{}, length, U256{}), {}, 200, Revision::berlin);
    }
    expect_result(modexp, {}, {}, 0, Revision::byzantium);
    expect_result(modexp, {}, {}, 500, Revision::osaka);
    // Osaka prices the exponent even when there is nothing to compute.
    expect_result(modexp, with_lengths(U256{}, U256{1024}, U256{}), {}, 16 * 16 * (1024 - 32));
}

TEST(Modexp, PricesTheHeadOfTheExponentAsTheInputShowsIt) {
    // Only the first byte of a 64-byte exponent is there: the zeros after it count as its head.
    const Bytes cut = join(with_lengths(U256{}, U256{64}, U256{20}), Bytes{0x80});
    expect_result(modexp, cut, Bytes(20), 16 * (255 + 16 * 32));
    expect_result(modexp, cut, Bytes(20), 3 * 3 * (255 + 8 * 32) / 3, Revision::berlin);
    // 33 bytes of which only the last is set: an empty head, and one byte beyond it.
    const Bytes tail = input_of({2}, join(Bytes(32), Bytes{5}), Bytes{0xff});
    expect_result(modexp, tail, Bytes{32}, 500);
    const Bytes long_tail = input_of({2}, join(Bytes(32), Bytes(4), Bytes{5}), Bytes{0xff});
    expect_result(modexp, long_tail, Bytes{32}, 16 * 16 * 5);
    // Nothing of exponent and modulus is there, and the lengths themselves may be cut.
    expect_result(modexp, with_lengths(U256{}, U256{32}, U256{3}), Bytes(3), 500);
    const Bytes lengths = with_lengths(U256{}, U256{}, shl(U256{1}, 8));
    expect_result(modexp, Bytes(lengths.begin(), lengths.end() - 1), Bytes(256), 2 * 32 * 32);
    expect_result(modexp, Bytes(lengths.begin(), lengths.begin() + 64), {}, 500);
}

TEST(Modexp, HugeLengthsFailAtOnce) {
    for (const Revision revision : {Revision::byzantium, Revision::berlin, Revision::osaka}) {
        for (const U256& huge : {shl(U256{1}, 32), shl(U256{1}, 63), shl(U256{1}, 64),
                                 shl(U256{1}, 64) + U256{1}, U256::max()}) {
            expect_failure(modexp, with_lengths(huge, U256{1}, U256{1}), revision);
            expect_failure(modexp, with_lengths(U256{1}, U256{1}, huge), revision);
            if (huge >= shl(U256{1}, 63)) {
                expect_failure(modexp, with_lengths(U256{1}, huge, U256{1}), revision);
            }
        }
    }
}

TEST(Modexp, OperandsEndAt1024BytesFromOsakaOn) {
    const auto input = [](uint64_t base, uint64_t exponent, uint64_t modulus) {
        return input_of(Bytes(base, 1), Bytes(exponent), Bytes(modulus, 7));
    };
    EXPECT_TRUE(call(modexp, input(1024, 1024, 1024)).success);
    expect_failure(modexp, input(1025, 1, 1));
    expect_failure(modexp, input(1, 1025, 1));
    expect_failure(modexp, input(1, 1, 1025));
    expect_failure(modexp, input(0, 1025, 0));
    EXPECT_TRUE(call(modexp, input(1025, 1, 1), Revision::prague).success);
    EXPECT_TRUE(call(modexp, input(1, 1, 1025), Revision::prague).success);
}

TEST(Modexp, ZeroAndOneModuliGiveZeros) {
    for (const uint8_t modulus : {0, 1}) {
        Bytes m(40);
        m.back() = modulus;
        EXPECT_EQ(Bytes(40), call(modexp, input_of({5}, {0}, m)).output);
        EXPECT_EQ(Bytes(40), call(modexp, input_of({5}, {3}, m)).output);
    }
    // Nothing to the power of nothing is one.
    EXPECT_EQ(Bytes{1}, call(modexp, input_of({0}, {0}, {9})).output);
    EXPECT_EQ(Bytes{1}, call(modexp, input_of({}, {}, {9})).output);
}

}  // namespace
}  // namespace millrace::evm
