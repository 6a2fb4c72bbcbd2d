// SPDX-License-Identifier: Apache-2.0
// Owns the Keccak-256 of one message in AVX-512 registers; it alone is compiled for that unit.

// The linker keeps one copy of an inline function, and it must not be the one compiled here, which
// other CPUs cannot run. So nothing is included that could leave an inline function behind, and
// everything but the three entries is local to this file.
#include "kernels/keccak/detail/avx512.hpp"

#include <immintrin.h>

#include <cstddef>
#include <cstdint>

#include "kernels/keccak/detail/permutation.hpp"

namespace millrace::kernels::detail {

namespace {

// The state is five vectors of five lanes; elements 5 to 7 are never read. Coordinates and element
// numbers are taken modulo 5. A layout (p, q) puts into element e of vector v the lane
//
//     x = v + p * e,   y = q * e.
//
// Then chi needs no shuffle: the lanes (x + 1, y) and (x + 2, y) lie in the same element of the
// next two vectors. Each vector is a line of slope k = p / q in the plane of lanes, and pi maps
// lines to lines: (x, y) goes to (y, 2x + 3y), so vector (1 - k) * v of slope k becomes vector v of
// slope 2 / (1 - k), up to the order of its elements. From slope 2 this gives 3, then 4, then 1,
// and slope 1 would be followed by whole planes, where chi does need shuffles. Slope 1 is therefore
// sheared back to slope 2 with blends, which move nothing between elements. The state rests in
// slope 1 between blocks; three rounds and one shear repeat eight times.
//
// One round reads each vector through two shuffles, both straight after chi: one brings lanes of
// equal x together for the column parities, one brings them to their places after pi. The parities
// do not need the shear, which so stays off the longest chain of dependent instructions. Theta's
// parities of the columns x - 1 and x + 1 are rotations of one vector of parities, made in the
// order that the target layout asks for. That chain (chi, shuffle, parity, shuffle, sum, rotation)
// sets the time: everything else fills the gaps.

using Vector = __m512i;

struct alignas(64) Elements {
    uint64_t values[8];
};

constexpr size_t lanes = 5;
constexpr uint64_t last_rate_bit = uint64_t{1} << 63;

constexpr int mod5(int v) { return (v % 5 + 5) % 5; }
/// 1 / v modulo 5; v is not 0.
constexpr int inverse(int v) { return mod5(v * v * v); }
constexpr size_t lane_at(int x, int y) { return static_cast<size_t>(mod5(x) + 5 * mod5(y)); }

struct Layout {
    int p;
    int q;
};

/// One of the three rounds of the cycle: the layouts in which the parities and the lanes are read,
/// and the layout that it leaves.
struct Round {
    Layout parities;
    Layout from;
    Layout to;

    /// 1 - k: how the vectors are renamed by pi.
    constexpr int renaming() const { return mod5(1 - from.p * inverse(from.q)); }
    /// The parities are gathered with column step() * f in element f: element e of the target
    /// vector v then takes its column, v + step() * e, by a rotation of elements.
    constexpr int step() const { return mod5(to.p + 3 * to.q); }
};

// The free choices of q keep nearly all shuffles plain rotations of elements (scale 1).
constexpr Round cycle[] = {{.parities = {1, 1}, .from = {2, 1}, .to = {1, 2}},
                           {.parities = {1, 2}, .from = {1, 2}, .to = {2, 3}},
                           {.parities = {2, 3}, .from = {2, 3}, .to = {1, 1}}};
constexpr size_t cycle_rounds = 3;
static_assert(keccak_rounds % cycle_rounds == 0);

/// Shuffles that take element scale * e + offset to element e, for scales 1 and 2.
struct Shuffles {
    Elements indices[2][lanes];
};
constexpr Shuffles shuffles = [] {
    Shuffles out{};
    for (int scale = 1; scale <= 2; ++scale) {
        for (int offset = 0; offset < 5; ++offset) {
            for (int e = 0; e < 8; ++e) {
                out.indices[scale - 1][offset].values[e] =
                    static_cast<uint64_t>(e < 5 ? mod5(scale * e + offset) : e);
            }
        }
    }
    return out;
}();

/// Rho for the vectors of each target layout.
struct Rotations {
    Elements bits[cycle_rounds][lanes];
};
constexpr Rotations rotations = [] {
    Rotations out{};
    for (size_t r = 0; r < cycle_rounds; ++r) {
        for (int v = 0; v < 5; ++v) {
            for (int e = 0; e < 5; ++e) {
                // Pi backwards: (x, y) came from (x + 3y, x).
                const int x = v + cycle[r].to.p * e;
                const int y = cycle[r].to.q * e;
                out.bits[r][v].values[e] = keccak_rho(lane_at(x + 3 * y, x));
            }
        }
    }
    return out;
}();

/// Iota of a round is added when the next one reads the state, off the longest chain.
struct DelayedConstants {
    uint64_t before[keccak_rounds];
};
constexpr DelayedConstants delayed_constants = [] {
    DelayedConstants out{};
    for (size_t i = 1; i < keccak_rounds; ++i) { out.before[i] = keccak_round_constants[i - 1]; }
    return out;
}();

MILLRACE_KERNEL_INLINE Vector load(const Elements& e) { return _mm512_load_si512(e.values); }

/// `value` in element 0, which is lane (0, 0) of vector 0 in every layout.
MILLRACE_KERNEL_INLINE Vector in_first(const uint64_t& value) {
    return _mm512_zextsi128_si512(_mm_loadl_epi64(reinterpret_cast<const __m128i*>(&value)));
}

template <int scale, int offset>
MILLRACE_KERNEL_INLINE Vector shuffle(Vector v) {
    static_assert(scale == 1 || scale == 2);
    if constexpr (scale == 1 && mod5(offset) == 0) {
        return v;
    } else {
        return _mm512_permutexvar_epi64(load(shuffles.indices[scale - 1][mod5(offset)]), v);
    }
}

MILLRACE_KERNEL_INLINE Vector add(Vector a, Vector b) { return _mm512_xor_si512(a, b); }
MILLRACE_KERNEL_INLINE Vector add(Vector a, Vector b, Vector c) {
    return _mm512_ternarylogic_epi64(a, b, c, 0x96);
}
/// a ^ (~b & c)
MILLRACE_KERNEL_INLINE Vector chi(Vector a, Vector b, Vector c) {
    return _mm512_ternarylogic_epi64(a, b, c, 0xd2);
}

/// One round without its iota. `a` holds the lanes in the layout of the parities and takes the
/// result, `sheared` holds them in the layout `from`.
template <size_t index>
MILLRACE_KERNEL_INLINE void round(Vector* a, const Vector* sheared,
                                  const uint64_t& previous_constant) {
    constexpr Round r = cycle[index];
    const Vector iota = in_first(previous_constant);

    constexpr int step = r.step();
    constexpr int p = inverse(r.parities.p);
    constexpr int s = mod5(step * p);
    const Vector parity =
        add(shuffle<s, -3 * p>(a[3]), add(shuffle<s, 0>(a[0]), shuffle<s, -4 * p>(a[4]), iota),
            add(shuffle<s, -2 * p>(a[2]), shuffle<s, -p>(a[1])));

    // Lanes after pi, before theta is added.
    constexpr int q = inverse(r.from.q);
    constexpr int t = mod5(r.to.p * q);
    constexpr int m = r.renaming();
    const Vector b0 = shuffle<t, 0>(add(sheared[0], iota));
    const Vector b1 = shuffle<t, q>(sheared[mod5(m)]);
    const Vector b2 = shuffle<t, 2 * q>(sheared[mod5(2 * m)]);
    const Vector b3 = shuffle<t, 3 * q>(sheared[mod5(3 * m)]);
    const Vector b4 = shuffle<t, 4 * q>(sheared[mod5(4 * m)]);

    // left<i> serves vector i + 1, right<i> vector i - 1.
    constexpr int u = inverse(step);
    const Vector left1 = shuffle<1, u>(parity);
    const Vector left2 = shuffle<1, 2 * u>(parity);
    const Vector left3 = shuffle<1, 3 * u>(parity);
    const Vector left4 = shuffle<1, 4 * u>(parity);
    const Vector right0 = _mm512_rol_epi64(parity, 1);
    const Vector right1 = _mm512_rol_epi64(left1, 1);
    const Vector right2 = _mm512_rol_epi64(left2, 1);
    const Vector right3 = _mm512_rol_epi64(left3, 1);
    const Vector right4 = _mm512_rol_epi64(left4, 1);

    const Elements* const rho = rotations.bits[index];
    const Vector c0 = _mm512_rolv_epi64(add(right1, left4, b0), load(rho[0]));
    const Vector c1 = _mm512_rolv_epi64(add(right2, add(parity, b1)), load(rho[1]));
    const Vector c2 = _mm512_rolv_epi64(add(right3, left1, b2), load(rho[2]));
    const Vector c3 = _mm512_rolv_epi64(add(right4, left2, b3), load(rho[3]));
    const Vector c4 = _mm512_rolv_epi64(add(left3, add(right0, b4)), load(rho[4]));
    // The order of statements in this function moves the time by some 5 %: of about two hundred
    // tried on a Zen 5, this one was among the quickest.
    a[0] = chi(c0, c1, c2);
    a[4] = chi(c4, c0, c1);
    a[3] = chi(c3, c4, c0);
    a[2] = chi(c2, c3, c4);
    a[1] = chi(c1, c2, c3);
}

/// From layout (1, 1) to (2, 1): element e of vector v is that of vector v + e. Elements 1 and 3
/// first come from the next vector, then 2 and 3 from the second next, then 4 from the fourth.
MILLRACE_KERNEL_INLINE void shear(const Vector* a, Vector* out) {
    Vector t[lanes];
#pragma unroll
    for (size_t v = 0; v < lanes; ++v) {
        t[v] = _mm512_mask_blend_epi64(0b01010, a[v], a[(v + 1) % lanes]);
    }
#pragma unroll
    for (size_t v = 0; v < lanes; ++v) {
        const Vector low = _mm512_mask_blend_epi64(0b01100, t[v], t[(v + 2) % lanes]);
        out[v] = _mm512_mask_blend_epi64(0b10000, low, t[(v + 4) % lanes]);
    }
}

MILLRACE_KERNEL_INLINE void permute(Vector* a) {
#pragma clang loop unroll(disable)
    for (size_t i = 0; i < keccak_rounds; i += cycle_rounds) {
        Vector sheared[lanes];
        shear(a, sheared);
        round<0>(a, sheared, delayed_constants.before[i]);
        round<1>(a, a, delayed_constants.before[i + 1]);
        round<2>(a, a, delayed_constants.before[i + 2]);
    }
    a[0] = add(a[0], in_first(keccak_round_constants[keccak_rounds - 1]));
}

/// Lanes (0, 0) to (3, 0) are element 0 of the vectors 0 to 3.
MILLRACE_KERNEL_INLINE void squeeze(const Vector* a, uint8_t* digest) {
    __m128i* const out = reinterpret_cast<__m128i*>(digest);
    _mm_storeu_si128(
        out, _mm_unpacklo_epi64(_mm512_castsi512_si128(a[0]), _mm512_castsi512_si128(a[1])));
    _mm_storeu_si128(
        out + 1, _mm_unpacklo_epi64(_mm512_castsi512_si128(a[2]), _mm512_castsi512_si128(a[3])));
}

/// Where element e of vector v of layout (1, 1) lies among the 25 lanes.
constexpr size_t resting_lane(int v, int e) { return lane_at(v + e, e); }

/// Picks for a message of `words` whole lanes: from the message (0 to 7) or its padding (8 to 10).
struct Picks {
    Elements indices[lanes];
};
constexpr Picks short_picks(size_t words) {
    Picks out{};
    for (int v = 0; v < 5; ++v) {
        for (int e = 0; e < 8; ++e) {
            const size_t lane = e < 5 ? resting_lane(v, e) : keccak_lanes;
            uint64_t pick = 10;
            if (lane < words) { pick = lane; }
            if (lane == words) { pick = 8; }
            if (lane == keccak256_rate_lanes - 1) { pick = 9; }
            out.indices[v].values[e] = pick;
        }
    }
    return out;
}
template <size_t words>
constexpr Picks picks_of = short_picks(words);
constexpr Elements short_padding{{1, last_rate_bit}};

template <size_t words>
MILLRACE_KERNEL_INLINE void hash_words(Vector message, uint8_t* digest) {
    static_assert(words <= 8);
    Vector a[lanes];
#pragma unroll
    for (size_t v = 0; v < lanes; ++v) {
        a[v] = _mm512_permutex2var_epi64(message, load(picks_of<words>.indices[v]),
                                         load(short_padding));
    }
    permute(a);
    squeeze(a, digest);
}

/// Picks of a whole block: from its first 8 lanes (0 to 7) or the next 8 (8 to 15). Lane 16 and
/// the capacity are masked out.
struct BlockPicks {
    Elements indices[lanes];
    __mmask8 taken[lanes];
};
constexpr BlockPicks block_picks = [] {
    BlockPicks out{};
    for (int v = 0; v < 5; ++v) {
        for (int e = 0; e < 5; ++e) {
            const size_t lane = resting_lane(v, e);
            if (lane < 16) {
                out.indices[v].values[e] = lane;
                out.taken[v] = static_cast<__mmask8>(out.taken[v] | 1 << e);
            }
        }
    }
    return out;
}();
constexpr int lane_16_vector = 3;
constexpr int lane_16_element = 3;
static_assert(resting_lane(lane_16_vector, lane_16_element) == 16);

MILLRACE_KERNEL_INLINE void absorb(Vector* a, Vector first, Vector second, uint64_t lane_16) {
#pragma unroll
    for (size_t v = 0; v < lanes; ++v) {
        a[v] = add(a[v], _mm512_maskz_permutex2var_epi64(block_picks.taken[v], first,
                                                         load(block_picks.indices[v]), second));
    }
    a[lane_16_vector] =
        _mm512_mask_xor_epi64(a[lane_16_vector], 1 << lane_16_element, a[lane_16_vector],
                              _mm512_set1_epi64(static_cast<long long>(lane_16)));
}

/// The low min(n, 64) bits.
MILLRACE_KERNEL_INLINE uint64_t low_bits(size_t n) { return _bzhi_u64(~uint64_t{0}, n); }

}  // namespace

void keccak256_32_avx512(const uint8_t* message, uint8_t* digest) noexcept {
    hash_words<4>(
        _mm512_zextsi256_si512(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(message))),
        digest);
}

void keccak256_64_avx512(const uint8_t* message, uint8_t* digest) noexcept {
    hash_words<8>(_mm512_loadu_si512(message), digest);
}

void keccak256_avx512(const uint8_t* message, size_t bytes, uint8_t* digest) noexcept {
    constexpr size_t rate_bytes = 8 * keccak256_rate_lanes;
    Vector a[lanes] = {};
    const uint8_t* p = message;
    size_t left = bytes;
    for (; left >= rate_bytes; left -= rate_bytes) {
        uint64_t lane_16;
        __builtin_memcpy(&lane_16, p + 128, sizeof lane_16);
        absorb(a, _mm512_loadu_si512(p), _mm512_loadu_si512(p + 64), lane_16);
        permute(a);
        p += rate_bytes;
    }
    // Masked loads touch no byte past the end of the message.
    const Vector one = _mm512_set1_epi8(1);
    Vector first = _mm512_maskz_loadu_epi8(low_bits(left), p);
    Vector second = _mm512_setzero_si512();
    uint64_t lane_16 = last_rate_bit;
    if (left < 64) {
        first = _mm512_mask_mov_epi8(first, uint64_t{1} << left, one);
    } else {
        const size_t rest = left - 64;
        second = _mm512_maskz_loadu_epi8(low_bits(rest), p + 64);
        if (rest < 64) {
            second = _mm512_mask_mov_epi8(second, uint64_t{1} << rest, one);
        } else {
            const size_t last = rest - 64;
            const __m128i tail =
                _mm_maskz_loadu_epi8(static_cast<__mmask16>(low_bits(last)), p + 128);
            lane_16 ^= static_cast<uint64_t>(_mm_cvtsi128_si64(tail)) ^ uint64_t { 1 }
                                                                            << (8 * last);
        }
    }
    absorb(a, first, second, lane_16);
    permute(a);
    squeeze(a, digest);
}

}  // namespace millrace::kernels::detail
