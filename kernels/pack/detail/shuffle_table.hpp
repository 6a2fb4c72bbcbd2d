// SPDX-License-Identifier: Apache-2.0
// Owns where the bytes of eight packed values lie, for packing and unpacking by byte shuffles.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace millrace::kernels::detail {

/// Widths that are packed by shuffles: below, three values would meet in a byte; above, a shifted
/// value leaves its lane.
inline constexpr unsigned shuffle_pack_min = 8;
template <class T>
inline constexpr unsigned shuffle_pack_max = sizeof(T) == 4 ? 25 : 57;
/// Widest value that is unpacked by shuffles: 16 bytes hold the values of a vector. Widths above
/// shuffle_pack_max use `beyond`.
template <class T>
inline constexpr unsigned shuffle_unpack_max = sizeof(T) == 4 ? 31 : 57;

/// Eight values of one width in vectors of 16 bytes: vector k holds the values of the packed bytes
/// [offset[k], offset[k] + 16).
template <class T>
struct ShuffleTable {
    static constexpr size_t vectors = 8 * sizeof(T) / 16;
    static constexpr uint8_t nothing = 0x80;  ///< a shuffle gives zero

    /// Unpacking: a value's lane takes its bytes by `index`, is shifted right by `shift` and cut to
    /// the width.
    alignas(64) uint8_t index[8 * sizeof(T)];
    /// A value may reach into one byte more than T has: that byte, at the top of its lane.
    alignas(64) uint8_t beyond[8 * sizeof(T)];
    alignas(64) T shift[8];
    /// Packing: lanes are shifted left by `shift`, and a packed byte takes what the values of even
    /// and of odd lanes have there.
    alignas(64) uint8_t even[8 * sizeof(T)];
    alignas(64) uint8_t odd[8 * sizeof(T)];
    /// The byte that vector k - 1 has in common with vector k, at the place where k has it.
    alignas(16) uint8_t shared[vectors][16];
    uint8_t offset[vectors];
};

/// Bytes of a packed value: byte k of its shifted lane is packed byte first + k of its vector.
template <class T>
constexpr void place_value(ShuffleTable<T>& table, unsigned v, unsigned first, unsigned last) {
    constexpr unsigned values = 16 / sizeof(T);
    uint8_t* const places = v % 2 == 0 ? table.even : table.odd;
    for (unsigned k = 0; k < sizeof(T) && first + k <= last; ++k) {
        places[v / values * 16 + first + k] = static_cast<uint8_t>(v % values * sizeof(T) + k);
        table.index[v * sizeof(T) + k] = static_cast<uint8_t>(first + k);
    }
    if (last - first == sizeof(T)) {
        table.beyond[(v + 1) * sizeof(T) - 1] = static_cast<uint8_t>(last);
    }
}

template <class T>
constexpr ShuffleTable<T> make_shuffle_table(unsigned width) {
    constexpr unsigned values = 16 / sizeof(T);
    ShuffleTable<T> table{};
    for (size_t i = 0; i < 8 * sizeof(T); ++i) {
        table.index[i] = table.beyond[i] = table.even[i] = table.odd[i] = table.nothing;
    }
    for (unsigned vector = 0; vector < table.vectors; ++vector) {
        const unsigned bit = vector * values * width;
        table.offset[vector] = static_cast<uint8_t>(bit / 8);
        for (uint8_t& byte : table.shared[vector]) { byte = table.nothing; }
        if (bit % 8 != 0) {
            table.shared[vector][0] =
                static_cast<uint8_t>(table.offset[vector] - table.offset[vector - 1]);
        }
    }
    for (unsigned v = 0; v < 8; ++v) {
        const unsigned bit = v * width - 8u * table.offset[v / values];
        table.shift[v] = bit % 8;
        place_value(table, v, bit / 8, (bit + width - 1) / 8);
    }
    return table;
}

template <class T>
constexpr auto make_shuffle_tables() {
    std::array<ShuffleTable<T>, shuffle_unpack_max<T> + 1> tables{};
    for (unsigned width = 1; width < tables.size(); ++width) {
        tables[width] = make_shuffle_table<T>(width);
    }
    return tables;
}

/// Entry `width`; entry 0 is not used.
template <class T>
inline constexpr auto shuffle_tables = make_shuffle_tables<T>();

}  // namespace millrace::kernels::detail
