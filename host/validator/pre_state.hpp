// SPDX-License-Identifier: Apache-2.0
// Owns the doorway through which a replay reads the state before a mini-block.
#pragma once

#include <optional>

#include "evm/core/state_view.hpp"
#include "evm/tx/block.hpp"

namespace millrace::validator {

/// An account as it is before the mini-block; one that does not exist has these values.
struct PreAccount {
    uint64_t nonce = 0;
    U256 balance;
    Hash256 code_hash = evm::empty_code_hash;
    /// As in storage::AccountDelta; only handed on.
    uint64_t incarnation = 0;
};

/// The state before a mini-block, whole or as far as a witness shows it. What it says is taken as
/// true: proofs are checked by whoever makes one. Members are for any thread at any time.
class PreState {
public:
    virtual ~PreState() = default;
    // Nothing when this source cannot tell; the replay is refused then.
    virtual std::optional<PreAccount> account(const Address& address) const = 0;
    virtual std::optional<U256> storage(const Address& address, const U256& key) const = 0;
    virtual std::optional<bool> has_storage(const Address& address) const = 0;
    /// Hash of an ancestor of the block, for BLOCKHASH.
    virtual std::optional<Hash256> block_hash(uint64_t number) const = 0;
    /// Code with this hash, or null.
    virtual evm::CodePtr code(const Hash256& hash) const = 0;
};

}  // namespace millrace::validator
