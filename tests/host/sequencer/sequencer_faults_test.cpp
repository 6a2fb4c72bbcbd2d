// SPDX-License-Identifier: Apache-2.0
// Owns the tests of a pipeline with several workers whose disk fills up, fails or loses power while
// many send at once: whatever was given out is there afterwards, the same.
#include <map>

#include "tests/host/sequencer/sequencer_fixture.hpp"

namespace millrace::sequencer {
namespace {

using namespace test;

/// Threads that send transfers and calls of one counter, each for accounts of its own, and keep
/// every receipt that they are given.
class Senders {
public:
    static constexpr uint64_t threads = 4;
    static constexpr uint64_t accounts = 8;
    /// Transactions of an account that may wait for their receipts.
    static constexpr uint64_t unanswered_max = 32;

    struct Given {
        Bytes receipt;
        uint64_t block_number = 0;
        uint64_t index = 0;
    };

    explicit Senders(Node& node) : node_(node) {
        for (uint64_t t = 0; t < threads; ++t) {
            threads_.emplace_back([this, t] { run(t); });
        }
    }
    ~Senders() { stop(); }
    /// Waits for the threads, and so for every answer: with a node that cannot go on it comes after
    /// the node's own stop().
    void stop() {
        stopping_.store(true);
        threads_.clear();
    }
    size_t given_count() const {
        const std::lock_guard lock(mutex_);
        return given_.size();
    }
    std::map<Hash256, Given> given() const {
        const std::lock_guard lock(mutex_);
        return given_;
    }
    bool wait_for(size_t count) {
        return eventually([&] { return given_count() >= count; });
    }
    std::vector<std::string> refusals() const {
        const std::lock_guard lock(mutex_);
        return refusals_;
    }

private:
    void run(uint64_t thread) {
        uint64_t nonces[accounts] = {};
        for (uint64_t a = thread; !stopping_.load() && !node_.fatal.load();
             a = (a + threads) % accounts) {
            if (unanswered_[a].load() >= unanswered_max) {
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
                continue;
            }
            const uint64_t nonce = nonces[a];
            const Bytes raw =
                raw_signed(a, nonce % 3 == 0 ? call_transaction(nonce, counter_contract)
                                             : transfer_transaction(nonce, stranger(1), U256{1}));
            const Node::Admitted admitted = node_.submit(raw).get();
            if (!admitted) {
                // Of a disk that is full, or a node that ends; and then it is sent again.
                const Refusal::Kind kind = admitted.error().kind;
                if (kind != Refusal::Kind::disk_full && kind != Refusal::Kind::memory_full &&
                    kind != Refusal::Kind::overloaded && kind != Refusal::Kind::stopping) {
                    const std::lock_guard lock(mutex_);
                    refusals_.push_back(to_string(admitted.error()));
                    return;
                }
                std::this_thread::sleep_for(std::chrono::milliseconds(1));
                continue;
            }
            ++nonces[a];
            unanswered_[a].fetch_add(1);
            node_.view().watch(admitted->hash,
                               [this, a](const LocatedTransaction* t, std::string_view) {
                                   unanswered_[a].fetch_sub(1);
                                   if (t == nullptr) { return; }
                                   const std::lock_guard lock(mutex_);
                                   given_[t->transaction->admitted->hash] = {
                                       evm::encode_receipt(t->transaction->receipt),
                                       t->block_number, t->transaction->index};
                               });
        }
    }

    Node& node_;
    std::atomic<bool> stopping_{false};
    std::array<std::atomic<uint64_t>, accounts> unanswered_{};
    mutable std::mutex mutex_;  // guards the two below
    std::map<Hash256, Given> given_;
    std::vector<std::string> refusals_;
    std::vector<std::jthread> threads_;
};

class SequencerFaults : public SequencerTest, public ::testing::WithParamInterface<const char*> {
protected:
    SequencerFaults() {
        commitment_ = GetParam();
        genesis_ = make_genesis({.commitment = commitment_});
    }
    static SequencerOptions parallel_options() {
        SequencerOptions o;
        o.mini_block_us = 5'000;
        o.block_us = 100'000;
        o.mini_block_bytes_max = 40'000;  // records of the small log segments
        o.execution_workers = 3;
        return o;
    }
    std::unique_ptr<Node> open(storage::SimulatedDisk& disk) {
        return std::make_unique<Node>(disk, genesis_, "/node", parallel_options(), true, 256 << 20,
                                      std::function<void()>{}, commitment_);
    }

    /// Every receipt given out is there, the same, and the chain agrees with itself.
    void expect_all(Node& n, const std::map<Hash256, Senders::Given>& given) {
        std::map<Address, uint64_t> nonces;
        uint64_t transfers = 0;
        uint64_t calls = 0;
        size_t found = 0;
        // Recovery seals the block that was open.
        const SealedPtr head = n.view().head();
        for (uint64_t number = 1; number <= head->header.number; ++number) {
            const auto block = n.view().sealed(number);
            ASSERT_TRUE(block.has_value());
            for (const ExecutedPtr& t : (*block)->transactions) {
                if (const auto it = given.find(t->admitted->hash); it != given.end()) {
                    ++found;
                    EXPECT_EQ(evm::encode_receipt(t->receipt), it->second.receipt);
                    EXPECT_EQ(number, it->second.block_number);
                    EXPECT_EQ(t->index, it->second.index);
                }
                EXPECT_EQ(t->admitted->transaction.nonce, nonces[t->admitted->sender]++);
                EXPECT_TRUE(t->receipt.success);
                ++(t->admitted->transaction.to == counter_contract ? calls : transfers);
            }
        }
        EXPECT_EQ(found, given.size()) << "a receipt was given out and is gone";
        // Each of these reads a whole block.
        for (auto [it, i] = std::pair(given.begin(), 0); it != given.end(); ++it, ++i) {
            if (i % 64 == 0) { EXPECT_TRUE(n.view().find_transaction(it->first)); }
        }
        for (const auto& [address, nonce] : nonces) {
            EXPECT_EQ(n.view().latest_state()->account(address)->nonce, nonce);
        }
        EXPECT_EQ(n.balance(stranger(1)), U256{transfers});
        EXPECT_EQ(n.slot(counter_contract, 0), U256{calls});
        expect_roots(n, commitment_);
    }
};

TEST_P(SequencerFaults, FullDiskUnderParallelLoadStopsIntakeAndLosesNothing) {
    storage::SimulatedDisk disk;
    auto n = open(disk);
    Senders senders{*n};
    for (size_t round = 1; round <= 3; ++round) {
        const size_t before = senders.given_count();
        ASSERT_TRUE(senders.wait_for(before + 200));
        disk.set_free_bytes(round * 1000);
        ASSERT_TRUE(eventually([&] { return n->sequencer->disk_full(); }));
        const auto refused = n->send(9, transfer_transaction(0, stranger(2), U256{1}));
        ASSERT_FALSE(refused.has_value());
        EXPECT_EQ(refused.error().kind, Refusal::Kind::disk_full);
        EXPECT_EQ(n->view().head()->hash,
                  n->view().sealed(n->view().head()->header.number).value()->hash)
            << "reads go on";
        // Whatever was given out by now is durable: it survives a loss of power at this moment.
        const auto given = senders.given();
        const auto copy = disk.clone();
        copy->restart(round);
        copy->set_free_bytes(64 << 20);
        {
            const auto recovered = open(*copy);
            expect_all(*recovered, given);
        }
        disk.set_free_bytes(64 << 20);
        ASSERT_TRUE(senders.wait_for(given.size() + 200)) << "it goes on by itself";
        EXPECT_TRUE(eventually([&] { return !n->sequencer->disk_full(); }));
    }
    senders.stop();
    EXPECT_EQ(senders.refusals(), std::vector<std::string>{});
    EXPECT_FALSE(n->fatal.load());
    n.reset();
    n = open(disk);
    expect_all(*n, senders.given());
}

TEST_P(SequencerFaults, ALowDiskStopsIntakeBeforeItIsFullAndLosesNothing) {
    constexpr uint64_t reserve = 16 << 20;
    storage::SimulatedDisk disk;
    disk.set_free_bytes(256 << 20);
    ASSERT_TRUE(disk.create_directory("/node"));
    DiskGuard guard{disk, "/node", reserve};
    guard.start(1);
    SequencerOptions options = parallel_options();
    options.disk_guard = &guard;
    auto n = std::make_unique<Node>(disk, genesis_, "/node", options, true, 256 << 20,
                                    std::function<void()>{}, commitment_);
    Senders senders{*n};
    for (size_t round = 1; round <= 3; ++round) {
        ASSERT_TRUE(senders.wait_for(senders.given_count() + 100));
        EXPECT_FALSE(n->sequencer->disk_low());
        disk.set_free_bytes(reserve - 1);
        ASSERT_TRUE(eventually([&] { return n->sequencer->disk_low(); }));
        const auto refused = n->send(9, transfer_transaction(0, stranger(2), U256{1}));
        ASSERT_FALSE(refused.has_value());
        EXPECT_EQ(refused.error().kind, Refusal::Kind::disk_full);
        // What was taken before is executed and given out: there is room for it, and blocks go on.
        const uint64_t number = n->view().head()->header.number;
        ASSERT_TRUE(eventually([&] { return n->view().head()->header.number > number + 2; }));
        ASSERT_TRUE(eventually([&] { return n->sequencer->pool_counts().first == 0; }));
        EXPECT_FALSE(n->ledger->disk_full());
        EXPECT_GT(disk.free_bytes("/node").value(), reserve / 4);
        disk.set_free_bytes(256 << 20);
        ASSERT_TRUE(eventually([&] { return !n->sequencer->disk_full(); }))
            << "it goes on by itself";
    }
    senders.stop();
    EXPECT_EQ(senders.refusals(), std::vector<std::string>{});
    EXPECT_FALSE(n->fatal.load());
    n.reset();
    n = open(disk);
    expect_all(*n, senders.given());
}

TEST(DiskGuard, IsLowBelowTheReserveUntilThereIsClearlyMore) {
    storage::SimulatedDisk disk;
    ASSERT_TRUE(disk.create_directory("/d"));
    metrics::Registry registry;
    metrics::Gauge& gauge = registry.gauge("free", "free bytes");
    DiskGuard guard{disk, "/d", 1600, &gauge};
    EXPECT_FALSE(guard.low());
    for (const auto& [free, low] : {std::pair{1600u, false},
                                    {1599u, true},
                                    {1600u, true},
                                    {1699u, true},
                                    {1700u, false},
                                    {1600u, false},
                                    {0u, true}}) {
        disk.set_free_bytes(free);
        guard.check();
        EXPECT_EQ(guard.low(), low) << free;
        EXPECT_EQ(guard.free_bytes(), free);
    }
    DiskGuard off{disk, "/d", 0};
    off.check();
    EXPECT_FALSE(off.low());
}

TEST_P(SequencerFaults, AStateAtItsLimitOfMemoryStopsIntakeAndLosesNothing) {
    storage::SimulatedDisk disk;
    metrics::Registry registry;
    MemoryGuard guard{1000, registry};
    SequencerOptions options = parallel_options();
    options.memory_guard = &guard;
    auto n = std::make_unique<Node>(disk, genesis_, "/node", options, true, 256 << 20,
                                    std::function<void()>{}, commitment_);
    Senders senders{*n};
    for (size_t round = 1; round <= 3; ++round) {
        ASSERT_TRUE(senders.wait_for(senders.given_count() + 100));
        guard.note({.index = 600, .tree = 400});
        const auto refused = n->send(9, transfer_transaction(0, stranger(2), U256{1}));
        ASSERT_FALSE(refused.has_value());
        EXPECT_EQ(refused.error().kind, Refusal::Kind::memory_full);
        // What was taken before is executed and given out, and blocks go on.
        const uint64_t number = n->view().head()->header.number;
        ASSERT_TRUE(eventually([&] { return n->view().head()->header.number > number + 2; }));
        ASSERT_TRUE(eventually([&] { return n->sequencer->pool_counts().first == 0; }));
        guard.note({.index = 600});
    }
    senders.stop();
    EXPECT_EQ(senders.refusals(), std::vector<std::string>{});
    EXPECT_FALSE(n->fatal.load());
    n.reset();
    n = open(disk);
    expect_all(*n, senders.given());
}

TEST(MemoryGuard, IsFullAtTheLimitUntilASixteenthIsFree) {
    metrics::Registry registry;
    MemoryGuard guard{1600, registry};
    EXPECT_FALSE(guard.full());
    for (const auto& [used, full] : {std::pair{1599u, false},
                                     {1600u, true},
                                     {1501u, true},
                                     {1500u, true},
                                     {1499u, false},
                                     {1599u, false},
                                     {4000u, true}}) {
        guard.note({.tree = 100, .snapshots = used - 100});
        EXPECT_EQ(guard.full(), full) << used;
        EXPECT_EQ(guard.used_bytes(), used);
    }
    const auto part = [&](const std::string& name) {
        return registry.gauge("millrace_state_memory_bytes", "", "part=\"" + name + "\"").value();
    };
    EXPECT_EQ(part("tree"), 100);
    EXPECT_EQ(part("snapshots"), 3900);
    EXPECT_EQ(part("index"), 0);
    EXPECT_EQ(registry.gauge("millrace_state_memory_limit_bytes", "").value(), 1600);
    MemoryGuard off{0, registry};
    off.note({.index = ~uint64_t{0} / 2});
    EXPECT_FALSE(off.full());
}

/// A file system that cannot say how much is free.
class Silent final : public storage::FileSystem {
public:
    Result<std::unique_ptr<storage::File>> open(const std::string&, storage::OpenMode) override {
        return fail(ErrorCode::io, "not here");
    }
    Result<bool> exists(const std::string&) override { return false; }
    Result<void> create_directory(const std::string&) override { return {}; }
    Result<void> sync_directory(const std::string&) override { return {}; }
    Result<void> rename(const std::string&, const std::string&) override { return {}; }
    Result<void> remove(const std::string&) override { return {}; }
    Result<std::vector<std::string>> list(const std::string&) override {
        return std::vector<std::string>{};
    }
    Result<std::unique_ptr<storage::FileLock>> lock(const std::string&, std::string_view) override {
        return fail(ErrorCode::io, "not here");
    }
    Result<uint64_t> free_bytes(const std::string&) override {
        if (free) { return *free; }
        return fail(ErrorCode::io, "the system does not say");
    }
    std::optional<uint64_t> free;
};

TEST(DiskGuard, WhatIsNotKnownChangesNothing) {
    Silent system;
    DiskGuard guard{system, "/d", 100};
    guard.check();
    EXPECT_FALSE(guard.low());
    system.free = 50;
    guard.check();
    EXPECT_TRUE(guard.low());
    system.free.reset();
    guard.check();
    EXPECT_TRUE(guard.low());
}

TEST_P(SequencerFaults, FailedFlushUnderParallelLoadEndsTheNodeAndLosesNothing) {
    for (const uint64_t at : {1u, 2u, 3u, 4u}) {
        SCOPED_TRACE("operation " + std::to_string(at));
        storage::SimulatedDisk disk;
        auto n = open(disk);
        Senders senders{*n};
        ASSERT_TRUE(senders.wait_for(100));
        // An operation that is no flush passes; the next one is tried.
        uint64_t armed_for = 0;
        ASSERT_TRUE(eventually([&] {
            if (disk.operation_count() >= armed_for && !n->fatal.load()) {
                armed_for = disk.operation_count() + at;
                disk.arm(storage::DiskFault::sync_failure, at);
            }
            return n->fatal.load();
        }));
        EXPECT_EQ(n->send(9, transfer_transaction(0, stranger(2), U256{1})).error().kind,
                  Refusal::Kind::stopping);
        const size_t given = senders.given_count();
        n->stop();
        senders.stop();
        EXPECT_EQ(senders.given_count(), given) << "what was not flushed is told to nobody";
        n.reset();
        disk.restart(at);
        n = open(disk);
        expect_all(*n, senders.given());
        ASSERT_TRUE(n->run(9, transfer_transaction(0, stranger(2), U256{1})));
    }
}

TEST_P(SequencerFaults, LossOfPowerUnderParallelLoadLosesNothing) {
    for (uint64_t seed = 1; seed <= 6; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        storage::SimulatedDisk disk;
        std::map<Hash256, Senders::Given> given;
        {
            const auto n = open(disk);
            Senders senders{*n};
            ASSERT_TRUE(senders.wait_for(50 * seed));
            disk.arm(storage::DiskFault::crash, 1 + seed * 5);
            ASSERT_TRUE(eventually([&] { return n->fatal.load(); }));
            n->stop();
            senders.stop();
            given = senders.given();
        }
        disk.restart(seed);
        const auto n = open(disk);
        expect_all(*n, given);
        ASSERT_TRUE(n->run(9, transfer_transaction(0, stranger(2), U256{1})));
    }
}

INSTANTIATE_TEST_SUITE_P(Commitments, SequencerFaults, ::testing::Values("mpt", "qmdb-keccak256"),
                         [](const auto& p) {
                             return std::string(p.param).substr(0, std::string(p.param).find('-'));
                         });

}  // namespace
}  // namespace millrace::sequencer
