// SPDX-License-Identifier: Apache-2.0
// Owns how one thread of a device hashes one packed message by SHA-256. It runs on the host too, so
// that machines without a device test the same code.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/sha256/detail/compress.hpp"

namespace millrace::kernels::detail {

/// SHA-256 of the packed message at `words`, as eight words that lie as the digest does. The
/// constants and the schedule of the padding of 64 bytes are passed because a device keeps its own
/// copies. Words are only indexed by constants, so they stay in registers.
MILLRACE_KERNEL_INLINE void sha256_packed(const uint32_t* words, uint32_t bytes,
                                          const uint32_t* round_constants,
                                          const uint32_t* padding_of_64, uint32_t* digest) {
    uint32_t state[8];
    sha256_set_initial(state);
    const uint32_t whole_words = bytes / 4;
    const uint32_t blocks = static_cast<uint32_t>(sha256_blocks(bytes));
    const bool node = bytes == sha256_block_bytes;
#pragma unroll 1
    for (uint32_t block = 0; block < blocks - (node ? 1 : 0); ++block) {
        uint32_t w[16];
#pragma unroll
        for (uint32_t i = 0; i < 16; ++i) {
            const uint32_t index = 16 * block + i;
            w[i] = 0;
            if (index < whole_words) {
                w[i] = sha256_reverse_bytes(words[index]);
            } else if (index == whole_words) {
                // A message that ends with a whole word has no word here.
                w[i] = sha256_reverse_bytes((bytes % 4 != 0 ? words[index] : 0) |
                                            uint32_t{0x80} << (8 * (bytes % 4)));
            }
        }
        if (block + 1 == blocks) {
            w[14] = bytes >> 29;
            w[15] = bytes << 3;
        }
        sha256_compress(state, w, round_constants);
    }
    if (node) { sha256_compress_known(state, padding_of_64); }
#pragma unroll
    for (uint32_t i = 0; i < 8; ++i) { digest[i] = sha256_reverse_bytes(state[i]); }
}

}  // namespace millrace::kernels::detail
