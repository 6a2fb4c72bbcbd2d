// SPDX-License-Identifier: Apache-2.0
// Owns the entries of the back ends of packing, in types that every compiler here knows.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include "kernels/batch/detail/cuda_probe.hpp"
#include "kernels/pack/detail/value_code.hpp"

// C++20 only: nvcc compiles this header too.
namespace millrace::kernels::detail {

/// What a back end of the CPU does with one block of `count` values. `pack` and `unpack` touch
/// exactly the packed bytes of the block, and give the bitwise or of all values; `pack` leaves out
/// bits above the width. `encode` and `decode` give false when a code does not take the block.
template <class T>
struct PackBlockKernel {
    T (*any)(const T* values, size_t count);
    T (*minimum)(const T* values, size_t count);
    T (*pack)(const T* values, size_t count, unsigned width, uint8_t* packed);
    T (*unpack)(const uint8_t* packed, size_t count, unsigned width, T* values);
    bool (*encode)(CodeKind code, const T* values, size_t count, T base, T* coded);
    bool (*decode)(CodeKind code, const T* coded, size_t count, T base, T* values);
    /// Adds to 65 counters.
    void (*widths)(const T* values, size_t count, uint32_t* histogram);
};

template <class T>
const PackBlockKernel<T>& pack_scalar();
template <class T>
const PackBlockKernel<T>& pack_simd();
/// Adds to 256 counters.
void byte_histogram_scalar(const uint8_t* bytes, size_t count, uint32_t* histogram);
void byte_histogram_simd(const uint8_t* bytes, size_t count, uint32_t* histogram);
/// Highway's name of the vector unit, e.g. "AVX3".
std::string pack_simd_target();

/// Blocks of a batch whose sizes fit together. A job reads what it needs and leaves the rest empty.
template <class T>
struct PackJob {
    std::span<const uint32_t> counts;
    std::span<const uint8_t> widths;
    std::span<const T> values;  ///< or the coded form
    std::span<const T> bases;   ///< one for each block, or none
    std::span<const uint8_t> packed;
};

// Each gives an empty text, or what failed; after a failure the device is not used again by this
// process. What they write is as PackBlockKernel says, for all blocks; `refused[b]` is not 0 when
// the code does not take block b.
const CudaProbe& pack_cuda_probe();
template <class T>
std::string any_cuda(const PackJob<T>& job, std::span<T> any);
template <class T>
std::string minimum_cuda(const PackJob<T>& job, std::span<T> minima);
template <class T>
std::string pack_cuda(const PackJob<T>& job, std::span<uint8_t> packed, std::span<T> any);
template <class T>
std::string unpack_cuda(const PackJob<T>& job, std::span<T> values, std::span<T> any);
template <class T>
std::string encode_cuda(const PackJob<T>& job, CodeKind code, std::span<T> coded,
                        std::span<uint32_t> refused);
template <class T>
std::string decode_cuda(const PackJob<T>& job, CodeKind code, std::span<T> values,
                        std::span<uint32_t> refused);
/// `histograms` has 65 counters for each block.
template <class T>
std::string widths_cuda(const PackJob<T>& job, std::span<uint32_t> histograms);
/// `histograms` has 256 counters for each block.
std::string byte_histogram_cuda(std::span<const uint8_t> bytes, std::span<const uint32_t> counts,
                                std::span<uint32_t> histograms);

}  // namespace millrace::kernels::detail
