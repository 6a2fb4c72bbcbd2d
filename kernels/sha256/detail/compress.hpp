// SPDX-License-Identifier: Apache-2.0
// Owns the constants and the compression of SHA-256 on 32-bit words, shared by scalar and CUDA.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/batch/detail/inline.hpp"
#include "kernels/batch/detail/words_add.hpp"

namespace millrace::kernels::detail {

inline constexpr size_t sha256_rounds = 64;
inline constexpr size_t sha256_block_bytes = 64;

/// FIPS 180-4, 4.2.2: cube roots of the first 64 primes.
inline constexpr uint32_t sha256_round_constants[sha256_rounds] = {
    0x428a2f98, 0x71374491, 0xb5c0fbcf, 0xe9b5dba5, 0x3956c25b, 0x59f111f1, 0x923f82a4, 0xab1c5ed5,
    0xd807aa98, 0x12835b01, 0x243185be, 0x550c7dc3, 0x72be5d74, 0x80deb1fe, 0x9bdc06a7, 0xc19bf174,
    0xe49b69c1, 0xefbe4786, 0x0fc19dc6, 0x240ca1cc, 0x2de92c6f, 0x4a7484aa, 0x5cb0a9dc, 0x76f988da,
    0x983e5152, 0xa831c66d, 0xb00327c8, 0xbf597fc7, 0xc6e00bf3, 0xd5a79147, 0x06ca6351, 0x14292967,
    0x27b70a85, 0x2e1b2138, 0x4d2c6dfc, 0x53380d13, 0x650a7354, 0x766a0abb, 0x81c2c92e, 0x92722c85,
    0xa2bfe8a1, 0xa81a664b, 0xc24b8b70, 0xc76c51a3, 0xd192e819, 0xd6990624, 0xf40e3585, 0x106aa070,
    0x19a4c116, 0x1e376c08, 0x2748774c, 0x34b0bcb5, 0x391c0cb3, 0x4ed8aa4a, 0x5b9cca4f, 0x682e6ff3,
    0x748f82ee, 0x78a5636f, 0x84c87814, 0x8cc70208, 0x90befffa, 0xa4506ceb, 0xbef9a3f7, 0xc67178f2};

/// FIPS 180-4, 5.3.3.
MILLRACE_KERNEL_INLINE void sha256_set_initial(uint32_t* state) {
    constexpr uint32_t words[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
#pragma unroll
    for (size_t i = 0; i < 8; ++i) { state[i] = words[i]; }
}

/// Blocks that a message takes with its padding: one bit, zeros and a length of 8 bytes.
MILLRACE_KERNEL_INLINE constexpr size_t sha256_blocks(size_t bytes) {
    return (bytes + 8) / sha256_block_bytes + 1;
}

/// Bytes of a word reversed: messages and digests are big-endian.
MILLRACE_KERNEL_INLINE constexpr uint32_t sha256_reverse_bytes(uint32_t v) {
#if defined(__CUDA_ARCH__)
    return __byte_perm(v, 0, 0x0123);
#else
    return __builtin_bswap32(v);
#endif
}

MILLRACE_KERNEL_INLINE constexpr uint32_t sha256_rotate_right(uint32_t v, unsigned n) {
    return (v >> n) | (v << (32 - n));
}
MILLRACE_KERNEL_INLINE constexpr uint32_t sha256_small_sigma0(uint32_t v) {
    return sha256_rotate_right(v, 7) ^ sha256_rotate_right(v, 18) ^ (v >> 3);
}
MILLRACE_KERNEL_INLINE constexpr uint32_t sha256_small_sigma1(uint32_t v) {
    return sha256_rotate_right(v, 17) ^ sha256_rotate_right(v, 19) ^ (v >> 10);
}

/// One round with `wk`, the sum of the schedule's word and the constant. The words of the state are
/// named by their number modulo 8 instead of being moved: `t` is the round.
MILLRACE_KERNEL_INLINE constexpr void sha256_round(uint32_t* s, unsigned t, uint32_t wk) {
    const uint32_t a = s[(0 - t) & 7];
    const uint32_t b = s[(1 - t) & 7];
    const uint32_t c = s[(2 - t) & 7];
    const uint32_t e = s[(4 - t) & 7];
    const uint32_t f = s[(5 - t) & 7];
    const uint32_t g = s[(6 - t) & 7];
    const uint32_t sum1 =
        sha256_rotate_right(e, 6) ^ sha256_rotate_right(e, 11) ^ sha256_rotate_right(e, 25);
    const uint32_t choice = g ^ (e & (f ^ g));
    const uint32_t t1 = add_words(add_words(add_words(s[(7 - t) & 7], wk), choice), sum1);
    const uint32_t sum0 =
        sha256_rotate_right(a, 2) ^ sha256_rotate_right(a, 13) ^ sha256_rotate_right(a, 22);
    const uint32_t majority = (a & b) | (c & (a | b));
    s[(3 - t) & 7] = add_words(s[(3 - t) & 7], t1);
    s[(7 - t) & 7] = add_words(add_words(t1, sum0), majority);
}

/// Adds one block to `state`. `w` holds its 16 words as numbers and is used up; `constants` are the
/// round constants, passed because a device keeps its own copy. Every index is a constant once the
/// loops are unrolled.
MILLRACE_KERNEL_INLINE void sha256_compress(uint32_t* state, uint32_t* w,
                                            const uint32_t* constants) {
    uint32_t s[8];
#pragma unroll
    for (unsigned i = 0; i < 8; ++i) { s[i] = state[i]; }
#pragma unroll
    for (unsigned t = 0; t < 16; ++t) { sha256_round(s, t, add_words(w[t], constants[t])); }
#pragma unroll 1
    for (unsigned base = 16; base < sha256_rounds; base += 16) {
#pragma unroll
        for (unsigned t = 0; t < 16; ++t) {
            w[t] = add_words(w[t], sha256_small_sigma0(w[(t + 1) & 15]));
            w[t] = add_words(w[t], w[(t + 9) & 15]);
            w[t] = add_words(w[t], sha256_small_sigma1(w[(t + 14) & 15]));
            sha256_round(s, t, add_words(w[t], constants[base + t]));
        }
    }
#pragma unroll
    for (unsigned i = 0; i < 8; ++i) { state[i] = add_words(state[i], s[i]); }
}

/// Adds a block that is known beforehand, from the table of sha256_padding_schedule.
MILLRACE_KERNEL_INLINE void sha256_compress_known(uint32_t* state, const uint32_t* schedule) {
    uint32_t s[8];
#pragma unroll
    for (unsigned i = 0; i < 8; ++i) { s[i] = state[i]; }
#pragma unroll 1
    for (unsigned base = 0; base < sha256_rounds; base += 16) {
#pragma unroll
        for (unsigned t = 0; t < 16; ++t) { sha256_round(s, t, schedule[base + t]); }
    }
#pragma unroll
    for (unsigned i = 0; i < 8; ++i) { state[i] = add_words(state[i], s[i]); }
}

/// Schedule words with their round constants.
struct Sha256Schedule {
    uint32_t words[sha256_rounds];
};

/// The schedule of the block of pure padding that ends a message of whole blocks.
constexpr Sha256Schedule sha256_padding_schedule(uint64_t message_bytes) {
    uint32_t w[sha256_rounds] = {};
    w[0] = 0x80000000;
    w[14] = static_cast<uint32_t>(message_bytes >> 29);
    w[15] = static_cast<uint32_t>(message_bytes << 3);
    for (size_t t = 16; t < sha256_rounds; ++t) {
        w[t] =
            w[t - 16] + sha256_small_sigma0(w[t - 15]) + w[t - 7] + sha256_small_sigma1(w[t - 2]);
    }
    Sha256Schedule out{};
    for (size_t t = 0; t < sha256_rounds; ++t) { out.words[t] = w[t] + sha256_round_constants[t]; }
    return out;
}

/// That of a message of 64 bytes: a node of a binary tree.
inline constexpr Sha256Schedule sha256_padding_of_64 = sha256_padding_schedule(64);

}  // namespace millrace::kernels::detail
