// SPDX-License-Identifier: Apache-2.0
// Owns the precompile BLAKE2F 0x09: the compression function of BLAKE2b (RFC 7693, EIP-152).
#include <array>
#include <bit>

#include "evm/precompiles/detail/contracts.hpp"

namespace millrace::evm::contracts {

namespace {

constexpr size_t input_bytes = 213;

constexpr std::array<uint64_t, 8> initial_vector{
    0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b, 0xa54ff53a5f1d36f1,
    0x510e527fade682d1, 0x9b05688c2b3e6c1f, 0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};

/// The order in which round i takes the message words; it repeats after ten rounds.
constexpr std::array<std::array<uint8_t, 16>, 10> message_order{{
    {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15},
    {14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3},
    {11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4},
    {7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8},
    {9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13},
    {2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9},
    {12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11},
    {13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10},
    {6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5},
    {10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0},
}};

using Words = std::array<uint64_t, 16>;

[[gnu::always_inline]] inline void mix(uint64_t& a, uint64_t& b, uint64_t& c, uint64_t& d,
                                       uint64_t x, uint64_t y) noexcept {
    a += b + x;
    d = std::rotr(d ^ a, 32);
    c += d;
    b = std::rotr(b ^ c, 24);
    a += b + y;
    d = std::rotr(d ^ a, 16);
    c += d;
    b = std::rotr(b ^ c, 63);
}

template <size_t Round>
[[gnu::always_inline]] inline void mix_round(Words& v, const Words& m) noexcept {
    constexpr const std::array<uint8_t, 16>& s = message_order[Round];
    mix(v[0], v[4], v[8], v[12], m[s[0]], m[s[1]]);
    mix(v[1], v[5], v[9], v[13], m[s[2]], m[s[3]]);
    mix(v[2], v[6], v[10], v[14], m[s[4]], m[s[5]]);
    mix(v[3], v[7], v[11], v[15], m[s[6]], m[s[7]]);
    mix(v[0], v[5], v[10], v[15], m[s[8]], m[s[9]]);
    mix(v[1], v[6], v[11], v[12], m[s[10]], m[s[11]]);
    mix(v[2], v[7], v[8], v[13], m[s[12]], m[s[13]]);
    mix(v[3], v[4], v[9], v[14], m[s[14]], m[s[15]]);
}

/// `rounds` rounds; the order of the words is known at compile time in each, which is worth a
/// factor of two when a call pays for millions of rounds.
void mix_rounds(Words& v, const Words& m, uint32_t rounds) noexcept {
    for (;;) {
        [&]<size_t... Round>(std::index_sequence<Round...>) {
            ((rounds != 0 ? (mix_round<Round>(v, m), --rounds) : 0), ...);
        }(std::make_index_sequence<10>{});
        if (rounds == 0) { return; }
    }
}

uint64_t load_little_endian(const uint8_t* p) noexcept {
    static_assert(std::endian::native == std::endian::little);
    uint64_t v = 0;
    std::memcpy(&v, p, sizeof v);
    return v;
}

}  // namespace

PrecompileOutcome blake2f(ByteView input, uint64_t gas, Revision) noexcept {
    if (input.size() != input_bytes || input[212] > 1) { return failure(); }
    uint32_t rounds = 0;
    for (size_t i = 0; i < 4; ++i) { rounds = rounds << 8 | input[i]; }
    if (gas < rounds) { return failure(); }
    std::array<uint64_t, 8> h{};
    Words m{};
    Words v{};
    for (size_t i = 0; i < 8; ++i) {
        h[i] = load_little_endian(input.data() + 4 + 8 * i);
        v[i] = h[i];
        v[i + 8] = initial_vector[i];
    }
    for (size_t i = 0; i < 16; ++i) { m[i] = load_little_endian(input.data() + 68 + 8 * i); }
    v[12] ^= load_little_endian(input.data() + 196);
    v[13] ^= load_little_endian(input.data() + 204);
    if (input[212] == 1) { v[14] = ~v[14]; }
    mix_rounds(v, m, rounds);
    Bytes output(64);
    for (size_t i = 0; i < 8; ++i) {
        const uint64_t word = h[i] ^ v[i] ^ v[i + 8];
        std::memcpy(output.data() + 8 * i, &word, sizeof word);
    }
    return success(rounds, std::move(output));
}

}  // namespace millrace::evm::contracts
