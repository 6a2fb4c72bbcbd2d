// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the pipeline with its real threads: admission, cadence, durability, refusals,
// development functions, load, shutdown.
#include <gtest/gtest.h>

#include <cstdlib>

#include <condition_variable>
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
#include "tests/storage/scratch_directory.hpp"
#include "tests/storage/simulated_disk.hpp"

namespace millrace::sequencer {
namespace {

using namespace test;

#define ASSERT_OK(expression)                                        \
    do {                                                             \
        const auto result_ = (expression);                           \
        ASSERT_TRUE(result_.has_value()) << result_.error().message; \
    } while (false)

constexpr auto patience = std::chrono::seconds(30);

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
    void on_executable(const std::vector<AdmittedPtr>& list) override {
        const std::lock_guard lock(mutex_);
        for (const AdmittedPtr& t : list) { executable_.push_back(t->hash); }
    }
    void on_dropped(const AdmittedPtr& t, std::string_view reason) override {
        const std::lock_guard lock(mutex_);
        dropped_.emplace_back(t->hash, reason);
    }

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
};

SequencerOptions quick_options() {
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
    Node(storage::FileSystem& fs, const Genesis& genesis, const std::string& path,
         const SequencerOptions& options, bool simulated = false,
         uint64_t stored_block_bytes_max = 256 << 20) {
        LedgerOptions l;
        l.stored_block_bytes_max = stored_block_bytes_max;
        l.path = path;
        l.checkpoint_every_records = 0;
        l.wal_segment_bytes = simulated ? 256 << 10 : 4 << 20;
        l.wal_record_bytes_max = simulated ? 128 << 10 : 2 << 20;
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

class SequencerTest : public ::testing::Test {
protected:
    static void SetUpTestSuite() { log::configure({log::Level::warn, log::Format::terminal}); }
    std::unique_ptr<Node> start(const SequencerOptions& options = quick_options()) {
        return std::make_unique<Node>(*fs_, genesis_, scratch_.path() + "/node", options);
    }
    Genesis genesis_ = make_genesis();
    storage::ScratchDirectory scratch_;
    std::unique_ptr<storage::FileSystem> fs_ = storage::make_posix_file_system();
};

TEST_F(SequencerTest, TransactionIsAdmittedExecutedDurableAndSealed) {
    auto n = start();
    const evm::Transaction tx = transfer_transaction(0, stranger(1), U256{5});
    const auto a = n->send(0, tx);
    ASSERT_TRUE(a.has_value()) << to_string(a.error());
    EXPECT_EQ(a->hash, evm::transaction_hash(signed_by(0, tx)));
    EXPECT_TRUE(a->executable);
    EXPECT_EQ(a->expected_nonce, 1u);
    const auto located = n->wait(a->hash);
    ASSERT_TRUE(located);
    EXPECT_TRUE(located->transaction->receipt->success);
    EXPECT_EQ(located->transaction->admitted->sender, account(0));
    EXPECT_EQ(n->balance(stranger(1)), U256{5});
    ASSERT_TRUE(n->recorder.wait_for_blocks(located->block_number));
    const SealedPtr block = n->view().sealed(located->block_number).value();
    ASSERT_NE(block, nullptr);
    EXPECT_EQ(block->hash, evm::header_hash(block->header));
    const auto sealed = n->view().find_transaction(a->hash);
    ASSERT_TRUE(sealed);
    EXPECT_EQ(sealed->block_hash, block->hash);
    EXPECT_EQ(evm::encode_receipt(*sealed->transaction->receipt),
              evm::encode_receipt(*located->transaction->receipt));
    EXPECT_EQ(n->recorder.executable(), std::vector{a->hash});
}

TEST_F(SequencerTest, BlocksFollowEachOtherAndMiniBlocksStayInside) {
    SequencerOptions options = quick_options();
    auto n = start(options);
    for (uint64_t i = 0; i < 40; ++i) {
        ASSERT_TRUE(n->send(0, transfer_transaction(i, stranger(1), U256{1})).has_value());
        std::this_thread::sleep_for(std::chrono::milliseconds(8));
    }
    ASSERT_TRUE(n->recorder.wait_for_blocks(5));
    n->stop();
    const auto sealed = n->recorder.sealed();
    Hash256 parent = genesis_.hash;
    uint64_t timestamp = 0;
    U256 base_fee = *genesis_.header.base_fee_per_gas;
    for (const SealedPtr& b : sealed) {
        EXPECT_EQ(b->header.parent_hash, parent);
        EXPECT_GT(b->header.timestamp, timestamp);
        EXPECT_EQ(b->header.base_fee_per_gas, base_fee) << "far below the target, and on the floor";
        parent = b->hash;
        timestamp = b->header.timestamp;
    }
    uint64_t number = 1;
    std::map<uint64_t, uint32_t> index;
    std::set<int64_t> cuts;
    for (const MiniBlockPtr& m : n->recorder.mini_blocks()) {
        EXPECT_EQ(m->number, number++);
        EXPECT_EQ(m->index, index[m->block_number]++);
        EXPECT_FALSE(m->transactions.empty());
        cuts.insert(m->time_us / options.mini_block_us);
    }
    // One cut per period at most (two at a block's end), and far fewer than one per transaction
    // would need if a cut waited for the block.
    EXPECT_GT(cuts.size(), 10u);
    EXPECT_LE(number - 1, 40u);
}

TEST_F(SequencerTest, ReceiptComesWithinAFewPeriods) {
    SequencerOptions options = quick_options();
    options.block_us = 1'000'000;
    auto n = start(options);
    std::vector<int64_t> waits;
    SystemClock clock;
    for (uint64_t i = 0; i < 30; ++i) {
        const int64_t begin = clock.steady_us();
        ASSERT_TRUE(n->run(0, transfer_transaction(i, stranger(1), U256{1})));
        waits.push_back(clock.steady_us() - begin);
    }
    std::sort(waits.begin(), waits.end());
    // Only to catch a receipt that waits for the block or for a time-out; the benchmark measures.
    EXPECT_LT(waits[waits.size() / 2], 500'000);
}

TEST_F(SequencerTest, FullMiniBlockDoesNotLeaveTheNextOneWaiting) {
    SequencerOptions options = quick_options();
    options.block_us = 20'000'000;
    options.mini_block_transactions_max = 2;
    auto n = start(options);
    SystemClock clock;
    const int64_t begin = clock.steady_us();
    for (uint64_t round = 0; round < 20; ++round) {
        std::vector<Hash256> sent;
        for (uint64_t key = 0; key < 4; ++key) {
            const auto a = n->send(key, transfer_transaction(round, stranger(1), U256{1}));
            ASSERT_TRUE(a.has_value());
            sent.push_back(a->hash);
        }
        for (const Hash256& hash : sent) { ASSERT_TRUE(n->wait(hash)); }
    }
    EXPECT_LT(clock.steady_us() - begin, 10'000'000) << "nothing waits for the end of the block";
}

TEST_F(SequencerTest, NonceGapWaitsAndIsFilled) {
    auto n = start();
    const auto later = n->send(0, transfer_transaction(1, stranger(1), U256{1}));
    ASSERT_TRUE(later.has_value());
    EXPECT_FALSE(later->executable);
    EXPECT_EQ(later->expected_nonce, 0u);
    EXPECT_NE(n->sequencer->pool_index().find(later->hash), nullptr);
    const auto content = n->sequencer->pool_content();
    ASSERT_OK(content);
    EXPECT_EQ(content->queued.size(), 1u);
    EXPECT_TRUE(content->executable.empty());
    ASSERT_TRUE(n->send(0, transfer_transaction(0, stranger(1), U256{1})).has_value());
    const auto located = n->wait(later->hash);
    ASSERT_TRUE(located);
    EXPECT_EQ(n->balance(stranger(1)), U256{2});
}

TEST_F(SequencerTest, ReplacementTakesThePlaceOfAWaitingTransaction) {
    auto n = start();
    const auto old = n->send(0, transfer_transaction(1, stranger(1), U256{1}));
    ASSERT_TRUE(old.has_value());
    const auto cheap =
        n->send(0, with_fees(transfer_transaction(1, stranger(2), U256{1}), gwei, 2 * gwei));
    ASSERT_FALSE(cheap.has_value());
    EXPECT_EQ(cheap.error().pool, PoolRefusal::replacement_underpriced);
    const auto better =
        n->send(0, with_fees(transfer_transaction(1, stranger(3), U256{1}), 2 * gwei, 4 * gwei));
    ASSERT_TRUE(better.has_value());
    ASSERT_TRUE(n->send(0, transfer_transaction(0, stranger(4), U256{1})).has_value());
    ASSERT_TRUE(n->wait(better->hash));
    EXPECT_EQ(n->balance(stranger(1)), U256{});
    EXPECT_EQ(n->balance(stranger(3)), U256{1});
    const auto dropped = n->recorder.dropped();
    ASSERT_EQ(dropped.size(), 1u);
    EXPECT_EQ(dropped[0].first, old->hash);
}

TEST_F(SequencerTest, RefusalsSayWhy) {
    SequencerOptions options = quick_options();
    options.transaction_bytes_max = 10'000;
    auto n = start(options);
    ASSERT_TRUE(n->run(0, transfer_transaction(0, stranger(1), U256{1})));
    const auto refusal_of = [&](Bytes raw) {
        auto f = n->submit(std::move(raw));
        EXPECT_EQ(f.wait_for(patience), std::future_status::ready);
        auto r = f.get();
        EXPECT_FALSE(r.has_value());
        return r ? Refusal{} : r.error();
    };
    using Kind = Refusal::Kind;
    const auto expect_rule = [&](evm::Transaction tx, evm::TxError rule, std::string_view text,
                                 uint64_t key = 1) {
        SCOPED_TRACE(std::string(text));
        const Refusal r = refusal_of(raw_signed(key, std::move(tx)));
        EXPECT_EQ(r.kind, Kind::rule);
        EXPECT_EQ(r.rule, rule);
        EXPECT_NE(to_string(r).find(text), std::string::npos) << to_string(r);
    };

    EXPECT_EQ(refusal_of({}).kind, Kind::malformed);
    EXPECT_EQ(refusal_of({0x02}).kind, Kind::malformed);
    EXPECT_EQ(refusal_of({0x7f, 0xc0}).kind, Kind::malformed);
    EXPECT_EQ(refusal_of(Bytes(500, 0xff)).kind, Kind::malformed);
    Bytes trailing = raw_signed(1, transfer_transaction(0, stranger(1), U256{1}));
    trailing.push_back(0);
    EXPECT_EQ(refusal_of(trailing).kind, Kind::malformed);
    EXPECT_EQ(refusal_of(Bytes(10'001, 0x02)).kind, Kind::too_large);

    // Not the transaction that ran: the pool may still know that one for a moment.
    expect_rule(transfer_transaction(0, stranger(1), U256{2}), evm::TxError::nonce_too_low,
                "next nonce 1, tx nonce 0", 0);
    expect_rule(transfer_transaction(0, stranger(1), U256{2000} * ether),
                evm::TxError::insufficient_funds, "insufficient funds");
    expect_rule(call_transaction(0, stranger(1), {}, {}, 20'999),
                evm::TxError::intrinsic_gas_too_low, "minimum needed 21000");
    expect_rule(with_fees(transfer_transaction(0, stranger(1), {}), 3 * gwei, 2 * gwei),
                evm::TxError::tip_above_fee_cap, "priority fee");
    expect_rule(call_transaction(0, stranger(1), {}, {}, 200'000'001),
                evm::TxError::gas_limit_exceeds_cap, "cap 200000000");
    evm::Transaction other_chain = transfer_transaction(0, stranger(1), {});
    other_chain.chain_id = 1;
    expect_rule(other_chain, evm::TxError::chain_id_mismatch, "have 1, want 7331");
    evm::Transaction blob = call_transaction(0, stranger(1));
    blob.type = evm::TxType::blob;
    blob.blob_versioned_hashes = {to_hash(U256{1} << 248)};
    expect_rule(blob, evm::TxError::type_not_supported, "not supported");

    EXPECT_EQ(
        refusal_of(raw_signed(1, with_fees(transfer_transaction(0, stranger(1), {}), 1, 1))).kind,
        Kind::fee_below_floor);
    evm::Transaction legacy;
    legacy.gas_limit = 21'000;
    legacy.to = stranger(1);
    legacy.max_fee_per_gas = legacy.max_priority_fee_per_gas = U256{gwei};
    EXPECT_EQ(refusal_of(raw_signed(1, legacy)).kind, Kind::unprotected);
    evm::Transaction deposit;
    deposit.type = evm::TxType::deposit;
    deposit.from = account(1);
    deposit.to = stranger(1);
    deposit.gas_limit = 100'000;
    EXPECT_EQ(refusal_of(evm::encode_transaction(deposit)).kind, Kind::deposit);

    evm::Transaction high_s = signed_by(1, transfer_transaction(0, stranger(1), {}));
    high_s.s = kernels::secp256k1_order - high_s.s;
    EXPECT_EQ(refusal_of(evm::encode_transaction(high_s)).rule, evm::TxError::signature_invalid);
    evm::Transaction impersonated = transfer_transaction(0, stranger(1), {});
    mark_impersonated(impersonated, account(1));
    EXPECT_EQ(refusal_of(evm::encode_transaction(impersonated)).rule,
              evm::TxError::signature_invalid)
        << "impersonation never comes in from outside";

    const Bytes known = raw_signed(1, transfer_transaction(5, stranger(1), U256{1}));
    ASSERT_TRUE(n->submit(known).get().has_value());
    EXPECT_EQ(refusal_of(known).pool, PoolRefusal::already_known);
    const Refusal far = refusal_of(raw_signed(1, transfer_transaction(65, stranger(1), {})));
    EXPECT_EQ(far.kind, Kind::pool);
    EXPECT_EQ(far.pool, PoolRefusal::nonce_too_far);
    EXPECT_FALSE(n->fatal.load());
}

TEST_F(SequencerTest, UnprotectedTransactionsAreTakenWhenAllowed) {
    SequencerOptions options = quick_options();
    options.allow_unprotected = true;
    auto n = start(options);
    evm::Transaction legacy;
    legacy.gas_limit = 21'000;
    legacy.to = stranger(1);
    legacy.value = U256{3};
    legacy.max_fee_per_gas = legacy.max_priority_fee_per_gas = U256{gwei};
    ASSERT_TRUE(n->run(1, legacy));
    EXPECT_EQ(n->balance(stranger(1)), U256{3});
}

TEST_F(SequencerTest, ImpersonatedTransactionSurvivesARestart) {
    auto n = start();
    auto tx = std::make_shared<AdmittedTransaction>();
    tx->transaction = transfer_transaction(0, stranger(1), U256{4});
    mark_impersonated(tx->transaction, account(5));
    tx->raw = evm::encode_transaction(tx->transaction);
    tx->hash = kernels::keccak256(tx->raw);
    tx->sender = account(5);
    std::promise<Node::Admitted> promise;
    n->sequencer->submit_admitted(tx, [&](Node::Admitted r) { promise.set_value(std::move(r)); });
    ASSERT_TRUE(promise.get_future().get().has_value());
    ASSERT_TRUE(n->wait(tx->hash));
    n.reset();
    n = start();
    const auto found = n->view().find_transaction(tx->hash);
    ASSERT_TRUE(found);
    EXPECT_EQ(found->transaction->admitted->sender, account(5));
}

TEST_F(SequencerTest, TransactionThatCannotRunAnyMoreIsDropped) {
    auto n = start();
    // Both are covered when they arrive, but not one after the other.
    const U256 most = U256{600} * ether;
    ASSERT_TRUE(n->send(0, transfer_transaction(1, stranger(1), most)).has_value());
    const auto first = n->send(0, transfer_transaction(0, stranger(1), most));
    ASSERT_TRUE(first.has_value());
    ASSERT_TRUE(n->wait(first->hash));
    for (int i = 0; i < 1000 && n->recorder.dropped().empty(); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ASSERT_EQ(n->recorder.dropped().size(), 1u);
    EXPECT_NE(n->recorder.dropped()[0].second.find("insufficient funds"), std::string::npos);
    EXPECT_EQ(n->balance(stranger(1)), most);
}

TEST_F(SequencerTest, MineOnDemand) {
    auto n = start({.mini_block_us = 5'000, .block_us = 3'600'000'000});
    const uint64_t head = n->view().head()->header.number;
    EXPECT_EQ(n->sequencer->dev_mine(3, {}, 0).value(), head + 3);
    EXPECT_EQ(n->view().head()->header.number, head + 3);
    const uint64_t at = n->view().head()->header.timestamp + 1000;
    ASSERT_OK(n->sequencer->dev_mine(1, at, 0));
    EXPECT_EQ(n->view().head()->header.timestamp, at);
    const auto back = n->sequencer->dev_mine(1, at, 0);
    ASSERT_FALSE(back.has_value());
    EXPECT_EQ(back.error().code, ErrorCode::invalid_input);
    const uint64_t first = n->view().head()->header.number + 1;
    ASSERT_OK(n->sequencer->dev_mine(3, at + 5000, 60));
    const auto time_of = [&](uint64_t b) { return n->view().sealed(b).value()->header.timestamp; };
    const uint64_t last = n->view().head()->header.number;
    EXPECT_EQ(time_of(last), at + 5120);
    EXPECT_EQ(time_of(last - 2), at + 5000);
    EXPECT_GE(last, first + 2);
    // A transaction is part of what is mined.
    const auto a = n->send(0, transfer_transaction(0, stranger(1), U256{1}));
    ASSERT_TRUE(a.has_value());
    ASSERT_OK(n->sequencer->dev_mine(1, {}, 0));
    const auto found = n->view().find_transaction(a->hash);
    ASSERT_TRUE(found);
    EXPECT_FALSE(found->block_hash.is_zero());
}

TEST_F(SequencerTest, TimeTravel) {
    auto n = start({.mini_block_us = 5'000, .block_us = 3'600'000'000});
    ASSERT_OK(n->sequencer->dev_mine(1, {}, 0));
    const uint64_t before = n->view().head()->header.timestamp;
    ASSERT_OK(n->sequencer->dev_increase_time(1'000'000));
    ASSERT_OK(n->sequencer->dev_mine(1, {}, 0));
    EXPECT_GE(n->view().head()->header.timestamp, before + 1'000'000);
    EXPECT_LE(n->view().head()->header.timestamp, before + 1'000'100);
    EXPECT_FALSE(n->sequencer->dev_increase_time(~uint64_t{0}).has_value());
    const uint64_t next = n->view().head()->header.timestamp + 500;
    ASSERT_OK(n->sequencer->dev_set_next_timestamp(next));
    ASSERT_OK(n->sequencer->dev_mine(1, {}, 0));
    EXPECT_EQ(n->view().head()->header.timestamp, next);
    EXPECT_FALSE(n->sequencer->dev_set_next_timestamp(5).has_value());
}

TEST_F(SequencerTest, SnapshotAndRevert) {
    auto n = start({.mini_block_us = 5'000, .block_us = 3'600'000'000});
    ASSERT_TRUE(n->run(0, call_transaction(0, counter_contract)));
    const uint64_t id = n->sequencer->dev_snapshot().value();
    const SealedPtr kept = n->view().head();
    const auto undone = n->run(0, call_transaction(1, counter_contract));
    ASSERT_TRUE(undone);
    ASSERT_OK(n->sequencer->dev_mine(2, {}, 0));
    const auto open = n->run(1, transfer_transaction(0, stranger(1), U256{9}));
    ASSERT_TRUE(open);
    const auto queued = n->send(2, transfer_transaction(3, stranger(1), U256{9}));
    ASSERT_TRUE(queued.has_value());
    const uint64_t inner = n->sequencer->dev_snapshot().value();

    EXPECT_TRUE(n->sequencer->dev_revert(id).value());
    EXPECT_EQ(n->view().head()->hash, kept->hash);
    EXPECT_EQ(n->slot(counter_contract, 0), U256{1});
    EXPECT_EQ(n->balance(stranger(1)), U256{});
    EXPECT_FALSE(n->view().find_transaction(undone->transaction->admitted->hash));
    EXPECT_FALSE(n->view().find_transaction(open->transaction->admitted->hash));
    EXPECT_EQ(n->sequencer->pool_index().size(), 0u);
    EXPECT_EQ(n->recorder.reverts().size(), 1u);
    EXPECT_FALSE(n->sequencer->dev_revert(id).value()) << "used up";
    EXPECT_FALSE(n->sequencer->dev_revert(inner).value()) << "gone with what it was in";
    EXPECT_FALSE(n->sequencer->dev_revert(999).value());

    // The chain goes on, with the same nonces, and a restart agrees.
    const auto again = n->run(0, call_transaction(1, counter_contract));
    ASSERT_TRUE(again);
    EXPECT_EQ(load_be(again->transaction->receipt->logs[0].data), U256{2});
    ASSERT_OK(n->sequencer->dev_mine(1, {}, 0));
    const Hash256 head = n->view().head()->hash;
    n.reset();
    n = start();
    EXPECT_EQ(n->view().sealed(head).value()->hash, head);
    EXPECT_EQ(n->slot(counter_contract, 0), U256{2});
}

TEST_F(SequencerTest, EditsAreDurableAndTransactionsSeeThem) {
    auto n = start({.mini_block_us = 5'000, .block_us = 3'600'000'000});
    ASSERT_TRUE(n->run(0, call_transaction(0, counter_contract)));
    ASSERT_OK(n->sequencer->dev_edit("test", [](CellTable& c) -> Result<void> {
        c.set_balance(account(20), U256{5} * ether);
        c.set_storage(counter_contract, U256{0}, U256{41});
        return {};
    }));
    EXPECT_EQ(n->balance(account(20)), U256{5} * ether) << "durable when it returns";
    const auto r = n->run(20, call_transaction(0, counter_contract));
    ASSERT_TRUE(r);
    EXPECT_EQ(load_be(r->transaction->receipt->logs[0].data), U256{42});
    n.reset();
    n = start();
    EXPECT_EQ(n->slot(counter_contract, 0), U256{42});
}

TEST_F(SequencerTest, RefusedEditLeavesNothingBehind) {
    auto n = start({.mini_block_us = 5'000, .block_us = 3'600'000'000});
    const auto bad = n->sequencer->dev_edit("test", [](CellTable& c) -> Result<void> {
        c.set_balance(stranger(1), U256{5});
        return fail(ErrorCode::invalid_input, "no");
    });
    ASSERT_FALSE(bad.has_value());
    EXPECT_EQ(bad.error().message, "no");
    // The store has no storage of accounts that do not exist.
    const auto nobody = n->sequencer->dev_edit("test", [](CellTable& c) -> Result<void> {
        c.set_storage(stranger(2), U256{1}, U256{1});
        return {};
    });
    ASSERT_FALSE(nobody.has_value());
    EXPECT_EQ(nobody.error().code, ErrorCode::invalid_input);
    EXPECT_FALSE(n->fatal.load());
    const auto r = n->run(0, transfer_transaction(0, stranger(1), U256{1}));
    ASSERT_TRUE(r);
    EXPECT_EQ(n->balance(stranger(1)), U256{1});
    n.reset();
    n = start();
    EXPECT_EQ(n->balance(stranger(1)), U256{1});
    EXPECT_EQ(n->slot(stranger(2), 1), U256{});
}

TEST_F(SequencerTest, AccountEmptiedByAnEditLosesItsStorage) {
    auto n = start({.mini_block_us = 5'000, .block_us = 3'600'000'000});
    ASSERT_TRUE(n->run(0, call_transaction(0, counter_contract)));
    const auto set = [&](bool there) {
        return n->sequencer->dev_edit("test", [there](CellTable& c) -> Result<void> {
            c.set_nonce(counter_contract, there ? 1 : 0);
            c.set_code(counter_contract,
                       there ? from_hex("5f54600101805f555f523360205fa160205ff3").value()
                             : Bytes{});
            return {};
        });
    };
    ASSERT_OK(set(false));
    EXPECT_FALSE(n->view().latest_state()->account(counter_contract));
    ASSERT_OK(set(true));
    const auto r = n->run(0, call_transaction(1, counter_contract));
    ASSERT_TRUE(r);
    EXPECT_EQ(load_be(r->transaction->receipt->logs[0].data), U256{1}) << "the counter begins anew";
    n.reset();
    n = start();
    EXPECT_EQ(n->slot(counter_contract, 0), U256{1});
}

TEST_F(SequencerTest, NonceEditMovesWaitingTransactions) {
    auto n = start({.mini_block_us = 5'000, .block_us = 3'600'000'000});
    const auto waiting = n->send(0, transfer_transaction(7, stranger(1), U256{1}));
    const auto lost = n->send(0, transfer_transaction(3, stranger(1), U256{1}));
    ASSERT_TRUE(waiting.has_value() && lost.has_value());
    ASSERT_OK(n->sequencer->dev_edit("test", [](CellTable& c) -> Result<void> {
        c.set_nonce(account(0), 7);
        return {};
    }));
    ASSERT_TRUE(n->wait(waiting->hash));
    EXPECT_EQ(n->sequencer->pool_index().find(lost->hash), nullptr);
    ASSERT_EQ(n->recorder.dropped().size(), 1u);
    EXPECT_EQ(n->recorder.dropped()[0].first, lost->hash);
}

TEST_F(SequencerTest, StopMakesEverythingDurableAndRefusesAfterwards) {
    auto n = start({.mini_block_us = 5'000, .block_us = 3'600'000'000});
    std::vector<Hash256> sent;
    for (uint64_t i = 0; i < 20; ++i) {
        const auto a = n->send(0, transfer_transaction(i, stranger(1), U256{1}));
        ASSERT_TRUE(a.has_value());
        sent.push_back(a->hash);
    }
    ASSERT_TRUE(n->wait(sent.back()));
    const auto begin = std::chrono::steady_clock::now();
    n->stop();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
    EXPECT_FALSE(n->view().open_block());
    auto f = n->submit(raw_signed(0, transfer_transaction(20, stranger(1), U256{1})));
    ASSERT_EQ(f.wait_for(std::chrono::seconds(0)), std::future_status::ready);
    EXPECT_EQ(f.get().error().kind, Refusal::Kind::stopping);
    std::promise<Node::Admitted> promise;
    n->sequencer->submit_admitted(admitted(0, transfer_transaction(20, stranger(1), U256{1})),
                                  [&](Node::Admitted r) { promise.set_value(std::move(r)); });
    auto late = promise.get_future();
    ASSERT_EQ(late.wait_for(std::chrono::seconds(0)), std::future_status::ready);
    EXPECT_EQ(late.get().error().kind, Refusal::Kind::stopping);
    EXPECT_EQ(n->sequencer->dev_mine(1, {}, 0).error().code, ErrorCode::unavailable);
    const Hash256 head = n->view().head()->hash;
    n.reset();

    n = start();
    EXPECT_EQ(n->ledger->recovery().records_replayed, 0u) << "a clean end leaves a checkpoint";
    EXPECT_EQ(n->view().sealed(head).value()->hash, head);
    for (const Hash256& h : sent) { EXPECT_TRUE(n->view().find_transaction(h)); }
    EXPECT_EQ(n->balance(stranger(1)), U256{20});
    ASSERT_TRUE(n->run(0, transfer_transaction(20, stranger(1), U256{1})));
}

TEST_F(SequencerTest, FullIngressIsRefusedBeforeAnyWork) {
    SequencerOptions options = quick_options();
    options.ingress_max = 0;
    auto n = start(options);
    const auto r = n->send(0, transfer_transaction(0, stranger(1), U256{1}));
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error().kind, Refusal::Kind::overloaded);
}

TEST_F(SequencerTest, MiniBlockIsCutAtItsTransactionLimit) {
    SequencerOptions options = quick_options();
    options.mini_block_us = 50'000;
    options.mini_block_transactions_max = 5;
    auto n = start(options);
    std::vector<std::future<Node::Admitted>> answers;
    for (uint64_t i = 0; i < 40; ++i) {
        answers.push_back(n->submit(raw_signed(0, transfer_transaction(i, stranger(1), U256{1}))));
    }
    Hash256 last;
    for (auto& a : answers) { last = a.get().value().hash; }
    ASSERT_TRUE(n->wait(last));
    for (const MiniBlockPtr& m : n->recorder.mini_blocks()) {
        EXPECT_LE(m->transactions.size(), 5u);
    }
}

TEST_F(SequencerTest, LoadOfManySendersAndThreadsLosesNothing) {
    constexpr uint64_t threads = 4;
    constexpr uint64_t senders = 10;
    constexpr uint64_t per_sender = 400;
    auto n = start();
    // Signed before, so that the threads do nothing but submit; a sender's go out over all threads
    // and so out of order, within the pool's window.
    std::vector<std::vector<Bytes>> raw(senders);
    for (uint64_t s = 0; s < senders; ++s) {
        for (uint64_t i = 0; i < per_sender; ++i) {
            raw[s].push_back(raw_signed(s, transfer_transaction(i, stranger(s % 3), U256{1})));
        }
    }
    std::atomic<uint64_t> admitted_count{0};
    std::atomic<uint64_t> retried{0};
    std::mutex mutex;
    std::vector<Hash256> hashes;
    {
        std::vector<std::jthread> workers;
        for (uint64_t w = 0; w < threads; ++w) {
            workers.emplace_back([&, w] {
                for (uint64_t i = 0; i < per_sender; ++i) {
                    for (uint64_t s = w; s < senders; s += threads) {
                        for (;;) {
                            const auto r = n->submit(raw[s][i]).get();
                            if (r) {
                                admitted_count.fetch_add(1);
                                const std::lock_guard lock(mutex);
                                hashes.push_back(r->hash);
                                break;
                            }
                            ASSERT_EQ(r.error().kind, Refusal::Kind::overloaded)
                                << to_string(r.error());
                            retried.fetch_add(1);
                            std::this_thread::sleep_for(std::chrono::milliseconds(1));
                        }
                    }
                }
            });
        }
    }
    EXPECT_EQ(admitted_count.load(), senders * per_sender);
    for (const Hash256& h : hashes) { ASSERT_TRUE(n->wait(h)); }
    U256 received;
    for (uint64_t i = 0; i < 3; ++i) { received += n->balance(stranger(i)); }
    EXPECT_EQ(received, U256{senders * per_sender});
    n->stop();
    EXPECT_FALSE(n->fatal.load());

    // Every transaction is in exactly one mini-block, in nonce order per sender, and the fees add
    // up.
    std::map<Address, uint64_t> next;
    U256 fees;
    uint64_t count = 0;
    for (const SealedPtr& b : n->recorder.sealed()) {
        uint64_t gas = 0;
        for (const ExecutedPtr& t : b->transactions) {
            EXPECT_EQ(t->admitted->transaction.nonce, next[t->admitted->sender]++);
            gas += t->gas_used;
            EXPECT_EQ(t->receipt->cumulative_gas_used, gas);
            fees += t->effective_gas_price * U256{t->gas_used};
            ++count;
        }
        EXPECT_EQ(b->header.gas_used, gas);
    }
    EXPECT_EQ(count, senders * per_sender);
    EXPECT_EQ(n->balance(sequencer_vault) + n->balance(base_fee_vault), fees);
    const SealedPtr head = n->view().head();
    const auto commitment = make_mpt_commitment();
    storage::load_commitment(*commitment, *n->view().latest_state());
    EXPECT_EQ(commitment->root(), head->header.state_root);
    const U256 last_balance = n->balance(account(0));
    n.reset();

    n = start();
    EXPECT_EQ(n->balance(account(0)), last_balance);
    for (const Hash256& h : hashes) { ASSERT_TRUE(n->view().find_transaction(h)); }
}

TEST_F(SequencerTest, FullDiskStopsIntakeKeepsReadsAndRecoversByItself) {
    // Small transactions let the chain data meet the full disk first, large ones the log.
    for (const size_t data_bytes : {size_t{10}, size_t{20'000}}) {
        SCOPED_TRACE(data_bytes);
        storage::SimulatedDisk disk;
        SequencerOptions options = quick_options();
        options.mini_block_bytes_max = 40'000;  // records of the small log segments
        auto n = std::make_unique<Node>(disk, genesis_, "/node", options, true);
        ASSERT_TRUE(n->run(0, transfer_transaction(0, stranger(1), U256{1})));
        disk.set_free_bytes(0);
        std::vector<Hash256> taken;
        std::vector<std::future<Node::Admitted>> answers;
        bool refused = false;
        uint64_t nonce = 1;
        for (int i = 0; i < 1000 && !refused; ++i) {
            const evm::Transaction tx =
                call_transaction(nonce, stranger(1), U256{1}, Bytes(data_bytes, 0x11), 2'000'000);
            auto f = n->submit(raw_signed(0, tx));
            if (f.wait_for(std::chrono::milliseconds(10)) == std::future_status::ready) {
                const auto a = f.get();
                refused = !a && a.error().kind == Refusal::Kind::disk_full;
                if (!a) { continue; }
            } else {
                answers.push_back(std::move(f));  // it came before the disk was known to be full
            }
            taken.push_back(evm::transaction_hash(signed_by(0, tx)));
            ++nonce;
        }
        EXPECT_TRUE(refused);
        EXPECT_TRUE(n->sequencer->disk_full());
        EXPECT_GE(n->balance(stranger(1)), U256{1}) << "reads go on";
        disk.set_free_bytes(64 << 20);
        for (auto& f : answers) { ASSERT_TRUE(f.get().has_value()); }
        for (const Hash256& h : taken) { ASSERT_TRUE(n->wait(h)); }
        // Taken again, without a restart.
        std::optional<Node::Admitted> again;
        for (int i = 0; i < 400 && (!again || !*again); ++i) {
            again = n->send(0, transfer_transaction(nonce, stranger(1), U256{1}));
            std::this_thread::sleep_for(std::chrono::milliseconds(10));
        }
        ASSERT_TRUE(again && *again);
        ASSERT_TRUE(n->wait((*again)->hash));
        EXPECT_FALSE(n->sequencer->disk_full());
        EXPECT_FALSE(n->fatal.load());
        EXPECT_EQ(n->balance(stranger(1)), U256{nonce + 1});
        n.reset();
        n = std::make_unique<Node>(disk, genesis_, "/node", options, true);
        EXPECT_EQ(n->balance(stranger(1)), U256{nonce + 1});
        for (const Hash256& h : taken) { EXPECT_TRUE(n->view().find_transaction(h)); }
    }
}

TEST_F(SequencerTest, StopDoesNotWaitForRoomOnTheDisk) {
    storage::SimulatedDisk disk;
    auto n = std::make_unique<Node>(disk, genesis_, "/node", quick_options(), true);
    const auto first = n->run(0, transfer_transaction(0, stranger(1), U256{1}));
    ASSERT_TRUE(first);
    disk.set_free_bytes(0);
    for (int i = 0; i < 1000 && !n->sequencer->disk_full(); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
    ASSERT_TRUE(n->sequencer->disk_full());
    const auto begin = std::chrono::steady_clock::now();
    n->stop();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
    n.reset();
    disk.set_free_bytes(64 << 20);
    n = std::make_unique<Node>(disk, genesis_, "/node", quick_options(), true);
    EXPECT_TRUE(n->view().find_transaction(first->transaction->admitted->hash));
}

TEST_F(SequencerTest, FailedFlushEndsTheNodeAndWhatWasAcknowledgedIsThere) {
    storage::SimulatedDisk disk;
    auto n = std::make_unique<Node>(disk, genesis_, "/node", quick_options(), true);
    const auto first = n->run(0, transfer_transaction(0, stranger(1), U256{1}));
    ASSERT_TRUE(first);
    disk.arm(storage::DiskFault::sync_failure, 2);
    for (int i = 0; i < 1000 && !n->fatal.load(); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_TRUE(n->fatal.load());
    n->stop();
    n.reset();
    disk.restart(3);
    n = std::make_unique<Node>(disk, genesis_, "/node", quick_options(), true);
    const auto found = n->view().find_transaction(first->transaction->admitted->hash);
    ASSERT_TRUE(found);
    EXPECT_EQ(evm::encode_receipt(*found->transaction->receipt),
              evm::encode_receipt(*first->transaction->receipt));
}

TEST_F(SequencerTest, ReadersBesideTheWriterSeeWholeBlocks) {
    auto n = start();
    std::atomic<bool> done{false};
    std::vector<std::jthread> readers;
    for (int i = 0; i < 2; ++i) {
        readers.emplace_back([&] {
            while (!done.load()) {
                const SealedPtr head = n->view().head();
                const auto found = n->view().sealed(head->header.number);
                ASSERT_TRUE(found.has_value());
                if (const auto open = n->view().open_block()) {
                    for (const MiniBlockPtr& m : open->mini_blocks) {
                        ASSERT_EQ(m->block_number, open->open.number);
                    }
                }
                // Money neither appears nor vanishes between two mini-blocks.
                const auto s = n->view().latest_state();
                const auto at = [&](const Address& a) {
                    return s->account(a) ? s->account(a)->balance : U256{};
                };
                ASSERT_LE(at(stranger(0)) + at(stranger(1)), U256{200});
            }
        });
    }
    for (uint64_t i = 0; i < 100; ++i) {
        ASSERT_TRUE(
            n->send(i % 2, transfer_transaction(i / 2, stranger(i % 2), U256{2})).has_value());
    }
    ASSERT_TRUE(n->recorder.wait_for_blocks(3));
    done.store(true);
}

TEST_F(SequencerTest, NoncesMovedByAuthorizationsFreezeNobody) {
    auto n = start({.mini_block_us = 5'000, .block_us = 3'600'000'000});
    // Both the sender and another account have transactions waiting behind the nonces that the
    // authorizations use up.
    const auto own = n->send(0, transfer_transaction(2, stranger(1), U256{1}));
    const auto others = n->send(1, transfer_transaction(1, stranger(1), U256{1}));
    const auto passed =
        n->send(2, with_fees(transfer_transaction(1, stranger(1), U256{1}), 1, 2 * gwei));
    ASSERT_TRUE(own.has_value() && others.has_value() && passed.has_value());
    ASSERT_TRUE(
        n->run(0, set_code_transaction(
                      0, stranger(2),
                      {authorization_by(0, stranger(3), 1), authorization_by(1, stranger(3), 0),
                       authorization_by(2, stranger(3), 0), authorization_by(2, stranger(3), 1)})));
    ASSERT_TRUE(n->wait(own->hash));
    ASSERT_TRUE(n->wait(others->hash));
    for (int i = 0; i < 1000 && n->recorder.dropped().empty(); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    ASSERT_EQ(n->recorder.dropped().size(), 1u);
    EXPECT_EQ(n->recorder.dropped()[0].first, passed->hash) << "its nonce was used up";
    for (const uint64_t key : {0u, 1u, 2u}) {
        const uint64_t next = key == 0 ? 3 : 2;
        EXPECT_EQ(n->send(key, transfer_transaction(next - 1, stranger(1), {})).error().rule,
                  evm::TxError::nonce_too_low);
        const auto again = n->run(key, transfer_transaction(next, stranger(1), U256{1}));
        ASSERT_TRUE(again) << "key " << key;
        EXPECT_TRUE(again->transaction->receipt->success);
    }
    EXPECT_EQ(n->sequencer->pool_counts(), std::pair(size_t{0}, size_t{0}));
}

TEST_F(SequencerTest, NonceMovedByCreationsOfADelegatedAccountFreezesNobody) {
    auto n = start({.mini_block_us = 5'000, .block_us = 3'600'000'000});
    // Code that creates an empty contract: PUSH0 PUSH0 PUSH0 CREATE.
    ASSERT_OK(n->sequencer->dev_edit("test", [](CellTable& c) -> Result<void> {
        c.set_code(stranger(3), from_hex("5f5f5ff000").value());
        c.set_nonce(stranger(3), 1);
        return {};
    }));
    ASSERT_TRUE(
        n->run(0, set_code_transaction(0, stranger(2), {authorization_by(1, stranger(3), 0)})));
    const auto waiting = n->send(1, transfer_transaction(2, stranger(1), U256{1}));
    ASSERT_TRUE(waiting.has_value());
    EXPECT_FALSE(waiting->executable);
    ASSERT_TRUE(n->run(0, call_transaction(1, account(1))));
    ASSERT_TRUE(n->wait(waiting->hash)) << "the creation filled the gap";
    ASSERT_TRUE(n->run(1, transfer_transaction(3, stranger(1), U256{1})));
}

TEST_F(SequencerTest, BlockTakesNothingMoreWhenItsBytesAreUsedUp) {
    SequencerOptions options = quick_options();
    options.block_bytes_max = 1 << 20;  // less than one transaction might need, so one per block
    auto n = start(options);
    std::vector<Hash256> sent;
    for (uint64_t i = 0; i < 4; ++i) {
        const auto a = n->send(0, transfer_transaction(i, stranger(1), U256{1}));
        ASSERT_TRUE(a.has_value());
        sent.push_back(a->hash);
    }
    std::set<uint64_t> blocks;
    for (const Hash256& h : sent) {
        const auto located = n->wait(h);
        ASSERT_TRUE(located) << "it runs in a later block";
        blocks.insert(located->block_number);
    }
    EXPECT_EQ(blocks.size(), sent.size());
}

TEST_F(SequencerTest, MiniBlockIsCutAtItsBytesWithPostValues) {
    SequencerOptions options = quick_options();
    options.mini_block_us = 50'000;
    options.mini_block_bytes_max = 2'000;  // the wire forms alone would let 15 in
    auto n = start(options);
    std::vector<std::future<Node::Admitted>> answers;
    for (uint64_t i = 0; i < 40; ++i) {
        answers.push_back(
            n->submit(raw_signed(0, transfer_transaction(i, stranger(100 + i), U256{1}))));
    }
    Hash256 last;
    for (auto& a : answers) { last = a.get().value().hash; }
    ASSERT_TRUE(n->wait(last));
    for (const MiniBlockPtr& m : n->recorder.mini_blocks()) {
        EXPECT_LE(m->transactions.size(), 8u);
    }
}

TEST_F(SequencerTest, ImpersonatedTransactionIsExecutedAsRecoveryWould) {
    storage::SimulatedDisk disk;
    const SequencerOptions options{.mini_block_us = 5'000, .block_us = 3'600'000'000};
    Node n{disk, genesis_, "/node", options, true};
    const auto sent = n.send_impersonated(
        account(5),
        set_code_transaction(0, stranger(1), {authorization_by(6, counter_contract, 0)}));
    ASSERT_TRUE(sent.has_value()) << to_string(sent.error());
    ASSERT_TRUE(n.wait(sent->hash));
    const auto delegated = n.view().latest_state()->account(account(6));
    ASSERT_TRUE(delegated);
    EXPECT_NE(delegated->code_hash, evm::empty_code_hash) << "the authorization counts";
    // The power fails in the open block: recovery executes again and compares.
    const auto copy = disk.clone();
    copy->restart(1);
    Node again{*copy, genesis_, "/node", options, true};
    EXPECT_EQ(again.ledger->recovery().transactions_reexecuted, 1u);
    EXPECT_EQ(again.view().latest_state()->account(account(6))->code_hash, delegated->code_hash);
}

TEST_F(SequencerTest, ImpersonationPassesNoLimit) {
    SequencerOptions options = quick_options();
    options.transaction_bytes_max = 10'000;
    auto n = start(options);
    using Kind = Refusal::Kind;
    const auto kind = [&](evm::Transaction tx) {
        const auto r = n->send_impersonated(account(5), std::move(tx));
        return r ? Kind::stopping : r.error().kind;
    };
    EXPECT_EQ(kind(call_transaction(0, stranger(1), {}, Bytes(11'000, 1), 5'000'000)),
              Kind::too_large);
    EXPECT_EQ(kind(with_fees(transfer_transaction(0, stranger(1), {}), 0, 1)),
              Kind::fee_below_floor);
    EXPECT_EQ(kind(call_transaction(0, stranger(1), {}, {}, 20'000)), Kind::rule);
    EXPECT_TRUE(
        n->send_impersonated(account(5), transfer_transaction(0, stranger(1), {})).has_value());
}

TEST_F(SequencerTest, RevertAnswersEverybodyWhoWaits) {
    // Nothing is cut by time.
    auto n = start({.mini_block_us = 3'600'000'000, .block_us = 3'600'000'000});
    const uint64_t id = n->sequencer->dev_snapshot().value();
    std::vector<std::future<std::string>> answers;
    const auto watch = [&](const Hash256& hash) {
        auto promise = std::make_shared<std::promise<std::string>>();
        answers.push_back(promise->get_future());
        n->view().watch(hash, [promise](const LocatedTransaction* t, std::string_view reason) {
            promise->set_value(t != nullptr ? "executed" : std::string(reason));
        });
    };
    const auto executed = n->send(0, transfer_transaction(0, stranger(1), U256{1}));
    const auto queued = n->send(0, transfer_transaction(5, stranger(1), U256{1}));
    ASSERT_TRUE(executed.has_value() && queued.has_value());
    watch(executed->hash);
    watch(queued->hash);
    for (int i = 0; i < 1000 && n->sequencer->pool_counts() != std::pair(size_t{0}, size_t{1});
         ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_EQ(n->sequencer->pool_counts(), std::pair(size_t{0}, size_t{1}));
    EXPECT_TRUE(n->sequencer->dev_revert(id).value());
    // The recorder takes the place of the node, which ends the watches.
    std::set<Hash256> dropped;
    for (const auto& [hash, reason] : n->recorder.dropped()) {
        EXPECT_EQ(reason, "removed by evm_revert");
        dropped.insert(hash);
    }
    EXPECT_EQ(dropped, (std::set{executed->hash, queued->hash}));
    EXPECT_EQ(n->sequencer->pool_counts(), std::pair(size_t{0}, size_t{0}));
}

TEST_F(SequencerTest, RefusedRevertLeavesTheOpenBlockAsItIs) {
    storage::SimulatedDisk disk;
    const SequencerOptions options{.mini_block_us = 3'600'000'000, .block_us = 3'600'000'000};
    Node n{disk, genesis_, "/node", options, true};
    const auto fill = [&](uint64_t value) {
        for (uint64_t part = 0; part < 4; ++part) {
            ASSERT_OK(n.sequencer->dev_edit("test", [=](CellTable& c) -> Result<void> {
                for (uint64_t i = 0; i < 800; ++i) {
                    c.set_balance(stranger(1000 * part + i + 1000), (U256{1} << 250) + U256{value});
                }
                return {};
            }));
        }
    };
    fill(1);
    const uint64_t id = n.sequencer->dev_snapshot().value();
    fill(2);
    const auto uncut = n.send(0, transfer_transaction(0, stranger(1), U256{7}));
    ASSERT_TRUE(uncut.has_value());
    const auto refused = n.sequencer->dev_revert(id);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_input) << refused.error().message;
    EXPECT_FALSE(n.fatal.load());
    ASSERT_OK(n.sequencer->dev_mine(1, {}, 0));
    EXPECT_EQ(n.balance(stranger(1)), U256{7}) << "what was executed is in the block";
    const uint64_t later = n.sequencer->dev_snapshot().value();
    EXPECT_TRUE(n.sequencer->dev_revert(later).value());
}

TEST_F(SequencerTest, BlockThatCannotBeSealedEndsTheNode) {
    storage::SimulatedDisk disk;
    Node n{disk, genesis_, "/node", {.mini_block_us = 5'000, .block_us = 3'600'000'000},
           true, 4'000};
    ASSERT_OK(n.sequencer->dev_mine(1, {}, 0));
    ASSERT_TRUE(n.run(0, call_transaction(0, stranger(1), {}, Bytes(5'000, 1), 2'000'000)));
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(n.sequencer->dev_mine(1, {}, 0).has_value());
    for (int i = 0; i < 1000 && !n.fatal.load(); ++i) {
        std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    EXPECT_TRUE(n.fatal.load());
    EXPECT_EQ(n.send(0, transfer_transaction(1, stranger(1), {})).error().kind,
              Refusal::Kind::stopping);
    EXPECT_EQ(n.sequencer->dev_mine(1, {}, 0).error().code, ErrorCode::unavailable);
    n.stop();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
}

TEST_F(SequencerTest, StopEndsALongCommandSoon) {
    auto n = start({.mini_block_us = 5'000, .block_us = 3'600'000'000});
    auto mined =
        std::async(std::launch::async, [&] { return n->sequencer->dev_mine(10'000'000, {}, 0); });
    ASSERT_TRUE(n->recorder.wait_for_blocks(3));
    const auto begin = std::chrono::steady_clock::now();
    n->sequencer->begin_stop();
    const auto r = mined.get();
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error().code, ErrorCode::unavailable);
    EXPECT_FALSE(n->sequencer->pool_content().has_value());
    n->stop();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(10));
    EXPECT_FALSE(n->fatal.load());
}

TEST_F(SequencerTest, BlockTimesNeverWrap) {
    auto n = start({.mini_block_us = 5'000, .block_us = 3'600'000'000});
    const auto refused = [&](auto r) {
        ASSERT_FALSE(r.has_value());
        EXPECT_EQ(r.error().code, ErrorCode::invalid_input);
    };
    refused(n->sequencer->dev_mine(1, ~uint64_t{0}, 0));
    refused(n->sequencer->dev_mine(1, timestamp_s_max + 1, 0));
    refused(n->sequencer->dev_mine(3, {}, ~uint64_t{0} - 15));
    refused(n->sequencer->dev_mine(2, {}, timestamp_s_max));
    refused(n->sequencer->dev_mine(1 << 20, {}, 1 << 20));
    refused(n->sequencer->dev_increase_time(timestamp_s_max));
    // Between the head and the open block there is no time any more.
    ASSERT_OK(n->sequencer->dev_mine(1, {}, 0));
    ASSERT_OK(n->sequencer->dev_increase_time(1000));
    refused(n->sequencer->dev_mine(1, n->view().head()->header.timestamp + 500, 0));
    ASSERT_OK(n->sequencer->dev_mine(1, timestamp_s_max - 10, 0));
    EXPECT_EQ(n->view().head()->header.timestamp, timestamp_s_max - 10);
    refused(n->sequencer->dev_mine(3, {}, 10));
    ASSERT_OK(n->sequencer->dev_mine(2, {}, 1));
    EXPECT_EQ(n->view().head()->header.timestamp, timestamp_s_max - 8);
    EXPECT_FALSE(n->fatal.load());
}

}  // namespace
}  // namespace millrace::sequencer
