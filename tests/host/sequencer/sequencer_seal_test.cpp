// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the time between a block's close and its seal: what goes on, what waits, and
// what a slow root changes (nothing).
#include "tests/host/sequencer/sequencer_fixture.hpp"

namespace millrace::sequencer {
namespace {

using namespace test;

/// Holds roots back until it is opened.
class RootGate {
public:
    std::function<void()> hook() {
        return [this] {
            std::unique_lock lock(mutex_);
            changed_.wait(lock, [&] { return open_; });
        };
    }
    void open() {
        const std::lock_guard lock(mutex_);
        open_ = true;
        changed_.notify_all();
    }

private:
    std::mutex mutex_;  // guards open_
    std::condition_variable changed_;
    bool open_ = false;
};

/// A node whose block 1 is closed and held back from its seal, with block 2 open. It can end,
/// whatever became of the test.
struct Held {
    Held(RootGate& g, std::unique_ptr<Node> n) : gate(g), node(std::move(n)) {
        EXPECT_TRUE(eventually([&] { return node->view().unsealed_blocks().size() == 2; }));
    }
    Held(const Held&) = delete;
    Held& operator=(const Held&) = delete;
    RootGate& gate;
    std::unique_ptr<Node> node;
    ~Held() { gate.open(); }
    Node* operator->() const { return node.get(); }
    Node& operator*() const { return *node; }
};

class SealTest : public SequencerTest {
protected:
    static uint64_t count(const Held& h, const char* name) {
        Node& n = *h;
        return n.registry_.counter(name, "").value();
    }
    static Bytes word(uint64_t v) {
        Bytes b(32);
        store_be(U256{v}, b.data());
        return b;
    }
    static void expect_chain(Node& n) {
        Hash256 parent = n.view().sealed(0).value()->hash;
        for (uint64_t i = 1; i <= n.view().head()->header.number; ++i) {
            const SealedPtr b = n.view().sealed(i).value();
            EXPECT_EQ(b->header.parent_hash, parent);
            EXPECT_EQ(evm::header_hash(b->header), b->hash);
            parent = b->hash;
        }
    }

    RootGate gate_;  // outlives the nodes of the tests
};

TEST_F(SealTest, MiniBlocksGoOnWhileARootIsComputed) {
    Held n{gate_, start(quick_options(), gate_.hook())};
    std::vector<Hash256> hashes;
    for (uint64_t i = 0; i < 5; ++i) {
        const auto located = n->run(0, transfer_transaction(i, stranger(1), U256{1}));
        ASSERT_TRUE(located);
        EXPECT_EQ(located->block_number, 2u);
        EXPECT_TRUE(located->block_hash.is_zero());
        hashes.push_back(located->transaction->admitted->hash);
    }
    EXPECT_EQ(n->balance(stranger(1)), U256{5}) << "durable, although no block is sealed";
    EXPECT_EQ(n->view().head()->header.number, 0u);
    EXPECT_EQ(n->view().open_block()->open.number, 2u);
    // Its time is over, and it goes on: it waits for the seal before it, and nobody waits for it.
    ASSERT_TRUE(eventually([&] { return count(n, "millrace_overdue_blocks_total") == 1; }));
    ASSERT_TRUE(n->run(0, transfer_transaction(5, stranger(1), U256{1})));
    EXPECT_EQ(n->view().unsealed_blocks().size(), 2u);
    EXPECT_TRUE(n->recorder.sealed().empty());
    EXPECT_GE(n->recorder.mini_blocks().size(), 5u);
    gate_.open();
    ASSERT_TRUE(n->recorder.wait_for_blocks(3));
    for (const Hash256& h : hashes) {
        const auto located = n->view().find_transaction(h);
        ASSERT_TRUE(located);
        EXPECT_EQ(located->block_hash, n->view().sealed(2).value()->hash);
    }
    expect_chain(*n);
    EXPECT_FALSE(n->fatal.load());
}

TEST_F(SealTest, ExecutionIsHeldBackBeforeTheLogHasToWaitForRoots) {
    constexpr uint64_t transactions = 400;
    SequencerOptions options = quick_options();
    options.mini_block_transactions_max = 1;  // each is a change that waits for the root
    Held n{gate_, start(options, gate_.hook())};
    const auto cuts = [&] { return count(n, "millrace_mini_blocks_total"); };
    for (uint64_t i = 0; i < transactions; ++i) {
        const auto sent = n->send(0, transfer_transaction(i, stranger(1), U256{1}));
        ASSERT_TRUE(sent.has_value()) << to_string(sent.error());
    }
    ASSERT_TRUE(eventually([&] {
        return count(n, "millrace_held_back_total") > 0 && cuts() >= 200 &&
               n->recorder.mini_blocks().size() == cuts();
    })) << "what was executed is durable, however long the root takes: " << cuts() << " cut, "
        << n->recorder.mini_blocks().size() << " durable, held back "
        << count(n, "millrace_held_back_total");
    EXPECT_LT(cuts(), 256u);
    gate_.open();
    ASSERT_TRUE(eventually([&] { return n->balance(stranger(1)) == U256{transactions}; }));
    ASSERT_TRUE(n->recorder.wait_for_blocks(3));
    expect_chain(*n);
    EXPECT_FALSE(n->fatal.load());
}

TEST_F(SealTest, OnlyReadersOfTheParentsHashWaitForIt) {
    Held n{gate_, start(quick_options(), gate_.hook())};
    const auto by_opcode = n->send(0, call_transaction(0, parent_hash_contract, {}, word(7)));
    const auto by_contract = n->send(1, call_transaction(0, history_reader, {}, word(7)));
    const auto behind = n->send(0, transfer_transaction(1, stranger(2), U256{1}));
    ASSERT_TRUE(by_opcode.has_value() && by_contract.has_value() && behind.has_value());
    ASSERT_TRUE(eventually([&] { return count(n, "millrace_parent_hash_waits_total") == 2; }));
    // An older hash and everything else are there.
    ASSERT_TRUE(n->run(2, call_transaction(0, block_hash_contract, {}, word(0))));
    EXPECT_EQ(n->slot(block_hash_contract, 0), to_u256(genesis_.hash));
    ASSERT_TRUE(n->run(2, transfer_transaction(1, stranger(1), U256{1})));
    for (const auto& waiting : {by_opcode, by_contract, behind}) {
        EXPECT_FALSE(n->view().find_transaction(waiting->hash));
    }
    gate_.open();
    for (const auto& waiting : {by_opcode, by_contract}) {
        const auto located = n->wait(waiting->hash);
        ASSERT_TRUE(located);
        EXPECT_EQ(located->block_number, 2u) << "the block is not closed without them";
        EXPECT_TRUE(located->transaction->receipt.success);
    }
    ASSERT_TRUE(n->wait(behind->hash));
    const U256 hash = to_u256(n->view().sealed(1).value()->hash);
    EXPECT_EQ(n->slot(parent_hash_contract, 7), hash);
    EXPECT_EQ(n->slot(history_reader, 7), hash);
    EXPECT_EQ(n->slot(history_contract, 1), hash);
    EXPECT_EQ(count(n, "millrace_parent_hash_waits_total"), 2u);
    EXPECT_FALSE(n->fatal.load());
}

TEST_F(SealTest, ReadersOfTheParentsHashTakeNothingFromTheBlockWhileTheyWait) {
    Held n{gate_, start(quick_options(), gate_.hook())};
    // Together more than a block has gas and bytes for.
    constexpr uint64_t readers = 8;
    constexpr uint64_t gas = 150'000'000;
    std::vector<Hash256> waiting;
    for (uint64_t s = 0; s < readers; ++s) {
        const auto sent = n->send(s, call_transaction(0, parent_hash_contract, {}, word(s), gas));
        ASSERT_TRUE(sent.has_value()) << to_string(sent.error());
        waiting.push_back(sent->hash);
    }
    ASSERT_TRUE(
        eventually([&] { return count(n, "millrace_parent_hash_waits_total") == readers; }));
    ASSERT_TRUE(n->run(8, transfer_transaction(0, stranger(1), U256{1})));
    gate_.open();
    for (const Hash256& hash : waiting) { ASSERT_TRUE(n->wait(hash)); }
    for (uint64_t s = 0; s < readers; ++s) { EXPECT_NE(n->slot(parent_hash_contract, s), U256{}); }
    EXPECT_FALSE(n->fatal.load());
}

TEST_F(SealTest, CommandsOfDevelopmentNodesWaitForTheSeal) {
    Held n{gate_, start(quick_options(), gate_.hook())};
    const std::jthread opener([&] {
        std::this_thread::sleep_for(std::chrono::milliseconds(20));
        gate_.open();
    });
    ASSERT_OK(n->sequencer->dev_edit("test", [](CellTable& c) -> Result<void> {
        c.set_balance(stranger(4), U256{44});
        return {};
    }));
    EXPECT_GE(n->view().head()->header.number, 1u) << "an edit comes after the seal";
    EXPECT_EQ(n->balance(stranger(4)), U256{44});
    const auto snapshot = n->sequencer->dev_snapshot();
    ASSERT_OK(snapshot);
    ASSERT_TRUE(n->run(0, transfer_transaction(0, stranger(1), U256{1})));
    const auto mined = n->sequencer->dev_mine(3, {}, 0);
    ASSERT_OK(mined);
    EXPECT_EQ(n->view().head()->header.number, *mined);
    const auto reverted = n->sequencer->dev_revert(*snapshot);
    ASSERT_OK(reverted);
    EXPECT_TRUE(*reverted);
    EXPECT_EQ(n->balance(stranger(1)), U256{});
    const auto located = n->run(0, call_transaction(0, parent_hash_contract, {}, word(0)));
    ASSERT_TRUE(located);
    EXPECT_EQ(n->slot(parent_hash_contract, 0),
              to_u256(n->view().sealed(located->block_number - 1).value()->hash));
    expect_chain(*n);
}

TEST_F(SealTest, StopWaitsForTheRoot) {
    Held n{gate_, start(quick_options(), gate_.hook())};
    ASSERT_TRUE(n->run(0, transfer_transaction(0, stranger(1), U256{3})));
    const auto waiting = n->send(1, call_transaction(0, parent_hash_contract, {}, word(1)));
    ASSERT_TRUE(waiting.has_value());
    ASSERT_TRUE(eventually([&] { return count(n, "millrace_parent_hash_waits_total") == 1; }));
    {
        const std::jthread opener([&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(50));
            gate_.open();
        });
        n->stop();
    }
    EXPECT_FALSE(n->fatal.load());
    const SealedPtr head = n->view().head();
    EXPECT_EQ(head->header.number, 2u);
    EXPECT_EQ(n->view().find_transaction(waiting->hash)->block_number, 2u)
        << "what had begun is finished";
    n.node.reset();
    n.node = start();
    EXPECT_EQ(n->view().sealed(2).value()->hash, head->hash);
    EXPECT_EQ(n->balance(stranger(1)), U256{3});
}

TEST_F(SealTest, SlowRootsGiveWhatAReplayOfTheLogGives) {
    std::atomic<uint64_t> roots{0};
    SequencerOptions options = quick_options();
    options.block_us = 20'000;
    Hash256 head;
    uint64_t number = 0;
    constexpr uint64_t senders = 6;
    constexpr uint64_t rounds = 60;
    {
        auto n = start(options, [&] {
            std::this_thread::sleep_for(std::chrono::milliseconds(roots.fetch_add(1) % 4 * 10));
        });
        std::vector<Hash256> hashes;
        for (uint64_t i = 0; i < rounds; ++i) {
            for (uint64_t s = 0; s < senders; ++s) {
                const uint64_t what = (i + s) % 4;
                const auto r =
                    n->send(s, what == 0   ? call_transaction(i, parent_hash_contract, {}, word(i))
                               : what == 1 ? call_transaction(i, history_reader, {}, word(i))
                               : what == 2 ? call_transaction(i, counter_contract)
                                           : transfer_transaction(i, stranger(s), U256{i + 1}));
                ASSERT_TRUE(r.has_value()) << to_string(r.error());
                hashes.push_back(r->hash);
            }
            if (i % 8 == 7) { ASSERT_TRUE(n->wait(hashes.back())); }
        }
        for (const Hash256& h : hashes) { ASSERT_TRUE(n->wait(h)); }
        n->stop();
        EXPECT_FALSE(n->fatal.load());
        expect_chain(*n);
        number = n->view().head()->header.number;
        head = n->view().head()->hash;
    }
    // Without chain data and checkpoint everything is executed again, one by one, and compared.
    for (const char* directory : {"/chain", "/checkpoints"}) {
        const std::string path = scratch_.path() + "/node" + directory;
        const std::vector<std::string> names = fs_->list(path).value();
        for (const std::string& name : names) { ASSERT_OK(fs_->remove(path + "/" + name)); }
    }
    auto n = start();
    EXPECT_EQ(n->ledger->recovery().transactions_reexecuted, senders * rounds);
    ASSERT_GE(n->view().head()->header.number, number);
    EXPECT_EQ(n->view().sealed(number).value()->hash, head);
}

}  // namespace
}  // namespace millrace::sequencer
