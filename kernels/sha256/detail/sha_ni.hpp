// SPDX-License-Identifier: Apache-2.0
// Owns the entries of sha256_ni.cpp, which only an x86 CPU with the SHA extensions may run.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/batch/detail/hash_list.hpp"

namespace millrace::kernels::detail {

/// Whether this CPU has them; false on other architectures.
bool sha256_ni_supported() noexcept;

/// As Sha256Path::add_blocks.
void sha256_ni_add_blocks(uint32_t* state, const uint8_t* message, size_t blocks) noexcept;

/// Hashes each message, four or two at a time where neighbours take equally many blocks: one
/// message alone waits for the latency of every instruction.
void sha256_ni_list(const HashList& list) noexcept;

}  // namespace millrace::kernels::detail
