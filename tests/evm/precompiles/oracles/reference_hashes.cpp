// SPDX-License-Identifier: Apache-2.0
// Owns the hash functions in the shape of their specifications.
#include "tests/evm/precompiles/oracles/reference_hashes.hpp"

#include <bit>
#include <cmath>
#include <string_view>

namespace millrace::evm::oracles {

namespace {

/// The message with a one bit, zeros and its length in bits; a multiple of 64 bytes.
Bytes padded(const Bytes& message, bool big_endian) {
    Bytes m = message;
    m.push_back(0x80);
    while (m.size() % 64 != 56) { m.push_back(0); }
    const uint64_t bits = 8 * static_cast<uint64_t>(message.size());
    for (unsigned i = 0; i < 8; ++i) {
        m.push_back(static_cast<uint8_t>(bits >> (8 * (big_endian ? 7 - i : i))));
    }
    return m;
}

/// The first 32 bits of the fraction.
uint32_t fraction(long double v) {
    return static_cast<uint32_t>((v - std::floor(v)) * 4294967296.0L);
}

/// The n-th prime, from 0.
unsigned prime(unsigned n) {
    for (unsigned candidate = 2;; ++candidate) {
        bool composite = false;
        for (unsigned d = 2; d * d <= candidate; ++d) { composite |= candidate % d == 0; }
        if (!composite && n-- == 0) { return candidate; }
    }
}

}  // namespace

Bytes reference_sha256(const Bytes& message) {
    // The constants are the fractions of roots of primes; 64 bits of mantissa are enough for them.
    static const auto k = [] {
        std::array<uint32_t, 64> r{};
        for (unsigned i = 0; i < r.size(); ++i) { r[i] = fraction(std::cbrt(1.0L * prime(i))); }
        return r;
    }();
    std::array<uint32_t, 8> h{};
    for (unsigned i = 0; i < h.size(); ++i) { h[i] = fraction(std::sqrt(1.0L * prime(i))); }
    const Bytes m = padded(message, true);
    for (size_t at = 0; at < m.size(); at += 64) {
        std::array<uint32_t, 64> w{};
        for (size_t i = 0; i < 64; ++i) { w[i / 4] = w[i / 4] << 8 | m[at + i]; }
        for (size_t i = 16; i < 64; ++i) {
            const uint32_t a = w[i - 15];
            const uint32_t b = w[i - 2];
            w[i] = w[i - 16] + (std::rotr(a, 7) ^ std::rotr(a, 18) ^ a >> 3) + w[i - 7] +
                   (std::rotr(b, 17) ^ std::rotr(b, 19) ^ b >> 10);
        }
        std::array<uint32_t, 8> v = h;
        for (size_t i = 0; i < 64; ++i) {
            const uint32_t s1 = std::rotr(v[4], 6) ^ std::rotr(v[4], 11) ^ std::rotr(v[4], 25);
            const uint32_t t1 = v[7] + s1 + ((v[4] & v[5]) ^ (~v[4] & v[6])) + k[i] + w[i];
            const uint32_t s0 = std::rotr(v[0], 2) ^ std::rotr(v[0], 13) ^ std::rotr(v[0], 22);
            const uint32_t t2 = s0 + ((v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]));
            v = {t1 + t2, v[0], v[1], v[2], v[3] + t1, v[4], v[5], v[6]};
        }
        for (size_t i = 0; i < 8; ++i) { h[i] += v[i]; }
    }
    Bytes r;
    for (const uint32_t v : h) {
        for (int shift = 24; shift >= 0; shift -= 8) {
            r.push_back(static_cast<uint8_t>(v >> shift));
        }
    }
    return r;
}

Bytes reference_ripemd160(const Bytes& message) {
    constexpr std::array<uint8_t, 16> rho{7, 4, 13, 1, 10, 6, 15, 3, 12, 0, 9, 5, 2, 14, 11, 8};
    // By round and message word.
    constexpr std::array<std::array<uint8_t, 16>, 5> shifts{{
        {11, 14, 15, 12, 5, 8, 7, 9, 11, 13, 14, 15, 6, 7, 9, 8},
        {12, 13, 11, 15, 6, 9, 9, 7, 12, 15, 11, 13, 7, 8, 7, 7},
        {13, 15, 14, 11, 7, 7, 6, 8, 13, 14, 13, 12, 5, 5, 6, 9},
        {14, 11, 12, 14, 8, 6, 5, 5, 15, 12, 15, 14, 9, 9, 8, 6},
        {15, 12, 13, 13, 9, 5, 8, 6, 14, 11, 12, 11, 8, 6, 5, 5},
    }};
    constexpr std::array<uint32_t, 5> left_k{0, 0x5a827999, 0x6ed9eba1, 0x8f1bbcdc, 0xa953fd4e};
    constexpr std::array<uint32_t, 5> right_k{0x50a28be6, 0x5c4dd124, 0x6d703ef3, 0x7a6d76e9, 0};
    const auto f = [](size_t round, uint32_t x, uint32_t y, uint32_t z) {
        switch (round) {
            case 0: return x ^ y ^ z;
            case 1: return (x & y) | (~x & z);
            case 2: return (x | ~y) ^ z;
            case 3: return (x & z) | (y & ~z);
            default: return x ^ (y | ~z);
        }
    };
    std::array<uint32_t, 5> h{0x67452301, 0xefcdab89, 0x98badcfe, 0x10325476, 0xc3d2e1f0};
    const Bytes m = padded(message, false);
    for (size_t at = 0; at < m.size(); at += 64) {
        std::array<uint32_t, 16> x{};
        for (size_t i = 0; i < 64; ++i) {
            x[i / 4] |= static_cast<uint32_t>(m[at + i]) << (8 * (i % 4));
        }
        const auto line = [&](bool left) {
            std::array<uint8_t, 16> words{};
            for (size_t i = 0; i < 16; ++i) {
                words[i] = static_cast<uint8_t>(left ? i : (9 * i + 5) % 16);
            }
            std::array<uint32_t, 5> v = h;
            for (size_t round = 0; round < 5; ++round) {
                for (const uint8_t w : words) {
                    const uint32_t sum = v[0] + f(left ? round : 4 - round, v[1], v[2], v[3]) +
                                         x[w] + (left ? left_k : right_k)[round];
                    v = {v[4], std::rotl(sum, shifts[round][w]) + v[4], v[1], std::rotl(v[2], 10),
                         v[3]};
                }
                for (uint8_t& w : words) { w = rho[w]; }
            }
            return v;
        };
        const auto left = line(true);
        const auto right = line(false);
        h = {h[1] + left[2] + right[3], h[2] + left[3] + right[4], h[3] + left[4] + right[0],
             h[4] + left[0] + right[1], h[0] + left[1] + right[2]};
    }
    Bytes r;
    for (const uint32_t v : h) {
        for (int shift = 0; shift < 32; shift += 8) {
            r.push_back(static_cast<uint8_t>(v >> shift));
        }
    }
    return r;
}

Bytes reference_blake2b_compress(uint32_t rounds, const Bytes& state, const Bytes& block,
                                 uint64_t counter_low, uint64_t counter_high, bool final_block) {
    static constexpr std::array<std::string_view, 10> sigma{
        "0123456789abcdef", "ea489fd61c02b753", "b8c052fdae367194", "7931dcbe265a40f8",
        "905724afe1bc683d", "2c6a0b834d75fe19", "c51fed4a0763928b", "db7ec13950f4862a",
        "6fe9b308c2d714a5", "a2847615fb9e3cd0"};
    std::array<uint64_t, 16> v{};
    std::array<uint64_t, 16> m{};
    std::memcpy(v.data(), state.data(), 64);
    std::memcpy(m.data(), block.data(), 128);
    constexpr std::array<uint64_t, 8> iv{0x6a09e667f3bcc908, 0xbb67ae8584caa73b, 0x3c6ef372fe94f82b,
                                         0xa54ff53a5f1d36f1, 0x510e527fade682d1, 0x9b05688c2b3e6c1f,
                                         0x1f83d9abfb41bd6b, 0x5be0cd19137e2179};
    std::copy(iv.begin(), iv.end(), v.begin() + 8);
    v[12] ^= counter_low;
    v[13] ^= counter_high;
    v[14] ^= final_block ? ~0ull : 0;
    for (uint32_t round = 0; round < rounds; ++round) {
        const std::string_view row = sigma[round % 10];
        for (size_t i = 0; i < 8; ++i) {
            const auto word_at = [&](size_t at) {
                const char c = row[at];
                return m[static_cast<size_t>(c <= '9' ? c - '0' : c - 'a' + 10)];
            };
            // Columns first, then diagonals.
            const size_t shift = i / 4;
            uint64_t& a = v[i % 4];
            uint64_t& b = v[4 + (i + shift) % 4];
            uint64_t& c = v[8 + (i + 2 * shift) % 4];
            uint64_t& d = v[12 + (i + 3 * shift) % 4];
            a += b + word_at(2 * i);
            d = std::rotr(d ^ a, 32);
            c += d;
            b = std::rotr(b ^ c, 24);
            a += b + word_at(2 * i + 1);
            d = std::rotr(d ^ a, 16);
            c += d;
            b = std::rotr(b ^ c, 63);
        }
    }
    Bytes r = state;
    for (size_t i = 0; i < 8; ++i) {
        uint64_t h = 0;
        std::memcpy(&h, state.data() + 8 * i, 8);
        h ^= v[i] ^ v[i + 8];
        std::memcpy(r.data() + 8 * i, &h, 8);
    }
    return r;
}

}  // namespace millrace::evm::oracles
