// SPDX-License-Identifier: Apache-2.0
// Owns the memory of one page of the index and the operations inside of it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <memory>
#include <new>
#include <span>

#include "host/base/types.hpp"
#include "storage/qmdb/detail/crowded_keys.hpp"

namespace millrace::storage::qmdb::detail {

/// The entries of all keys that begin with the page's `depth` bits, in the order of the keys:
/// fingerprints and serial numbers in two arrays behind the header, or leaves of whole keys.
struct IndexPage {
    uint16_t count = 0;     ///< of entries in the arrays
    uint16_t capacity = 0;  ///< of the arrays
    uint8_t depth = 0;
    /// The fingerprint of a key is its 16 bits from bit `base` on; base is at most depth, and the
    /// bits before depth are the same in the whole page.
    uint8_t base = 0;
    uint16_t reserved = 0;
    CrowdedKeys* crowded = nullptr;  ///< owned; the arrays are empty then
    uint64_t epoch = 0;              ///< that made it, see Epochs

    uint16_t* fingerprints() noexcept { return reinterpret_cast<uint16_t*>(this + 1); }
    const uint16_t* fingerprints() const noexcept {
        return reinterpret_cast<const uint16_t*>(this + 1);
    }
    /// The capacity is even, so that these are aligned.
    uint32_t* serials() noexcept { return reinterpret_cast<uint32_t*>(fingerprints() + capacity); }
    const uint32_t* serials() const noexcept {
        return reinterpret_cast<const uint32_t*>(fingerprints() + capacity);
    }
    static constexpr size_t bytes_for(uint32_t capacity) noexcept {
        return sizeof(IndexPage) + capacity * (sizeof(uint16_t) + sizeof(uint32_t));
    }

    /// The fingerprint of the key with these bits (see KeyIndex: without those that all share).
    uint16_t fingerprint(uint64_t path) const noexcept {
        return static_cast<uint16_t>(path << base >> 48);
    }
    uint32_t lower_bound(uint16_t fingerprint) const noexcept {
        const uint16_t* const begin = fingerprints();
        return static_cast<uint32_t>(std::lower_bound(begin, begin + count, fingerprint) - begin);
    }
    /// End of the run of equal fingerprints that begins at `from`.
    uint32_t run_end(uint32_t from, uint16_t fingerprint) const noexcept {
        while (from < count && fingerprints()[from] == fingerprint) { ++from; }
        return from;
    }
    /// There is room.
    void insert_at(uint32_t at, uint16_t fingerprint, uint32_t serial) noexcept {
        std::copy_backward(fingerprints() + at, fingerprints() + count, fingerprints() + count + 1);
        std::copy_backward(serials() + at, serials() + count, serials() + count + 1);
        fingerprints()[at] = fingerprint;
        serials()[at] = serial;
        ++count;
    }
    void erase_at(uint32_t at) noexcept {
        std::copy(fingerprints() + at + 1, fingerprints() + count, fingerprints() + at);
        std::copy(serials() + at + 1, serials() + count, serials() + at);
        --count;
    }
    /// Appends entries [from, to) of another page with the same base; there is room.
    void append(const IndexPage& page, uint32_t from, uint32_t to) noexcept {
        std::copy(page.fingerprints() + from, page.fingerprints() + to, fingerprints() + count);
        std::copy(page.serials() + from, page.serials() + to, serials() + count);
        count = static_cast<uint16_t>(count + to - from);
    }
    /// Lowers the base to `base_before`; `path` is that of any key of the page. Bits that were
    /// known beyond the new fingerprints are forgotten.
    void rebase_down(uint8_t base_before, uint64_t path) noexcept {
        const unsigned by = base - base_before;
        if (by == 0) { return; }
        const auto known = static_cast<uint16_t>(path << base_before >> 48);
        const auto high = static_cast<uint16_t>(known & ~(0xffffu >> by));
        for (uint32_t i = 0; i < count; ++i) {
            fingerprints()[i] = static_cast<uint16_t>(high | fingerprints()[i] >> by);
        }
        base = base_before;
    }
};
static_assert(sizeof(IndexPage) == 24);

}  // namespace millrace::storage::qmdb::detail
