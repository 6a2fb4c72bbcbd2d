// SPDX-License-Identifier: Apache-2.0
// Owns the loop over SHA-NI's round instruction; only a CPU with SHA-NI may run it.
#include <immintrin.h>

#include "kernels/bench/detail/peak_loops.hpp"

namespace millrace::kernel_bench::detail {

void run_sha_rounds(uint64_t steps) noexcept {
    // Half as many chains as registers, so that none is spilt; each takes two operations a step.
    constexpr size_t chains = peak_operations / 2;
    __m128i chain[chains];
    for (size_t c = 0; c < chains; ++c) { chain[c] = _mm_set1_epi32(static_cast<int>(c + 1)); }
    const __m128i other = _mm_set1_epi32(0x01234567);
    const __m128i words = _mm_set1_epi32(0x76543210);
    for (uint64_t i = 0; i < 2 * steps; ++i) {
#pragma unroll
        for (size_t c = 0; c < chains; ++c) {
            chain[c] = _mm_sha256rnds2_epu32(chain[c], other, words);
            __asm__ volatile("" : "+x"(chain[c]));
        }
    }
}

}  // namespace millrace::kernel_bench::detail
