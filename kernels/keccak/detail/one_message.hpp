// SPDX-License-Identifier: Apache-2.0
// Owns the list of implementations of the one-message Keccak-256, and how one is forced in a test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace millrace::kernels::detail {

/// One implementation; all give the same digests. A message may have any alignment, a digest is 32
/// bytes, and neither function allocates, throws or keeps state.
struct Keccak256Path {
    const char* name;  ///< the instruction set: "AVX-512", "BMI2" or "portable"
    void (*of_32)(const uint8_t* message, uint8_t* digest) noexcept;
    void (*of_64)(const uint8_t* message, uint8_t* digest) noexcept;
    void (*of_any)(const uint8_t* message, size_t bytes, uint8_t* digest) noexcept;
};

/// The implementations that this CPU runs, fastest first; the first one is what keccak256 uses.
std::span<const Keccak256Path* const> keccak256_paths() noexcept;

/// The implementation in use.
const Keccak256Path& keccak256_path() noexcept;

/// Makes keccak256 and its fixed-length forms use `path`, one of keccak256_paths(), from now on in
/// the whole process. For tests and benchmarks; safe at any time, since every path agrees.
void keccak256_use(const Keccak256Path& path) noexcept;

}  // namespace millrace::kernels::detail
