// SPDX-License-Identifier: Apache-2.0
// Owns the two pipeline threads: execution with its clock, and commitment to the ledger.
#include "host/sequencer/sequencer_impl.hpp"

#include <algorithm>
#include <bit>
#include <limits>
#include <utility>

#include "evm/core/block_rules.hpp"
#include "host/base/log.hpp"
#include "host/base/thread.hpp"

namespace millrace::sequencer {
namespace {

/// Beside what the gate lets in: commands, at most one for each thread that waits for one.
constexpr size_t inbox_commands_max = 1024;
/// Of submissions that may overtake one; a recovery that takes longer is not waited for.
constexpr uint64_t submission_window = 1 << 16;
constexpr size_t commit_capacity = 256;  // mini-blocks that may wait for the log (sequencer note)
/// One that is written, and one that is ready when it is.
constexpr uint32_t cuts_under_way_max = 2;
/// Of the ring before the roots: three quarters, and all but what may be on its way when the ring is
/// found to be full, or comes without execution.
constexpr size_t roots_far_behind = Sealer::capacity * 3 / 4;
constexpr size_t roots_behind_max = Sealer::capacity - 16;
constexpr int64_t wait_forever_us = int64_t{1} << 60;

/// What one transaction can add to a block at most: its wire form, and log data at 8 gas per byte
/// (a receipt's other parts cost far more per byte).
size_t transaction_bytes_worst(const SequencerOptions& options, const Genesis& genesis) {
    constexpr uint64_t gas_per_log_byte = 8;
    constexpr size_t rest = size_t{1} << 20;
    const uint64_t gas = std::min(genesis.spec.rules.transaction_gas_cap, genesis.block_gas_limit);
    return options.transaction_bytes_max + static_cast<size_t>(gas / gas_per_log_byte) + rest;
}

metrics::Counter& conflict_counter(metrics::Registry& metrics, const std::string& reason) {
    return metrics.counter("millrace_execution_conflicts_total",
                           "Commits of workers that were refused", "reason=\"" + reason + "\"");
}

}  // namespace

Sequencer::Sequencer(const SequencerOptions& options, const Genesis& genesis,
                     const evm::PrecompileSet& precompiles, Ledger& ledger,
                     kernels::OffloadEngine& offload, metrics::Registry& metrics,
                     std::function<void(const Error&)> on_fatal)
    : options_(options),
      // At least one byte: a block takes one transaction whatever its size.
      block_bytes_enough_(
          options.block_bytes_max -
          std::min(options.block_bytes_max - 1, transaction_bytes_worst(options, genesis))),
      genesis_(genesis),
      precompiles_(precompiles),
      ledger_(ledger),
      offload_(offload),
      on_fatal_(std::move(on_fatal)),
      shared_code_(SharedCodeStore::default_bytes_max, options.native_tier),
      cells_(ledger.state().snapshot()),
      builder_(genesis.spec, precompiles, cells_, &shared_code_),
      pool_(options.pool, pool_index_),
      head_(ledger.view().head()),
      parent_(Parent::of(*head_)),
      next_mini_block_(ledger.next_mini_block_number()),
      submission_order_(submission_window),
      gate_({options.ingress_max, options.ingress_bytes_max, options.pool.transactions_max,
             options.pool.bytes_max}),
      inbox_(std::bit_ceil(options.ingress_max + inbox_commands_max)),
      priority_inbox_(std::bit_ceil(options.ingress_max + 2)),
      commits_(commit_capacity),
      metrics_{
          .transactions = &metrics.counter("millrace_transactions_total", "Transactions executed"),
          .gas = &metrics.counter("millrace_gas_total", "Gas used by executed transactions"),
          .mini_blocks = &metrics.counter("millrace_mini_blocks_total", "Mini-blocks cut"),
          .blocks = &metrics.counter("millrace_blocks_total", "EVM blocks sealed"),
          .refused = &metrics.counter("millrace_refused_total",
                                      "Transactions refused at ingress or by the pool"),
          .pool_transactions =
              &metrics.gauge("millrace_pool_transactions", "Transactions in the pool"),
          .admit_seconds = &metrics.histogram("millrace_stage_seconds",
                                              "Time of one step of a stage", "stage=\"admit\""),
          .execute_seconds = &metrics.histogram("millrace_stage_seconds",
                                                "Time of one step of a stage", "stage=\"execute\""),
          .mini_block_seconds = &metrics.histogram("millrace_mini_block_commit_seconds",
                                                   "From cut to durable and published"),
          .conflicts_locked = &conflict_counter(metrics, "locked"),
          .conflicts_read = &conflict_counter(metrics, "stale_read"),
          .conflicts_bound = &conflict_counter(metrics, "bound_violated"),
          .executed_alone = &metrics.counter("millrace_execution_alone_total",
                                             "Attempts for which all other commits waited"),
          .parent_hash_waits =
              &metrics.counter("millrace_parent_hash_waits_total",
                               "Transactions put aside until their block's parent has its hash"),
          .overdue_blocks =
              &metrics.counter("millrace_overdue_blocks_total",
                               "Blocks kept open beyond their time by the seal of the one before"),
          .held_back = &metrics.counter("millrace_held_back_total",
                                        "Looks for work that were in vain because roots are behind"),
          .seal_seconds = &metrics.histogram("millrace_block_seal_seconds",
                                             "From the close of a block to its durable seal")},
      stages_{.ingress = {metrics, "ingress"},
              .priority = {metrics, "ingress_priority"},
              .recovery = {metrics, "recovery"},
              .pool = {metrics, "pool"},
              .execution = {metrics, "execution"},
              .commit = {metrics, "commit"}} {
    for (const auto& [number, hash] : ledger.recent_block_hashes()) {
        builder_.add_block_hash(number, hash);
    }
}

Sequencer::~Sequencer() { stop(); }

void Sequencer::start() {
    ExecutorOptions executor;
    executor.worker_count = options_.execution_workers;
    executor.long_gas = options_.pool.long_gas;
    executor.completed = [this] { inbox_.wake(); };
    executor_ = std::make_unique<Executor>(executor, precompiles_, cells_, &shared_code_);
    running_.store(true, std::memory_order_relaxed);
    commit_thread_ = std::jthread([this] { run_committer(); });
    sequencer_thread_ = std::jthread([this] { run_sequencer(); });
}

void Sequencer::begin_stop() noexcept {
    stopping_.store(true, std::memory_order_release);
    ledger_.end_waiting();  // with a full disk the end is not waited for: recovery seals the block
    inbox_.wake();
}

void Sequencer::fail_pipeline() noexcept {
    // Intake first, so that nobody who sees the failure can still be taken in.
    stopping_.store(true, std::memory_order_release);
    failed_.store(true, std::memory_order_release);
    inbox_.wake();
}

void Sequencer::stop() {
    if (!sequencer_thread_.joinable()) { return; }
    begin_stop();
    sequencer_thread_.join();
    refuse_rest();  // what arrived after the thread's last look; this thread is the consumer now
    commit_stopping_.store(true, std::memory_order_release);
    commits_.wake();
    commit_thread_.join();
    ledger_.settle();  // its answers come to this object
    running_.store(false, std::memory_order_relaxed);
}

// --- Execution ---

void Sequencer::run_sequencer() {
    set_thread_name("mr-sequencer");
    bool going = open_block().has_value();
    while (going && !stopping_.load(std::memory_order_acquire)) {
        if (seal_ready() && !take_seal()) { break; }
        // A block that could not be closed in time has no deadline: a sign comes when it can.
        int64_t deadline = can_close() || !overdue_ ? block_deadline_us_ : wait_forever_us;
        // While the log is behind, its end of a mini-block gives a sign.
        if (builder_.uncut_count() != 0 && log_keeps_up()) {
            deadline = std::min(deadline, mini_deadline_us_);
        }
        // With nothing left for this thread a worker gives a sign when it is done.
        const bool held = held_back();
        if (held) { deadline = std::min(deadline, clock_.steady_us() + options_.mini_block_us); }
        const bool work_waits =
            executor_->ready() ||
            (!held &&
             (executor_->has_work() ||
              (executor_->has_room() && (can_dispatch_returned() || next_ready() != nullptr))));
        auto message = next_message();
        if (!message) { message = inbox_.pop_wait_until(work_waits ? 0 : deadline); }
        if (!message) { message = next_message(); }  // who pushes there only wakes
        // Into the pool before anything is executed, because only there what pays most goes first;
        // but arrivals must not keep execution and the clock waiting.
        const int64_t admit_until = clock_.steady_us() + 1'000;
        for (unsigned n = 1; message; ++n) {
            // A command may take long, an arrival does not.
            const bool look = n % 32 == 0 || std::holds_alternative<Command>(*message);
            handle(std::move(*message));
            const bool time_left = !look || clock_.steady_us() < admit_until;
            message = time_left ? next_message() : std::nullopt;
        }
        if (stopping_.load(std::memory_order_acquire)) {
            break;
        }  // also when a command met the end
        execute_ready(std::min(deadline, clock_.steady_us() + 2'000));
        const int64_t now = clock_.steady_us();
        if (builder_.uncut_count() != 0 &&
            ((now >= mini_deadline_us_ && log_keeps_up()) || mini_block_full())) {
            cut();
        }
        if (now >= block_deadline_us_) { going = turn_block().has_value(); }
    }
    // What was executed is sealed; what waits in the pool was never more than acknowledged as
    // pending.
    drain();
    if (!failed_.load(std::memory_order_acquire) && builder_.is_open() &&
        !builder_.awaits_parent()) {
        if (seal_block()) {
            if (const auto r = commit_and_wait([](Ledger& l) { return l.checkpoint(true); }); !r) {
                log::warn("no checkpoint was written; the next start replays the log",
                          {{"reason", r.error().message}});
            }
        }
    }
    executor_.reset();
    refuse_rest();
}

void Sequencer::refuse_rest() {
    const auto refuse_stopping = [](const Admit& a) {
        a.done(std::unexpected(Refusal{Refusal::Kind::stopping, {}, {}, {}}));
    };
    while (auto message = next_message()) {
        if (auto* a = std::get_if<Admit>(&*message)) {
            if (a->tx != nullptr) { refuse_stopping(*a); }
        } else {
            std::get<Command>(*message).run();
        }
    }
    while (auto held = held_.take_before(std::numeric_limits<uint64_t>::max())) {
        refuse_stopping(*held);
    }
}

std::optional<Sequencer::Message> Sequencer::next_message() noexcept {
    if (message_turns_++ % 4 != 3) {
        if (auto message = priority_inbox_.try_pop()) { return message; }
    }
    if (auto message = inbox_.try_pop()) { return message; }
    return priority_inbox_.try_pop();
}

void Sequencer::handle(Message message) {
    if (auto* a = std::get_if<Admit>(&message)) {
        take_arrival(std::move(*a));
    } else {
        std::get<Command>(message).run();
        gate_.set_pool(pool_.executable_count(), pool_.executable_bytes());
    }
}

AdmittedPtr Sequencer::next_ready() {
    return builder_.block_bytes() + set_aside_.bytes >= block_bytes_enough_
               ? nullptr
               : pool_.next(builder_.gas_left(), set_aside_.gas, executor_->has_room_for_long());
}

void Sequencer::drop_all(const std::vector<AdmittedPtr>& transactions, std::string_view reason) {
    if (pool_observer_ == nullptr) { return; }
    for (const AdmittedPtr& tx : transactions) { pool_observer_->on_dropped(tx, reason); }
}

void Sequencer::account_moved(const Address& sender, uint64_t nonce) {
    drop_all(pool_.account_changed(sender, nonce), evm::to_string(evm::TxError::nonce_too_low));
}

bool Sequencer::log_keeps_up() const noexcept {
    // Relaxed: when it is seen late, the sign comes after it.
    return cuts_under_way_.load(std::memory_order_relaxed) < cuts_under_way_max;
}

size_t Sequencer::waiting_for_root() const noexcept {
    // What is cut comes to the roots by way of the log. Relaxed: when it is seen late, the next
    // look comes soon.
    return ledger_.waiting_for_root() + cuts_under_way_.load(std::memory_order_relaxed);
}

bool Sequencer::held_back() const noexcept {
    const size_t waiting = waiting_for_root();
    if (waiting < roots_far_behind) { return false; }
    return waiting >= roots_behind_max || builder_.uncut_gas() > gas_of_cuts_ / 2;
}

bool Sequencer::mini_block_full() const noexcept {
    return builder_.uncut_count() >= options_.mini_block_transactions_max ||
           builder_.uncut_bytes() >= options_.mini_block_bytes_max;
}

void Sequencer::execute_ready(int64_t until_us) {
    tells_executed_ = pool_observer_ != nullptr && pool_observer_->wants_executed();
    bool any = true;
    while (any && !mini_block_full() && clock_.steady_us() < until_us) {
        const bool held = held_back();
        if (held) { metrics_.held_back->add(); }
        if (!held) { dispatch_ready(); }
        any = !held && executor_->execute_one();
        any = collect(until_us) || any;
    }
    tell_executed();
    gate_.set_pool(pool_.executable_count(), pool_.executable_bytes());
    publish_depths();
}

void Sequencer::publish_depths() noexcept {
    const auto show = [](metrics::Gauge& gauge, size_t count) {
        gauge.set(static_cast<int64_t>(count));
    };
    show(stages_.ingress.depth, gate_.count());
    show(stages_.priority.depth, priority_inbox_.size_approx());
    show(stages_.recovery.depth, offload_.queue_depth_jobs());
    show(stages_.pool.depth, pool_.size());
    show(*metrics_.pool_transactions, pool_.size());
    show(stages_.execution.depth, executor_->under_way());
    show(stages_.commit.depth, commits_.size_approx());
}

void Sequencer::note_executed(const ExecutedPtr& executed, uint64_t execute_ns) {
    if (builder_.uncut_count() == 1) {
        // After a pause nobody waits for a period to end: the first one is cut as soon as those
        // that arrived with it had their chance to come along.
        const int64_t gather_us = options_.mini_block_us / 16;
        mini_deadline_us_ =
            std::max(clock_.steady_us() + gather_us, last_cut_us_ + options_.mini_block_us);
    }
    const AdmittedTransaction& tx = *executed->admitted;
    if (tells_executed_) { untold_.push_back(executed); }
    pool_.executed(tx);
    // Not only the sender's moved, and the sender's perhaps further (EIP-7702).
    for (const auto& [address, nonce] : builder_.nonces_changed()) {
        account_moved(address, nonce);
    }
    changed_since_seal_ = true;
    metrics_.transactions->add();
    metrics_.gas->add(executed->gas_used);
    if (execute_ns != 0) {
        metrics_.execute_seconds->observe_us(execute_ns / 1000);
        statistics_.execute_ns += execute_ns;
        statistics_.timed_gas += executed->gas_used;
    }
}

void Sequencer::tell_executed() {
    if (untold_.empty()) { return; }
    pool_observer_->on_executed(builder_.block(), untold_);
    untold_.clear();
}

void Sequencer::note_rejected(const AdmittedPtr& tx, evm::TxError error) {
    const uint64_t nonce = cells_.account(tx->sender).merged.nonce;
    if (error == evm::TxError::fee_cap_below_base_fee ||
        (error == evm::TxError::nonce_too_high && nonce < tx->transaction.nonce)) {
        // It was given out for the block before, or its sender's chain has changed meanwhile: the
        // pool knows when it can run.
        pool_.returned(*tx);
        account_moved(tx->sender, nonce);
        return;
    }
    if (pool_.drop(*tx)) {
        metrics_.refused->add();
        stages_.execution.drops.add();
        drop_all({tx}, evm::to_string(error));
    }
    account_moved(tx->sender, nonce);
    const auto given_up = pool_.trim_gapped();
    stages_.pool.drops.add(given_up.size());
    drop_all(given_up, "too many transactions wait behind a missing nonce");
}

void Sequencer::execute_all_ready() {
    do {
        execute_ready(std::numeric_limits<int64_t>::max());
        drain();
        if (mini_block_full()) { cut(); }
        if (held_back()) { std::this_thread::sleep_for(std::chrono::microseconds(200)); }
    } while (next_ready() != nullptr && !stopping_.load(std::memory_order_acquire));
}

Sequencer::SetAside Sequencer::at_most(const AdmittedTransaction& tx) noexcept {
    // As in transaction_bytes_worst(): no log costs less than 8 gas for a byte of the receipt.
    constexpr uint64_t gas_per_log_byte = 8;
    constexpr size_t rest = 1024;
    const uint64_t gas = tx.transaction.gas_limit;
    return {gas, tx.raw.size() + static_cast<size_t>(gas / gas_per_log_byte) + rest};
}

void Sequencer::dispatch_ready() {
    while (executor_->has_room()) {
        if (can_dispatch_returned() && dispatch_returned()) { continue; }
        const AdmittedPtr tx = next_ready();
        if (tx == nullptr) { return; }
        if (!executor_->try_dispatch(tx)) { return; }
        end_stage(stages_.pool, *tx);
        pool_.under_way(*tx);
        set_aside_for(*tx);
    }
}

void Sequencer::set_aside_for(const AdmittedTransaction& tx) noexcept {
    const SetAside most = at_most(tx);
    set_aside_.gas += most.gas;
    set_aside_.bytes += most.bytes;
}

void Sequencer::release_set_aside(const AdmittedTransaction& tx) noexcept {
    const SetAside most = at_most(tx);
    set_aside_.gas -= most.gas;
    set_aside_.bytes -= most.bytes;
}

bool Sequencer::can_dispatch_returned() const noexcept {
    return has_returned() && (!returned_.empty() || executor_->has_room_for_long());
}

bool Sequencer::dispatch_front(std::deque<AdmittedPtr>& list) {
    const AdmittedPtr tx = list.front();
    const bool fits = builder_.gas_left() >= set_aside_.gas + tx->transaction.gas_limit &&
                      builder_.block_bytes() + set_aside_.bytes < block_bytes_enough_;
    if (fits && !executor_->try_dispatch(tx)) { return false; }
    list.pop_front();
    if (fits) {
        set_aside_for(*tx);
    } else {
        late_.erase(tx.get());
        pool_.returned(*tx);
    }
    return true;
}

bool Sequencer::dispatch_returned() {
    bool any = false;
    // One that is long must not hold up the others.
    while (!returned_long_.empty() && executor_->has_room_for_long()) {
        if (!dispatch_front(returned_long_)) { break; }
        any = true;
    }
    while (!returned_.empty()) {
        if (!dispatch_front(returned_)) { break; }
        any = true;
    }
    return any;
}

void Sequencer::settle(Completion& c) {
    if (c.kind == Completion::Kind::waits) {
        // Its sender's next ones stay behind it. Of the block it takes nothing: others need not
        // wait.
        release_set_aside(*c.transaction);
        if (late_.insert(c.transaction.get()).second) { metrics_.parent_hash_waits->add(); }
        (executor_->is_long(*c.transaction) ? returned_long_ : returned_)
            .push_back(std::move(c.transaction));
        return;
    }
    if (!late_.empty()) { late_.erase(c.transaction.get()); }
    release_set_aside(*c.transaction);
    end_stage(stages_.execution, *c.transaction);
    if (c.kind == Completion::Kind::executed) {
        // Beyond the limit there is at most one transaction, and that alone.
        if (builder_.uncut_count() != 0 &&
            builder_.uncut_bytes() + BlockBuilder::bytes_of(c.execution, c.published, c.reads) >
                options_.mini_block_bytes_max) {
            cut();
        }
        note_executed(builder_.add(std::move(c.execution), c.published, c.reads), c.execute_ns);
    } else {
        note_rejected(c.transaction, c.error);
    }
    c.transaction.reset();
}

void Sequencer::settle_and_cut(Completion& c) {
    settle(c);
    if (mini_block_full()) { cut(); }
}

bool Sequencer::collect(int64_t until_us) {
    bool any = false;
    while (Completion* c = executor_->take()) {
        if (c->kind == Completion::Kind::nothing) { continue; }
        any = true;
        settle(*c);
        if (mini_block_full() || clock_.steady_us() >= until_us) { break; }
    }
    return any;
}

void Sequencer::drain() {
    if (execution_paused_) { return; }
    // Without the hash of the parent, after a failure, those that wait for it are given up.
    const bool all = take_seal().has_value();
    for (Backoff backoff; executor_->under_way() != 0 || (all && has_returned());) {
        if (can_dispatch_returned()) { dispatch_returned(); }
        const bool any = executor_->execute_one();
        while (Completion* c = executor_->take()) {
            if (c->kind != Completion::Kind::nothing) { settle_and_cut(*c); }
        }
        if (!any) { backoff.wait(); }
    }
}

void Sequencer::count_conflicts() {
    const ExecutorStatistics now = executor_->statistics();
    metrics_.conflicts_locked->add(now.conflicts_locked - counted_.conflicts_locked);
    metrics_.conflicts_read->add(now.conflicts_read - counted_.conflicts_read);
    metrics_.conflicts_bound->add(now.conflicts_bound - counted_.conflicts_bound);
    metrics_.executed_alone->add(now.alone - counted_.alone);
    counted_ = now;
}

void Sequencer::pause_execution() {
    if (execution_paused_) { return; }
    executor_->close_block();
    for (Backoff backoff;; backoff.wait()) {
        Completion* c = executor_->take();
        if (c == nullptr || c->kind == Completion::Kind::nothing) { continue; }
        if (c->kind == Completion::Kind::boundary) { break; }
        settle_and_cut(*c);
    }
    executor_->rest();
    execution_paused_ = true;
    count_conflicts();
}

void Sequencer::resume_execution() {
    executor_->open_block(builder_.context());
    execution_paused_ = false;
}

void Sequencer::cut() {
    if (builder_.uncut_count() == 0) { return; }
    tell_executed();  // before anybody hears of the mini-block
    const int64_t start = clock_.steady_us();
    last_cut_us_ = start;
    const auto [m, accesses] = builder_.cut(next_mini_block_++, clock_.wall_us());
    gate_.executed(m->transactions.size(), start);
    metrics_.mini_blocks->add();
    ++statistics_.mini_blocks;
    if (waiting_for_root() < roots_far_behind) {
        gas_of_cuts_ = gas_of_cuts_ - gas_of_cuts_ / 8 + m->gas_used / 8;
    }
    Commit c;
    c.run = [m, accesses](Ledger& l) { return l.append_mini_block(m, *accesses); };
    c.on_failure = OnFailure::repeat_while_full;
    cuts_under_way_.fetch_add(1, std::memory_order_relaxed);
    c.done = [this, m, start](const Result<void>& r) {
        cuts_under_way_.fetch_sub(1, std::memory_order_relaxed);
        inbox_.wake();
        if (!r) { return; }
        const auto us = static_cast<uint64_t>(clock_.steady_us() - start);
        metrics_.mini_block_seconds->observe_us(us);
        stages_.commit.age.observe_us(us);
        pool_index_.published(m->transactions);
    };
    push_commit(std::move(c));
}

Result<void> Sequencer::close_block() {
    MILLRACE_ASSERT(!sealing_, "a block is closed after its parent is sealed");
    const int64_t start = clock_.steady_us();
    pause_execution();
    cut();
    auto closed = std::make_shared<ClosedBlock>(builder_.close());
    parent_ = Parent::of(*closed);
    auto promise = std::make_shared<std::promise<Result<FinishedPtr>>>();
    sealing_.emplace(Sealing{promise->get_future(), start, std::exchange(statistics_, {})});
    Commit c;
    c.run = [this, closed, promise](Ledger& l) {
        return l.append_close(*closed, [this, promise](const Result<FinishedPtr>& finished) {
            promise->set_value(finished);
            inbox_.wake();
        });
    };
    // The builder has closed the block: without its record there is no way on.
    c.on_failure = OnFailure::repeat_while_full;
    push_commit(std::move(c));
    if (cells_.cell_count() > options_.cells_max) {
        // Cells are forgotten only when all that they hold is in the store.
        MILLRACE_CHECK(commit_and_wait([](Ledger&) { return Result<void>{}; }));
    }
    cells_.rebase(ledger_.state().snapshot(), options_.cells_max);
    changed_since_seal_ = false;
    return {};
}

Result<void> Sequencer::turn_block() {
    if (!can_close()) {
        // Its parent's root takes longer than a block: this one goes on until its gas is used up,
        // and only then execution stands still.
        if (!std::exchange(overdue_, true)) { metrics_.overdue_blocks->add(); }
        return {};
    }
    MILLRACE_CHECK(close_block());
    MILLRACE_CHECK(open_block());
    if (sealing_) { sealing_->statistics.pause_us = clock_.steady_us() - sealing_->closed_us; }
    return {};
}

bool Sequencer::seal_ready() const {
    return sealing_ &&
           sealing_->finished.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
}

Result<void> Sequencer::take_seal() {
    if (!sealing_) { return {}; }
    Sealing sealing = *std::exchange(sealing_, std::nullopt);
    MILLRACE_TRY(const Result<FinishedPtr> made, committed(sealing.finished));
    if (!made) {
        // The committer ends the node.
        Commit failure;
        failure.run = [error = made.error()](Ledger&) -> Result<void> {
            return std::unexpected(error);
        };
        failure.on_failure = OnFailure::end_node;
        push_commit(std::move(failure));
        return std::unexpected(made.error());
    }
    const FinishedPtr& finished = *made;
    if (execution_paused_) {
        sealing.statistics.pause_us = clock_.steady_us() - sealing.closed_us;  // so far
    }
    storage::StateDelta opening;
    if (builder_.awaits_parent()) {
        // What comes before in the log does not know the hash, what comes after may.
        cut();
        opening = builder_.parent_sealed(finished->block->hash);
    }
    Commit c;
    c.run = [finished = finished, opening = std::move(opening)](Ledger& l) -> Result<void> {
        MILLRACE_CHECK(l.append_seal(finished, opening));
        const Result<void> checkpoint = l.checkpoint(false);
        if (checkpoint || checkpoint.error().code == ErrorCode::io ||
            checkpoint.error().code == ErrorCode::corrupt) {
            return checkpoint;
        }
        log::warn("checkpoint failed; the log keeps everything",
                  {{"reason", checkpoint.error().message}});
        return {};
    };
    c.on_failure = OnFailure::end_node;
    c.done = [this, closed_us = sealing.closed_us](const Result<void>& r) {
        if (!r) { return; }
        const int64_t now = clock_.steady_us();
        metrics_.blocks->add();
        metrics_.seal_seconds->observe_us(static_cast<uint64_t>(now - closed_us));
        last_seal_us_.store(now, std::memory_order_relaxed);
    };
    push_commit(std::move(c));
    head_ = finished->block;
    const evm::BlockHeader& h = head_->header;
    builder_.add_block_hash(h.number, head_->hash);
    const BlockStatistics& s = sealing.statistics;
    const auto ms = [](int64_t us) { return static_cast<double>(us) / 1e3; };
    log::info("block", {{"number", h.number},
                        {"txs", head_->transactions.size()},
                        {"mini_blocks", s.mini_blocks},
                        {"mgas", static_cast<double>(h.gas_used) / 1e6},
                        {"mgas_per_s", s.mgas_per_s()},
                        {"pause_ms", ms(s.pause_us)},
                        {"header_ms", ms(clock_.steady_us() - sealing.closed_us)},
                        {"pool", pool_.size()}});
    return {};
}

Result<void> Sequencer::seal_block() {
    MILLRACE_CHECK(take_seal());
    MILLRACE_CHECK(close_block());
    MILLRACE_CHECK(take_seal());
    return commit_and_wait([](Ledger&) { return Result<void>{}; });
}

Sequencer::Parent Sequencer::Parent::of(const SealedBlock& b) {
    const evm::BlockHeader& h = b.header;
    return {h.number,
            h.timestamp,
            h.base_fee_per_gas,
            h.gas_used,
            h.gas_limit,
            next_prev_randao(h.prev_randao, h.parent_hash, h.number, b.transactions,
                             b.mini_block_ends)};
}

Sequencer::Parent Sequencer::Parent::of(const ClosedBlock& b) {
    const OpenBlock& o = b.open;
    return {o.number,
            o.timestamp_s,
            o.base_fee_per_gas,
            b.gas_used,
            o.gas_limit,
            next_prev_randao(o.prev_randao, o.parent_hash, o.number, b.transactions,
                             b.mini_block_ends)};
}

Result<void> Sequencer::open_block() {
    const auto wall_s = static_cast<uint64_t>(clock_.wall_us() / 1'000'000 + time_offset_s_);
    OpenBlock open;
    open.number = parent_.number + 1;
    // Strictly increasing, whatever the wall clock does.
    open.timestamp_s = std::max(next_timestamp_s_.value_or(wall_s), parent_.timestamp_s + 1);
    next_timestamp_s_.reset();
    if (sealing_ && !builder_.can_open_before_parent(open.number, open.timestamp_s)) {
        MILLRACE_CHECK(take_seal());
    }
    open.parent_promised = sealing_.has_value();
    if (!sealing_) { open.parent_hash = head_->hash; }
    const evm::Rules rules = genesis_.spec.rules_at(open.number, open.timestamp_s);
    open.base_fee_per_gas = evm::next_base_fee(
        rules.base_fee, parent_.base_fee_per_gas.value_or(rules.base_fee.initial), parent_.gas_used,
        parent_.gas_limit);
    open.gas_limit = genesis_.block_gas_limit;
    open.coinbase = genesis_.coinbase;
    open.prev_randao = parent_.child_prev_randao;

    storage::StateDelta delta = builder_.open(open);
    Commit c;
    c.run = [open, delta = std::move(delta)](Ledger& l) { return l.append_open(open, delta); };
    c.on_failure = OnFailure::repeat_while_full;
    push_commit(std::move(c));
    pool_.begin_block(open.base_fee_per_gas);
    base_fee_.store(open.base_fee_per_gas.saturate64(), std::memory_order_relaxed);

    // The next seal falls on the next multiple of the block time on the wall clock; steady time
    // measures the way there, so a step of the wall clock moves one block at most.
    const int64_t now = clock_.steady_us();
    block_deadline_us_ = now + options_.block_us - clock_.wall_us() % options_.block_us;
    overdue_ = false;
    resume_execution();
    return {};
}

void Sequencer::push_commit(Commit commit) {
    while (!commits_.try_push(std::move(commit))) {
        // The log is behind by a whole ring: execution waits, which is the back-pressure.
        if (failed_.load(std::memory_order_acquire)) { return; }
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
}

Result<void> Sequencer::commit_and_wait(std::function<Result<void>(Ledger&)> run,
                                        OnFailure on_failure) {
    auto promise = std::make_shared<std::promise<Result<void>>>();
    auto future = promise->get_future();
    Commit c;
    c.run = std::move(run);
    c.on_failure = on_failure;
    c.done = [promise](Result<void> r) { promise->set_value(std::move(r)); };
    push_commit(std::move(c));
    MILLRACE_TRY(Result<void> r, committed(future));
    return r;
}

// --- Commitment ---

void Sequencer::run_committer() {
    set_thread_name("mr-commit");
    std::vector<std::pair<std::function<void(Result<void>)>, Result<void>>> done;
    auto repeat_while_full = [&](auto step) -> Result<void> {
        for (;;) {
            const Result<void> r = step();
            if (r || r.error().code != ErrorCode::limit) { return r; }
            if (!disk_full_.exchange(true, std::memory_order_relaxed)) {
                log::warn("disk full: no transactions are taken until there is room",
                          {{"reason", r.error().message}});
            }
            if (stopping_.load(std::memory_order_acquire)) { return r; }
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
    };
    while (!failed_.load(std::memory_order_acquire)) {
        auto c = commits_.pop_wait_until(wait_forever_us);
        if (!c) {
            if (commit_stopping_.load(std::memory_order_acquire)) { break; }
            continue;
        }
        Result<void> status{};
        // Everything that waits shares one flush.
        for (int n = 0; c && status; ++n) {
            Result<void> r = c->on_failure == OnFailure::repeat_while_full
                                 ? repeat_while_full([&] { return c->run(ledger_); })
                                 : c->run(ledger_);
            const bool fatal =
                !r && (c->on_failure != OnFailure::report || r.error().code == ErrorCode::io ||
                       r.error().code == ErrorCode::corrupt);
            if (fatal) { status = r; }
            if (c->done) { done.emplace_back(std::move(c->done), std::move(r)); }
            c = status && n < 64 ? commits_.try_pop() : std::nullopt;
        }
        if (status) {
            status = repeat_while_full([&] { return ledger_.flush(); });
        }
        if (status && disk_full_.exchange(false, std::memory_order_relaxed)) {
            log::info("disk has room again");
        }
        // Before anybody hears of it: the sequencer must not go on with a block that is not there.
        if (!status) {
            stages_.commit.drops.add(done.size() + commits_.size_approx());
            fail_pipeline();
        }
        for (auto& [f, r] : done) { f(status ? std::move(r) : status); }
        done.clear();
        if (!status) {
            if (status.error().code == ErrorCode::limit) {
                log::warn("the node ends with a full disk; what was not acknowledged is lost",
                          {{"reason", status.error().message}});
            } else {
                log::error("the pipeline cannot go on; the node stops",
                           {{"reason", status.error().message}});
                on_fatal_(status.error());
            }
        }
    }
}

}  // namespace millrace::sequencer
