// SPDX-License-Identifier: Apache-2.0
// Owns the doorway through which the EVM reads state, and the form in which it hands back changes.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::evm {

/// Immutable contract code, shared by everything that executes it.
using CodePtr = std::shared_ptr<const Bytes>;

/// State as a transaction sees it before its own writes. The transaction state (TxState) asks for
/// each field once and keeps the answer, so there is one virtual call for a first touch and none
/// after. An implementation may record what was asked: that record is the read set, and the commit
/// of the transaction is refused when an answer is no longer true.
///
/// A *value read* depends on the exact value. A *bound* (balance_at_least answered true) depends
/// only on the balance staying at or above the bound, so credits by others never invalidate it.
/// A transfer neither reads nor sets a balance: it needs one bound and hands back two deltas.
class StateView {
public:
    virtual ~StateView() = default;

    /// Whether the account exists in the trie. Only asked for forks before EIP-161.
    virtual bool account_exists(const Address& address) = 0;
    virtual uint64_t nonce(const Address& address) = 0;
    /// Value read of the balance.
    virtual U256 balance(const Address& address) = 0;
    /// True, recorded as a bound, when the balance is at least `min`. When it answers false it
    /// counts as a value read.
    virtual bool balance_at_least(const Address& address, const U256& min) = 0;
    /// Keccak-256 of the code; the hash of the empty string for accounts without code and for
    /// accounts that do not exist.
    virtual Hash256 code_hash(const Address& address) = 0;
    /// Code by its hash; the hash comes from code_hash(). Never null.
    virtual CodePtr code(const Hash256& hash) = 0;
    virtual U256 storage(const Address& address, const U256& key) = 0;
    /// Whether any storage slot is non-zero (EIP-7610: creation onto such an account fails).
    virtual bool has_storage(const Address& address) = 0;
    /// Hash of one of the 256 ancestors of the block being executed; asked only for those.
    virtual Hash256 block_hash(uint64_t number) = 0;
};

struct StorageWrite {
    U256 key;
    U256 value;
    bool operator==(const StorageWrite&) const = default;
};

/// What one transaction does to one account. Balances are deltas, never values.
struct AccountChange {
    Address address;
    /// The account and its storage were removed first (SELFDESTRUCT, or EIP-161 emptiness); when
    /// other fields are set as well the account was created anew in the same transaction.
    bool destroyed = false;
    /// Its storage is empty before `storage` is applied (newly created contract).
    bool storage_wiped = false;
    /// The account was touched: it exists afterwards even if empty (before EIP-161), or is removed
    /// if it is empty (after).
    bool touched = false;
    std::optional<uint64_t> nonce;
    U256 credit;  ///< added to the balance
    U256 debit;   ///< then taken from it; covered by what was read or bound
    std::optional<Hash256> code_hash;
    CodePtr code;                       ///< set together with code_hash, null for the empty code
    std::vector<StorageWrite> storage;  ///< sorted by key, only slots whose value changed
    bool operator==(const AccountChange&) const = default;
};

/// The net effect of a transaction or a system operation, sorted by address.
struct StateChanges {
    std::vector<AccountChange> accounts;
    bool empty() const noexcept { return accounts.empty(); }
    bool operator==(const StateChanges&) const = default;
};

}  // namespace millrace::evm
