// SPDX-License-Identifier: Apache-2.0
// Owns what the back ends of batched recovery share: windows, tables, and eight jobs in and out.
#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace::kernels::detail {

/// Windows of the multiples of R and of G. A scalar k is written with odd digits only, from a sum
/// of 2^i or -2^i for every bit i of an unsigned number: with w bits to a window, the window B
/// stands for the digit 2 B - (2^w - 1). See recode_half in scalar.hpp.
inline constexpr unsigned point_window_bits = 5;
inline constexpr size_t point_windows = 26;
inline constexpr size_t point_windows_per_word = 12;
inline constexpr unsigned generator_window_bits = 13;
inline constexpr size_t generator_windows = 20;
inline constexpr size_t generator_windows_per_word = 4;

/// An affine point, both coordinates in [0, p), least significant word first.
struct alignas(64) AffinePoint {
    uint64_t x[4];
    uint64_t y[4];
};

/// Odd multiples of a fixed point: entry i is (2 i + 1) times it.
inline constexpr size_t generator_table_entries = size_t{1} << (generator_window_bits - 1);
/// The lower half of the windows uses multiples of G, the upper half those of 2^130 G, so that both
/// go along with the 125 doublings of R's chain. 512 KiB stay in the second-level cache.
struct GeneratorTables {
    AffinePoint low[generator_table_entries];
    AffinePoint high[generator_table_entries];
};

inline constexpr size_t lanes_x8 = 8;

/// Eight signatures. A lane without one is all zero.
struct alignas(64) LaneInput {
    uint64_t x[5][lanes_x8];          ///< r, by limbs of 52 bits
    uint64_t y_parity[lanes_x8];      ///< 0 or 1
    uint64_t first[3][lanes_x8];      ///< windows of the part of u2 that multiplies R
    uint64_t second[3][lanes_x8];     ///< windows of the part that multiplies lambda R
    uint64_t generator[5][lanes_x8];  ///< windows of u1
};

struct alignas(64) LaneOutput {
    uint8_t key[lanes_x8][64];  ///< x and y, big-endian; unspecified where not `recovered`
    uint8_t recovered;          ///< bit i: lane i has its key
    uint8_t no_point;           ///< bit i: no point of the curve has this x
};

/// Most vectors of one call.
inline constexpr size_t chain_vectors_max = 32;

}  // namespace millrace::kernels::detail
