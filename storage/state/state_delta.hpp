// SPDX-License-Identifier: Apache-2.0
// Owns StateDelta, the net post-values of a piece of execution: what the log stores, what the state
// store applies and what a commitment is fed.
#pragma once

#include <memory>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::storage {

/// Immutable code, shared by everything that reads it.
using CodePtr = std::shared_ptr<const Bytes>;

/// An account as it is afterwards.
struct AccountDelta {
    Address address;
    /// The account is gone, and its storage with it. nonce, balance and code_hash are zero then.
    bool deleted = false;
    /// All earlier storage is gone; slots in the same delta are written after that.
    bool storage_wiped = false;
    uint64_t nonce = 0;
    U256 balance;
    Hash256 code_hash;  ///< Keccak-256 of the code, also of empty code
    /// How often an account of this address was begun anew; kept for deleted accounts too. Data of
    /// the producer: the store keeps it and gives it back.
    uint64_t incarnation = 0;
    bool operator==(const AccountDelta&) const = default;
};

/// A storage slot as it is afterwards; value zero means that it is gone.
struct SlotDelta {
    Address address;
    U256 key;
    U256 value;
    bool operator==(const SlotDelta&) const = default;
};

/// Code that became known.
struct CodeDelta {
    Hash256 hash;
    CodePtr code;  ///< never null
    bool operator==(const CodeDelta& o) const;
};

/// Canonical form: accounts strictly ascending by address, slots by (address, key), codes by hash;
/// no slot with a value on a deleted account.
struct StateDelta {
    std::vector<AccountDelta> accounts;
    std::vector<SlotDelta> slots;
    std::vector<CodeDelta> codes;

    bool empty() const noexcept { return accounts.empty() && slots.empty() && codes.empty(); }
    bool operator==(const StateDelta&) const = default;
    bool is_canonical() const noexcept;
    /// Sorts into canonical order; asserts that no key occurs twice.
    void sort();
};

/// The delta that has the effect of `first` followed by `second`; both canonical, as is the result.
StateDelta merge(const StateDelta& first, const StateDelta& second);

/// Appends the encoding; asserts that the delta is canonical.
void encode_state_delta(const StateDelta& delta, Bytes& out);
/// Decodes the whole input; refuses everything that encode_state_delta does not produce. Memory
/// taken is bounded by a small multiple of the input.
Result<StateDelta> decode_state_delta(ByteView data);

}  // namespace millrace::storage
