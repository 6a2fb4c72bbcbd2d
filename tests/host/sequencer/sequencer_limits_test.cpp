// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the pipeline at its ends: limits, full and failing disks, stopping.
#include "tests/host/sequencer/sequencer_fixture.hpp"

namespace millrace::sequencer {
namespace {

using namespace test;

TEST_F(SequencerTest, FullMiniBlockDoesNotLeaveTheNextOneWaiting) {
    SequencerOptions options = quick_options();
    // What waited for the end of the block would wait in vain.
    options.block_us = 3'600'000'000;
    options.mini_block_transactions_max = 2;
    auto n = start(options);
    for (uint64_t round = 0; round < 20; ++round) {
        std::vector<Hash256> sent;
        for (uint64_t key = 0; key < 4; ++key) {
            const auto a = n->send(key, transfer_transaction(round, stranger(1), U256{1}));
            ASSERT_TRUE(a.has_value());
            sent.push_back(a->hash);
        }
        for (const Hash256& hash : sent) { ASSERT_TRUE(n->wait(hash)); }
    }
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
    EXPECT_LT(std::chrono::steady_clock::now() - begin, patience);
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
    EXPECT_EQ(n->ledger->recovery().records_replayed, 1u)
        << "a clean end leaves a checkpoint; behind it is the seal of its block";
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
    EXPECT_GE(r.error().retry_after_ms, IngressGate::retry_ms_min);
    EXPECT_LE(r.error().retry_after_ms, IngressGate::retry_ms_max);
}

TEST_F(SequencerTest, WhatThePoolHasNoRoomForIsRefusedAtTheGateAndNothingIsDropped) {
    SequencerOptions options = quick_options();
    options.pool.transactions_max = 8;
    // The base fee is above what these pay, so that they stay.
    genesis_.header.base_fee_per_gas = U256{100 * gwei};
    genesis_.hash = evm::header_hash(genesis_.header);
    options.block_us = 3'600'000'000;
    auto n = start(options);
    for (uint64_t i = 0; i < 7; ++i) {  // an eighth is for priority
        const auto a = n->send(i % 4, transfer_transaction(i / 4, stranger(1), U256{1}));
        ASSERT_TRUE(a.has_value()) << to_string(a.error());
    }
    // It pays more, and yet nothing that was acknowledged gives way.
    const auto r =
        n->send(5, with_fees(transfer_transaction(0, stranger(1), U256{1}), 50 * gwei, 60 * gwei));
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error().kind, Refusal::Kind::overloaded);
    EXPECT_GE(r.error().retry_after_ms, IngressGate::retry_ms_min);
    EXPECT_TRUE(n->recorder.dropped().empty());
    const auto content = n->sequencer->pool_content();
    ASSERT_OK(content);
    EXPECT_EQ(content->executable.size(), 7u);
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
            const auto answered = [&] {
                return f.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
            };
            ASSERT_TRUE(eventually([&] { return answered() || n->sequencer->disk_full(); }));
            if (answered()) {
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
        ASSERT_TRUE(eventually([&] {
            again = n->send(0, transfer_transaction(nonce, stranger(1), U256{1}));
            return again->has_value();
        }));
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
    ASSERT_TRUE(eventually([&] { return n->sequencer->disk_full(); }));
    const auto begin = std::chrono::steady_clock::now();
    n->stop();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, patience);
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
    EXPECT_TRUE(eventually([&] { return n->fatal.load(); }));
    n->stop();
    n.reset();
    disk.restart(3);
    n = std::make_unique<Node>(disk, genesis_, "/node", quick_options(), true);
    const auto found = n->view().find_transaction(first->transaction->admitted->hash);
    ASSERT_TRUE(found);
    EXPECT_EQ(evm::encode_receipt(found->transaction->receipt),
              evm::encode_receipt(first->transaction->receipt));
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

TEST_F(SequencerTest, TransactionThatWouldPassTheBytesBeginsAMiniBlock) {
    SequencerOptions options = quick_options();
    // A transfer is counted with about 1,000 bytes, so one is below and two are above.
    options.mini_block_bytes_max = 1'500;
    auto n = start(options);
    std::vector<std::future<Node::Admitted>> answers;
    for (uint64_t i = 0; i < 8; ++i) {
        answers.push_back(n->submit(raw_signed(i, transfer_transaction(0, stranger(i), U256{1}))));
    }
    for (auto& a : answers) { ASSERT_TRUE(n->wait(a.get()->hash)); }
    n->stop();
    const auto mini_blocks = n->recorder.mini_blocks();
    EXPECT_EQ(mini_blocks.size(), 8u);
    for (const MiniBlockPtr& m : mini_blocks) { EXPECT_EQ(m->transactions.size(), 1u); }
}

TEST_F(SequencerTest, BlockThatCannotBeSealedEndsTheNode) {
    storage::SimulatedDisk disk;
    Node n{disk, genesis_, "/node", {.mini_block_us = 5'000, .block_us = 3'600'000'000},
           true, 4'000};
    ASSERT_OK(n.sequencer->dev_mine(1, {}, 0));
    ASSERT_TRUE(n.run(0, call_transaction(0, stranger(1), {}, Bytes(5'000, 1), 2'000'000)));
    const auto begin = std::chrono::steady_clock::now();
    EXPECT_FALSE(n.sequencer->dev_mine(1, {}, 0).has_value());
    EXPECT_TRUE(eventually([&] { return n.fatal.load(); }));
    EXPECT_EQ(n.send(0, transfer_transaction(1, stranger(1), {})).error().kind,
              Refusal::Kind::stopping);
    EXPECT_EQ(n.sequencer->dev_mine(1, {}, 0).error().code, ErrorCode::unavailable);
    n.stop();
    EXPECT_LT(std::chrono::steady_clock::now() - begin, patience);
}

}  // namespace
}  // namespace millrace::sequencer
