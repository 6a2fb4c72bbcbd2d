// SPDX-License-Identifier: Apache-2.0
// Owns logs, receipts and the log bloom.
#pragma once

#include <algorithm>
#include <array>
#include <initializer_list>
#include <optional>
#include <span>
#include <vector>

#include "host/base/error.hpp"
#include "evm/tx/transaction.hpp"

namespace millrace::evm {

/// The topics of a log, in place: at most 4.
class Topics {
public:
    static constexpr size_t count_max = 4;

    Topics() = default;
    Topics(std::initializer_list<Hash256> items) : Topics(std::span{items.begin(), items.size()}) {}
    explicit Topics(std::span<const Hash256> items) {
        for (const Hash256& item : items) { push_back(item); }
    }

    size_t size() const noexcept { return count_; }
    bool empty() const noexcept { return count_ == 0; }
    const Hash256* begin() const noexcept { return items_.data(); }
    const Hash256* end() const noexcept { return items_.data() + count_; }
    const Hash256& operator[](size_t i) const noexcept { return items_[i]; }
    Hash256& operator[](size_t i) noexcept { return items_[i]; }
    void clear() noexcept { count_ = 0; }
    void push_back(const Hash256& item) {
        MILLRACE_ASSERT(count_ < count_max, "a log has at most 4 topics");
        items_[count_++] = item;
    }
    bool operator==(const Topics& o) const noexcept {
        return std::equal(begin(), end(), o.begin(), o.end());
    }

private:
    std::array<Hash256, count_max> items_;
    uint8_t count_ = 0;
};

struct Log {
    Address address;
    Topics topics;
    Bytes data;
    bool operator==(const Log&) const = default;
};

/// The 2,048-bit filter of yellow paper 4.3.1.
using Bloom = FixedBytes<256>;

/// The places of the three bits of an item, below 2,048; some may be equal.
using BloomBits = std::array<uint16_t, 3>;
BloomBits bloom_bits(ByteView item) noexcept;

void bloom_add(Bloom& bloom, const BloomBits& bits) noexcept;
void bloom_add(Bloom& bloom, ByteView item) noexcept;
void bloom_add(Bloom& bloom, const Log& log) noexcept;
Bloom bloom_of(const std::vector<Log>& logs) noexcept;
void bloom_merge(Bloom& into, const Bloom& from) noexcept;
/// Whether `item` may be in the set.
bool bloom_may_contain(const Bloom& bloom, ByteView item) noexcept;

/// The consensus part of a receipt.
struct Receipt {
    TxType type = TxType::legacy;
    bool success = false;
    /// Before Byzantium the receipt carries a state root instead of the status.
    std::optional<Hash256> state_root;
    uint64_t cumulative_gas_used = 0;
    Bloom bloom;
    std::vector<Log> logs;
    bool operator==(const Receipt&) const = default;
};

/// The form that goes into the receipts trie (type byte and list, EIP-2718). A state root takes the
/// place of the status, so `success` is false after decoding such a receipt.
Bytes encode_receipt(const Receipt& receipt);
/// The same at the end of `out`, and its size.
void append_receipt(Bytes& out, const Receipt& receipt);
size_t encoded_receipt_bytes(const Receipt& receipt) noexcept;
Result<Receipt> decode_receipt(ByteView raw);

}  // namespace millrace::evm
