// SPDX-License-Identifier: Apache-2.0
// Owns a slow BLAKE3 that follows the text of the paper, as the oracle of the kernels.
#pragma once

#include "host/base/types.hpp"

namespace millrace::test {

/// The unkeyed hash with 32 bytes of output.
Hash256 reference_blake3(ByteView message);

}  // namespace millrace::test
