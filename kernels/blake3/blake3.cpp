// SPDX-License-Identifier: Apache-2.0
// Owns the portable BLAKE3 of one message.
#include "kernels/blake3/blake3.hpp"

#include <algorithm>
#include <bit>
#include <cstring>

#include "kernels/blake3/detail/compress.hpp"
#include "kernels/blake3/detail/subtrees.hpp"

namespace millrace::kernels {

static_assert(std::endian::native == std::endian::little, "words are read as they lie in memory");

namespace detail {

Blake3Value blake3_chunk(const uint8_t* chunk, size_t bytes, uint64_t counter,
                         uint32_t flags) noexcept {
    Blake3Value value;
    for (size_t i = 0; i < 8; ++i) { value.words[i] = blake3_initial(i); }
    uint32_t position = blake3_chunk_start;
    for (;;) {
        const size_t taken = std::min(bytes, blake3_block_bytes);
        uint32_t block[16] = {};
        if (taken != 0) { std::memcpy(block, chunk, taken); }
        const bool last = taken == bytes;
        if (last) { position |= blake3_chunk_end | flags; }
        blake3_compress(value.words, block, counter, static_cast<uint32_t>(taken), position);
        if (last) { return value; }
        position = 0;
        chunk += taken;
        bytes -= taken;
    }
}

}  // namespace detail

Hash256 blake3(ByteView message) noexcept {
    using detail::blake3_chunk_bytes;
    const uint8_t* p = message.data();
    size_t left = message.size();
    detail::Blake3Value root;
    if (left <= blake3_chunk_bytes) {
        root = detail::blake3_chunk(p, left, 0, detail::blake3_root);
    } else {
        detail::Blake3Subtrees subtrees;
        uint64_t counter = 0;
        for (; left > blake3_chunk_bytes; left -= blake3_chunk_bytes) {
            subtrees.add(detail::blake3_chunk(p, blake3_chunk_bytes, counter++, 0));
            p += blake3_chunk_bytes;
        }
        root = subtrees.root(detail::blake3_chunk(p, left, counter, 0));
    }
    Hash256 digest;
    std::memcpy(digest.data(), root.words, sizeof root.words);
    return digest;
}

}  // namespace millrace::kernels
