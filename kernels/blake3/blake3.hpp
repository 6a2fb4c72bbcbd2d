// SPDX-License-Identifier: Apache-2.0
// Owns BLAKE3 of one message.
#pragma once

#include "host/base/types.hpp"

namespace millrace::kernels {

/// BLAKE3 in its unkeyed hash mode with 32 bytes of output (BLAKE3 paper, 2021). Any length, no
/// allocation; portable code on the calling thread; safe from any thread.
Hash256 blake3(ByteView message) noexcept;

}  // namespace millrace::kernels
