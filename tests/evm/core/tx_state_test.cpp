// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the transaction state: what it asks of the view, and what a revert restores.
#include "evm/core/tx_state.hpp"

#include <map>

#include "tests/evm/core/machine.hpp"

namespace millrace::evm {
namespace {

using namespace test;

/// Answers from an overlay and writes down every question.
class RecordingView final : public StateView {
public:
    explicit RecordingView(StateOverlay& state) : state_(state) {}

    bool account_exists(const Address& a) override {
        return note("exists", a), state_.account_exists(a);
    }
    uint64_t nonce(const Address& a) override { return note("nonce", a), state_.nonce(a); }
    U256 balance(const Address& a) override { return note("balance", a), state_.balance(a); }
    bool balance_at_least(const Address& a, const U256& min) override {
        const bool enough = state_.balance(a) >= min;
        note((enough ? "bound " : "short of ") + to_decimal(min), a);
        return enough;
    }
    Hash256 code_hash(const Address& a) override { return note("code", a), state_.code_hash(a); }
    CodePtr code(const Hash256& hash) override { return state_.code(hash); }
    U256 storage(const Address& a, const U256& key) override {
        return note("slot " + to_decimal(key), a), state_.storage(a, key);
    }
    bool has_storage(const Address& a) override {
        return note("has storage", a), state_.has_storage(a);
    }
    Hash256 block_hash(uint64_t number) override { return to_hash(U256{number}); }

    using Questions = std::vector<std::string>;
    Questions of(const Address& a) { return questions_[a]; }
    void clear() { questions_.clear(); }

private:
    void note(const std::string& what, const Address& a) { questions_[a].push_back(what); }
    StateOverlay& state_;
    std::map<Address, Questions> questions_;
};

using Questions = RecordingView::Questions;

class TxStateTest : public ::testing::Test {
protected:
    TxStateTest() {
        state_.set_balance(self_address, U256{100});
        state_.set_nonce(self_address, 7);
        state_.set_storage(self_address, U256{1}, U256{11});
        begin();
    }
    void begin() { tx_.begin(view_, rules_, codes_, Machine::precompiles()); }
    TxAccount& self() { return tx_.account(self_address); }
    TxAccount& other() { return tx_.account(other_address); }

    Rules rules_ = ethereum_rules(latest_revision);
    StateOverlay state_;
    RecordingView view_{state_};
    CodeCache codes_;
    TxState tx_;
};

TEST_F(TxStateTest, EachFieldIsAskedForOnce) {
    for (int i = 0; i < 3; ++i) {
        EXPECT_EQ(tx_.nonce(self()), 7u);
        EXPECT_EQ(tx_.balance(self()), U256{100});
        EXPECT_EQ(tx_.code_hash(self()), kernels::keccak256_of_empty);
        EXPECT_EQ(tx_.load(tx_.slot(self(), U256{1})), U256{11});
    }
    EXPECT_EQ(view_.of(self_address), (Questions{"nonce", "balance", "code", "slot 1"}));
}

TEST_F(TxStateTest, TransferNeedsOneBoundAndReadsNoBalance) {
    ASSERT_TRUE(tx_.balance_at_least(self(), U256{60}));
    tx_.debit(self(), U256{60});
    tx_.credit(other(), U256{60});
    EXPECT_EQ(view_.of(self_address), (Questions{"bound 60"}));
    EXPECT_EQ(view_.of(other_address), Questions{});
    const StateChanges c = tx_.changes();
    EXPECT_EQ(change_of(c, self_address)->debit, U256{60});
    EXPECT_EQ(change_of(c, other_address)->credit, U256{60});
    EXPECT_FALSE(change_of(c, self_address)->nonce.has_value());
}

TEST_F(TxStateTest, BoundsGrowOnlyWhenNeeded) {
    EXPECT_TRUE(tx_.balance_at_least(self(), U256{60}));
    EXPECT_TRUE(tx_.balance_at_least(self(), U256{50})) << "implied";
    tx_.debit(self(), U256{50});
    EXPECT_TRUE(tx_.balance_at_least(self(), U256{10})) << "60 in all";
    EXPECT_TRUE(tx_.balance_at_least(self(), U256{30}));
    EXPECT_EQ(view_.of(self_address), (Questions{"bound 60", "bound 80"}));
    EXPECT_FALSE(tx_.balance_at_least(self(), U256{51}));
    EXPECT_EQ(view_.of(self_address).back(), "short of 101");
}

TEST_F(TxStateTest, OwnCreditsNeedNoBound) {
    tx_.credit(other(), U256{30});
    EXPECT_TRUE(tx_.balance_at_least(other(), U256{30}));
    EXPECT_EQ(view_.of(other_address), Questions{});
    EXPECT_FALSE(tx_.balance_at_least(other(), U256{31}));
    EXPECT_EQ(view_.of(other_address), Questions{"short of 1"});
}

TEST_F(TxStateTest, KnownBalanceAnswersWithoutTheView) {
    EXPECT_EQ(tx_.balance(self()), U256{100});
    EXPECT_TRUE(tx_.balance_at_least(self(), U256{100}));
    EXPECT_FALSE(tx_.balance_at_least(self(), U256{101}));
    EXPECT_EQ(view_.of(self_address), Questions{"balance"}) << "the value read covers it";
}

TEST_F(TxStateTest, ImpossibleAmountsDoNotWrap) {
    ASSERT_TRUE(tx_.balance_at_least(self(), U256{1}));
    tx_.debit(self(), U256{1});
    EXPECT_FALSE(tx_.balance_at_least(self(), U256::max()));
}

TEST_F(TxStateTest, ReadsAndBoundsSurviveARevert) {
    const auto checkpoint = tx_.checkpoint();
    ASSERT_TRUE(tx_.balance_at_least(self(), U256{60}));
    tx_.debit(self(), U256{60});
    tx_.nonce(other());
    tx_.revert_to(checkpoint);
    EXPECT_TRUE(tx_.balance_at_least(self(), U256{60}));
    EXPECT_EQ(tx_.nonce(other()), 0u);
    EXPECT_EQ(view_.of(self_address), Questions{"bound 60"}) << "asked once, never forgotten";
    EXPECT_EQ(view_.of(other_address), Questions{"nonce"});
}

TEST_F(TxStateTest, RevertRestoresEverything) {
    state_.set_code(other_address, Bytes{0x01});
    tx_.set_nonce(self(), 8);
    tx_.store(tx_.slot(self(), U256{1}), U256{12});
    tx_.transient_store(self(), U256{1}, U256{5});
    tx_.add_refund(100);
    tx_.add_log({});
    const auto checkpoint = tx_.checkpoint();

    tx_.set_nonce(self(), 9);
    tx_.set_nonce(other(), 1);
    tx_.set_code(other(), Bytes{0x02});
    tx_.debit(self(), U256{1});
    tx_.credit(other(), U256{1});
    tx_.store(tx_.slot(self(), U256{1}), U256{13});
    tx_.store(tx_.slot(self(), U256{2}), U256{22});
    tx_.transient_store(self(), U256{1}, U256{6});
    tx_.transient_store(self(), U256{2}, U256{7});
    EXPECT_TRUE(tx_.warm_account(other()));
    EXPECT_TRUE(tx_.warm_slot(tx_.slot(self(), U256{1})));
    tx_.mark_created(other());
    EXPECT_TRUE(tx_.mark_destroyed(other()));
    EXPECT_FALSE(tx_.mark_destroyed(other()));
    tx_.add_refund(-50);
    tx_.add_log({});
    tx_.revert_to(checkpoint);

    EXPECT_EQ(tx_.nonce(self()), 8u);
    EXPECT_EQ(tx_.nonce(other()), 0u);
    EXPECT_EQ(tx_.code(other()).size(), 1u);
    EXPECT_EQ(tx_.code(other()).bytes()[0], 0x01);
    EXPECT_EQ(tx_.balance(self()), U256{100});
    EXPECT_EQ(tx_.balance(other()), U256{});
    EXPECT_EQ(tx_.load(tx_.slot(self(), U256{1})), U256{12});
    EXPECT_EQ(tx_.load(tx_.slot(self(), U256{2})), U256{});
    EXPECT_EQ(tx_.transient_load(self(), U256{1}), U256{5});
    EXPECT_EQ(tx_.transient_load(self(), U256{2}), U256{});
    EXPECT_TRUE(tx_.warm_account(other())) << "cold again";
    EXPECT_TRUE(tx_.warm_slot(tx_.slot(self(), U256{1})));
    EXPECT_EQ(tx_.refund(), 100);
    EXPECT_EQ(tx_.logs().size(), 1u);
    const StateChanges c = tx_.changes();
    ASSERT_EQ(c.accounts.size(), 1u) << "nothing of the other account is left";
    EXPECT_EQ(c.accounts[0].nonce, 8u);
    EXPECT_EQ(c.accounts[0].storage, (std::vector<StorageWrite>{{U256{1}, U256{12}}}));
}

TEST_F(TxStateTest, NestedRevertsEndWhereTheyBegan) {
    const auto outer = tx_.checkpoint();
    tx_.store(tx_.slot(self(), U256{1}), U256{12});
    const auto inner = tx_.checkpoint();
    tx_.store(tx_.slot(self(), U256{1}), U256{13});
    tx_.revert_to(inner);
    EXPECT_EQ(tx_.load(tx_.slot(self(), U256{1})), U256{12});
    tx_.store(tx_.slot(self(), U256{1}), U256{14});
    tx_.revert_to(outer);
    EXPECT_EQ(tx_.load(tx_.slot(self(), U256{1})), U256{11});
    EXPECT_TRUE(tx_.changes().accounts.empty());
}

TEST_F(TxStateTest, OnlyNetChangesAreHandedBack) {
    tx_.store(tx_.slot(self(), U256{1}), U256{12});
    tx_.store(tx_.slot(self(), U256{1}), U256{11});
    tx_.load(tx_.slot(self(), U256{9}));
    tx_.credit(self(), U256{5});
    ASSERT_TRUE(tx_.balance_at_least(self(), U256{8}));
    tx_.debit(self(), U256{8});
    const StateChanges c = tx_.changes();
    ASSERT_EQ(c.accounts.size(), 1u);
    EXPECT_TRUE(c.accounts[0].storage.empty());
    EXPECT_EQ(c.accounts[0].debit, U256{3});
    EXPECT_EQ(c.accounts[0].credit, U256{});
}

TEST_F(TxStateTest, ChangesAreSortedAndADestroyedAccountHasNoOther) {
    for (const uint64_t i : {9, 3, 7}) { tx_.credit(tx_.account(address_of(i)), U256{1}); }
    for (const uint64_t k : {5, 2, 8}) {
        tx_.store(tx_.slot(tx_.account(address_of(3)), U256{k}), U256{1});
    }
    tx_.store(tx_.slot(tx_.account(address_of(7)), U256{1}), U256{1});
    tx_.mark_destroyed(tx_.account(address_of(7)));
    const StateChanges c = tx_.changes();
    ASSERT_EQ(c.accounts.size(), 3u);
    EXPECT_EQ(c.accounts[0].address, address_of(3));
    EXPECT_EQ(c.accounts[0].storage, (std::vector<StorageWrite>{{2, 1}, {5, 1}, {8, 1}}));
    EXPECT_EQ(c.accounts[2].address, address_of(9));
    EXPECT_TRUE(c.accounts[1].destroyed);
    EXPECT_TRUE(c.accounts[1].storage.empty());
    EXPECT_TRUE(c.accounts[1].credit.is_zero());
}

TEST_F(TxStateTest, NewContractsReadNoOldStorage) {
    tx_.mark_created(other());
    EXPECT_EQ(tx_.load(tx_.slot(other(), U256{1})), U256{});
    EXPECT_EQ(view_.of(other_address), Questions{});
    const StateChanges c = tx_.changes();
    EXPECT_TRUE(change_of(c, other_address)->storage_wiped);
}

TEST_F(TxStateTest, BeginForgetsTheTransactionBefore) {
    tx_.credit(other(), U256{1});
    tx_.store(tx_.slot(self(), U256{1}), U256{12});
    tx_.warm_account(self());
    tx_.add_refund(5);
    tx_.add_log({});
    begin();
    EXPECT_TRUE(tx_.changes().accounts.empty());
    EXPECT_EQ(tx_.load(tx_.slot(self(), U256{1})), U256{11});
    EXPECT_TRUE(tx_.warm_account(self()));
    EXPECT_EQ(tx_.refund(), 0);
    EXPECT_TRUE(tx_.logs().empty());
}

TEST_F(TxStateTest, ManyRecordsKeepTheirIdentity) {
    // Enough to make every index grow.
    for (uint64_t i = 0; i < 500; ++i) {
        TxAccount& a = tx_.account(address_of(10'000 + i));
        tx_.set_nonce(a, i);
        for (uint64_t k = 0; k < 4; ++k) { tx_.store(tx_.slot(a, U256{k}), U256{i * 4 + k + 1}); }
        tx_.transient_store(a, U256{1}, U256{i});
    }
    for (uint64_t i = 0; i < 500; ++i) {
        TxAccount& a = tx_.account(address_of(10'000 + i));
        ASSERT_EQ(tx_.nonce(a), i);
        for (uint64_t k = 0; k < 4; ++k) {
            ASSERT_EQ(tx_.load(tx_.slot(a, U256{k})), U256{i * 4 + k + 1});
        }
        ASSERT_EQ(tx_.transient_load(a, U256{1}), U256{i});
    }
    EXPECT_EQ(tx_.changes().accounts.size(), 500u);
}

TEST_F(TxStateTest, WholeTransferAsksForNoValueOfTheReceiver) {
    // The claim that the parallel executor rests on, made with a real transaction.
    state_.set_balance(sender_address, U256{1'000'000'000});
    Transaction tx;
    tx.type = TxType::dynamic_fee;
    tx.chain_id = 1;
    tx.to = other_address;
    tx.value = U256{5};
    tx.gas_limit = 21'000;
    tx.max_fee_per_gas = U256{2};
    Rules rules = millrace_rules(1);
    BlockEnvironment block;
    block.gas_limit = 1'000'000;
    const auto r = execute_transaction({tx, sender_address, {}}, view_, Machine::workspace(), rules,
                                       Machine::precompiles(), block, 1'000'000);
    ASSERT_TRUE(r.has_value() && r->success());
    EXPECT_EQ(view_.of(other_address), Questions{"code"});
    EXPECT_EQ(view_.of(block.coinbase), Questions{}) << "fees touch nobody";
    for (const std::string& q : view_.of(sender_address)) { EXPECT_NE(q, "balance"); }
}

}  // namespace
}  // namespace millrace::evm
