// SPDX-License-Identifier: Apache-2.0
// Owns the state commitment `mpt`: Ethereum's secure Merkle Patricia trie, in memory, incremental.
#pragma once

#include <memory>
#include <optional>
#include <span>

#include "evm/trie/hash_batch.hpp"
#include "evm/trie/proof.hpp"
#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::evm {

/// Accounts and their storage under keccak-256 keys. Writes only mark nodes; root() and prove()
/// rehash what is marked, level by level. One owning thread. Holds at most 2^30 nodes of each kind
/// (leaf, extension, branch) for the accounts and again for all storage; more is a failed
/// assertion.
class StateTrie {
public:
    explicit StateTrie(HashBatch& hasher = sequential_hash_batch());
    ~StateTrie();
    StateTrie(StateTrie&&) noexcept;
    StateTrie& operator=(StateTrie&&) noexcept;
    StateTrie(const StateTrie&) = delete;
    StateTrie& operator=(const StateTrie&) = delete;

    /// Creates the account or changes it; its storage stays.
    void set_account(const Address& address, uint64_t nonce, const U256& balance,
                     const Hash256& code_hash);
    /// Removes the account with its storage; nothing happens when there is none.
    void remove_account(const Address& address);
    /// Sets a slot of an account that exists; zero deletes it. Writing a non-zero value to an
    /// account that does not exist is a bug of the caller.
    void set_storage(const Address& address, const U256& key, const U256& value);
    /// Empties the account's storage; nothing happens when there is no account.
    void wipe_storage(const Address& address);

    /// The state root over all writes so far.
    Hash256 root();

    /// The account with its current storage root (which is rehashed if need be).
    std::optional<AccountState> account(const Address& address);
    /// Zero when the account or the slot does not exist.
    U256 storage(const Address& address, const U256& key) const;
    /// Whether any slot of the account is set.
    bool has_storage(const Address& address) const;

    size_t account_count() const noexcept;
    /// Slots of all accounts.
    size_t slot_count() const noexcept;
    /// Bytes held by nodes, free ones included.
    size_t memory_bytes() const noexcept;

    /// EIP-1186 proof of the account and of the slots `keys`; rehashes like root().
    Proof prove(const Address& address, std::span<const U256> keys);

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::evm
