// SPDX-License-Identifier: Apache-2.0
// Owns checkpoints: the whole state of one version in a checksummed file, from which a start
// continues with the log.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "storage/io/file_system.hpp"
#include "storage/state/state_store.hpp"

namespace millrace::storage {

/// What a checkpoint stands for.
struct CheckpointMetadata {
    uint64_t sequence = 0;  ///< last log record applied; the version of the state
    uint64_t mini_block_number = 0;
    Hash256 mini_block_digest;  ///< of that mini-block: the parent of the next one
    uint64_t block_number = 0;
    Hash256 block_hash;
    Hash256 state_root;  ///< of exactly this state: that of a closed block
    uint64_t epoch = 0;
    bool operator==(const CheckpointMetadata&) const = default;
};

/// Checkpoints of this many newest sequence numbers are kept.
inline constexpr size_t checkpoints_kept = 2;

/// Writes a new checkpoint file into `directory` (temporary file, sync, rename, directory sync) and
/// then removes all but the newest `checkpoints_kept`. The snapshot's version must equal
/// metadata.sequence, which must be durable in the log, and the chain store must have been synced.
/// May run on any thread beside the writer of the store.
Result<void> write_checkpoint(FileSystem& fs, const std::string& directory,
                              const StateSnapshot& snapshot, const CheckpointMetadata& metadata);

struct LoadedCheckpoint {
    CheckpointMetadata metadata;
    /// Files that were newer but damaged, with the reason; say so in the log.
    std::string warning;
};

/// Loads the newest whole checkpoint into the empty `store`; none when there is no file at all.
/// Each file is checked completely before the store is touched. `ErrorCode::corrupt` when files are
/// there and none is whole. The caller recomputes the root and compares it with the metadata.
Result<std::optional<LoadedCheckpoint>>
load_checkpoint(FileSystem& fs, const std::string& directory, StateStore& store);

/// A checkpoint file with its metadata, or what is wrong with it.
struct InspectedCheckpoint {
    std::string path;
    Result<CheckpointMetadata> metadata;
};
/// Reads every checkpoint file completely, the oldest one first, and changes nothing.
Result<std::vector<InspectedCheckpoint>> inspect_checkpoints(FileSystem& fs,
                                                             const std::string& directory);
/// Loads one whole checkpoint file into the empty `store`; the caller compares the root.
Result<CheckpointMetadata> load_checkpoint_file(FileSystem& fs, const std::string& path,
                                                StateStore& store);

/// Lowest sequence number among the checkpoints kept: the log must be kept above it, so that the
/// older checkpoint remains a way to start. 0 when there is none.
Result<uint64_t> oldest_checkpoint_sequence(FileSystem& fs, const std::string& directory);

}  // namespace millrace::storage
