// SPDX-License-Identifier: Apache-2.0
// Owns the computation of roots beside the log.
#include "host/sequencer/ledger/sealer.hpp"

#include <chrono>
#include <limits>
#include <string>
#include <utility>

#include "host/base/clock.hpp"
#include "host/base/thread.hpp"
#include "host/sequencer/chain_view.hpp"
#include "host/sequencer/executor/block_builder.hpp"

namespace millrace::sequencer {
namespace {

constexpr int64_t wait_forever_us = int64_t{1} << 60;
constexpr auto states_wait_max = std::chrono::seconds(5);

}  // namespace

FinishedPtr finish_block(ClosedBlock block, const Hash256& state_root, evm::HashBatch& hash) {
    auto stored = std::make_shared<storage::StoredBlock>();
    const std::vector<ByteView> receipts = store_transactions(block.transactions, *stored);
    auto sealed = std::make_shared<SealedBlock>();
    sealed->header = make_header(block, state_root, receipts, hash);
    sealed->hash = evm::header_hash(sealed->header);
    sealed->transactions = std::move(block.transactions);
    sealed->mini_block_ends = std::move(block.mini_block_ends);
    sealed->first_mini_block_number = block.first_mini_block_number;
    auto finished = std::make_shared<FinishedBlock>();
    store_header(*sealed, *stored);
    finished->stored = std::move(stored);
    finished->block = std::move(sealed);
    return finished;
}

Sealer::Sealer(std::unique_ptr<storage::BlockCommitment> commitment, evm::HashBatch& hash,
               Options options)
    : commitment_(std::move(commitment)),
      hash_(hash),
      options_(std::move(options)),
      room_([this] { return stopping_.load(std::memory_order_acquire) || options_.ending(); }),
      inbox_(capacity) {
    note_committed();
    thread_ = std::jthread([this] { run(); });
}

Sealer::~Sealer() {
    stopping_.store(true, std::memory_order_release);
    inbox_.wake();
}

void Sealer::push(Message message) {
    while (!inbox_.try_push(std::move(message))) {
        std::this_thread::sleep_for(std::chrono::microseconds(200));
    }
}

void Sealer::apply(std::shared_ptr<const storage::StateDelta> delta) { push(std::move(delta)); }

void Sealer::close(ClosedBlock block, std::shared_ptr<const storage::StateSnapshot> before,
                   FinishedDone done) {
    push(Close{std::move(block), std::move(before), std::move(done)});
}

void Sealer::commit() { push(Commit{}); }
void Sealer::prune() { push(Prune{}); }

Result<void> Sealer::roll_back(uint64_t number, std::shared_ptr<const storage::StateDelta> delta) {
    RollBack back{number, std::move(delta), {}};
    auto done = back.done.get_future();
    push(std::move(back));
    return done.get();
}

bool Sealer::try_run(std::function<void()> work) { return inbox_.try_push(std::move(work)); }

Result<storage::CommittedStatesPtr> Sealer::states(uint64_t block) {
    std::shared_future<States> answer;
    {
        const std::lock_guard lock(states_mutex_);
        if (states_ != nullptr && states_->newest_block() >= block) { return states_; }
        if (!asked_.valid()) {
            AskStates ask;
            auto future = ask.promise.get_future().share();
            if (!inbox_.try_push(std::move(ask))) {
                return fail(ErrorCode::limit, "too many changes of the state are under way");
            }
            asked_ = std::move(future);
        }
        answer = asked_;
    }
    if (answer.wait_for(states_wait_max) != std::future_status::ready) {
        return fail(ErrorCode::timeout, "the state engine is busy for long; try again");
    }
    try {
        MILLRACE_TRY(const auto states, answer.get());
        if (states->newest_block() >= block) { return states; }
    } catch (const std::future_error&) {
        return fail(ErrorCode::unavailable, "the node is stopping");
    }
    return fail(ErrorCode::conflict, "block " + std::to_string(block) + " was taken back");
}

void Sealer::settle() {
    std::promise<void> reached;
    std::future<void> future = reached.get_future();
    push(std::move(reached));
    future.wait();
}

bool Sealer::has_durably(uint64_t number) const noexcept {
    return number < durable_end_.load(std::memory_order_acquire);
}

Result<void> Sealer::status() const {
    // Acquire: the error was written before.
    if (!failed_.load(std::memory_order_acquire)) { return {}; }
    return std::unexpected(error_);
}

void Sealer::note_committed() {
    if (options_.memory_guard != nullptr) { options_.memory_guard->note(commitment_->memory()); }
    const auto committed = commitment_->committed();
    durable_end_.store(!commitment_->durable() ? ~uint64_t{0}
                       : committed             ? committed->number + 1
                                               : 0,
                       std::memory_order_release);
    if (options_.oldest_block != nullptr) {
        options_.oldest_block->set(static_cast<int64_t>(commitment_->oldest_block()));
    }
}

Result<void> Sealer::keep(Result<void> r) {
    if (!r && !failed_.load(std::memory_order_relaxed)) {
        error_ = r.error();
        failed_.store(true, std::memory_order_release);
    }
    return r;
}

void Sealer::handle(std::shared_ptr<const storage::StateDelta>& delta) {
    if (status()) { (void)keep(commitment_->apply(*delta)); }
}

void Sealer::handle(Close& c) {
    if (auto r = status(); !r) { return c.done(std::unexpected(r.error())); }
    if (options_.before_root) { options_.before_root(); }
    const SystemClock clock;
    const int64_t start = clock.steady_us();
    const auto root = room_.repeat("close the block in the state engine", [&] {
        return commitment_->close(c.block.open.number, *c.before);
    });
    if (!root) {
        (void)keep(std::unexpected(root.error()));
        return c.done(std::unexpected(root.error()));
    }
    if (options_.root_seconds != nullptr) {
        options_.root_seconds->observe_us(static_cast<uint64_t>(clock.steady_us() - start));
    }
    c.done(finish_block(std::move(c.block), *root, hash_));
}

void Sealer::handle(Commit&) {
    if (!status()) { return; }
    const SystemClock clock;
    const int64_t start = clock.steady_us();
    (void)keep(room_.repeat("commit the block to the state engine",
                            [&] { return commitment_->commit(); }));
    if (options_.commit_seconds != nullptr) {
        options_.commit_seconds->observe_us(static_cast<uint64_t>(clock.steady_us() - start));
    }
    note_committed();
    drop_states(clock.steady_us() - options_.states_kept_us);
}

void Sealer::handle(Prune&) {
    if (status()) { (void)keep(commitment_->prune()); }
    note_committed();
}

void Sealer::handle(RollBack& back) {
    Result<void> r = status();
    if (r) {
        r = keep(room_.repeat("go back in the state engine",
                              [&] { return commitment_->roll_back(back.number, *back.delta); }));
        note_committed();
        drop_states(std::numeric_limits<int64_t>::max());
    }
    back.done.set_value(std::move(r));
}

void Sealer::handle(std::promise<void>& reached) { reached.set_value(); }

void Sealer::handle(std::function<void()>& work) { work(); }

void Sealer::handle(AskStates& ask) { asks_.push_back(std::move(ask)); }

void Sealer::answer_asks() {
    if (asks_.empty()) { return; }
    auto states = [&]() -> States {
        MILLRACE_CHECK(status());
        return commitment_->states();
    }();
    // Between close and commit there is nothing to give; after the commit there is.
    if (!states && states.error().code == ErrorCode::conflict) { return; }
    storage::CommittedStatesPtr before;  // destroyed after the lock
    {
        const SystemClock clock;
        const std::lock_guard lock(states_mutex_);
        asked_ = {};
        if (states) {
            before = std::exchange(states_, *states);
            states_since_us_ = clock.steady_us();
        }
    }
    for (AskStates& ask : asks_) { ask.promise.set_value(states); }
    asks_.clear();
}

/// Those taken before that time.
void Sealer::drop_states(int64_t older_than_us) {
    storage::CommittedStatesPtr dropped;  // destroyed after the lock
    const std::lock_guard lock(states_mutex_);
    if (states_ != nullptr && states_since_us_ < older_than_us) { dropped.swap(states_); }
}

void Sealer::run() {
    set_thread_name("mr-root");
    while (!stopping_.load(std::memory_order_acquire)) {
        auto message = inbox_.pop_wait_until(wait_forever_us);
        if (!message) { continue; }
        std::visit([this](auto& m) { handle(m); }, *message);
        answer_asks();
    }
}

}  // namespace millrace::sequencer
