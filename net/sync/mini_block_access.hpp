// SPDX-License-Identifier: Apache-2.0
// Owns what the sequencer tells full nodes of a mini-block beside its transactions: outcomes,
// dependencies and the access list with post-values.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::sync {

/// Immutable contract code; null is the empty code.
using CodePtr = std::shared_ptr<const Bytes>;

/// The most transactions of a mini-block.
inline constexpr uint32_t transactions_max = 65'535;
/// The position of whoever wrote a value before the mini-block began.
inline constexpr uint32_t before_mini_block = ~uint32_t{0};

/// What of an account can be read by itself. The bits are those of the encoding.
enum AccountField : uint8_t {
    field_nonce = 1,
    field_balance = 2,  ///< by value, or by a bound (evm/core/state_view.hpp)
    field_code = 4,     ///< its hash, and with it the code
};

/// What the block fixed for the transactions. The hashes of the ancestors (BLOCKHASH) are not here:
/// that of the parent may still be in the making when a mini-block is cut.
struct AccessEnvironment {
    uint64_t block_number = 0;
    uint64_t timestamp_s = 0;
    uint64_t gas_limit = 0;
    U256 base_fee_per_gas;
    Address coinbase;
    Hash256 prev_randao;
    bool operator==(const AccessEnvironment&) const = default;
};

struct AccessHeader {
    uint64_t mini_block_number = 0;
    AccessEnvironment environment;
    uint64_t first_transaction_index = 0;  ///< in the block
    uint64_t gas_used_before = 0;          ///< by the transactions of the block before these
    /// transactions_digest() of the hashes of the transactions.
    Hash256 transactions_digest;
    /// Of the receipts as the log keeps it (evm/tx/receipts_digest.hpp).
    Hash256 receipts_digest;
    bool operator==(const AccessHeader&) const = default;
};

struct TransactionOutcome {
    uint64_t gas_used = 0;  ///< below 2^63
    bool success = false;
    /// Where the transaction's part of MiniBlockAccess::dependencies ends; it begins where that of
    /// the transaction before ends.
    uint32_t dependencies_end = 0;
    bool operator==(const TransactionOutcome&) const = default;
};

// Post-values: `transaction` is a position in the mini-block, and the value is that after it.
struct NonceChange {
    uint32_t transaction = 0;
    uint64_t nonce = 0;
    bool operator==(const NonceChange&) const = default;
};
struct BalanceChange {
    uint32_t transaction = 0;
    U256 balance;
    bool operator==(const BalanceChange&) const = default;
};
struct CodeChange {
    uint32_t transaction = 0;
    CodePtr code;
    bool operator==(const CodeChange& o) const;  ///< by the bytes
};
struct StorageChange {
    uint32_t transaction = 0;
    U256 value;
    bool operator==(const StorageChange&) const = default;
};

struct ChangedSlot {
    U256 key;
    uint32_t changes_end = 0;  ///< in MiniBlockAccess::storage_changes
    bool operator==(const ChangedSlot&) const = default;
};

/// An account that was read or changed. The ends are in the arrays of MiniBlockAccess; an account's
/// part begins where that of the account before ends.
struct AccountAccess {
    Address address;
    uint8_t reads = 0;  ///< fields (AccountField) that were read and that nothing here changed
    uint32_t nonce_changes_end = 0;
    uint32_t balance_changes_end = 0;
    uint32_t code_changes_end = 0;
    uint32_t changed_slots_end = 0;
    uint32_t read_slots_end = 0;
    bool operator==(const AccountAccess&) const = default;
};

/// The access list of EIP-7928 made for one mini-block, and the order that its transactions have
/// among themselves. Which cells a transaction reads is defined by the questions of
/// evm/core/state_view.hpp; what was read stays read when a frame reverts.
///
/// Canonical form, the only one that is encoded, decoded and accepted:
/// - accounts strictly ascending by address, slots by key, changes of one cell by transaction;
/// - a change is there exactly where a transaction leaves a cell with another value than it found;
/// - a read is there exactly where a cell was read (or bounded) and is not changed in the
///   mini-block; no account is without an entry;
/// - dependencies of a transaction: how far back those lie that it needs, strictly ascending. They
///   are the last writer of each nonce, code and slot that it read by value, and for a balance that
///   it read by value what BalanceDependencies gives. A bound that holds makes none.
struct MiniBlockAccess {
    AccessHeader header;
    std::vector<TransactionOutcome> transactions;
    std::vector<uint32_t> dependencies;
    std::vector<AccountAccess> accounts;
    std::vector<NonceChange> nonce_changes;
    std::vector<BalanceChange> balance_changes;
    std::vector<CodeChange> code_changes;
    std::vector<ChangedSlot> changed_slots;
    std::vector<StorageChange> storage_changes;
    std::vector<U256> read_slots;

    bool operator==(const MiniBlockAccess&) const = default;
    /// Empties everything and keeps the memory.
    void clear() noexcept;

    // Parts; `account`, `slot` and `transaction` count from 0.
    std::span<const uint32_t> dependencies_of(size_t transaction) const noexcept;
    std::span<const NonceChange> nonce_changes_of(size_t account) const noexcept;
    std::span<const BalanceChange> balance_changes_of(size_t account) const noexcept;
    std::span<const CodeChange> code_changes_of(size_t account) const noexcept;
    std::span<const ChangedSlot> changed_slots_of(size_t account) const noexcept;
    std::span<const U256> read_slots_of(size_t account) const noexcept;
    std::span<const StorageChange> storage_changes_of(size_t slot) const noexcept;
    size_t first_changed_slot(size_t account) const noexcept {
        return account == 0 ? 0 : accounts[account - 1].changed_slots_end;
    }
    size_t first_read_slot(size_t account) const noexcept {
        return account == 0 ? 0 : accounts[account - 1].read_slots_end;
    }
};

/// Whether the canonical form holds as far as it can be seen without executing: orders, ends,
/// limits, no entry without content. The error names the first fault.
Result<void> check_canonical(const MiniBlockAccess& access);

/// SHA-256 over the transactions' hashes in their order: a package with other transactions, or with
/// these in another order, is refused before anything runs.
Hash256 transactions_digest(std::span<const Hash256> hashes);

}  // namespace millrace::sync
