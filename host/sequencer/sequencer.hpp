// SPDX-License-Identifier: Apache-2.0
// Owns the sequencer: ingress, pool, execution, mini-blocks every few milliseconds, blocks every
// second, and the threads behind them.
#pragma once

#include <atomic>
#include <functional>
#include <future>
#include <memory>
#include <thread>
#include <unordered_set>

#include "evm/core/precompile_set.hpp"
#include "evm/core/transition.hpp"
#include "host/base/clock.hpp"
#include "host/base/metrics.hpp"
#include "host/base/ring.hpp"
#include "host/sequencer/disk_guard.hpp"
#include "host/sequencer/executor/executor.hpp"
#include "host/sequencer/executor/shared_code.hpp"
#include "host/sequencer/ingress_gate.hpp"
#include "host/sequencer/ledger/ledger.hpp"
#include "host/sequencer/memory_guard.hpp"
#include "host/sequencer/pool/pool.hpp"
#include "host/sequencer/pool/tip_bucket.hpp"
#include "host/sequencer/submission_order.hpp"
#include "kernels/offload/engine.hpp"

namespace millrace::sequencer {

struct SequencerOptions {
    /// The time between two mini-blocks that are not full; after a pause the next one comes sooner.
    int64_t mini_block_us = 10'000;
    int64_t block_us = 1'000'000;
    size_t mini_block_transactions_max = 4096;  ///< at most sync::transactions_max
    /// What a mini-block takes in the log, about: it is cut before a transaction that would take it
    /// beyond this. One alone may be larger.
    size_t mini_block_bytes_max = size_t{8} << 20;
    /// A block executes nothing more when one transaction could take it beyond this, in wire forms
    /// and receipts; at most half of what the chain data takes as one block.
    size_t block_bytes_max = size_t{128} << 20;
    size_t transaction_bytes_max = 128 * 1024;
    /// Transactions between their arrival and the pool, and their bytes in wire form; more are
    /// refused with a retry hint. So is what the pool, with these in it, would have no room for.
    size_t ingress_max = 64'000;
    size_t ingress_bytes_max = size_t{64} << 20;
    size_t cells_max = 8'000'000;
    /// Threads that execute transactions at the same time, the sequencer's own among them; at least
    /// 1. Several may put transactions into another order; whatever the order, the results are
    /// those of executing them one after the other in it.
    uint32_t execution_workers = 1;
    PoolLimits pool;
    /// Accepts transactions without replay protection, as old deployment scripts send them.
    bool allow_unprotected = false;
    /// While it says that the disk is low, no transactions are taken; outlives the sequencer. May
    /// be null.
    const DiskGuard* disk_guard = nullptr;
    /// The same of the memory of the state.
    const MemoryGuard* memory_guard = nullptr;
    /// Runs compiled code (evm/jit); outlives the sequencer. Null for the interpreter alone.
    evm::NativeTier* native_tier = nullptr;
};

/// Why a transaction was not taken.
struct Refusal {
    enum class Kind : uint8_t {
        malformed,
        rule,
        pool,
        fee_below_floor,
        too_large,
        unprotected,
        deposit,
        overloaded,
        disk_full,
        memory_full,
        stopping
    };
    Kind kind = Kind::malformed;
    evm::TxError rule{};  ///< for `rule`
    PoolRefusal pool{};   ///< for `pool`
    std::string detail;   ///< numbers that help, may be empty
    /// For `overloaded` and a full pool: when to try again.
    uint32_t retry_after_ms = 0;
};

struct Admission {
    Hash256 hash;
    bool executable = true;
    uint64_t expected_nonce = 0;
};
using AdmissionDone = std::function<void(std::expected<Admission, Refusal>)>;

/// Takes what happens in the pool, on the sequencer's thread. Implementations only queue.
class PoolObserver {
public:
    virtual ~PoolObserver() = default;
    virtual void on_executable(std::span<const AdmittedPtr> transactions) = 0;
    /// Left the pool without being executed.
    virtual void on_dropped(const AdmittedPtr& transaction, std::string_view reason) = 0;
    /// Whether on_executed() is to be called; asked before a few transactions are executed.
    virtual bool wants_executed() const noexcept { return false; }
    /// Executed in this block, in this order after those told before, and not durable yet: they
    /// become so only with their mini-block, which is told to observers of the chain.
    virtual void on_executed(const OpenBlock& /*block*/,
                             const std::vector<ExecutedPtr>& /*transactions*/) {}
};

/// Threads: `mr-sequencer` owns pool, the merged state of the cells and the open block, and
/// executes, with the help of `mr-exec-N`; `mr-commit` owns the ledger, whose `mr-root` computes
/// the headers of closed blocks; recovery of senders runs on the offload engine.
///
/// A block opens as soon as its parent is closed. Until that has its hash, a transaction that asks
/// for it is put aside; nobody else waits. A block stays open beyond its time while its parent is
/// not sealed, or transactions that waited for it are still to be executed.
class Sequencer {
public:
    /// All references outlive the sequencer. `on_fatal` is called once, from `mr-commit`, when the
    /// pipeline cannot go on (the log cannot be written, a block cannot be sealed): the process
    /// must end.
    Sequencer(const SequencerOptions& options, const Genesis& genesis,
              const evm::PrecompileSet& precompiles, Ledger& ledger,
              kernels::OffloadEngine& offload, metrics::Registry& metrics,
              std::function<void(const Error&)> on_fatal);
    /// Stops when still running.
    ~Sequencer();

    void start();
    /// Begins stop() without waiting: from now on transactions and commands are refused, and a
    /// command under way ends soon. Any thread.
    void begin_stop() noexcept;
    /// Stops intake, executes nothing more, seals the open block, makes everything durable, writes
    /// a checkpoint. The offload engine must have been shut down before, so that no admission is
    /// under way.
    void stop();

    // --- Any thread ---
    /// Decodes, checks and hands on; `done` runs exactly once, on any thread. What one thread, or
    /// several one after the other, submits of one sender is admitted in that order, though
    /// recovery works on several batches at a time: a transaction ahead of its sender's next nonce
    /// waits for those submitted before it, and nothing else does.
    void submit(Bytes raw, AdmissionDone done);
    /// As submit for a transaction that was checked and whose sender is certain.
    void submit_admitted(AdmittedPtr tx, AdmissionDone done);
    /// The two halves of submit: a place in the order of submission, and what arrives there later;
    /// each place is used once, by either. Not after stop().
    struct Place {
        uint64_t number = 0;
        size_t bytes = 0;
        IngressGate::Lane lane = IngressGate::Lane::ordinary;
    };
    std::expected<Place, Refusal> take_place(size_t bytes, IngressGate::Lane lane);
    void arrive(Place place, AdmittedPtr tx, AdmissionDone done);
    /// Nothing will arrive there.
    void give_up(Place place);
    /// As submit for an unsigned transaction of an account that a development node impersonates.
    void submit_impersonated(evm::Transaction tx, const Address& sender, AdmissionDone done);
    const PoolIndex& pool_index() const noexcept { return pool_index_; }
    /// No transactions are taken: the disk is full, or low as the guard has it.
    bool disk_full() const noexcept {
        return disk_full_.load(std::memory_order_relaxed) || ledger_.disk_full() || disk_low();
    }
    bool disk_low() const noexcept {
        return options_.disk_guard != nullptr && options_.disk_guard->low();
    }
    /// No transactions are taken: the state has reached its limit of memory.
    bool memory_full() const noexcept {
        return options_.memory_guard != nullptr && options_.memory_guard->full();
    }
    bool running() const noexcept { return running_.load(std::memory_order_relaxed); }
    /// Steady time of the last sealed block, in microseconds.
    int64_t last_seal_us() const noexcept { return last_seal_us_.load(std::memory_order_relaxed); }

    /// How many transactions are executable and how many wait behind a missing nonce; does not
    /// wait.
    std::pair<size_t, size_t> pool_counts() const noexcept {
        return {pool_index_.executable_count(), pool_index_.queued_count()};
    }
    struct PoolContent {
        std::vector<AdmittedPtr> executable;
        std::vector<AdmittedPtr> queued;
    };
    Result<PoolContent> pool_content(const std::optional<Address>& sender = {});
    /// As the ledger's, whose commitment it is.
    bool proves_accounts() const noexcept { return ledger_.proves_accounts(); }
    Result<evm::Proof> prove_account(const SealedBlock& block, const Address& address,
                                     std::vector<U256> slots) {
        return ledger_.prove_account(block, address, std::move(slots));
    }
    const CommitmentKind& commitment_kind() const noexcept { return ledger_.commitment_kind(); }
    Result<storage::CommittedStatesPtr> committed_states(uint64_t block) {
        return ledger_.committed_states(block);
    }
    /// The code that execution has analysed; thread-safe.
    SharedCodeStore& shared_code() noexcept { return shared_code_; }
    void set_pool_observer(PoolObserver* observer) {
        pool_observer_ = observer;
    }  ///< before start()

    // --- Development nodes; any thread but the pipeline's, block until durable ---
    Result<uint64_t> dev_snapshot();
    Result<bool> dev_revert(uint64_t id);
    Result<uint64_t> dev_mine(uint64_t count, std::optional<uint64_t> timestamp_s,
                              uint64_t interval_s);
    Result<uint64_t> dev_increase_time(uint64_t seconds);
    Result<void> dev_set_next_timestamp(uint64_t timestamp_s);
    using Edit = std::function<Result<void>(CellTable&)>;
    Result<void> dev_edit(std::string_view kind, Edit edit);

private:
    struct Admit {
        Place place;
        AdmittedPtr tx;  ///< null for a place that was given up
        AdmissionDone done;
    };
    struct Command {
        std::function<void()> run;
    };
    using Message = std::variant<Admit, Command>;
    enum class OnFailure : uint8_t {
        report,             ///< the caller deals with it; only a failing disk ends the node
        end_node,           ///< there is no way on: any failure ends the node
        repeat_while_full,  ///< as end_node, but a full disk is waited for
    };
    struct Commit {
        std::function<Result<void>(Ledger&)> run;
        OnFailure on_failure = OnFailure::report;
        std::function<void(Result<void>)> done;  ///< after the flush, may be empty
    };

    void run_sequencer();
    void run_committer();
    /// The next message; of those with priority three before each other one.
    std::optional<Message> next_message() noexcept;
    void handle(Message message);
    /// What it would pay per gas over the base fee of the open block.
    U256 offered_tip(const evm::Transaction& tx) const noexcept;
    void take_arrival(Admit a);
    /// Whether it is to wait for submissions before it: these may bring the nonces that it lacks.
    bool is_early(const Admit& a);
    /// Admits what was held of a sender and has become executable.
    void release_followers(const Address& sender);
    /// One in so many transactions is timed on its way through the stages.
    static constexpr uint64_t timed_one_in = 16;
    void begin_timing(const Place& place, const AdmittedTransaction& tx) const noexcept;
    /// Of a transaction that leaves a stage, and enters the next one.
    void end_stage(metrics::StageFigures& stage, const AdmittedTransaction& tx) const noexcept;
    void publish_depths() noexcept;
    void admit(Admit a);
    void execute_ready(int64_t until_us);
    /// Has the workers execute everything that is ready.
    void execute_all_ready();
    /// Gives ready transactions to the executor, as many as it takes.
    void dispatch_ready();
    /// Transactions that waited for the parent's hash can be dispatched now, if there is room.
    bool has_returned() const noexcept {
        return (!returned_.empty() || !returned_long_.empty()) && !builder_.awaits_parent();
    }
    bool can_dispatch_returned() const noexcept;
    /// Dispatches them, or gives them back to the pool where the block has no room for them.
    /// False when there was nothing that it could do.
    bool dispatch_returned();
    bool dispatch_front(std::deque<AdmittedPtr>& list);
    void set_aside_for(const AdmittedTransaction& tx) noexcept;
    void release_set_aside(const AdmittedTransaction& tx) noexcept;
    /// Takes what was executed, until there is nothing, the mini-block is full, or the time has
    /// come. False when there was nothing.
    bool collect(int64_t until_us);
    void settle(Completion& completion);
    /// As settle, and cuts when the mini-block is full.
    void settle_and_cut(Completion& completion);
    void note_executed(const ExecutedPtr& executed, uint64_t execute_ns);
    void tell_executed();
    void note_rejected(const AdmittedPtr& tx, evm::TxError error);
    /// Waits until the workers have done all that was given to them.
    void drain();
    /// Between these two the workers stand still and this thread may change the cells. What is
    /// under way runs again afterwards.
    void pause_execution();
    void resume_execution();
    bool mini_block_full() const noexcept;
    /// Whether a mini-block is to be cut when its time has come: not while the log has not finished
    /// those before. They would only wait, and what comes meanwhile behind them; in one that is
    /// cut later it waits for one flush.
    bool log_keeps_up() const noexcept;
    /// While the roots are far behind, only half of the usual gas goes into a mini-block, and
    /// nothing where the log would have to wait for them (sequencer note, pipeline 7).
    bool held_back() const noexcept;
    size_t waiting_for_root() const noexcept;
    void cut();
    /// Closes the open block, whose parent must be sealed, and has its seal begun.
    Result<void> close_block();
    /// Whether the open block can be closed without waiting for anything.
    bool can_close() const noexcept { return !sealing_ && late_.empty(); }
    /// Closes the block when its time has come and it can be, and opens the next one.
    Result<void> turn_block();
    bool seal_ready() const;
    /// Waits for the header of the closed block, if there is one, gives its hash to the open block
    /// and has the seal written.
    Result<void> take_seal();
    /// Closes the open block and waits until its seal is durable.
    Result<void> seal_block();
    Result<void> open_block();
    void push_commit(Commit commit);
    /// Runs `f` on the sequencer's thread and waits for its result.
    template <class F>
    auto on_sequencer(F f) -> decltype(f());
    /// Waits for what the committer promised; an error when the pipeline ends before.
    template <class R>
    Result<R> committed(std::future<R>& future);
    /// Waits until everything pushed so far is durable.
    Result<void> commit_and_wait(std::function<Result<void>(Ledger&)> run,
                                 OnFailure on_failure = OnFailure::report);
    /// Ends the pipeline: nothing is executed or appended any more.
    void fail_pipeline() noexcept;
    /// The next transaction for the open block, null when there is none or no room.
    AdmittedPtr next_ready();
    /// What a transaction that is under way may add to its block.
    struct SetAside {
        uint64_t gas = 0;
        size_t bytes = 0;
    };
    static SetAside at_most(const AdmittedTransaction& tx) noexcept;
    /// An account's nonce moved: transactions that this leaves behind are dropped.
    void account_moved(const Address& sender, uint64_t nonce);
    void drop_all(const std::vector<AdmittedPtr>& transactions, std::string_view reason);
    /// Decodes and checks what needs neither sender nor state.
    std::expected<std::shared_ptr<AdmittedTransaction>, Refusal> check(Bytes raw) const;
    /// Refusals that need neither signature nor state.
    std::optional<Refusal> check_stateless(const evm::Transaction& tx) const;
    void refuse_rest();

    SequencerOptions options_;
    /// Of block_bytes() from which on nothing more is executed.
    size_t block_bytes_enough_;
    const Genesis& genesis_;
    const evm::PrecompileSet& precompiles_;
    Ledger& ledger_;
    kernels::OffloadEngine& offload_;
    std::function<void(const Error&)> on_fatal_;
    SystemClock clock_;
    PoolObserver* pool_observer_ = nullptr;

    SharedCodeStore shared_code_;  // has locks of its own

    // Owned by mr-sequencer.
    CellTable cells_;
    BlockBuilder builder_;
    PoolIndex pool_index_;  // has a lock of its own
    Pool pool_;
    SealedPtr head_;  ///< the last block whose header is known
    /// What the next block needs of the one before it, known when that is closed.
    struct Parent {
        uint64_t number = 0;
        uint64_t timestamp_s = 0;
        std::optional<U256> base_fee_per_gas;
        uint64_t gas_used = 0;
        uint64_t gas_limit = 0;
        Hash256 child_prev_randao;
        static Parent of(const SealedBlock& block);
        static Parent of(const ClosedBlock& block);
    };
    Parent parent_;  ///< of the open block
    /// Transactions that asked for the hash of the parent before it was known, to be dispatched.
    std::deque<AdmittedPtr> returned_;
    std::deque<AdmittedPtr> returned_long_;
    /// All of those that are not settled yet: put aside, or under way.
    std::unordered_set<const AdmittedTransaction*> late_;
    bool overdue_ = false;  ///< the open block could not be closed in time, which was counted
    uint64_t next_mini_block_ = 1;
    int64_t mini_deadline_us_ = 0;
    int64_t last_cut_us_ = 0;
    int64_t block_deadline_us_ = 0;
    int64_t time_offset_s_ = 0;
    std::optional<uint64_t> next_timestamp_s_;
    bool changed_since_seal_ = false;
    std::vector<std::pair<uint64_t, uint64_t>> snapshots_;  ///< id, block number
    uint64_t next_snapshot_ = 1;

    std::unique_ptr<Executor> executor_;  ///< from start() to the end of the thread
    bool execution_paused_ = true;
    SetAside set_aside_;  ///< of all that is under way
    bool tells_executed_ = false;
    std::vector<ExecutedPtr> untold_;  ///< executed, for the pool's observer

    SubmissionOrder submission_order_;
    HeldArrivals<Admit> held_;

    IngressGate gate_;
    Mailbox<Message> inbox_;  ///< has room for all that the gate lets in
    MpscRing<Message> priority_inbox_;
    uint64_t message_turns_ = 0;  ///< of mr-sequencer
    PriorityLine priority_line_;  ///< moved by mr-sequencer
    std::atomic<uint64_t> base_fee_{0};
    Mailbox<Commit> commits_;
    std::atomic<uint64_t> next_submission_{0};
    uint64_t gas_of_cuts_ = 0;  ///< usual gas of a mini-block while the roots keep up
    std::atomic<uint32_t> cuts_under_way_{0};  ///< mini-blocks that are not durable yet
    std::atomic<bool> running_{false};
    std::atomic<bool> stopping_{false};
    std::atomic<bool> commit_stopping_{false};
    std::atomic<bool> failed_{false};
    std::atomic<bool> disk_full_{false};
    std::atomic<int64_t> last_seal_us_{0};
    std::jthread sequencer_thread_;
    std::jthread commit_thread_;

    struct Metrics {
        metrics::Counter* transactions;
        metrics::Counter* gas;
        metrics::Counter* mini_blocks;
        metrics::Counter* blocks;
        metrics::Counter* refused;
        metrics::Gauge* pool_transactions;
        metrics::Histogram* admit_seconds;
        metrics::Histogram* execute_seconds;
        metrics::Histogram* mini_block_seconds;
        metrics::Counter* conflicts_locked;
        metrics::Counter* conflicts_read;
        metrics::Counter* conflicts_bound;
        metrics::Counter* executed_alone;
        metrics::Counter* parent_hash_waits;
        metrics::Counter* overdue_blocks;
        metrics::Counter* held_back;
        metrics::Histogram* seal_seconds;
    } metrics_;
    struct Stages {
        metrics::StageFigures ingress;    ///< transactions from arrival to pool
        metrics::StageFigures priority;   ///< as ingress, of those with priority
        metrics::StageFigures recovery;   ///< jobs; transactions from arrival to sender
        metrics::StageFigures pool;       ///< transactions from admission to dispatch
        metrics::StageFigures execution;  ///< transactions from dispatch to their place in a block
        metrics::StageFigures commit;     ///< mini-blocks and seals, from cut to durable and told
    } stages_;
    ExecutorStatistics counted_;  ///< as the metrics have them
    void count_conflicts();
    /// Of one block, for its log line.
    struct BlockStatistics {
        uint64_t mini_blocks = 0;
        int64_t pause_us = 0;  ///< execution stood still between this block and the next
        // Of the transactions that were timed.
        uint64_t execute_ns = 0;
        uint64_t timed_gas = 0;
        double mgas_per_s() const noexcept {
            return execute_ns == 0
                       ? 0
                       : static_cast<double>(timed_gas) * 1e3 / static_cast<double>(execute_ns);
        }
    } statistics_;
    /// The block between its close and its seal.
    struct Sealing {
        std::future<Result<FinishedPtr>> finished;
        int64_t closed_us = 0;
        BlockStatistics statistics;
    };
    std::optional<Sealing> sealing_;
};

/// The words for a refusal, e.g. "nonce too low: next nonce 7, tx nonce 5".
std::string to_string(const Refusal& refusal);

}  // namespace millrace::sequencer
