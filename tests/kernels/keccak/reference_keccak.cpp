// SPDX-License-Identifier: Apache-2.0
// Owns the bit-by-bit Keccak: step mappings of FIPS 202 section 3.2 on a 5 x 5 x 64 array of bits.
#include "tests/kernels/keccak/reference_keccak.hpp"

#include <array>
#include <vector>

namespace millrace::test {

namespace {

constexpr int w = 64;
using State = std::array<std::array<std::array<bool, w>, 5>, 5>;  // A[x][y][z]

State theta(const State& a) {
    std::array<std::array<bool, w>, 5> c{};
    for (int x = 0; x < 5; ++x) {
        for (int z = 0; z < w; ++z) {
            bool sum = false;
            for (int y = 0; y < 5; ++y) { sum = sum != a[x][y][z]; }
            c[x][z] = sum;
        }
    }
    State out = a;
    for (int x = 0; x < 5; ++x) {
        for (int y = 0; y < 5; ++y) {
            for (int z = 0; z < w; ++z) {
                const bool d = c[(x + 4) % 5][z] != c[(x + 1) % 5][(z + w - 1) % w];
                out[x][y][z] = a[x][y][z] != d;
            }
        }
    }
    return out;
}

State rho(const State& a) {
    State out = a;
    int x = 1;
    int y = 0;
    for (int t = 0; t < 24; ++t) {
        const int shift = (t + 1) * (t + 2) / 2 % w;
        for (int z = 0; z < w; ++z) { out[x][y][z] = a[x][y][(z + w - shift) % w]; }
        const int next_y = (2 * x + 3 * y) % 5;
        x = y;
        y = next_y;
    }
    return out;
}

State pi(const State& a) {
    State out{};
    for (int x = 0; x < 5; ++x) {
        for (int y = 0; y < 5; ++y) { out[x][y] = a[(x + 3 * y) % 5][x]; }
    }
    return out;
}

State chi(const State& a) {
    State out{};
    for (int x = 0; x < 5; ++x) {
        for (int y = 0; y < 5; ++y) {
            for (int z = 0; z < w; ++z) {
                out[x][y][z] = a[x][y][z] != (!a[(x + 1) % 5][y][z] && a[(x + 2) % 5][y][z]);
            }
        }
    }
    return out;
}

/// Algorithm 5: bit t of the linear feedback shift register x^8 + x^6 + x^5 + x^4 + 1.
bool round_constant_bit(int t) {
    std::array<bool, 9> r{true};
    for (int i = 0; i < t % 255; ++i) {
        for (int j = 8; j > 0; --j) { r[j] = r[j - 1]; }
        r[0] = r[8];
        r[4] = r[4] != r[8];
        r[5] = r[5] != r[8];
        r[6] = r[6] != r[8];
    }
    return r[0];
}

State iota(const State& a, int round) {
    State out = a;
    for (int j = 0; j <= 6; ++j) {
        const int z = (1 << j) - 1;
        out[0][0][z] = a[0][0][z] != round_constant_bit(j + 7 * round);
    }
    return out;
}

}  // namespace

Bytes reference_keccak(ByteView message, size_t digest_bits, uint8_t suffix) {
    const size_t rate_bits = 1600 - 2 * digest_bits;
    std::vector<bool> bits;
    for (const uint8_t byte : message) {
        for (int i = 0; i < 8; ++i) { bits.push_back(((byte >> i) & 1) != 0); }
    }
    // The suffix ends with the first 1 of pad10*1; zeros and a last 1 fill the block.
    const int suffix_bits = suffix == 0x01 ? 1 : 3;
    for (int i = 0; i < suffix_bits; ++i) { bits.push_back(((suffix >> i) & 1) != 0); }
    while (bits.size() % rate_bits != rate_bits - 1) { bits.push_back(false); }
    bits.push_back(true);

    State a{};
    for (size_t block = 0; block < bits.size(); block += rate_bits) {
        for (size_t i = 0; i < rate_bits; ++i) {
            const size_t lane = i / w;
            bool& cell = a[lane % 5][lane / 5][i % w];
            cell = cell != bits[block + i];
        }
        for (int round = 0; round < 24; ++round) { a = iota(chi(pi(rho(theta(a)))), round); }
    }
    Bytes digest(digest_bits / 8);
    for (size_t i = 0; i < digest_bits; ++i) {
        const size_t lane = i / w;
        if (a[lane % 5][lane / 5][i % w]) {
            digest[i / 8] = static_cast<uint8_t>(digest[i / 8] | (1u << (i % 8)));
        }
    }
    return digest;
}

Hash256 reference_keccak256(ByteView message, uint8_t suffix) {
    return Hash256::from(reference_keccak(message, 256, suffix));
}

Bytes test_message(size_t size, uint64_t seed) {
    Bytes out(size);
    uint64_t state = seed * 0x9e3779b97f4a7c15ull + size + 1;
    for (uint8_t& byte : out) {
        state = state * 6364136223846793005ull + 1442695040888963407ull;
        byte = static_cast<uint8_t>(state >> 56);
    }
    return out;
}

}  // namespace millrace::test
