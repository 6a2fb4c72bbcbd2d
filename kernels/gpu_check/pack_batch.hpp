// SPDX-License-Identifier: Apache-2.0
// Owns the batch that the check of packing is timed on.
#pragma once

#include <cstdint>
#include <vector>

namespace millrace::gpu_check {

inline constexpr uint8_t timed_width = 11;
inline constexpr uint32_t timed_block_values = 4096;

/// Blocks of 4,096 values, the last one shorter; coded as zigzag deltas they are 11 bits wide.
struct PackBatch {
    std::vector<uint32_t> counts;
    std::vector<uint8_t> widths;
    std::vector<uint32_t> bases;
    std::vector<uint32_t> values;
    std::vector<uint32_t> coded;
    std::vector<uint8_t> packed;
};
PackBatch make_timed_batch(uint32_t values);

}  // namespace millrace::gpu_check
