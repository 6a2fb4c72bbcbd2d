// SPDX-License-Identifier: Apache-2.0
// Owns the memory of recent 64-byte Keccak preimages: mapping slots are hashed over and over.
#pragma once

#include <cstring>
#include <vector>

#include "host/base/u256.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::evm {

/// Direct-mapped, keyed by the whole preimage: a hit gives exactly what hashing would. One per
/// worker. About 200 KiB.
class KeccakMemo {
public:
    KeccakMemo() : entries_(entry_count) {
        // Every entry starts out as a true one, so none needs a mark of being empty.
        uint8_t zeros[64] = {};
        const U256 hash = to_u256(kernels::keccak256_64(zeros));
        for (Entry& e : entries_) { e.hash = hash; }
    }

    const U256& hash(const uint8_t* preimage) noexcept {
        uint64_t w[8];
        std::memcpy(w, preimage, 64);
        // The words that differ between keys: the ends of key and slot, and the middle of
        // addresses.
        const uint64_t mixed = (w[3] ^ (w[2] << 7) ^ (w[0] >> 3)) * 0x9e3779b97f4a7c15ull +
                               w[7] * 0xc2b2ae3d27d4eb4full + w[4];
        Entry& e = entries_[(mixed >> 40) % entry_count];
        uint64_t difference = 0;
        for (int i = 0; i < 8; ++i) { difference |= e.preimage[i] ^ w[i]; }
        if (difference != 0) {
            e.hash = to_u256(kernels::keccak256_64(preimage));
            std::memcpy(e.preimage, w, 64);
        }
        return e.hash;
    }

private:
    static constexpr size_t entry_count = 2048;
    struct Entry {
        uint64_t preimage[8] = {};
        U256 hash;
    };
    std::vector<Entry> entries_;
};

}  // namespace millrace::evm
