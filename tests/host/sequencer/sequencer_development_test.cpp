// SPDX-License-Identifier: Apache-2.0
// Owns the tests of what development nodes do to a running pipeline: mining, time, snapshots,
// edits, impersonation.
#include "tests/host/sequencer/sequencer_fixture.hpp"

namespace millrace::sequencer {
namespace {

using namespace test;

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
    EXPECT_EQ(load_be(again->transaction->receipt.logs[0].data), U256{2});
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
    EXPECT_EQ(load_be(r->transaction->receipt.logs[0].data), U256{42});
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
    EXPECT_EQ(load_be(r->transaction->receipt.logs[0].data), U256{1}) << "the counter begins anew";
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
    EXPECT_TRUE(
        eventually([&] { return n->sequencer->pool_counts() == std::pair(size_t{0}, size_t{1}); }));
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
    EXPECT_LT(std::chrono::steady_clock::now() - begin, patience);
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
