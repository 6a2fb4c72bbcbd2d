// SPDX-License-Identifier: Apache-2.0
// Owns the table of multiples of the generator: row w, column j holds (2 j + 1) 2^(13 w) G.
#pragma once

#include <array>
#include <cstddef>
#include <vector>

#include "kernels/secp256k1/detail/gpu/point.hpp"

namespace millrace::kernels::gpu {

inline constexpr size_t generator_table_entries = size_t{generator_windows} * generator_table_row;
inline constexpr size_t generator_table_bytes = generator_table_entries * sizeof(Affine);
static_assert(generator_table_bytes == 5'242'880);

/// The Keccak-256 of the table's bytes, as lanes. The tests check every entry behind it against
/// libsecp256k1.
using TableDigest = std::array<uint64_t, 4>;
inline constexpr TableDigest generator_table_digest{0xf34318246e041ddb, 0xfaf8fc7a5a5e6fcb,
                                                    0xa81ecad7e55dfc62, 0x29a4613838209b62};
TableDigest digest_of_table(const Affine* table);

/// Column 0 of each row, normalized.
std::array<Affine, generator_windows> generator_rows() noexcept;

/// The whole table, normalized, made on the host in about half a second.
std::vector<Affine> make_generator_table();

/// Entry `column` of the row that starts with `base`, by doubling and adding: what one thread does
/// when the device makes the table. No addition is exceptional, since 2 m base is never +-base for
/// m from 1 to 4095.
MILLRACE_GPU Affine make_generator_entry(const Affine& base, uint32_t column) {
    const uint32_t factor = 2 * column + 1;
    Jacobian sum{base.x, base.y, field_of(1)};
    bool started = false;
#pragma unroll 1
    for (int bit = generator_window_bits - 1; bit >= 0; --bit) {
        const bool set = (factor >> bit & 1) != 0;
        if (started) {
            sum = doubled(sum);
            if (set) { sum = add_affine(sum, base); }
        }
        started = started || set;
    }
    return to_affine(sum);
}

}  // namespace millrace::kernels::gpu
