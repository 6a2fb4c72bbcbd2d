// SPDX-License-Identifier: Apache-2.0
// Owns the addition of words that leaves a device's logic units free.
#pragma once

#include <cstdint>

#include "kernels/batch/detail/inline.hpp"

namespace millrace::kernels::detail {

/// a + b modulo 2^32. On a device logic, shifts and additions share one pipe, which bounds SHA-256
/// and BLAKE3, while the multipliers idle: there it is a * 1 + b, where neither compiler knows that
/// the factor is 1, since they would turn it back. Invariant: every grid that hashes is one block
/// deep. From sm_120 on nvcc sees no gain in additions by the multipliers and makes none itself.
MILLRACE_KERNEL_INLINE constexpr uint32_t add_words(uint32_t a, uint32_t b) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ < 1200
    uint32_t sum = 0;
    asm("mad.lo.u32 %0, %1, %2, %3;" : "=r"(sum) : "r"(a), "r"(gridDim.z), "r"(b));
    return sum;
#else
    return a + b;
#endif
}

}  // namespace millrace::kernels::detail
