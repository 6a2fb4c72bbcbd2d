// SPDX-License-Identifier: Apache-2.0
// Owns the sequencer with its real threads that the tests of the pipeline run, and what it tells
// its observers.
#pragma once

#include <gtest/gtest.h>

#include <chrono>
#include <condition_variable>
#include <cstdlib>
#include <future>
#include <mutex>
#include <set>
#include <thread>

#include "evm/core/evm.hpp"
#include "evm/precompiles/standard.hpp"
#include "host/base/log.hpp"
#include "host/sequencer/impersonation.hpp"
#include "host/sequencer/ledger/mpt_commitment.hpp"
#include "host/sequencer/sequencer.hpp"
#include "storage/state/commitment.hpp"
#include "tests/host/sequencer/test_chain.hpp"
#include "tests/storage/qmdb/commitment_model.hpp"
#include "tests/storage/scratch_directory.hpp"
#include "tests/storage/simulated_disk.hpp"

namespace millrace::sequencer::test {

#define ASSERT_OK(expression)                                        \
    do {                                                             \
        const auto result_ = (expression);                           \
        ASSERT_TRUE(result_.has_value()) << result_.error().message; \
    } while (false)

/// For what must come and is not measured: far longer than a machine may stall.
inline constexpr auto patience = std::chrono::seconds(60);

/// Waits until `done()`; false when it did not come true in all patience.
template <class Done>
bool eventually(Done done) {
    const auto end = std::chrono::steady_clock::now() + patience;
    while (!done()) {
        if (std::chrono::steady_clock::now() > end) { return false; }
        std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
    return true;
}

/// Keeps everything that is published.
class Recorder final : public ChainObserver, public PoolObserver {
public:
    void on_mini_block(const MiniBlockPtr& m) override {
        const std::lock_guard lock(mutex_);
        mini_blocks_.push_back(m);
    }
    void on_sealed(const SealedPtr& b) override {
        const std::lock_guard lock(mutex_);
        sealed_.push_back(b);
        changed_.notify_all();
    }
    void on_reverted(uint64_t last_kept, const std::vector<SealedPtr>& sealed,
                     const std::vector<MiniBlockPtr>&) override {
        const std::lock_guard lock(mutex_);
        reverts_.emplace_back(last_kept, sealed.size());
    }
    void on_executable(std::span<const AdmittedPtr> list) override {
        const std::lock_guard lock(mutex_);
        for (const AdmittedPtr& t : list) { executable_.push_back(t->hash); }
    }
    void on_dropped(const AdmittedPtr& t, std::string_view reason) override {
        const std::lock_guard lock(mutex_);
        dropped_.emplace_back(t->hash, reason);
    }
    bool wants_executed() const noexcept override { return previews.load(); }
    void on_executed(const OpenBlock& block, const std::vector<ExecutedPtr>& list) override {
        const std::lock_guard lock(mutex_);
        for (const ExecutedPtr& t : list) {
            executed_.push_back(t);
            for (const MiniBlockPtr& m : mini_blocks_) {
                EXPECT_EQ(std::ranges::find(m->transactions, t), m->transactions.end())
                    << "told as durable before";
            }
            executed_in_.push_back(block.number);
        }
    }
    std::atomic<bool> previews{false};
    std::vector<ExecutedPtr> executed() const { return copy(executed_); }
    std::vector<uint64_t> executed_in() const { return copy(executed_in_); }

    std::vector<MiniBlockPtr> mini_blocks() const { return copy(mini_blocks_); }
    std::vector<SealedPtr> sealed() const { return copy(sealed_); }
    std::vector<std::pair<uint64_t, size_t>> reverts() const { return copy(reverts_); }
    std::vector<Hash256> executable() const { return copy(executable_); }
    std::vector<std::pair<Hash256, std::string>> dropped() const { return copy(dropped_); }
    bool wait_for_blocks(size_t count) {
        std::unique_lock lock(mutex_);
        return changed_.wait_for(lock, patience, [&] { return sealed_.size() >= count; });
    }

private:
    template <class T>
    T copy(const T& v) const {
        const std::lock_guard lock(mutex_);
        return v;
    }
    mutable std::mutex mutex_;  // guards everything below
    std::condition_variable changed_;
    std::vector<MiniBlockPtr> mini_blocks_;
    std::vector<SealedPtr> sealed_;
    std::vector<std::pair<uint64_t, size_t>> reverts_;
    std::vector<Hash256> executable_;
    std::vector<std::pair<Hash256, std::string>> dropped_;
    std::vector<ExecutedPtr> executed_;
    std::vector<uint64_t> executed_in_;  ///< the block of each
};

inline SequencerOptions quick_options() {
    SequencerOptions o;
    o.mini_block_us = 5'000;
    o.block_us = 100'000;
    // The whole suite runs once more with workers.
    if (const char* workers = std::getenv("MILLRACE_TEST_EXECUTION_WORKERS")) {
        o.execution_workers = static_cast<uint32_t>(std::stoul(workers));
    }
    return o;
}

/// A sequencer with everything below it, in a directory of its own.
class Node {
public:
    static constexpr uint64_t state_step_writes_max = 256;
    Node(storage::FileSystem& fs, const Genesis& genesis, const std::string& path,
         const SequencerOptions& options, bool simulated = false,
         uint64_t stored_block_bytes_max = 256 << 20, std::function<void()> before_root = {},
         const std::string& commitment = std::string(default_commitment)) {
        LedgerOptions l;
        l.before_root = std::move(before_root);
        l.stored_block_bytes_max = stored_block_bytes_max;
        l.path = path;
        l.checkpoint_every_records = 0;
        l.wal_segment_bytes = simulated ? 256 << 10 : 4 << 20;
        l.wal_record_bytes_max = simulated ? 128 << 10 : 2 << 20;
        l.commitment = commitment;
        l.state_segment_bytes = 1 << 20;
        l.state_step_writes_max = state_step_writes_max;
        l.plain_log_writer = simulated;
        l.housekeeping = !simulated;
        kernels::OffloadOptions offload_options;
        offload_options.worker_count = 2;
        offload_options.cuda = kernels::CudaPolicy::off;
        offload = std::move(*kernels::OffloadEngine::create(offload_options));
        l.offload = offload.get();
        auto opened = Ledger::open(fs, l, genesis, precompiles_, registry_);
        MILLRACE_ASSERT(opened.has_value(), "the directory is good");
        ledger = std::move(*opened);
        sequencer =
            std::make_unique<Sequencer>(options, genesis, precompiles_, *ledger, *offload,
                                        registry_, [this](const Error&) { fatal.store(true); });
        sequencer->set_pool_observer(&recorder);
        ledger->view().add_observer(&recorder);
        sequencer->start();
    }
    ~Node() { stop(); }
    void stop() {
        offload->shutdown();
        sequencer->stop();
    }
    ChainView& view() { return ledger->view(); }

    using Admitted = std::expected<Admission, Refusal>;
    std::future<Admitted> submit(Bytes raw) {
        auto promise = std::make_shared<std::promise<Admitted>>();
        auto future = promise->get_future();
        sequencer->submit(std::move(raw),
                          [promise](Admitted r) { promise->set_value(std::move(r)); });
        return future;
    }
    Admitted send_impersonated(const Address& from, evm::Transaction tx) {
        auto promise = std::make_shared<std::promise<Admitted>>();
        auto f = promise->get_future();
        sequencer->submit_impersonated(std::move(tx), from,
                                       [promise](Admitted r) { promise->set_value(std::move(r)); });
        EXPECT_EQ(f.wait_for(patience), std::future_status::ready);
        return f.get();
    }
    /// The answer of admission.
    Admitted send(uint64_t key, evm::Transaction tx) {
        auto f = submit(raw_signed(key, std::move(tx)));
        EXPECT_EQ(f.wait_for(patience), std::future_status::ready);
        return f.get();
    }
    /// Waits until the transaction is durable.
    std::optional<LocatedTransaction> wait(const Hash256& hash) {
        auto promise = std::make_shared<std::promise<std::optional<LocatedTransaction>>>();
        auto future = promise->get_future();
        view().watch(hash, [promise](const LocatedTransaction* t, std::string_view) {
            promise->set_value(t == nullptr ? std::nullopt : std::optional(*t));
        });
        if (future.wait_for(patience) != std::future_status::ready) { return std::nullopt; }
        return future.get();
    }
    std::optional<LocatedTransaction> run(uint64_t key, evm::Transaction tx) {
        const Admitted a = send(key, std::move(tx));
        EXPECT_TRUE(a.has_value()) << (a ? "" : to_string(a.error()));
        return a ? wait(a->hash) : std::nullopt;
    }
    U256 balance(const Address& a) {
        const auto found = view().latest_state()->account(a);
        return found ? found->balance : U256{};
    }
    U256 slot(const Address& a, uint64_t key) { return view().latest_state()->slot(a, U256{key}); }

    evm::StandardPrecompiles precompiles_;
    metrics::Registry registry_;
    Recorder recorder;
    std::atomic<bool> fatal{false};
    std::unique_ptr<kernels::OffloadEngine> offload;
    std::unique_ptr<Ledger> ledger;
    std::unique_ptr<Sequencer> sequencer;
};

/// Compares the state root of every block, or of the last one where the states before it count for
/// nothing, with one that is made from states alone.
inline void expect_roots(Node& n, const std::string& commitment) {
    const uint64_t head = n.view().head()->header.number;
    const bool engine = parse_commitment(commitment).value().type == CommitmentKind::Type::qmdb;
    // The oracle of the engine needs every state from the genesis on.
    if (engine && n.ledger->recovery().checkpoint_block != 0) { return; }
    std::optional<storage::qmdb::CommitmentModel> model;
    if (engine) {
        model.emplace(parse_commitment(commitment).value().hash, Node::state_step_writes_max);
    }
    for (uint64_t number = engine ? 0 : head; number <= head; ++number) {
        const auto state = n.view().state_after(number);
        ASSERT_TRUE(state.has_value()) << state.error().message;
        const storage::StateModel plain = storage::StateModel::of(**state);
        Hash256 root;
        if (model) {
            root = model->close(number, plain);
        } else {
            const auto mpt = make_mpt_commitment();
            plain.feed(*mpt);
            root = mpt->root();
        }
        EXPECT_EQ(root, n.view().sealed(number).value()->header.state_root) << "block " << number;
    }
}

class SequencerTest : public ::testing::Test {
protected:
    static void SetUpTestSuite() { log::configure({log::Level::warn, log::Format::terminal}); }
    std::unique_ptr<Node> start(const SequencerOptions& options = quick_options(),
                                std::function<void()> before_root = {}) {
        return std::make_unique<Node>(*fs_, genesis_, scratch_.path() + "/node", options, false,
                                      256 << 20, std::move(before_root), commitment_);
    }
    std::string commitment_ = std::string(default_commitment);
    Genesis genesis_ = make_genesis();
    storage::ScratchDirectory scratch_;
    std::unique_ptr<storage::FileSystem> fs_ = storage::make_posix_file_system();
};

}  // namespace millrace::sequencer::test
