// SPDX-License-Identifier: Apache-2.0
// Owns how one thread of a device hashes one packed message by Keccak-256. It runs on the host too,
// so that machines without a device test the same code.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/keccak/detail/permutation.hpp"

namespace millrace::kernels::detail {

/// Keccak-256 of the packed message at `words`, as four lanes. The constants are passed because a
/// device keeps its own copy. Lanes are only indexed by constants, so they stay in registers.
MILLRACE_KERNEL_INLINE void keccak256_packed(const uint64_t* words, uint32_t bytes,
                                             const uint64_t* round_constants, uint64_t* digest) {
    constexpr uint32_t rate_lanes = keccak256_rate_lanes;
    uint64_t a[keccak_lanes] = {};
    uint64_t e[keccak_lanes];
    bool last = false;
    while (!last) {
        last = bytes < 8 * rate_lanes;
        const uint32_t whole = last ? bytes / 8 : rate_lanes;
#pragma unroll
        for (uint32_t i = 0; i < rate_lanes; ++i) {
            if (i < whole) {
                a[i] ^= words[i];
            } else if (i == whole) {
                // A message that ends with a whole word has no word here.
                a[i] ^= (bytes % 8 != 0 ? words[i] : 0) ^ (uint64_t{1} << (8 * (bytes % 8)));
            }
        }
        if (last) { a[rate_lanes - 1] ^= uint64_t{1} << 63; }
#pragma unroll 1
        for (uint32_t i = 0; i < keccak_rounds; i += 2) {
            keccak_round(a, e, round_constants[i]);
            keccak_round(e, a, round_constants[i + 1]);
        }
        words += rate_lanes;
        bytes -= 8 * rate_lanes;
    }
#pragma unroll
    for (uint32_t i = 0; i < 4; ++i) { digest[i] = a[i]; }
}

}  // namespace millrace::kernels::detail
