// SPDX-License-Identifier: Apache-2.0
// Owns the packed form of messages on a device.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace millrace::kernels::detail {

/// Where a message lies among the packed words.
struct PackedExtent {
    uint32_t first_word;
    uint32_t bytes;
};
static_assert(sizeof(PackedExtent) == 8);

/// Words that a message takes; its last one is filled up with zero bytes.
constexpr size_t packed_words(size_t bytes) { return (bytes + 7) / 8; }

inline void pack_message(const uint8_t* message, size_t bytes, uint64_t* words) {
    if (bytes == 0) { return; }
    words[packed_words(bytes) - 1] = 0;
    std::memcpy(words, message, bytes);
}

}  // namespace millrace::kernels::detail
