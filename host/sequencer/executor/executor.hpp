// SPDX-License-Identifier: Apache-2.0
// Owns the workers that execute transactions at the same time, and the order of their commits.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "evm/core/code.hpp"
#include "evm/core/precompile_set.hpp"
#include "host/sequencer/executor/access_predictor.hpp"
#include "host/sequencer/executor/cells.hpp"
#include "host/sequencer/executor/execution.hpp"
#include "host/sequencer/executor/task_queue.hpp"

namespace millrace::sequencer {

struct ExecutorOptions {
    /// The owner is the first of them: with 1 it executes everything, and there are no threads.
    uint32_t worker_count = 1;
    /// Transactions that may be under way, for each worker. What has the workers' queue full waits
    /// for its turn behind it, whatever it pays.
    uint32_t window = 64;
    /// And the gas of those that are not long, for each worker; one is taken whatever its gas.
    uint64_t window_gas = 2'000'000;
    /// A transaction with a higher gas limit is long: the owner, who has a clock to watch, leaves
    /// it to the others, and it takes at most half of them.
    uint64_t long_gas = 1'000'000;
    /// Attempts of one transaction that others may overtake; the next one makes them wait.
    uint32_t attempts_max = 2;
    /// Whether the owner executes too, where it is not the only worker (tests).
    bool owner_executes = true;
    /// Whether calls that conflict often are given to one worker each.
    bool lanes = true;
    /// Called by a worker's thread when it has completed something, to wake the owner; may be
    /// empty.
    std::function<void()> completed;
    /// Called at the steps of a commit, to move threads against each other (tests); may be empty.
    std::function<void()> yield;
};

/// What a sequence number stands for, in the order of the numbers.
struct Completion {
    enum class Kind : uint8_t {
        nothing,   ///< a commit that was refused after it had its number
        executed,  ///< `execution` was committed, `published` is what it changed
        rejected,  ///< the transaction cannot be included, because of `error`
        waits,     ///< the transaction needs the hash of its block's parent, which is not known
                   ///< yet: it was not committed, and is to be dispatched again
        boundary,  ///< close_block() took this number
    };
    Kind kind = Kind::nothing;
    uint64_t sequence = 0;
    AdmittedPtr transaction;
    Execution execution;
    Published published;
    ReadSet reads;  ///< what it read, for the mini-block's access list
    evm::TxError error{};
    uint32_t refusals = 0;  ///< attempts before this one
    /// Of the attempts that were timed; zero where none was. Of those that succeed at once one in
    /// Executor::timed_one_in is.
    uint64_t execute_ns = 0;
};

struct ExecutorStatistics {
    uint64_t executed = 0;
    uint64_t rejected = 0;
    uint64_t conflicts_locked = 0;
    uint64_t conflicts_read = 0;
    uint64_t conflicts_bound = 0;
    uint64_t alone = 0;  ///< attempts for which the others waited
};

/// Optimistic execution in commit order: a transaction runs against what is committed, and its
/// commit is refused when that has changed meanwhile; then it runs again. The order of the commits
/// is the order of the block, and the results equal those of a serial execution in that order.
/// Nothing that is not committed is visible, so one refusal never causes another.
///
/// One thread owns an executor: it dispatches, executes, takes completions and opens and closes
/// blocks. It is the merging thread of the table. The other workers take from its queue what it
/// has not come to: a machine whose cores are busy with something else loses their help, and does
/// not wait for them.
class Executor {
public:
    static constexpr uint64_t timed_one_in = 16;

    /// The references, and `shared_code` where it is not null, outlive the executor.
    Executor(const ExecutorOptions& options, const evm::PrecompileSet& precompiles,
             CellTable& cells, evm::SharedCode* shared_code = nullptr);
    /// Transactions under way are given up.
    ~Executor();
    Executor(const Executor&) = delete;
    Executor& operator=(const Executor&) = delete;

    /// Lets commits happen, in this block.
    void open_block(BlockContextPtr context);
    /// From its return on no transaction is committed until open_block(): what is under way then
    /// runs again in the new block. It waits for an attempt that is alone, so that a transaction
    /// that takes longer than a block is executed all the same. Everything before comes out of
    /// take(), and then a `boundary`.
    void close_block();
    /// Waits until no worker uses the table, between the `boundary` and open_block(). From its
    /// return on the owner may commit to the table itself.
    void rest() noexcept;

    /// Takes a transaction. False when too many are under way; there is room again after take()
    /// gave something. Of one sender no two may be under way, and the gas limits of all that are
    /// must fit into their block.
    [[nodiscard]] bool try_dispatch(AdmittedPtr transaction);
    bool is_long(const AdmittedTransaction& tx) const noexcept {
        return !helpers_.empty() && tx.transaction.gas_limit > options_.long_gas;
    }
    /// Whether try_dispatch() would take a long transaction, or another one.
    bool has_room_for_long() const noexcept { return long_under_way_ < long_max_; }
    bool has_room() const noexcept { return under_way_ < window_ && gas_under_way_ < window_gas_; }
    /// Executes one of what was dispatched. False when there is none that it may, or no block is
    /// open.
    bool execute_one();
    /// Whether execute_one() would find something.
    bool has_work() const noexcept;
    /// The next completion in the order of the numbers, or null when it is not there yet. Valid
    /// until the next call; its buffers are taken back.
    Completion* take() noexcept;
    /// Whether take() would give something.
    bool ready() const noexcept;
    /// Dispatched, and not yet taken as executed, rejected or waiting.
    size_t under_way() const noexcept { return under_way_; }
    /// The most that can be under way.
    size_t window() const noexcept { return window_; }

    ExecutorStatistics statistics() const noexcept;

private:
    struct alignas(cache_line_bytes) Slot {
        /// 2s while it is free for the number s, 2s + 1 while it holds it.
        std::atomic<uint64_t> turn{0};
        Completion completion;
    };
    struct Worker;
    struct Task {
        AdmittedPtr transaction;
        uint32_t refusals = 0;
        uint64_t execute_ns = 0;
    };
    enum class Attempt : uint8_t {
        done,
        refused,    ///< it has to run again
        postponed,  ///< others have to go first; only without waiting
        stopped,    ///< the executor ends
    };
    /// One attempt in the block that the worker has begun. With `waits` the worker's thread may
    /// wait for others, without it is postponed.
    Attempt attempt(Worker& worker, Task& task, bool waits);
    Attempt hand_back(Worker& worker, Task& task, bool alone);
    Completion* place_for(Worker& worker, uint64_t sequence) noexcept;
    void placed(Worker& worker, Completion& completion) noexcept;
    bool begin_alone(Worker& worker, bool waits);
    void end_alone();
    bool enter_commit(Worker& worker, bool waits) noexcept;
    static void leave_commit(Worker& worker) noexcept;

    void run_helper(Worker& worker);
    size_t fetch(Worker& worker, std::span<AdmittedPtr> out) noexcept;
    bool sleep_until_work(Worker& worker) noexcept;
    /// One of those that sleep, or all: only some can do what is in a lane.
    void wake_helpers(bool all) noexcept;
    bool begin_block(Worker& worker) noexcept;
    static void leave_block(Worker& worker) noexcept;
    void read_context(Worker& worker, uint64_t block);

    ExecutorOptions options_;
    const evm::PrecompileSet& precompiles_;
    CellTable& cells_;
    evm::SharedCode* shared_code_;
    size_t window_;
    uint64_t window_gas_;
    size_t long_max_;
    TaskQueue tasks_;
    TaskQueue long_tasks_;

    /// A cell that every transaction reads; locked between blocks.
    VersionWord environment_{version_lock};
    std::mutex context_mutex_;  // guards context_
    BlockContextPtr context_;

    /// Who may commit while all others wait; null when all may.
    std::atomic<Worker*> alone_{nullptr};
    std::mutex alone_mutex_;            // held by the one, and while a block is closed
    std::atomic<bool> closing_{false};  ///< nobody new is to be alone
    std::atomic<bool> stopping_{false};
    alignas(cache_line_bytes) std::atomic<uint32_t> sleepers_{0};
    std::atomic<uint32_t> signal_{0};
    std::atomic<bool> called_{false};  ///< a sleeper was, and has not come yet

    size_t slot_count_;
    std::unique_ptr<Slot[]> slots_;
    // Of the owner.
    uint64_t next_ = 0;            ///< the number that take() looks at
    Completion* taken_ = nullptr;  ///< what take() gave out last
    Slot* taken_slot_ = nullptr;   ///< where that is a slot
    uint64_t boundary_ = 0;        ///< the number of the last close_block()
    Completion boundary_completion_;
    size_t under_way_ = 0;
    uint64_t gas_under_way_ = 0;  ///< of those that are not long
    size_t long_under_way_ = 0;
    AccessPredictor predictor_;
    Task task_;  ///< what the owner has to attempt again; may be none
    /// What the owner itself completed, in the order of the numbers.
    std::unique_ptr<Completion[]> own_;
    size_t own_count_;
    uint64_t own_head_ = 0;
    uint64_t own_tail_ = 0;

    std::unique_ptr<Worker> owner_;
    std::vector<std::unique_ptr<Worker>> helpers_;
};

}  // namespace millrace::sequencer
