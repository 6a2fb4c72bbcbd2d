// SPDX-License-Identifier: Apache-2.0
// Owns BLAKE3 over vector lanes: one message or chunk in each 32-bit lane, on every Highway target.

// Vectors without a compile-time size cannot be kept in arrays; those CPUs get NEON or emulation.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/blake3/blake3_simd.cpp"  // NOLINT: Highway names it
#include <hwy/foreach_target.h>

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "kernels/batch/detail/hash_list.hpp"
#include "kernels/batch/detail/words-inl.hpp"
#include "kernels/blake3/detail/backends.hpp"
#include "kernels/blake3/detail/compress.hpp"
#include "kernels/blake3/detail/subtrees.hpp"

// For what is done within and between rounds: a call there would write the state to memory and
// back.
#undef MILLRACE_INLINE_LAMBDA
#define MILLRACE_INLINE_LAMBDA HWY_ATTR __attribute__((always_inline))

HWY_BEFORE_NAMESPACE();
namespace millrace::kernels::detail::blake3_lanes::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using detail::HWY_NAMESPACE::load_eight_words;
using detail::HWY_NAMESPACE::store_digests;
using D = detail::HWY_NAMESPACE::WordTag;
using V = detail::HWY_NAMESPACE::Words;
constexpr size_t lanes = detail::HWY_NAMESPACE::word_lanes;

/// One block of each lane, word by word.
struct Block {
    HWY_ALIGN_MAX uint32_t words[16 * lanes];
};

/// Half of blake3_mix, with rotations by d_bits and b_bits, on the four columns (shift 0) or
/// diagonals (shift 1) of the state. The four go in step, which took 4 % less time than one after
/// the other. word(i) is what is added to the i-th.
template <size_t shift, int d_bits, int b_bits, class Word>
HWY_INLINE void half_mix(V* HWY_RESTRICT v, Word&& word) {
    HWY_UNROLL(4)
    for (size_t i = 0; i < 4; ++i) {
        v[i] = hn::Add(hn::Add(v[i], word(i)), v[4 + (i + shift) % 4]);
    }
    HWY_UNROLL(4)
    for (size_t i = 0; i < 4; ++i) {
        V& d = v[12 + (i + 3 * shift) % 4];
        d = hn::RotateRight<d_bits>(hn::Xor(d, v[i]));
    }
    HWY_UNROLL(4)
    for (size_t i = 0; i < 4; ++i) {
        V& c = v[8 + (i + 2 * shift) % 4];
        c = hn::Add(c, v[12 + (i + 3 * shift) % 4]);
    }
    HWY_UNROLL(4)
    for (size_t i = 0; i < 4; ++i) {
        V& b = v[4 + (i + shift) % 4];
        b = hn::RotateRight<b_bits>(hn::Xor(b, v[8 + (i + 2 * shift) % 4]));
    }
}

template <size_t r>
HWY_INLINE void round(V* HWY_RESTRICT v, const Block& HWY_RESTRICT block) {
    // The message stays in memory, where one instruction adds it. Without this the compiler reads
    // it once and writes most of it back, because the state takes the registers.
    __asm__ volatile("" : : : "memory");
    const auto word = [&](size_t i) MILLRACE_INLINE_LAMBDA {
        return hn::Load(D(), block.words + blake3_word(r, i) * lanes);
    };
    half_mix<0, 16, 12>(v, [&](size_t i) MILLRACE_INLINE_LAMBDA { return word(2 * i); });
    half_mix<0, 8, 7>(v, [&](size_t i) MILLRACE_INLINE_LAMBDA { return word(2 * i + 1); });
    half_mix<1, 16, 12>(v, [&](size_t i) MILLRACE_INLINE_LAMBDA { return word(8 + 2 * i); });
    half_mix<1, 8, 7>(v, [&](size_t i) MILLRACE_INLINE_LAMBDA { return word(9 + 2 * i); });
}

/// What a compression takes besides chaining value and block.
struct Parameters {
    V counter_low;
    V counter_high;
    V bytes;
    V flags;
};

/// As blake3_compress. `beside` is called with 0, 1 and 2 between rounds: work of neighbouring
/// blocks, which has shuffles and loads, fills the units that the rounds, which wait for rotations,
/// leave free. One after the other they do not overlap, since the CPU looks ahead less than a
/// block.
template <class Beside>
HWY_INLINE void compress(V* HWY_RESTRICT cv, const Block& HWY_RESTRICT m, const Parameters& p,
                         Beside&& beside) {
    V v[16];
    HWY_UNROLL(8)
    for (size_t i = 0; i < 8; ++i) { v[i] = cv[i]; }
    HWY_UNROLL(4)
    for (size_t i = 0; i < 4; ++i) { v[8 + i] = hn::Set(D(), blake3_initial(i)); }
    v[12] = p.counter_low;
    v[13] = p.counter_high;
    v[14] = p.bytes;
    v[15] = p.flags;
    static_assert(blake3_rounds == 7);
    round<0>(v, m);
    beside(0);
    round<1>(v, m);
    round<2>(v, m);
    beside(1);
    round<3>(v, m);
    round<4>(v, m);
    beside(2);
    round<5>(v, m);
    round<6>(v, m);
    HWY_UNROLL(8)
    for (size_t i = 0; i < 8; ++i) { cv[i] = hn::Xor(v[i], v[8 + i]); }
}

HWY_INLINE void set_initial(V* cv) {
    HWY_UNROLL(8)
    for (size_t i = 0; i < 8; ++i) { cv[i] = hn::Set(D(), blake3_initial(i)); }
}

/// Reads half a block, 32 bytes, of each lane at from[l] + offset.
HWY_INLINE void load_half(const uint8_t* const* HWY_RESTRICT from, size_t offset, size_t half,
                          Block& HWY_RESTRICT block) {
    const D d;
    V m[8];
    load_eight_words(from, offset + 32 * half, m);
    HWY_UNROLL(8)
    for (size_t i = 0; i < 8; ++i) { hn::Store(m[i], d, block.words + (8 * half + i) * lanes); }
}

HWY_INLINE void clear_half(size_t half, Block& HWY_RESTRICT block) {
    const D d;
    HWY_UNROLL(8)
    for (size_t i = 0; i < 8; ++i) {
        hn::Store(hn::Zero(d), d, block.words + (8 * half + i) * lanes);
    }
}

/// A list of messages of one length, 32 or 64 bytes: keys and tree nodes. Beside the work on one
/// group the next one is read and the digests of the one before are written.
HWY_NOINLINE void hash_one_block(const HashList& list) {
    const D d;
    const bool whole = list.bytes[0] == blake3_block_bytes;
    const Parameters parameters{
        .counter_low = hn::Zero(d),
        .counter_high = hn::Zero(d),
        .bytes = hn::Set(d, static_cast<uint32_t>(list.bytes[0])),
        .flags = hn::Set(d, blake3_chunk_start | blake3_chunk_end | blake3_root)};
    const size_t groups = (list.count - 1) / lanes + 1;
    const size_t last = (groups - 1) * lanes;
    const HashGroup<lanes> last_group(list.from(last), list.count - last);
    Block blocks[2];
    HWY_ALIGN_MAX uint32_t values[8 * lanes];
    const auto read = [&](size_t first, size_t half, Block& block) MILLRACE_INLINE_LAMBDA {
        const uint8_t* const* from = first < last ? list.messages + first : last_group.messages;
        if (half == 0 || whole) {
            load_half(from, 0, half, block);
        } else {
            clear_half(half, block);
        }
    };
    const auto write = [&](uint8_t* const* to) MILLRACE_INLINE_LAMBDA {
        V cv[8];
        HWY_UNROLL(8)
        for (size_t i = 0; i < 8; ++i) { cv[i] = hn::Load(d, values + i * lanes); }
        store_digests(cv, to);
    };
    read(0, 0, blocks[0]);
    read(0, 1, blocks[0]);
    for (size_t first = 0, turn = 0; first <= last; first += lanes, turn ^= 1) {
        V cv[8];
        set_initial(cv);
        compress(cv, blocks[turn], parameters, [&](size_t step) MILLRACE_INLINE_LAMBDA {
            if (step < 2) {
                read(first + lanes, step, blocks[turn ^ 1]);
            } else if (first != 0) {
                write(list.digests + first - lanes);
            }
        });
        HWY_UNROLL(8)
        for (size_t i = 0; i < 8; ++i) { hn::Store(cv[i], d, values + i * lanes); }
    }
    write(last_group.digests);
}

/// Chunks of one length, a multiple of 32 and not 0; `flags` are those of the last block.
HWY_NOINLINE void hash_equal(const uint8_t* const* chunks, size_t bytes, V counter_low,
                             V counter_high, uint32_t flags, uint8_t* const* values) {
    const D d;
    const size_t count = blake3_blocks(bytes);
    const auto bytes_of = [&](size_t b) {
        return std::min(bytes - b * blake3_block_bytes, blake3_block_bytes);
    };
    Block blocks[2];
    const auto read = [&](size_t b, size_t half, Block& block) MILLRACE_INLINE_LAMBDA {
        if (half == 0 || bytes_of(b) == blake3_block_bytes) {
            load_half(chunks, b * blake3_block_bytes, half, block);
        } else {
            clear_half(half, block);
        }
    };
    read(0, 0, blocks[0]);
    read(0, 1, blocks[0]);
    V cv[8];
    set_initial(cv);
    for (size_t b = 0; b < count; ++b) {
        const bool last = b + 1 == count;
        compress(cv, blocks[b & 1],
                 {.counter_low = counter_low,
                  .counter_high = counter_high,
                  .bytes = hn::Set(d, static_cast<uint32_t>(bytes_of(b))),
                  .flags = hn::Set(d, (b == 0 ? blake3_chunk_start : 0) |
                                          (last ? blake3_chunk_end | flags : 0))},
                 [&](size_t step) MILLRACE_INLINE_LAMBDA {
                     if (step < 2 && !last) { read(b + 1, step, blocks[(b + 1) & 1]); }
                 });
    }
    store_digests(cv, values);
}

/// Messages of up to a chunk. A lane whose message has ended runs on with blocks that do not
/// matter.
HWY_NOINLINE void hash_any(const HashList& list, size_t used) {
    const D d;
    const HashGroup<lanes> group(list, used);
    uint8_t tails[lanes][blake3_block_bytes];
    size_t counts[lanes];
    size_t longest = 0;
    size_t shortest = SIZE_MAX;
    for (size_t l = 0; l < lanes; ++l) {
        counts[l] = blake3_blocks(group.bytes[l]);
        const size_t before = (counts[l] - 1) * blake3_block_bytes;
        const size_t rest = group.bytes[l] - before;
        if (rest != 0) { std::memcpy(tails[l], group.messages[l] + before, rest); }
        std::memset(tails[l] + rest, 0, blake3_block_bytes - rest);
        longest = std::max(longest, counts[l]);
        shortest = std::min(shortest, counts[l]);
    }
    const uint8_t* from[lanes];
    Block blocks[2];
    const auto read = [&](size_t b, size_t half, Block& block) MILLRACE_INLINE_LAMBDA {
        if (half == 0) {
            for (size_t l = 0; l < lanes; ++l) {
                from[l] = b + 1 < counts[l] ? group.messages[l] + b * blake3_block_bytes : tails[l];
            }
        }
        load_half(from, 0, half, block);
    };
    read(0, 0, blocks[0]);
    read(0, 1, blocks[0]);
    V cv[8];
    set_initial(cv);
    for (size_t b = 0; b < longest; ++b) {
        HWY_ALIGN_MAX uint32_t bytes[lanes];
        HWY_ALIGN_MAX uint32_t flags[lanes];
        for (size_t l = 0; l < lanes; ++l) {
            const bool last = b + 1 == counts[l];
            bytes[l] = static_cast<uint32_t>(last ? group.bytes[l] - b * blake3_block_bytes
                                                  : blake3_block_bytes);
            flags[l] =
                (b == 0 ? blake3_chunk_start : 0) | (last ? blake3_chunk_end | blake3_root : 0);
        }
        compress(cv, blocks[b & 1],
                 {.counter_low = hn::Zero(d),
                  .counter_high = hn::Zero(d),
                  .bytes = hn::Load(d, bytes),
                  .flags = hn::Load(d, flags)},
                 [&](size_t step) MILLRACE_INLINE_LAMBDA {
                     if (step < 2 && b + 1 < longest) { read(b + 1, step, blocks[(b + 1) & 1]); }
                 });
        if (b + 1 < shortest) { continue; }
        // Takes the digests of the messages that ended with this block, before the rest goes on.
        uint8_t others[lanes][32];
        uint8_t* to[lanes];
        for (size_t l = 0; l < lanes; ++l) {
            to[l] = b + 1 == counts[l] ? group.digests[l] : others[l];
        }
        V ended[8];
        for (size_t i = 0; i < 8; ++i) { ended[i] = cv[i]; }
        store_digests(ended, to);
    }
}

/// The chaining values of `used` neighbouring whole chunks, of which the first has number
/// `counter`.
HWY_NOINLINE void hash_chunks(const uint8_t* chunks, size_t used, uint64_t counter,
                              Blake3Value* values) {
    const D d;
    const uint8_t* from[lanes];
    uint8_t* to[lanes];
    Blake3Value unused;
    HWY_ALIGN_MAX uint32_t low[lanes];
    HWY_ALIGN_MAX uint32_t high[lanes];
    for (size_t l = 0; l < lanes; ++l) {
        from[l] = chunks + (l < used ? l : 0) * blake3_chunk_bytes;
        to[l] = reinterpret_cast<uint8_t*>(l < used ? values[l].words : unused.words);
        low[l] = static_cast<uint32_t>(counter + l);
        high[l] = static_cast<uint32_t>((counter + l) >> 32);
    }
    hash_equal(from, blake3_chunk_bytes, hn::Load(d, low), hn::Load(d, high), 0, to);
}

/// A message of more than a chunk: chunks in lanes, joined one after the other.
HWY_NOINLINE void hash_long(const uint8_t* message, size_t bytes, uint8_t* digest) {
    uint64_t counter = 0;
    Blake3Subtrees subtrees;
    while (bytes > blake3_chunk_bytes) {
        Blake3Value values[lanes];
        const size_t used = std::min((bytes - 1) / blake3_chunk_bytes, lanes);
        if (used == 1) {
            values[0] = blake3_chunk(message, blake3_chunk_bytes, counter, 0);
        } else {
            hash_chunks(message, used, counter, values);
        }
        for (size_t l = 0; l < used; ++l) { subtrees.add(values[l]); }
        counter += used;
        message += used * blake3_chunk_bytes;
        bytes -= used * blake3_chunk_bytes;
    }
    const Blake3Value root = subtrees.root(blake3_chunk(message, bytes, counter, 0));
    std::memcpy(digest, root.words, sizeof root.words);
}

HWY_ATTR void hash_list(const HashList& whole) {
    HashList list = whole;
    if (list.count != 0 && (list.bytes[0] == 32 || list.bytes[0] == blake3_block_bytes) &&
        list.equal_bytes(list.count)) {
        hash_one_block(list);
        return;
    }
    while (list.count != 0) {
        size_t used = 0;
        while (used < std::min(list.count, lanes) && list.bytes[used] <= blake3_chunk_bytes) {
            ++used;
        }
        const size_t bytes = list.bytes[0];
        if (used == 0) {
            hash_long(list.messages[0], bytes, list.digests[0]);
            used = 1;
        } else if (bytes % 32 != 0 || bytes == 0 || !list.equal_bytes(used)) {
            hash_any(list, used);
        } else {
            const HashGroup<lanes> group(list, used);
            hash_equal(group.messages, bytes, hn::Zero(D()), hn::Zero(D()), blake3_root,
                       group.digests);
        }
        list = list.from(used);
    }
}

const char* target_name() { return hwy::TargetName(HWY_TARGET); }

}  // namespace millrace::kernels::detail::blake3_lanes::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace millrace::kernels::detail {

// The dispatch macros take plain names only.
namespace blake3_lanes {

HWY_EXPORT(hash_list);
HWY_EXPORT(target_name);

static void hash(const HashList& list) { HWY_DYNAMIC_DISPATCH(hash_list)(list); }
static std::string target() { return HWY_DYNAMIC_DISPATCH(target_name)(); }

}  // namespace blake3_lanes

void blake3_simd(const HashList& list) { blake3_lanes::hash(list); }

std::string blake3_simd_target() { return blake3_lanes::target(); }

}  // namespace millrace::kernels::detail
#endif
