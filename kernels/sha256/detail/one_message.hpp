// SPDX-License-Identifier: Apache-2.0
// Owns the list of implementations of the one-message SHA-256, and how one is forced in a test.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>

namespace millrace::kernels::detail {

/// One implementation; all give the same digests. Data may have any alignment, and no function
/// allocates, throws or keeps state.
struct Sha256Path {
    const char* name;  ///< "SHA-NI" or "portable"
    /// Adds `blocks` blocks of 64 bytes to the eight words of `state`.
    void (*add_blocks)(uint32_t* state, const uint8_t* message, size_t blocks) noexcept;
};

/// The implementations that this CPU runs, fastest first; the first one is what sha256 uses.
std::span<const Sha256Path* const> sha256_paths() noexcept;

/// The implementation in use.
const Sha256Path& sha256_path() noexcept;

/// Makes sha256 use `path`, one of sha256_paths(), from now on in the whole process. For tests and
/// benchmarks; safe at any time, since every path agrees.
void sha256_use(const Sha256Path& path) noexcept;

}  // namespace millrace::kernels::detail
