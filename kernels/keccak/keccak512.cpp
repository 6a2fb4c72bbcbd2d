// SPDX-License-Identifier: Apache-2.0
// Owns the sponge of Keccak-512 over the shared round.
#include "kernels/keccak/keccak512.hpp"

#include <cstring>

#include "kernels/keccak/detail/permutation.hpp"

namespace millrace::kernels {
namespace {

constexpr size_t rate_bytes = 72;

/// A state whose lanes are little-endian, as the machine's words are.
struct Sponge {
    uint64_t lanes[detail::keccak_lanes] = {};

    void absorb(const uint8_t* block) noexcept {
        for (size_t i = 0; i < rate_bytes / 8; ++i) {
            uint64_t lane = 0;
            std::memcpy(&lane, block + 8 * i, sizeof lane);
            lanes[i] ^= lane;
        }
        uint64_t other[detail::keccak_lanes];
        for (size_t round = 0; round < detail::keccak_rounds; round += 2) {
            detail::keccak_round(lanes, other, detail::keccak_round_constants[round]);
            detail::keccak_round(other, lanes, detail::keccak_round_constants[round + 1]);
        }
    }
};

}  // namespace

FixedBytes<64> keccak512(ByteView message) noexcept {
    Sponge sponge;
    while (message.size() >= rate_bytes) {
        sponge.absorb(message.data());
        message = message.subspan(rate_bytes);
    }
    uint8_t last[rate_bytes] = {};
    std::copy(message.begin(), message.end(), last);
    last[message.size()] ^= 0x01;
    last[rate_bytes - 1] ^= 0x80;
    sponge.absorb(last);
    FixedBytes<64> digest;
    std::memcpy(digest.bytes.data(), sponge.lanes, digest.bytes.size());
    return digest;
}

}  // namespace millrace::kernels
