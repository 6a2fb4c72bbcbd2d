// SPDX-License-Identifier: Apache-2.0
// Owns the size of the paths that the check of witnesses is timed on.
#pragma once

#include <cstdint>

namespace millrace::gpu_check {

/// Levels of a state of a billion leaves or so.
inline constexpr uint32_t timed_height = 30;

}  // namespace millrace::gpu_check
