// SPDX-License-Identifier: Apache-2.0
// Owns the mark of functions that the CPU and a device thread share.
#pragma once

#if defined(__CUDACC__)
#define MILLRACE_KERNEL_INLINE __host__ __device__ __forceinline__
#else
#define MILLRACE_KERNEL_INLINE inline __attribute__((always_inline))
#endif
