// SPDX-License-Identifier: Apache-2.0
// Owns how the tables of multiples of the generator are made: affine additions, batch by batch.
#include "kernels/secp256k1/detail/generator_tables.hpp"

#include <array>
#include <span>

#include "host/base/error.hpp"
#include "kernels/secp256k1/detail/scalar.hpp"

namespace millrace::kernels::detail {

namespace {

constexpr U256 generator_x{0x79be667ef9dcbbac, 0x55a06295ce870b07, 0x029bfcdb2dce28d9,
                           0x59f2815b16f81798};
constexpr U256 generator_y{0x483ada7726a3c465, 0x5da4fbfc0e1108a8, 0xfd17b448a6855419,
                           0x9c47d08ffb10d4b8};
/// Places between the lower and the upper windows.
constexpr size_t half_bits = generator_window_bits * generator_windows / 2;

struct Point {
    U256 x;
    U256 y;
};

U256 add(const U256& a, const U256& b) noexcept {
    bool carry = false;
    const U256 sum = add_overflow(a, b, carry);
    return carry || sum >= secp256k1_field_prime ? sum - secp256k1_field_prime : sum;
}
U256 subtract(const U256& a, const U256& b) noexcept {
    bool borrow = false;
    const U256 difference = sub_underflow(a, b, borrow);
    return borrow ? difference + secp256k1_field_prime : difference;
}
U256 mul(const U256& a, const U256& b) noexcept { return mul_mod_field(a, b); }

/// The third point of the line through p with this slope, mirrored; other_x is the second one's x.
Point on_line(const Point& p, const U256& other_x, const U256& slope) noexcept {
    const U256 x = subtract(subtract(mul(slope, slope), p.x), other_x);
    return {x, subtract(mul(slope, subtract(p.x, x)), p.y)};
}

Point twice(const Point& p) noexcept {
    const U256 xx = mul(p.x, p.x);
    const U256 slope = mul(add(add(xx, xx), xx), inverse_mod_field(add(p.y, p.y)));
    return on_line(p, p.x, slope);
}

void store(AffinePoint& to, const Point& p) noexcept {
    for (size_t i = 0; i < 4; ++i) {
        to.x[i] = p.x.w[i];
        to.y[i] = p.y.w[i];
    }
}
Point load(const AffinePoint& from) noexcept {
    return {U256{from.x[3], from.x[2], from.x[1], from.x[0]},
            U256{from.y[3], from.y[2], from.y[1], from.y[0]}};
}

/// to[i] = from[i] + p with one inversion (Montgomery's trick). No two of the points share an x.
void add_to_each(std::span<const AffinePoint> from, const Point& p, std::span<AffinePoint> to,
                 std::span<U256> prefix) noexcept {
    U256 product{1};
    for (size_t i = 0; i < from.size(); ++i) {
        product = mul(product, subtract(p.x, load(from[i]).x));
        prefix[i] = product;
    }
    MILLRACE_ASSERT(!product.is_zero(), "odd multiples differ from an even one");
    U256 rest = inverse_mod_field(product);
    for (size_t i = from.size(); i-- > 0;) {
        const Point q = load(from[i]);
        const U256 inverse = i == 0 ? rest : mul(rest, prefix[i - 1]);
        rest = mul(rest, subtract(p.x, q.x));
        store(to[i], on_line(q, p.x, mul(subtract(p.y, q.y), inverse)));
    }
}

/// Odd multiples: the first m of them plus 2 m times the base are the next m.
void fill(std::span<AffinePoint> table, const Point& base, std::span<U256> prefix) noexcept {
    store(table[0], base);
    Point even = twice(base);
    for (size_t made = 1; made < table.size(); made *= 2) {
        add_to_each(table.first(made), even, table.subspan(made, made), prefix);
        even = twice(even);
    }
}

}  // namespace

void make_generator_tables(GeneratorTables& tables) noexcept {
    std::array<U256, generator_table_entries / 2> prefix;
    Point base{generator_x, generator_y};
    fill(tables.low, base, prefix);
    for (size_t i = 0; i < half_bits; ++i) { base = twice(base); }
    fill(tables.high, base, prefix);
}

const GeneratorTables& generator_tables() noexcept {
    // Pages that nobody writes cost nothing, so a process that never recovers pays nothing.
    static GeneratorTables tables;
    static const bool made = (make_generator_tables(tables), true);
    static_cast<void>(made);
    return tables;
}

}  // namespace millrace::kernels::detail
