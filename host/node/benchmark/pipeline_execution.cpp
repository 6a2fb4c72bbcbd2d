// SPDX-License-Identifier: Apache-2.0
// Owns the driving of cells, builder and executor outside a sequencer; nothing else of the
// pipeline's measurement touches them.
#include "host/node/benchmark/pipeline_execution.hpp"

#include <algorithm>
#include <deque>
#include <limits>
#include <optional>
#include <unordered_map>

#include "host/base/clock.hpp"
#include "host/base/ring.hpp"
#include "host/node/benchmark/cpu_time.hpp"
#include "host/sequencer/executor/block_builder.hpp"
#include "host/sequencer/executor/executor.hpp"
#include "host/sequencer/executor/shared_code.hpp"
#include "kernels/bench/clocks.hpp"

namespace millrace::node {
namespace {

using sequencer::AdmittedPtr;
using sequencer::Completion;
using sequencer::ExecutedPtr;

constexpr size_t none = std::numeric_limits<size_t>::max();

double us_of(int64_t ns) { return static_cast<double>(ns) / 1e3; }

/// The order in which transactions may run: each after the one before it of its sender.
class Chains {
public:
    explicit Chains(std::span<const AdmittedPtr> transactions)
        : transactions_(transactions),
          before_(transactions.size(), none),
          after_(transactions.size(), none),
          done_(transactions.size()) {
        std::unordered_map<Address, size_t> last;
        for (size_t i = 0; i < transactions.size(); ++i) {
            const auto [at, first] = last.try_emplace(transactions[i]->sender, i);
            if (!first) {
                before_[i] = at->second;
                after_[at->second] = i;
                at->second = i;
            }
        }
    }

    /// The next one that may run, or `none` for now. It is under way then, until put_back(), done()
    /// or refused().
    size_t next() {
        const size_t i = choose();
        if (i != none) { under_way_.emplace_back(transactions_[i].get(), i); }
        return i;
    }
    void put_back(size_t i) {
        (void)take(transactions_[i].get());
        ready_.push_front(i);
    }
    /// `tx` was executed.
    void done(const sequencer::AdmittedTransaction* tx) {
        const size_t i = take(tx);
        done_[i] = true;
        ++done_count_;
        if (after_[i] < at_) { ready_.push_back(after_[i]); }
    }
    void refused(const sequencer::AdmittedTransaction* tx) { refused_.push_back(take(tx)); }
    /// When nothing else can run: takes up what was refused, if something was done since the last
    /// time.
    bool retry() {
        if (refused_.empty() || done_count_ == done_at_retry_) { return false; }
        done_at_retry_ = done_count_;
        std::ranges::sort(refused_);
        ready_.insert(ready_.end(), refused_.begin(), refused_.end());
        refused_.clear();
        return true;
    }
    size_t left() const noexcept { return before_.size() - done_count_; }

private:
    size_t choose() {
        if (!ready_.empty()) {
            const size_t i = ready_.front();
            ready_.pop_front();
            return i;
        }
        while (at_ < before_.size()) {
            const size_t i = at_++;
            if (before_[i] == none || done_[before_[i]]) { return i; }
        }
        return none;
    }
    /// Few are under way, so looking at all of them is quick.
    size_t take(const sequencer::AdmittedTransaction* tx) {
        const auto at = std::ranges::find(under_way_, tx, &UnderWay::first);
        const size_t i = at->second;
        *at = under_way_.back();
        under_way_.pop_back();
        return i;
    }

    using UnderWay = std::pair<const sequencer::AdmittedTransaction*, size_t>;
    std::span<const AdmittedPtr> transactions_;
    std::vector<UnderWay> under_way_;
    std::vector<size_t> before_;  ///< of the same sender
    std::vector<size_t> after_;
    std::vector<bool> done_;
    std::deque<size_t> ready_;
    std::vector<size_t> refused_;
    size_t at_ = 0;
    size_t done_count_ = 0;
    size_t done_at_retry_ = none;
};

/// The parts of a sequencer that execute, over a state of their own.
class Machine {
public:
    Machine(const PipelineBlock& block, const evm::PrecompileSet& precompiles)
        : block_(block),
          precompiles_(precompiles),
          store_(loaded(block.state)),
          shared_code_(sequencer::SharedCodeStore::default_bytes_max, block.native_tier),
          cells_(store_->snapshot()),
          builder_(block.spec, precompiles, cells_, &shared_code_) {
        for (const auto& [number, hash] : block.block_hashes) {
            builder_.add_block_hash(number, hash);
        }
        out_.opening = builder_.open(block.open);
    }

    PipelineExecution run(uint32_t workers) {
        Chains chains{block_.transactions};
        if (workers == 0) {
            timed([&] { run_here(chains); });
        } else {
            Mailbox<char> bell{2};
            sequencer::ExecutorOptions options;
            options.worker_count = workers;
            options.completed = [&bell] { bell.wake(); };
            sequencer::Executor executor{options, precompiles_, cells_, &shared_code_};
            executor.open_block(builder_.context());
            timed([&] { run_workers(executor, chains, bell); });
            // The closing operations are the owner's, between two blocks.
            executor.close_block();
            for (const Completion* c = nullptr;
                 c == nullptr || c->kind != Completion::Kind::boundary;) {
                c = executor.take();
            }
            executor.rest();
            const sequencer::ExecutorStatistics s = executor.statistics();
            out_.conflicts = {s.conflicts_locked, s.conflicts_read, s.conflicts_bound, s.alone};
            out_.closed = builder_.close();
        }
        if (workers == 0) { out_.closed = builder_.close(); }
        out_.not_included = chains.left();
        return std::move(out_);
    }

private:
    static std::unique_ptr<storage::StateStore> loaded(const storage::StateDelta& state) {
        auto store = storage::make_memory_state_store();
        const auto applied = store->apply(1, state);
        MILLRACE_ASSERT(applied.has_value(), "a genesis state is canonical");
        return store;
    }

    template <class F>
    void timed(F work) {
        const int64_t wall = kernel_bench::wall_ns();
        const int64_t cpu = kernel_bench::process_cpu_ns();
        const int64_t own = thread_cpu_ns();
        work();
        cut();
        out_.owner_cpu_us = us_of(thread_cpu_ns() - own);
        out_.cpu_us = us_of(kernel_bench::process_cpu_ns() - cpu);
        out_.wall_us = us_of(kernel_bench::wall_ns() - wall);
    }

    void run_here(Chains& chains) {
        for (;;) {
            const size_t i = chains.next();
            if (i == none) {
                if (!chains.retry()) { return; }
                continue;
            }
            const AdmittedPtr& tx = block_.transactions[i];
            if (builder_.execute(tx)) {
                chains.done(tx.get());
                cut_when_full();
            } else {
                chains.refused(tx.get());
            }
        }
    }

    /// As the sequencer's loop: gives out what there is room for, executes, takes what is done, and
    /// sleeps when there is nothing of these.
    void run_workers(sequencer::Executor& executor, Chains& chains, Mailbox<char>& bell) {
        const SystemClock clock;
        for (;;) {
            dispatch(executor, chains);
            bool any = executor.execute_one();
            while (Completion* c = executor.take()) {
                if (c->kind == Completion::Kind::nothing) { continue; }
                any = true;
                settle(*c, chains);
                cut_when_full();
            }
            if (any) { continue; }
            if (executor.under_way() == 0) {
                if (!chains.retry()) { return; }
                continue;
            }
            if (executor.has_work()) { continue; }
            constexpr int64_t patience_us = 1000;
            (void)bell.pop_wait_until(executor.ready() ? 0 : clock.steady_us() + patience_us);
        }
    }

    void dispatch(sequencer::Executor& executor, Chains& chains) {
        while (executor.has_room()) {
            const size_t i = chains.next();
            if (i == none) { return; }
            const AdmittedPtr& tx = block_.transactions[i];
            // What is under way must fit into the block whatever it uses.
            const uint64_t gas = tx->transaction.gas_limit;
            if (gas > builder_.gas_left() - gas_set_aside_) {
                if (gas > builder_.gas_left()) {
                    chains.refused(tx.get());
                    continue;
                }
                chains.put_back(i);
                return;
            }
            // A long one that there is no room for keeps its place: here nothing overtakes it.
            if (!executor.try_dispatch(tx)) {
                chains.put_back(i);
                return;
            }
            gas_set_aside_ += gas;
        }
    }

    void settle(Completion& c, Chains& chains) {
        gas_set_aside_ -= c.transaction->transaction.gas_limit;
        if (c.kind == Completion::Kind::executed) {
            builder_.add(std::move(c.execution), c.published, c.reads);
            chains.done(c.transaction.get());
        } else {
            chains.refused(c.transaction.get());
        }
        c.transaction.reset();
    }

    void cut_when_full() {
        if (builder_.uncut_count() >= block_.mini_block_transactions) { cut(); }
    }
    void cut() {
        if (builder_.uncut_count() == 0) { return; }
        const int64_t start = thread_cpu_ns();
        out_.mini_blocks.push_back(builder_.cut(out_.mini_blocks.size() + 1, 0));
        out_.cut_cpu_us += us_of(thread_cpu_ns() - start);
    }

    const PipelineBlock& block_;
    const evm::PrecompileSet& precompiles_;
    std::unique_ptr<storage::StateStore> store_;
    sequencer::SharedCodeStore shared_code_;
    sequencer::CellTable cells_;
    sequencer::BlockBuilder builder_;
    uint64_t gas_set_aside_ = 0;  ///< of what is under way
    PipelineExecution out_;
};

/// Everything that the block changed, in one.
storage::StateDelta effect_of(const PipelineExecution& e) {
    storage::StateDelta all = e.opening;
    for (const auto& c : e.mini_blocks) { all = storage::merge(all, c.mini_block->post_values); }
    return storage::merge(all, e.closed.post_values);
}

}  // namespace

PipelineExecution execute_block(const PipelineBlock& block, const evm::PrecompileSet& precompiles,
                                uint32_t workers) {
    return Machine(block, precompiles).run(workers);
}

Result<void> check_execution(const PipelineBlock& block, const evm::PrecompileSet& precompiles,
                             const PipelineExecution& execution) {
    const auto& executed = execution.closed.transactions;
    std::vector<AdmittedPtr> in_order;
    in_order.reserve(executed.size());
    for (const ExecutedPtr& t : executed) { in_order.push_back(t->admitted); }
    PipelineBlock again = block;
    again.transactions = in_order;
    again.native_tier = nullptr;
    const PipelineExecution serial = execute_block(again, precompiles, 0);
    if (serial.closed.transactions.size() != executed.size()) {
        return fail(ErrorCode::corrupt, "one after the other, not all that was executed is valid");
    }
    for (size_t i = 0; i < executed.size(); ++i) {
        const sequencer::ExecutedTransaction& a = *executed[i];
        const sequencer::ExecutedTransaction& b = *serial.closed.transactions[i];
        if (a.admitted != b.admitted || a.gas_used != b.gas_used ||
            evm::encode_receipt(a.receipt) != evm::encode_receipt(b.receipt)) {
            return fail(ErrorCode::corrupt,
                        "transaction " + std::to_string(i) +
                            " of the block did something else than one after the other");
        }
    }
    if (execution.closed.gas_used != serial.closed.gas_used ||
        effect_of(execution) != effect_of(serial)) {
        return fail(ErrorCode::corrupt, "the state differs from that of a serial execution");
    }
    return {};
}

Result<std::unique_ptr<storage::StateStore>> state_after(const PipelineBlock& block,
                                                         const PipelineExecution& execution) {
    auto store = storage::make_memory_state_store();
    MILLRACE_CHECK(store->apply(1, block.state));
    MILLRACE_CHECK(store->apply(2, effect_of(execution)));
    return store;
}

}  // namespace millrace::node
