// SPDX-License-Identifier: Apache-2.0
// Owns SHA-256 over vector lanes: one message in each 32-bit lane, on every Highway target.

// Vectors without a compile-time size cannot be kept in arrays; those CPUs get NEON or emulation.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/sha256/sha256_simd.cpp"  // NOLINT: Highway names it
#include <hwy/foreach_target.h>

#include <hwy/highway.h>

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "kernels/batch/detail/hash_list.hpp"
#include "kernels/batch/detail/words-inl.hpp"
#include "kernels/sha256/detail/backends.hpp"
#include "kernels/sha256/detail/compress.hpp"
#include "kernels/sha256/detail/padding.hpp"
#include "kernels/sha256/detail/sha_ni.hpp"

HWY_BEFORE_NAMESPACE();
namespace millrace::kernels::detail::sha256_lanes::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using detail::HWY_NAMESPACE::load_eight_words;
using detail::HWY_NAMESPACE::reverse_bytes;
using detail::HWY_NAMESPACE::store_digests;
using D = detail::HWY_NAMESPACE::WordTag;
using V = detail::HWY_NAMESPACE::Words;
constexpr size_t lanes = detail::HWY_NAMESPACE::word_lanes;

/// Bits of `f` where `e` is set, else of `g`.
HWY_INLINE V choice(V e, V f, V g) {
#if HWY_TARGET <= HWY_AVX3
    return hn::IfVecThenElse(e, f, g);
#else
    return hn::Xor(g, hn::And(e, hn::Xor(f, g)));
#endif
}

HWY_INLINE V majority(V a, V b, V c) {
#if HWY_TARGET <= HWY_AVX3
    return V{_mm512_ternarylogic_epi32(a.raw, b.raw, c.raw, 0xe8)};
#else
    return hn::Xor(b, hn::And(hn::Xor(a, b), hn::Xor(b, c)));
#endif
}

HWY_INLINE V small_sigma0(V v) {
    return hn::Xor3(hn::RotateRight<7>(v), hn::RotateRight<18>(v), hn::ShiftRight<3>(v));
}
HWY_INLINE V small_sigma1(V v) {
    return hn::Xor3(hn::RotateRight<17>(v), hn::RotateRight<19>(v), hn::ShiftRight<10>(v));
}

/// One round, as sha256_round. `t` is a constant once the loops are unrolled.
HWY_INLINE void round(V* HWY_RESTRICT s, size_t t, V wk) {
    const V a = s[(0 - t) & 7];
    const V e = s[(4 - t) & 7];
    const V sum1 = hn::Xor3(hn::RotateRight<6>(e), hn::RotateRight<11>(e), hn::RotateRight<25>(e));
    const V sum0 = hn::Xor3(hn::RotateRight<2>(a), hn::RotateRight<13>(a), hn::RotateRight<22>(a));
    const V early = hn::Add(hn::Add(s[(7 - t) & 7], wk), choice(e, s[(5 - t) & 7], s[(6 - t) & 7]));
    const V t1 = hn::Add(early, sum1);
    const V t2 = hn::Add(sum0, majority(a, s[(1 - t) & 7], s[(2 - t) & 7]));
    s[(3 - t) & 7] = hn::Add(s[(3 - t) & 7], t1);
    s[(7 - t) & 7] = hn::Add(t1, t2);
}

/// Vectors that are worked on side by side. A round is one long chain: with 32 registers a second
/// vector fills the gaps (9.5 instead of 12.2 cycles a round on Zen 4), with 16 it spills.
constexpr size_t streams_max = HWY_TARGET <= HWY_AVX3 ? 2 : 1;

/// The eight words of each stream.
template <size_t streams>
struct State {
    V words[streams][8];
};

template <size_t streams>
HWY_INLINE void set_initial(State<streams>& state) {
    uint32_t words[8];
    sha256_set_initial(words);
    HWY_UNROLL(2)
    for (size_t k = 0; k < streams; ++k) {
        HWY_UNROLL(8)
        for (size_t i = 0; i < 8; ++i) { state.words[k][i] = hn::Set(D(), words[i]); }
    }
}

template <size_t streams>
HWY_INLINE void add(State<streams>& state, const State<streams>& other) {
    HWY_UNROLL(2)
    for (size_t k = 0; k < streams; ++k) {
        HWY_UNROLL(8)
        for (size_t i = 0; i < 8; ++i) {
            state.words[k][i] = hn::Add(state.words[k][i], other.words[k][i]);
        }
    }
}

/// How much of a block comes from the messages; its other words are equal in all lanes.
struct BlockForm {
    size_t halves = 2;        ///< of 32 bytes, taken from the message
    uint32_t words[16] = {};  ///< those after them, as numbers
};
constexpr BlockForm whole_block{};

/// The last block of a message of `bytes`, a multiple of 32 but not of 64.
HWY_INLINE BlockForm last_block(size_t bytes) {
    BlockForm form;
    form.halves = 1;
    form.words[8] = 0x80000000;
    form.words[14] = static_cast<uint32_t>(uint64_t{bytes} >> 29);
    form.words[15] = static_cast<uint32_t>(uint64_t{bytes} << 3);
    return form;
}

HWY_INLINE void load_half(const uint8_t* const* HWY_RESTRICT from, size_t offset,
                          const BlockForm& form, size_t h, V* HWY_RESTRICT w) {
    if (h < form.halves) {
        load_eight_words(from, offset + 32 * h, w);
        HWY_UNROLL(8)
        for (size_t i = 0; i < 8; ++i) { w[i] = reverse_bytes(w[i]); }
    } else {
        HWY_UNROLL(8)
        for (size_t i = 0; i < 8; ++i) { w[i] = hn::Set(D(), form.words[8 * h + i]); }
    }
}

/// Adds the blocks at from[l] + offset, one for each lane of each stream, to `state`.
template <size_t streams>
HWY_NOINLINE void compress(State<streams>& state, const uint8_t* const* HWY_RESTRICT from,
                           size_t offset, const BlockForm& form) {
    const D d;
    V w[streams][16];
    State<streams> s = state;
    HWY_UNROLL(16)
    for (size_t t = 0; t < 16; ++t) {
        HWY_UNROLL(2)
        for (size_t k = 0; k < streams; ++k) {
            if (t % 8 == 0) { load_half(from + k * lanes, offset, form, t / 8, w[k] + t); }
            round(s.words[k], t, hn::Add(w[k][t], hn::Set(d, sha256_round_constants[t])));
        }
    }
    HWY_UNROLL(1)
    for (size_t base = 16; base < sha256_rounds; base += 16) {
        HWY_UNROLL(16)
        for (size_t t = 0; t < 16; ++t) {
            HWY_UNROLL(2)
            for (size_t k = 0; k < streams; ++k) {
                w[k][t] = hn::Add(hn::Add(w[k][t], small_sigma0(w[k][(t + 1) & 15])),
                                  hn::Add(w[k][(t + 9) & 15], small_sigma1(w[k][(t + 14) & 15])));
                round(s.words[k], t,
                      hn::Add(w[k][t], hn::Set(d, sha256_round_constants[base + t])));
            }
        }
    }
    add(state, s);
}

/// Adds a block that is known beforehand and the same in every lane.
template <size_t streams>
HWY_NOINLINE void compress_known(State<streams>& state, const Sha256Schedule& schedule) {
    const D d;
    State<streams> s = state;
    HWY_UNROLL(1)
    for (size_t base = 0; base < sha256_rounds; base += 16) {
        HWY_UNROLL(16)
        for (size_t t = 0; t < 16; ++t) {
            HWY_UNROLL(2)
            for (size_t k = 0; k < streams; ++k) {
                round(s.words[k], t, hn::Set(d, schedule.words[base + t]));
            }
        }
    }
    add(state, s);
}

template <size_t streams>
HWY_INLINE void put_digests(State<streams>& state, uint8_t* const* to) {
    HWY_UNROLL(2)
    for (size_t k = 0; k < streams; ++k) {
        HWY_UNROLL(8)
        for (size_t i = 0; i < 8; ++i) { state.words[k][i] = reverse_bytes(state.words[k][i]); }
        store_digests(state.words[k], to + k * lanes);
    }
}

/// Messages of one length, a multiple of 32; `padding` is the schedule of the block that ends them
/// if it is a multiple of 64.
template <size_t streams>
HWY_NOINLINE void hash_equal(const HashList& list, size_t used, const Sha256Schedule& padding) {
    constexpr size_t width = streams * lanes;
    const HashGroup<width> group(list, used);
    const size_t bytes = group.bytes[0];
    State<streams> state;
    set_initial(state);
    const size_t whole = bytes / sha256_block_bytes * sha256_block_bytes;
    for (size_t offset = 0; offset < whole; offset += sha256_block_bytes) {
        compress(state, group.messages, offset, whole_block);
    }
    if (whole == bytes) {
        compress_known(state, padding);
    } else {
        compress(state, group.messages, whole, last_block(bytes));
    }
    put_digests(state, group.digests);
}

/// Messages of any length. A lane whose message has ended runs on with blocks that do not matter.
template <size_t streams>
HWY_NOINLINE void hash_any(const HashList& list, size_t used) {
    constexpr size_t width = streams * lanes;
    const HashGroup<width> group(list, used);
    Sha256Blocks messages[width];
    size_t longest = 0;
    size_t shortest = SIZE_MAX;
    for (size_t l = 0; l < width; ++l) {
        messages[l].open(group.messages[l], group.bytes[l]);
        longest = std::max(longest, messages[l].count());
        shortest = std::min(shortest, messages[l].count());
    }
    State<streams> state;
    set_initial(state);
    for (size_t b = 0; b < longest; ++b) {
        const uint8_t* from[width];
        for (size_t l = 0; l < width; ++l) { from[l] = messages[l].at(b); }
        compress(state, from, 0, whole_block);
        if (b + 1 < shortest) { continue; }
        // Takes the digests of the messages that ended with this block, before the rest goes on.
        uint8_t others[width][32];
        uint8_t* to[width];
        for (size_t l = 0; l < width; ++l) {
            to[l] = messages[l].count() == b + 1 ? group.digests[l] : others[l];
        }
        State<streams> ended = state;
        put_digests(ended, to);
    }
}

/// The schedule of a block of pure padding, kept from group to group.
struct Padding {
    Sha256Schedule schedule = sha256_padding_of_64;
    size_t message_bytes = sha256_block_bytes;

    const Sha256Schedule& of(size_t bytes) {
        if (bytes != message_bytes && bytes % sha256_block_bytes == 0) {
            schedule = sha256_padding_schedule(bytes);
            message_bytes = bytes;
        }
        return schedule;
    }
};

/// Takes what `streams` vectors hold from the front of the list, or the rest of it.
template <size_t streams>
HWY_INLINE size_t hash_group(const HashList& list, Padding& padding) {
    const size_t used = std::min(list.count, streams * lanes);
    if (list.bytes[0] % 32 == 0 && list.equal_bytes(used)) {
        hash_equal<streams>(list, used, padding.of(list.bytes[0]));
    } else {
        hash_any<streams>(list, used);
    }
    return used;
}

HWY_ATTR void hash_list(const HashList& whole) {
    Padding padding;
    HashList list = whole;
    while (list.count != 0) {
        const size_t used = list.count > lanes ? hash_group<streams_max>(list, padding)
                                               : hash_group<1>(list, padding);
        list = list.from(used);
    }
}

size_t lane_count() { return lanes; }
const char* target_name() { return hwy::TargetName(HWY_TARGET); }

}  // namespace millrace::kernels::detail::sha256_lanes::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace millrace::kernels::detail {

// The dispatch macros take plain names only.
namespace sha256_lanes {

HWY_EXPORT(hash_list);
HWY_EXPORT(lane_count);
HWY_EXPORT(target_name);

static void hash(const HashList& list) { HWY_DYNAMIC_DISPATCH(hash_list)(list); }
static size_t count() { return HWY_DYNAMIC_DISPATCH(lane_count)(); }
static std::string target() { return HWY_DYNAMIC_DISPATCH(target_name)(); }

}  // namespace sha256_lanes

namespace {

/// Relaxed: every value gives the same digests.
std::atomic<Sha256Units> forced{Sha256Units::automatic};

/// How many of `count` messages go through the lanes; the others go through SHA-NI.
size_t share_of_lanes(size_t count) {
    const Sha256Units units = forced.load(std::memory_order_relaxed);
    if (units == Sha256Units::lanes || !sha256_ni_supported()) { return count; }
    const size_t lanes = sha256_lanes::count();
    if (units == Sha256Units::sha_ni || lanes < 16) { return 0; }
    // Two vectors of 16 lanes side by side are at least as fast as four streams of SHA-NI; a single
    // one is not (64 bytes on Zen 4: 105, 105 and 129 cycles a message).
    return count - count % (2 * lanes);
}

}  // namespace

void sha256_simd_use(Sha256Units units) noexcept { forced.store(units, std::memory_order_relaxed); }

void sha256_simd(const HashList& list) {
    const size_t share = share_of_lanes(list.count);
    sha256_lanes::hash(list.first(share));
    sha256_ni_list(list.from(share));
}

std::string sha256_simd_target() {
    const std::string name = sha256_lanes::target();
    if (share_of_lanes(1) == 1) { return name; }
    return share_of_lanes(32) == 32 ? name + " + SHA-NI" : "SHA-NI";
}

}  // namespace millrace::kernels::detail
#endif
