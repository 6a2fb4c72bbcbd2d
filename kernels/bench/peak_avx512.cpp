// SPDX-License-Identifier: Apache-2.0
// Owns the loops over 512-bit instructions; only a CPU with AVX-512 IFMA may run them.
#include <immintrin.h>

#include "kernels/bench/detail/peak_loops.hpp"

namespace millrace::kernel_bench::detail {

namespace {

/// Sixteen chains hide a latency of eight cycles at two instructions a cycle. The empty assembler
/// statement keeps the compiler from seeing through a chain, and holds it in a register.
template <class Step>
void run_chains(uint64_t steps, Step step) noexcept {
    __m512i chain[peak_operations];
    for (size_t c = 0; c < peak_operations; ++c) {
        chain[c] = _mm512_set1_epi64(static_cast<long long>(c + 1));
    }
    const __m512i a = _mm512_set1_epi64(0x0123456789abcdef);
    const __m512i b = _mm512_set1_epi64(0x7edcba9876543210);
    for (uint64_t i = 0; i < steps; ++i) {
#pragma unroll
        for (size_t c = 0; c < peak_operations; ++c) {
            chain[c] = step(chain[c], a, b);
            __asm__ volatile("" : "+v"(chain[c]));
        }
    }
}

}  // namespace

void run_vector_logic(uint64_t steps) noexcept {
    // 0x96 is the exclusive or of three.
    run_chains(steps, [](__m512i x, __m512i a, __m512i b) {
        return _mm512_ternarylogic_epi64(x, a, b, 0x96);
    });
}

void run_madd52(uint64_t steps) noexcept {
    run_chains(steps,
               [](__m512i x, __m512i a, __m512i b) { return _mm512_madd52lo_epu64(x, a, b); });
}

}  // namespace millrace::kernel_bench::detail
