// SPDX-License-Identifier: Apache-2.0
// Owns the workers: attempts, the order of completions, block boundaries.
#include "host/sequencer/executor/executor.hpp"

#include <bit>
#include <chrono>
#include <string>
#include <thread>

#include "host/base/error.hpp"
#include "host/base/thread.hpp"
#include "host/sequencer/executor/commit_mutant.hpp"

namespace millrace::sequencer {
namespace {

/// What a helper takes at once: enough that fetching costs little for each, few enough that the
/// owner is seldom left with nothing while a helper has several.
constexpr size_t tasks_at_once = 16;
/// Short transactions that must wait before a helper is woken for them: the way through the kernel
/// takes longer than executing so many.
constexpr size_t worth_waking = 8;
/// Looks at the queues before a helper sleeps, about ten microseconds.
constexpr int spins_max = 256;
/// One in so many times a worker looks elsewhere before it looks into its lane.
constexpr uint64_t lane_turns = 4;

uint64_t monotonic_ns() noexcept {
    return static_cast<uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
}

constexpr uint64_t free_for(uint64_t sequence) noexcept { return sequence * 2; }
constexpr uint64_t holds(uint64_t sequence) noexcept { return sequence * 2 + 1; }

}  // namespace

/// What one thread needs to execute.
struct alignas(cache_line_bytes) Executor::Worker {
    Worker(CellTable& cells, evm::SharedCode* shared_code, const ExecutorOptions& options,
           size_t lane_capacity)
        : view(cells, block_hashes), lane(lane_capacity) {
        workspace.share(shared_code);
        scratch.yield = options.yield ? &options.yield : nullptr;
    }

    // Of its own thread.
    evm::Workspace workspace;
    BlockContextPtr context;
    uint64_t block = version_lock;  ///< the version of the environment that `context` belongs to
    const CellView::BlockHashes block_hashes = [this](uint64_t number) {
        return context->block_hash(number);
    };
    CellView view;
    CellTable::Scratch scratch;
    Published published;
    evm::BloomMemo blooms;

    TaskQueue lane;  ///< what only this worker is to execute
    alignas(cache_line_bytes) std::atomic<bool> running{false};  ///< may be using the table
    std::atomic<bool> committing{false};  ///< is between enter_commit() and leave_commit()
    // Relaxed: numbers to look at.
    std::atomic<uint64_t> executed{0};
    std::atomic<uint64_t> rejected{0};
    std::atomic<uint64_t> conflicts[4] = {};
    std::atomic<uint64_t> alone{0};
    uint64_t attempts = 0;
    uint64_t turns = 0;
    std::jthread thread;  ///< none for the owner
};

Executor::Executor(const ExecutorOptions& options, const evm::PrecompileSet& precompiles,
                   CellTable& cells, evm::SharedCode* shared_code)
    : options_(options),
      precompiles_(precompiles),
      cells_(cells),
      shared_code_(shared_code),
      // Alone the owner looks at a transaction, executes it and takes it while it is in its cache.
      window_(options.worker_count == 1 ? 1 : size_t{options.window} * options.worker_count),
      window_gas_(options.window_gas * options.worker_count),
      long_max_(std::max<size_t>(options.worker_count / 2, 1)),
      tasks_(std::bit_ceil(std::max<size_t>(window_, 2))),
      long_tasks_(std::bit_ceil(std::max<size_t>(long_max_, 2))),
      // More than what is under way, so that refused commits do not fill it while the owner does
      // something else for a while.
      slot_count_(std::bit_ceil(std::max<size_t>(2 * window_, 256))),
      slots_(std::make_unique<Slot[]>(slot_count_)),
      predictor_(options.worker_count),
      // Each may be refused a few times before it is done.
      own_(std::make_unique<Completion[]>(slot_count_)),
      own_count_(slot_count_) {
    MILLRACE_ASSERT(options.worker_count > 0 && options.window > 0, "an executor has workers");
    options_.lanes = options_.lanes && options.worker_count > 1;
    boundary_ = cells_.take_sequence();
    cells_.use_sequence(boundary_);
    next_ = boundary_ + 1;
    for (uint64_t s = next_; s < next_ + slot_count_; ++s) {
        slots_[s % slot_count_].turn.store(free_for(s), std::memory_order_relaxed);
    }
    const size_t lane_capacity = std::bit_ceil(std::max<size_t>(window_, 2));
    owner_ = std::make_unique<Worker>(cells_, shared_code_, options_, lane_capacity);
    for (uint32_t i = 1; i < options_.worker_count; ++i) {
        helpers_.push_back(std::make_unique<Worker>(cells_, shared_code_, options_, lane_capacity));
    }
    for (size_t i = 0; i < helpers_.size(); ++i) {
        helpers_[i]->thread = std::jthread([this, i] {
            set_thread_name(("mr-exec-" + std::to_string(i + 1)).c_str());
            run_helper(*helpers_[i]);
        });
    }
}

Executor::~Executor() {
    stopping_.store(true, std::memory_order_release);
    wake_helpers(true);
    environment_.store(~uint64_t{0}, std::memory_order_seq_cst);  // locked, and like no other
    environment_.notify_all();
    for (auto& w : helpers_) { w->thread.join(); }
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
    CellTable::open_environment(environment_, boundary_);
    environment_.notify_all();
}

void Executor::close_block() {
    closing_.store(true, std::memory_order_seq_cst);
    {
        const std::lock_guard nobody_alone{alone_mutex_};
        boundary_ = cells_.close_environment(environment_);
    }
    cells_.use_sequence(boundary_);
    closing_.store(false, std::memory_order_release);
}

void Executor::rest() noexcept {
    for (auto& w : helpers_) {
        for (Backoff backoff; w->running.load(std::memory_order_seq_cst); backoff.wait()) {
            const Completion* c = take();
            MILLRACE_ASSERT(c == nullptr || c->kind == Completion::Kind::nothing,
                            "nothing is committed between blocks");
        }
    }
}

// --- The owner's side ---

bool Executor::try_dispatch(AdmittedPtr transaction) {
    const AdmittedTransaction& tx = *transaction;
    const bool takes_long = is_long(tx);
    if (!has_room() || (takes_long && !has_room_for_long())) { return false; }
    const auto lane = options_.lanes ? predictor_.lane_of(tx) : std::nullopt;
    bool for_helpers = true;
    if (lane && (*lane != 0 || !takes_long) && (*lane != 0 || options_.owner_executes)) {
        Worker& w = *lane == 0 ? *owner_ : *helpers_[*lane - 1];
        if (!w.lane.try_push(std::move(transaction))) { return false; }
        for_helpers = *lane != 0;
    } else if (takes_long) {
        if (!long_tasks_.try_push(std::move(transaction))) { return false; }
    } else {
        if (!tasks_.try_push(std::move(transaction))) { return false; }
        for_helpers = !options_.owner_executes || tasks_.size_approx() >= worth_waking;
    }
    ++under_way_;
    if (takes_long) {
        ++long_under_way_;
    } else {
        gas_under_way_ += tx.transaction.gas_limit;
    }
    if (for_helpers) { wake_helpers(lane || takes_long); }
    return true;
}

bool Executor::has_work() const noexcept {
    if (!options_.owner_executes && !helpers_.empty()) { return false; }
    return task_.transaction != nullptr || tasks_.size_approx() != 0 ||
           owner_->lane.size_approx() != 0;
}

bool Executor::execute_one() {
    if (!options_.owner_executes && !helpers_.empty()) { return false; }
    const uint64_t block = environment_.load(std::memory_order_relaxed);  // the owner's own store
    if (is_locked(block)) { return false; }
    if (task_.transaction == nullptr) {
        const std::span one{&task_.transaction, 1};
        TaskQueue* first = &owner_->lane;
        TaskQueue* second = &tasks_;
        // A lane that is never empty must not keep the others waiting.
        if (++owner_->turns % lane_turns == 0) { std::swap(first, second); }
        if (first->try_pop(one) == 0 && second->try_pop(one) == 0) { return false; }
        task_.refusals = 0;
        task_.execute_ns = 0;
    }
    if (owner_->block != block) { read_context(*owner_, block); }
    for (;;) {
        // One place for what this attempt may use up.
        if (own_tail_ - own_head_ >= own_count_) { return false; }
        switch (attempt(*owner_, task_, false)) {
            case Attempt::done: task_.transaction.reset(); return true;
            case Attempt::refused: break;
            case Attempt::postponed:
            case Attempt::stopped: return false;
        }
    }
}

bool Executor::ready() const noexcept {
    return next_ == boundary_ ||
           (own_head_ != own_tail_ && own_[own_head_ % own_count_].sequence == next_) ||
           slots_[next_ % slot_count_].turn.load(std::memory_order_acquire) == holds(next_);
}

Completion* Executor::take() noexcept {
    if (taken_ != nullptr) {
        taken_->published.recycle();
        taken_->reads.recycle();
        if (taken_slot_ != nullptr) {
            // Release: what the owner has taken out is gone before it is filled again.
            taken_slot_->turn.store(free_for(taken_->sequence + slot_count_),
                                    std::memory_order_release);
        } else {
            ++own_head_;
        }
        taken_ = nullptr;
    }
    Slot& slot = slots_[next_ % slot_count_];
    // Nobody fills the slot of a number of the owner's.
    const auto pass = [&] {
        if (!helpers_.empty()) {
            slot.turn.store(free_for(next_ + slot_count_), std::memory_order_release);
        }
        ++next_;
    };
    if (next_ == boundary_) {
        pass();
        boundary_completion_.kind = Completion::Kind::boundary;
        boundary_completion_.sequence = boundary_;
        return &boundary_completion_;
    }
    if (own_head_ != own_tail_ && own_[own_head_ % own_count_].sequence == next_) {
        taken_ = &own_[own_head_ % own_count_];
        taken_slot_ = nullptr;
        pass();
    } else {
        // Acquire: pairs with placed().
        if (slot.turn.load(std::memory_order_acquire) != holds(next_)) { return nullptr; }
        ++next_;
        taken_ = &slot.completion;
        taken_slot_ = &slot;
        // Most of the time the next one was filled by another core, too.
        const char* following = reinterpret_cast<const char*>(&slots_[next_ % slot_count_]);
        for (size_t at = 0; at < sizeof(Slot); at += 64) { __builtin_prefetch(following + at); }
    }
    if (taken_->kind != Completion::Kind::nothing) {
        const AdmittedTransaction& tx = *taken_->transaction;
        --under_way_;
        if (is_long(tx)) {
            --long_under_way_;
        } else {
            gas_under_way_ -= tx.transaction.gas_limit;
        }
        if (options_.lanes) { predictor_.learn(tx, taken_->refusals); }
    }
    return taken_;
}

ExecutorStatistics Executor::statistics() const noexcept {
    ExecutorStatistics s;
    const auto add = [&](const Worker& w) {
        const auto conflicts = [&](Conflict c) {
            return w.conflicts[static_cast<size_t>(c)].load(std::memory_order_relaxed);
        };
        s.executed += w.executed.load(std::memory_order_relaxed);
        s.rejected += w.rejected.load(std::memory_order_relaxed);
        s.conflicts_locked += conflicts(Conflict::locked);
        s.conflicts_read += conflicts(Conflict::stale_read);
        s.conflicts_bound += conflicts(Conflict::bound_violated);
        s.alone += w.alone.load(std::memory_order_relaxed);
    };
    add(*owner_);
    for (const auto& w : helpers_) { add(*w); }
    return s;
}

// --- Attempts ---

/// Where to tell what became of a number; null when the executor stops.
Completion* Executor::place_for(Worker& worker, uint64_t sequence) noexcept {
    Completion* c = nullptr;
    if (&worker == owner_.get()) {
        c = &own_[own_tail_ % own_count_];
    } else {
        Slot& slot = slots_[sequence % slot_count_];
        for (Backoff backoff; slot.turn.load(std::memory_order_acquire) != free_for(sequence);
             backoff.wait()) {
            if (stopping_.load(std::memory_order_acquire)) { return nullptr; }
        }
        c = &slot.completion;
    }
    c->sequence = sequence;
    return c;
}

void Executor::placed(Worker& worker, Completion& completion) noexcept {
    if (&worker == owner_.get()) {
        ++own_tail_;
    } else {
        // Release: whoever sees the turn sees the completion.
        slots_[completion.sequence % slot_count_].turn.store(holds(completion.sequence),
                                                             std::memory_order_release);
    }
}

bool Executor::enter_commit(Worker& worker, bool waits) noexcept {
    if (helpers_.empty()) { return true; }
    for (Backoff backoff;; backoff.wait()) {
        worker.committing.store(true, std::memory_order_seq_cst);
        const Worker* alone = alone_.load(std::memory_order_seq_cst);
        if (alone == nullptr || alone == &worker) { return true; }
        worker.committing.store(false, std::memory_order_release);
        if (!waits) { return false; }
    }
}

void Executor::leave_commit(Worker& worker) noexcept {
    worker.committing.store(false, std::memory_order_release);
}

/// False when the block is being closed, or was while the worker waited for its turn; or when it
/// would have to wait.
bool Executor::begin_alone(Worker& worker, bool waits) {
    for (Backoff backoff; closing_.load(std::memory_order_seq_cst); backoff.wait()) {
        if (!waits || stopping_.load(std::memory_order_acquire)) { return false; }
    }
    if (waits) {
        alone_mutex_.lock();
    } else if (!alone_mutex_.try_lock()) {
        return false;
    }
    if (closing_.load(std::memory_order_seq_cst) ||
        environment_.load(std::memory_order_seq_cst) != worker.block) {
        alone_mutex_.unlock();
        return false;
    }
    alone_.store(&worker, std::memory_order_seq_cst);
    const auto wait_for = [&](const Worker& other) {
        if (&other == &worker) { return; }
        for (Backoff backoff; other.committing.load(std::memory_order_seq_cst); backoff.wait()) {}
    };
    wait_for(*owner_);
    for (const auto& other : helpers_) { wait_for(*other); }
    worker.alone.fetch_add(1, std::memory_order_relaxed);
    return true;
}

void Executor::end_alone() {
    alone_.store(nullptr, std::memory_order_seq_cst);
    alone_mutex_.unlock();
}

Executor::Attempt Executor::attempt(Worker& worker, Task& task, bool waits) {
    const ReadSet::Read environment{&environment_, worker.block};
    const bool alone = task.refusals >= options_.attempts_max;
    if (alone && !begin_alone(worker, waits)) {
        return waits ? Attempt::refused : Attempt::postponed;
    }
    if (!waits && !alone && alone_.load(std::memory_order_relaxed) != nullptr) {
        return Attempt::postponed;  // it could not be committed yet
    }
    worker.view.clear();
    // The two looks at the clock take a twentieth of a transfer.
    const bool timed = task.refusals != 0 || ++worker.attempts % timed_one_in == 0;
    const uint64_t start_ns = timed ? monotonic_ns() : 0;
    const AdmittedTransaction& tx = *task.transaction;
    // The gas of the block was set aside when the transaction was dispatched.
    auto result = run_transaction(tx, worker.view, worker.workspace, precompiles_, *worker.context,
                                  tx.transaction.gas_limit);
    if (commit_mutant != CommitMutant::no_promise && worker.view.awaits_parent()) {
        return hand_back(worker, task, alone);
    }
    if (!enter_commit(worker, waits)) { return Attempt::postponed; }
    static const evm::StateChanges no_changes;
    const CellTable::Commit commit =
        cells_.commit(worker.view.reads(), result ? result->changes : no_changes, worker.scratch,
                      worker.published, &environment);
    leave_commit(worker);
    if (timed) { task.execute_ns += monotonic_ns() - start_ns; }
    if (alone) { end_alone(); }

    const bool done = commit.conflict == Conflict::none;
    if (!done) {
        ++task.refusals;
        worker.conflicts[static_cast<size_t>(commit.conflict)].fetch_add(1,
                                                                         std::memory_order_relaxed);
    }
    if (commit.sequence == 0) { return Attempt::refused; }
    Completion* c = place_for(worker, commit.sequence);
    if (c == nullptr) { return Attempt::stopped; }
    c->kind = !done    ? Completion::Kind::nothing
              : result ? Completion::Kind::executed
                       : Completion::Kind::rejected;
    if (done) {
        std::swap(c->published, worker.published);
        if (result) {
            worker.view.take_reads(c->reads);
            c->execution = make_execution(task.transaction, std::move(*result), worker.blooms);
            worker.workspace.state.reuse(std::move(result->changes));
            worker.executed.fetch_add(1, std::memory_order_relaxed);
        } else {
            c->error = result.error();
            worker.rejected.fetch_add(1, std::memory_order_relaxed);
        }
        c->transaction = std::move(task.transaction);
        c->refusals = task.refusals;
        c->execute_ns = task.execute_ns;
    }
    placed(worker, *c);
    return done ? Attempt::done : Attempt::refused;
}

/// Gives a transaction back that cannot go on before its block's parent is sealed.
Executor::Attempt Executor::hand_back(Worker& worker, Task& task, bool alone) {
    const uint64_t sequence = cells_.take_sequence();
    // Like a commit: the number, then the look at the block. With one that is still open the number
    // comes before the block's boundary.
    const bool here = environment_.load(std::memory_order_seq_cst) == worker.block;
    // As long as it is alone the block stays open, and it comes back in it. A place may have to be
    // waited for, which nobody may do alone.
    if (alone) { end_alone(); }
    if (!here) { ++task.refusals; }
    Completion* c = place_for(worker, sequence);
    if (c == nullptr) { return Attempt::stopped; }
    c->kind = here ? Completion::Kind::waits : Completion::Kind::nothing;
    if (here) {
        c->transaction = std::move(task.transaction);
        c->refusals = 0;
    }
    placed(worker, *c);
    return here ? Attempt::done : Attempt::refused;
}

// --- The other workers' side ---

void Executor::read_context(Worker& worker, uint64_t block) {
    const std::lock_guard lock{context_mutex_};
    worker.context = context_;
    worker.block = block;
}

/// Makes sure that the worker is counted in the block that is open, waiting for one; false when the
/// executor stops.
bool Executor::begin_block(Worker& worker) noexcept {
    for (;;) {
        const uint64_t seen = environment_.load(std::memory_order_seq_cst);
        if (stopping_.load(std::memory_order_acquire)) { return false; }
        if (!is_locked(seen) && worker.running.load(std::memory_order_relaxed) &&
            worker.block == seen) {
            return true;
        }
        leave_block(worker);
        if (is_locked(seen)) {
            environment_.wait(seen, std::memory_order_seq_cst);
            continue;
        }
        // Of "I run, is the block open?" and "I have closed it, does one run?" one side sees the
        // other, because all four are in one order.
        worker.running.store(true, std::memory_order_seq_cst);
        if (environment_.load(std::memory_order_seq_cst) == seen) {
            if (worker.block != seen) { read_context(worker, seen); }
            return true;
        }
    }
}

void Executor::leave_block(Worker& worker) noexcept {
    if (worker.running.load(std::memory_order_relaxed)) {
        worker.running.store(false, std::memory_order_seq_cst);
    }
}

size_t Executor::fetch(Worker& worker, std::span<AdmittedPtr> out) noexcept {
    const bool others_first = ++worker.turns % lane_turns == 0;
    size_t n = others_first ? 0 : worker.lane.try_pop(out);
    if (n == 0) { n = long_tasks_.try_pop(out.first(1)); }
    if (n == 0) { n = tasks_.try_pop(out, 2 * helpers_.size()); }
    if (n == 0 && others_first) { n = worker.lane.try_pop(out); }
    return n;
}

void Executor::wake_helpers(bool all) noexcept {
    // Pairs with the fence of sleep_until_work(): one of both sees the other.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    // A helper that was woken may wait long for a core; it is not called again meanwhile, because
    // each call costs more than a transaction.
    if (sleepers_.load(std::memory_order_relaxed) != 0 &&
        (all || !called_.exchange(true, std::memory_order_acq_rel))) {
        signal_.fetch_add(1, std::memory_order_release);
        if (all) {
            signal_.notify_all();
        } else {
            signal_.notify_one();
        }
    }
}

/// False when the executor stops.
bool Executor::sleep_until_work(Worker& worker) noexcept {
    const auto work = [&] {
        return worker.lane.size_approx() != 0 || long_tasks_.size_approx() != 0 ||
               tasks_.size_approx() >= (options_.owner_executes ? worth_waking : 1) ||
               stopping_.load(std::memory_order_acquire);
    };
    sleepers_.fetch_add(1, std::memory_order_relaxed);
    const uint32_t seen = signal_.load(std::memory_order_acquire);
    // A call that this erases was meant for nobody who sleeps; one that comes later moves the
    // signal, and the wait returns.
    called_.store(false, std::memory_order_release);
    std::atomic_thread_fence(std::memory_order_seq_cst);
    if (!work()) { signal_.wait(seen, std::memory_order_acquire); }
    sleepers_.fetch_sub(1, std::memory_order_relaxed);
    called_.store(false, std::memory_order_release);
    // Who was woken for a queue that is enough for two calls the next one.
    if (tasks_.size_approx() >= 2 * worth_waking) { wake_helpers(false); }
    return !stopping_.load(std::memory_order_acquire);
}

void Executor::run_helper(Worker& worker) {
    AdmittedPtr fetched[tasks_at_once];
    for (int idle = 0;;) {
        const size_t n = fetch(worker, fetched);
        if (n == 0) {
            leave_block(worker);
            if (++idle < spins_max) {
                __builtin_ia32_pause();
                continue;
            }
            idle = 0;
            if (!sleep_until_work(worker)) { return; }
            continue;
        }
        idle = 0;
        for (size_t i = 0; i < n; ++i) {
            Task task{std::move(fetched[i])};
            Attempt outcome = Attempt::refused;
            while (outcome == Attempt::refused) {
                if (!begin_block(worker)) { return; }
                outcome = attempt(worker, task, true);
                if (outcome == Attempt::stopped) { return; }
                // Also of a refusal: later numbers may wait for its own.
                if (options_.completed) { options_.completed(); }
            }
        }
    }
}

}  // namespace millrace::sequencer
