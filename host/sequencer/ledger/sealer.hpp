// SPDX-License-Identifier: Apache-2.0
// Owns the thread that computes the roots and the header of closed blocks.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <mutex>
#include <thread>
#include <variant>
#include <vector>

#include "evm/trie/hash_batch.hpp"
#include "host/base/metrics.hpp"
#include "host/base/ring.hpp"
#include "host/sequencer/ledger/room_wait.hpp"
#include "host/sequencer/memory_guard.hpp"
#include "host/sequencer/types.hpp"
#include "storage/chain/chain_store.hpp"
#include "storage/state/block_commitment.hpp"

namespace millrace::sequencer {

/// A block with its header, and the form in which the chain data keeps it. Immutable and shared.
struct FinishedBlock {
    SealedPtr block;
    storage::StoredBlockPtr stored;
};
using FinishedPtr = std::shared_ptr<const FinishedBlock>;
/// An error is that of the commitment, which is final then.
using FinishedDone = std::function<void(const Result<FinishedPtr>&)>;

/// Puts the header on a closed block over this state root. `hash` hashes the tries of transactions
/// and receipts.
FinishedPtr finish_block(ClosedBlock block, const Hash256& state_root, evm::HashBatch& hash);

/// Owns the state commitment: takes every change of the state in order, computes the root when a
/// block is closed, while the next block's changes wait in its ring, and makes it durable when the
/// log has its seal. One thread feeds it; its own is called `mr-root`.
///
/// A full disk is waited for, until the node ends; any other failure of the commitment is final,
/// and nothing of what follows it is done.
class Sealer {
public:
    struct Options {
        /// Called before each root, on the sealer's thread (tests: a slow root); may be empty.
        std::function<void()> before_root;
        metrics::Histogram* root_seconds = nullptr;
        metrics::Histogram* commit_seconds = nullptr;
        /// The first block whose state is kept.
        metrics::Gauge* oldest_block = nullptr;
        /// How long states() are kept for the next callers while blocks come: the commitment copies
        /// what it changes meanwhile.
        int64_t states_kept_us = 10'000'000;
        /// Whether the node ends: room on the disk is not waited for then. Any thread.
        std::function<bool()> ending;
        /// Is told what the commitment keeps in memory; may be null.
        MemoryGuard* memory_guard = nullptr;
    };
    /// `hash` is used by the sealer's thread only and outlives it.
    Sealer(std::unique_ptr<storage::BlockCommitment> commitment, evm::HashBatch& hash,
           Options options);
    /// Gives up what has not begun; a root under way is waited for.
    ~Sealer();
    Sealer(const Sealer&) = delete;
    Sealer& operator=(const Sealer&) = delete;

    // --- The feeding thread. All of them wait while the ring is full, which holds back the log and
    // --- with it execution.
    void apply(std::shared_ptr<const storage::StateDelta> delta);
    /// The state is now the one after `block`; `before` is that after the block before. `done` is
    /// called on the sealer's thread; not at all when the sealer goes first.
    void close(ClosedBlock block, std::shared_ptr<const storage::StateSnapshot> before,
               FinishedDone done);
    /// The log durably has the seal of the block that was closed last.
    void commit();
    /// Goes back to the state after block `number`; what was closed was committed. Returns when it
    /// is done.
    Result<void> roll_back(uint64_t number, std::shared_ptr<const storage::StateDelta> delta);
    /// Gives back disk space after a checkpoint.
    void prune();
    /// Waits until everything given so far is done with, callbacks too.
    void settle();
    /// Changes that the ring has room for (sequencer note: some seconds of mini-blocks), and about
    /// how many are in it. Any thread.
    static constexpr size_t capacity = 256;
    size_t waiting() const noexcept { return inbox_.size_approx(); }

    // --- Any thread ---
    /// Whether a start needs no change of the state up to block `number` for the commitment any
    /// more: the commitment has the block durably, or it is loaded anew at each start.
    bool has_durably(uint64_t number) const noexcept;
    /// The first block that roll_back() can go to, as of the last settle().
    uint64_t oldest_block() const noexcept { return commitment_->oldest_block(); }
    bool disk_full() const noexcept { return room_.full(); }
    /// States that go up to `block`, which is sealed, or beyond; waits until it is committed, at
    /// most some seconds. `ErrorCode::unavailable` where there are none or the sealer goes,
    /// `timeout`, `limit` when the ring is full, `conflict` when the block was taken back; and what
    /// went wrong for good.
    Result<storage::CommittedStatesPtr> states(uint64_t block);
    /// Runs `work` on the sealer's thread after what was given before; false when the ring is full.
    /// It is destroyed without having run when the sealer goes first.
    [[nodiscard]] bool try_run(std::function<void()> work);
    /// What went wrong for good, if anything did.
    Result<void> status() const;

private:
    struct Close {
        ClosedBlock block;
        std::shared_ptr<const storage::StateSnapshot> before;
        FinishedDone done;
    };
    struct Commit {};
    struct Prune {};
    struct RollBack {
        uint64_t number;
        std::shared_ptr<const storage::StateDelta> delta;
        std::promise<Result<void>> done;
    };
    using States = Result<storage::CommittedStatesPtr>;
    struct AskStates {
        std::promise<States> promise;
    };
    using Message = std::variant<std::shared_ptr<const storage::StateDelta>, Close, Commit, Prune,
                                 RollBack, std::promise<void>, std::function<void()>, AskStates>;
    void push(Message message);
    void run();
    void handle(std::shared_ptr<const storage::StateDelta>& delta);
    void handle(Close& close);
    void handle(Commit& commit);
    void handle(Prune& prune);
    void handle(RollBack& back);
    void handle(std::promise<void>& reached);
    void handle(std::function<void()>& work);
    void handle(AskStates& ask);
    void answer_asks();
    void drop_states(int64_t older_than_us);
    void note_committed();
    /// Keeps the first failure.
    Result<void> keep(Result<void> r);

    std::unique_ptr<storage::BlockCommitment> commitment_;
    evm::HashBatch& hash_;
    Options options_;
    RoomWait room_;
    /// All blocks below it survive the end of the process; all bits set where none needs to.
    std::atomic<uint64_t> durable_end_{0};
    std::atomic<bool> failed_{false};
    Error error_;                  ///< written before failed_ is set
    std::vector<AskStates> asks_;  ///< wait for a commit; of the sealer's thread
    std::mutex states_mutex_;      // guards the three below
    storage::CommittedStatesPtr states_;
    int64_t states_since_us_ = 0;
    std::shared_future<States> asked_;  ///< valid while an ask is under way
    Mailbox<Message> inbox_;
    std::atomic<bool> stopping_{false};
    std::jthread thread_;
};

}  // namespace millrace::sequencer
