// SPDX-License-Identifier: Apache-2.0
// Owns recovery of one key after another in portable code, with the inversions shared by a batch.
#include "kernels/secp256k1/detail/recover_words.hpp"

#include <algorithm>
#include <array>

#include "kernels/secp256k1/detail/field_words.hpp"

namespace millrace::kernels::detail {

namespace {

using Field = FieldWords;

constexpr Field one{{1, 0, 0, 0}};
/// A cube root of one: (beta x, y) is lambda (x, y).
constexpr Field beta{
    {0xc1396c28719501ee, 0x9cf0497512f58995, 0x6e64479eac3434e9, 0x7ae96a2b657c0710}};
constexpr size_t table_entries = size_t{1} << (point_window_bits - 1);

/// The point (x / z^2, y / z^3). As in the lanes (point_x8.hpp), each step leaves the negative of
/// its result, and an addition of points with equal x leaves z = 0.
struct Jacobian {
    Field x;
    Field y;
    Field z;
};
struct Affine {
    Field x;
    Field y;
};

Field square_times(Field a, unsigned count) noexcept {
    for (unsigned i = 0; i < count; ++i) { a = square(a); }
    return a;
}

/// a^((p + 1) / 4), as square_root_candidate of the lanes.
Field square_root_candidate(const Field& a) noexcept {
    const Field x2 = square(a) * a;
    const Field x3 = square(x2) * a;
    const Field x6 = square_times(x3, 3) * x3;
    const Field x11 = square_times(square_times(x6, 3) * x3, 2) * x2;
    const Field x22 = square_times(x11, 11) * x11;
    const Field x44 = square_times(x22, 22) * x22;
    const Field x88 = square_times(x44, 44) * x44;
    const Field x176 = square_times(x88, 88) * x88;
    const Field x220 = square_times(x176, 44) * x44;
    const Field x223 = square_times(x220, 3) * x3;
    const Field high = square_times(x223, 23) * x22;
    return square_times(square_times(high, 6) * x2, 2);
}

/// The negative of 2 p: halving the slope spares the multiples by 2, 4 and 8.
void double_negate(Jacobian& p) noexcept {
    const Field xx = square(p.x);
    const Field slope = half(xx + xx + xx);
    const Field yy = square(p.y);
    const Field xyy = p.x * yy;
    const Field x = square(slope) - xyy - xyy;
    p.z = p.y * p.z;
    p.y = slope * (x - xyy) + square(yy);
    p.x = x;
}

/// The negative of p + q; `scale` is p.z seen from the curve of q.
void add_negate(Jacobian& p, const Field& scale, const Affine& q) noexcept {
    const Field zz = square(scale);
    const Field h = q.x * zz - p.x;
    const Field r = q.y * (scale * zz) - p.y;
    const Field hh = square(h);
    const Field hhh = h * hh;
    const Field v = p.x * hh;
    const Field x = square(r) - hhh - v - v;
    p.y = p.y * hhh + r * (x - v);
    p.z = p.z * h;
    p.x = x;
}

/// Odd multiples of a point with one common z, `scale`; as fill_table of the lanes.
struct Table {
    std::array<Affine, table_entries> first;
    std::array<Field, table_entries> beta_x;
    Field scale;

    void fill(const Affine& p) noexcept {
        std::array<Field, table_entries> ratio;
        const Field xx = square(p.x);
        const Field slope = xx + xx + xx;
        const Field two_y = p.y + p.y;
        const Field four_yy = square(two_y);
        first[0].x = p.x * four_yy;
        first[0].y = half(square(four_yy));
        Affine twice;
        twice.x = square(slope) - first[0].x - first[0].x;
        twice.y = slope * (first[0].x - twice.x) - first[0].y;
        for (size_t i = 1; i < table_entries; ++i) {
            const Affine& last = first[i - 1];
            ratio[i] = twice.x - last.x;
            const Field r = twice.y - last.y;
            const Field hh = square(ratio[i]);
            const Field w1 = twice.x * hh;
            const Field w2 = last.x * hh;
            const Field a1 = twice.y * (w1 - w2);
            first[i].x = square(r) - w1 - w2;
            first[i].y = r * (w1 - first[i].x) - a1;
            twice = {w1, a1};
        }
        Field to_last = one;
        for (size_t i = table_entries; i-- > 0;) {
            const Field squared = square(to_last);
            first[i].x = first[i].x * squared;
            first[i].y = first[i].y * (squared * to_last);
            beta_x[i] = first[i].x * beta;
            if (i != 0) { to_last = to_last * ratio[i]; }
        }
        scale = two_y * to_last;
    }
};

/// A digit: the entry of its absolute value, and its sign.
struct Digit {
    size_t entry;
    bool negative;

    template <unsigned bits>
    static Digit at(const uint64_t (*words)[lanes_x8], size_t lane, size_t window,
                    size_t windows_per_word) noexcept {
        constexpr uint64_t half_range = uint64_t{1} << (bits - 1);
        const uint64_t b =
            words[window / windows_per_word][lane] >> (bits * (window % windows_per_word));
        const bool negative = (b & half_range) == 0;
        return {(negative ? ~b : b) & (half_range - 1), negative};
    }
};

Field signed_y(const Field& y, bool negative) noexcept { return negative ? Field{} - y : y; }

/// The chain of doublings and additions of one lane.
struct Chain {
    const LaneInput& in;
    const size_t lane;
    const GeneratorTables& generator;
    Table table;
    Jacobian sum;
    bool negated = false;

    Chain(const LaneInput& input, size_t lane_index, const GeneratorTables& tables) noexcept
        : in(input), lane(lane_index), generator(tables) {}

    Affine first_at(size_t window) const noexcept {
        const auto d = Digit::at<point_window_bits>(in.first, lane, window, point_windows_per_word);
        return {table.first[d.entry].x, signed_y(table.first[d.entry].y, d.negative != negated)};
    }
    Affine second_at(size_t window) const noexcept {
        const auto d =
            Digit::at<point_window_bits>(in.second, lane, window, point_windows_per_word);
        return {table.beta_x[d.entry], signed_y(table.first[d.entry].y, d.negative != negated)};
    }

    void double_sum(size_t times) noexcept {
        for (size_t i = 0; i < times; ++i) { double_negate(sum); }
        negated ^= times % 2 != 0;
    }
    void add(const Field& scale, const Affine& q) noexcept {
        add_negate(sum, scale, q);
        negated = !negated;
    }
    void add_generator(const AffinePoint* entries, size_t window) noexcept {
        const auto d = Digit::at<generator_window_bits>(in.generator, lane, window,
                                                        generator_windows_per_word);
        const AffinePoint& row = entries[d.entry];
        Affine q;
        std::copy_n(row.x, 4, q.x.w);
        std::copy_n(row.y, 4, q.y.w);
        q.y = signed_y(q.y, d.negative != negated);
        add(sum.z * table.scale, q);
    }

    void run() noexcept {
        constexpr size_t half_windows = generator_windows / 2;
        size_t window = point_windows - 1;
        size_t generator_window = half_windows;
        const Affine top = first_at(window);
        sum = {top.x, top.y, one};
        add(sum.z, second_at(window));
        // Down to the next place where a window of R or of G begins, until both are at 0.
        size_t bit = point_window_bits * window;
        while (bit != 0) {
            const size_t next_point = point_window_bits * (window - 1);
            const size_t next_generator = generator_window_bits * (generator_window - 1);
            const size_t next = std::max(next_point, next_generator);
            double_sum(bit - next);
            bit = next;
            if (bit == next_point) {
                --window;
                add(sum.z, first_at(window));
                add(sum.z, second_at(window));
            }
            if (bit == next_generator) {
                --generator_window;
                add_generator(generator.low, generator_window);
                add_generator(generator.high, half_windows + generator_window);
            }
        }
    }
};

Field x_of_lane(const LaneInput& in, size_t lane) noexcept {
    uint64_t l[5];
    for (size_t i = 0; i < 5; ++i) { l[i] = in.x[i][lane]; }
    return {{l[0] | l[1] << 52, l[1] >> 12 | l[2] << 40, l[2] >> 24 | l[3] << 28,
             l[3] >> 36 | l[4] << 16}};
}

/// u1 G + u2 R of one lane, with z = 0 after an exception; false when no point has this x.
bool sum_of_lane(const LaneInput& in, size_t lane, const GeneratorTables& tables,
                 Jacobian& sum) noexcept {
    const Field x = x_of_lane(in, lane);
    // No point has x = 0: 7 is no square. It marks a lane without a job.
    if (x.is_zero()) { return false; }
    const Field yy = square(x) * x + Field{{7, 0, 0, 0}};
    Field y = square_root_candidate(yy);
    if (!(square(y) - yy).is_zero()) { return false; }
    if ((y.canonical().w[0] & 1) != in.y_parity[lane]) { y = Field{} - y; }
    Chain chain(in, lane, tables);
    chain.table.fill({x, y});
    chain.run();
    sum = {chain.sum.x, signed_y(chain.sum.y, chain.negated), chain.sum.z * chain.table.scale};
    return true;
}

void set_bit(uint8_t& bits, size_t lane) noexcept {
    bits = static_cast<uint8_t>(bits | 1u << lane);
}

}  // namespace

void recover_words(const LaneInput* in, size_t lanes, const GeneratorTables& tables,
                   LaneOutput* out) noexcept {
    struct Lane {
        Jacobian sum;
        Field product;  ///< of all z before this lane
        size_t index;
    };
    std::array<Lane, chain_vectors_max * lanes_x8> finite;
    size_t count = 0;
    Field product = one;
    for (size_t i = 0; i < lanes; ++i) {
        LaneOutput& vector = out[i / lanes_x8];
        const size_t lane = i % lanes_x8;
        if (lane == 0) { vector.recovered = vector.no_point = 0; }
        Jacobian sum;
        if (!sum_of_lane(in[i / lanes_x8], lane, tables, sum)) {
            set_bit(vector.no_point, lane);
        } else if (!sum.z.is_zero()) {
            finite[count++] = {sum, product, i};
            product = product * sum.z;
        }
    }
    Field rest = inverse(product);
    while (count-- > 0) {
        const Lane& l = finite[count];
        const Field z_inverse = rest * l.product;
        rest = rest * l.sum.z;
        const Field zz = square(z_inverse);
        LaneOutput& vector = out[l.index / lanes_x8];
        const size_t lane = l.index % lanes_x8;
        store_be((l.sum.x * zz).canonical(), vector.key[lane]);
        store_be((l.sum.y * (zz * z_inverse)).canonical(), vector.key[lane] + 32);
        set_bit(vector.recovered, lane);
    }
}

}  // namespace millrace::kernels::detail
