// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the ledger: what a restart finds, what it refuses, and crashes at every I/O.
#include <gtest/gtest.h>

#include <cstdlib>

#include "storage/qmdb/block_commitment.hpp"
#include "tests/host/sequencer/ledger_script.hpp"
#include "tests/storage/scratch_directory.hpp"

namespace millrace::sequencer {
namespace {

using namespace test;
using storage::DiskFault;
using storage::SimulatedDisk;

#define ASSERT_OK(expression)                                        \
    do {                                                             \
        const auto result_ = (expression);                           \
        ASSERT_TRUE(result_.has_value()) << result_.error().message; \
    } while (false)

class LedgerTest : public ::testing::TestWithParam<const char*> {
protected:
    static LedgerOptions options() { return small_ledger_options("/node", GetParam()); }
    std::unique_ptr<ScriptedNode> node(LedgerOptions options = LedgerTest::options()) {
        return std::make_unique<ScriptedNode>(disk_, genesis_, std::move(options), &oracle_);
    }
    /// Starts a node on what is there and compares it with the oracle.
    std::unique_ptr<ScriptedNode> reopened() {
        auto n = node();
        const auto started = n->start();
        EXPECT_TRUE(started.has_value()) << started.error().message;
        if (!started) { return nullptr; }
        EXPECT_EQ(check(*n, oracle_), "");
        return n;
    }

    Genesis genesis_ = make_genesis({.commitment = GetParam()});
    SimulatedDisk disk_;
    Oracle oracle_{genesis_, GetParam()};
};

TEST_P(LedgerTest, NewDirectoryHoldsTheGenesis) {
    auto n = node();
    ASSERT_OK(n->start());
    EXPECT_TRUE(n->ledger->recovery().created);
    EXPECT_EQ(n->ledger->view().head()->hash, genesis_.hash);
    EXPECT_EQ(n->ledger->next_mini_block_number(), 1u);
    EXPECT_EQ(n->ledger->view().latest_state()->account(account(0))->balance, U256{1000} * ether);
    EXPECT_EQ(n->ledger->view().sealed(genesis_.hash).value()->hash, genesis_.hash);
    EXPECT_EQ(n->ledger->view().sealed(1).value(), nullptr);
}

TEST_P(LedgerTest, NothingIsVisibleBeforeTheFlush) {
    auto n = node();
    ASSERT_OK(n->start());
    ASSERT_OK(n->open_block());
    const AdmittedPtr tx = admitted(0, transfer_transaction(0, stranger(1), U256{5}));
    int seen = 0;
    EXPECT_NE(n->ledger->view().watch(tx->hash,
                                      [&](const LocatedTransaction* t, std::string_view) {
                                          ++seen;
                                          ASSERT_NE(t, nullptr);
                                          EXPECT_TRUE(t->block_hash.is_zero());
                                          EXPECT_EQ(t->block_number, 1u);
                                      }),
              0u);
    ASSERT_OK(n->mini_block({tx}));
    EXPECT_FALSE(n->ledger->view().find_transaction(tx->hash));
    EXPECT_FALSE(n->ledger->view().latest_state()->account(stranger(1)));
    EXPECT_EQ(seen, 0);
    ASSERT_OK(n->flush());
    EXPECT_EQ(seen, 1);
    EXPECT_TRUE(n->ledger->view().find_transaction(tx->hash));
    EXPECT_EQ(n->ledger->view().latest_state()->account(stranger(1))->balance, U256{5});
    ASSERT_TRUE(n->ledger->view().open_block());
    EXPECT_EQ(n->ledger->view().open_block()->mini_blocks.size(), 1u);
    EXPECT_EQ(n->ledger->view().watcher_count(), 0u);
    EXPECT_EQ(
        n->ledger->view().watch(tx->hash, [&](const LocatedTransaction* t,
                                              std::string_view) { seen += t != nullptr ? 1 : 0; }),
        0u)
        << "durable already";
    EXPECT_EQ(seen, 2);
    ASSERT_OK(n->seal());
    EXPECT_EQ(n->ledger->view().find_transaction(tx->hash)->block_hash,
              n->ledger->view().head()->hash);
}

TEST_P(LedgerTest, WatchesEndWhenTheyAreGivenUp) {
    auto n = node();
    ASSERT_OK(n->start());
    const Hash256 hash = to_hash(U256{1});
    std::string reason;
    const auto note = [&](const LocatedTransaction* t, std::string_view why) {
        EXPECT_EQ(t, nullptr);
        reason += why;
    };
    EXPECT_NE(n->ledger->view().watch(hash, note), 0u);
    const uint64_t other = n->ledger->view().watch(hash, note);
    n->ledger->view().unwatch(0);
    n->ledger->view().unwatch(other + 100);
    EXPECT_EQ(n->ledger->view().watcher_count(), 2u);
    n->ledger->view().unwatch(other);
    n->ledger->view().unwatch(other);
    EXPECT_EQ(n->ledger->view().watcher_count(), 1u);
    n->ledger->view().give_up(hash, "evicted");
    EXPECT_EQ(reason, "evicted");
    EXPECT_EQ(n->ledger->view().watcher_count(), 0u);
    n->ledger->view().give_up(hash, "evicted");
    EXPECT_EQ(reason, "evicted");
}

TEST_P(LedgerTest, RestartFindsBlocksReceiptsStateAndNumbers) {
    auto n = node();
    ASSERT_OK(n->start());
    ASSERT_OK(run_script(*n, 5, 8));
    ASSERT_OK(n->flush());
    n.reset();
    auto again = reopened();
    ASSERT_NE(again, nullptr);
    EXPECT_TRUE(again->ledger->recovery().sealed_open_block);
    EXPECT_FALSE(again->ledger->recovery().created);
    ASSERT_OK(run_script(*again, 6, 3));
    again.reset();
    reopened();
}

TEST_P(LedgerTest, CleanRestartFromACheckpointExecutesNothing) {
    auto n = node();
    ASSERT_OK(n->start());
    ASSERT_OK(n->open_block());
    ASSERT_OK(n->mini_block({admitted(0, transfer_transaction(0, stranger(1), U256{5}))}));
    ASSERT_OK(n->seal());
    ASSERT_OK(n->ledger->checkpoint(true));
    n.reset();
    auto again = reopened();
    ASSERT_NE(again, nullptr);
    const RecoveryReport& r = again->ledger->recovery();
    EXPECT_EQ(r.checkpoint_block, 1u);
    EXPECT_EQ(r.records_replayed, 1u) << "the seal, which tells nothing new";
    EXPECT_EQ(r.transactions_reexecuted, 0u);
    EXPECT_FALSE(r.sealed_open_block);
}

TEST_P(LedgerTest, RestartSealsWhatWasClosedAndWhatWasOpenedOnIt) {
    auto n = node();
    ASSERT_OK(n->start());
    ASSERT_OK(n->open_block());
    const AdmittedPtr first = admitted(0, transfer_transaction(0, stranger(1), U256{5}));
    ASSERT_OK(n->mini_block({first}));
    ASSERT_OK(n->close());
    ASSERT_OK(n->open_block());
    const AdmittedPtr second = admitted(0, transfer_transaction(1, stranger(1), U256{7}));
    ASSERT_OK(n->mini_block({second}));
    ASSERT_OK(n->flush());
    // Both are there, with their own numbers, and neither has a hash.
    ChainView& view = n->ledger->view();
    EXPECT_EQ(view.head()->header.number, 0u);
    EXPECT_EQ(view.unsealed_blocks().size(), 2u);
    EXPECT_EQ(view.open_block()->open.number, 2u);
    EXPECT_EQ(view.find_transaction(first->hash)->block_number, 1u);
    EXPECT_EQ(view.find_transaction(second->hash)->block_number, 2u);
    EXPECT_TRUE(view.find_transaction(first->hash)->block_hash.is_zero());
    EXPECT_EQ(view.latest_state()->account(stranger(1))->balance, U256{12});
    EXPECT_EQ(view.latest_state()->slot(history_contract, U256{1}), U256{});
    n.reset();
    auto again = reopened();
    ASSERT_NE(again, nullptr);
    const RecoveryReport& r = again->ledger->recovery();
    EXPECT_TRUE(r.sealed_open_block);
    EXPECT_EQ(r.transactions_reexecuted, 2u);
    const SealedPtr head = again->ledger->view().head();
    EXPECT_EQ(head->header.number, 2u);
    EXPECT_EQ(head->header.parent_hash, again->ledger->view().sealed(1).value()->hash);
    EXPECT_EQ(again->ledger->view().latest_state()->slot(history_contract, U256{1}),
              to_u256(head->header.parent_hash));
}

TEST_P(LedgerTest, CheckpointHoldsABlockWhileTheNextOneIsOpen) {
    auto n = node();
    ASSERT_OK(n->start());
    ASSERT_OK(n->open_block());
    ASSERT_OK(n->mini_block({admitted(0, transfer_transaction(0, stranger(1), U256{5}))}));
    ASSERT_OK(n->close());
    ASSERT_OK(n->open_block());
    ASSERT_OK(n->mini_block({admitted(0, transfer_transaction(1, stranger(1), U256{7}))}));
    ASSERT_OK(n->flush());
    EXPECT_TRUE(n->ledger->view().open_block()->open.parent_hash.is_zero());
    ASSERT_OK(n->finish());
    EXPECT_EQ(n->ledger->view().open_block()->open.parent_hash, n->ledger->view().head()->hash);
    EXPECT_EQ(n->ledger->view().unsealed_blocks().size(), 1u);
    ASSERT_OK(n->ledger->checkpoint(true));
    ASSERT_OK(n->mini_block({admitted(0, call_transaction(2, history_contract, {}, Bytes(32, 0))),
                             admitted(1, call_transaction(0, block_hash_contract, {}, [] {
                                          Bytes word(32, 0);
                                          word[31] = 1;
                                          return word;
                                      }()))}));
    ASSERT_OK(n->flush());
    EXPECT_EQ(n->ledger->view().latest_state()->slot(block_hash_contract, U256{0}),
              to_u256(n->ledger->view().head()->hash));
    EXPECT_EQ(n->ledger->view().state_after(1).value()->account(stranger(1))->balance, U256{5});
    n.reset();
    auto again = reopened();
    ASSERT_NE(again, nullptr);
    const RecoveryReport& r = again->ledger->recovery();
    EXPECT_EQ(r.checkpoint_block, 1u);
    EXPECT_EQ(r.transactions_reexecuted, 3u) << "those of the block that was open";
    EXPECT_EQ(again->ledger->view().state_after(1).value()->account(stranger(1))->balance, U256{5});
}

TEST_P(LedgerTest, StateOfEarlierBlocksStaysReadable) {
    auto n = node();
    ASSERT_OK(n->start());
    for (uint64_t i = 0; i < 4; ++i) {
        ASSERT_OK(n->open_block());
        ASSERT_OK(n->mini_block({admitted(0, transfer_transaction(i, stranger(1), U256{5}))}));
        ASSERT_OK(n->seal());
    }
    for (int life = 0; life < 2; ++life) {
        for (uint64_t b = 1; b <= 4; ++b) {
            const auto s = n->ledger->view().state_after(b);
            ASSERT_OK(s);
            EXPECT_EQ((*s)->account(stranger(1))->balance, U256{5 * b});
        }
        EXPECT_FALSE(n->ledger->view().state_after(0).value()->account(stranger(1)));
        EXPECT_EQ(n->ledger->view().state_after(5).error().code, ErrorCode::unavailable);
        n.reset();
        n = reopened();
    }
}

TEST_P(LedgerTest, BlocksMadeAfterARevertSurviveARestart) {
    auto n = node();
    ASSERT_OK(n->start());
    for (uint64_t i = 0; i < 3; ++i) {
        ASSERT_OK(n->open_block());
        ASSERT_OK(n->mini_block({admitted(0, transfer_transaction(i, stranger(1), U256{1}))}));
        ASSERT_OK(n->seal());
    }
    ASSERT_OK(n->open_block());
    ASSERT_OK(n->revert(1));
    EXPECT_EQ(n->ledger->epoch(), 2u);
    EXPECT_EQ(n->ledger->view().head()->header.number, 1u);
    for (uint64_t i = 1; i < 4; ++i) {
        ASSERT_OK(n->open_block());
        ASSERT_OK(n->mini_block({admitted(0, transfer_transaction(i, stranger(2), U256{1}))}));
        ASSERT_OK(n->seal());
    }
    n.reset();
    auto again = reopened();
    ASSERT_NE(again, nullptr);
    EXPECT_EQ(again->ledger->epoch(), 2u);
    EXPECT_EQ(again->ledger->view().head()->header.number, 4u);
}

TEST_P(LedgerTest, OlderBlocksAreDecodedOnceAndNotServedAfterARevert) {
    auto n = node();
    ASSERT_OK(n->start());
    uint64_t nonce = 0;
    const auto block = [&](ScriptedNode& node) -> Result<void> {
        MILLRACE_CHECK(node.open_block());
        MILLRACE_TRY(
            const auto m,
            node.mini_block({admitted(0, transfer_transaction(nonce++, stranger(1), U256{1}))}));
        MILLRACE_CHECK(node.seal());
        return {};
    };
    for (int i = 0; i < 20; ++i) { ASSERT_OK(block(*n)); }
    n.reset();
    auto again = reopened();
    ASSERT_NE(again, nullptr);
    ChainView& view = again->ledger->view();
    const SealedPtr third = view.sealed(3).value();
    EXPECT_EQ(view.sealed(3).value(), third);
    EXPECT_EQ(view.find_transaction(third->transactions.at(0)->admitted->hash)->transaction,
              third->transactions[0]);
    for (uint64_t number = 4; number < 20; ++number) { view.sealed(number).value(); }
    EXPECT_NE(view.sealed(3).value(), third) << "only so many are kept";
    EXPECT_EQ(view.sealed(3).value()->hash, third->hash);

    ASSERT_OK(again->open_block());
    ASSERT_OK(again->revert(2));
    EXPECT_EQ(view.sealed(3).value(), nullptr);
    EXPECT_FALSE(view.find_transaction(third->transactions[0]->admitted->hash).has_value());
}

TEST_P(LedgerTest, RevertBelowTheCheckpointSurvivesARestart) {
    auto n = node();
    ASSERT_OK(n->start());
    for (uint64_t i = 0; i < 3; ++i) {
        ASSERT_OK(n->open_block());
        ASSERT_OK(n->mini_block({admitted(0, transfer_transaction(i, stranger(1), U256{1}))}));
        ASSERT_OK(n->seal());
    }
    ASSERT_OK(n->ledger->checkpoint(true));
    ASSERT_OK(n->open_block());
    ASSERT_OK(n->revert(1));
    n.reset();
    n = reopened();
    ASSERT_NE(n, nullptr);
    EXPECT_EQ(n->ledger->next_mini_block_number(), 2u);
    ASSERT_OK(n->open_block());
    ASSERT_OK(n->mini_block({admitted(0, transfer_transaction(1, stranger(2), U256{1}))}));
    ASSERT_OK(n->seal());
    n.reset();
    reopened();
}

TEST_P(LedgerTest, EditsAreRecords) {
    auto n = node();
    ASSERT_OK(n->start());
    ASSERT_OK(n->open_block());
    ASSERT_OK(n->mini_block({admitted(0, call_transaction(0, counter_contract))}));
    ASSERT_OK(n->edit([](CellTable& c) {
        c.set_balance(stranger(3), U256{9});
        c.set_storage(counter_contract, U256{0}, U256{100});
        c.set_code(stranger(3), Bytes{0x00});
        c.set_nonce(account(1), 50);
    }));
    const auto m = n->mini_block({admitted(1, call_transaction(50, counter_contract))});
    ASSERT_OK(m);
    EXPECT_EQ(load_be((*m)->transactions[0]->receipt.logs[0].data), U256{101});
    ASSERT_OK(n->flush());
    n.reset();
    reopened();
}

TEST_P(LedgerTest, LogThatEndsBeforeTheChainDataDecides) {
    // As with a log that did not wait for the disk: the chain data has a block whose seal is gone.
    auto n = node();
    ASSERT_OK(n->start());
    ASSERT_OK(n->open_block());
    ASSERT_OK(n->mini_block({admitted(0, transfer_transaction(0, stranger(1), U256{1}))}));
    ASSERT_OK(n->flush());
    std::map<std::string, Bytes> log;
    const std::vector<std::string> names = disk_.list("/node/wal").value();
    for (const std::string& name : names) { log[name] = disk_.content("/node/wal/" + name); }
    ASSERT_OK(n->seal());
    ASSERT_OK(n->ledger->checkpoint(false));
    n->ledger->settle();  // else the state engine may end before it has the block
    n.reset();
    for (const auto& [name, content] : log) {
        const auto f = disk_.open("/node/wal/" + name, storage::OpenMode::create_or_wipe).value();
        ASSERT_OK(f->write_at(0, content));
        ASSERT_OK(f->sync_data());
    }
    if (genesis_.header.state_root != make_genesis({.commitment = "mpt"}).header.state_root) {
        // The state engine waits for the disk always: such a log is an older copy.
        const auto refused = node()->start();
        ASSERT_FALSE(refused.has_value());
        EXPECT_EQ(refused.error().code, ErrorCode::corrupt);
        EXPECT_NE(refused.error().message.find("ahead of the log"), std::string::npos)
            << refused.error().message;
        return;
    }
    auto again = reopened();
    ASSERT_NE(again, nullptr);
    EXPECT_TRUE(again->ledger->recovery().sealed_open_block);
}

TEST_P(LedgerTest, LostChainDataIsRestoredFromTheLog) {
    auto n = node();
    ASSERT_OK(n->start());
    ASSERT_OK(run_script(*n, 9, 1));
    ASSERT_OK(n->flush());
    const uint64_t blocks = n->ledger->view().head()->header.number;
    n.reset();
    const std::vector<std::string> names = disk_.list("/node/chain").value();
    for (const std::string& name : names) { ASSERT_OK(disk_.remove("/node/chain/" + name)); }
    auto again = reopened();
    ASSERT_NE(again, nullptr);
    EXPECT_EQ(again->ledger->recovery().blocks_restored, blocks);
}

TEST_P(LedgerTest, DamageInTheMiddleOfTheLogRefusesTheStart) {
    auto n = node();
    ASSERT_OK(n->start());
    ASSERT_OK(n->open_block());
    for (uint64_t i = 0; i < 5; ++i) {
        ASSERT_OK(n->mini_block({admitted(0, transfer_transaction(i, stranger(1), U256{1}))}));
        ASSERT_OK(n->flush());
    }
    n.reset();
    const std::string segment = "/node/wal/" + disk_.list("/node/wal").value().front();
    const Bytes content = disk_.content(segment);
    size_t refused = 0;
    for (uint64_t offset = 4096; offset < 4096 * 6; offset += 512) {
        if (std::all_of(content.begin() + static_cast<ptrdiff_t>(offset),
                        content.begin() + static_cast<ptrdiff_t>(offset) + 64,
                        [](uint8_t b) { return b == 0; })) {
            continue;
        }
        SCOPED_TRACE(offset);
        const auto copy = disk_.clone();
        copy->flip_bit(segment, offset + 20, 3);
        ScriptedNode m{*copy, genesis_, options()};
        const auto started = m.start();
        ASSERT_FALSE(started.has_value());
        EXPECT_EQ(started.error().code, ErrorCode::corrupt) << started.error().message;
        EXPECT_NE(started.error().message.find(segment), std::string::npos)
            << started.error().message;
        ++refused;
        if (refused == 3) { break; }  // the last record may be torn; these are not the last
    }
    EXPECT_EQ(refused, 3u);
    reopened();
}

TEST_P(LedgerTest, AnotherChainIsRefused) {
    { ASSERT_OK(node()->start()); }
    const Genesis other_state = make_genesis({.accounts = 9, .commitment = GetParam()});
    const Genesis other_chain = make_genesis({.chain = chain_id + 1, .commitment = GetParam()});
    for (const Genesis* g : {&other_state, &other_chain}) {
        ScriptedNode n{disk_, *g, options()};
        const auto r = n.start();
        ASSERT_FALSE(r.has_value());
        EXPECT_EQ(r.error().code, ErrorCode::config) << r.error().message;
    }
    LedgerOptions memory = options();
    memory.commitment = "memory";
    ScriptedNode n{disk_, genesis_, memory};
    const auto r = n.start();
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error().code, ErrorCode::config);
    reopened();
}

TEST_P(LedgerTest, TellsTheGuardWhatTheStateKeepsInMemory) {
    metrics::Registry registry;
    MemoryGuard guard{0, registry};
    LedgerOptions options = LedgerTest::options();
    options.memory_guard = &guard;
    const bool has_account = options.commitment.starts_with("qmdb");
    uint64_t used = 0;
    {
        const auto n = node(options);
        ASSERT_OK(n->start());
        const uint64_t before = guard.used_bytes();
        EXPECT_EQ(before != 0, has_account);
        ASSERT_OK(n->open_block());
        std::vector<AdmittedPtr> births;
        for (uint64_t i = 0; i < 60; ++i) {
            births.push_back(admitted(0, transfer_transaction(i, stranger(100 + i), U256{5})));
        }
        ASSERT_OK(n->mini_block(std::move(births)));
        ASSERT_OK(n->seal());
        n->ledger->settle();
        used = guard.used_bytes();
        EXPECT_EQ(used > before, has_account);
        EXPECT_EQ(registry.gauge("millrace_state_memory_bytes", "", "part=\"index\"").value() != 0,
                  has_account);
    }
    // As much again after a start.
    guard.note({});
    const auto n = node(options);
    ASSERT_OK(n->start());
    EXPECT_EQ(guard.used_bytes() != 0, has_account);
}

TEST_P(LedgerTest, DirectoryInUseIsRefused) {
    auto n = node();
    ASSERT_OK(n->start());
    ScriptedNode second{disk_, genesis_, options()};
    const auto r = second.start();
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error().code, ErrorCode::conflict);
}

TEST_P(LedgerTest, FullDiskCanBeRepeatedAndLosesNothing) {
    auto n = node();
    ASSERT_OK(n->start());
    ASSERT_OK(n->open_block());
    ASSERT_OK(n->flush());
    ASSERT_OK(n->mini_block({admitted(0, transfer_transaction(0, stranger(1), U256{1}))}));
    disk_.arm(DiskFault::no_space, 1);
    const auto r = n->flush();
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error().code, ErrorCode::limit);
    EXPECT_FALSE(n->ledger->view().latest_state()->account(stranger(1)));
    ASSERT_OK(n->flush());
    EXPECT_TRUE(n->ledger->view().latest_state()->account(stranger(1)));
    n.reset();
    reopened();
}

TEST_P(LedgerTest, FailedSyncIsFinal) {
    auto n = node();
    ASSERT_OK(n->start());
    ASSERT_OK(n->open_block());
    disk_.arm(DiskFault::sync_failure, 2);
    bool failed = false;
    for (int i = 0; i < 3 && !failed; ++i) {
        const auto r = n->mini_block(
            {admitted(0, transfer_transaction(static_cast<uint64_t>(i), stranger(1), U256{1}))});
        const auto f = r ? n->flush() : Result<void>{std::unexpected(r.error())};
        failed = !f;
        if (failed) { EXPECT_EQ(f.error().code, ErrorCode::io); }
    }
    ASSERT_TRUE(failed);
    EXPECT_FALSE(n->flush().has_value());
    n.reset();
    disk_.restart(1);
    reopened();
}

TEST_P(LedgerTest, PrunedLogStillStarts) {
    auto n = node();
    ASSERT_OK(n->start());
    uint64_t nonce = 0;
    for (int b = 0; b < 12; ++b) {
        ASSERT_OK(n->open_block());
        // Large enough that the log takes several segments.
        for (int m = 0; m < 3; ++m) {
            ASSERT_OK(n->mini_block({admitted(
                0, call_transaction(nonce++, stranger(1), {}, Bytes(20'000, 0x11), 5'000'000))}));
            ASSERT_OK(n->flush());
        }
        ASSERT_OK(n->seal());
        ASSERT_OK(n->ledger->checkpoint(true));
    }
    EXPECT_LE(disk_.list("/node/wal").value().size(), 5u);
    n.reset();
    n = reopened();
    ASSERT_NE(n, nullptr);
    ASSERT_OK(run_script(*n, 3, 2));
    n.reset();
    reopened();
}

TEST_P(LedgerTest, CodeDeployedAgainSurvivesARestart) {
    auto n = node();
    ASSERT_OK(n->start());
    const auto deploy = [&](uint64_t nonce) {
        return n->mini_block(
            {admitted(0, call_transaction(nonce, std::nullopt, {},
                                          from_hex("615f5f5f526002601ef3").value()))});
    };
    ASSERT_OK(n->open_block());
    ASSERT_OK(deploy(0));
    ASSERT_OK(n->seal());
    ASSERT_OK(n->open_block());
    ASSERT_OK(deploy(1));
    ASSERT_OK(n->edit([](CellTable& c) {
        c.set_balance(stranger(3), U256{9});
        c.set_code(stranger(3), from_hex("5f5f").value());
    }));
    ASSERT_OK(deploy(2));
    ASSERT_OK(n->flush());
    n.reset();
    auto again = reopened();
    ASSERT_NE(again, nullptr);
    EXPECT_EQ(again->ledger->recovery().transactions_reexecuted, 2u);
}

TEST_P(LedgerTest, BlockHashesAfterALongRevertAreThoseOfTheChain) {
    auto n = node();
    ASSERT_OK(n->start());
    for (int b = 0; b < 275; ++b) {
        ASSERT_OK(n->open_block());
        ASSERT_OK(n->seal());
    }
    ASSERT_OK(n->open_block());
    ASSERT_OK(n->revert(10));
    ASSERT_OK(n->open_block());
    // Blocks of before the revert, which more than 256 undone ones have followed, and the genesis.
    for (const uint64_t number : {uint64_t{8}, uint64_t{0}}) {
        Bytes word(32, 0);
        word[31] = static_cast<uint8_t>(number);
        const auto m = n->mini_block(
            {admitted(0, call_transaction(number == 8 ? 0 : 1, block_hash_contract, {}, word))});
        ASSERT_OK(m);
        EXPECT_EQ((*m)->post_values.slots.at(0).value,
                  to_u256(n->ledger->view().sealed(number).value()->hash));
    }
    ASSERT_OK(n->flush());
    n.reset();
    auto again = reopened();
    ASSERT_NE(again, nullptr);
    EXPECT_EQ(again->ledger->recovery().transactions_reexecuted, 2u);
}

TEST_P(LedgerTest, CheckpointIsNeverAheadOfTheDurableLog) {
    for (uint64_t seed = 1; seed <= 8; ++seed) {
        SimulatedDisk disk;
        Oracle oracle{genesis_, GetParam()};
        LedgerOptions options = LedgerTest::options();
        options.durable = false;
        {
            ScriptedNode n{disk, genesis_, options, &oracle};
            ASSERT_OK(n.start());
            for (uint64_t i = 0; i < 3; ++i) {
                ASSERT_OK(n.open_block());
                ASSERT_OK(
                    n.mini_block({admitted(0, transfer_transaction(i, stranger(1), U256{5}))}));
                ASSERT_OK(n.seal());
            }
            ASSERT_OK(n.ledger->checkpoint(true));
        }
        disk.restart(seed);  // power fails: what was not synced is gone, or not
        ScriptedNode n{disk, genesis_, options, &oracle};
        const auto started = n.start();
        ASSERT_TRUE(started.has_value()) << "seed " << seed << ": " << started.error().message;
        EXPECT_EQ(check(n, oracle), "") << "seed " << seed;
        EXPECT_EQ(n.ledger->recovery().checkpoint_block, 3u);
    }
}

TEST_P(LedgerTest, CheckpointsThatAreDueAreWrittenWhileBlocksGoOn) {
    LedgerOptions often = options();
    often.checkpoint_every_records = 1;
    {
        ScriptedNode n{disk_, genesis_, often};
        ASSERT_OK(n.start());
        for (int i = 0; i < 3; ++i) {
            ASSERT_OK(n.open_block());
            ASSERT_OK(n.seal());
            // Right behind the seal, as the sequencer asks for it.
            ASSERT_OK(n.ledger->checkpoint(false));
        }
    }
    ScriptedNode again{disk_, genesis_, often};
    ASSERT_OK(again.start());
    EXPECT_GE(again.ledger->recovery().checkpoint_block, 1u) << "the first was due at once";
}

TEST_P(LedgerTest, PowerFailsAfterARevertBelowACheckpointThatDidNotWaitForTheDisk) {
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        SimulatedDisk disk;
        LedgerOptions async = options();
        async.durable = false;
        {
            ScriptedNode n{disk, genesis_, async};
            ASSERT_OK(n.start());
            for (uint64_t i = 0; i < 4; ++i) {
                ASSERT_OK(n.open_block());
                ASSERT_OK(
                    n.mini_block({admitted(0, transfer_transaction(i, stranger(1), U256{5}))}));
                ASSERT_OK(n.seal());
            }
            ASSERT_OK(n.ledger->checkpoint(true));
            ASSERT_OK(n.open_block());
            ASSERT_OK(n.revert(2));
        }
        disk.restart(seed);
        ScriptedNode n{disk, genesis_, async};
        const auto started = n.start();
        ASSERT_TRUE(started.has_value()) << "seed " << seed << ": " << started.error().message;
        EXPECT_EQ(n.ledger->view().head()->header.number, 2u);
    }
}

TEST_P(LedgerTest, OtherRulesOverTheSameGenesisBlockAreRefused) {
    { ASSERT_OK(node()->start()); }
    const auto refused = [&](const std::function<void(Genesis&)>& change) {
        Genesis other = genesis_;
        change(other);
        EXPECT_EQ(other.hash, genesis_.hash);
        ScriptedNode n{disk_, other, options()};
        const auto r = n.start();
        ASSERT_FALSE(r.has_value());
        EXPECT_EQ(r.error().code, ErrorCode::config) << r.error().message;
        EXPECT_NE(r.error().message.find("other rules"), std::string::npos) << r.error().message;
    };
    refused([](Genesis& g) { g.spec.rules.transaction_gas_cap = 50'000; });
    refused([](Genesis& g) { g.spec.rules.code_size_max = 100; });
    refused([](Genesis& g) { g.spec.rules.base_fee.floor = U256{5}; });
    refused([](Genesis& g) { g.spec.rules.base_fee.change_denominator = 9; });
    refused([](Genesis& g) { g.spec.sequencer_fee_vault = stranger(1); });
    refused([](Genesis& g) { g.spec.base_fee_vault = stranger(1); });
    refused([](Genesis& g) { g.block_gas_limit += 1; });
    reopened();
}

/// Parent and digest of the mini-blocks in the log of a stopped node.
std::map<uint64_t, std::pair<Hash256, Hash256>> logged_mini_blocks(const SimulatedDisk& disk) {
    const auto copy = disk.clone();
    storage::WalOptions options;
    options.chain_id = chain_id;
    options.segment_bytes = 128 << 10;
    options.record_bytes_max = 64 << 10;
    std::map<uint64_t, std::pair<Hash256, Hash256>> out;
    const auto checkpoint = storage::oldest_checkpoint_sequence(*copy, "/node/checkpoints");
    options.checkpoint_sequence = checkpoint.value();
    const auto wal =
        storage::Wal::open(*copy, "/node/wal", options, storage::make_pwrite_log_writer("test"));
    EXPECT_TRUE(wal.has_value()) << wal.error().message;
    const auto read = (*wal)->replay(
        (*wal)->first_sequence(), [&](const storage::RecordInfo& info, ByteView payload) {
            const auto record = storage::decode_record(info.kind, payload);
            EXPECT_TRUE(record.has_value());
            if (const auto* m = std::get_if<storage::MiniBlock>(&*record)) {
                out[m->number] = {m->parent, storage::mini_block_digest(*m)};
            }
            return Result<void>{};
        });
    EXPECT_TRUE(read.has_value());
    return out;
}

TEST_P(LedgerTest, MiniBlockAfterAPrunedOneKnowsItsParent) {
    auto n = node();
    ASSERT_OK(n->start());
    uint64_t nonce = 0;
    ASSERT_OK(n->open_block());
    ASSERT_OK(n->mini_block({admitted(0, transfer_transaction(nonce++, stranger(1), U256{1}))}));
    ASSERT_OK(n->flush());
    const Hash256 digest = logged_mini_blocks(disk_).at(1).second;
    ASSERT_OK(n->seal());
    // Edits fill segments and make no mini-blocks.
    for (int b = 0; b < 12; ++b) {
        ASSERT_OK(n->open_block());
        for (int e = 0; e < 3; ++e) {
            ASSERT_OK(n->edit([&](CellTable& c) {
                c.set_balance(stranger(7), U256{1});
                c.set_code(stranger(7), Bytes(20'000, static_cast<uint8_t>(b * 3 + e)));
            }));
        }
        ASSERT_OK(n->seal());
        ASSERT_OK(n->ledger->checkpoint(true));
    }
    ASSERT_FALSE(logged_mini_blocks(disk_).contains(1)) << "it was to be pruned";
    n.reset();
    n = reopened();
    ASSERT_NE(n, nullptr);
    ASSERT_OK(n->open_block());
    ASSERT_OK(n->mini_block({admitted(0, transfer_transaction(nonce++, stranger(1), U256{1}))}));
    ASSERT_OK(n->flush());
    EXPECT_EQ(logged_mini_blocks(disk_).at(2).first, digest);
}

TEST_P(LedgerTest, RevertThatNoRecordCanHoldIsRefusedAndChangesNothing) {
    auto n = node();
    ASSERT_OK(n->start());
    // Twice over the same accounts, so that the revert has balances to give back.
    for (uint64_t b = 0; b < 8; ++b) {
        ASSERT_OK(n->open_block());
        ASSERT_OK(n->edit([&](CellTable& c) {
            for (uint64_t i = 0; i < 500; ++i) {
                c.set_balance(stranger(b % 4 * 1000 + i), (U256{1} << 250) + U256{b});
            }
        }));
        ASSERT_OK(n->seal());
    }
    ASSERT_OK(n->open_block());
    ASSERT_OK(n->flush());
    const uint64_t epoch = n->ledger->epoch();
    const auto refused = n->ledger->revert_to(4);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().code, ErrorCode::invalid_input) << refused.error().message;
    EXPECT_EQ(n->ledger->revert_to(77).error().code, ErrorCode::not_found);
    EXPECT_EQ(n->ledger->epoch(), epoch);
    ASSERT_OK(n->mini_block({admitted(0, transfer_transaction(0, stranger(1), U256{1}))}));
    ASSERT_OK(n->seal());
    n.reset();
    reopened();
}

INSTANTIATE_TEST_SUITE_P(Commitments, LedgerTest, ::testing::Values("mpt", "qmdb-keccak256"),
                         [](const auto& p) {
                             return std::string(p.param).substr(0, std::string(p.param).find('-'));
                         });

// --- The state engine beside the log ---

class LedgerEngine : public ::testing::Test {
protected:
    std::unique_ptr<ScriptedNode> node(LedgerOptions options = LedgerEngine::options()) {
        return std::make_unique<ScriptedNode>(disk_, genesis_, std::move(options), &oracle_);
    }
    static LedgerOptions options() { return small_ledger_options("/node", "qmdb-keccak256"); }
    std::unique_ptr<ScriptedNode> reopened() {
        auto n = node();
        const auto started = n->start();
        EXPECT_TRUE(started.has_value()) << started.error().message;
        if (!started) { return nullptr; }
        EXPECT_EQ(check(*n, oracle_), "");
        return n;
    }
    void refused(ErrorCode code, std::string_view reason) {
        const auto r = node()->start();
        ASSERT_FALSE(r.has_value());
        EXPECT_EQ(r.error().code, code) << r.error().message;
        EXPECT_NE(r.error().message.find(reason), std::string::npos) << r.error().message;
    }
    using Files = std::map<std::string, Bytes>;
    Files files(const std::string& directory) {
        Files out;
        const std::vector<std::string> names = disk_.list(directory).value();
        for (const std::string& name : names) { out[name] = disk_.content(directory + "/" + name); }
        return out;
    }
    void put(const std::string& directory, const Files& content) {
        const std::vector<std::string> names = disk_.list(directory).value();
        for (const std::string& name : names) { ASSERT_OK(disk_.remove(directory + "/" + name)); }
        for (const auto& [name, bytes] : content) {
            const auto f =
                disk_.open(directory + "/" + name, storage::OpenMode::create_or_wipe).value();
            ASSERT_OK(f->write_at(0, bytes));
            ASSERT_OK(f->sync_data());
        }
        ASSERT_OK(disk_.sync_directory(directory));
    }
    static void run_blocks(ScriptedNode& n, uint64_t count, uint64_t key = 0) {
        for (uint64_t i = 0; i < count; ++i) {
            ASSERT_OK(n.open_block());
            ASSERT_OK(n.mini_block(
                {admitted(key, transfer_transaction(n.nonce(key), stranger(1), U256{5}))}));
            ASSERT_OK(n.seal());
        }
        n.ledger->settle();
    }

    Genesis genesis_ = make_genesis({.commitment = "qmdb-keccak256"});
    SimulatedDisk disk_;
    Oracle oracle_{genesis_, "qmdb-keccak256"};
};

TEST_F(LedgerEngine, RestartGivesTheEngineOnlyWhatItLacks) {
    auto n = node();
    ASSERT_OK(n->start());
    run_blocks(*n, 3);
    const Files early = files("/node/state");
    run_blocks(*n, 4);
    n.reset();
    n = reopened();
    ASSERT_NE(n, nullptr);
    EXPECT_EQ(n->ledger->recovery().blocks_recommitted, 0u);
    n.reset();
    // An older copy: the log has what came after it.
    put("/node/state", early);
    n = reopened();
    ASSERT_NE(n, nullptr);
    EXPECT_EQ(n->ledger->recovery().blocks_recommitted, 4u);
    run_blocks(*n, 1);
    n.reset();
    // None at all: the log begins with the genesis.
    put("/node/state", {});
    n = reopened();
    ASSERT_NE(n, nullptr);
    EXPECT_EQ(n->ledger->recovery().blocks_recommitted, 8u);
}

TEST_F(LedgerEngine, OlderThanTheCheckpointIsRefused) {
    auto n = node();
    ASSERT_OK(n->start());
    run_blocks(*n, 3);
    const Files early = files("/node/state");
    run_blocks(*n, 2);
    ASSERT_OK(n->ledger->checkpoint(true));
    n.reset();
    const Files late = files("/node/state");
    put("/node/state", early);
    refused(ErrorCode::corrupt, "behind the checkpoint at block 5");
    put("/node/state", {});
    refused(ErrorCode::corrupt, "the state engine is empty, but there is a checkpoint at block 5");
    put("/node/state", late);
    reopened();
}

TEST_F(LedgerEngine, AnotherCourseOfEventsIsRefused) {
    SimulatedDisk other;
    {
        ScriptedNode n{other, genesis_, options()};
        ASSERT_OK(n.start());
        run_blocks(n, 4, 1);
    }
    auto n = node();
    ASSERT_OK(n->start());
    run_blocks(*n, 5);
    n.reset();
    Files foreign;
    const std::vector<std::string> names = other.list("/node/state").value();
    for (const std::string& name : names) { foreign[name] = other.content("/node/state/" + name); }
    put("/node/state", foreign);
    refused(ErrorCode::corrupt, "another course of events");
}

TEST_F(LedgerEngine, DamageIsRefused) {
    auto n = node();
    ASSERT_OK(n->start());
    run_blocks(*n, 5);
    n.reset();
    const std::string segment = disk_.list("/node/state").value().front();
    disk_.flip_bit("/node/state/" + segment, 4096 + 200, 3);
    refused(ErrorCode::corrupt, segment);
}

TEST_F(LedgerEngine, NeverAheadOfALogThatDidNotWaitForTheDisk) {
    for (uint64_t seed = 1; seed <= 12; ++seed) {
        SimulatedDisk disk;
        Oracle oracle{genesis_, "qmdb-keccak256"};
        LedgerOptions async = options();
        async.durable = false;
        {
            ScriptedNode n{disk, genesis_, async, &oracle};
            ASSERT_OK(n.start());
            run_blocks(n, 3);
        }
        disk.restart(seed);  // power fails: what was not synced is gone, or not
        oracle.acknowledged = 0;
        ScriptedNode n{disk, genesis_, async, &oracle};
        const auto started = n.start();
        ASSERT_TRUE(started.has_value()) << "seed " << seed << ": " << started.error().message;
        EXPECT_EQ(check(n, oracle), "") << "seed " << seed;
    }
}

TEST_F(LedgerEngine, FailureOfItsDiskIsFinal) {
    // At every operation after the start: one of them is the engine's.
    uint64_t failed_in_engine = 0;
    for (uint64_t at = 1; at <= 12; ++at) {
        SimulatedDisk disk;
        Oracle oracle{genesis_, "qmdb-keccak256"};
        {
            ScriptedNode n{disk, genesis_, options(), &oracle};
            ASSERT_OK(n.start());
            disk.arm(DiskFault::write_error, at);
            Result<void> r;
            for (int i = 0; i < 4 && r; ++i) {
                r = n.open_block();
                if (r) { r = n.flush(); }
                if (r) {
                    const auto sealed = n.seal();
                    if (!sealed) { r = std::unexpected(sealed.error()); }
                }
                n.ledger->settle();
            }
            ASSERT_FALSE(r.has_value());
            EXPECT_EQ(r.error().code, ErrorCode::io) << r.error().message;
            failed_in_engine += r.error().message.find("entry log") != std::string::npos ? 1 : 0;
        }
        disk.restart(at);
        ScriptedNode n{disk, genesis_, options(), &oracle};
        const auto started = n.start();
        ASSERT_TRUE(started.has_value()) << "operation " << at << ": " << started.error().message;
        EXPECT_EQ(check(n, oracle), "") << "operation " << at;
    }
    EXPECT_GT(failed_in_engine, 0u);
}

/// The balance that an account had after a block.
Result<std::optional<U256>> balance_at(const storage::CommittedStates& states,
                                       const Address& address, uint64_t block) {
    uint64_t budget = 1'000;
    MILLRACE_TRY(const auto value, states.value(storage::account_key(address), block, budget));
    if (!value) { return std::nullopt; }
    MILLRACE_TRY(const auto leaf, storage::decode_account_leaf(*value));
    return leaf.balance;
}

TEST_F(LedgerEngine, ReadersGetTheStatesOfItsBlocks) {
    auto n = node();
    ASSERT_OK(n->start());
    EXPECT_EQ(n->ledger->commitment_kind().type, CommitmentKind::Type::qmdb);
    run_blocks(*n, 4);
    const auto expect_blocks = [&](uint64_t newest) {
        const auto states = n->ledger->committed_states(newest);
        ASSERT_OK(states);
        ASSERT_EQ((*states)->newest_block(), newest);
        EXPECT_EQ((*states)->oldest_block(), 0u);
        EXPECT_EQ(balance_at(**states, stranger(1), 0).value(), std::nullopt);
        for (uint64_t b = 1; b <= newest; ++b) {
            EXPECT_EQ(balance_at(**states, stranger(1), b).value(), U256{5 * b});
            const auto header = n->ledger->view().sealed(b).value()->header;
            ASSERT_EQ((*states)->root(b).value(), header.state_root);
            const auto key = storage::account_key(stranger(1));
            const auto proof = (*states)->prove(key, b);
            ASSERT_OK(proof);
            ASSERT_OK(storage::StateVerifier{kernels::NodeHash::keccak256}.verify(header.state_root,
                                                                                  key, *proof));
        }
    };
    ASSERT_NO_FATAL_FAILURE(expect_blocks(4));
    // Nobody reads what will be sealed; and older states serve who asks for older blocks.
    EXPECT_EQ(n->ledger->committed_states(5).error().code, ErrorCode::conflict);
    auto kept = n->ledger->committed_states(2).value();
    run_blocks(*n, 1);
    EXPECT_EQ(n->ledger->committed_states(3).value(), kept);
    EXPECT_NE(n->ledger->committed_states(5).value(), kept);
    ASSERT_NO_FATAL_FAILURE(expect_blocks(5));
    // Who asks while a block is closed and not committed waits for it.
    ASSERT_OK(n->open_block());
    ASSERT_OK(
        n->mini_block({admitted(0, transfer_transaction(n->nonce(0), stranger(1), U256{5}))}));
    ASSERT_OK(n->close());
    auto asked = std::async(std::launch::async, [&] { return n->ledger->committed_states(6); });
    ASSERT_OK(n->finish());
    ASSERT_OK(asked.get());
    ASSERT_NO_FATAL_FAILURE(expect_blocks(6));
    // A revert takes the states with the blocks, and leaves what was before.
    kept.reset();
    auto gone = n->ledger->committed_states(6).value();
    ASSERT_OK(n->revert(3));
    EXPECT_EQ(balance_at(*gone, stranger(1), 2).error().code, ErrorCode::conflict);
    gone.reset();
    EXPECT_EQ(n->ledger->committed_states(6).error().code, ErrorCode::conflict);
    ASSERT_NO_FATAL_FAILURE(expect_blocks(3));
    run_blocks(*n, 2);
    ASSERT_NO_FATAL_FAILURE(expect_blocks(5));
    n.reset();
    n = reopened();
    ASSERT_NE(n, nullptr);
    ASSERT_NO_FATAL_FAILURE(expect_blocks(5));
    ASSERT_OK(n->ledger->checkpoint(true));
    n.reset();
    n = reopened();
    ASSERT_NE(n, nullptr);
    // The memory begins at the checkpoint.
    EXPECT_EQ(n->ledger->view().state_after(4).error().code, ErrorCode::unavailable);
    ASSERT_NO_FATAL_FAILURE(expect_blocks(5));
}

TEST_F(LedgerEngine, StatesAreKeptForSomeTimeOnly) {
    LedgerOptions o = options();
    o.states_kept_us = 0;
    auto n = node(o);
    ASSERT_OK(n->start());
    run_blocks(*n, 2);
    const std::weak_ptr<const storage::CommittedStates> states =
        n->ledger->committed_states(2).value();
    n->ledger->settle();
    EXPECT_FALSE(states.expired()) << "nothing has changed since";
    run_blocks(*n, 1);
    EXPECT_TRUE(states.expired());
}

TEST_F(LedgerEngine, ReadersLearnThatItsDiskFailed) {
    uint64_t told = 0;
    for (uint64_t at = 1; at <= 12; ++at) {
        SimulatedDisk disk;
        ScriptedNode n{disk, genesis_, options()};
        ASSERT_OK(n.start());
        run_blocks(n, 2);
        disk.arm(DiskFault::write_error, at);
        Result<void> r;
        for (int i = 0; i < 4 && r; ++i) {
            r = n.open_block();
            if (!r) { break; }
            const auto sealed = n.seal();
            if (!sealed) { r = std::unexpected(sealed.error()); }
            n.ledger->settle();
        }
        ASSERT_FALSE(r.has_value());
        // Where it is the log alone that failed, nobody has to be told.
        if (r.error().message.find("entry log") == std::string::npos) { continue; }
        const auto states = n.ledger->committed_states(2);
        ASSERT_FALSE(states.has_value());
        EXPECT_EQ(states.error().code, ErrorCode::io) << states.error().message;
        ++told;
    }
    EXPECT_GT(told, 0u);
}

TEST_F(LedgerEngine, BlocksOfManyStepsSurviveACrashAtEveryOperation) {
    LedgerOptions steps = options();
    steps.state_step_writes_max = 2;
    genesis_.header.state_root =
        storage::qmdb::genesis_root(genesis_.state, kernels::NodeHash::keccak256, 2).value();
    genesis_.hash = evm::header_hash(genesis_.header);
    const auto life = [&](SimulatedDisk& disk, Oracle& oracle, uint64_t seed,
                          uint64_t blocks) -> std::string {
        ScriptedNode n{disk, genesis_, steps, &oracle};
        if (const auto started = n.start(); !started) {
            return disk.crashed() ? "" : "start refused: " + started.error().message;
        }
        if (std::string wrong = check(n, oracle); !wrong.empty()) {
            return disk.crashed() ? "" : wrong;
        }
        if (const auto ran = run_script(n, seed, blocks); !ran && !disk.crashed()) {
            return "failed without a crash: " + ran.error().message;
        }
        return {};
    };
    for (uint64_t at = 1; at <= 120; at += 3) {
        SimulatedDisk disk;
        Oracle oracle{genesis_, "qmdb-keccak256", steps};
        disk.arm(DiskFault::crash, at);
        ASSERT_EQ(life(disk, oracle, 2, 4), "") << "crash at operation " << at;
        disk.restart(at);
        ASSERT_EQ(life(disk, oracle, 3, 1), "") << "after a crash at operation " << at;
        disk.restart(at + 1);
        ASSERT_EQ(life(disk, oracle, 4, 0), "") << "after a crash at operation " << at;
    }
}

TEST_F(LedgerEngine, RulesBeforeCancunAreRefused) {
    genesis_.spec.rules.revision = evm::Revision::shanghai;
    refused(ErrorCode::config, "needs a chain that has Cancun");
}

/// One life on the disk: start, compare, run on until the crash. Empty when nothing is wrong.
std::string live(SimulatedDisk& disk, const Genesis& genesis, const std::string& commitment,
                 Oracle& oracle, uint64_t seed, uint64_t blocks) {
    ScriptedNode n{disk, genesis, small_ledger_options("/node", commitment), &oracle};
    if (const auto started = n.start(); !started) {
        return disk.crashed() ? "" : "start refused: " + started.error().message;
    }
    if (std::string wrong = check(n, oracle); !wrong.empty()) {
        return disk.crashed() ? "" : wrong;
    }
    if (blocks == 0) { return {}; }
    if (const auto ran = run_script(n, seed, blocks); !ran && !disk.crashed()) {
        return "failed without a crash: " + ran.error().message;
    }
    return {};
}

/// Crashes at operation `at` of a run that begins with a reopened node, again in the recovery or
/// soon after it, and compares each time.
std::string crash_at(const Genesis& genesis, const std::string& commitment, uint64_t at,
                     uint64_t seed, bool& reached) {
    SimulatedDisk disk;
    Oracle oracle{genesis, commitment};
    if (std::string wrong = live(disk, genesis, commitment, oracle, 1, 2); !wrong.empty()) {
        return "first life: " + wrong;
    }
    disk.arm(DiskFault::crash, at);
    if (std::string wrong = live(disk, genesis, commitment, oracle, 2, 7); !wrong.empty()) {
        return "second life: " + wrong;
    }
    reached = disk.crashed();
    disk.restart(seed * 1000003 + at);
    disk.arm(DiskFault::crash, 1 + (seed * 5 + at) % 11);
    if (std::string wrong = live(disk, genesis, commitment, oracle, 3, 2); !wrong.empty()) {
        return "third life: " + wrong;
    }
    disk.restart(seed * 7919 + at);
    if (std::string wrong = live(disk, genesis, commitment, oracle, 4, 2); !wrong.empty()) {
        return "fourth life: " + wrong;
    }
    disk.restart(seed + 5);
    if (std::string wrong = live(disk, genesis, commitment, oracle, 5, 0); !wrong.empty()) {
        return "fifth life: " + wrong;
    }
    return {};
}

class LedgerCrash : public ::testing::TestWithParam<const char*> {};

TEST_P(LedgerCrash, EveryAcknowledgedRecordSurvivesACrashAtEveryOperation) {
    const Genesis genesis = make_genesis({.commitment = GetParam()});
    const char* const asked = std::getenv("MILLRACE_CRASH_SEEDS");
    // The oracle of the state engine is slow.
    const uint64_t seeds = asked != nullptr                        ? std::stoull(asked)
                           : std::string_view{GetParam()} == "mpt" ? 3
                                                                   : 1;
    uint64_t at = 1;
    for (bool reached = true; reached; ++at) {
        for (uint64_t seed = 1; seed <= seeds; ++seed) {
            ASSERT_EQ(crash_at(genesis, GetParam(), at, seed, reached), "")
                << "crash at operation " << at << ", seed " << seed;
        }
    }
    EXPECT_GT(at, 60u) << "the script must do something";
}

INSTANTIATE_TEST_SUITE_P(Commitments, LedgerCrash, ::testing::Values("mpt", "qmdb-keccak256"),
                         [](const auto& p) {
                             return std::string(p.param).substr(0, std::string(p.param).find('-'));
                         });

class LedgerOnDisk : public ::testing::TestWithParam<const char*> {};

TEST_P(LedgerOnDisk, RunsOnTheRealFileSystem) {
    const storage::ScratchDirectory scratch;
    const auto fs = storage::make_posix_file_system();
    const Genesis genesis = make_genesis({.commitment = GetParam()});
    Oracle oracle{genesis, GetParam()};
    for (uint64_t life = 0; life < 4; ++life) {
        LedgerOptions options = small_ledger_options(scratch.path() + "/node", GetParam());
        options.plain_log_writer = life % 2 == 1;
        options.durable = life != 2;
        ScriptedNode n{*fs, genesis, options, &oracle};
        ASSERT_OK(n.start());
        ASSERT_EQ(check(n, oracle), "") << "life " << life;
        ASSERT_OK(run_script(n, 20 + life, 6));
        ASSERT_OK(n.flush());
    }
}

INSTANTIATE_TEST_SUITE_P(Commitments, LedgerOnDisk,
                         ::testing::Values("mpt", "qmdb-keccak256", "qmdb-sha256", "qmdb-blake3"),
                         [](const auto& p) {
                             std::string name = p.param;
                             std::replace(name.begin(), name.end(), '-', '_');
                             return name;
                         });

TEST(LedgerInMemory, MemoryCommitmentWorksToo) {
    const storage::ScratchDirectory scratch;
    const auto fs = storage::make_posix_file_system();
    const Genesis genesis = make_genesis({.commitment = "mpt"});
    LedgerOptions options = small_ledger_options(scratch.path() + "/node");
    options.commitment = "memory";
    Hash256 head;
    for (int life = 0; life < 2; ++life) {
        ScriptedNode n{*fs, genesis, options};
        ASSERT_OK(n.start());
        if (life == 1) { EXPECT_EQ(n.ledger->view().head()->hash, head); }
        ASSERT_OK(n.open_block());
        ASSERT_OK(n.mini_block({admitted(
            0, transfer_transaction(static_cast<uint64_t>(life), stranger(1), U256{1}))}));
        ASSERT_OK(n.seal());
        head = n.ledger->view().head()->hash;
    }
}

}  // namespace
}  // namespace millrace::sequencer
