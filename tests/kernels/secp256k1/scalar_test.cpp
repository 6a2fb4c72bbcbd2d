// SPDX-License-Identifier: Apache-2.0
// Owns the tests of scalar arithmetic: both moduli, inversion, the endomorphism's split, recoding,
// and the tables of the generator.
#include "kernels/secp256k1/detail/scalar.hpp"

#include <gtest/gtest.h>

#include <random>
#include <string>
#include <vector>

#include "host/base/hex.hpp"
#include "kernels/secp256k1/detail/field_words.hpp"
#include "kernels/secp256k1/detail/generator_tables.hpp"

namespace millrace::kernels::detail {
namespace {

const U256 n = secp256k1_order;
const U256 p = secp256k1_field_prime;
const U256 lambda =
    u256_from_hex("0x5363ad4cc05c30e0a5261c028812645a122e22ea20816678df02967c1b23bd72").value();

U256 random_word(std::mt19937_64& random) { return {random(), random(), random(), random()}; }

/// Numbers around zero, both moduli, 2^256, and every power of two, and random ones.
std::vector<U256> interesting(std::mt19937_64& random, size_t random_count) {
    std::vector<U256> out;
    for (uint64_t i = 0; i < 4; ++i) {
        for (const U256& base : {U256{}, n, p, shr(n, 1), lambda, n - lambda}) {
            out.push_back(base + U256{i});
            out.push_back(base - U256{i});
        }
    }
    for (unsigned i = 0; i < 256; ++i) {
        out.push_back(shl(U256{1}, i));
        out.push_back(shl(U256{1}, i) - U256{1});
        out.push_back(U256{} - shl(U256{1}, i));
    }
    for (size_t i = 0; i < random_count; ++i) {
        // Some with long runs of equal bits.
        U256 v = random_word(random);
        if (i % 3 == 0) { v = v & shr(U256::max(), random() % 256); }
        if (i % 5 == 0) { v = v | shl(U256::max(), random() % 256); }
        out.push_back(v);
    }
    return out;
}

TEST(ModularProduct, AgreesWithTheGeneralOne) {
    std::mt19937_64 random(20260301);
    const std::vector<U256> numbers = interesting(random, 400);
    for (size_t i = 0; i < numbers.size(); ++i) {
        for (size_t j = 0; j < 60; ++j) {
            const U256& a = numbers[i];
            const U256& b = numbers[(i * 7 + j * j * 31) % numbers.size()];
            ASSERT_EQ(mul_mod(a, b, n), mul_mod_order(a, b))
                << to_hex_quantity(a) << " * " << to_hex_quantity(b);
            ASSERT_EQ(mul_mod(a, b, p), mul_mod_field(a, b))
                << to_hex_quantity(a) << " * " << to_hex_quantity(b);
        }
    }
    ASSERT_EQ(mul_mod(U256::max(), U256::max(), n), mul_mod_order(U256::max(), U256::max()));
    ASSERT_EQ(mul_mod(U256::max(), U256::max(), p), mul_mod_field(U256::max(), U256::max()));
}

TEST(ModularInverse, TimesTheNumberIsOne) {
    std::mt19937_64 random(20260302);
    for (const U256& v : interesting(random, 4000)) {
        const U256 a = v % n;
        ASSERT_EQ(a.is_zero() ? U256{} : U256{1}, mul_mod(a, inverse_mod_order(a), n))
            << to_hex_quantity(a);
        ASSERT_LT(inverse_mod_order(a), n);
        const U256 b = v % p;
        ASSERT_EQ(b.is_zero() ? U256{} : U256{1}, mul_mod(b, inverse_mod_field(b), p))
            << to_hex_quantity(b);
        ASSERT_LT(inverse_mod_field(b), p);
    }
}

void expect_field_words_agree(const U256& a, const U256& b) {
    const FieldWords x = FieldWords::of(a);
    const FieldWords y = FieldWords::of(b);
    const std::string what = to_hex_quantity(a) + " and " + to_hex_quantity(b);
    ASSERT_EQ(mul_mod(a, b, p), (x * y).canonical()) << what;
    ASSERT_EQ(mul_mod(a, a, p), square(x).canonical()) << what;
    ASSERT_EQ(add_mod(a, b, p), (x + y).canonical()) << what;
    ASSERT_EQ(add_mod(a, p - b % p, p), (x - y).canonical()) << what;
    ASSERT_EQ(a % p, add_mod(half(x).canonical(), half(x).canonical(), p)) << what;
    ASSERT_EQ((a % p).is_zero(), x.is_zero()) << what;
}

TEST(FieldWords, AgreeWithTheGeneralArithmetic) {
    std::mt19937_64 random(20260306);
    const std::vector<U256> numbers = interesting(random, 400);
    for (size_t i = 0; i < numbers.size(); ++i) {
        for (size_t j = 0; j < 60; ++j) {
            expect_field_words_agree(numbers[i], numbers[(i * 7 + j * j * 31) % numbers.size()]);
            if (HasFatalFailure()) { return; }
        }
    }
    for (uint64_t i = 0; i < 40; ++i) {
        for (uint64_t j = 0; j < 40; ++j) {
            expect_field_words_agree(U256::max() - U256{i}, U256::max() - U256{j});
            expect_field_words_agree(U256{i}, p + U256{j});
            if (HasFatalFailure()) { return; }
        }
    }
}

TEST(FieldWords, CarryTheFoldThatOverflowsTwice) {
    // Found by solving for it: the reduced product is 2^256 + w with w in [2^64 - fold, 2^64), so
    // the last fold carries into the second word.
    const U256 factor =
        u256_from_hex("0xfffff85f001d15cf911cd8a6c206043c490fda29739041f76a0480bbced533fc").value();
    expect_field_words_agree(factor, U256::max());
}

/// The sign and absolute value of a half.
struct Signed {
    bool negative;
    U256 magnitude;
};
Signed to_signed(const Half& h) {
    const bool negative = h.w[2] >> 63 != 0;
    const U256 v{negative ? ~0ull : 0, h.w[2], h.w[1], h.w[0]};
    return {negative, negative ? U256{} - v : v};
}
U256 modulo_n(const Signed& s) { return s.negative ? n - s.magnitude : s.magnitude; }

TEST(SplitScalar, PartsAreOddShortAndSumUp) {
    std::mt19937_64 random(20260303);
    const U256 bound = shl(U256{1}, 129);
    for (const U256& v : interesting(random, 20000)) {
        const U256 k = v % n;
        const SplitScalar s = split_scalar(k);
        const Signed first = to_signed(s.first);
        const Signed second = to_signed(s.second);
        ASSERT_EQ(1u, first.magnitude.w[0] & 1) << to_hex_quantity(k);
        ASSERT_EQ(1u, second.magnitude.w[0] & 1) << to_hex_quantity(k);
        ASSERT_LT(first.magnitude, bound) << to_hex_quantity(k);
        ASSERT_LT(second.magnitude, bound) << to_hex_quantity(k);
        ASSERT_EQ(k, add_mod(modulo_n(first), mul_mod(modulo_n(second), lambda, n), n))
            << to_hex_quantity(k);
    }
}

TEST(SplitScalar, RecodesToTheSameNumber) {
    std::mt19937_64 random(20260304);
    for (const U256& v : interesting(random, 5000)) {
        const U256 k = v % n;
        const SplitScalar s = split_scalar(k);
        for (const Half& half : {s.first, s.second}) {
            uint64_t words[3];
            recode_half(half, words);
            U256 sum{};  // modulo n
            for (size_t i = point_windows; i-- > 0;) {
                const uint64_t word = words[i / point_windows_per_word];
                const uint64_t window =
                    word >> (point_window_bits * (i % point_windows_per_word)) & 31;
                sum = mul_mod(sum, 32, n);
                sum = add_mod(sum, n + U256{2 * window} - U256{31}, n);
            }
            ASSERT_EQ(modulo_n(to_signed(half)), sum) << to_hex_quantity(k);
            for (size_t w = 0; w < 2; ++w) { ASSERT_LT(words[w], uint64_t{1} << 60); }
            ASSERT_LT(words[2], uint64_t{1} << 10);
        }
    }
}

TEST(RecodeScalar, StandsForTheSameNumber) {
    std::mt19937_64 random(20260305);
    for (const U256& v : interesting(random, 5000)) {
        const U256 k = v % n;
        uint64_t words[5];
        recode_scalar(k, words);
        U256 sum{};
        for (size_t i = generator_windows; i-- > 0;) {
            const uint64_t word = words[i / generator_windows_per_word];
            const uint64_t window =
                word >> (generator_window_bits * (i % generator_windows_per_word)) & 8191;
            sum = mul_mod(sum, 8192, n);
            sum = add_mod(sum, n + U256{2 * window} - U256{8191}, n);
        }
        ASSERT_EQ(k, sum);
        for (const uint64_t word : words) { ASSERT_LT(word, uint64_t{1} << 52); }
    }
}

PublicKey key_of(const AffinePoint& point) {
    PublicKey out;
    store_be(U256{point.x[3], point.x[2], point.x[1], point.x[0]}, out.data());
    store_be(U256{point.y[3], point.y[2], point.y[1], point.y[0]}, out.data() + 32);
    return out;
}

TEST(GeneratorTables, HoldTheOddMultiplesOfBothBases) {
    const GeneratorTables& tables = generator_tables();
    const U256 high = shl(U256{1}, 130);
    for (size_t i = 0; i < generator_table_entries; ++i) {
        const U256 multiple{2 * i + 1};
        ASSERT_EQ(public_key_of_secret_key(to_hash(multiple)), key_of(tables.low[i])) << i;
        ASSERT_EQ(public_key_of_secret_key(to_hash(mul_mod(multiple, high, n))),
                  key_of(tables.high[i]))
            << i;
    }
}

}  // namespace
}  // namespace millrace::kernels::detail
