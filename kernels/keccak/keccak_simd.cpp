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
#include <span>
#include <string>

#include "host/base/types.hpp"
#include "kernels/keccak/detail/backends.hpp"
#include "kernels/keccak/detail/permutation.hpp"
#include "kernels/keccak/keccak.hpp"

HWY_BEFORE_NAMESPACE();
namespace millrace::kernels::detail::HWY_NAMESPACE {
namespace hn = hwy::HWY_NAMESPACE;

using D = hn::ScalableTag<uint64_t>;
using V = hn::Vec<D>;
constexpr size_t lanes_max = hn::MaxLanes(D());

template <unsigned n>
HWY_INLINE V rotate_left(V v) {
    if constexpr (n == 0) {
        return v;
    } else {
        return hn::RotateRight<64 - static_cast<int>(n)>(v);
    }
}

/// Lane (x, y) after theta, rho and pi; `c` are the column parities and `r` the same rotated by 1.
template <size_t x, size_t y>
HWY_INLINE V theta_rho_pi(const V* HWY_RESTRICT a, const V* HWY_RESTRICT c,
                          const V* HWY_RESTRICT r) {
    constexpr size_t column = (x + 3 * y) % 5;
    constexpr size_t lane = column + 5 * x;
    return rotate_left<keccak_rho(lane)>(
        hn::Xor3(a[lane], c[(column + 4) % 5], r[(column + 1) % 5]));
}

template <size_t y>
HWY_INLINE void row(const V* HWY_RESTRICT a, const V* HWY_RESTRICT c, const V* HWY_RESTRICT r,
                    V* HWY_RESTRICT e) {
    const V b0 = theta_rho_pi<0, y>(a, c, r);
    const V b1 = theta_rho_pi<1, y>(a, c, r);
    const V b2 = theta_rho_pi<2, y>(a, c, r);
    const V b3 = theta_rho_pi<3, y>(a, c, r);
    const V b4 = theta_rho_pi<4, y>(a, c, r);
    e[5 * y + 0] = hn::Xor(b0, hn::AndNot(b1, b2));
    e[5 * y + 1] = hn::Xor(b1, hn::AndNot(b2, b3));
    e[5 * y + 2] = hn::Xor(b2, hn::AndNot(b3, b4));
    e[5 * y + 3] = hn::Xor(b3, hn::AndNot(b4, b0));
    e[5 * y + 4] = hn::Xor(b4, hn::AndNot(b0, b1));
}

HWY_INLINE V parity(V a, V b, V c, V d, V e) { return hn::Xor3(hn::Xor3(a, b, c), d, e); }

HWY_INLINE void round(const V* HWY_RESTRICT a, V* HWY_RESTRICT e, uint64_t round_constant) {
    const V c[5] = {
        parity(a[0], a[5], a[10], a[15], a[20]), parity(a[1], a[6], a[11], a[16], a[21]),
        parity(a[2], a[7], a[12], a[17], a[22]), parity(a[3], a[8], a[13], a[18], a[23]),
        parity(a[4], a[9], a[14], a[19], a[24])};
    const V r[5] = {rotate_left<1>(c[0]), rotate_left<1>(c[1]), rotate_left<1>(c[2]),
                    rotate_left<1>(c[3]), rotate_left<1>(c[4])};
    row<0>(a, c, r, e);
    row<1>(a, c, r, e);
    row<2>(a, c, r, e);
    row<3>(a, c, r, e);
    row<4>(a, c, r, e);
    e[0] = hn::Xor(e[0], hn::Set(D(), round_constant));
}

/// XORs the rows of `block` (rate lanes, one vector each) into `state` and permutes it.
HWY_NOINLINE void absorb(uint64_t* HWY_RESTRICT state, const uint64_t* HWY_RESTRICT block) {
    const D d;
    const size_t n = hn::Lanes(d);
    V a[keccak_lanes];
    V e[keccak_lanes];
    HWY_UNROLL(25)
    for (size_t i = 0; i < keccak_lanes; ++i) {
        a[i] = hn::Load(d, state + i * n);
        if (i < keccak256_rate_lanes) { a[i] = hn::Xor(a[i], hn::Load(d, block + i * n)); }
    }
    for (size_t i = 0; i < keccak_rounds; i += 2) {
        round(a, e, keccak_round_constants[i]);
        round(e, a, keccak_round_constants[i + 1]);
    }
    HWY_UNROLL(25)
    for (size_t i = 0; i < keccak_lanes; ++i) { hn::Store(a[i], d, state + i * n); }
}

/// Block `block_index` of one message, padded when it is the last, to every n-th word of `out`.
HWY_INLINE void fill_lane(ByteView message, size_t block_index, uint64_t* HWY_RESTRICT out,
                          size_t n) {
    const size_t offset = block_index * keccak256_rate_bytes;
    if (message.size() < offset) { return; }  // A shorter neighbour: its digest is already out.
    const uint8_t* p = message.data() + offset;
    const size_t left = message.size() - offset;
    const size_t whole = std::min(left / 8, keccak256_rate_lanes);
    for (size_t i = 0; i < whole; ++i) { std::memcpy(out + i * n, p + 8 * i, 8); }
    if (whole == keccak256_rate_lanes) { return; }
    uint64_t tail = uint64_t{1} << (8 * (left % 8));
    for (size_t i = 0; i < left % 8; ++i) {
        tail |= static_cast<uint64_t>(p[8 * whole + i]) << (8 * i);
    }
    out[whole * n] = tail;
    for (size_t i = whole + 1; i < keccak256_rate_lanes; ++i) { out[i * n] = 0; }
    out[(keccak256_rate_lanes - 1) * n] |= uint64_t{1} << 63;
}

/// The messages that share one vector, and the block of them that is next. `order` is ascending in
/// blocks, so the last message of a group is its longest.
struct Step {
    size_t first = 0;
    size_t used = 0;
    size_t block = 0;
    size_t blocks = 0;
};

HWY_INLINE Step group_at(const ByteView* messages, const uint16_t* order, size_t count,
                         size_t first, size_t n) {
    Step step;
    step.first = first;
    step.used = std::min(n, count - first);
    step.blocks = step.used == 0
                      ? 0
                      : messages[order[first + step.used - 1]].size() / keccak256_rate_bytes + 1;
    return step;
}

HWY_INLINE void fill(const ByteView* messages, const uint16_t* order, const Step& step,
                     uint64_t* HWY_RESTRICT out, size_t n) {
    for (size_t lane = 0; lane < step.used; ++lane) {
        fill_lane(messages[order[step.first + lane]], step.block, out + lane, n);
    }
}

HWY_INLINE void squeeze(const ByteView* messages, const uint16_t* order, const Step& step,
                        const uint64_t* HWY_RESTRICT state, Hash256* digests, size_t n) {
    for (size_t lane = 0; lane < step.used; ++lane) {
        const size_t index = order[step.first + lane];
        if (messages[index].size() / keccak256_rate_bytes != step.block) { continue; }
        for (size_t i = 0; i < 4; ++i) {
            std::memcpy(digests[index].data() + 8 * i, state + i * n + lane, 8);
        }
    }
}

/// Hashes messages[order[0 .. count)]. The block of the next step is gathered before the current
/// one is permuted: its narrow stores have then left the store buffer when the wide loads come.
HWY_ATTR void hash_ordered(const ByteView* messages, Hash256* digests, const uint16_t* order,
                           size_t count) {
    const size_t n = hn::Lanes(D());
    HWY_ALIGN_MAX uint64_t state[keccak_lanes * lanes_max] = {};
    HWY_ALIGN_MAX uint64_t blocks[2][keccak256_rate_lanes * lanes_max] = {};
    Step next = group_at(messages, order, count, 0, n);
    fill(messages, order, next, blocks[0], n);
    for (size_t turn = 0; next.used != 0; turn ^= 1) {
        const Step step = next;
        if (++next.block == next.blocks) {
            next = group_at(messages, order, count, step.first + step.used, n);
        }
        fill(messages, order, next, blocks[turn ^ 1], n);
        if (step.block == 0) { std::memset(state, 0, sizeof state); }
        absorb(state, blocks[turn]);
        squeeze(messages, order, step, state, digests, n);
    }
}

const char* target_name() { return hwy::TargetName(HWY_TARGET); }

}  // namespace millrace::kernels::detail::HWY_NAMESPACE
HWY_AFTER_NAMESPACE();

#if HWY_ONCE
namespace millrace::kernels::detail {

namespace {

HWY_EXPORT(hash_ordered);
HWY_EXPORT(target_name);

constexpr size_t chunk_messages = 1024;
constexpr size_t buckets = 16;

size_t blocks_of(ByteView message) { return message.size() / keccak256_rate_bytes + 1; }

/// Indices of `messages` by ascending block count, so that messages of one vector end together.
void order_by_blocks(std::span<const ByteView> messages, uint16_t* order) {
    size_t starts[buckets + 1] = {};
    const auto bucket_of = [](ByteView m) { return std::min(blocks_of(m), buckets) - 1; };
    for (const ByteView m : messages) { ++starts[bucket_of(m) + 1]; }
    for (size_t b = 1; b <= buckets; ++b) { starts[b] += starts[b - 1]; }
    uint16_t* const long_first = order + starts[buckets - 1];
    for (size_t i = 0; i < messages.size(); ++i) {
        order[starts[bucket_of(messages[i])]++] = static_cast<uint16_t>(i);
    }
    std::sort(long_first, order + messages.size(), [&](uint16_t a, uint16_t b) {
        return blocks_of(messages[a]) < blocks_of(messages[b]);
    });
}

}  // namespace

void keccak256_simd(std::span<const ByteView> messages, std::span<Hash256> digests) {
    uint16_t order[chunk_messages];
    while (!messages.empty()) {
        const size_t count = std::min(messages.size(), chunk_messages);
        if (count == 1) {
            digests[0] = keccak256(messages[0]);
        } else {
            order_by_blocks(messages.first(count), order);
            HWY_DYNAMIC_DISPATCH(hash_ordered)(messages.data(), digests.data(), order, count);
        }
        messages = messages.subspan(count);
        digests = digests.subspan(count);
    }
}

std::string keccak256_simd_target() { return HWY_DYNAMIC_DISPATCH(target_name)(); }

}  // namespace millrace::kernels::detail
#endif
