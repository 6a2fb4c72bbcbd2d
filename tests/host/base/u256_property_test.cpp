// SPDX-License-Identifier: Apache-2.0
// Owns the comparison of every operation of U256 with GMP.
#include <gmp.h>
#include <gtest/gtest.h>
#include <rapidcheck.h>
#include <rapidcheck/gtest.h>

#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "host/base/hex.hpp"
#include "host/base/u256.hpp"

namespace millrace {
void showValue(const U256& v, std::ostream& out) { out << to_hex_quantity(v); }
}  // namespace millrace

namespace {

using millrace::U256;

// A hundred cases, rapidcheck's own choice, are few for operations of nanoseconds. It reads the
// variable at its first check; a value from outside, such as the seed of a failure, prevails.
[[maybe_unused]] const int cases_set = setenv("RC_PARAMS", "max_success=2000", 0);

// Limbs at which carries, signs and quotient estimates change.
constexpr std::array<uint64_t, 9> edge_limbs = {0,
                                                1,
                                                2,
                                                0x7fffffffffffffff,
                                                0x8000000000000000,
                                                0x8000000000000001,
                                                0xfffffffffffffffe,
                                                0xffffffffffffffff,
                                                0x00000000ffffffff};

rc::Gen<uint64_t> limb() {
    return rc::gen::oneOf(rc::gen::elementOf(edge_limbs),
                          rc::gen::resize(rc::kNominalSize, rc::gen::arbitrary<uint64_t>()),
                          rc::gen::inRange<uint64_t>(0, 300));
}

/// A number of GMP; the oracle works in it without any width.
class Big {
public:
    Big() { mpz_init(z_); }
    explicit Big(const U256& v) : Big() { mpz_import(z_, 4, -1, 8, 0, 0, v.w); }
    explicit Big(unsigned long v) : Big() { mpz_set_ui(z_, v); }
    Big(const Big& o) : Big() { mpz_set(z_, o.z_); }
    Big& operator=(const Big& o) {
        mpz_set(z_, o.z_);
        return *this;
    }
    ~Big() { mpz_clear(z_); }

    mpz_ptr get() { return z_; }
    mpz_srcptr get() const { return z_; }
    int sign() const { return mpz_sgn(z_); }
    bool fits_256() const { return sign() >= 0 && mpz_sizeinbase(z_, 2) <= 256; }

    /// The low 256 bits in two's complement.
    U256 wrap() const {
        Big low;
        mpz_fdiv_r_2exp(low.z_, z_, 256);
        U256 r;
        mpz_export(r.w, nullptr, -1, 8, 0, 0, low.z_);
        return r;
    }
    std::string decimal() const {
        std::string s(mpz_sizeinbase(z_, 10) + 2, '\0');
        mpz_get_str(s.data(), 10, z_);
        s.resize(s.find('\0'));
        return s;
    }

private:
    mpz_t z_;
};

template <class Op>
Big apply(Op op, const Big& a, const Big& b) {
    Big r;
    op(r.get(), a.get(), b.get());
    return r;
}
Big plus(const Big& a, const Big& b) { return apply(mpz_add, a, b); }
Big minus(const Big& a, const Big& b) { return apply(mpz_sub, a, b); }
Big times(const Big& a, const Big& b) { return apply(mpz_mul, a, b); }
/// Truncated towards zero, as the EVM divides.
Big quotient(const Big& a, const Big& b) { return b.sign() == 0 ? Big() : apply(mpz_tdiv_q, a, b); }
Big remainder(const Big& a, const Big& b) {
    return b.sign() == 0 ? Big() : apply(mpz_tdiv_r, a, b);
}
Big shifted_left(const Big& a, uint64_t n) {
    Big r;
    mpz_mul_2exp(r.get(), a.get(), n);
    return r;
}
/// Rounds towards minus infinity, as an arithmetic shift does.
Big shifted_right(const Big& a, uint64_t n) {
    Big r;
    mpz_fdiv_q_2exp(r.get(), a.get(), n);
    return r;
}
/// `v` read as two's complement of `bits` bits.
Big as_signed(const U256& v, unsigned bits) {
    Big low;
    mpz_fdiv_r_2exp(low.get(), Big(v).get(), bits);
    return mpz_tstbit(low.get(), bits - 1) != 0 ? minus(low, shifted_left(Big(1), bits)) : low;
}

}  // namespace

template <>
struct rc::Arbitrary<U256> {
    static Gen<U256> arbitrary() {
        // Short numbers are as common as long ones, so that every pair of lengths is divided.
        return gen::map(
            gen::pair(gen::container<std::array<uint64_t, 4>>(limb()), gen::inRange<size_t>(0, 5)),
            [](const std::pair<std::array<uint64_t, 4>, size_t>& p) {
                U256 v;
                for (size_t i = 0; i < p.second; ++i) { v.w[i] = p.first[i]; }
                return v;
            });
    }
};

namespace {

RC_GTEST_PROP(U256Property, AdditionAndSubtractionWrapAndReportCarries, (U256 a, U256 b)) {
    const Big sum = plus(Big(a), Big(b));
    const Big difference = minus(Big(a), Big(b));
    bool carry = false;
    bool borrow = false;
    RC_ASSERT(add_overflow(a, b, carry) == sum.wrap());
    RC_ASSERT(carry == !sum.fits_256());
    RC_ASSERT(sub_underflow(a, b, borrow) == difference.wrap());
    RC_ASSERT(borrow == (difference.sign() < 0));
    RC_ASSERT(a + b == sum.wrap());
    RC_ASSERT(a - b == difference.wrap());
    U256 c = a;
    RC_ASSERT((c += b) == sum.wrap());
    c = a;
    RC_ASSERT((c -= b) == difference.wrap());
    RC_ASSERT(negate(a) == minus(Big(), Big(a)).wrap());
}

RC_GTEST_PROP(U256Property, Multiplication, (U256 a, U256 b)) {
    const Big product = times(Big(a), Big(b));
    RC_ASSERT(a * b == product.wrap());
    U256 high;
    RC_ASSERT(mul_full(a, b, high) == product.wrap());
    RC_ASSERT(high == shifted_right(product, 256).wrap());
    const uint64_t small = b.low64();
    const Big by_small = times(Big(a), Big(U256{small}));
    for (const bool before : {false, true}) {
        bool overflow = before;
        RC_ASSERT(mul_small(a, small, overflow) == by_small.wrap());
        RC_ASSERT(overflow == (before || !by_small.fits_256()));
    }
}

RC_GTEST_PROP(U256Property, Division, (U256 a, U256 b)) {
    const millrace::DivResult r = div_rem(a, b);
    RC_ASSERT(r.quotient == quotient(Big(a), Big(b)).wrap());
    RC_ASSERT(r.remainder == remainder(Big(a), Big(b)).wrap());
    RC_ASSERT(a / b == r.quotient);
    RC_ASSERT(a % b == r.remainder);
}

// Numerators just around a multiple of the divisor: quotient digits at their extremes.
RC_GTEST_PROP(U256Property, DivisionAroundMultiples, (U256 q, U256 b, bool above)) {
    const U256 product = q * b;
    const U256 a = above ? product + (b - U256{1}) : product - U256{1};
    RC_ASSERT(a / b == quotient(Big(a), Big(b)).wrap());
    RC_ASSERT(a % b == remainder(Big(a), Big(b)).wrap());
}

RC_GTEST_PROP(U256Property, SignedDivision, (U256 a, U256 b)) {
    const Big x = as_signed(a, 256);
    const Big y = as_signed(b, 256);
    RC_ASSERT(signed_div(a, b) == quotient(x, y).wrap());
    RC_ASSERT(signed_mod(a, b) == remainder(x, y).wrap());
    RC_ASSERT(signed_less(a, b) == (mpz_cmp(x.get(), y.get()) < 0));
    RC_ASSERT(is_negative(a) == (x.sign() < 0));
}

RC_GTEST_PROP(U256Property, Comparison, (U256 a, U256 b)) {
    const int order = mpz_cmp(Big(a).get(), Big(b).get());
    RC_ASSERT((a < b) == (order < 0));
    RC_ASSERT((a > b) == (order > 0));
    RC_ASSERT((a == b) == (order == 0));
    RC_ASSERT(a.is_zero() == (Big(a).sign() == 0));
    RC_ASSERT(static_cast<bool>(a) == (Big(a).sign() != 0));
    RC_ASSERT(a.fits_u64() == (mpz_sizeinbase(Big(a).get(), 2) <= 64));
}

RC_GTEST_PROP(U256Property, ModularAdditionAndMultiplication, (U256 a, U256 b, U256 m)) {
    RC_ASSERT(add_mod(a, b, m) == remainder(plus(Big(a), Big(b)), Big(m)).wrap());
    RC_ASSERT(mul_mod(a, b, m) == remainder(times(Big(a), Big(b)), Big(m)).wrap());
}

U256 power_by_gmp(const U256& base, const U256& exponent) {
    const Big modulus = shifted_left(Big(1), 256);
    Big r;
    mpz_powm(r.get(), Big(base).get(), Big(exponent).get(), modulus.get());
    return r.wrap();
}

RC_GTEST_PROP(U256Property, Powers, (U256 base, U256 exponent)) {
    RC_ASSERT(power(base, exponent) == power_by_gmp(base, exponent));
    // An odd base does not run into zero.
    base.w[0] |= 1;
    RC_ASSERT(power(base, exponent) == power_by_gmp(base, exponent));
}

RC_GTEST_PROP(U256Property, PowersAroundTheExponentsThatChangeTheMethod,
              (U256 base, uint8_t distance)) {
    for (const unsigned bit : {8, 16, 64, 128}) {
        const U256 exponent = shl(U256{1}, bit) + U256{distance} - U256{128};
        RC_ASSERT(power(base, exponent) == power_by_gmp(base, exponent));
    }
}

RC_GTEST_PROP(U256Property, BitwiseOperations, (U256 a, U256 b)) {
    RC_ASSERT((a & b) == apply(mpz_and, Big(a), Big(b)).wrap());
    RC_ASSERT((a | b) == apply(mpz_ior, Big(a), Big(b)).wrap());
    RC_ASSERT((a ^ b) == apply(mpz_xor, Big(a), Big(b)).wrap());
    RC_ASSERT(~a == minus(Big(U256::max()), Big(a)).wrap());
}

RC_GTEST_PROP(U256Property, ShiftsByEveryDistance, (U256 a)) {
    const Big x(a);
    const Big s = as_signed(a, 256);
    for (uint64_t n = 0; n <= 300; ++n) {
        RC_ASSERT(shl(a, n) == shifted_left(x, n).wrap());
        RC_ASSERT(shr(a, n) == shifted_right(x, n).wrap());
        RC_ASSERT(sar(a, n) == shifted_right(s, n).wrap());
        RC_ASSERT((a << n) == shl(a, n));
        RC_ASSERT((a >> n) == shr(a, n));
    }
}

RC_GTEST_PROP(U256Property, SignExtensionAndBytes, (U256 a, U256 far)) {
    for (uint64_t i = 0; i < 40; ++i) {
        const auto bits = static_cast<unsigned>(i < 32 ? 8 * (i + 1) : 256);
        RC_ASSERT(sign_extend(U256{i}, a) == as_signed(a, bits).wrap());
        const U256 byte = i < 32 ? shifted_right(Big(a), 8 * (31 - i)).wrap() & U256{0xff} : U256{};
        RC_ASSERT(byte_at(U256{i}, a) == byte);
    }
    const U256 beyond = far | U256{32};
    RC_ASSERT(sign_extend(beyond, a) == a);
    RC_ASSERT(byte_at(beyond, a) == U256{});
}

RC_GTEST_PROP(U256Property, Lengths, (U256 a)) {
    const Big x(a);
    const unsigned bits = a.is_zero() ? 0 : static_cast<unsigned>(mpz_sizeinbase(x.get(), 2));
    RC_ASSERT(bit_length(a) == bits);
    RC_ASSERT(count_leading_zeros(a) == 256 - bits);
    RC_ASSERT(byte_length(a) == (bits + 7) / 8);
}

RC_GTEST_PROP(U256Property, BigEndianBytes, (U256 a)) {
    uint8_t expected[32] = {};
    const Big x(a);
    const size_t n = byte_length(a);
    mpz_export(expected + 32 - n, nullptr, 1, 1, 1, 0, x.get());
    uint8_t stored[32];
    millrace::store_be(a, stored);
    RC_ASSERT(std::equal(stored, stored + 32, expected));
    RC_ASSERT(millrace::load_be(expected) == a);
    RC_ASSERT(millrace::load_be(millrace::ByteView{expected + 32 - n, n}) == a);
}

RC_GTEST_PROP(U256Property, DecimalAndHexText, (U256 a)) {
    const std::string decimal = Big(a).decimal();
    RC_ASSERT(millrace::to_decimal(a) == decimal);
    RC_ASSERT((millrace::u256_from_text(decimal) == millrace::Result<U256>(a)));
    const std::string hex = millrace::to_hex_quantity(a);
    RC_ASSERT((millrace::u256_from_text(hex) == millrace::Result<U256>(a)));
    RC_ASSERT(hex == "0x0" || hex[2] != '0');
    // One more than fits, whatever the last digit.
    const Big above = plus(shifted_left(Big(1), 256), Big(a));
    RC_ASSERT(!millrace::u256_from_text(above.decimal()).has_value());
}

/// All words whose limbs are taken from `limbs`.
template <size_t N>
std::vector<U256> all_words(const std::array<uint64_t, N>& limbs) {
    std::vector<U256> out;
    for (const uint64_t w3 : limbs) {
        for (const uint64_t w2 : limbs) {
            for (const uint64_t w1 : limbs) {
                for (const uint64_t w0 : limbs) { out.emplace_back(w3, w2, w1, w0); }
            }
        }
    }
    return out;
}

TEST(U256Exhaustive, DivisionOfAllWordsOfEdgeLimbs) {
    const auto words = all_words(
        std::array<uint64_t, 5>{0, 1, 0x7fffffffffffffff, 0x8000000000000000, 0xffffffffffffffff});
    Big q;
    Big r;
    for (const U256& b : words) {
        if (b.is_zero()) { continue; }
        const Big y(b);
        for (const U256& a : words) {
            mpz_tdiv_qr(q.get(), r.get(), Big(a).get(), y.get());
            const millrace::DivResult d = div_rem(a, b);
            ASSERT_TRUE(d.quotient == q.wrap() && d.remainder == r.wrap())
                << millrace::to_hex(to_hash(a)) << " / " << millrace::to_hex(to_hash(b));
        }
    }
}

TEST(U256Exhaustive, ModularProductsOfAllWordsOfThreeLimbs) {
    const auto words =
        all_words(std::array<uint64_t, 3>{0, 0x8000000000000000, 0xffffffffffffffff});
    for (const U256& m : words) {
        if (m.is_zero()) { continue; }
        const Big z(m);
        for (const U256& a : words) {
            for (const U256& b : words) {
                ASSERT_EQ(mul_mod(a, b, m), remainder(times(Big(a), Big(b)), z).wrap())
                    << millrace::to_hex(to_hash(a)) << " * " << millrace::to_hex(to_hash(b))
                    << " mod " << millrace::to_hex(to_hash(m));
            }
        }
    }
}

}  // namespace
