// SPDX-License-Identifier: Apache-2.0
// Owns the end of a SHA-256 message: its last bytes with the padding.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/sha256/detail/compress.hpp"

namespace millrace::kernels::detail {

inline constexpr size_t sha256_tail_bytes = 2 * sha256_block_bytes;

/// Writes what follows the whole blocks of a message to `tail`, sha256_tail_bytes long, and gives
/// its count of blocks, 1 or 2.
inline size_t sha256_pad(const uint8_t* message, size_t bytes, uint8_t* tail) {
    const size_t rest = bytes % sha256_block_bytes;
    const size_t blocks = rest + 8 < sha256_block_bytes ? 1 : 2;
    if (rest != 0) { std::memcpy(tail, message + (bytes - rest), rest); }
    std::memset(tail + rest, 0, blocks * sha256_block_bytes - rest);
    tail[rest] = 0x80;
    const uint64_t bits = __builtin_bswap64(static_cast<uint64_t>(bytes) << 3);
    std::memcpy(tail + blocks * sha256_block_bytes - 8, &bits, sizeof bits);
    return blocks;
}

/// The blocks of one message one after the other; the message must outlive it.
class Sha256Blocks {
public:
    void open(const uint8_t* message, size_t bytes) {
        message_ = message;
        whole_ = bytes / sha256_block_bytes;
        count_ = whole_ + sha256_pad(message, bytes, tail_);
    }
    size_t count() const { return count_; }
    /// Block `index`; beyond the last one any readable block.
    const uint8_t* at(size_t index) const {
        if (index < whole_) { return message_ + index * sha256_block_bytes; }
        return index == whole_ ? tail_ : tail_ + sha256_block_bytes;
    }

private:
    uint8_t tail_[sha256_tail_bytes] = {};
    const uint8_t* message_ = nullptr;
    size_t whole_ = 0;
    size_t count_ = 0;
};

}  // namespace millrace::kernels::detail
