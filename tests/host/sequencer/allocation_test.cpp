// SPDX-License-Identifier: Apache-2.0
// Owns the count of the heap allocations that a transaction costs a running sequencer, by thread.
//
// With MILLRACE_ALLOCATION_STACKS=N in the environment it also prints the N most frequent places,
// as addresses for addr2line -Cfpie.
#include <execinfo.h>
#include <gtest/gtest.h>
#include <link.h>
#include <pthread.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <map>
#include <mutex>
#include <string>

#include "evm/precompiles/standard.hpp"
#include "host/base/log.hpp"
#include "host/sequencer/executor/execution.hpp"
#include "host/sequencer/sequencer.hpp"
#include "tests/host/sequencer/test_chain.hpp"
#include "tests/storage/scratch_directory.hpp"

// A sanitizer has the allocator for itself.
#if defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || \
    __has_feature(memory_sanitizer)
#define MILLRACE_ALLOCATIONS_COUNTED 0
#endif
#endif
#ifndef MILLRACE_ALLOCATIONS_COUNTED
#define MILLRACE_ALLOCATIONS_COUNTED 1
#endif

namespace millrace::sequencer::test {
namespace {

constexpr size_t threads_max = 256;
constexpr int frames_max = 24;

/// Of one thread, for as long as the process lives: nothing here allocates.
struct ThreadCount {
    char name[16] = {};
    std::atomic<uint64_t> allocations{0};
    std::atomic<uint64_t> bytes{0};
};
/// Of one place in the code. `hash` is zero while the entry is free.
struct Place {
    std::atomic<uint64_t> hash{0};
    std::atomic<uint64_t> count{0};
    int frame_count = 0;
    void* frames[frames_max] = {};
    char thread[16] = {};
};

std::array<ThreadCount, threads_max> thread_counts;
std::atomic<size_t> thread_count{0};
std::array<Place, 4096> places;
std::atomic<bool> counting{false};
bool with_stacks = false;  // set before any other thread runs

#if MILLRACE_ALLOCATIONS_COUNTED
thread_local ThreadCount* own_count = nullptr;
thread_local bool inside = false;

void note_place(const char* thread) noexcept {
    void* frames[frames_max];
    const int n = backtrace(frames, frames_max);
    uint64_t hash = 1469598103934665603u;
    for (int i = 0; i < n; ++i) {
        hash = (hash ^ reinterpret_cast<uintptr_t>(frames[i])) * 1099511628211u;
    }
    for (size_t probe = 0; probe < places.size(); ++probe) {
        Place& p = places[(hash + probe) % places.size()];
        uint64_t free = 0;
        if (p.hash.compare_exchange_strong(free, hash)) {
            p.frame_count = n;
            std::copy_n(frames, n, p.frames);
            std::copy_n(thread, sizeof p.thread, p.thread);
        } else if (free != hash) {
            continue;
        }
        p.count.fetch_add(1);
        return;
    }
}

void note_allocation(size_t bytes) noexcept {
    if (!counting.load(std::memory_order_relaxed) || inside) { return; }
    inside = true;
    if (own_count == nullptr) {
        const size_t place = std::min(thread_count.fetch_add(1), threads_max - 1);
        own_count = &thread_counts[place];
        pthread_getname_np(pthread_self(), own_count->name, sizeof own_count->name);
    }
    own_count->allocations.fetch_add(1, std::memory_order_relaxed);
    own_count->bytes.fetch_add(bytes, std::memory_order_relaxed);
    if (with_stacks) { note_place(own_count->name); }
    inside = false;
}
#endif

}  // namespace
}  // namespace millrace::sequencer::test

#if MILLRACE_ALLOCATIONS_COUNTED
// The program's own definitions come before the library's, for operator new as well, which calls
// them.
extern "C" {
void* __libc_malloc(size_t);
void* __libc_calloc(size_t, size_t);
void* __libc_realloc(void*, size_t);
void* __libc_memalign(size_t, size_t);

void* malloc(size_t n) {
    millrace::sequencer::test::note_allocation(n);
    return __libc_malloc(n);
}
void* calloc(size_t n, size_t each) {
    millrace::sequencer::test::note_allocation(n * each);
    return __libc_calloc(n, each);
}
void* realloc(void* p, size_t n) {
    millrace::sequencer::test::note_allocation(n);
    return __libc_realloc(p, n);
}
void* aligned_alloc(size_t alignment, size_t n) {
    millrace::sequencer::test::note_allocation(n);
    return __libc_memalign(alignment, n);
}
int posix_memalign(void** p, size_t alignment, size_t n) {
    millrace::sequencer::test::note_allocation(n);
    *p = __libc_memalign(alignment, n);
    return *p == nullptr ? ENOMEM : 0;
}
}
#endif

namespace millrace::sequencer::test {
namespace {

constexpr uint64_t sender_count = 64;
constexpr size_t mini_block_transactions = 500;
constexpr size_t mini_blocks = 20;
constexpr auto patience = std::chrono::seconds(30);

/// Counts what is durable; allocates nothing.
class DurableCount final : public ChainObserver {
public:
    void on_mini_block(const MiniBlockPtr& m) override {
        const std::lock_guard lock{mutex_};
        count_ += m->transactions.size();
        for (const ExecutedPtr& t : m->transactions) { succeeded_ += t->receipt.success ? 1 : 0; }
        changed_.notify_all();
    }
    void on_sealed(const SealedPtr&) override {}
    void on_reverted(uint64_t, const std::vector<SealedPtr>&,
                     const std::vector<MiniBlockPtr>&) override {}
    /// Whether so many are durable, and all of them succeeded.
    bool wait_for(size_t count) {
        std::unique_lock lock{mutex_};
        return changed_.wait_for(lock, patience, [&] { return count_ >= count; }) &&
               succeeded_ == count_;
    }

private:
    std::mutex mutex_;  // guards everything below
    std::condition_variable changed_;
    size_t count_ = 0;
    size_t succeeded_ = 0;
};

/// Allocations and bytes by the name of the thread, without the number at its end.
std::map<std::string, std::pair<double, double>> counts_by_thread() {
    std::map<std::string, std::pair<double, double>> out;
    for (size_t i = 0; i < std::min(thread_count.load(), threads_max); ++i) {
        const ThreadCount& c = thread_counts[i];
        std::string name = c.name;
        name.resize(name.find_last_not_of("-0123456789") + 1);
        out[name].first += static_cast<double>(c.allocations.load());
        out[name].second += static_cast<double>(c.bytes.load());
    }
    return out;
}

void reset_counts() {
    for (ThreadCount& c : thread_counts) {
        c.allocations = 0;
        c.bytes = 0;
    }
    for (Place& p : places) { p.count = 0; }
}

void print_places(size_t most, double transactions) {
    std::vector<const Place*> list;
    for (const Place& p : places) {
        if (p.count != 0) { list.push_back(&p); }
    }
    std::ranges::sort(list, [](const Place* a, const Place* b) { return a->count > b->count; });
    if (list.size() > most) { list.resize(most); }
    const uintptr_t base = _r_debug.r_map->l_addr;
    for (const Place* p : list) {
        std::printf("%8.3f %-16s", static_cast<double>(p->count) / transactions, p->thread);
        for (int i = 0; i < p->frame_count; ++i) {
            std::printf(" %zx", reinterpret_cast<uintptr_t>(p->frames[i]) - base);
        }
        std::printf("\n");
    }
}

class Allocations : public testing::TestWithParam<uint32_t> {};
INSTANTIATE_TEST_SUITE_P(Workers, Allocations, testing::Values(1u, 2u),
                         [](const auto& p) { return std::to_string(p.param); });

/// Transfers between accounts that the warm-up has touched. What is counted is the whole process
/// less ingress, whose work is done before: transactions come admitted.
TEST_P(Allocations, OfATransferInSteadyStateStayBelowTheirBounds) {
    if (MILLRACE_ALLOCATIONS_COUNTED == 0) { GTEST_SKIP() << "a sanitizer owns the allocator"; }
    const char* stacks = std::getenv("MILLRACE_ALLOCATION_STACKS");
    with_stacks = stacks != nullptr;
    void* first[1];
    (void)backtrace(first, 1);  // loads the unwinder, which allocates
    log::configure({log::Level::warn, log::Format::terminal});

    constexpr size_t count = mini_blocks * mini_block_transactions;
    Genesis genesis = make_genesis({.accounts = 0, .block_gas_limit = 10'000'000'000});
    for (uint64_t i = 0; i < sender_count; ++i) {
        add_account(genesis.state, stranger(i), U256{1000} * ether);
    }
    genesis.state.sort();
    std::vector<AdmittedPtr> transactions;
    for (size_t i = 0; i < 2 * count; ++i) {
        transactions.push_back(unsigned_of(
            stranger(i % sender_count),
            transfer_transaction(i / sender_count, stranger((i * 7 + 3) % sender_count), U256{1})));
    }

    storage::ScratchDirectory scratch;
    const auto fs = storage::make_posix_file_system();
    const evm::StandardPrecompiles precompiles;
    metrics::Registry registry;
    kernels::OffloadOptions offload_options;
    offload_options.worker_count = 1;
    offload_options.cuda = kernels::CudaPolicy::off;
    const auto offload = std::move(*kernels::OffloadEngine::create(offload_options));
    LedgerOptions ledger_options;
    ledger_options.path = scratch.path() + "/node";
    ledger_options.commitment = "memory";
    ledger_options.checkpoint_every_records = 0;
    auto opened = Ledger::open(*fs, ledger_options, genesis, precompiles, registry);
    ASSERT_TRUE(opened.has_value()) << opened.error().message;
    Ledger& ledger = **opened;
    SequencerOptions options;
    options.execution_workers = GetParam();
    options.mini_block_transactions_max = mini_block_transactions;
    options.block_us = 600'000'000;  // no seal while we count
    DurableCount durable;
    Sequencer sequencer{
        options, genesis, precompiles, ledger, *offload, registry, [](const Error& e) {
            ADD_FAILURE() << e.message;
        }};
    ledger.view().add_observer(&durable);
    sequencer.start();

    const auto feed = [&](size_t from, size_t to) {
        for (size_t i = from; i < to; ++i) {
            sequencer.submit_admitted(transactions[i], [](const auto& r) {
                EXPECT_TRUE(r.has_value()) << (r ? "" : to_string(r.error()));
            });
        }
        return durable.wait_for(to);
    };
    ASSERT_TRUE(feed(0, count));
    {
        // Nothing is sealed here, so nothing leaves the view: these stand for what blocks that left
        // it before would have dropped.
        std::vector<std::shared_ptr<ExecutedTransaction>> left;
        for (size_t i = 0; i < count; ++i) { left.push_back(new_executed()); }
    }
    reset_counts();
    counting.store(true);
    const bool all_done = feed(count, 2 * count);
    counting.store(false);
    const auto counts = counts_by_thread();
    offload->shutdown();
    sequencer.stop();
    ledger.view().remove_observer(&durable);
    ASSERT_TRUE(all_done);

    std::printf("%u workers, for each of %zu transfers:\n", GetParam(), count);
    for (const auto& [name, c] : counts) {
        std::printf("  %-16s %7.2f allocations %9.1f bytes\n", name.c_str(), c.first / count,
                    c.second / count);
    }
    if (stacks != nullptr) { print_places(std::strtoul(stacks, nullptr, 10), count); }
    const auto of = [&](const char* name) {
        const auto at = counts.find(name);
        return at == counts.end() ? 0.0 : at->second.first / count;
    };
    // None for a transaction; a mini-block has some, and lists of the block in progress grow.
    EXPECT_GT(of("mr-sequencer"), 0) << "nothing was counted";
    EXPECT_LT(of("mr-sequencer"), 0.25);
    EXPECT_LT(of("mr-exec"), 0.25);
    EXPECT_LT(of("mr-commit"), 0.25);
}

}  // namespace
}  // namespace millrace::sequencer::test
