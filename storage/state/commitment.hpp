// SPDX-License-Identifier: Apache-2.0
// Owns the interface of state commitments (what makes a state root) and the naive one in memory.
#pragma once

#include <memory>

#include "storage/state/state_delta.hpp"
#include "storage/state/state_store.hpp"

namespace millrace::storage {

/// Incremental commitment to accounts and storage. The root depends on the resulting state only,
/// never on the way or the cuts in which changes came. One owning thread.
class StateCommitment {
public:
    virtual ~StateCommitment() = default;

    /// Creates or updates; storage is left as it is.
    virtual void set_account(const Address& address, uint64_t nonce, const U256& balance,
                             const Hash256& code_hash) = 0;
    /// Removes the account with its storage; does nothing when it is not there.
    virtual void remove_account(const Address& address) = 0;
    /// Value zero removes the slot. The account must be there by the time root() is called.
    virtual void set_slot(const Address& address, const U256& key, const U256& value) = 0;
    virtual void wipe_storage(const Address& address) = 0;
    virtual Hash256 root() = 0;
};

/// Keccak-256 over the sorted state, computed anew each time: for tests and small states.
std::unique_ptr<StateCommitment> make_memory_commitment();

/// Feeds one delta. A reverting delta (StateStore::revert_delta) takes the commitment back.
void apply_delta(StateCommitment& commitment, const StateDelta& delta);
/// Feeds the whole state of a snapshot into an empty commitment.
void load_commitment(StateCommitment& commitment, const StateSnapshot& snapshot);

}  // namespace millrace::storage
