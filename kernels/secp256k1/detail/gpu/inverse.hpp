// SPDX-License-Identifier: Apache-2.0
// Owns inversion modulo a 256-bit prime by division steps, without a branch on the data.
//
// Bernstein and Yang, "Fast constant-time gcd computation and modular inversion" (2019), in the
// variant that starts with delta = 1/2, for which 590 steps suffice for 256-bit inputs (Wuille,
// "bounds for safegcd", 2021). Steps are taken 30 at a time on the low words and then applied to
// the numbers, which are kept as nine signed limbs of 30 bits.
#pragma once

#include "kernels/secp256k1/detail/gpu/carry.hpp"

namespace millrace::kernels::gpu {

inline constexpr int inverse_limbs = 9;
inline constexpr int inverse_limb_bits = 30;
inline constexpr int32_t inverse_limb_mask = (1 << inverse_limb_bits) - 1;
inline constexpr int inverse_rounds = 20;
static_assert(inverse_rounds * inverse_limb_bits >= 590);

/// A number as the sum of v[i] * 2^(30 i).
struct Signed30 {
    int32_t v[inverse_limbs];
};

/// Limb `i` of 30 bits of a number of eight 32-bit limbs, which `limb(j)` gives.
template <class Limb>
MILLRACE_GPU constexpr int32_t limb30(Limb limb, int i) {
    const int bit = inverse_limb_bits * i;
    const uint64_t low = limb(bit / 32);
    const uint64_t high = bit / 32 < 7 ? limb(bit / 32 + 1) : 0;
    return static_cast<int32_t>((high << 32 | low) >> (bit % 32) & inverse_limb_mask);
}

/// The inverse of an odd number modulo 2^30: each step of Newton's doubles the correct bits, and
/// an odd number is its own inverse modulo 8.
MILLRACE_GPU constexpr uint32_t inverse_mod_2_30(uint32_t odd) {
    uint32_t inverse = odd;
    for (int i = 0; i < 4; ++i) { inverse *= 2 - odd * inverse; }
    return inverse & inverse_limb_mask;
}

/// What 30 division steps do to (f, g), times 2^30: f' = u f + v g and g' = q f + r g.
struct Transition {
    int32_t u;
    int32_t v;
    int32_t q;
    int32_t r;
};

/// `delta` is the paper's plus 1/2. Only the low 30 bits of f and g decide.
MILLRACE_GPU Transition division_steps(int32_t& delta, uint32_t f, uint32_t g) {
    // Unsigned, since the entries reach 2^30 in size and wrap as two's complement.
    uint32_t u = 1;
    uint32_t v = 0;
    uint32_t q = 0;
    uint32_t r = 1;
#pragma unroll 6
    for (int i = 0; i < inverse_limb_bits; ++i) {
        const uint32_t odd = 0u - (g & 1);
        const bool swap = odd != 0 && delta > 0;
        const uint32_t f_before = f;
        const uint32_t u_before = u;
        const uint32_t v_before = v;
        f = swap ? g : f;
        u = swap ? q : u;
        v = swap ? r : v;
        // g - f and g + f are both even if f and g are odd.
        g += (swap ? 0u - f_before : f_before) & odd;
        q += (swap ? 0u - u_before : u_before) & odd;
        r += (swap ? 0u - v_before : v_before) & odd;
        delta = swap ? 2 - delta : delta + 1;
        // Halving g doubles the other row of the scaled matrix.
        g >>= 1;
        u <<= 1;
        v <<= 1;
    }
    return {static_cast<int32_t>(u), static_cast<int32_t>(v), static_cast<int32_t>(q),
            static_cast<int32_t>(r)};
}

/// (f, g) = t (f, g) / 2^30, which is exact.
MILLRACE_GPU void apply(const Transition& t, Signed30& f, Signed30& g) {
    int64_t cf = int64_t{t.u} * f.v[0] + int64_t{t.v} * g.v[0];
    int64_t cg = int64_t{t.q} * f.v[0] + int64_t{t.r} * g.v[0];
    cf >>= inverse_limb_bits;
    cg >>= inverse_limb_bits;
#pragma unroll
    for (int i = 1; i < inverse_limbs; ++i) {
        cf += int64_t{t.u} * f.v[i] + int64_t{t.v} * g.v[i];
        cg += int64_t{t.q} * f.v[i] + int64_t{t.r} * g.v[i];
        f.v[i - 1] = static_cast<int32_t>(cf) & inverse_limb_mask;
        g.v[i - 1] = static_cast<int32_t>(cg) & inverse_limb_mask;
        cf >>= inverse_limb_bits;
        cg >>= inverse_limb_bits;
    }
    f.v[inverse_limbs - 1] = static_cast<int32_t>(cf);
    g.v[inverse_limbs - 1] = static_cast<int32_t>(cg);
}

/// (d, e) = t (d, e) / 2^30 modulo m. Both stay in (-2m, m): a negative one is first raised by m
/// (through the factor of m), then the multiple of m that clears the low 30 bits is added.
template <class Modulus>
MILLRACE_GPU void apply_modulo(const Transition& t, Signed30& d, Signed30& e) {
    constexpr uint32_t inverse = inverse_mod_2_30(static_cast<uint32_t>(Modulus::limb(0)));
    const int32_t d_negative = d.v[inverse_limbs - 1] >> 31;
    const int32_t e_negative = e.v[inverse_limbs - 1] >> 31;
    int32_t md = (t.u & d_negative) + (t.v & e_negative);
    int32_t me = (t.q & d_negative) + (t.r & e_negative);
    int64_t cd = int64_t{t.u} * d.v[0] + int64_t{t.v} * e.v[0];
    int64_t ce = int64_t{t.q} * d.v[0] + int64_t{t.r} * e.v[0];
    md -= static_cast<int32_t>((inverse * static_cast<uint32_t>(cd) + static_cast<uint32_t>(md)) &
                               inverse_limb_mask);
    me -= static_cast<int32_t>((inverse * static_cast<uint32_t>(ce) + static_cast<uint32_t>(me)) &
                               inverse_limb_mask);
    cd += int64_t{limb30(Modulus::limb, 0)} * md;
    ce += int64_t{limb30(Modulus::limb, 0)} * me;
    cd >>= inverse_limb_bits;
    ce >>= inverse_limb_bits;
#pragma unroll
    for (int i = 1; i < inverse_limbs; ++i) {
        cd += int64_t{t.u} * d.v[i] + int64_t{t.v} * e.v[i];
        ce += int64_t{t.q} * d.v[i] + int64_t{t.r} * e.v[i];
        cd += int64_t{limb30(Modulus::limb, i)} * md;
        ce += int64_t{limb30(Modulus::limb, i)} * me;
        d.v[i - 1] = static_cast<int32_t>(cd) & inverse_limb_mask;
        e.v[i - 1] = static_cast<int32_t>(ce) & inverse_limb_mask;
        cd >>= inverse_limb_bits;
        ce >>= inverse_limb_bits;
    }
    d.v[inverse_limbs - 1] = static_cast<int32_t>(cd);
    e.v[inverse_limbs - 1] = static_cast<int32_t>(ce);
}

/// Adds m if x is negative, then negates if asked; limbs but the highest end in [0, 2^30).
template <class Modulus>
MILLRACE_GPU void raise_and_negate(Signed30& x, bool negate) {
    const int32_t negative = x.v[inverse_limbs - 1] >> 31;
    int32_t carry = 0;
#pragma unroll
    for (int i = 0; i < inverse_limbs; ++i) {
        int32_t limb = x.v[i] + (limb30(Modulus::limb, i) & negative);
        limb = (negate ? -limb : limb) + carry;
        carry = limb >> inverse_limb_bits;
        x.v[i] = i < inverse_limbs - 1 ? limb & inverse_limb_mask : limb;
    }
}

/// The inverse of `a` (eight limbs, below the prime) modulo the prime of `Modulus`, also below it;
/// of zero it is zero. `Modulus::limb(i)` is a constant, the limb of 32 bits.
template <class Modulus>
MILLRACE_GPU void invert(const uint32_t* a, uint32_t* inverse) {
    Signed30 d{};
    Signed30 e{};
    Signed30 f;
    Signed30 g;
    e.v[0] = 1;
#pragma unroll
    for (int i = 0; i < inverse_limbs; ++i) {
        f.v[i] = limb30(Modulus::limb, i);
        g.v[i] = limb30([a](int j) { return a[j]; }, i);
    }
    int32_t delta = 1;
#pragma unroll 1
    for (int i = 0; i < inverse_rounds; ++i) {
        const Transition t = division_steps(
            delta,
            static_cast<uint32_t>(f.v[0]) | static_cast<uint32_t>(f.v[1]) << inverse_limb_bits,
            static_cast<uint32_t>(g.v[0]) | static_cast<uint32_t>(g.v[1]) << inverse_limb_bits);
        apply_modulo<Modulus>(t, d, e);
        apply(t, f, g);
    }
    // f is the greatest common divisor 1 or -1 now, and d is f / a.
    raise_and_negate<Modulus>(d, f.v[inverse_limbs - 1] < 0);
    raise_and_negate<Modulus>(d, false);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
        const int limb = 32 * i / inverse_limb_bits;
        const int shift = 32 * i % inverse_limb_bits;
        uint64_t word = static_cast<uint32_t>(d.v[limb]);
        word |= static_cast<uint64_t>(static_cast<uint32_t>(d.v[limb + 1])) << inverse_limb_bits;
        if (limb + 2 < inverse_limbs) {
            // Bits 60 and up of three limbs; shift is below 30, so 62 bits hold what is taken.
            word |= static_cast<uint64_t>(static_cast<uint32_t>(d.v[limb + 2])) << 60;
        }
        inverse[i] = static_cast<uint32_t>(word >> shift);
    }
}

}  // namespace millrace::kernels::gpu
