// SPDX-License-Identifier: Apache-2.0
// Owns what a device does with packing: blocks cut into tiles, one for each group of threads. It
// runs on the host too, so that machines without a device test the same code.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "kernels/pack/detail/value_code.hpp"

namespace millrace::kernels::detail {

/// Values of a tile, a multiple of 64: whatever the width, a tile begins on a word of 64 bits of
/// its block, so that tiles are packed and unpacked independently.
inline constexpr uint32_t tile_values = 512;
/// Bytes of a tile of byte_histogram.
inline constexpr uint32_t tile_bytes = 4096;
/// Counters of a histogram of widths.
inline constexpr uint32_t width_counters = 65;

/// A part of one block. On the device each block's packed words begin on a word of their own.
struct PackTile {
    uint32_t first;       ///< its first value among the batch's
    uint32_t first_word;  ///< its first packed word
    uint32_t block;
    uint16_t count;
    uint8_t width;
    uint8_t starts;  ///< 1 when it is its block's first tile
};
static_assert(sizeof(PackTile) == 16);

/// Packed words that a block takes on the device.
constexpr size_t block_words(size_t count, unsigned width) { return (count * width + 63) / 64; }
constexpr size_t block_tiles(size_t count, uint32_t tile) { return (count + tile - 1) / tile; }

/// Writes the tiles of blocks [0, counts.size()) to `tiles`, which has room for them, and gives how
/// many they are. No widths mean 0.
inline size_t make_tiles(std::span<const uint32_t> counts, std::span<const uint8_t> widths,
                         uint32_t tile, PackTile* tiles) {
    size_t made = 0;
    uint32_t first = 0;
    uint32_t first_word = 0;
    for (uint32_t b = 0; b < counts.size(); ++b) {
        const uint8_t width = widths.empty() ? uint8_t{0} : widths[b];
        for (uint32_t at = 0; at < counts[b]; at += tile) {
            tiles[made++] = {.first = first + at,
                             .first_word = first_word + at / 64 * width,
                             .block = b,
                             .count = static_cast<uint16_t>(std::min(tile, counts[b] - at)),
                             .width = width,
                             .starts = at == 0};
        }
        first += counts[b];
        first_word += static_cast<uint32_t>(block_words(counts[b], width));
    }
    return made;
}

// One thread's share of a tile: `thread` of `threads` takes every threads-th value or word. The
// results that belong to a block are joined by the caller.

/// The bitwise or of its values.
template <class T>
MILLRACE_KERNEL_INLINE T tile_any(const PackTile& tile, const T* values, uint32_t thread,
                                  uint32_t threads) {
    T any = 0;
    for (uint32_t i = thread; i < tile.count; i += threads) { any |= values[tile.first + i]; }
    return any;
}

/// The least of its values, or the largest integer.
template <class T>
MILLRACE_KERNEL_INLINE T tile_minimum(const PackTile& tile, const T* values, uint32_t thread,
                                      uint32_t threads) {
    T minimum = static_cast<T>(~T{0});
    for (uint32_t i = thread; i < tile.count; i += threads) {
        const T value = values[tile.first + i];
        minimum = value < minimum ? value : minimum;
    }
    return minimum;
}

/// Packs its words; gives the bitwise or of its values.
template <class T>
MILLRACE_KERNEL_INLINE T tile_pack(const PackTile& tile, const T* values, uint64_t* words,
                                   uint32_t thread, uint32_t threads) {
    const uint32_t count = (uint32_t{tile.count} * tile.width + 63) / 64;
    for (uint32_t w = thread; w < count; w += threads) {
        words[tile.first_word + w] =
            packed_word(values + tile.first, uint32_t{tile.count}, uint32_t{tile.width}, w);
    }
    return tile_any(tile, values, thread, threads);
}

/// Unpacks its values; gives their bitwise or.
template <class T>
MILLRACE_KERNEL_INLINE T tile_unpack(const PackTile& tile, const uint64_t* words, T* values,
                                     uint32_t thread, uint32_t threads) {
    T any = 0;
    for (uint32_t i = thread; i < tile.count; i += threads) {
        const T value = tile.width == 0 ? T{0}
                                        : packed_value<T>(words + tile.first_word,
                                                          uint32_t{tile.width}, uint32_t{i});
        values[tile.first + i] = value;
        any |= value;
    }
    return any;
}

/// Encodes its values; gives whether the code takes them.
template <class T>
MILLRACE_KERNEL_INLINE bool tile_encode(const PackTile& tile, CodeKind code, const T* values,
                                        T base, T* coded, uint32_t thread, uint32_t threads) {
    bool takes = true;
    for (uint32_t i = thread; i < tile.count; i += threads) {
        const bool first = tile.starts != 0 && i == 0;
        const size_t at = size_t{tile.first} + i;
        const T previous = first || code == CodeKind::offset ? base : values[at - 1];
        coded[at] = encode_value(code, values[at], previous, first);
        takes = takes && (code != CodeKind::gap || gap_ascends(values[at], previous, first));
    }
    return takes;
}

/// Writes by how much each of its values raises the sum: decoding adds these up over the whole
/// batch, modulo the type, and tile_finish takes off what the blocks before have added.
template <class T>
MILLRACE_KERNEL_INLINE void tile_steps(const PackTile& tile, CodeKind code, const T* coded,
                                       T* steps, uint32_t thread, uint32_t threads) {
    for (uint32_t i = thread; i < tile.count; i += threads) {
        steps[tile.first + i] = decode_step(code, coded[tile.first + i]);
    }
}

/// Makes the values of the sums over the batch. `block_first` is the first value of the tile's
/// block. Gives whether the code takes them.
template <class T>
MILLRACE_KERNEL_INLINE bool tile_finish(const PackTile& tile, CodeKind code, const T* coded,
                                        const T* sums, uint32_t block_first, T base, T* values,
                                        uint32_t thread, uint32_t threads) {
    const T before = block_first == 0 ? T{0} : sums[block_first - 1];
    const T start = decode_start(code, base) - before;
    bool fits = true;
    for (uint32_t i = thread; i < tile.count; i += threads) {
        const bool first = tile.starts != 0 && i == 0;
        const size_t at = size_t{tile.first} + i;
        // A frame of reference has no sums.
        const T value = code == CodeKind::offset ? base + coded[at] : start + sums[at];
        values[at] = value;
        fits = fits && gap_fits(value, coded[at], first);
    }
    return fits || code != CodeKind::gap;
}

}  // namespace millrace::kernels::detail
