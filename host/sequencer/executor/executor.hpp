// SPDX-License-Identifier: Apache-2.0
// Owns the workers that execute transactions at the same time, and the order of their commits.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

#include "evm/core/code.hpp"
#include "evm/core/precompile_set.hpp"
#include "host/sequencer/executor/cells.hpp"
#include "host/sequencer/executor/execution.hpp"
#include "host/sequencer/executor/task_queue.hpp"

namespace millrace::sequencer {

struct ExecutorOptions {
    uint32_t worker_count = 1;
    /// Transactions that may wait for a worker, for each of them.
    uint32_t window = 4;
    /// Attempts of one transaction that others may overtake; the next one makes them wait.
    uint32_t attempts_max = 2;
    /// Called by a worker after each completion, to wake the owner; may be empty.
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
        boundary,  ///< close_block() took this number
    };
    Kind kind = Kind::nothing;
    uint64_t sequence = 0;
    AdmittedPtr transaction;
    Execution execution;
    Published published;
    evm::TxError error{};
    uint64_t execute_ns = 0;  ///< of all attempts
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
/// One thread owns an executor: it dispatches, takes completions and opens and closes blocks. It is
/// the merging thread of the table.
class Executor {
public:
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

    /// Gives a transaction to the workers. False when they cannot take it now; there is room again
    /// a moment after take() gave something. Of one sender no two may
    /// be under way, and the gas limits of all that are must fit into their block.
    [[nodiscard]] bool try_dispatch(AdmittedPtr transaction);
    /// The next completion in the order of the numbers, or null when it is not there yet. Valid
    /// until the next call; its buffers are taken back.
    Completion* take() noexcept;
    /// Whether take() would give something.
    bool ready() const noexcept;
    /// Dispatched, and not yet taken as executed or rejected.
    size_t under_way() const noexcept { return under_way_; }
    size_t window() const noexcept { return window_; }

    ExecutorStatistics statistics() const noexcept;

private:
    struct alignas(cache_line_bytes) Slot {
        /// 2s while it is free for the number s, 2s + 1 while it holds it.
        std::atomic<uint64_t> turn{0};
        Completion completion;
    };
    struct alignas(cache_line_bytes) Worker {
        std::atomic<bool> running{false};     ///< may be using the table
        std::atomic<bool> committing{false};  ///< is between enter_commit() and leave_commit()
        // Relaxed: numbers to look at.
        std::atomic<uint64_t> executed{0};
        std::atomic<uint64_t> rejected{0};
        std::atomic<uint64_t> conflicts[4] = {};
        std::atomic<uint64_t> alone{0};
        std::jthread thread;
    };
    void run_worker(Worker& worker);
    uint64_t begin_attempt(Worker& worker) noexcept;
    static void end_attempt(Worker& worker) noexcept;
    void enter_commit(Worker& worker) noexcept;
    void leave_commit(Worker& worker) noexcept;
    bool begin_alone(Worker& worker, uint64_t block);
    void end_alone();
    Slot* claim(uint64_t sequence) noexcept;
    static void complete(Slot& slot) noexcept;

    ExecutorOptions options_;
    const evm::PrecompileSet& precompiles_;
    CellTable& cells_;
    evm::SharedCode* shared_code_;
    size_t window_;
    TaskQueue tasks_;

    /// A cell that every transaction reads; locked between blocks.
    VersionWord environment_{version_lock};
    std::mutex context_mutex_;  // guards context_
    BlockContextPtr context_;

    /// Who may commit while all others wait; null when all may.
    std::atomic<Worker*> alone_{nullptr};
    std::mutex alone_mutex_;            // held by the one, and while a block is closed
    std::atomic<bool> closing_{false};  ///< nobody new is to be alone
    std::atomic<bool> stopping_{false};

    std::unique_ptr<Slot[]> slots_;
    // Of the owner.
    uint64_t next_ = 0;      ///< the number that take() looks at
    Slot* taken_ = nullptr;  ///< what take() gave out last
    uint64_t boundary_ = 0;  ///< the number of the last close_block()
    Completion boundary_completion_;
    size_t under_way_ = 0;

    std::vector<std::unique_ptr<Worker>> workers_;
};

}  // namespace millrace::sequencer
