// SPDX-License-Identifier: Apache-2.0
// Owns the constants and the compression of BLAKE3 on 32-bit words, shared by scalar and CUDA.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/batch/detail/inline.hpp"
#include "kernels/batch/detail/words_add.hpp"

namespace millrace::kernels::detail {

// Section numbers are those of the BLAKE3 paper (O'Connor, Aumasson, Neves, Wilcox-O'Hearn, 2021).

inline constexpr size_t blake3_block_bytes = 64;
inline constexpr size_t blake3_chunk_bytes = 1024;
inline constexpr size_t blake3_chunk_blocks = blake3_chunk_bytes / blake3_block_bytes;
inline constexpr size_t blake3_rounds = 7;

/// Domain flags (2.2).
inline constexpr uint32_t blake3_chunk_start = 1;
inline constexpr uint32_t blake3_chunk_end = 2;
inline constexpr uint32_t blake3_parent = 4;
inline constexpr uint32_t blake3_root = 8;

/// Table 1; the key words of the unkeyed hash.
MILLRACE_KERNEL_INLINE constexpr uint32_t blake3_initial(size_t i) {
    constexpr uint32_t words[8] = {0x6a09e667, 0xbb67ae85, 0x3c6ef372, 0xa54ff53a,
                                   0x510e527f, 0x9b05688c, 0x1f83d9ab, 0x5be0cd19};
    return words[i];
}

/// Which message word is the i-th of a round: the permutation of Table 2 applied `round` times.
MILLRACE_KERNEL_INLINE constexpr size_t blake3_word(size_t round, size_t i) {
    constexpr unsigned char permutation[16] = {2, 6,  3,  10, 7, 0,  4,  13,
                                               1, 11, 12, 5,  9, 14, 15, 8};
    size_t word = i;
    for (size_t r = 0; r < round; ++r) { word = permutation[word]; }
    return word;
}

/// Blocks that a message takes; the empty message takes one.
MILLRACE_KERNEL_INLINE constexpr size_t blake3_blocks(size_t bytes) {
    return bytes == 0 ? 1 : (bytes - 1) / blake3_block_bytes + 1;
}

MILLRACE_KERNEL_INLINE constexpr uint32_t blake3_rotate_right(uint32_t v, unsigned n) {
    return (v >> n) | (v << (32 - n));
}

/// The mixing function on four words of the state (2.2).
MILLRACE_KERNEL_INLINE constexpr void blake3_mix(uint32_t* v, size_t a, size_t b, size_t c,
                                                 size_t d, uint32_t x, uint32_t y) {
    v[a] = add_words(add_words(v[a], x), v[b]);
    v[d] = blake3_rotate_right(v[d] ^ v[a], 16);
    v[c] = add_words(v[c], v[d]);
    v[b] = blake3_rotate_right(v[b] ^ v[c], 12);
    v[a] = add_words(add_words(v[a], y), v[b]);
    v[d] = blake3_rotate_right(v[d] ^ v[a], 8);
    v[c] = add_words(v[c], v[d]);
    v[b] = blake3_rotate_right(v[b] ^ v[c], 7);
}

/// Mixing number i of round r: four columns, then four diagonals.
template <size_t r, size_t i>
MILLRACE_KERNEL_INLINE constexpr void blake3_step(uint32_t* v, const uint32_t* m) {
    constexpr size_t shift = i / 4;
    constexpr size_t x = blake3_word(r, 2 * i);
    constexpr size_t y = blake3_word(r, 2 * i + 1);
    blake3_mix(v, i % 4, 4 + (i + shift) % 4, 8 + (i + 2 * shift) % 4, 12 + (i + 3 * shift) % 4,
               m[x], m[y]);
}

template <size_t r>
MILLRACE_KERNEL_INLINE constexpr void blake3_round(uint32_t* v, const uint32_t* m) {
    blake3_step<r, 0>(v, m);
    blake3_step<r, 1>(v, m);
    blake3_step<r, 2>(v, m);
    blake3_step<r, 3>(v, m);
    blake3_step<r, 4>(v, m);
    blake3_step<r, 5>(v, m);
    blake3_step<r, 6>(v, m);
    blake3_step<r, 7>(v, m);
}

/// Replaces the chaining value `cv` by that after the block `m`: the first eight words of the
/// output. Every index is a constant.
MILLRACE_KERNEL_INLINE constexpr void
blake3_compress(uint32_t* cv, const uint32_t* m, uint64_t counter, uint32_t bytes, uint32_t flags) {
    uint32_t v[16] = {cv[0],
                      cv[1],
                      cv[2],
                      cv[3],
                      cv[4],
                      cv[5],
                      cv[6],
                      cv[7],
                      blake3_initial(0),
                      blake3_initial(1),
                      blake3_initial(2),
                      blake3_initial(3),
                      static_cast<uint32_t>(counter),
                      static_cast<uint32_t>(counter >> 32),
                      bytes,
                      flags};
    static_assert(blake3_rounds == 7);
    blake3_round<0>(v, m);
    blake3_round<1>(v, m);
    blake3_round<2>(v, m);
    blake3_round<3>(v, m);
    blake3_round<4>(v, m);
    blake3_round<5>(v, m);
    blake3_round<6>(v, m);
#pragma unroll
    for (size_t i = 0; i < 8; ++i) { cv[i] = v[i] ^ v[8 + i]; }
}

}  // namespace millrace::kernels::detail
