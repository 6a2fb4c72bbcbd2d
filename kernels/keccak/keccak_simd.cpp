// SPDX-License-Identifier: Apache-2.0
// Owns Keccak-256 over vector lanes: one message in each 64-bit lane, on every Highway target.

// Vectors without a compile-time size cannot be kept in arrays; those CPUs get NEON or emulation.
#undef HWY_DISABLED_TARGETS
#define HWY_DISABLED_TARGETS (HWY_SVE | HWY_SVE2 | HWY_SVE_256 | HWY_SVE2_128 | HWY_RVV)
#undef HWY_TARGET_INCLUDE
#define HWY_TARGET_INCLUDE "kernels/keccak/keccak_simd.cpp"  // NOLINT: Highway names it
#include <hwy/foreach_target.h>

#include <hwy/highway.h>

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>

#include "host/base/types.hpp"
#include "kernels/batch/detail/hash_list.hpp"
#include "kernels/keccak/detail/backends.hpp"
#include "kernels/keccak/detail/permutation.hpp"
#include "kernels/keccak/keccak.hpp"

HWY_BEFORE_NAMESPACE();
namespace millrace::kernels::detail::keccak_vectors::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<uint64_t>;
using V = hn::Vec<D>;
constexpr size_t lanes = hn::MaxLanes(D());

template <unsigned n>
HWY_INLINE V rotate_left(V v) {
    if constexpr (n == 0) {
        return v;
    } else {
        return hn::RotateRight<64 - static_cast<int>(n)>(v);
    }
}

/// Lane (x, y) after theta, rho and pi; `t` is what theta adds to each column.
template <size_t x, size_t y>
HWY_INLINE V theta_rho_pi(const V* HWY_RESTRICT a, const V* HWY_RESTRICT t) {
    constexpr size_t column = (x + 3 * y) % 5;
    constexpr size_t lane = column + 5 * x;
    return rotate_left<keccak_rho(lane)>(hn::Xor(a[lane], t[column]));
}

template <size_t y>
HWY_INLINE void row(const V* HWY_RESTRICT a, const V* HWY_RESTRICT t, V* HWY_RESTRICT e) {
    const V b0 = theta_rho_pi<0, y>(a, t);
    const V b1 = theta_rho_pi<1, y>(a, t);
    const V b2 = theta_rho_pi<2, y>(a, t);
    const V b3 = theta_rho_pi<3, y>(a, t);
    const V b4 = theta_rho_pi<4, y>(a, t);
    e[5 * y + 0] = hn::Xor(b0, hn::AndNot(b1, b2));
    e[5 * y + 1] = hn::Xor(b1, hn::AndNot(b2, b3));
    e[5 * y + 2] = hn::Xor(b2, hn::AndNot(b3, b4));
    e[5 * y + 3] = hn::Xor(b3, hn::AndNot(b4, b0));
    e[5 * y + 4] = hn::Xor(b4, hn::AndNot(b0, b1));
}

HWY_INLINE V parity(V a, V b, V c) { return hn::Xor3(a, b, c); }

/// Column parities of a state.
HWY_INLINE void parities(const V* HWY_RESTRICT a, V* HWY_RESTRICT c) {
    HWY_UNROLL(5)
    for (size_t x = 0; x < 5; ++x) {
        c[x] = parity(parity(a[x], a[x + 5], a[x + 10]), a[x + 15], a[x + 20]);
    }
}

/// One round from `a` to `e`. `c` holds the column parities of `a` and takes those of `e`, half of
/// them before the last rows: the next round waits for them.
HWY_INLINE void round(const V* HWY_RESTRICT a, V* HWY_RESTRICT e, V* HWY_RESTRICT c,
                      uint64_t round_constant) {
    V t[5];
    HWY_UNROLL(5)
    for (size_t x = 0; x < 5; ++x) {
        t[x] = hn::Xor(c[(x + 4) % 5], rotate_left<1>(c[(x + 1) % 5]));
    }
    row<0>(a, t, e);
    e[0] = hn::Xor(e[0], hn::Set(D(), round_constant));
    row<1>(a, t, e);
    row<2>(a, t, e);
    V upper[5];
    HWY_UNROLL(5)
    for (size_t x = 0; x < 5; ++x) { upper[x] = parity(e[x], e[x + 5], e[x + 10]); }
    row<3>(a, t, e);
    row<4>(a, t, e);
    HWY_UNROLL(5)
    for (size_t x = 0; x < 5; ++x) { c[x] = parity(upper[x], e[x + 15], e[x + 20]); }
}

/// Rounds first .. last - 1, an even count of them.
HWY_INLINE void rounds(V* HWY_RESTRICT a, V* HWY_RESTRICT c, size_t first, size_t last) {
    V e[keccak_lanes];
    HWY_UNROLL(1)
    for (size_t i = first; i < last; i += 2) {
        round(a, e, c, keccak_round_constants[i]);
        round(e, a, c, keccak_round_constants[i + 1]);
    }
}

/// XORs the rows of `block` (rate lanes, one vector each) into `state` and permutes it.
HWY_NOINLINE void absorb(uint64_t* HWY_RESTRICT state, const uint64_t* HWY_RESTRICT block) {
    const D d;
    V a[keccak_lanes];
    V c[5];
    HWY_UNROLL(25)
    for (size_t i = 0; i < keccak_lanes; ++i) {
        a[i] = hn::Load(d, state + i * lanes);
        if (i < keccak256_rate_lanes) { a[i] = hn::Xor(a[i], hn::Load(d, block + i * lanes)); }
    }
    parities(a, c);
    rounds(a, c, 0, keccak_rounds);
    HWY_UNROLL(25)
    for (size_t i = 0; i < keccak_lanes; ++i) { hn::Store(a[i], d, state + i * lanes); }
}

/// Puts the digest's rows of messages of one block to `state`. The outer rounds are apart so that
/// the empty lanes fold into the first and the unread ones vanish from the last.
HWY_NOINLINE void hash_block(uint64_t* HWY_RESTRICT state, const uint64_t* HWY_RESTRICT block) {
    const D d;
    V a[keccak_lanes];
    V e[keccak_lanes];
    V c[5];
    HWY_UNROLL(25)
    for (size_t i = 0; i < keccak_lanes; ++i) {
        a[i] = i < keccak256_rate_lanes ? hn::Load(d, block + i * lanes) : hn::Zero(d);
    }
    parities(a, c);
    round(a, e, c, keccak_round_constants[0]);
    rounds(e, c, 1, keccak_rounds - 1);
    round(e, a, c, keccak_round_constants[keccak_rounds - 1]);
    HWY_UNROLL(4)
    for (size_t i = 0; i < 4; ++i) { hn::Store(a[i], d, state + i * lanes); }
}

/// Reads four words of each message at from[l] + offset into four rows of `out`.
HWY_INLINE void load_four_words(const uint8_t* const* HWY_RESTRICT from, size_t offset,
                                uint64_t* HWY_RESTRICT out) {
    const D d;
    const auto at = [&](size_t l, size_t word) HWY_ATTR {
        return reinterpret_cast<const uint64_t*>(from[l] + offset) + word;
    };
#if HWY_TARGET == HWY_SCALAR
    for (size_t i = 0; i < 4; ++i) { std::memcpy(out + i, at(0, i), 8); }
    (void)d;
#elif HWY_TARGET <= HWY_AVX3
    const auto two = [&](size_t first, size_t second) HWY_ATTR {
        const auto four = [&](size_t l) HWY_ATTR {
            return _mm256_loadu_si256(reinterpret_cast<const __m256i*>(at(l, 0)));
        };
        return V{_mm512_inserti64x4(_mm512_castsi256_si512(four(first)), four(second), 1)};
    };
    const V m02 = two(0, 2);
    const V m13 = two(1, 3);
    const V m46 = two(4, 6);
    const V m57 = two(5, 7);
    // Even blocks hold the words 0 and 1 of two messages, odd ones 2 and 3.
    const V even03 = hn::InterleaveLower(d, m02, m13);
    const V odd03 = hn::InterleaveUpper(d, m02, m13);
    const V even47 = hn::InterleaveLower(d, m46, m57);
    const V odd47 = hn::InterleaveUpper(d, m46, m57);
    hn::Store(V{_mm512_shuffle_i64x2(even03.raw, even47.raw, 0x88)}, d, out);
    hn::Store(V{_mm512_shuffle_i64x2(odd03.raw, odd47.raw, 0x88)}, d, out + lanes);
    hn::Store(V{_mm512_shuffle_i64x2(even03.raw, even47.raw, 0xdd)}, d, out + 2 * lanes);
    hn::Store(V{_mm512_shuffle_i64x2(odd03.raw, odd47.raw, 0xdd)}, d, out + 3 * lanes);
#elif HWY_MAX_BYTES == 32
    const V m0 = hn::LoadU(d, at(0, 0));
    const V m1 = hn::LoadU(d, at(1, 0));
    const V m2 = hn::LoadU(d, at(2, 0));
    const V m3 = hn::LoadU(d, at(3, 0));
    const V even01 = hn::InterleaveLower(d, m0, m1);
    const V odd01 = hn::InterleaveUpper(d, m0, m1);
    const V even23 = hn::InterleaveLower(d, m2, m3);
    const V odd23 = hn::InterleaveUpper(d, m2, m3);
    hn::Store(hn::ConcatLowerLower(d, even23, even01), d, out);
    hn::Store(hn::ConcatLowerLower(d, odd23, odd01), d, out + lanes);
    hn::Store(hn::ConcatUpperUpper(d, even23, even01), d, out + 2 * lanes);
    hn::Store(hn::ConcatUpperUpper(d, odd23, odd01), d, out + 3 * lanes);
#else
    for (size_t i = 0; i < 4; i += 2) {
        const V m0 = hn::LoadU(d, at(0, i));
        const V m1 = hn::LoadU(d, at(1, i));
        hn::Store(hn::InterleaveLower(d, m0, m1), d, out + i * lanes);
        hn::Store(hn::InterleaveUpper(d, m0, m1), d, out + (i + 1) * lanes);
    }
#endif
}

/// Up to eight bytes as a number.
HWY_INLINE uint64_t low_word(const uint8_t* p, size_t bytes) {
    uint64_t word = 0;
    for (size_t i = 0; i < bytes; ++i) { word |= static_cast<uint64_t>(p[i]) << (8 * i); }
    return word;
}

/// Block `index` of one message, padded when it is the last, to every lanes-th word of `out`.
HWY_INLINE void fill_lane(const uint8_t* message, size_t bytes, size_t index,
                          uint64_t* HWY_RESTRICT out) {
    const size_t offset = index * keccak256_rate_bytes;
    if (bytes < offset) { return; }  // A shorter neighbour: its digest is already out.
    const uint8_t* p = message + offset;
    const size_t left = bytes - offset;
    const size_t whole = std::min(left / 8, keccak256_rate_lanes);
    for (size_t i = 0; i < whole; ++i) { std::memcpy(out + i * lanes, p + 8 * i, 8); }
    if (whole == keccak256_rate_lanes) { return; }
    out[whole * lanes] = low_word(p + 8 * whole, left % 8) | uint64_t{1} << (8 * (left % 8));
    for (size_t i = whole + 1; i < keccak256_rate_lanes; ++i) { out[i * lanes] = 0; }
    out[(keccak256_rate_lanes - 1) * lanes] |= uint64_t{1} << 63;
}

/// Block `index` of messages that are all `bytes` long and reach it.
HWY_INLINE void fill_equal(const uint8_t* const* messages, size_t bytes, size_t index,
                           uint64_t* HWY_RESTRICT out) {
    const D d;
    const size_t offset = index * keccak256_rate_bytes;
    const size_t left = std::min(bytes - offset, keccak256_rate_bytes);
    size_t i = 0;
    for (; 8 * (i + 4) <= left; i += 4) {
        load_four_words(messages, offset + 8 * i, out + i * lanes);
    }
    for (; 8 * (i + 1) <= left; ++i) {
        for (size_t l = 0; l < lanes; ++l) {
            std::memcpy(out + i * lanes + l, messages[l] + offset + 8 * i, 8);
        }
    }
    if (i == keccak256_rate_lanes) { return; }
    const uint64_t padding = uint64_t{1} << (8 * (left % 8));
    hn::Store(hn::Set(d, padding), d, out + i * lanes);
    if (left % 8 != 0) {
        for (size_t l = 0; l < lanes; ++l) {
            out[i * lanes + l] |= low_word(messages[l] + offset + 8 * i, left % 8);
        }
    }
    for (++i; i < keccak256_rate_lanes; ++i) { hn::Store(hn::Zero(d), d, out + i * lanes); }
    uint64_t* const last = out + (keccak256_rate_lanes - 1) * lanes;
    hn::Store(hn::Or(hn::Load(d, last), hn::Set(d, uint64_t{1} << 63)), d, last);
}

/// The messages that share one vector, and the block of them that is next.
struct Step {
    size_t first = 0;
    size_t used = 0;
    size_t block = 0;
    size_t blocks = 0;
    bool equal = false;
};

HWY_INLINE Step group_at(const HashList& list, size_t first) {
    Step step;
    step.first = first;
    step.used = std::min(lanes, list.count - first);
    for (size_t l = 0; l < step.used; ++l) {
        step.blocks = std::max(step.blocks, list.bytes[first + l] / keccak256_rate_bytes + 1);
    }
    step.equal = step.used == lanes && list.from(first).equal_bytes(lanes);
    return step;
}

HWY_INLINE void fill(const HashList& list, const Step& step, uint64_t* HWY_RESTRICT out) {
    const HashList group = list.from(step.first);
    if (step.equal) {
        fill_equal(group.messages, group.bytes[0], step.block, out);
        return;
    }
    for (size_t l = 0; l < step.used; ++l) {
        fill_lane(group.messages[l], group.bytes[l], step.block, out + l);
    }
}

HWY_INLINE void squeeze(const HashList& list, const Step& step,
                        const uint64_t* HWY_RESTRICT state) {
    const HashList group = list.from(step.first);
    for (size_t l = 0; l < step.used; ++l) {
        if (group.bytes[l] / keccak256_rate_bytes != step.block) { continue; }
        for (size_t i = 0; i < 4; ++i) {
            std::memcpy(group.digests[l] + 8 * i, state + i * lanes + l, 8);
        }
    }
}

/// The block of the next step is gathered before the current one is permuted: its narrow stores
/// have then left the store buffer when the wide loads come.
HWY_ATTR void hash_list(const HashList& list) {
    HWY_ALIGN_MAX uint64_t state[keccak_lanes * lanes];
    HWY_ALIGN_MAX uint64_t blocks[2][keccak256_rate_lanes * lanes] = {};
    Step next = group_at(list, 0);
    fill(list, next, blocks[0]);
    for (size_t turn = 0; next.used != 0; turn ^= 1) {
        const Step step = next;
        if (++next.block == next.blocks) { next = group_at(list, step.first + step.used); }
        fill(list, next, blocks[turn ^ 1]);
        if (step.blocks == 1) {
            hash_block(state, blocks[turn]);
        } else {
            if (step.block == 0) { std::memset(state, 0, sizeof state); }
            absorb(state, blocks[turn]);
        }
        squeeze(list, step, state);
    }
}

const char* target_name() { return hwy::TargetName(HWY_TARGET); }

}  // namespace millrace::kernels::detail::keccak_vectors::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace millrace::kernels::detail {

// The dispatch macros take plain names only.
namespace keccak_vectors {

HWY_EXPORT(hash_list);
HWY_EXPORT(target_name);

static void hash(const HashList& list) { HWY_DYNAMIC_DISPATCH(hash_list)(list); }
static std::string target() { return HWY_DYNAMIC_DISPATCH(target_name)(); }

}  // namespace keccak_vectors

void keccak256_simd(const HashList& list) {
    if (list.count == 1) {
        const Hash256 digest = keccak256({list.messages[0], list.bytes[0]});
        std::memcpy(list.digests[0], digest.data(), Hash256::size_bytes);
    } else if (list.count != 0) {
        keccak_vectors::hash(list);
    }
}

std::string keccak256_simd_target() { return keccak_vectors::target(); }

}  // namespace millrace::kernels::detail
#endif
