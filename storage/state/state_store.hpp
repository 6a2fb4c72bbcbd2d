// SPDX-License-Identifier: Apache-2.0
// Owns the versioned state: one writer applies deltas, many readers hold pinned versions.
#pragma once

#include <functional>
#include <memory>
#include <optional>

#include "storage/state/state_delta.hpp"

namespace millrace::storage {

struct Account {
    uint64_t nonce = 0;
    U256 balance;
    Hash256 code_hash;
    uint64_t incarnation = 0;
    bool operator==(const Account&) const = default;
};

/// The state at one version, unaffected by what is applied later. Any thread; the version stays
/// readable until the handle is gone, so do not keep handles for ever: versions above the oldest
/// handle cost memory. Must not outlive the store.
class StateSnapshot {
public:
    virtual ~StateSnapshot() = default;

    /// Sequence number of the record whose application gave this state; 0 is the empty state.
    virtual uint64_t version() const noexcept = 0;
    virtual std::optional<Account> account(const Address& address) const = 0;
    /// Zero for absent slots and accounts.
    virtual U256 slot(const Address& address, const U256& key) const = 0;
    /// Null when the store never saw the code.
    virtual CodePtr code(const Hash256& hash) const = 0;
    virtual bool has_storage(const Address& address) const = 0;
    /// As Account::incarnation, but known for deleted accounts too; 0 for addresses never seen.
    virtual uint64_t incarnation(const Address& address) const = 0;

    /// Calls `visit` for the state in parts: canonical deltas over the empty state, disjoint, all
    /// accounts before all slots, otherwise in no particular order. Stops at and returns the first
    /// error. Deleted accounts appear where they have an incarnation to remember.
    virtual Result<void>
    for_each_part(const std::function<Result<void>(const StateDelta&)>& visit) const = 0;
};

struct StateStoreOptions {
    /// Versions older than this many applied deltas are forgotten unless a snapshot pins them.
    uint64_t window_deltas = 4096;
    /// Power of two; each shard has a lock.
    size_t shard_count = 256;
};

struct StateStoreStats {
    uint64_t version = 0;         ///< newest
    uint64_t oldest_version = 0;  ///< oldest that snapshot_at() can give
    uint64_t deltas_kept = 0;
    uint64_t accounts = 0;
    uint64_t slots = 0;  ///< entries, dead ones that await removal included
    uint64_t codes = 0;
    uint64_t snapshots = 0;
};

/// Latest state plus a window of older versions. One writer thread calls the functions that
/// change; snapshots may be taken and read on any thread.
class StateStore {
public:
    virtual ~StateStore() = default;

    /// Makes `delta` (canonical) the state of `version`, which must exceed the current one, and
    /// publishes it at once. `ErrorCode::invalid_input` for a version that does not, for slots
    /// with a value on accounts that do not exist, and for a code hash without code.
    virtual Result<void> apply(uint64_t version, const StateDelta& delta) = 0;

    /// The delta that leads from the current state back to that of `version`: log it (Revert,
    /// evm_revert) and then apply it under the sequence number of its record. Snapshots pinned in
    /// between stay as they are. `ErrorCode::unavailable` when the version is forgotten; to be able
    /// to come back (evm_snapshot), hold a snapshot of it. Writer thread.
    virtual Result<StateDelta> revert_delta(uint64_t version) const = 0;
    /// revert_delta(version) and apply(as_version, ..) in one; returns the delta for the
    /// commitment.
    virtual Result<StateDelta> rollback_to(uint64_t version, uint64_t as_version) = 0;

    /// Loads parts (StateSnapshot::for_each_part) into an empty store, then publishes them as
    /// `version`, the oldest and newest there is.
    virtual Result<void> restore_part(const StateDelta& part) = 0;
    virtual Result<void> finish_restore(uint64_t version) = 0;

    /// The newest version.
    virtual uint64_t version() const noexcept = 0;
    virtual std::shared_ptr<const StateSnapshot> snapshot() const = 0;
    /// The state as it was after the newest record that is not later than `version`;
    /// `ErrorCode::unavailable` when it is forgotten or not there yet.
    virtual Result<std::shared_ptr<const StateSnapshot>> snapshot_at(uint64_t version) const = 0;

    virtual StateStoreStats stats() const = 0;
};

/// Everything in memory; durability comes from the log and from checkpoints.
std::unique_ptr<StateStore> make_memory_state_store(const StateStoreOptions& options = {});

}  // namespace millrace::storage
