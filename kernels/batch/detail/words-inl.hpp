// SPDX-License-Identifier: Apache-2.0
// Owns how 64-byte blocks of many messages become vectors of 32-bit words, and digests come back.

// Included once for each Highway target, after highway.h.
#if defined(MILLRACE_KERNELS_BATCH_WORDS_INL) == defined(HWY_TARGET_TOGGLE)
#ifdef MILLRACE_KERNELS_BATCH_WORDS_INL
#undef MILLRACE_KERNELS_BATCH_WORDS_INL
#else
#define MILLRACE_KERNELS_BATCH_WORDS_INL
#endif

#include <hwy/highway.h>

#include <cstddef>
#include <cstdint>
#include <cstring>

HWY_BEFORE_NAMESPACE();
namespace millrace::kernels::detail::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

/// One message in each 32-bit lane.
using WordTag = hn::ScalableTag<uint32_t>;
using Words = hn::Vec<WordTag>;
constexpr size_t word_lanes = hn::MaxLanes(WordTag());

/// The same value. With 512-bit vectors the compiler takes it as given: otherwise it merges
/// shuffles on both sides into others that cost more.
HWY_INLINE Words as_written(Words v) {
#if HWY_TARGET <= HWY_AVX3
    __asm__("" : "+v"(v.raw));
#endif
    return v;
}

/// Bytes of each lane reversed.
HWY_INLINE Words reverse_bytes(Words v) {
    const WordTag d;
#if HWY_TARGET == HWY_SCALAR
    return hn::Set(d, __builtin_bswap32(hn::GetLane(v)));
#else
    const hn::Repartition<uint8_t, WordTag> bytes;
    alignas(16) static constexpr uint8_t order[16] = {3,  2,  1, 0, 7,  6,  5,  4,
                                                      11, 10, 9, 8, 15, 14, 13, 12};
    return hn::BitCast(d,
                       hn::TableLookupBytes(hn::BitCast(bytes, v), hn::LoadDup128(bytes, order)));
#endif
}

#if HWY_TARGET != HWY_SCALAR
/// Transposes the 4 x 4 words in each 128-bit block: word j of v[i] and word i of v[j] change
/// places.
HWY_INLINE void transpose_in_blocks(Words& v0, Words& v1, Words& v2, Words& v3) {
    const WordTag d;
    const hn::RepartitionToWide<WordTag> wide;
    const auto low01 = hn::BitCast(wide, hn::InterleaveLower(d, v0, v1));
    const auto high01 = hn::BitCast(wide, hn::InterleaveUpper(d, v0, v1));
    const auto low23 = hn::BitCast(wide, hn::InterleaveLower(d, v2, v3));
    const auto high23 = hn::BitCast(wide, hn::InterleaveUpper(d, v2, v3));
    v0 = hn::BitCast(d, hn::InterleaveLower(wide, low01, low23));
    v1 = hn::BitCast(d, hn::InterleaveUpper(wide, low01, low23));
    v2 = hn::BitCast(d, hn::InterleaveLower(wide, high01, high23));
    v3 = hn::BitCast(d, hn::InterleaveUpper(wide, high01, high23));
}
#endif

/// Reads eight words of each message: lane l of out[i] is word i at from[l] + offset, as it lies in
/// memory. There are word_lanes addresses, of any alignment.
HWY_INLINE void load_eight_words(const uint8_t* const* HWY_RESTRICT from, size_t offset,
                                 Words* HWY_RESTRICT out) {
    [[maybe_unused]] const WordTag d;
#if HWY_TARGET == HWY_SCALAR
    for (size_t i = 0; i < 8; ++i) {
        uint32_t word;
        std::memcpy(&word, from[0] + offset + 4 * i, sizeof word);
        out[i] = hn::Set(d, word);
    }
#elif HWY_TARGET <= HWY_AVX3
    // Two messages in each vector: out[j] and out[4 + j] take j and j + 4, and those after 8.
    HWY_UNROLL(8)
    for (size_t j = 0; j < 8; ++j) {
        const size_t lane = j < 4 ? j : j + 4;
        const auto eight = [&](size_t l) HWY_ATTR {
            return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(from[l] + offset));
        };
        out[j] = Words{_mm512_inserti64x4(_mm512_castsi256_si512(eight(lane)), eight(lane + 4), 1)};
    }
    transpose_in_blocks(out[0], out[1], out[2], out[3]);
    transpose_in_blocks(out[4], out[5], out[6], out[7]);
    // Even blocks hold the words 0 to 3 of four messages, odd ones 4 to 7.
    HWY_UNROLL(4)
    for (size_t j = 0; j < 4; ++j) {
        const __m512i low = out[j].raw;
        const __m512i high = out[4 + j].raw;
        out[j] = as_written(Words{_mm512_shuffle_i32x4(low, high, 0x88)});
        out[4 + j] = as_written(Words{_mm512_shuffle_i32x4(low, high, 0xdd)});
    }
#else
    HWY_UNROLL(2)
    for (size_t q = 0; q < 2; ++q) {
        Words* const part = out + 4 * q;
        HWY_UNROLL(4)
        for (size_t j = 0; j < 4; ++j) {
            const auto four = [&](size_t l) HWY_ATTR {
                return reinterpret_cast<const uint32_t*>(from[l] + offset + 16 * q);
            };
#if HWY_MAX_BYTES == 32
            const hn::Half<WordTag> block;
            part[j] = hn::Combine(d, hn::LoadU(block, four(j + 4)), hn::LoadU(block, four(j)));
#else
            static_assert(word_lanes == 4);
            part[j] = hn::LoadU(d, four(j));
#endif
        }
        transpose_in_blocks(part[0], part[1], part[2], part[3]);
    }
#endif
}

/// Writes 8 words to each of word_lanes addresses of any alignment: word i at to[l] is lane l of
/// v[i]. The vectors are used up.
HWY_INLINE void store_digests(Words* HWY_RESTRICT v, uint8_t* const* HWY_RESTRICT to) {
    [[maybe_unused]] const WordTag d;
#if HWY_TARGET == HWY_SCALAR
    for (size_t i = 0; i < 8; ++i) {
        const uint32_t word = hn::GetLane(v[i]);
        std::memcpy(to[0] + 4 * i, &word, sizeof word);
    }
#else
    transpose_in_blocks(v[0], v[1], v[2], v[3]);
    transpose_in_blocks(v[4], v[5], v[6], v[7]);
#if HWY_TARGET <= HWY_AVX3
    HWY_UNROLL(4)
    for (size_t j = 0; j < 4; ++j) {
        // Blocks of the messages j, j + 4, j + 8 and j + 12: first and second half of the digests.
        const __m512i low = _mm512_shuffle_i32x4(v[j].raw, v[j + 4].raw, 0x44);
        const __m512i high = _mm512_shuffle_i32x4(v[j].raw, v[j + 4].raw, 0xee);
        const __m512i pair0 = _mm512_shuffle_i32x4(low, low, 0xd8);
        const __m512i pair1 = _mm512_shuffle_i32x4(high, high, 0xd8);
        const auto put = [&](size_t lane, __m256i digest) HWY_ATTR {
            _mm256_storeu_si256(reinterpret_cast<__m256i*>(to[lane]), digest);
        };
        put(j, _mm512_castsi512_si256(pair0));
        put(j + 4, _mm512_extracti64x4_epi64(pair0, 1));
        put(j + 8, _mm512_castsi512_si256(pair1));
        put(j + 12, _mm512_extracti64x4_epi64(pair1, 1));
    }
#elif HWY_MAX_BYTES == 32
    HWY_UNROLL(4)
    for (size_t j = 0; j < 4; ++j) {
        hn::StoreU(hn::ConcatLowerLower(d, v[j + 4], v[j]), d, reinterpret_cast<uint32_t*>(to[j]));
        hn::StoreU(hn::ConcatUpperUpper(d, v[j + 4], v[j]), d,
                   reinterpret_cast<uint32_t*>(to[j + 4]));
    }
#else
    HWY_UNROLL(4)
    for (size_t j = 0; j < 4; ++j) {
        hn::StoreU(v[j], d, reinterpret_cast<uint32_t*>(to[j]));
        hn::StoreU(v[j + 4], d, reinterpret_cast<uint32_t*>(to[j] + 16));
    }
#endif
#endif
}

}  // namespace millrace::kernels::detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#endif
