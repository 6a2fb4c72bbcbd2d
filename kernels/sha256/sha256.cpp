// SPDX-License-Identifier: Apache-2.0
// Owns the portable SHA-256 of one message and the choice of the implementation for this CPU.
#include "kernels/sha256/sha256.hpp"

#include <atomic>
#include <bit>
#include <cstring>

#include "kernels/sha256/detail/compress.hpp"
#include "kernels/sha256/detail/one_message.hpp"
#include "kernels/sha256/detail/padding.hpp"
#include "kernels/sha256/detail/sha_ni.hpp"

namespace millrace::kernels {

static_assert(std::endian::native == std::endian::little, "words are reversed when they are read");

namespace {

using detail::sha256_block_bytes;
using detail::Sha256Path;

void portable_add_blocks(uint32_t* state, const uint8_t* message, size_t blocks) noexcept {
    for (; blocks != 0; --blocks, message += sha256_block_bytes) {
        uint32_t w[16];
        std::memcpy(w, message, sizeof w);
        for (uint32_t& word : w) { word = detail::sha256_reverse_bytes(word); }
        detail::sha256_compress(state, w, detail::sha256_round_constants);
    }
}

constexpr Sha256Path portable{"portable", portable_add_blocks};
constexpr Sha256Path sha_ni{"SHA-NI", detail::sha256_ni_add_blocks};

/// The usable paths, fastest first, for one CPU.
struct Usable {
    const Sha256Path* paths[2];
    size_t count;
};

/// Asks the CPU; cheap enough to repeat, so that nothing has to be kept.
Usable usable() noexcept {
    Usable out{};
    if (detail::sha256_ni_supported()) { out.paths[out.count++] = &sha_ni; }
    out.paths[out.count++] = &portable;
    return out;
}

extern const Sha256Path undecided;

/// The path in use. It is initialised at compile time, so hashing works before and during the
/// start of the program. Relaxed order is enough: it only ever points at constants, and threads
/// that decide at once all decide the same.
constinit std::atomic<const Sha256Path*> current{&undecided};

const Sha256Path& decide() noexcept {
    const Sha256Path* expected = &undecided;
    const Usable found = usable();
    // A path that was forced meanwhile stays.
    if (current.compare_exchange_strong(expected, found.paths[0], std::memory_order_relaxed)) {
        return *found.paths[0];
    }
    return *expected;
}

void undecided_add_blocks(uint32_t* state, const uint8_t* message, size_t blocks) noexcept {
    decide().add_blocks(state, message, blocks);
}
/// Stands until the first message: it decides, and passes that message on.
constexpr Sha256Path undecided{"undecided", undecided_add_blocks};

}  // namespace

namespace detail {

std::span<const Sha256Path* const> sha256_paths() noexcept {
    static const Usable found = usable();
    return {found.paths, found.count};
}

const Sha256Path& sha256_path() noexcept {
    const Sha256Path& path = *current.load(std::memory_order_relaxed);
    return &path == &undecided ? decide() : path;
}

void sha256_use(const Sha256Path& path) noexcept {
    current.store(&path, std::memory_order_relaxed);
}

}  // namespace detail

Hash256 sha256(ByteView message) noexcept {
    const Sha256Path& path = *current.load(std::memory_order_relaxed);
    uint32_t state[8];
    detail::sha256_set_initial(state);
    if (const size_t whole = message.size() / sha256_block_bytes; whole != 0) {
        path.add_blocks(state, message.data(), whole);
    }
    uint8_t tail[detail::sha256_tail_bytes];
    const size_t blocks = detail::sha256_pad(message.data(), message.size(), tail);
    path.add_blocks(state, tail, blocks);
    Hash256 digest;
    for (size_t i = 0; i < 8; ++i) {
        const uint32_t word = detail::sha256_reverse_bytes(state[i]);
        std::memcpy(digest.data() + 4 * i, &word, sizeof word);
    }
    return digest;
}

}  // namespace millrace::kernels
