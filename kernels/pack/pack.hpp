// SPDX-License-Identifier: Apache-2.0
// Owns the packing of integers into bits, their transformation into small ones, and histograms:
// many blocks in one call, three back ends with byte-equal results.
#pragma once

#include <array>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <span>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "kernels/backend.hpp"

namespace millrace::kernels {

// What all calls share. A batch is a sequence of blocks: block b has counts[b] values, which follow
// those of block b - 1; a block may be empty and holds at most pack_block_values_max. T is uint32_t
// or uint64_t and is named by the caller, as in pack_blocks<uint32_t>(..). Outputs must not overlap
// inputs. Any thread; callers of the CUDA back end take turns. Every call fails with
// `invalid_input` when sizes do not fit together or as it says itself, `limit` for too large a
// block, `unavailable` when the back end is absent and `internal` on a device error; after a
// failure the outputs are unspecified, but nothing beyond them was touched. The scalar and SIMD
// back ends allocate nothing, except for an error's text.

template <class T>
concept PackedValue = std::same_as<T, uint32_t> || std::same_as<T, uint64_t>;

inline constexpr size_t pack_block_values_max = size_t{1} << 20;

/// Widest value, in bits.
template <PackedValue T>
inline constexpr unsigned pack_width_max = 8 * sizeof(T);

/// Bytes of a packed block. Value i takes the bits [i * width, (i + 1) * width), lowest bit first;
/// bit k is bit k % 8, counted from the lowest, of byte k / 8; the bits that fill up the last byte
/// are zero. Every eight values begin on a byte and take `width` bytes. The form does not depend on
/// T: what was packed as uint32_t unpacks as uint64_t.
constexpr size_t packed_bytes(size_t count, unsigned width) noexcept {
    return (count * width + 7) / 8;
}

/// widths[b] is the width of the widest value of block b: 0 when all are zero, or there are none.
template <PackedValue T>
Result<void> block_widths(Backend backend, std::span<const T> values,
                          std::span<const uint32_t> counts, std::span<uint8_t> widths);

/// minima[b] is the least value of block b, 0 of an empty one: the base of ValueCode::offset.
template <PackedValue T>
Result<void> block_minima(Backend backend, std::span<const T> values,
                          std::span<const uint32_t> counts, std::span<T> minima);

/// Packs block b at widths[b] bits a value. The packed blocks follow each other, each beginning on
/// a byte; `packed` has the sum of their packed_bytes. Fails with `invalid_input` also when a width
/// is beyond pack_width_max<T>, or when a value does not fit its block's width.
template <PackedValue T>
Result<void> pack_blocks(Backend backend, std::span<const T> values,
                         std::span<const uint32_t> counts, std::span<const uint8_t> widths,
                         std::span<uint8_t> packed);

/// Which widths unpacking takes.
enum class WidthRule : uint8_t {
    any,    ///< a format that fixes the width
    least,  ///< only that of the widest value, so that a block has one encoding
};

/// Unpacks what pack_blocks wrote. Fails with `invalid_input` also when `packed` is shorter or
/// longer than the blocks, a width is beyond pack_width_max<T> or against the rule, or a bit that
/// fills up a last byte is set: an accepted input is what pack_blocks gives for the values.
template <PackedValue T>
Result<void> unpack_blocks(Backend backend, ByteView packed, std::span<const uint32_t> counts,
                           std::span<const uint8_t> widths, WidthRule rule, std::span<T> values);

/// How a block of values becomes small numbers. c is coded, v the values, b the block's base, and
/// sums are modulo 2^(8 * sizeof(T)), so that every code but `gap` has a coded form for all values
/// and values for every coded form, one for one.
enum class ValueCode : uint8_t {
    offset,        ///< c[i] = v[i] - b (frame of reference)
    delta,         ///< c[0] = v[0] - b, c[i] = v[i] - v[i-1]
    zigzag_delta,  ///< as delta, then small magnitudes to small numbers: 0, -1, 1, -2 to 0, 1, 2, 3
    gap,           ///< sorted sets: c[0] = v[0] - b, c[i] = v[i] - v[i-1] - 1
};

/// Writes the coded form of each block. bases[b] belongs to block b; no bases at all means zeros.
/// `gap` fails with `invalid_input` unless v[0] >= b and each value is above the one before.
template <PackedValue T>
Result<void> encode_blocks(Backend backend, ValueCode code, std::span<const T> values,
                           std::span<const uint32_t> counts, std::span<const T> bases,
                           std::span<T> coded);

/// The inverse of encode_blocks. `gap` fails with `invalid_input` when a value would be beyond T.
template <PackedValue T>
Result<void> decode_blocks(Backend backend, ValueCode code, std::span<const T> coded,
                           std::span<const uint32_t> counts, std::span<const T> bases,
                           std::span<T> values);

/// How often each byte occurs.
using ByteHistogram = std::array<uint32_t, 256>;

/// histograms[b] counts the bytes of block b.
Result<void> byte_histograms(Backend backend, ByteView bytes, std::span<const uint32_t> counts,
                             std::span<ByteHistogram> histograms);

/// How many values are k bits wide, for k from 0 (the value zero) to 64.
using WidthHistogram = std::array<uint32_t, 65>;

/// histograms[b] counts the widths of the values of block b. What a block takes in any form whose
/// size depends on the values' widths alone follows from it without another pass.
template <PackedValue T>
Result<void> width_histograms(Backend backend, std::span<const T> values,
                              std::span<const uint32_t> counts,
                              std::span<WidthHistogram> histograms);

/// Bytes of the counted values as varints (LEB128): seven bits a byte, at least one byte.
constexpr uint64_t varint_bytes(const WidthHistogram& histogram) noexcept {
    uint64_t bytes = histogram[0];
    for (size_t width = 1; width < histogram.size(); ++width) {
        bytes += uint64_t{histogram[width]} * ((width + 6) / 7);
    }
    return bytes;
}

/// Whether a back end can be used here, on what it runs, and why not. The CUDA driver is probed by
/// the first call and the answer kept; no device, driver or library is needed to ask.
BackendStatus pack_backend_status(Backend backend);

}  // namespace millrace::kernels
