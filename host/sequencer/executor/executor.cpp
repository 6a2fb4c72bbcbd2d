// SPDX-License-Identifier: Apache-2.0
// Owns the workers: attempts, the order of completions, block boundaries.
#include "host/sequencer/executor/executor.hpp"

#include <bit>
#include <chrono>
#include <string>

#include "host/base/error.hpp"
#include "host/base/thread.hpp"
#include "host/sequencer/executor/commit_mutant.hpp"

namespace millrace::sequencer {
namespace {

/// Numbers between the oldest that was not taken and the newest. More than the window by so much
/// that refused commits do not fill it while the owner does something else for a while.
constexpr uint64_t slot_count = 4096;

uint64_t monotonic_ns() noexcept {
    return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

constexpr uint64_t free_for(uint64_t sequence) noexcept { return sequence * 2; }
constexpr uint64_t holds(uint64_t sequence) noexcept { return sequence * 2 + 1; }

}  // namespace

Executor::Executor(const ExecutorOptions& options, const evm::PrecompileSet& precompiles,
                   CellTable& cells, evm::SharedCode* shared_code)
    : options_(options),
      precompiles_(precompiles),
      cells_(cells),
      shared_code_(shared_code),
      window_(size_t{options.window} * options.worker_count),
      tasks_(std::bit_ceil(std::max<size_t>(window_, 2))),
      slots_(std::make_unique<Slot[]>(slot_count)) {
    MILLRACE_ASSERT(options.worker_count > 0 && options.window > 0, "an executor has workers");
    boundary_ = cells_.take_sequence();
    cells_.use_sequence(boundary_);
    next_ = boundary_ + 1;
    for (uint64_t s = next_; s < next_ + slot_count; ++s) {
        slots_[s % slot_count].turn.store(free_for(s), std::memory_order_relaxed);
    }
    for (uint32_t i = 0; i < options_.worker_count; ++i) {
        workers_.push_back(std::make_unique<Worker>());
    }
    for (uint32_t i = 0; i < options_.worker_count; ++i) {
        workers_[i]->thread = std::jthread([this, i] {
            set_thread_name(("mr-exec-" + std::to_string(i)).c_str());
            run_worker(*workers_[i]);
        });
    }
}

Executor::~Executor() {
    stopping_.store(true, std::memory_order_release);
    tasks_.close();
    environment_.store(~uint64_t{0}, std::memory_order_seq_cst);  // locked, and like no other
    environment_.notify_all();
    for (auto& w : workers_) { w->thread.join(); }
    cells_.use_sequence(0);
}

// --- Blocks ---

void Executor::open_block(BlockContextPtr context) {
    MILLRACE_ASSERT(is_locked(environment_.load(std::memory_order_relaxed)),
                    "one block is open at a time");
    {
        const std::lock_guard lock{context_mutex_};
        context_ = std::move(context);
    }
    cells_.use_sequence(0);
    environment_.store(version_of(boundary_), std::memory_order_seq_cst);
    environment_.notify_all();
}

void Executor::close_block() {
    closing_.store(true, std::memory_order_seq_cst);
    {
        const std::lock_guard nobody_alone{alone_mutex_};
        // Like any commit: the lock, then the number.
        environment_.fetch_or(version_lock, std::memory_order_seq_cst);
    }
    boundary_ = cells_.take_sequence();
    cells_.use_sequence(boundary_);
    closing_.store(false, std::memory_order_release);
}

void Executor::rest() noexcept {
    for (auto& w : workers_) {
        for (Backoff backoff; w->running.load(std::memory_order_seq_cst); backoff.wait()) {
            const Completion* c = take();
            MILLRACE_ASSERT(c == nullptr || c->kind == Completion::Kind::nothing,
                            "nothing is committed between blocks");
        }
    }
}

// --- The owner's side ---

bool Executor::try_dispatch(AdmittedPtr transaction) {
    if (under_way_ >= window_ || !tasks_.try_push(std::move(transaction))) { return false; }
    ++under_way_;
    return true;
}

bool Executor::ready() const noexcept {
    return next_ == boundary_ ||
           slots_[next_ % slot_count].turn.load(std::memory_order_acquire) == holds(next_);
}

Completion* Executor::take() noexcept {
    if (taken_ != nullptr) {
        taken_->completion.published.recycle();
        // Release: what the owner has taken out is gone before it is filled again.
        taken_->turn.store(free_for(taken_->completion.sequence + slot_count),
                           std::memory_order_release);
        taken_ = nullptr;
    }
    if (next_ == boundary_) {
        ++next_;
        // Nobody fills the slot of this number.
        slots_[boundary_ % slot_count].turn.store(free_for(boundary_ + slot_count),
                                                  std::memory_order_release);
        boundary_completion_.kind = Completion::Kind::boundary;
        boundary_completion_.sequence = boundary_;
        return &boundary_completion_;
    }
    Slot& slot = slots_[next_ % slot_count];
    // Acquire: pairs with complete().
    if (slot.turn.load(std::memory_order_acquire) != holds(next_)) { return nullptr; }
    ++next_;
    taken_ = &slot;
    if (slot.completion.kind != Completion::Kind::nothing) { --under_way_; }
    return &slot.completion;
}

ExecutorStatistics Executor::statistics() const noexcept {
    ExecutorStatistics s;
    const auto conflicts = [](const Worker& w, Conflict c) {
        return w.conflicts[static_cast<size_t>(c)].load(std::memory_order_relaxed);
    };
    for (const auto& w : workers_) {
        s.executed += w->executed.load(std::memory_order_relaxed);
        s.rejected += w->rejected.load(std::memory_order_relaxed);
        s.conflicts_locked += conflicts(*w, Conflict::locked);
        s.conflicts_read += conflicts(*w, Conflict::stale_read);
        s.conflicts_bound += conflicts(*w, Conflict::bound_violated);
        s.alone += w->alone.load(std::memory_order_relaxed);
    }
    return s;
}

// --- The workers' side ---

Executor::Slot* Executor::claim(uint64_t sequence) noexcept {
    Slot& slot = slots_[sequence % slot_count];
    for (Backoff backoff; slot.turn.load(std::memory_order_acquire) != free_for(sequence);
         backoff.wait()) {
        if (stopping_.load(std::memory_order_acquire)) { return nullptr; }
    }
    slot.completion.sequence = sequence;
    return &slot;
}

void Executor::complete(Slot& slot) noexcept {
    // Release: whoever sees the turn sees the completion.
    slot.turn.store(holds(slot.completion.sequence), std::memory_order_release);
}

/// The version of the open block, or an odd number when the executor stops.
uint64_t Executor::begin_attempt(Worker& worker) noexcept {
    for (;;) {
        const uint64_t seen = environment_.load(std::memory_order_seq_cst);
        if (stopping_.load(std::memory_order_acquire)) { return version_lock; }
        if (is_locked(seen)) {
            environment_.wait(seen, std::memory_order_seq_cst);
            continue;
        }
        // Of "I run, is the block open?" and "I have closed it, does one run?" one side sees the
        // other, because all four are in one order.
        worker.running.store(true, std::memory_order_seq_cst);
        if (environment_.load(std::memory_order_seq_cst) == seen) { return seen; }
        end_attempt(worker);
    }
}

void Executor::end_attempt(Worker& worker) noexcept {
    worker.running.store(false, std::memory_order_seq_cst);
}

void Executor::enter_commit(Worker& worker) noexcept {
    for (Backoff backoff;; backoff.wait()) {
        worker.committing.store(true, std::memory_order_seq_cst);
        const Worker* alone = alone_.load(std::memory_order_seq_cst);
        if (alone == nullptr || alone == &worker) { return; }
        worker.committing.store(false, std::memory_order_release);
    }
}

void Executor::leave_commit(Worker& worker) noexcept {
    worker.committing.store(false, std::memory_order_release);
}

/// False when the block is being closed, or was while the worker waited for its turn.
bool Executor::begin_alone(Worker& worker, uint64_t block) {
    for (Backoff backoff; closing_.load(std::memory_order_seq_cst); backoff.wait()) {
        if (stopping_.load(std::memory_order_acquire)) { return false; }
    }
    alone_mutex_.lock();
    if (closing_.load(std::memory_order_seq_cst) ||
        environment_.load(std::memory_order_seq_cst) != block) {
        alone_mutex_.unlock();
        return false;
    }
    alone_.store(&worker, std::memory_order_seq_cst);
    for (auto& other : workers_) {
        for (Backoff backoff;
             other.get() != &worker && other->committing.load(std::memory_order_seq_cst);
             backoff.wait()) {}
    }
    worker.alone.fetch_add(1, std::memory_order_relaxed);
    return true;
}

void Executor::end_alone() {
    alone_.store(nullptr, std::memory_order_seq_cst);
    alone_mutex_.unlock();
}

void Executor::run_worker(Worker& worker) {
    evm::Workspace workspace;
    workspace.codes.share(shared_code_);
    BlockContextPtr context;
    uint64_t context_version = version_lock;
    const CellView::BlockHashes block_hashes = [&](uint64_t number) {
        return context->block_hash(number);
    };
    CellView view{cells_, block_hashes};
    CellTable::Scratch scratch;
    scratch.yield = options_.yield ? &options_.yield : nullptr;
    Published published;
    evm::BloomMemo blooms;
    const evm::StateChanges no_changes;

    while (AdmittedPtr task = tasks_.pop()) {
        uint64_t execute_ns = 0;
        for (uint32_t attempt = 0;; ++attempt) {
            const uint64_t block = begin_attempt(worker);
            if (is_locked(block)) { return; }
            if (block != context_version) {
                const std::lock_guard lock{context_mutex_};
                context = context_;
                context_version = block;
            }
            const ReadSet::Read environment{&environment_, block};
            const bool alone = attempt >= options_.attempts_max;
            if (alone && !begin_alone(worker, block)) {
                end_attempt(worker);
                continue;
            }
            view.clear();
            const uint64_t start_ns = monotonic_ns();
            // The gas of the block was set aside when the transaction was dispatched.
            auto result = run_transaction(*task, view, workspace, precompiles_, *context,
                                          task->transaction.gas_limit);
            enter_commit(worker);
            const CellTable::Commit commit = cells_.commit(
                view.reads(), result ? result->changes : no_changes, scratch, published,
                commit_mutant == CommitMutant::no_environment ? nullptr : &environment);
            leave_commit(worker);
            execute_ns += monotonic_ns() - start_ns;
            if (alone) { end_alone(); }

            const bool done = commit.conflict == Conflict::none;
            if (commit_mutant == CommitMutant::lost_number && !done) {
                end_attempt(worker);
                continue;
            }
            if (commit.sequence != 0) {
                Slot* slot = claim(commit.sequence);
                if (slot == nullptr) { return; }
                Completion& c = slot->completion;
                c.kind = !done    ? Completion::Kind::nothing
                         : result ? Completion::Kind::executed
                                  : Completion::Kind::rejected;
                if (done) {
                    std::swap(c.published, published);
                    if (result) {
                        c.execution = make_execution(task, std::move(*result), blooms);
                        worker.executed.fetch_add(1, std::memory_order_relaxed);
                    } else {
                        c.error = result.error();
                        worker.rejected.fetch_add(1, std::memory_order_relaxed);
                    }
                    c.transaction = std::move(task);
                    c.execute_ns = execute_ns;
                }
                complete(*slot);
                if (options_.completed) { options_.completed(); }
            }
            end_attempt(worker);
            if (done) { break; }
            worker.conflicts[static_cast<size_t>(commit.conflict)].fetch_add(
                1, std::memory_order_relaxed);
        }
    }
}

}  // namespace millrace::sequencer
