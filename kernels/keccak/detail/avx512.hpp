// SPDX-License-Identifier: Apache-2.0
// Owns the entries of keccak_avx512.cpp, which only a CPU with AVX-512 F, BW and VL may run.
#pragma once

#include <cstddef>
#include <cstdint>

namespace millrace::kernels::detail {

// As the functions of Keccak256Path.
void keccak256_32_avx512(const uint8_t* message, uint8_t* digest) noexcept;
void keccak256_64_avx512(const uint8_t* message, uint8_t* digest) noexcept;
void keccak256_avx512(const uint8_t* message, size_t bytes, uint8_t* digest) noexcept;

}  // namespace millrace::kernels::detail
