// SPDX-License-Identifier: Apache-2.0
// Owns SHA-256 of one message.
#pragma once

#include "host/base/types.hpp"

namespace millrace::kernels {

/// SHA-256 (FIPS 180-4). Any length, no allocation; safe from any thread and during static
/// initialisation. The first call picks the instructions of this CPU (SHA-NI or none), which
/// changes no result.
Hash256 sha256(ByteView message) noexcept;

}  // namespace millrace::kernels
