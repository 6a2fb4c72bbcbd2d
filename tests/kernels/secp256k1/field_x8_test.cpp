// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the vector field: every operation against GMP, at the limits of its operands.
#include <gmp.h>
#include <gtest/gtest.h>

#include <random>
#include <set>
#include <string>
#include <vector>

#include "kernels/secp256k1/recover_batch.hpp"
#include "tests/kernels/secp256k1/field_x8_entry.hpp"

namespace millrace::test {
namespace {

constexpr uint64_t limb_max = (uint64_t{1} << 52) - 1;
constexpr uint64_t top_unit = (uint64_t{1} << 48) + (uint64_t{1} << 12);

/// An integer of GMP with an owner.
class Integer {
public:
    Integer() { mpz_init(v_); }
    explicit Integer(const char* hex) { mpz_init_set_str(v_, hex, 16); }
    Integer(const Integer& o) { mpz_init_set(v_, o.v_); }
    Integer& operator=(const Integer& o) {
        mpz_set(v_, o.v_);
        return *this;
    }
    ~Integer() { mpz_clear(v_); }
    mpz_ptr get() { return v_; }
    mpz_srcptr get() const { return v_; }
    std::string hex() const {
        char* text = mpz_get_str(nullptr, 16, v_);
        std::string out = text;
        void (*release)(void*, size_t) = nullptr;
        mp_get_memory_functions(nullptr, nullptr, &release);
        release(text, out.size() + 1);
        return out;
    }

private:
    mpz_t v_;
};

Integer plus(const Integer& a, const Integer& b) {
    Integer r;
    mpz_add(r.get(), a.get(), b.get());
    return r;
}
Integer times(const Integer& a, const Integer& b) {
    Integer r;
    mpz_mul(r.get(), a.get(), b.get());
    return r;
}
Integer times(long factor, const Integer& a) {
    Integer r;
    mpz_mul_si(r.get(), a.get(), factor);
    return r;
}

const Integer& prime() {
    static const Integer p("fffffffffffffffffffffffffffffffffffffffffffffffffffffffefffffc2f");
    return p;
}

Integer modulo_p(const Integer& a) {
    Integer r;
    mpz_mod(r.get(), a.get(), prime().get());
    return r;
}

/// The number that a lane stands for: the low 52 bits of limbs 0 to 3, and all of limb 4.
Integer value(const FieldLanes& lanes, size_t lane) {
    Integer r;
    for (size_t i = 5; i-- > 0;) {
        const uint64_t limb = i == 4 ? lanes.limb[i][lane] : lanes.limb[i][lane] & limb_max;
        mpz_mul_2exp(r.get(), r.get(), 52);
        Integer low;
        mpz_import(low.get(), 1, -1, sizeof limb, 0, 0, &limb);
        r = plus(r, low);
    }
    return r;
}

Integer expected(FieldFormula formula, const Integer* o, size_t lane) {
    const auto& a = o[0];
    const auto& b = o[1];
    const auto& c = o[2];
    const auto& d = o[3];
    switch (formula) {
        case FieldFormula::a_b: return times(a, b);
        case FieldFormula::two_a_b: return times(2, times(a, b));
        case FieldFormula::a_b_minus_c: return plus(times(a, b), times(-1, c));
        case FieldFormula::a_b_plus_c_d: return plus(times(a, b), times(c, d));
        case FieldFormula::a_b_plus_8_c_c: return plus(times(a, b), times(8, times(c, c)));
        case FieldFormula::a_a: return times(a, a);
        case FieldFormula::three_a_a: return times(3, times(a, a));
        case FieldFormula::a_a_minus_b_minus_2_c:
            return plus(times(a, a), plus(times(-1, b), times(-2, c)));
        case FieldFormula::a_a_minus_2_b: return plus(times(a, a), times(-2, b));
        case FieldFormula::a_a_minus_8_b: return plus(times(a, a), times(-8, b));
        case FieldFormula::a_minus_4_b: return plus(a, times(-4, b));
        case FieldFormula::a_minus_b: return plus(a, times(-1, b));
        case FieldFormula::a_plus_7: return plus(a, Integer("7"));
        case FieldFormula::negate_odd_lanes: return times(lane % 2 == 1 ? -1 : 1, a);
        case FieldFormula::a_normalized: return a;
        case FieldFormula::root: {
            Integer exponent = plus(prime(), Integer("1"));
            mpz_tdiv_q_2exp(exponent.get(), exponent.get(), 2);
            Integer r;
            mpz_powm(r.get(), a.get(), exponent.get(), prime().get());
            return r;
        }
    }
    return {};
}

/// Limbs of [0, p) near its ends and any others, with a taste for the largest that is allowed.
uint64_t pick(std::mt19937_64& random, uint64_t max) {
    switch (random() % 8) {
        case 0: return 0;
        case 1: return 1 <= max ? 1 : 0;
        case 2:
        case 3: return max;
        case 4: return max - 1;
        case 5: return (uint64_t{1} << 48) - 1;  // the top limb of p
        default: return random() % (max + 1);
    }
}

FieldLanes pick_lanes(std::mt19937_64& random, unsigned magnitude, bool masked) {
    FieldLanes r{};
    for (size_t lane = 0; lane < 8; ++lane) {
        for (size_t i = 0; i < 4; ++i) {
            r.limb[i][lane] = pick(random, limb_max);
            // Unmasked limbs carry bits that do not count.
            if (!masked) { r.limb[i][lane] |= random() << 52; }
        }
        r.limb[4][lane] = pick(random, magnitude * top_unit);
        // Now and then p itself, or a neighbour: zero after normalisation, or nearly.
        if (random() % 8 == 0) {
            r.limb[0][lane] = 0xffffefffffc2f + random() % 3 - 1;
            for (size_t i = 1; i < 4; ++i) { r.limb[i][lane] = limb_max; }
            r.limb[4][lane] = (uint64_t{1} << 48) - 1;
        }
    }
    return r;
}

/// The largest operand: every limb as high as it may be.
FieldLanes largest(unsigned magnitude, bool masked) {
    FieldLanes r{};
    for (size_t lane = 0; lane < 8; ++lane) {
        for (size_t i = 0; i < 4; ++i) { r.limb[i][lane] = masked ? limb_max : ~uint64_t{0}; }
        r.limb[4][lane] = magnitude * top_unit;
    }
    return r;
}

void check(const FieldOperation& op, const FieldLanes* operands) {
    FieldLanes result{};
    op.run(operands, &result);
    for (size_t lane = 0; lane < 8; ++lane) {
        Integer o[4];
        for (size_t i = 0; i < op.operands; ++i) { o[i] = value(operands[i], lane); }
        const Integer want = modulo_p(expected(op.formula, o, lane));
        const Integer got = value(result, lane);
        ASSERT_EQ(want.hex(), modulo_p(got).hex())
            << op.name << " of " << o[0].hex() << ", " << o[1].hex() << ", " << o[2].hex() << ", "
            << o[3].hex();
        ASSERT_LE(result.limb[4][lane], op.result_magnitude * top_unit) << op.name;
        if (op.result_masked) {
            for (size_t i = 0; i < 4; ++i) { ASSERT_LE(result.limb[i][lane], limb_max) << op.name; }
        }
        if (op.formula == FieldFormula::a_normalized) { ASSERT_EQ(want.hex(), got.hex()); }
    }
}

class FieldX8 : public testing::Test {
protected:
    void SetUp() override {
        const kernels::BackendStatus status =
            kernels::recover_backend_status(kernels::Backend::simd);
        if (!status.available) { GTEST_SKIP() << status.reason; }
        size_t count = 0;
        const FieldOperation* first = field_operations(&count);
        operations.assign(first, first + count);
    }
    std::vector<FieldOperation> operations;
};

TEST_F(FieldX8, EveryOperationAgreesWithGmpAtTheLargestOperands) {
    for (const FieldOperation& op : operations) {
        FieldLanes operands[4]{};
        for (size_t i = 0; i < op.operands; ++i) {
            operands[i] = largest(op.magnitude[i], op.masked[i]);
        }
        check(op, operands);
        // The largest subtrahends from nothing: the borrow must not reach limb 4.
        operands[0] = FieldLanes{};
        check(op, operands);
    }
}

TEST_F(FieldX8, EveryOperationAgreesWithGmpOnMixedOperands) {
    constexpr uint64_t seed = 20260311;
    std::mt19937_64 random(seed);
    for (const FieldOperation& op : operations) {
        const int rounds = op.formula == FieldFormula::root ? 40 : 1500;
        for (int round = 0; round < rounds; ++round) {
            FieldLanes operands[4]{};
            for (size_t i = 0; i < op.operands; ++i) {
                operands[i] = pick_lanes(random, op.magnitude[i], op.masked[i]);
            }
            check(op, operands);
            if (HasFatalFailure()) { FAIL() << "seed " << seed << ", round " << round; }
        }
    }
}

TEST_F(FieldX8, EveryFormulaIsTested) {
    std::set<FieldFormula> seen;
    for (const FieldOperation& op : operations) { seen.insert(op.formula); }
    EXPECT_EQ(static_cast<size_t>(FieldFormula::root) + 1, seen.size());
}

}  // namespace
}  // namespace millrace::test
