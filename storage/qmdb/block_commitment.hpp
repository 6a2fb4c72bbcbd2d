// SPDX-License-Identifier: Apache-2.0
// Owns the state commitment `qmdb`: from the changes of a chain's accounts and storage to the net
// writes of its blocks in the engine.
#pragma once

#include <memory>
#include <string>

#include "kernels/tree/node_hash.hpp"
#include "storage/io/file_system.hpp"
#include "storage/io/log_writer.hpp"
#include "storage/qmdb/file_care.hpp"
#include "storage/state/block_commitment.hpp"

namespace millrace::storage::qmdb {

// From blocks to the engine; part of the state root:
// - The net writes of a block are the leaves (storage/proof/state_leaf.hpp) that are others after
// it
//   than before it: of accounts, slots and the counter of births. The genesis is block 0 over an
//   empty state. Sorted by key, they are applied in steps of at most `step_writes_max`: where a
//   block has more, a step takes as many as it may.
// - The last step of block n has the height (n + 1) * 1024, step i before it (from 0) the height
//   n * 1024 + 1 + i. A block has one step at least.
// Mini-blocks cannot be told from the root, nor from what the engine keeps.

inline constexpr uint64_t heights_per_block = 1024;

struct BlockCommitmentOptions {
    /// Of leaves and nodes; fixed by the genesis.
    kernels::NodeHash hash = kernels::NodeHash::keccak256;
    /// Fixed by the chain's format; other values are for tests.
    uint64_t step_writes_max = 16384;
    /// Of the engine's files: a multiple of 4096, with room for a step. Fixed for a directory.
    uint64_t segment_bytes = uint64_t{64} << 20;
    /// That many blocks can be rolled back at least, and their states read and proven. All bits set
    /// keeps everything for ever.
    uint64_t history_blocks = 1024;
    /// As that of EngineOptions.
    uint64_t past_proof_bytes_max = uint64_t{256} << 20;
    /// What is done to sealed files meanwhile; damage that it finds is an error of commit().
    FileCareOptions care;
    /// Says whose state it is; a directory with another one is refused.
    Hash256 chain;
};

/// Opens or creates the state in `directory`, as Engine::open. What was written of a block that was
/// not committed is taken back.
Result<std::unique_ptr<BlockCommitment>>
open_block_commitment(FileSystem& fs, const std::string& directory,
                      const BlockCommitmentOptions& options, std::unique_ptr<LogWriter> writer);

/// The root that a genesis with this state has, computed in memory.
Result<Hash256> genesis_root(const StateDelta& state, kernels::NodeHash hash,
                             uint64_t step_writes_max = BlockCommitmentOptions{}.step_writes_max);

}  // namespace millrace::storage::qmdb
