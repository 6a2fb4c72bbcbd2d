// SPDX-License-Identifier: Apache-2.0
// Owns how the chunks of a long BLAKE3 message are joined to its tree.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>

#include "host/base/types.hpp"
#include "kernels/blake3/detail/compress.hpp"

namespace millrace::kernels::detail {

/// The chaining value of a chunk or of a subtree.
struct Blake3Value {
    uint32_t words[8];
};

/// That of two neighbouring subtrees; `flags` is 0 or blake3_root.
inline Blake3Value blake3_join(const Blake3Value& left, const Blake3Value& right, uint32_t flags) {
    uint32_t block[16];
    std::memcpy(block, left.words, sizeof left.words);
    std::memcpy(block + 8, right.words, sizeof right.words);
    Blake3Value out;
    for (size_t i = 0; i < 8; ++i) { out.words[i] = blake3_initial(i); }
    blake3_compress(out.words, block, 0, blake3_block_bytes, blake3_parent | flags);
    return out;
}

/// The finished subtrees to the left of the next chunk, which are complete and shrink to the right:
/// one for each bit of the chunk count. The tree's shape (2.1): a left subtree holds the greatest
/// power of two of chunks that leaves one for the right.
class Blake3Subtrees {
public:
    /// Adds the next chunk, which is not the last of the message.
    void add(Blake3Value chunk) {
        // Each trailing 1 of the count is a subtree as large as what is about to be added.
        for (uint64_t count = chunks_; (count & 1) != 0; count >>= 1) {
            chunk = blake3_join(stack_[--depth_], chunk, 0);
        }
        stack_[depth_++] = chunk;
        ++chunks_;
    }
    /// The digest's words, given the last chunk; at least one was added before.
    Blake3Value root(Blake3Value last) const {
        for (size_t i = depth_; i != 0; --i) {
            last = blake3_join(stack_[i - 1], last, i == 1 ? blake3_root : 0);
        }
        return last;
    }

private:
    static constexpr size_t depth_max = 54;  ///< of 2^64 bytes in chunks of 2^10
    Blake3Value stack_[depth_max];
    size_t depth_ = 0;
    uint64_t chunks_ = 0;
};

/// The chaining value of one chunk of 0 to 1024 bytes; `flags` is 0, or blake3_root when it is the
/// whole message.
Blake3Value blake3_chunk(const uint8_t* chunk, size_t bytes, uint64_t counter,
                         uint32_t flags) noexcept;

}  // namespace millrace::kernels::detail
