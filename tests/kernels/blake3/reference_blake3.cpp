// SPDX-License-Identifier: Apache-2.0
// Owns a slow BLAKE3: recursion over the tree, and a state that is a plain array.
#include "tests/kernels/blake3/reference_blake3.hpp"

#include <array>
#include <bit>

namespace millrace::test {

namespace {

using Words8 = std::array<uint32_t, 8>;
using Words16 = std::array<uint32_t, 16>;

constexpr Words8 initial{0x6A09E667, 0xBB67AE85, 0x3C6EF372, 0xA54FF53A,
                         0x510E527F, 0x9B05688C, 0x1F83D9AB, 0x5BE0CD19};

enum Flag : uint32_t { chunk_start = 1 << 0, chunk_end = 1 << 1, parent = 1 << 2, root = 1 << 3 };

void g(Words16& v, size_t a, size_t b, size_t c, size_t d, uint32_t m0, uint32_t m1) {
    v[a] = v[a] + v[b] + m0;
    v[d] = std::rotr(v[d] ^ v[a], 16);
    v[c] = v[c] + v[d];
    v[b] = std::rotr(v[b] ^ v[c], 12);
    v[a] = v[a] + v[b] + m1;
    v[d] = std::rotr(v[d] ^ v[a], 8);
    v[c] = v[c] + v[d];
    v[b] = std::rotr(v[b] ^ v[c], 7);
}

Words8 compress(const Words8& h, Words16 m, uint64_t t, uint32_t b, uint32_t d) {
    Words16 v{h[0], h[1],       h[2],       h[3],       h[4],       h[5],        h[6],
              h[7], initial[0], initial[1], initial[2], initial[3], uint32_t(t), uint32_t(t >> 32),
              b,    d};
    for (int round = 0; round < 7; ++round) {
        g(v, 0, 4, 8, 12, m[0], m[1]);
        g(v, 1, 5, 9, 13, m[2], m[3]);
        g(v, 2, 6, 10, 14, m[4], m[5]);
        g(v, 3, 7, 11, 15, m[6], m[7]);
        g(v, 0, 5, 10, 15, m[8], m[9]);
        g(v, 1, 6, 11, 12, m[10], m[11]);
        g(v, 2, 7, 8, 13, m[12], m[13]);
        g(v, 3, 4, 9, 14, m[14], m[15]);
        constexpr std::array<size_t, 16> sigma{2, 6,  3,  10, 7, 0,  4,  13,
                                               1, 11, 12, 5,  9, 14, 15, 8};
        Words16 permuted;
        for (size_t i = 0; i < 16; ++i) { permuted[i] = m[sigma[i]]; }
        m = permuted;
    }
    Words8 out;
    for (size_t i = 0; i < 8; ++i) { out[i] = v[i] ^ v[i + 8]; }
    return out;
}

Words8 chunk(ByteView bytes, uint64_t number, uint32_t flags) {
    Words8 h = initial;
    const size_t blocks = bytes.empty() ? 1 : (bytes.size() + 63) / 64;
    for (size_t i = 0; i < blocks; ++i) {
        const ByteView block = bytes.subspan(64 * i, std::min<size_t>(64, bytes.size() - 64 * i));
        Words16 m{};
        for (size_t j = 0; j < block.size(); ++j) { m[j / 4] |= uint32_t{block[j]} << (j % 4 * 8); }
        uint32_t d = 0;
        if (i == 0) { d |= chunk_start; }
        if (i == blocks - 1) { d |= chunk_end | flags; }
        h = compress(h, m, number, static_cast<uint32_t>(block.size()), d);
    }
    return h;
}

Words8 subtree(ByteView bytes, uint64_t first_chunk, uint32_t flags) {
    if (bytes.size() <= 1024) { return chunk(bytes, first_chunk, flags); }
    const size_t left_chunks = std::bit_floor((bytes.size() - 1) / 1024);
    const Words8 left = subtree(bytes.first(1024 * left_chunks), first_chunk, 0);
    const Words8 right = subtree(bytes.subspan(1024 * left_chunks), first_chunk + left_chunks, 0);
    Words16 m;
    for (size_t i = 0; i < 8; ++i) {
        m[i] = left[i];
        m[8 + i] = right[i];
    }
    return compress(initial, m, 0, 64, parent | flags);
}

}  // namespace

Hash256 reference_blake3(ByteView message) {
    const Words8 words = subtree(message, 0, root);
    Hash256 digest;
    for (size_t i = 0; i < 32; ++i) {
        digest[i] = static_cast<uint8_t>(words[i / 4] >> (i % 4 * 8));
    }
    return digest;
}

}  // namespace millrace::test
