// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the cell table as a parallel executor uses it: transactions that overlap,
// commits that are refused, retries, and an oracle that replays in commit order.
#include <gtest/gtest.h>

#include <random>

#include "evm/core/transition.hpp"
#include "evm/precompiles/standard.hpp"
#include "host/sequencer/executor/cells.hpp"
#include "tests/host/sequencer/interleaving.hpp"
#include "tests/host/sequencer/test_chain.hpp"

namespace millrace::sequencer {
namespace {

using namespace test;

evm::StateChanges change(const Address& address,
                         const std::function<void(evm::AccountChange&)>& f) {
    evm::StateChanges c;
    c.accounts.emplace_back().address = address;
    f(c.accounts.back());
    return c;
}
evm::StateChanges credit(const Address& a, U256 v) {
    return change(a, [&](auto& c) { c.credit = v; });
}
evm::StateChanges debit(const Address& a, U256 v) {
    return change(a, [&](auto& c) { c.debit = v; });
}

class CellTableTest : public ::testing::Test {
protected:
    CellTableTest() {
        storage::StateDelta state;
        for (uint64_t i = 0; i < 4; ++i) { add_account(state, account(i), U256{100}); }
        add_account(state, counter_contract, {}, "00", 1);
        state.slots.push_back({counter_contract, U256{1}, U256{7}});
        state.sort();
        EXPECT_TRUE(store_->apply(1, state).has_value());
        cells_ = std::make_unique<CellTable>(store_->snapshot());
    }

    std::unique_ptr<storage::StateStore> store_ = storage::make_memory_state_store();
    std::unique_ptr<CellTable> cells_;
    CellView::BlockHashes no_hashes_ = [](uint64_t) { return Hash256{}; };
    CellView a_view() { return CellView{*cells_, no_hashes_}; }
    U256 balance(uint64_t i) { return cells_->account(account(i)).balance.value(); }
};

TEST_F(CellTableTest, ReadsWhatTheSnapshotHolds) {
    CellView v = a_view();
    EXPECT_EQ(v.balance(account(0)), U256{100});
    EXPECT_EQ(v.nonce(counter_contract), 1u);
    EXPECT_EQ(v.storage(counter_contract, U256{1}), U256{7});
    EXPECT_EQ(v.storage(counter_contract, U256{2}), U256{});
    EXPECT_TRUE(v.has_storage(counter_contract));
    EXPECT_FALSE(v.has_storage(account(0)));
    EXPECT_TRUE(v.account_exists(account(0)));
    EXPECT_FALSE(v.account_exists(stranger(1)));
    EXPECT_EQ(*v.code(v.code_hash(counter_contract)), Bytes{0x00});
}

TEST_F(CellTableTest, CreditsToOneAccountCommute) {
    CellView a = a_view();
    CellView b = a_view();
    ASSERT_TRUE(a.balance_at_least(account(0), U256{10}));
    ASSERT_TRUE(b.balance_at_least(account(1), U256{20}));
    const auto pay = [](uint64_t from, uint64_t amount) {
        evm::StateChanges c = debit(account(from), U256{amount});
        c.accounts.push_back(credit(account(2), U256{amount}).accounts[0]);
        return c;
    };
    EXPECT_EQ(cells_->commit_alone(a.reads(), pay(0, 10)), Conflict::none);
    EXPECT_EQ(cells_->commit_alone(b.reads(), pay(1, 20)), Conflict::none);
    EXPECT_EQ(balance(0), U256{90});
    EXPECT_EQ(balance(1), U256{80});
    EXPECT_EQ(balance(2), U256{130});
}

TEST_F(CellTableTest, BoundHoldsWhenOthersLeaveEnough) {
    CellView a = a_view();
    ASSERT_TRUE(a.balance_at_least(account(0), U256{60}));
    ASSERT_EQ(cells_->commit_alone({}, debit(account(0), U256{30})), Conflict::none);
    ASSERT_EQ(cells_->commit_alone({}, credit(account(0), U256{5})), Conflict::none);
    EXPECT_EQ(cells_->commit_alone(a.reads(), debit(account(0), U256{60})), Conflict::none);
    EXPECT_EQ(balance(0), U256{15});
}

TEST_F(CellTableTest, BoundIsRefusedWhenAnotherDebitTakesTheBalanceBelow) {
    CellView a = a_view();
    ASSERT_TRUE(a.balance_at_least(account(0), U256{60}));
    ASSERT_EQ(cells_->commit_alone({}, debit(account(0), U256{41})), Conflict::none);
    const uint64_t sequence = cells_->sequence();
    EXPECT_EQ(cells_->commit_alone(a.reads(), debit(account(0), U256{60})),
              Conflict::bound_violated);
    EXPECT_EQ(balance(0), U256{59});
    EXPECT_EQ(cells_->sequence(), sequence);
    // Exactly enough is enough.
    ASSERT_EQ(cells_->commit_alone({}, credit(account(0), U256{1})), Conflict::none);
    EXPECT_EQ(cells_->commit_alone(a.reads(), debit(account(0), U256{60})), Conflict::none);
    EXPECT_EQ(balance(0), U256{});
}

TEST_F(CellTableTest, FailedBalanceCheckIsAValueRead) {
    CellView a = a_view();
    EXPECT_FALSE(a.balance_at_least(account(0), U256{101}));
    ASSERT_EQ(cells_->commit_alone({}, credit(account(0), U256{1})), Conflict::none);
    EXPECT_EQ(cells_->commit_alone(a.reads(), {}), Conflict::stale_read);
}

TEST_F(CellTableTest, EveryValueReadIsRefusedAfterAnotherWrite) {
    struct Case {
        std::string name;
        std::function<void(CellView&)> read;
        evm::StateChanges write;
        evm::StateChanges harmless;
    };
    const Hash256 code_hash = kernels::keccak256(Bytes{0xfe});
    const std::vector<Case> cases = {
        {"nonce", [](CellView& v) { v.nonce(account(0)); },
         change(account(0), [](auto& c) { c.nonce = 1; }), credit(account(0), U256{1})},
        {"balance", [](CellView& v) { v.balance(account(0)); }, credit(account(0), U256{1}),
         change(account(0), [](auto& c) { c.nonce = 5; })},
        {"code", [](CellView& v) { v.code_hash(account(0)); },
         change(account(0),
                [&](auto& c) {
                    c.code_hash = code_hash;
                    c.code = std::make_shared<const Bytes>(Bytes{0xfe});
                }),
         credit(account(0), U256{1})},
        {"slot", [](CellView& v) { v.storage(counter_contract, U256{1}); },
         change(counter_contract, [](auto& c) { c.storage = {{U256{1}, U256{8}}}; }),
         change(counter_contract, [](auto& c) { c.storage = {{U256{2}, U256{8}}}; })},
        {"existence", [](CellView& v) { v.account_exists(stranger(1)); },
         credit(stranger(1), U256{1}), credit(stranger(2), U256{1})},
    };
    for (const Case& c : cases) {
        SCOPED_TRACE(c.name);
        cells_ = std::make_unique<CellTable>(store_->snapshot());
        CellView v = a_view();
        c.read(v);
        ASSERT_EQ(cells_->commit_alone({}, c.harmless), Conflict::none);
        EXPECT_EQ(cells_->commit_alone(v.reads(), {}), Conflict::none)
            << "another field must not matter";
        ASSERT_EQ(cells_->commit_alone({}, c.write), Conflict::none);
        EXPECT_EQ(cells_->commit_alone(v.reads(), {}), Conflict::stale_read);
    }
}

TEST_F(CellTableTest, WritingTheSameValueAgainStillRefusesAnOlderRead) {
    CellView a = a_view();
    a.storage(counter_contract, U256{1});
    const auto write = [](uint64_t v) {
        return change(counter_contract, [&](auto& c) { c.storage = {{U256{1}, U256{v}}}; });
    };
    ASSERT_EQ(cells_->commit_alone({}, write(8)), Conflict::none);
    ASSERT_EQ(cells_->commit_alone({}, write(7)), Conflict::none);
    EXPECT_EQ(cells_->commit_alone(a.reads(), {}), Conflict::stale_read);
}

TEST_F(CellTableTest, RefusedCommitChangesNothing) {
    CellView a = a_view();
    a.balance(account(0));
    ASSERT_EQ(cells_->commit_alone({}, credit(account(0), U256{1})), Conflict::none);
    (void)cells_->take_delta();
    evm::StateChanges many = debit(account(0), U256{1});
    many.accounts[0].nonce = 9;
    many.accounts[0].storage = {{U256{1}, U256{1}}};
    many.accounts.push_back(credit(account(1), U256{1}).accounts[0]);
    EXPECT_EQ(cells_->commit_alone(a.reads(), many), Conflict::stale_read);
    EXPECT_TRUE(cells_->take_delta().empty());
    EXPECT_EQ(cells_->account(account(0)).nonce.value(), 0u);
    EXPECT_EQ(balance(1), U256{100});
}

TEST_F(CellTableTest, DeltaHoldsNetPostValuesOnce) {
    ASSERT_EQ(cells_->commit_alone({}, debit(account(0), U256{30})), Conflict::none);
    ASSERT_EQ(cells_->commit_alone({}, credit(account(0), U256{10})), Conflict::none);
    ASSERT_EQ(cells_->commit_alone(
                  {}, change(counter_contract,
                             [](auto& c) { c.storage = {{U256{1}, U256{}}, {U256{3}, U256{4}}}; })),
              Conflict::none);
    ASSERT_EQ(cells_->commit_alone({}, credit(stranger(3), U256{2})), Conflict::none);
    ASSERT_EQ(cells_->commit_alone({}, debit(stranger(3), U256{2})), Conflict::none);
    const storage::StateDelta d = cells_->take_delta();
    EXPECT_TRUE(d.is_canonical());
    ASSERT_EQ(d.slots.size(), 2u);
    EXPECT_EQ(d.slots[0], (storage::SlotDelta{counter_contract, U256{1}, U256{}}));
    EXPECT_EQ(d.slots[1], (storage::SlotDelta{counter_contract, U256{3}, U256{4}}));
    for (const storage::AccountDelta& a : d.accounts) {
        if (a.address == account(0)) { EXPECT_EQ(a.balance, U256{80}); }
        EXPECT_EQ(a.deleted, a.address == stranger(3))
            << "EIP-161: an empty account does not exist";
    }
    EXPECT_TRUE(cells_->take_delta().empty());
    ASSERT_TRUE(store_->apply(2, d).has_value());
    cells_->rebase(store_->snapshot(), 0);
    EXPECT_EQ(cells_->cell_count(), 0u);
    EXPECT_EQ(balance(0), U256{80});
}

TEST_F(CellTableTest, SelfdestructedNewContractLeavesAnEmptyAddress) {
    ASSERT_EQ(cells_->commit_alone({}, credit(stranger(4), U256{9})), Conflict::none);
    (void)cells_->take_delta();
    ASSERT_EQ(cells_->commit_alone({}, change(stranger(4), [](auto& c) { c.destroyed = true; })),
              Conflict::none);
    const storage::StateDelta d = cells_->take_delta();
    ASSERT_EQ(d.accounts.size(), 1u);
    EXPECT_TRUE(d.accounts[0].deleted);
    ASSERT_EQ(cells_->commit_alone({}, change(stranger(5), [](auto& c) { c.destroyed = true; })),
              Conflict::none);
    EXPECT_TRUE(cells_->take_delta().empty()) << "nothing of it was ever published";
}

/// The heart of item 3 of the acceptance list: two real transactions, both executed before either
/// commits.
class TwoTransactions : public ::testing::Test {
protected:
    struct Run {
        CellView view;
        evm::TransactionResult result;
    };

    TwoTransactions() {
        EXPECT_TRUE(store_->apply(1, genesis_.state).has_value());
        block_.number = 1;
        block_.timestamp = 1000;
        block_.gas_limit = genesis_.block_gas_limit;
        block_.base_fee_per_gas = U256{gwei};
    }

    /// Executes against what is committed now; publishes nothing.
    Run execute(CellTable& cells, const AdmittedPtr& tx) {
        Run run{CellView{cells, no_hashes_}, {}};
        auto r = evm::execute_transaction({tx->transaction, tx->sender, tx->authorities}, run.view,
                                          workspace_, genesis_.spec.rules, precompiles_, block_,
                                          genesis_.block_gas_limit);
        EXPECT_TRUE(r.has_value());
        run.result = std::move(*r);
        return run;
    }
    storage::StateDelta serial(const std::vector<AdmittedPtr>& order) {
        CellTable cells{store_->snapshot()};
        for (const AdmittedPtr& tx : order) {
            const Run r = execute(cells, tx);
            EXPECT_EQ(cells.commit_alone(r.view.reads(), r.result.changes), Conflict::none);
        }
        return cells.take_delta();
    }

    Genesis genesis_ = make_genesis();
    evm::StandardPrecompiles precompiles_;
    std::unique_ptr<storage::StateStore> store_ = storage::make_memory_state_store();
    evm::Workspace workspace_;
    evm::BlockEnvironment block_;
    CellView::BlockHashes no_hashes_ = [](uint64_t) { return Hash256{}; };
};

TEST_F(TwoTransactions, TransfersToOneReceiverBothCommit) {
    CellTable cells{store_->snapshot()};
    const AdmittedPtr a = admitted(0, transfer_transaction(0, stranger(9), U256{5}));
    const AdmittedPtr b = admitted(1, transfer_transaction(0, stranger(9), U256{7}));
    const Run ra = execute(cells, a);
    const Run rb = execute(cells, b);
    EXPECT_EQ(cells.commit_alone(rb.view.reads(), rb.result.changes), Conflict::none);
    EXPECT_EQ(cells.commit_alone(ra.view.reads(), ra.result.changes), Conflict::none);
    EXPECT_EQ(cells.account(stranger(9)).balance.value(), U256{12});
    EXPECT_EQ(cells.take_delta(), serial({b, a}));
}

TEST_F(TwoTransactions, ReceiverThatSpendsMeanwhileDoesNotConflict) {
    CellTable cells{store_->snapshot()};
    const AdmittedPtr a = admitted(0, transfer_transaction(0, account(1), U256{5}));
    const AdmittedPtr b = admitted(1, transfer_transaction(0, account(0), U256{7}));
    const Run ra = execute(cells, a);
    const Run rb = execute(cells, b);
    EXPECT_EQ(cells.commit_alone(ra.view.reads(), ra.result.changes), Conflict::none);
    EXPECT_EQ(cells.commit_alone(rb.view.reads(), rb.result.changes), Conflict::none);
    EXPECT_EQ(cells.take_delta(), serial({a, b}));
}

TEST_F(TwoTransactions, OneAbortThenARetryGivesTheSerialResult) {
    CellTable cells{store_->snapshot()};
    const AdmittedPtr a = admitted(0, call_transaction(0, counter_contract));
    const AdmittedPtr b = admitted(1, call_transaction(0, counter_contract));
    const Run ra = execute(cells, a);
    const Run rb = execute(cells, b);
    EXPECT_EQ(cells.commit_alone(rb.view.reads(), rb.result.changes), Conflict::none);
    ASSERT_EQ(cells.commit_alone(ra.view.reads(), ra.result.changes), Conflict::stale_read);
    const Run again = execute(cells, a);
    EXPECT_EQ(cells.commit_alone(again.view.reads(), again.result.changes), Conflict::none);
    EXPECT_EQ(load_be(again.result.output), U256{2});
    EXPECT_EQ(cells.take_delta(), serial({b, a}));
}

TEST_F(TwoTransactions, SpendersOfOneBalanceConflictOnlyWhenItRunsShort) {
    // The balance is debited by a set of fees and values; the bound is what the transaction needs
    // at most, so a second spender is refused only when that is no longer there.
    const U256 half = U256{500} * ether;
    const AdmittedPtr a = admitted(0, transfer_transaction(0, stranger(1), half - ether));
    for (const bool enough : {true, false}) {
        CellTable cells{store_->snapshot()};
        const Run ra = execute(cells, a);
        evm::StateChanges other = debit(account(0), enough ? half : half + ether);
        ASSERT_EQ(cells.commit_alone({}, other), Conflict::none);
        EXPECT_EQ(cells.commit_alone(ra.view.reads(), ra.result.changes),
                  enough ? Conflict::none : Conflict::bound_violated);
    }
}

TEST_F(TwoTransactions, SameSenderConflictsOnTheNonce) {
    CellTable cells{store_->snapshot()};
    const AdmittedPtr a = admitted(0, transfer_transaction(0, stranger(1), U256{1}));
    const AdmittedPtr b = admitted(0, transfer_transaction(0, stranger(2), U256{1}));
    const Run ra = execute(cells, a);
    const Run rb = execute(cells, b);
    EXPECT_EQ(cells.commit_alone(ra.view.reads(), ra.result.changes), Conflict::none);
    EXPECT_EQ(cells.commit_alone(rb.view.reads(), rb.result.changes), Conflict::stale_read);
}

TEST(Interleaving, EveryScheduleEqualsTheSerialReplayInCommitOrder) {
    uint64_t aborts = 0;
    for (uint64_t seed = 1; seed <= 400; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        const Schedule s = run_schedule(seed, Validation::on);
        ASSERT_EQ(s.wrong, "");
        aborts += s.aborts;
    }
    EXPECT_GT(aborts, 100u) << "the schedules must contend, or they prove nothing";
}

TEST(Interleaving, OracleCatchesACommitWithoutValidation) {
    uint64_t caught = 0;
    for (uint64_t seed = 1; seed <= 100; ++seed) {
        caught += run_schedule(seed, Validation::off).wrong.empty() ? 0 : 1;
    }
    EXPECT_GT(caught, 10u);
}

TEST(Interleaving, OracleCatchesACommitThatSkipsBounds) {
    uint64_t caught = 0;
    for (uint64_t seed = 1; seed <= 400; ++seed) {
        caught += run_schedule(seed, Validation::reads_only).wrong.empty() ? 0 : 1;
    }
    EXPECT_GT(caught, 5u);
}

}  // namespace
}  // namespace millrace::sequencer
