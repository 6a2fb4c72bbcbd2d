// SPDX-License-Identifier: Apache-2.0
// Owns the arithmetic of packing one value or one word, shared by every back end and by a device's
// threads.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/batch/detail/inline.hpp"

// C++20 only: nvcc compiles this header too.
namespace millrace::kernels::detail {

/// ValueCode, in a type that nvcc's C++20 host compiler knows; the order is the same.
enum class CodeKind : uint8_t { offset, delta, zigzag_delta, gap };

/// The bits of a value of this width, all set.
template <class T>
MILLRACE_KERNEL_INLINE T width_mask(unsigned width) {
    return width == 0 ? T{0} : static_cast<T>(~T{0}) >> (8 * sizeof(T) - width);
}

template <class T>
MILLRACE_KERNEL_INLINE T zigzag(T difference) {
    constexpr unsigned sign = 8 * sizeof(T) - 1;
    return static_cast<T>(difference << 1) ^ static_cast<T>(T{0} - (difference >> sign));
}

template <class T>
MILLRACE_KERNEL_INLINE T unzigzag(T coded) {
    return (coded >> 1) ^ static_cast<T>(T{0} - (coded & 1));
}

/// What a code makes of a value, given the one before it; `previous` of the first is the base.
template <class T>
MILLRACE_KERNEL_INLINE T encode_value(CodeKind code, T value, T previous, bool first) {
    const T difference = value - previous;
    switch (code) {
        case CodeKind::zigzag_delta: return zigzag(difference);
        case CodeKind::gap: return first ? difference : difference - 1;
        default: return difference;
    }
}

/// Whether `gap` may encode the value after `previous`.
template <class T>
MILLRACE_KERNEL_INLINE bool gap_ascends(T value, T previous, bool first) {
    return first ? value >= previous : value > previous;
}

/// By how much the coded form of a value that is not the block's first raises the sum.
template <class T>
MILLRACE_KERNEL_INLINE T decode_step(CodeKind code, T coded) {
    switch (code) {
        case CodeKind::zigzag_delta: return unzigzag(coded);
        case CodeKind::gap: return coded + 1;
        default: return coded;
    }
}

/// Where the sum of a block's steps starts: its first gap is not raised by one.
template <class T>
MILLRACE_KERNEL_INLINE T decode_start(CodeKind code, T base) {
    return code == CodeKind::gap ? base - 1 : base;
}

/// Whether a gap's value is the true sum. A wrapped sum is not above what was added last:
/// previous + coded + 1 - 2^n <= coded, and for the first base + coded - 2^n < coded.
template <class T>
MILLRACE_KERNEL_INLINE bool gap_fits(T value, T coded, bool first) {
    return first ? value >= coded : value > coded;
}

/// Bits of a value up to its highest set one.
MILLRACE_KERNEL_INLINE unsigned value_width(uint64_t value) {
#if defined(__CUDA_ARCH__)
    return 64 - static_cast<unsigned>(__clzll(static_cast<long long>(value)));
#else
    return value == 0 ? 0 : 64 - static_cast<unsigned>(__builtin_clzll(value));
#endif
}

/// Word `word` of 64 bits of the packed form of `count` values. Bits of a value above the width are
/// left out. The width is not 0.
template <class T>
MILLRACE_KERNEL_INLINE uint64_t packed_word(const T* values, size_t count, unsigned width,
                                            size_t word) {
    const T mask = width_mask<T>(width);
    const size_t first_bit = word * 64;
    size_t i = first_bit / width;
    uint64_t bits = 0;
    // The first value may have begun in the word before.
    const unsigned cut = static_cast<unsigned>(first_bit - i * width);
    if (i < count) { bits = uint64_t{values[i] & mask} >> cut; }
    for (unsigned at = width - cut; at < 64; at += width) {
        if (++i >= count) { break; }
        bits |= uint64_t{values[i] & mask} << at;
    }
    return bits;
}

/// Value i of a packed form in words of 64 bits, the last of which is filled up. The width is not
/// 0.
template <class T>
MILLRACE_KERNEL_INLINE T packed_value(const uint64_t* words, unsigned width, size_t i) {
    const size_t bit = i * width;
    const unsigned shift = static_cast<unsigned>(bit % 64);
    uint64_t bits = words[bit / 64] >> shift;
    if (shift + width > 64) { bits |= words[bit / 64 + 1] << (64 - shift); }
    return static_cast<T>(bits) & width_mask<T>(width);
}

}  // namespace millrace::kernels::detail
