// SPDX-License-Identifier: Apache-2.0
// Owns the front of the state engine: the net writes of a block in, its state root out, values and
// proofs for reading.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "kernels/backend.hpp"
#include "kernels/tree/node_hash.hpp"
#include "storage/io/file_system.hpp"
#include "storage/io/log_writer.hpp"
#include "storage/proof/state_multiproof.hpp"
#include "storage/proof/state_proof.hpp"
#include "storage/qmdb/entry_log.hpp"
#include "storage/qmdb/file_care.hpp"
#include "storage/qmdb/snapshot.hpp"

namespace millrace::storage::qmdb {

/// What the log of an engine has for its identity: the caller's, and the hash of the tree.
Hash256 log_identity(const Hash256& identity, kernels::NodeHash hash) noexcept;

/// What a start is busy with: the log in bytes, then the index in shards.
enum class RecoveryStage : uint8_t { log, index };
struct RecoveryProgress {
    RecoveryStage stage = RecoveryStage::log;
    uint64_t done = 0;
    uint64_t total = 0;
};

struct EngineOptions {
    /// The hash of leaves and nodes: part of the state root.
    kernels::NodeHash hash = kernels::NodeHash::keccak256;
    /// What hashes; changes no root.
    kernels::Backend backend = kernels::Backend::simd;
    /// prune() keeps what the state that was the newest so many blocks ago and all since need: they
    /// can be gone back to, read and proven. All bits set keeps everything for ever.
    uint64_t history_blocks = 1024;
    /// What counts as one of these, where blocks are applied in steps; at least 1.
    uint64_t heights_per_block = 1;
    /// How much of the log a proof of an earlier state may go back over, in bytes.
    uint64_t past_proof_bytes_max = uint64_t{256} << 20;
    /// Threads that a start uses, the calling one included; 0 takes all processors, at most one for
    /// each shard.
    unsigned recovery_threads = 0;
    /// Called by open() on its thread, for each file of the log and each shard of the index that is
    /// done; may be empty.
    std::function<void(const RecoveryProgress&)> progress;
    /// What is done to sealed files of the log meanwhile. Damage that it finds stops the engine.
    FileCareOptions care;
    /// The identity says whose state this is (the chain); the hash is added to it.
    EntryLogOptions log;
};

/// What one key is after the block.
struct StateWrite {
    Hash256 key;                    ///< a hash that the caller separated by domain
    std::optional<ByteView> value;  ///< at most entry_value_bytes_max; nothing removes the key
};

struct EngineStats {
    uint64_t key_count = 0;
    uint64_t serial_count = 0;     ///< entries ever appended, over all shards
    uint64_t compacted_count = 0;  ///< of these, live ones moved to the end, since the start
    uint64_t relinked_count = 0;   ///< of these, only for their link, since the start
    uint64_t index_bytes = 0;      ///< memory of the index
    uint64_t tree_bytes = 0;       ///< of ActiveBits and nodes
    uint64_t directory_bytes = 0;  ///< of the places of entries
    uint64_t block_bytes = 0;      ///< of what is known of each block in the log
    uint64_t snapshot_bytes = 0;   ///< of what only held snapshots need
    uint64_t work_bytes = 0;       ///< of the frame and the scratch memory of a block
    uint64_t log_bytes = 0;        ///< of the log on the disk, preallocated space included
    uint64_t rewritten_count = 0;  ///< files of the log that were rewritten
    uint64_t rewritten_bytes = 0;  ///< of log_bytes, those of these
    /// Of the records of entries that were live when the engine was opened.
    uint64_t opened_live_bytes = 0;

    /// All memory above.
    uint64_t memory_bytes() const noexcept {
        return index_bytes + tree_bytes + directory_bytes + block_bytes + snapshot_bytes +
               work_bytes;
    }
};

/// An authenticated map from key hashes to values on an append-only log. The state root follows
/// from the sequence of blocks and their net writes alone: not from the back end, the sizes of
/// files, or restarts. No disk is read for the root itself; the entries that a write replaces or
/// whose link it changes are read from the log.
///
/// Compaction is part of this: after its writes a block moves the oldest live entries of a shard to
/// the end while less than an eighth of the span from the oldest live entry on is alive, at most as
/// many as it appended otherwise.
///
/// Beside that, files of the log that are not written any more can be rewritten without what ended
/// before the last EngineOptions::history_blocks blocks (EngineOptions::care): that changes no
/// root.
///
/// One owning thread; other threads read from snapshot(). `ErrorCode::io` and `ErrorCode::corrupt`
/// are final, and so is any failure inside of apply() after its checks: every later call fails, and
/// what commit() acknowledged is there after a restart.
class Engine {
public:
    /// Opens or creates the state in `directory`, verifies the whole log, rebuilds index and tree
    /// and compares the root. Errors as EntryLog::open.
    static Result<std::unique_ptr<Engine>> open(FileSystem& fs, const std::string& directory,
                                                const EngineOptions& options,
                                                std::unique_ptr<LogWriter> writer);
    virtual ~Engine() = default;

    virtual const EntryLogRecovery& recovery() const noexcept = 0;

    /// Applies the net writes of a block, sorted strictly by key; writes that change nothing leave
    /// no trace. Returns the root, which get() and prove() then follow; nothing is durable before
    /// commit(). Refused without any change: `ErrorCode::invalid_input` when the writes are not
    /// sorted, a key is reserved (is_reserved_key) or a value too long, or when the height is not
    /// above the last one; `ErrorCode::conflict` while a block waits for commit();
    /// `ErrorCode::limit` above writes_max().
    virtual Result<Hash256> apply(uint64_t height, std::span<const StateWrite> writes) = 0;
    /// Makes the applied block durable with one flush; does nothing when none waits. A full disk
    /// (`ErrorCode::limit`) is not final: call it again once there is room, or take the block back.
    virtual Result<void> commit() = 0;
    /// How many writes a block may have: what they can append at worst fits a segment of the log,
    /// and the 32 bits of a place in a frame however large the segments are.
    virtual uint64_t writes_max() const noexcept = 0;

    /// The value of a key, or nothing. Verified by its checksum.
    virtual Result<std::optional<Bytes>> get(const Hash256& key) = 0;
    /// The value that a key had after the last block at or below `height`, for heights from
    /// oldest_height() to height(). `ErrorCode::not_found` for others, `ErrorCode::conflict` for an
    /// earlier one while a block waits for commit(). Reads as many entries as the key has had
    /// since; for a key that is not there now it looks into the list of removed keys of each block
    /// since (16 bytes of memory for each removal in the log).
    virtual Result<std::optional<Bytes>> get_at(const Hash256& key, uint64_t height) = 0;
    /// Proof of the value or the absence of a key under root(). `ErrorCode::invalid_input` for a
    /// reserved key, `ErrorCode::not_found` before the first block.
    virtual Result<StateProof> prove(const Hash256& key) = 0;
    /// Proof of the values or absences of many keys under root(), in memory for about 100 bytes and
    /// 17 nodes a key; reads and hashes 256 entries for each chunk that has one of the keys'
    /// entries. Refuses what check_multiproof_keys refuses; `ErrorCode::not_found` before the first
    /// block.
    virtual Result<StateMultiproof> prove(std::span<const Hash256> keys) = 0;

    /// The root after the last applied block; zero before the first.
    virtual const Hash256& root() const noexcept = 0;
    /// Height of the last applied block; 0 before the first.
    virtual uint64_t height() const noexcept = 0;

    /// The state after the last committed block, for other threads; the same object while there is
    /// no other block and somebody holds it. Takes the time to copy the pointers to index and tree:
    /// about 0.1 bytes a key. `ErrorCode::conflict` while a block waits for commit(),
    /// `ErrorCode::not_found` before the first block.
    virtual Result<std::shared_ptr<const StateSnapshot>> snapshot() = 0;

    /// Takes back every block above `height`, durably, and also one that waits for commit(): root,
    /// values and proofs are again what they were after the last block that stays, and apply() goes
    /// on from there. height() is that of the last block that stays, 0 and an empty state if there
    /// is none. A crash leaves all of the blocks or none of them. `ErrorCode::not_found` without
    /// any change when `height` is below oldest_height() or above height(). A full disk
    /// (`ErrorCode::limit`) is not final: call it again once there is room; until then the engine
    /// refuses blocks with `ErrorCode::conflict`.
    virtual Result<void> rollback(uint64_t height) = 0;
    /// The lowest height that rollback() accepts: what prune() or a rewriting removed cannot be
    /// gone back to. It rises in prune() and in commit().
    virtual uint64_t oldest_height() const noexcept = 0;
    /// The root after the last block at or below `height`; zero before the first one.
    /// `ErrorCode::not_found` above height() and for blocks that are no longer in the log.
    virtual Result<Hash256> root_at(uint64_t height) const = 0;

    /// Reads every entry of the chunks that the tree has and hashes them anew: checksums, places
    /// and the roots of chunks, which a start takes from the log. Returns the count of entries.
    /// `ErrorCode::corrupt` names the entries, the file and the offset; that is not final.
    virtual Result<uint64_t> verify_chunks() = 0;

    /// Removes files of the log with nothing in them that the last EngineOptions::history_blocks
    /// blocks need; returns how many.
    virtual Result<size_t> prune() = 0;
    virtual EngineStats stats() const noexcept = 0;
};

}  // namespace millrace::storage::qmdb
