// SPDX-License-Identifier: Apache-2.0
// Owns the transaction of every type, its wire form, its hashes and its sender.
#pragma once

#include <optional>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::evm {

/// EIP-2718 type byte.
enum class TxType : uint8_t {
    legacy = 0x00,
    access_list = 0x01,  ///< EIP-2930
    dynamic_fee = 0x02,  ///< EIP-1559
    blob = 0x03,         ///< EIP-4844
    set_code = 0x04,     ///< EIP-7702
    deposit = 0x7e,      ///< unsigned message from the L1, first in its block
};

struct AccessListEntry {
    Address address;
    std::vector<Hash256> storage_keys;
    bool operator==(const AccessListEntry&) const = default;
};
using AccessList = std::vector<AccessListEntry>;

/// EIP-7702 authorization tuple. Signature parts are kept as sent: an invalid one is skipped by the
/// state transition, not refused by the decoder.
struct Authorization {
    U256 chain_id;
    Address address;
    uint64_t nonce = 0;
    uint8_t y_parity = 0;
    U256 r;
    U256 s;
    bool operator==(const Authorization&) const = default;
};

/// A transaction of any type; fields that its type does not have stay at their defaults.
struct Transaction {
    TxType type = TxType::legacy;
    /// Absent only for legacy transactions without EIP-155 replay protection (and deposits).
    std::optional<uint64_t> chain_id;
    uint64_t nonce = 0;
    /// Legacy and EIP-2930 transactions put their gas price into both fee fields.
    U256 max_priority_fee_per_gas;
    U256 max_fee_per_gas;
    uint64_t gas_limit = 0;
    std::optional<Address> to;  ///< absent: contract creation
    U256 value;
    Bytes data;
    AccessList access_list;
    U256 max_fee_per_blob_gas;
    std::vector<Hash256> blob_versioned_hashes;
    std::vector<Authorization> authorization_list;

    // Signature; y_parity is 0 or 1 for every type (legacy v is rebuilt on encoding).
    uint8_t y_parity = 0;
    U256 r;
    U256 s;

    // Deposits (type 0x7e) only.
    Hash256 source_hash;
    Address from;
    U256 mint;

    bool operator==(const Transaction&) const = default;

    bool is_creation() const noexcept { return !to.has_value(); }
    /// Whether the fee fields are a single gas price.
    bool has_gas_price_only() const noexcept {
        return type == TxType::legacy || type == TxType::access_list;
    }
};

/// Decodes the canonical form: an RLP list (legacy) or type byte and payload (EIP-2718). Strict:
/// nothing may follow, integers are minimal, y_parity is 0 or 1, legacy v is 27, 28 or EIP-155,
/// chain ids fit 64 bits, types 0x03 and 0x04 have a recipient. The network form of a blob
/// transaction (with sidecar) is refused with a message of its own. Messages name the type and the
/// field and can be shown to the sender. Memory used is linear in the input. Whether the chain
/// accepts the transaction is decided elsewhere. A deposit is the type byte and [source_hash, from,
/// to, mint, value, gas_limit, is_system, data]; is_system must be false.
Result<Transaction> decode_transaction(ByteView raw);

/// The canonical form, as hashed and as put into the transactions trie.
Bytes encode_transaction(const Transaction& tx);
/// Keccak-256 of encode_transaction.
Hash256 transaction_hash(const Transaction& tx);
/// What the sender signed. Not for deposits.
Hash256 signing_hash(const Transaction& tx);
/// What an EIP-7702 authority signed: keccak(0x05 || rlp([chain_id, address, nonce])).
Hash256 authorization_signing_hash(const Authorization& authorization);
/// True when r and s are in range and s is low (EIP-2); `allow_high_s` gives Frontier's rule, which
/// bounds s only by the group order. Deposits have no signature and give true.
bool signature_values_valid(const Transaction& tx, bool allow_high_s = false) noexcept;

}  // namespace millrace::evm
