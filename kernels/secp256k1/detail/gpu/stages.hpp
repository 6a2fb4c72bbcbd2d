// SPDX-License-Identifier: Apache-2.0
// Owns the stages of a batch of recoveries as what one thread does in each of them. The device runs
// them as kernels, the host as loops.
#pragma once

#include "kernels/keccak/detail/packed.hpp"
#include "kernels/secp256k1/detail/gpu/inverse.hpp"
#include "kernels/secp256k1/detail/gpu/point.hpp"

namespace millrace::kernels::gpu {

/// One signature as the host hands it over; limbs are least significant first.
struct RecoverSlot {
    uint32_t digest[8];  ///< 32 big-endian bytes, as they lie
    uint32_t r[8];
    uint32_t s[8];
    uint32_t y_parity;
    uint32_t tag;  ///< comes back with the result
    uint32_t unused[6];
};
static_assert(sizeof(RecoverSlot) == 128);

/// Zero is no verdict, so that a result that was never written is not taken for one.
enum Verdict : uint32_t {
    verdict_valid = 1,
    verdict_invalid = 2,  ///< r or s out of range, parity above 1, or no point with x = r
    verdict_redo = 3,     ///< an addition met its exceptional case: libsecp256k1 decides
};

struct RecoverOutput {
    uint32_t address[5];  ///< 20 bytes, as they lie; zero unless valid
    uint32_t verdict;
    uint32_t tag;
    uint32_t unused;
};
static_assert(sizeof(RecoverOutput) == 32);

/// Device memory of one batch of up to `capacity` signatures. Numbers are limb-major: limb l of
/// item i is at [l * capacity + i], so that the threads of a warp read neighbouring words.
struct Workspace {
    uint32_t capacity;
    uint32_t* x;                 ///< 8 limbs: of the signature's point, then of the result
    uint32_t* y;                 ///< 8 limbs
    uint32_t* z;                 ///< 8 limbs, of the result
    uint32_t* prefix;            ///< 8 limbs: products of the items before, while inverting
    uint8_t* point_digits;       ///< [half * point_windows + window][item]
    uint16_t* generator_digits;  ///< [window][item]
    uint32_t* verdict;           ///< [item]
    PointTable* tables;          ///< [item]
};

template <class Number>
MILLRACE_GPU Number load(const uint32_t* limbs, uint32_t capacity, uint32_t item) {
    Number r;
#pragma unroll
    for (uint32_t l = 0; l < 8; ++l) { r.v[l] = limbs[size_t{l} * capacity + item]; }
    return r;
}

template <class Number>
MILLRACE_GPU void store(uint32_t* limbs, uint32_t capacity, uint32_t item, const Number& n) {
#pragma unroll
    for (uint32_t l = 0; l < 8; ++l) { limbs[size_t{l} * capacity + item] = n.v[l]; }
}

/// The other byte order.
MILLRACE_GPU uint32_t swapped(uint32_t v) {
    return v << 24 | (v & 0xff00) << 8 | (v >> 8 & 0xff00) | v >> 24;
}

/// First stage: the checks of range, and the signature's point from x = r.
MILLRACE_GPU void prepare(const Workspace& w, const RecoverSlot* slots, uint32_t item) {
    const RecoverSlot& slot = slots[item];
    Field x;
    uint32_t s[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        x.v[i] = slot.r[i];
        s[i] = slot.s[i];
    }
    const uint32_t parity = slot.y_parity;
    bool valid = parity <= 1 && is_in_order(x.v) && is_in_order(s);
    // r + n is never taken for x, and r < n < p is its own residue.
    const Field y_squared = add(mul(sqr(x), x), field_of(7));
    Field y = square_root(y_squared);
    valid = valid && equal(sqr(y), y_squared);
    y = normalized(y);
    y = negate_if((y.v[0] & 1) != parity, y);
    store(w.x, w.capacity, item, x);
    store(w.y, w.capacity, item, y);
    w.verdict[item] = valid ? verdict_valid : verdict_invalid;
}

/// Replaces the numbers of the items first, first + stride, .. below count by their inverses, which
/// `take(item, inverse)` gets in reverse order, by one inversion (Montgomery's trick). `give(item)`
/// must not be zero; a caller gives one for an item that has no inverse, so that it spoils no
/// other.
template <class Number, class Modulus, class Give, class Take>
MILLRACE_GPU void invert_all(const Workspace& w, uint32_t first, uint32_t stride, uint32_t count,
                             Give give, Take take) {
    if (first >= count) { return; }
    Number product = give(first);
    uint32_t item = first;
    for (uint32_t next = first + stride; next < count; next += stride) {
        store(w.prefix, w.capacity, next, product);
        product = mul(product, give(next));
        item = next;
    }
    Number inverse = normalized(product);
    invert<Modulus>(inverse.v, inverse.v);
    while (item != first) {
        take(item, mul(inverse, load<Number>(w.prefix, w.capacity, item)));
        inverse = mul(inverse, give(item));
        item -= stride;
    }
    take(first, inverse);
}

MILLRACE_GPU Scalar normalized(const Scalar& a) { return reduce_once(a.v); }

/// Second stage: u1 = -z / r and u2 = s / r modulo n, as the digits of the third.
MILLRACE_GPU void make_digits(const Workspace& w, const RecoverSlot* slots, uint32_t first,
                              uint32_t stride, uint32_t count) {
    const auto give = [&](uint32_t item) {
        Scalar r;
        const bool valid = w.verdict[item] == verdict_valid;
#pragma unroll
        for (int i = 0; i < 8; ++i) { r.v[i] = valid ? slots[item].r[i] : i == 0; }
        return r;
    };
    const auto take = [&](uint32_t item, const Scalar& inverse) {
        const RecoverSlot& slot = slots[item];
        Scalar s;
        Scalar z;
#pragma unroll
        for (int i = 0; i < 8; ++i) {
            s.v[i] = slot.s[i];
            z.v[i] = swapped(slot.digest[7 - i]);
        }
        SplitWindows halves = split(mul(s, inverse));
        uint8_t* const point_digits = w.point_digits + item;
#pragma unroll 1
        for (uint32_t i = 0; i < point_windows; ++i) {
            point_digits[size_t{i} * w.capacity] =
                static_cast<uint8_t>(take_digit<point_window_bits>(halves.first));
            point_digits[size_t{point_windows + i} * w.capacity] =
                static_cast<uint8_t>(take_digit<point_window_bits>(halves.second));
        }
        // The digits of z / r, negated all at once.
        GeneratorWindows windows = generator_windows_of(mul(z, inverse));
        const uint32_t sign = windows.negated ? 0 : 1u << (generator_window_bits - 1);
        uint16_t* const generator_digits = w.generator_digits + item;
#pragma unroll 1
        for (uint32_t i = 0; i < generator_windows; ++i) {
            generator_digits[size_t{i} * w.capacity] =
                static_cast<uint16_t>(take_digit<generator_window_bits>(windows.v) ^ sign);
        }
    };
    invert_all<Scalar, OrderModulus>(w, first, stride, count, give, take);
}

/// Third stage: the multiples of the signature's point, and their common z.
MILLRACE_GPU void tabulate(const Workspace& w, uint32_t item) {
    if (w.verdict[item] != verdict_valid) { return; }
    const Affine point{load<Field>(w.x, w.capacity, item), load<Field>(w.y, w.capacity, item)};
    store(w.z, w.capacity, item, make_table(point, w.tables[item]));
}

/// Fourth stage: u2 R + u1 G. `generator_table` is described in generator_table.hpp.
MILLRACE_GPU void multiply(const Workspace& w, const Affine* generator_table, uint32_t item) {
    if (w.verdict[item] != verdict_valid) { return; }
    const PointTable& table = w.tables[item];
    Jacobian sum;
    const uint8_t* digits = w.point_digits + item;
    constexpr uint32_t point_half = 1u << (point_window_bits - 1);
    // The highest digit of the first half starts the sum; the additions follow window by window.
#pragma unroll 1
    for (int window = point_windows - 1; window >= 0; --window) {
        const bool starts = window == point_windows - 1;
        if (!starts) {
#pragma unroll 1
            for (int i = 0; i < point_window_bits; ++i) { sum = doubled(sum); }
        }
#pragma unroll 1
        for (int half = 0; half < 2; ++half) {
            const uint32_t digit = digits[size_t(half * point_windows + window) * w.capacity];
            const TableEntry& entry = table.entries[digit & (point_half - 1)];
            const Affine point{half == 0 ? entry.point.x : entry.beta_x,
                               negate_if((digit & point_half) != 0, entry.point.y)};
            if (starts && half == 0) {
                sum = {point.x, point.y, field_of(1)};
            } else {
                sum = add_affine(sum, point);
            }
        }
    }
    // Back to the curve, where the multiples of the generator are.
    sum.z = mul(sum.z, load<Field>(w.z, w.capacity, item));
    constexpr uint32_t generator_half = 1u << (generator_window_bits - 1);
#pragma unroll 1
    for (int window = 0; window < generator_windows; ++window) {
        const uint32_t digit = w.generator_digits[size_t(window) * w.capacity + item];
        const Affine& entry =
            generator_table[window * generator_table_row + (digit & (generator_half - 1))];
        sum = add_affine(sum, {entry.x, negate_if((digit & generator_half) != 0, entry.y)});
    }
    store(w.x, w.capacity, item, sum.x);
    store(w.y, w.capacity, item, sum.y);
    store(w.z, w.capacity, item, sum.z);
    if (is_zero(sum.z)) { w.verdict[item] = verdict_redo; }
}

/// Last stage: the address of the result.
MILLRACE_GPU void finish(const Workspace& w, const RecoverSlot* slots, RecoverOutput* outputs,
                         const uint64_t* round_constants, uint32_t first, uint32_t stride,
                         uint32_t count) {
    const auto give = [&](uint32_t item) {
        return w.verdict[item] == verdict_valid ? load<Field>(w.z, w.capacity, item) : field_of(1);
    };
    const auto take = [&](uint32_t item, const Field& inverse) {
        const uint32_t verdict = w.verdict[item];
        RecoverOutput& output = outputs[item];
        output.verdict = verdict;
        output.tag = slots[item].tag;
        output.unused = 0;
        if (verdict != verdict_valid) {
#pragma unroll
            for (int i = 0; i < 5; ++i) { output.address[i] = 0; }
            return;
        }
        const Field inverse2 = sqr(inverse);
        const Field x = normalized(mul(load<Field>(w.x, w.capacity, item), inverse2));
        const Field y = normalized(mul(load<Field>(w.y, w.capacity, item), mul(inverse2, inverse)));
        uint64_t words[8];
#pragma unroll
        for (int i = 0; i < 4; ++i) {
            words[i] = uint64_t{swapped(x.v[6 - 2 * i])} << 32 | swapped(x.v[7 - 2 * i]);
            words[4 + i] = uint64_t{swapped(y.v[6 - 2 * i])} << 32 | swapped(y.v[7 - 2 * i]);
        }
        uint64_t digest[4];
        kernels::detail::keccak256_packed(words, 64, round_constants, digest);
        // The last 20 of 32 bytes.
        output.address[0] = static_cast<uint32_t>(digest[1] >> 32);
        output.address[1] = static_cast<uint32_t>(digest[2]);
        output.address[2] = static_cast<uint32_t>(digest[2] >> 32);
        output.address[3] = static_cast<uint32_t>(digest[3]);
        output.address[4] = static_cast<uint32_t>(digest[3] >> 32);
    };
    invert_all<Field, FieldModulus>(w, first, stride, count, give, take);
}

}  // namespace millrace::kernels::gpu
