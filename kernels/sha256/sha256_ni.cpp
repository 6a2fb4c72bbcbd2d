// SPDX-License-Identifier: Apache-2.0
// Owns SHA-256 by the SHA extensions of x86, for one message and for up to four side by side.
#include "kernels/sha256/detail/sha_ni.hpp"

#if defined(__x86_64__)

#include <immintrin.h>

#include <cstring>

#include "kernels/sha256/detail/compress.hpp"
#include "kernels/sha256/detail/padding.hpp"

// Only functions of this file are marked, so no other CPU can meet their code.
#define MILLRACE_SHA_NI [[gnu::target("sha,sse4.1,ssse3")]]
#define MILLRACE_SHA_NI_INLINE MILLRACE_SHA_NI inline __attribute__((always_inline))

namespace millrace::kernels::detail {

namespace {

constexpr size_t groups = sha256_rounds / 4;

/// A state as the instructions want it: words a, b, e, f and c, d, g, h, the first one highest.
struct State {
    __m128i abef;
    __m128i cdgh;
};

MILLRACE_SHA_NI_INLINE __m128i load(const void* p) {
    return _mm_loadu_si128(static_cast<const __m128i*>(p));
}
MILLRACE_SHA_NI_INLINE void store(void* p, __m128i v) {
    _mm_storeu_si128(static_cast<__m128i*>(p), v);
}

MILLRACE_SHA_NI_INLINE State from_words(const uint32_t* words) {
    const __m128i cdab = _mm_shuffle_epi32(load(words), 0xb1);
    const __m128i efgh = _mm_shuffle_epi32(load(words + 4), 0x1b);
    return {_mm_alignr_epi8(cdab, efgh, 8), _mm_blend_epi16(efgh, cdab, 0xf0)};
}
/// Words 0 to 3 and 4 to 7.
struct Halves {
    __m128i low;
    __m128i high;
};
MILLRACE_SHA_NI_INLINE Halves to_words(const State& s) {
    const __m128i feba = _mm_shuffle_epi32(s.abef, 0x1b);
    const __m128i dchg = _mm_shuffle_epi32(s.cdgh, 0xb1);
    return {_mm_blend_epi16(feba, dchg, 0xf0), _mm_alignr_epi8(dchg, feba, 8)};
}

MILLRACE_SHA_NI_INLINE __m128i byte_order() {
    return _mm_set_epi64x(0x0c0d0e0f08090a0b, 0x0405060700010203);
}

/// Four rounds of each stream.
template <size_t streams>
MILLRACE_SHA_NI_INLINE void four_rounds(State* s, const __m128i* wk) {
#pragma unroll
    for (size_t i = 0; i < streams; ++i) {
        s[i].cdgh = _mm_sha256rnds2_epu32(s[i].cdgh, s[i].abef, wk[i]);
    }
#pragma unroll
    for (size_t i = 0; i < streams; ++i) {
        s[i].abef = _mm_sha256rnds2_epu32(s[i].abef, s[i].cdgh, _mm_shuffle_epi32(wk[i], 0x0e));
    }
}

/// Adds the block at block[i] to s[i].
template <size_t streams>
MILLRACE_SHA_NI_INLINE void compress(State* s, const uint8_t* const* block) {
    State before[streams];
    __m128i w[streams][4];
    const __m128i order = byte_order();
#pragma unroll
    for (size_t i = 0; i < streams; ++i) {
        before[i] = s[i];
#pragma unroll
        for (size_t j = 0; j < 4; ++j) {
            w[i][j] = _mm_shuffle_epi8(load(block[i] + 16 * j), order);
        }
    }
#pragma unroll
    for (size_t g = 0; g < groups; ++g) {
        const __m128i constants = load(sha256_round_constants + 4 * g);
        __m128i wk[streams];
#pragma unroll
        for (size_t i = 0; i < streams; ++i) {
            wk[i] = _mm_add_epi32(w[i][g % 4], constants);
            if (g < groups - 4) {
                // The words of this group make those of the fourth group after it.
                const __m128i part =
                    _mm_add_epi32(_mm_sha256msg1_epu32(w[i][g % 4], w[i][(g + 1) % 4]),
                                  _mm_alignr_epi8(w[i][(g + 3) % 4], w[i][(g + 2) % 4], 4));
                w[i][g % 4] = _mm_sha256msg2_epu32(part, w[i][(g + 3) % 4]);
            }
        }
        four_rounds<streams>(s, wk);
    }
#pragma unroll
    for (size_t i = 0; i < streams; ++i) {
        s[i].abef = _mm_add_epi32(s[i].abef, before[i].abef);
        s[i].cdgh = _mm_add_epi32(s[i].cdgh, before[i].cdgh);
    }
}

/// Adds a block that is known beforehand.
template <size_t streams>
MILLRACE_SHA_NI_INLINE void compress_known(State* s, const Sha256Schedule& schedule) {
    State before[streams];
#pragma unroll
    for (size_t i = 0; i < streams; ++i) { before[i] = s[i]; }
#pragma unroll
    for (size_t g = 0; g < groups; ++g) {
        __m128i wk[streams];
#pragma unroll
        for (size_t i = 0; i < streams; ++i) { wk[i] = load(schedule.words + 4 * g); }
        four_rounds<streams>(s, wk);
    }
#pragma unroll
    for (size_t i = 0; i < streams; ++i) {
        s[i].abef = _mm_add_epi32(s[i].abef, before[i].abef);
        s[i].cdgh = _mm_add_epi32(s[i].cdgh, before[i].cdgh);
    }
}

MILLRACE_SHA_NI_INLINE void put_digest(const State& s, uint8_t* digest) {
    const Halves words = to_words(s);
    store(digest, _mm_shuffle_epi8(words.low, byte_order()));
    store(digest + 16, _mm_shuffle_epi8(words.high, byte_order()));
}

/// Hashes the first `streams` messages, which take equally many blocks.
template <size_t streams>
MILLRACE_SHA_NI void hash(const HashList& list) noexcept {
    State s[streams];
    uint32_t words[8];
    sha256_set_initial(words);
    const State initial = from_words(words);
    for (size_t i = 0; i < streams; ++i) { s[i] = initial; }
    if (list.bytes[0] == sha256_block_bytes && list.equal_bytes(streams)) {
        compress<streams>(s, list.messages);
        compress_known<streams>(s, sha256_padding_of_64);
    } else {
        Sha256Blocks blocks[streams];
        for (size_t i = 0; i < streams; ++i) { blocks[i].open(list.messages[i], list.bytes[i]); }
        for (size_t b = 0; b < blocks[0].count(); ++b) {
            const uint8_t* block[streams];
            for (size_t i = 0; i < streams; ++i) { block[i] = blocks[i].at(b); }
            compress<streams>(s, block);
        }
    }
    for (size_t i = 0; i < streams; ++i) { put_digest(s[i], list.digests[i]); }
}

}  // namespace

bool sha256_ni_supported() noexcept {
    // Kept, because a virtual machine takes a microsecond to emulate CPUID.
    static const bool supported = [] {
        __builtin_cpu_init();
        if (!__builtin_cpu_supports("sse4.1") || !__builtin_cpu_supports("ssse3")) { return false; }
        // The compiler's own test does not know the bit: leaf 7, EBX 29.
        unsigned a = 7;
        unsigned b = 0;
        unsigned c = 0;
        unsigned d = 0;
        __asm__("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        return (b >> 29 & 1) != 0;
    }();
    return supported;
}

MILLRACE_SHA_NI void sha256_ni_add_blocks(uint32_t* state, const uint8_t* message,
                                          size_t blocks) noexcept {
    State s = from_words(state);
    for (; blocks != 0; --blocks, message += sha256_block_bytes) { compress<1>(&s, &message); }
    const Halves words = to_words(s);
    store(state, words.low);
    store(state + 4, words.high);
}

void sha256_ni_list(const HashList& list) noexcept {
    size_t i = 0;
    while (i < list.count) {
        size_t equal = 1;
        while (equal < 4 && i + equal < list.count &&
               sha256_blocks(list.bytes[i + equal]) == sha256_blocks(list.bytes[i])) {
            ++equal;
        }
        if (equal == 4) {
            hash<4>(list.from(i));
            i += 4;
        } else if (equal >= 2) {
            hash<2>(list.from(i));
            i += 2;
        } else {
            hash<1>(list.from(i));
            i += 1;
        }
    }
}

}  // namespace millrace::kernels::detail

#else

#include <cstdlib>

namespace millrace::kernels::detail {

bool sha256_ni_supported() noexcept { return false; }
void sha256_ni_add_blocks(uint32_t*, const uint8_t*, size_t) noexcept { std::abort(); }
void sha256_ni_list(const HashList&) noexcept { std::abort(); }

}  // namespace millrace::kernels::detail

#endif
