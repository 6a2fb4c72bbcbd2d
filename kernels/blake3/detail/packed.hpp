// SPDX-License-Identifier: Apache-2.0
// Owns how one thread of a device hashes one packed message by BLAKE3. It runs on the host too, so
// that machines without a device test the same code.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/blake3/detail/compress.hpp"

namespace millrace::kernels::detail {

/// BLAKE3 of the packed message of up to a chunk at `words`, as eight words that lie as the digest
/// does. Words are only indexed by constants, so they stay in registers.
MILLRACE_KERNEL_INLINE void blake3_packed(const uint32_t* words, uint32_t bytes, uint32_t* digest) {
    uint32_t value[8];
#pragma unroll
    for (uint32_t i = 0; i < 8; ++i) { value[i] = blake3_initial(i); }
    const uint32_t used_words = (bytes + 3) / 4;
    const uint32_t blocks = static_cast<uint32_t>(blake3_blocks(bytes));
#pragma unroll 1
    for (uint32_t block = 0; block < blocks; ++block) {
        uint32_t m[16];
#pragma unroll
        for (uint32_t i = 0; i < 16; ++i) {
            const uint32_t index = 16 * block + i;
            m[i] = index < used_words ? words[index] : 0;
        }
        const bool last = block + 1 == blocks;
        constexpr uint32_t block_bytes = blake3_block_bytes;
        blake3_compress(value, m, 0, last ? bytes - block * block_bytes : block_bytes,
                        (block == 0 ? blake3_chunk_start : 0) |
                            (last ? blake3_chunk_end | blake3_root : 0));
    }
#pragma unroll
    for (uint32_t i = 0; i < 8; ++i) { digest[i] = value[i]; }
}

}  // namespace millrace::kernels::detail
