// SPDX-License-Identifier: Apache-2.0
// Owns the carry-chain operations of the GPU's limb arithmetic: PTX on the device, and the same
// operations on an explicit carry flag on the host, so that the CPU tests run the device's
// algorithm.
#pragma once

#include <cstddef>
#include <cstdint>

#if defined(__CUDACC__)
#define MILLRACE_GPU __host__ __device__ __forceinline__
#else
#define MILLRACE_GPU inline
#endif

// C++20 only: nvcc compiles this header too.
namespace millrace::kernels::gpu {

namespace carry_detail {

#if !defined(__CUDA_ARCH__)
/// CC.CF of the thread (PTX ISA, "Extended-Precision Integer Arithmetic"): one flag for additions
/// and subtractions, written by the operations ending in _cc and by no other. It is shared by all
/// chains of a thread as on the device, so chains that were interleaved by mistake fail on the
/// host.
inline thread_local uint32_t carry_flag = 0;

inline uint32_t add(uint32_t a, uint32_t b, uint32_t carry_in, bool write) noexcept {
    const uint64_t sum = uint64_t{a} + b + carry_in;
    if (write) { carry_flag = static_cast<uint32_t>(sum >> 32); }
    return static_cast<uint32_t>(sum);
}

inline uint32_t sub(uint32_t a, uint32_t b, uint32_t borrow_in, bool write) noexcept {
    const uint64_t difference = uint64_t{a} - b - borrow_in;
    if (write) { carry_flag = static_cast<uint32_t>(difference >> 63); }
    return static_cast<uint32_t>(difference);
}

constexpr uint32_t low(uint32_t a, uint32_t b) noexcept {
    return static_cast<uint32_t>(uint64_t{a} * b);
}
constexpr uint32_t high(uint32_t a, uint32_t b) noexcept {
    return static_cast<uint32_t>(uint64_t{a} * b >> 32);
}
#endif

}  // namespace carry_detail

// The statements are volatile, which keeps a chain in program order: nothing else of PTX that the
// compiler puts between them touches CC.CF.
#if defined(__CUDA_ARCH__)
#define MILLRACE_GPU_OP2(name, ptx, emulated)                            \
    MILLRACE_GPU uint32_t name(uint32_t a, uint32_t b) {                 \
        uint32_t r;                                                      \
        asm volatile(ptx ".u32 %0, %1, %2;" : "=r"(r) : "r"(a), "r"(b)); \
        return r;                                                        \
    }
#define MILLRACE_GPU_OP3(name, ptx, emulated)                                        \
    MILLRACE_GPU uint32_t name(uint32_t a, uint32_t b, uint32_t c) {                 \
        uint32_t r;                                                                  \
        asm volatile(ptx ".u32 %0, %1, %2, %3;" : "=r"(r) : "r"(a), "r"(b), "r"(c)); \
        return r;                                                                    \
    }
#else
#define MILLRACE_GPU_OP2(name, ptx, emulated)            \
    MILLRACE_GPU uint32_t name(uint32_t a, uint32_t b) { \
        using namespace carry_detail;                    \
        return emulated;                                 \
    }
#define MILLRACE_GPU_OP3(name, ptx, emulated)                        \
    MILLRACE_GPU uint32_t name(uint32_t a, uint32_t b, uint32_t c) { \
        using namespace carry_detail;                                \
        return emulated;                                             \
    }
#endif

/// A name that begins with addc, subc or madc takes the flag in; one that ends in _cc writes it.
MILLRACE_GPU_OP2(add_cc, "add.cc", add(a, b, 0, true))
MILLRACE_GPU_OP2(addc_cc, "addc.cc", add(a, b, carry_flag, true))
MILLRACE_GPU_OP2(addc, "addc", add(a, b, carry_flag, false))
/// For subtractions the flag is the borrow.
MILLRACE_GPU_OP2(sub_cc, "sub.cc", sub(a, b, 0, true))
MILLRACE_GPU_OP2(subc_cc, "subc.cc", sub(a, b, carry_flag, true))
MILLRACE_GPU_OP2(subc, "subc", sub(a, b, carry_flag, false))
/// The low or high half of a * b, plus c. A low and the high half of the same factors, onto a pair
/// of limbs, become one IMAD.WIDE.
MILLRACE_GPU_OP3(mad_lo_cc, "mad.lo.cc", add(low(a, b), c, 0, true))
MILLRACE_GPU_OP3(madc_lo_cc, "madc.lo.cc", add(low(a, b), c, carry_flag, true))
MILLRACE_GPU_OP3(madc_hi_cc, "madc.hi.cc", add(high(a, b), c, carry_flag, true))
MILLRACE_GPU_OP3(madc_hi, "madc.hi", add(high(a, b), c, carry_flag, false))

#undef MILLRACE_GPU_OP2
#undef MILLRACE_GPU_OP3

/// The flag as a number, 0 or 1.
MILLRACE_GPU uint32_t carry_out() { return addc(0, 0); }
/// All ones if the last chain of subtractions borrowed, else zero.
MILLRACE_GPU uint32_t borrow_mask() { return subc(0, 0); }

/// A whole product into a pair of limbs; no flag is touched.
MILLRACE_GPU void mul_wide(uint32_t a, uint32_t b, uint32_t& low, uint32_t& high) {
    const uint64_t product = uint64_t{a} * b;
    low = static_cast<uint32_t>(product);
    high = static_cast<uint32_t>(product >> 32);
}

}  // namespace millrace::kernels::gpu
