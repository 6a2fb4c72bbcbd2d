// SPDX-License-Identifier: Apache-2.0
// Owns logs, receipts and the log bloom.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "evm/tx/transaction.hpp"

namespace millrace::evm {

struct Log {
    Address address;
    std::vector<Hash256> topics;  ///< at most 4
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
