// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the GPU's limb arithmetic, run through emulated carry chains, against big
// integers.
#include <gtest/gtest.h>

#include <algorithm>
#include <iterator>
#include <random>
#include <vector>

#include "host/base/hex.hpp"
#include "kernels/secp256k1/detail/gpu/generator_table.hpp"
#include "kernels/secp256k1/recover.hpp"
#include "tests/kernels/secp256k1/reference_recover.hpp"

namespace millrace::kernels::gpu {
namespace {

using test::field_prime;
using test::inverse;

U256 number(const uint32_t* limbs) {
    U256 r;
    std::memcpy(r.w, limbs, sizeof r.w);
    return r;
}
template <class Number>
Number limbs(const U256& v) {
    Number r;
    std::memcpy(r.v, v.w, sizeof r.v);
    return r;
}
Field field(const U256& v) { return limbs<Field>(v); }
U256 residue(const Field& a) { return number(a.v) % field_prime; }

U256 add_p(const U256& a, const U256& b) { return add_mod(a, b, field_prime); }
U256 mul_p(const U256& a, const U256& b) { return mul_mod(a, b, field_prime); }
U256 negate_p(const U256& a) { return field_prime - a % field_prime; }

/// Numbers of limbs that carry, borrow and wrap, the neighbours of 0, p, n and 2^256, and random
/// ones.
class Numbers {
public:
    explicit Numbers(uint64_t seed) : random_(seed) {
        for (const U256& base : {U256{}, field_prime, secp256k1_order, U256{1} << 32, U256{1} << 64,
                                 U256{1} << 128, U256{1} << 255, U256{977}, U256{0x1000003d1}}) {
            for (uint64_t step = 0; step < 4; ++step) {
                edges_.push_back(base + U256{step});
                edges_.push_back(base - U256{step});
            }
        }
    }
    U256 any() {
        switch (random_() % 4) {
            case 0: return edges_[random_() % edges_.size()];
            case 1: return of_edge_limbs();
            case 2: return U256::max() - U256{random_() % 0x3'0000'0000};
            default: return {random_(), random_(), random_(), random_()};
        }
    }
    U256 of_edge_limbs() {
        constexpr uint32_t values[] = {0,          1,          2,          976,       977,
                                       0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
        uint32_t v[8];
        for (uint32_t& limb : v) { limb = values[random_() % std::size(values)]; }
        return number(v);
    }
    const std::vector<U256>& edges() const { return edges_; }
    std::mt19937_64& random() { return random_; }

private:
    std::mt19937_64 random_;
    std::vector<U256> edges_;
};

constexpr int rounds = 20'000;

TEST(CarryChain, OperationsAreThoseOfTheInstructionSet) {
    std::mt19937_64 random(1);
    constexpr uint32_t values[] = {0, 1, 2, 0x7fffffff, 0x80000000, 0xfffffffe, 0xffffffff};
    const auto any = [&] {
        return random() % 2 != 0 ? values[random() % std::size(values)]
                                 : static_cast<uint32_t>(random());
    };
    for (int i = 0; i < 100'000; ++i) {
        const uint32_t a = any();
        const uint32_t b = any();
        const uint32_t c = any();
        const uint64_t product = uint64_t{a} * b;
        for (uint64_t flag = 0; flag < 2; ++flag) {
            const auto set = [flag] { (void)add_cc(static_cast<uint32_t>(0 - flag), 1); };
            const auto expect = [](uint64_t sum, uint32_t got, const char* name) {
                EXPECT_EQ(static_cast<uint32_t>(sum), got) << name;
                EXPECT_EQ(static_cast<uint32_t>(sum >> 32) & 1, carry_out()) << name;
            };
            set();
            expect(uint64_t{a} + b, add_cc(a, b), "add.cc");
            set();
            expect(uint64_t{a} + b + flag, addc_cc(a, b), "addc.cc");
            set();
            expect(uint64_t{a} - b, sub_cc(a, b), "sub.cc");
            set();
            expect(uint64_t{a} - b - flag, subc_cc(a, b), "subc.cc");
            set();
            expect((product & 0xffffffff) + c, mad_lo_cc(a, b, c), "mad.lo.cc");
            set();
            expect((product & 0xffffffff) + c + flag, madc_lo_cc(a, b, c), "madc.lo.cc");
            set();
            expect((product >> 32) + c + flag, madc_hi_cc(a, b, c), "madc.hi.cc");
            // These leave the flag as it is.
            set();
            EXPECT_EQ(static_cast<uint32_t>(a + b + flag), addc(a, b));
            EXPECT_EQ(static_cast<uint32_t>(a - b - flag), subc(a, b));
            EXPECT_EQ(static_cast<uint32_t>((product >> 32) + c + flag), madc_hi(a, b, c));
            EXPECT_EQ(flag, carry_out());
            EXPECT_EQ(flag != 0 ? ~0u : 0u, borrow_mask());
        }
    }
}

TEST(WideProduct, EqualsTheBigIntegerProduct) {
    Numbers numbers(2);
    for (int i = 0; i < rounds; ++i) {
        const U256 a = numbers.any();
        const U256 b = numbers.any();
        uint32_t t[16];
        U256 high;
        mul_8x8(field(a).v, field(b).v, t);
        const U256 low = mul_full(a, b, high);
        ASSERT_EQ(low, number(t)) << to_hex_quantity(a) << " * " << to_hex_quantity(b);
        ASSERT_EQ(high, number(t + 8)) << to_hex_quantity(a) << " * " << to_hex_quantity(b);
        sqr_8(field(a).v, t);
        const U256 square = mul_full(a, a, high);
        ASSERT_EQ(square, number(t)) << to_hex_quantity(a);
        ASSERT_EQ(high, number(t + 8)) << to_hex_quantity(a);
    }
}

void expect_field_operations(const U256& a, const U256& b, const U256& c) {
    const std::string about =
        to_hex_quantity(a) + ", " + to_hex_quantity(b) + " and " + to_hex_quantity(c);
    const Field fa = field(a);
    const Field fb = field(b);
    const Field fc = field(c);
    ASSERT_EQ(add_p(a, b), residue(add(fa, fb))) << about;
    ASSERT_EQ(add_p(a, negate_p(b)), residue(sub(fa, fb))) << about;
    ASSERT_EQ(add_p(a, negate_p(add_p(b, b))), residue(sub_twice(fa, fb))) << about;
    ASSERT_EQ(add_p(a, negate_p(add_p(b, add_p(c, c)))), residue(sub_and_twice(fa, fb, fc)))
        << about;
    ASSERT_EQ(add_p(mul_p(a, b), negate_p(mul_p(c, b))), residue(mul_minus_mul(fa, fb, fc, fb)))
        << about;
    ASSERT_EQ(add_p(mul_p(a, b), negate_p(mul_p(c, a))), residue(mul_minus_mul(fa, fb, fc, fa)))
        << about;
    ASSERT_EQ(add_p(mul_p(a, b), negate_p(mul_p(c, c))), residue(mul_minus_sqr(fa, fb, fc)))
        << about;
    ASSERT_EQ(mul_p(a, b), residue(mul(fa, fb))) << about;
    ASSERT_EQ(mul_p(a, a), residue(sqr(fa))) << about;
    ASSERT_EQ(negate_p(a) % field_prime, residue(negate(fa))) << about;
    const U256 half = (field_prime + U256{1}) >> 1;
    ASSERT_EQ(mul_p(mul_p(a, U256{3}), half), residue(three_halves(fa))) << about;
    ASSERT_EQ(a % field_prime, number(normalized(fa).v)) << about;
    ASSERT_EQ((a % field_prime).is_zero(), is_zero(fa)) << about;
    ASSERT_EQ(a % field_prime == b % field_prime, equal(fa, fb)) << about;
    ASSERT_EQ(a, number(negate_if(false, fa).v)) << about;
    ASSERT_EQ(negate_p(a) % field_prime, residue(negate_if(true, fa))) << about;
}

TEST(GpuField, OperationsAgreeOnEveryPairOfEdges) {
    Numbers numbers(3);
    for (const U256& a : numbers.edges()) {
        for (const U256& b : numbers.edges()) {
            expect_field_operations(a, b, U256::max());
            expect_field_operations(a, b, numbers.any());
        }
    }
}

TEST(GpuField, OperationsAgreeOnRandomNumbersAndEdgeLimbs) {
    Numbers numbers(4);
    for (int i = 0; i < rounds; ++i) {
        expect_field_operations(numbers.any(), numbers.any(), numbers.any());
    }
}

TEST(GpuField, ReductionAgreesWhereEachOfItsCarriesIsSet) {
    Numbers numbers(5);
    const U256 fold = U256{0x1000003d1};
    const auto expect = [&](const U256& high, const U256& low) {
        uint32_t t[16];
        std::memcpy(t, low.w, sizeof low.w);
        std::memcpy(t + 8, high.w, sizeof high.w);
        ASSERT_EQ(add_p(mul_p(high, fold), low), residue(reduce(t)))
            << to_hex_quantity(high) << " " << to_hex_quantity(low);
    };
    for (int i = 0; i < rounds; ++i) {
        const U256 high = numbers.any();
        expect(high, numbers.any());
        // The low limbs after the first fold are all ones less a little: the second fold carries.
        U256 top;
        const U256 folded = mul_full(high, fold, top);
        expect(high, U256::max() - folded - U256{numbers.random()() % 0x2'0000'0000});
        expect(high, U256::max() - folded - (top * fold) + U256{numbers.random()() % 3});
        // The highest limb of the odd products becomes all ones and takes a carry of the merge.
        const U256 below = numbers.any() >> 64;
        expect((U256{0xfffffc2f00000000 | numbers.random()() % 0xe0000} << 192) + below,
               U256::max() - U256{numbers.random()()});
    }
}

TEST(GpuField, SquareRootsAreRoots) {
    Numbers numbers(6);
    for (int i = 0; i < 200; ++i) {
        const U256 a = numbers.any();
        const Field square = sqr(field(a));
        const Field root = square_root(square);
        ASSERT_TRUE(equal(sqr(root), square));
        ASSERT_TRUE(equal(root, field(a)) || equal(root, negate(field(a)))) << to_hex_quantity(a);
    }
    // -1 is no square modulo p = 3 (mod 4): a root of the negative never comes out.
    for (int i = 0; i < 50; ++i) {
        const Field square = sqr(field(numbers.any()));
        if (is_zero(square)) { continue; }
        ASSERT_FALSE(equal(sqr(square_root(negate(square))), negate(square)));
    }
}

template <class Modulus>
void expect_inverses(const U256& modulus, uint64_t seed) {
    Numbers numbers(seed);
    std::vector<U256> values = numbers.edges();
    for (int i = 0; i < 300; ++i) { values.push_back(numbers.any()); }
    for (uint64_t bit = 0; bit < 256; ++bit) { values.push_back(U256{1} << bit); }
    for (const U256& value : values) {
        const U256 a = value % modulus;
        uint32_t got[8];
        invert<Modulus>(field(a).v, got);
        const U256 expected = a.is_zero() ? U256{} : inverse(a, modulus);
        ASSERT_EQ(expected, number(got)) << to_hex_quantity(a);
    }
}

TEST(GpuInverse, AgreesModuloThePrime) { expect_inverses<FieldModulus>(field_prime, 7); }
TEST(GpuInverse, AgreesModuloTheOrder) { expect_inverses<OrderModulus>(secp256k1_order, 8); }

TEST(GpuScalar, ProductsAgree) {
    Numbers numbers(9);
    const auto expect = [](const U256& a, const U256& b) {
        ASSERT_EQ(mul_mod(a, b, secp256k1_order), number(mul(limbs<Scalar>(a), limbs<Scalar>(b)).v))
            << to_hex_quantity(a) << " * " << to_hex_quantity(b);
    };
    for (const U256& a : numbers.edges()) {
        for (const U256& b : numbers.edges()) { expect(a, b); }
    }
    for (int i = 0; i < rounds; ++i) { expect(numbers.any(), numbers.any()); }
}

TEST(GpuScalar, RangeAndReductionAgree) {
    Numbers numbers(10);
    const auto expect = [](const U256& a) {
        ASSERT_EQ(!a.is_zero() && a < secp256k1_order, is_in_order(field(a).v));
        ASSERT_EQ(a % secp256k1_order, number(reduce_once(field(a).v).v));
        const U256 reduced = a % secp256k1_order;
        ASSERT_EQ(secp256k1_order - reduced, number(order_minus(limbs<Scalar>(reduced)).v));
    };
    for (const U256& a : numbers.edges()) { expect(a); }
    for (int i = 0; i < rounds; ++i) { expect(numbers.any()); }
}

constexpr U256 lambda{0x5363ad4cc05c30e0, 0xa5261c028812645a, 0x122e22ea20816678,
                      0xdf02967c1b23bd72};
constexpr U256 basis_a1{0, 0, 0x3086d221a7d46bcd, 0xe86c90e49284eb15};
constexpr U256 basis_b1{0, 0, 0xe4437ed6010e8828, 0x6f547fa90abfe4c3};
constexpr U256 basis_a2{0, 1, 0x14ca50f7a8e2f3f6, 0x57c1108d9d44cfd8};

U256 mod_n(const U256& a) { return a % secp256k1_order; }
U256 minus_n(const U256& a) { return mod_n(secp256k1_order - mod_n(a)); }

/// The number modulo n that digits stand for, window by window; nothing may be left above them.
template <int window_bits, int window_count, int limb_count>
U256 value_of_digits(const uint32_t (&windows)[limb_count]) {
    uint32_t left[limb_count];
    std::copy(std::begin(windows), std::end(windows), left);
    U256 sum;
    U256 weight{1};
    for (int i = 0; i < window_count; ++i) {
        const uint32_t digit = take_digit<window_bits>(left);
        constexpr uint32_t half = 1u << (window_bits - 1);
        EXPECT_LT(digit, 2 * half);
        const U256 magnitude{2 * (digit & (half - 1)) + 1};
        const U256 value = (digit & half) != 0 ? secp256k1_order - magnitude : magnitude;
        sum = add_mod(sum, mul_mod(value, weight, secp256k1_order), secp256k1_order);
        weight = mul_mod(weight, U256{1} << window_bits, secp256k1_order);
    }
    EXPECT_TRUE(std::all_of(std::begin(left), std::end(left), [](uint32_t v) { return v == 0; }));
    return sum;
}

void expect_split(const U256& k) {
    const SplitWindows windows = split(limbs<Scalar>(k));
    const U256 first = value_of_digits<point_window_bits, point_windows>(windows.first);
    const U256 second = value_of_digits<point_window_bits, point_windows>(windows.second);
    ASSERT_EQ(k, add_mod(first, mul_mod(second, lambda, secp256k1_order), secp256k1_order))
        << to_hex_quantity(k);
    // The bound that the header claims, 2^129 in size, from the windows' number (x + 2^130 - 1)
    // / 2.
    for (const auto& half : {windows.first, windows.second}) {
        U256 b{0, half[4], uint64_t{half[3]} << 32 | half[2], uint64_t{half[1]} << 32 | half[0]};
        const U256 x = b + b + U256{1};  // x + 2^130
        ASSERT_LT((U256{1} << 130) - (U256{1} << 129), x) << to_hex_quantity(k);
        ASSERT_LT(x, (U256{1} << 130) + (U256{1} << 129)) << to_hex_quantity(k);
    }
}

TEST(GpuDigits, TheSplitGivesBackItsScalar) {
    Numbers numbers(11);
    for (const U256& k : numbers.edges()) { expect_split(mod_n(k)); }
    for (int i = 0; i < rounds; ++i) { expect_split(mod_n(numbers.any())); }
    // Zero halves and all small ones.
    for (uint64_t x = 0; x < 40; ++x) {
        for (uint64_t y = 0; y < 40; ++y) {
            const U256 second = mul_mod(U256{y}, lambda, secp256k1_order);
            for (const U256& a : {U256{x}, minus_n(U256{x})}) {
                expect_split(add_mod(a, second, secp256k1_order));
                expect_split(add_mod(a, minus_n(second), secp256k1_order));
            }
        }
    }
}

TEST(GpuDigits, TheSplitHoldsAtTheCornersOfItsRange) {
    // The rounded quotients jump half way between lattice points: there the halves are largest.
    for (const U256& first :
         {(basis_a1 + basis_a2) >> 1, (basis_a2 - basis_a1) >> 1, basis_a1 >> 1, basis_a2 >> 1}) {
        for (const U256& second : {(basis_b1 + basis_a1) >> 1, (basis_b1 - basis_a1) >> 1,
                                   basis_b1 >> 1, basis_a1 >> 1}) {
            for (const U256& a : {first, minus_n(first)}) {
                for (const U256& b : {second, minus_n(second)}) {
                    const U256 corner =
                        add_mod(a, mul_mod(b, lambda, secp256k1_order), secp256k1_order);
                    for (uint64_t step = 0; step < 4; ++step) {
                        expect_split(add_mod(corner, U256{step}, secp256k1_order));
                        expect_split(add_mod(corner, minus_n(U256{step}), secp256k1_order));
                    }
                }
            }
        }
    }
}

TEST(GpuDigits, TheGeneratorsDigitsGiveBackTheirScalar) {
    Numbers numbers(12);
    const auto expect = [](const U256& u) {
        const GeneratorWindows windows = generator_windows_of(limbs<Scalar>(u));
        const U256 value = value_of_digits<generator_window_bits, generator_windows>(windows.v);
        ASSERT_EQ(u, windows.negated ? minus_n(value) : value) << to_hex_quantity(u);
    };
    for (const U256& u : numbers.edges()) { expect(mod_n(u)); }
    for (int i = 0; i < rounds; ++i) { expect(mod_n(numbers.any())); }
}

Affine affine_of(const PublicKey& key) {
    return {field(load_be(key.data())), field(load_be(key.data() + 32))};
}
PublicKey key_of(const Affine& p) {
    PublicKey key;
    store_be(number(normalized(p.x).v), key.data());
    store_be(number(normalized(p.y).v), key.data() + 32);
    return key;
}
PublicKey multiple_of_generator(const U256& k) {
    return public_key_of_secret_key(to_hash(mod_n(k))).value();
}

TEST(GpuPoint, DoublingAndAddingAgreeWithTheLibrary) {
    Numbers numbers(13);
    for (int i = 0; i < 200; ++i) {
        const U256 a = mod_n(numbers.any());
        const U256 b = mod_n(numbers.any());
        if (a.is_zero() || b.is_zero() || a == b || mod_n(a + b).is_zero()) { continue; }
        const Affine p = affine_of(multiple_of_generator(a));
        const Affine q = affine_of(multiple_of_generator(b));
        const Jacobian twice = doubled({p.x, p.y, field_of(1)});
        EXPECT_EQ(multiple_of_generator(add_mod(a, a, secp256k1_order)), key_of(to_affine(twice)));
        const U256 sum = add_mod(add_mod(a, a, secp256k1_order), b, secp256k1_order);
        if (sum.is_zero() || add_mod(a, a, secp256k1_order) == b) { continue; }
        EXPECT_EQ(multiple_of_generator(sum), key_of(to_affine(add_affine(twice, q))));
    }
}

TEST(GpuPoint, AddingAPointToItselfOrItsNegativeGivesZeroZForGood) {
    const Affine g = generator();
    const Affine negative{g.x, negate(g.y)};
    const Affine other = to_affine(doubled({g.x, g.y, field_of(1)}));
    // 3G with a z that is not one, as a sum on the way would have it.
    const Jacobian three = add_affine(doubled({g.x, g.y, field_of(1)}), g);
    const Affine three_affine = to_affine(three);
    for (const Jacobian& sum :
         {add_affine({g.x, g.y, field_of(1)}, g), add_affine({g.x, g.y, field_of(1)}, negative),
          add_affine(three, three_affine),
          add_affine(three, {three_affine.x, negate(three_affine.y)})}) {
        EXPECT_TRUE(is_zero(sum.z));
        EXPECT_TRUE(is_zero(doubled(sum).z));
        EXPECT_TRUE(is_zero(add_affine(sum, other).z));
    }
}

TEST(GpuPoint, TheTableHoldsTheOddMultiples) {
    Numbers numbers(14);
    for (int i = 0; i < 20; ++i) {
        const U256 a = mod_n(numbers.any());
        if (a.is_zero()) { continue; }
        PointTable table;
        const Field z = make_table(affine_of(multiple_of_generator(a)), table);
        for (uint64_t j = 0; j < point_table_entries; ++j) {
            const TableEntry& entry = table.entries[j];
            const U256 factor = mul_mod(a, U256{2 * j + 1}, secp256k1_order);
            EXPECT_EQ(multiple_of_generator(factor),
                      key_of(to_affine({entry.point.x, entry.point.y, z})));
            EXPECT_EQ(multiple_of_generator(mul_mod(factor, lambda, secp256k1_order)),
                      key_of(to_affine({entry.beta_x, entry.point.y, z})));
        }
    }
}

U256 factor_of_entry(size_t entry) {
    const U256 column{2 * (entry % generator_table_row) + 1};
    U256 factor = column;
    for (size_t i = 0; i < entry / generator_table_row * generator_window_bits; ++i) {
        factor = add_mod(factor, factor, secp256k1_order);
    }
    return factor;
}

TEST(GeneratorTable, HasItsDigest) {
    EXPECT_EQ(generator_table_digest, digest_of_table(make_generator_table().data()));
}

TEST(GeneratorTable, EntriesMadeOneByOneAreThoseOfTheTableAndOfTheLibrary) {
    const std::vector<Affine> table = make_generator_table();
    const auto rows = generator_rows();
    std::vector<size_t> entries;
    for (size_t row = 0; row < generator_windows; ++row) {
        for (const size_t column : {0, 1, 2, 3, 2047, 2048, 4094, 4095}) {
            entries.push_back(row * generator_table_row + column);
        }
    }
    std::mt19937_64 random(15);
    for (int i = 0; i < 100; ++i) { entries.push_back(random() % generator_table_entries); }
    for (const size_t entry : entries) {
        const Affine made = make_generator_entry(
            rows[entry / generator_table_row], static_cast<uint32_t>(entry % generator_table_row));
        ASSERT_EQ(0, std::memcmp(&made, &table[entry], sizeof made)) << entry;
        ASSERT_EQ(multiple_of_generator(factor_of_entry(entry)), key_of(made)) << entry;
        // Normalized: the device reads the entries as they are.
        ASSERT_LT(number(made.x.v), field_prime);
        ASSERT_LT(number(made.y.v), field_prime);
    }
}

}  // namespace
}  // namespace millrace::kernels::gpu
