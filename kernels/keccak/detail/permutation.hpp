// SPDX-License-Identifier: Apache-2.0
// Owns one round of Keccak-f[1600] on 64-bit lanes, shared by the scalar and the CUDA back end.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/batch/detail/inline.hpp"

namespace millrace::kernels::detail {

inline constexpr size_t keccak_lanes = 25;
inline constexpr size_t keccak_rounds = 24;
inline constexpr size_t keccak256_rate_lanes = 17;

/// Iota (FIPS 202, 3.2.5).
inline constexpr uint64_t keccak_round_constants[keccak_rounds] = {
    0x0000000000000001, 0x0000000000008082, 0x800000000000808a, 0x8000000080008000,
    0x000000000000808b, 0x0000000080000001, 0x8000000080008081, 0x8000000000008009,
    0x000000000000008a, 0x0000000000000088, 0x0000000080008009, 0x000000008000000a,
    0x000000008000808b, 0x800000000000008b, 0x8000000000008089, 0x8000000000008003,
    0x8000000000008002, 0x8000000000000080, 0x000000000000800a, 0x800000008000000a,
    0x8000000080008081, 0x8000000000008080, 0x0000000080000001, 0x8000000080008008};

/// Left rotation of lane x + 5 * y by rho (FIPS 202, 3.2.2).
MILLRACE_KERNEL_INLINE constexpr unsigned keccak_rho(size_t lane) {
    constexpr unsigned char offsets[keccak_lanes] = {0,  1, 62, 28, 27, 36, 44, 6,  55,
                                                     20, 3, 10, 43, 25, 39, 41, 45, 15,
                                                     21, 8, 18, 2,  61, 56, 14};
    return offsets[lane];
}

MILLRACE_KERNEL_INLINE constexpr uint64_t keccak_rotate_left(uint64_t v, unsigned n) {
    return (v << n) | (v >> ((64 - n) & 63));
}

/// Theta on a lane: a ^ d, where d = left ^ turned comes from the columns at both sides.
MILLRACE_KERNEL_INLINE constexpr uint64_t keccak_theta(uint64_t a, uint64_t left, uint64_t turned,
                                                       uint64_t d) {
#if defined(__CUDA_ARCH__)
    // A device has one instruction for a ^ left ^ turned. nvcc would keep d, since five lanes use
    // it, and take 8 % more instructions for a permutation.
    (void)d;
    uint64_t sum = 0;
    asm("{\n"
        ".reg .b32 %%al, %%ah, %%bl, %%bh, %%cl, %%ch;\n"
        "mov.b64 {%%al, %%ah}, %1;\n"
        "mov.b64 {%%bl, %%bh}, %2;\n"
        "mov.b64 {%%cl, %%ch}, %3;\n"
        "lop3.b32 %%al, %%al, %%bl, %%cl, 0x96;\n"
        "lop3.b32 %%ah, %%ah, %%bh, %%ch, 0x96;\n"
        "mov.b64 %0, {%%al, %%ah};\n"
        "\t}"
        : "=l"(sum)
        : "l"(a), "l"(left), "l"(turned));
    return sum;
#else
    (void)left;
    (void)turned;
    return a ^ d;
#endif
}

/// One round from `a` to `e`, two different arrays of 25 lanes. Every index is a constant once the
/// loops are unrolled, so a caller that inlines this keeps known lanes folded and drops the lanes
/// that it never reads.
MILLRACE_KERNEL_INLINE void keccak_round(const uint64_t* a, uint64_t* e, uint64_t round_constant) {
    uint64_t c[5];
    uint64_t turned[5];
    uint64_t d[5];
#pragma unroll
    for (size_t x = 0; x < 5; ++x) { c[x] = a[x] ^ a[x + 5] ^ a[x + 10] ^ a[x + 15] ^ a[x + 20]; }
#pragma unroll
    for (size_t x = 0; x < 5; ++x) {
        turned[x] = keccak_rotate_left(c[(x + 1) % 5], 1);
        d[x] = c[(x + 4) % 5] ^ turned[x];
    }
#pragma unroll
    for (size_t y = 0; y < 5; ++y) {
        // Pi moves lane (x + 3y mod 5, x) to (x, y).
        uint64_t b[5];
#pragma unroll
        for (size_t x = 0; x < 5; ++x) {
            const size_t column = (x + 3 * y) % 5;
            const size_t lane = column + 5 * x;
            const uint64_t mixed =
                keccak_theta(a[lane], c[(column + 4) % 5], turned[column], d[column]);
            b[x] = keccak_rotate_left(mixed, keccak_rho(lane));
        }
#pragma unroll
        for (size_t x = 0; x < 5; ++x) { e[x + 5 * y] = b[x] ^ (~b[(x + 1) % 5] & b[(x + 2) % 5]); }
    }
    e[0] ^= round_constant;
}

}  // namespace millrace::kernels::detail
