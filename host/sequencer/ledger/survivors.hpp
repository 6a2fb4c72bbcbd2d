// SPDX-License-Identifier: Apache-2.0
// Owns what a log says of blocks and of positions before it is replayed: by the same rules a start
// and `millrace db verify` judge whether log, chain data and commitment belong to each other.
#pragma once

#include <optional>
#include <unordered_set>
#include <vector>

#include "host/base/error.hpp"
#include "storage/chain/chain_store.hpp"
#include "storage/state/block_commitment.hpp"
#include "storage/state/checkpoint.hpp"
#include "storage/wal/wal.hpp"

namespace millrace::sequencer {

/// `ErrorCode::corrupt` for parts of a data directory that do not fit each other, with the remedy.
std::unexpected<Error> damaged(const std::string& what);

/// What becomes of the blocks of a log, read before it is replayed: those that a later revert
/// undoes need no execution and have no place in the chain data, which may already hold others of
/// the same numbers. Takes some 200 bytes for a block.
class Survivors {
public:
    /// `from` is what the checkpoint or the genesis has: where the replay begins.
    explicit Survivors(const storage::CheckpointMetadata& from);

    /// Takes every record that the log has, in order. `corrupt` when one cannot be decoded.
    Result<void> read(const storage::RecordInfo& info, ByteView payload);

    struct Block {
        uint64_t number;
        uint64_t sequence;            ///< of the record that opens it
        std::optional<Hash256> hash;  ///< absent until it is sealed
        Hash256 state_root;           ///< as the hash
        uint64_t closed_at;           ///< sequence number of the record that closes it
    };
    /// Those that the log opens and no revert undoes, ascending.
    const std::vector<Block>& blocks() const noexcept { return blocks_; }
    /// The one that the record `sequence` opens; null when a revert undoes it.
    const Block* find(uint64_t sequence) const;
    bool is_revert_target(uint64_t mini_block) const {
        return revert_targets_.contains(mini_block);
    }
    /// A record after `sequence` reverts to a block before `number`.
    bool is_undone(uint64_t number, uint64_t sequence) const noexcept;
    /// The log has sealed this block and then undone it.
    bool was_undone(uint64_t number, const Hash256& hash) const noexcept;

    /// The last block that a start takes from the chain data: of the checkpoint or genesis, or of
    /// the lowest revert after it. What follows can be made again from the log.
    uint64_t base() const noexcept { return base_; }
    /// The last block that is sealed and not undone.
    uint64_t last_sealed() const noexcept;

    /// The last record after which the state is the one that a durable commitment has; nothing when
    /// the log never leads there. Equal roots of the same block are equal commitments. Of reverts
    /// to blocks that the log no longer has, `chain` knows the roots.
    Result<std::optional<uint64_t>> position(const storage::CommittedBlock& committed,
                                             const storage::ChainStore& chain) const;

private:
    struct Position {
        uint64_t number;
        std::optional<Hash256> root;  ///< absent where the log does not have it
        uint64_t sequence;
    };
    struct Undoing {
        uint64_t sequence;
        uint64_t to_block;
    };
    struct UndoneBlock {
        uint64_t number;
        Hash256 hash;
    };

    const uint64_t from_sequence_;
    uint64_t base_;
    std::vector<Position> positions_;
    std::vector<Block> blocks_;
    std::vector<Undoing> reverts_;
    std::vector<UndoneBlock> undone_;
    std::unordered_set<uint64_t> revert_targets_;
};

/// The record up to which a commitment has the changes of the state: that of `from` when it keeps
/// nothing on the disk (`committed` is absent). `corrupt` when the log does not lead from `from` to
/// it.
Result<uint64_t> committed_until(const std::optional<storage::CommittedBlock>& committed,
                                 const Survivors& survivors, const storage::ChainStore& chain,
                                 const storage::CheckpointMetadata& from);

}  // namespace millrace::sequencer
