// SPDX-License-Identifier: Apache-2.0
// Owns Merkle proofs of accounts and storage (EIP-1186) and their verification.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::evm {

/// An account as its leaf in the state trie says: rlp([nonce, balance, storage_root, code_hash]).
struct AccountState {
    uint64_t nonce = 0;
    U256 balance;
    Hash256 storage_root;
    Hash256 code_hash;
    bool operator==(const AccountState&) const = default;
};

Bytes encode_account(const AccountState& account);
Result<AccountState> decode_account(ByteView raw);

/// Proof of one slot. `nodes` are the RLP nodes from the storage root down; a node below 32 bytes
/// lies inside its parent and is not listed. Empty for an empty trie.
struct StorageProof {
    U256 key;
    U256 value;  ///< zero: proven absent
    std::vector<Bytes> nodes;
    bool operator==(const StorageProof&) const = default;
};

/// What eth_getProof returns.
struct Proof {
    Address address;
    bool exists = false;
    /// For an absent account: zeros, the empty trie's root and the hash of empty code.
    AccountState account;
    std::vector<Bytes> account_nodes;
    std::vector<StorageProof> storage;  ///< in the order asked for
    bool operator==(const Proof&) const = default;
};

/// Follows `nodes` from `root` along the 64 nibbles of `hashed_key`. Gives the value found, or
/// nothing when the nodes prove absence. Fails when a node is malformed, does not match its hash,
/// is missing or is not needed.
Result<std::optional<Bytes>> verify_trie_proof(const Hash256& root, const Hash256& hashed_key,
                                               std::span<const Bytes> nodes);
/// The account at `address`, or nothing when it is proven absent.
Result<std::optional<AccountState>> verify_account_proof(const Hash256& state_root,
                                                         const Address& address,
                                                         std::span<const Bytes> nodes);
/// The value of slot `key`; zero when it is proven absent.
Result<U256> verify_storage_proof(const Hash256& storage_root, const U256& key,
                                  std::span<const Bytes> nodes);
/// Checks everything that `proof` claims against `state_root`.
Result<void> verify_proof(const Hash256& state_root, const Proof& proof);

}  // namespace millrace::evm
