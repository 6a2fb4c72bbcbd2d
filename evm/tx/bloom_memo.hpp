// SPDX-License-Identifier: Apache-2.0
// Owns the memory of recent bloom items: the contracts, events and users of logs come again.
#pragma once

#include <cstring>
#include <vector>

#include "evm/tx/receipt.hpp"

namespace millrace::evm {

/// Direct-mapped, keyed by the whole item: a hit gives the bits that hashing would. One per thread
/// that executes. About 200 KiB. A log of a token transfer takes four hashes without it, as long as
/// the rest of the transfer together.
class BloomMemo {
public:
    BloomMemo() : entries_(entry_count) {}

    Bloom bloom_of(const std::vector<Log>& logs) noexcept {
        Bloom bloom;
        for (const Log& log : logs) {
            add(bloom, log.address.view());
            for (const Hash256& topic : log.topics) { add(bloom, topic.view()); }
        }
        return bloom;
    }

private:
    static constexpr size_t entry_count = 4096;
    struct Entry {
        uint64_t item[4] = {};
        uint32_t size = 0;  ///< of the item; none is empty
        BloomBits bits;
    };

    /// `item` is an address or a topic.
    void add(Bloom& bloom, ByteView item) noexcept {
        uint64_t w[4] = {};
        std::memcpy(w, item.data(), item.size());
        const uint64_t mixed = (w[0] ^ (w[3] << 7)) * 0x9e3779b97f4a7c15ull +
                               (w[1] ^ (w[2] >> 5)) * 0xc2b2ae3d27d4eb4full + item.size();
        Entry& e =
            entries_[(mixed ^ mixed >> 32) * 0x9e3779b97f4a7c15ull >> 40 & (entry_count - 1)];
        if (e.size != item.size() || std::memcmp(e.item, w, sizeof w) != 0) {
            e.bits = bloom_bits(item);
            e.size = static_cast<uint32_t>(item.size());
            std::memcpy(e.item, w, sizeof w);
        }
        bloom_add(bloom, e.bits);
    }

    std::vector<Entry> entries_;
};

}  // namespace millrace::evm
