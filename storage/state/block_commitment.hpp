// SPDX-License-Identifier: Apache-2.0
// Owns the interface through which a ledger makes the state roots of its blocks, whether what makes
// them lives in memory or on the disk.
#pragma once

#include <memory>
#include <optional>

#include "storage/state/commitment.hpp"
#include "storage/state/committed_states.hpp"

namespace millrace::storage {

/// Block and root that a commitment stands at.
struct CommittedBlock {
    uint64_t number = 0;
    Hash256 root;
    bool operator==(const CommittedBlock&) const = default;
};

/// Memory that a commitment keeps, in bytes, by what it is for.
struct CommitmentMemory {
    uint64_t index = 0;      ///< from keys to entries
    uint64_t tree = 0;       ///< nodes and ActiveBits
    uint64_t places = 0;     ///< of entries in the log
    uint64_t blocks = 0;     ///< what is known of each block in the log
    uint64_t snapshots = 0;  ///< what only held snapshots need
    uint64_t work = 0;       ///< of a block at hand

    uint64_t total() const noexcept { return index + tree + places + blocks + snapshots + work; }
    bool operator==(const CommitmentMemory&) const = default;
};

/// The commitment to the state of a chain, block after block. One owning thread.
///
/// The order of durability: the ledger's log is the authority. A block is closed, its root goes
/// into the log, and only when the log holds that durably is the block committed here. What keeps
/// nothing on the disk (`durable()` is false) is loaded anew at each start.
class BlockCommitment {
public:
    virtual ~BlockCommitment() = default;

    /// Takes a change of the state. What all changes since the last close leave behind are the net
    /// writes of the next block: the root does not depend on how they were cut. `io` and `corrupt`
    /// are final.
    virtual Result<void> apply(const StateDelta& delta) = 0;
    /// The state is now that after block `number`, which follows the last one; returns its root.
    /// `before` is the state after the block before: the storage of accounts that are removed is
    /// looked up there. `ErrorCode::limit`: the disk is full; call it again once there is room,
    /// with nothing in between. `io` and `corrupt` are final.
    virtual Result<Hash256> close(uint64_t number, const StateSnapshot& before) = 0;
    /// Makes what was closed durable; does nothing when there is nothing to do. Errors as close().
    virtual Result<void> commit() = 0;
    /// Gives up what was not closed and all blocks after `number`, durably. Every closed block is
    /// committed. `delta` leads from the present state to that after the block. Errors as close(),
    /// and `ErrorCode::not_found` without any change for a block before oldest_block().
    virtual Result<void> roll_back(uint64_t number, const StateDelta& delta) = 0;

    /// Whether blocks survive the end of the process.
    virtual bool durable() const noexcept = 0;
    /// The last block that was committed; nothing while there is none, and never for what is not
    /// durable.
    virtual std::optional<CommittedBlock> committed() const noexcept = 0;
    /// The first block that roll_back() can go to, and that states() have. Any thread.
    virtual uint64_t oldest_block() const noexcept = 0;
    /// The states after the blocks that are committed, for other threads. `ErrorCode::conflict`
    /// from close() until commit(); `ErrorCode::unavailable` where there are no such states.
    virtual Result<CommittedStatesPtr> states() = 0;
    /// What it takes now; nothing where no account is kept. The owning thread.
    virtual CommitmentMemory memory() const noexcept { return {}; }
    /// Gives back disk space that nothing needs any more. Errors as commit().
    virtual Result<void> prune() = 0;
};

/// Block after block over a commitment in memory, which the caller has loaded.
std::unique_ptr<BlockCommitment> make_volatile_commitment(std::unique_ptr<StateCommitment> state);

}  // namespace millrace::storage
