// SPDX-License-Identifier: Apache-2.0
// Owns where the bytes of eight packed values lie, for unpacking by byte shuffles.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

namespace millrace::kernels::detail {

/// Eight values of one width in vectors of 16 bytes: vector k holds the values of [offset[k],
/// offset[k] + 16). A value's lane takes its bytes by `index`, is shifted right by `shift` and cut
/// to the width.
template <class T>
struct UnpackTable {
    static constexpr size_t vectors = 8 * sizeof(T) / 16;
    static constexpr uint8_t nothing = 0x80;  ///< a shuffle gives zero

    alignas(64) uint8_t index[8 * sizeof(T)];
    /// A value may reach into one byte more than T has: that byte, at the top of its lane.
    alignas(64) uint8_t beyond[8 * sizeof(T)];
    alignas(64) T shift[8];
    uint8_t offset[vectors];
};

/// Widest value that this way unpacks, where 16 bytes hold the values of a vector.
template <class T>
inline constexpr unsigned shuffle_width_max = sizeof(T) == 4 ? 31 : 57;
/// Widths above this one use `beyond`.
template <class T>
inline constexpr unsigned shuffle_width_plain = sizeof(T) == 4 ? 25 : 57;

template <class T>
constexpr UnpackTable<T> make_unpack_table(unsigned width) {
    constexpr unsigned values = 16 / sizeof(T);
    UnpackTable<T> table{};
    for (unsigned v = 0; v < 8; ++v) {
        const unsigned vector = v / values;
        const unsigned offset = vector * values * width / 8;
        const unsigned bit = v * width - 8 * offset;
        table.offset[vector] = static_cast<uint8_t>(offset);
        table.shift[v] = bit % 8;
        for (unsigned k = 0; k < sizeof(T); ++k) {
            const bool used = 8 * (bit / 8 + k) < bit + width;
            table.index[v * sizeof(T) + k] =
                static_cast<uint8_t>(used ? bit / 8 + k : table.nothing);
            table.beyond[v * sizeof(T) + k] = table.nothing;
        }
        if (8 * (bit / 8 + sizeof(T)) < bit + width) {
            table.beyond[v * sizeof(T) + sizeof(T) - 1] = static_cast<uint8_t>(bit / 8 + sizeof(T));
        }
    }
    return table;
}

template <class T>
constexpr auto make_unpack_tables() {
    std::array<UnpackTable<T>, shuffle_width_max<T> + 1> tables{};
    for (unsigned width = 1; width < tables.size(); ++width) {
        tables[width] = make_unpack_table<T>(width);
    }
    return tables;
}

/// Entry `width`; entry 0 is not used.
template <class T>
inline constexpr auto unpack_tables = make_unpack_tables<T>();

}  // namespace millrace::kernels::detail
