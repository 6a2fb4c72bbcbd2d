// SPDX-License-Identifier: Apache-2.0
// Owns everything durable of a sequencer (log, state, commitment, blocks) and its recovery.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "evm/core/precompile_set.hpp"
#include "evm/trie/proof.hpp"
#include "host/base/metrics.hpp"
#include "host/sequencer/chain_view.hpp"
#include "host/sequencer/executor/block_builder.hpp"
#include "host/sequencer/genesis.hpp"
#include "host/sequencer/ledger/commitment_kind.hpp"
#include "host/sequencer/ledger/sealer.hpp"
#include "kernels/offload/engine.hpp"
#include "storage/chain/chain_store.hpp"
#include "storage/datadir.hpp"
#include "storage/state/checkpoint.hpp"
#include "storage/state/commitment.hpp"
#include "storage/wal/wal.hpp"

namespace millrace::sequencer {

struct LedgerOptions {
    std::string path;  ///< the data directory
    /// What makes state roots: a name of ledger/commitment_kind.hpp. Part of the directory.
    std::string commitment = std::string(default_commitment);
    /// False hands the log to the system without waiting for the disk: receipts may then be lost
    /// with the machine, though not with the process.
    bool durable = true;
    /// Versions of the state that stay readable; what they changed is in memory.
    uint64_t history_records = 100'000;
    uint64_t checkpoint_every_records = 100'000;  ///< of log; 0: only on a clean end
    /// Prepares log segments ahead of time on a thread of its own; off where I/O must be counted.
    bool housekeeping = true;
    uint64_t wal_segment_bytes = uint64_t{64} << 20;
    uint64_t wal_record_bytes_max = uint64_t{32} << 20;     ///< at most a segment less 12 KiB
    uint64_t stored_block_bytes_max = uint64_t{256} << 20;  ///< of a sealed block in the chain data
    /// Of the state engine's files. Part of the directory.
    uint64_t state_segment_bytes = uint64_t{64} << 20;
    /// The states after the last so many blocks stay on the disk, where the state engine makes the
    /// roots: they can be read, proven and gone back to. All bits set keeps everything for ever.
    uint64_t state_history_blocks = 1024;
    /// How much of the state engine's log a proof at an old block may go back over.
    uint64_t past_proof_bytes_max = uint64_t{256} << 20;
    /// How long committed_states() are kept for the next callers (Sealer::Options).
    int64_t states_kept_us = 10'000'000;
    /// Whether the state engine's sealed files are rewritten without what ended before those
    /// blocks, and how fast they are read to be checked, 0 for never. Both only with housekeeping.
    bool state_compaction = true;
    uint64_t state_scrub_bytes_per_s = uint64_t{8} << 20;
    /// Part of the state root where the state engine makes it; the default is the chain's.
    uint64_t state_step_writes_max = 16384;
    /// Writes the log by plain calls; needed on file systems that are not the operating system's.
    bool plain_log_writer = false;
    /// Hashes tries and recovers the senders of what is executed again; outlives the ledger. Null
    /// means the calling thread's own kernels.
    kernels::OffloadEngine* offload = nullptr;
    /// Is told after each block what the state commitment keeps in memory; outlives the ledger. May
    /// be null.
    MemoryGuard* memory_guard = nullptr;
    /// Called before each state root, on the thread that computes it (tests); may be empty.
    std::function<void()> before_root;
};

/// What recovery found and did; for the start-up log.
struct RecoveryReport {
    bool created = false;
    uint64_t checkpoint_block = 0;
    uint64_t records_replayed = 0;
    uint64_t transactions_reexecuted = 0;
    uint64_t blocks_restored = 0;
    uint64_t blocks_recommitted = 0;  ///< to the state engine, which lacked them
    bool sealed_open_block = false;
    uint64_t torn_bytes = 0;
    std::string warning;
    std::string log_writer;  ///< kind and reason
};

/// The durable side of the sequencer. After open() one thread, the committer, calls the rest; what
/// others read is in view(). Appended records become visible only when flush() has made them
/// durable. An `ErrorCode::io` error is final; `ErrorCode::limit` means that the disk is full and
/// flush() may be repeated.
///
/// A block is closed and then sealed. Between the two its roots are computed on a thread of the
/// ledger's own, and the next block may be opened and appended to: its opening, mini-blocks, and
/// then the seal of the one before. At most one block is closed and not sealed.
class Ledger {
public:
    /// Opens or creates the data directory, replays the log, re-executes blocks that the chain data
    /// lacks, proves the state by every seal's root, and seals what was closed or open.
    static Result<std::unique_ptr<Ledger>>
    open(storage::FileSystem& fs, const LedgerOptions& options, const Genesis& genesis,
         const evm::PrecompileSet& precompiles, metrics::Registry& metrics);
    ~Ledger();

    ChainView& view() noexcept;
    const RecoveryReport& recovery() const noexcept;
    storage::StateStore& state() noexcept;
    uint64_t next_mini_block_number() const noexcept;
    uint64_t epoch() const noexcept;
    /// Hashes of the last 256 blocks, ascending, for BLOCKHASH.
    std::vector<std::pair<uint64_t, Hash256>> recent_block_hashes() const;

    // --- Any thread ---
    /// A seal or a revert waits for room on the disk.
    bool disk_full() const noexcept;
    /// Changes that wait for the thread of the roots, at most Sealer::capacity. Any thread.
    size_t waiting_for_root() const noexcept;
    /// From now on a full disk is not waited for but an error of the step that finds it.
    void end_waiting() noexcept;

    /// Whether the commitment has proofs of accounts.
    bool proves_accounts() const noexcept;
    /// Proof of an account and slots of it under the state root of a sealed block, one of the last
    /// few. Waits for the thread that owns the commitment, but not longer than a few seconds.
    /// `ErrorCode::unavailable` when the trie or the state of the block is no longer at hand,
    /// `limit` when too many ask at a time, `timeout` when the roots of blocks take too long.
    Result<evm::Proof> prove_account(const SealedBlock& block, const Address& address,
                                     std::vector<U256> slots);

    const CommitmentKind& commitment_kind() const noexcept;
    /// The states after sealed blocks up to `block`, or a later one, where the state engine makes
    /// the roots; as Sealer::states. Any thread; let go before the ledger.
    Result<storage::CommittedStatesPtr> committed_states(uint64_t block);

    // --- Appending; nothing is visible before flush() ---
    Result<void> append_open(const OpenBlock& open, const storage::StateDelta& post_values);
    /// With what its transactions read and wrote, for the access list in its record.
    Result<void> append_mini_block(const MiniBlockPtr& mini_block, const AccessLog& accesses);
    Result<void> append_dev_edit(std::string_view kind, const storage::StateDelta& post_values);
    /// Makes the appended records durable, applies them to the state and publishes them, in order.
    Result<void> flush();

    /// Closes a block whose mini-blocks were appended and has its header computed. `done` is called
    /// with it on another thread, whether or not anything of the block is durable by then; never
    /// when this fails or the ledger goes first. Takes from `block` only when it succeeds.
    Result<void> append_close(ClosedBlock& block, FinishedDone done);
    /// Seals the block that was closed last: appends, flushes, publishes. `opening` is what
    /// BlockBuilder::parent_sealed() gave for the next block; empty where that is not open yet.
    Result<void> append_seal(const FinishedPtr& block, const storage::StateDelta& opening);
    /// Both, one after the other.
    Result<SealedPtr> seal(ClosedBlock block);
    /// Waits until the `done` of each append_close() has returned.
    void settle();
    /// Undoes every block after `block_number`, durably, under a new fencing epoch.
    /// `ErrorCode::not_found`, `unavailable` and `invalid_input` mean that nothing was changed;
    /// `limit` that the end came while the disk was full: the log may hold the revert, so nothing
    /// may be appended any more.
    Result<SealedPtr> revert_to(uint64_t block_number);

    /// Writes a checkpoint of the state after the last sealed block, if one is due or `now`; in the
    /// background unless `now`. What followed that block meanwhile is not in it.
    Result<void> checkpoint(bool now);

    struct Impl;  ///< shared with the recovery of ledger/recovery.cpp only

private:
    explicit Ledger(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::sequencer
