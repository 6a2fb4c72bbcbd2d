// SPDX-License-Identifier: Apache-2.0
// Owns the private state of the ledger, shared by its running half and its recovery.
#pragma once

#include <atomic>
#include <deque>
#include <iterator>
#include <thread>

#include "host/base/clock.hpp"
#include "host/sequencer/ledger/commitment_kind.hpp"
#include "host/sequencer/ledger/ledger.hpp"
#include "host/sequencer/ledger/mini_block_record.hpp"
#include "host/sequencer/ledger/mpt_commitment.hpp"
#include "host/sequencer/ledger/offload_hash.hpp"
#include "host/sequencer/ledger/room_wait.hpp"
#include "storage/qmdb/file_care.hpp"

namespace millrace::sequencer {

struct Ledger::Impl {
    Impl(storage::FileSystem& file_system, const LedgerOptions& o, const Genesis& g,
         const evm::PrecompileSet& p)
        : fs(file_system), options(o), genesis(g), precompiles(p), trie_hash(o.offload) {}

    struct Pending {
        uint64_t sequence;
        std::function<Result<void>(uint64_t)> publish;
    };
    /// What is needed of a sealed block to checkpoint it or to return to it.
    struct SealedNote {
        uint64_t number;
        Hash256 hash;
        Hash256 state_root;
        uint64_t sequence;
        uint64_t next_mini_block;
        Hash256 digest;
    };
    /// A block between its close and its seal.
    struct Closed {
        uint64_t number;
        uint64_t next_mini_block;
        Hash256 digest;
        // From the time on when its record is published:
        uint64_t sequence = 0;
        std::shared_ptr<const storage::StateSnapshot> state;  ///< for a checkpoint
    };
    struct Cut {
        uint64_t next_mini_block;
        Hash256 digest;
    };
    static constexpr size_t sealed_notes_max = 1 << 20;

    /// `post_values` are the record's; null where the commitment does not take them as they are.
    Result<uint64_t> append(const storage::Record& record,
                            std::shared_ptr<const storage::StateDelta> post_values,
                            std::function<Result<void>(uint64_t)> publish);
    /// As above, for a record in its encoded form that leaves `post_values` behind.
    Result<uint64_t> append(storage::RecordKind kind, ByteView payload,
                            std::shared_ptr<const storage::StateDelta> post_values,
                            std::function<Result<void>(uint64_t)> publish);
    Result<void> flush();
    /// Takes the present state for that of a closed block.
    std::shared_ptr<Closed> close_now(uint64_t number) const;
    void note_sealed(const SealedBlock& block, const Closed& closed);
    Cut cut_after(uint64_t block_number) const;
    void forget_after(uint64_t block_number);
    /// Tells the builder the hashes up to block `last` that BLOCKHASH can ask for next.
    void load_block_hashes(BlockBuilder& builder, uint64_t last) const;

    /// Fills everything below from the data directory.
    Result<void> recover(Ledger& self);
    /// Makes the commitment and brings it to the state that was loaded, or says why it cannot.
    Result<void> open_commitment(const CommitmentKind& kind,
                                 const storage::CheckpointMetadata& from);
    std::unique_ptr<storage::LogWriter> make_writer() const;

    storage::FileSystem& fs;
    LedgerOptions options;
    const Genesis& genesis;
    const evm::PrecompileSet& precompiles;
    OffloadHashBatch trie_hash;  ///< of the tries in a header
    SystemClock clock;
    metrics::Histogram* flush_seconds = nullptr;
    metrics::Histogram* root_seconds = nullptr;
    metrics::Histogram* state_commit_seconds = nullptr;
    metrics::Gauge* state_oldest_block = nullptr;
    std::shared_ptr<storage::qmdb::FileCareFigures> state_files;

    std::optional<storage::DataDir> datadir;
    std::unique_ptr<storage::StateStore> state;
    std::unique_ptr<storage::BlockCommitment> commitment;  ///< the sealer's after recovery
    std::unique_ptr<Sealer> sealer;
    CommitmentKind commitment_kind;
    AccountProver* prover = nullptr;  ///< of the commitment, for the sealer's thread
    std::atomic<unsigned> proofs_under_way{0};
    std::unique_ptr<storage::ChainStore> chain;
    std::unique_ptr<storage::Wal> wal;
    std::unique_ptr<ChainView> view;
    MiniBlockRecorder recorder;
    Bytes encoded;  ///< a record; used again
    RecoveryReport report;

    uint64_t epoch = 1;
    uint64_t next_mini_block = 1;
    Hash256 last_digest;
    std::deque<SealedNote> sealed;
    std::shared_ptr<const storage::StateSnapshot> sealed_state;  ///< after the newest of them
    std::shared_ptr<Closed> closed;                              ///< null when all is sealed
    /// After the newest block whose close was published, or that was gone back to.
    std::shared_ptr<const storage::StateSnapshot> closed_state;
    std::vector<Pending> pending;      ///< appended
    std::deque<Pending> flushed;       ///< durable, to be published in order
    uint64_t checkpoint_sequence = 0;  ///< of the newest checkpoint

    std::atomic<bool> ending{false};
    /// Relaxed: it stands alone.
    RoomWait room{[this] { return ending.load(std::memory_order_relaxed); }};
    std::atomic<bool> background_busy{false};
    std::jthread background;  ///< checkpoint being written; joined before the rest goes
    /// Prepares the log's next segment ahead of time, so that no flush waits for its allocation.
    std::jthread housekeeper;
};

}  // namespace millrace::sequencer
