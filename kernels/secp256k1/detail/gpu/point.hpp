// SPDX-License-Identifier: Apache-2.0
// Owns points of y^2 = x^3 + 7 in Jacobian coordinates and the table of odd multiples of a point.
#pragma once

#include "kernels/secp256k1/detail/gpu/field.hpp"
#include "kernels/secp256k1/detail/gpu/inverse.hpp"
#include "kernels/secp256k1/detail/gpu/scalar.hpp"

namespace millrace::kernels::gpu {

struct Affine {
    Field x;
    Field y;
};

/// The affine point (x / z^2, y / z^3).
///
/// The formulas below are incomplete: adding a point to itself or to its negative gives z = 0. No
/// operation leads from z = 0 to another z, and the curve has no point with y = 0, so z = 0 at the
/// end says exactly that some addition on the way was one of these.
struct Jacobian {
    Field x;
    Field y;
    Field z;
};

/// 2 p: 3M + 4S. With L = 3x^2/2 and T = x y^2, z is y z instead of twice that.
MILLRACE_GPU Jacobian doubled(const Jacobian& p) {
    const Field slope = three_halves(sqr(p.x));
    const Field y2 = sqr(p.y);
    const Field t = mul(p.x, y2);
    Jacobian r;
    r.z = mul(p.y, p.z);
    r.x = sub_twice(sqr(slope), t);
    r.y = mul_minus_sqr(slope, sub(t, r.x), y2);
    return r;
}

/// p + q: 8M + 3S.
MILLRACE_GPU Jacobian add_affine(const Jacobian& p, const Affine& q) {
    const Field z2 = sqr(p.z);
    const Field h = sub(mul(z2, q.x), p.x);
    const Field slope = sub(mul(mul(z2, p.z), q.y), p.y);
    Jacobian r;
    r.z = mul(p.z, h);
    const Field h2 = sqr(h);
    const Field v = mul(p.x, h2);
    const Field h3 = mul(h2, h);
    r.x = sub_and_twice(sqr(slope), h3, v);
    r.y = mul_minus_mul(slope, sub(v, r.x), p.y, h3);
    return r;
}

/// The generator (SEC 2, 2.4.1).
MILLRACE_GPU Affine generator() {
    return {{{0x16f81798, 0x59f2815b, 0x2dce28d9, 0x029bfcdb, 0xce870b07, 0x55a06295, 0xf9dcbbac,
              0x79be667e}},
            {{0xfb10d4b8, 0x9c47d08f, 0xa6855419, 0xfd17b448, 0x0e1108a8, 0x5da4fbfc, 0x26a3c465,
              0x483ada77}}};
}

/// The affine point, normalized, by an inversion of its own; z is not zero.
MILLRACE_GPU Affine to_affine(const Jacobian& p) {
    Field inverse = normalized(p.z);
    invert<FieldModulus>(inverse.v, inverse.v);
    const Field inverse2 = sqr(inverse);
    return {normalized(mul(p.x, inverse2)), normalized(mul(p.y, mul(inverse2, inverse)))};
}

/// The endomorphism (x, y) -> (beta x, y), which multiplies by lambda.
MILLRACE_GPU Field times_beta(const Field& x) {
    constexpr Field beta{{0x719501ee, 0xc1396c28, 0x12f58995, 0x9cf04975, 0xac3434e9, 0x6e64479e,
                          0x657c0710, 0x7ae96a2b}};
    return mul(beta, x);
}

/// Entry j of a table of odd multiples: (2 j + 1) P, and beta times its x.
struct TableEntry {
    Affine point;
    Field beta_x;
};

/// The multiples 1, 3, .. 31 of a point as affine points of an isomorphic curve: (x, y) of it is
/// (x / z^2, y / z^3) of the curve, where z is common to all.
struct PointTable {
    TableEntry entries[point_table_entries];
};

/// Fills the table and gives the common z.
///
/// With co-Z additions (Meloni 2007): 2P and the last multiple share their z, and a sum of two such
/// points costs 5M + 2S and brings 2P to its own z. Each entry is then scaled to the last one's z;
/// until that, `beta_x` keeps the ratio of its z to the one before (for the first, its z).
MILLRACE_GPU Field make_table(const Affine& p, PointTable& table) {
    // 2P and P with z = 2y: x(P) z^2 = 4 x y^2, y(P) z^3 = 8 y^4.
    const Field y2 = sqr(p.y);
    const Field x2 = sqr(p.x);
    const Field slope = add(add(x2, x2), x2);
    const Field two_y2 = add(y2, y2);
    Affine last;
    const Field two_xy2 = mul(p.x, two_y2);
    last.x = add(two_xy2, two_xy2);
    const Field four_y4 = sqr(two_y2);
    last.y = add(four_y4, four_y4);
    Affine twice;
    twice.x = sub_twice(sqr(slope), last.x);
    twice.y = sub(mul(slope, sub(last.x, twice.x)), last.y);
    table.entries[0].point = last;
    table.entries[0].beta_x = add(p.y, p.y);

#pragma unroll 1
    for (int i = 1; i < point_table_entries; ++i) {
        const Field ratio = sub(twice.x, last.x);
        const Field square = sqr(ratio);
        const Field w_twice = mul(twice.x, square);
        const Field w_last = mul(last.x, square);
        const Field y_twice = mul(twice.y, sub(w_twice, w_last));
        const Field difference = sub(twice.y, last.y);
        last.x = sub(sub(sqr(difference), w_twice), w_last);
        last.y = sub(mul(difference, sub(w_twice, last.x)), y_twice);
        twice.x = w_twice;
        twice.y = y_twice;
        table.entries[i].point = last;
        table.entries[i].beta_x = ratio;
    }

    Field z = table.entries[point_table_entries - 1].beta_x;
    table.entries[point_table_entries - 1].beta_x = times_beta(last.x);
#pragma unroll 1
    for (int i = point_table_entries - 2; i >= 0; --i) {
        TableEntry& entry = table.entries[i];
        const Field ratio = entry.beta_x;
        const Field z2 = sqr(z);
        // The entry is the second factor: with a first factor straight from memory nvcc 13 splits
        // each IMAD.WIDE in two.
        const Field x = mul(z2, entry.point.x);
        entry.point.y = mul(mul(z2, z), entry.point.y);
        entry.point.x = x;
        entry.beta_x = times_beta(x);
        z = mul(z, ratio);
    }
    return z;
}

}  // namespace millrace::kernels::gpu
