// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the pool: chains, gaps, replacement, eviction, priority, and the index that
// other threads read.
#include <gtest/gtest.h>

#include <map>

#include "host/sequencer/pool/pool.hpp"
#include "tests/host/sequencer/test_chain.hpp"

namespace millrace::sequencer {
namespace {

using namespace test;

AdmittedPtr tx_of(uint64_t sender, uint64_t nonce, uint64_t tip, uint64_t fee = 1000,
                  uint64_t gas = 21'000, size_t data_bytes = 0) {
    evm::Transaction t = with_fees(
        call_transaction(nonce, stranger(99), {}, Bytes(data_bytes, 0xaa), gas), tip, fee);
    return unsigned_of(stranger(sender), std::move(t));
}

std::vector<Hash256> hashes(std::span<const AdmittedPtr> list) {
    std::vector<Hash256> out;
    for (const AdmittedPtr& t : list) { out.push_back(t->hash); }
    return out;
}

class PoolTest : public ::testing::Test {
protected:
    void make(const PoolLimits& limits) { pool_ = std::make_unique<Pool>(limits, index_); }
    PoolTest() { make({}); }
    Pool::Added add(const AdmittedPtr& tx, uint64_t account_nonce = 0) {
        auto r = pool_->add(tx, account_nonce);
        EXPECT_TRUE(r.has_value())
            << "refused with " << static_cast<int>(r ? PoolRefusal{} : r.error());
        return r.value_or(Pool::Added{});
    }
    PoolRefusal refusal(const AdmittedPtr& tx, uint64_t account_nonce = 0) {
        const auto r = pool_->add(tx, account_nonce);
        EXPECT_FALSE(r.has_value());
        return r ? PoolRefusal{} : r.error();
    }
    /// Everything executable, in the order in which it would run.
    std::vector<Hash256> drain() {
        std::vector<Hash256> out;
        while (const AdmittedPtr t = pool_->next(~uint64_t{0})) {
            out.push_back(t->hash);
            pool_->executed(*t);
        }
        return out;
    }

    PoolIndex index_;
    std::unique_ptr<Pool> pool_;
};

TEST_F(PoolTest, AChainWhoseHeadIsDroppedDoesNotKeepMoreThanItsShare) {
    PoolLimits limits;
    limits.transactions_max = 32;  // 8 of them behind a missing nonce
    make(limits);
    std::vector<AdmittedPtr> chain;
    for (uint64_t nonce = 0; nonce < 24; ++nonce) {
        chain.push_back(tx_of(1, nonce, nonce < 12 ? 5 : 3));
        add(chain.back());
    }
    EXPECT_TRUE(pool_->trim_gapped().empty());
    pool_->drop(*chain[0]);
    const auto given_up = pool_->trim_gapped();
    ASSERT_EQ(given_up.size(), 15u);
    // Those that pay least first, of them the latest.
    for (size_t i = 0; i < 12; ++i) { EXPECT_EQ(given_up[i], chain[23 - i]); }
    for (size_t i = 12; i < 15; ++i) { EXPECT_EQ(given_up[i], chain[11 - (i - 12)]); }
    EXPECT_EQ(pool_->queued().size(), 8u);
    EXPECT_EQ(pool_->size(), 8u);
    EXPECT_EQ(pool_->executable_bytes(), 0u);
    EXPECT_EQ(index_.find(given_up[0]->hash), nullptr);
    add(tx_of(1, 0, 1));
    EXPECT_EQ(pool_->executable_count(), 9u) << "what is left follows the new head";
}

TEST_F(PoolTest, ChainRunsInNonceOrderWhateverTheTips) {
    const auto a = tx_of(1, 5, 1);
    const auto b = tx_of(1, 6, 100);
    EXPECT_TRUE(add(a, 5).executable);
    EXPECT_TRUE(add(b, 5).executable);
    EXPECT_EQ(drain(), (std::vector{a->hash, b->hash}));
    EXPECT_EQ(pool_->size(), 0u);
    EXPECT_EQ(pool_->bytes(), 0u);
}

TEST_F(PoolTest, GapWaitsUntilItIsFilledAndPromotesEverythingBehindIt) {
    const auto second = tx_of(1, 1, 1);
    const auto third = tx_of(1, 2, 1);
    const Pool::Added waiting = add(second);
    EXPECT_FALSE(waiting.executable);
    EXPECT_EQ(waiting.expected_nonce, 0u);
    EXPECT_TRUE(waiting.promoted.empty());
    EXPECT_TRUE(add(third).promoted.empty());
    EXPECT_EQ(pool_->next(~uint64_t{0}), nullptr);
    EXPECT_EQ(pool_->queued().size(), 2u);
    EXPECT_EQ(pool_->executable_count(), 0u);

    const auto first = tx_of(1, 0, 1);
    const Pool::Added filled = add(first);
    EXPECT_TRUE(filled.executable);
    EXPECT_EQ(filled.expected_nonce, 3u);
    EXPECT_EQ(hashes(filled.promoted), (std::vector{first->hash, second->hash, third->hash}));
    EXPECT_EQ(pool_->executable_count(), 3u);
    EXPECT_TRUE(pool_->queued().empty());
    EXPECT_EQ(drain(), (std::vector{first->hash, second->hash, third->hash}));
}

TEST_F(PoolTest, WhatIsUnderWayKeepsItsSenderWaitingAndCannotBeReplaced) {
    const auto first = tx_of(1, 0, 1);
    const auto second = tx_of(1, 1, 1);
    add(first);
    add(second);
    ASSERT_EQ(pool_->next(~uint64_t{0}), first);
    pool_->under_way(*first);
    EXPECT_EQ(pool_->next(~uint64_t{0}), nullptr);
    EXPECT_EQ(refusal(tx_of(1, 0, 50)), PoolRefusal::under_way);
    pool_->returned(*first);
    EXPECT_EQ(pool_->next(~uint64_t{0}), first);
    pool_->under_way(*first);
    pool_->executed(*first);
    EXPECT_EQ(pool_->next(~uint64_t{0}), second);
}

TEST_F(PoolTest, WhatTheAccountLeftBehindUnderWayDoesNotFreeItsSuccessor) {
    const auto old = tx_of(1, 5, 1);
    add(old, 5);
    pool_->under_way(*old);
    // By an authorization that another transaction carried (EIP-7702).
    EXPECT_EQ(pool_->account_changed(stranger(1), 6), std::vector{old});
    const auto next = tx_of(1, 6, 1);
    add(next, 6);
    EXPECT_EQ(pool_->next(~uint64_t{0}), nullptr) << "its sender still has one under way";
    EXPECT_FALSE(pool_->drop(*old)) << "it was not in the pool any more";
    ASSERT_EQ(pool_->next(~uint64_t{0}), next);
    pool_->under_way(*next);
    EXPECT_FALSE(pool_->drop(*old));
    EXPECT_EQ(pool_->next(~uint64_t{0}), nullptr) << "another one's end is not its end";
    pool_->executed(*next);
    EXPECT_EQ(pool_->size(), 0u);
}

TEST_F(PoolTest, GasSetAsideForOthersMakesTheNextOneWait) {
    const auto t = tx_of(1, 0, 1, 100 * gwei, 50'000);
    add(t);
    EXPECT_EQ(pool_->next(100'000, 60'000), nullptr);
    EXPECT_EQ(pool_->next(100'000, 50'000), t) << "it was not passed over";
    EXPECT_EQ(pool_->next(100'000, 200'000), nullptr);
}

TEST_F(PoolTest, NonceLimits) {
    EXPECT_EQ(refusal(tx_of(1, 4, 1), 5), PoolRefusal::nonce_too_low);
    EXPECT_EQ(refusal(tx_of(1, 5 + 65, 1), 5), PoolRefusal::nonce_too_far);
    EXPECT_EQ(pool_->size(), 0u);
    add(tx_of(1, 5 + 64, 1), 5);
    // A chain may be as long as the pool allows: the distance counts from the first missing one.
    for (uint64_t n = 0; n < 200; ++n) { add(tx_of(2, n, 1)); }
    EXPECT_EQ(pool_->executable_count(), 200u);
}

TEST_F(PoolTest, SameTransactionIsKnown) {
    const auto a = tx_of(1, 0, 1);
    add(a);
    EXPECT_EQ(refusal(a), PoolRefusal::already_known);
    EXPECT_EQ(pool_->size(), 1u);
}

TEST_F(PoolTest, ReplacementMustRaiseBothFeesByATenth) {
    const auto old = tx_of(1, 0, 100, 1000);
    add(old);
    EXPECT_EQ(refusal(tx_of(1, 0, 110, 1099)), PoolRefusal::replacement_underpriced);
    EXPECT_EQ(refusal(tx_of(1, 0, 109, 1100)), PoolRefusal::replacement_underpriced);
    EXPECT_EQ(refusal(tx_of(1, 0, 100, 1000, 30'000)), PoolRefusal::replacement_underpriced);
    const auto better = tx_of(1, 0, 110, 1100);
    const Pool::Added r = add(better);
    EXPECT_EQ(r.replaced, old);
    EXPECT_TRUE(r.executable);
    EXPECT_EQ(hashes(r.promoted), std::vector{better->hash});
    EXPECT_EQ(pool_->size(), 1u);
    EXPECT_EQ(index_.find(old->hash), nullptr);
    EXPECT_EQ(index_.find(better->hash), better);
    EXPECT_EQ(drain(), std::vector{better->hash});
}

TEST_F(PoolTest, ReplacementRuleDoesNotOverflow) {
    evm::Transaction t = call_transaction(0, stranger(99));
    t.max_fee_per_gas = t.max_priority_fee_per_gas = U256::max();
    add(unsigned_of(stranger(1), t));
    t.value = U256{1};
    EXPECT_EQ(refusal(unsigned_of(stranger(1), t)), PoolRefusal::replacement_underpriced);
}

TEST_F(PoolTest, ReplacementInTheMiddleKeepsTheChain) {
    for (uint64_t n = 0; n < 3; ++n) { add(tx_of(1, n, 10)); }
    const auto better = tx_of(1, 1, 50, 2000);
    EXPECT_EQ(add(better).expected_nonce, 3u);
    EXPECT_EQ(pool_->executable_count(), 3u);
    EXPECT_EQ(drain()[1], better->hash);
}

TEST_F(PoolTest, HighestTipFirstThenEarliest) {
    const auto low = tx_of(1, 0, 1);
    const auto high = tx_of(2, 0, 9);
    const auto same_as_low = tx_of(3, 0, 1);
    add(low);
    add(high);
    add(same_as_low);
    EXPECT_EQ(drain(), (std::vector{high->hash, low->hash, same_as_low->hash}));
}

TEST_F(PoolTest, OneInSomeIsTheOldestWhateverItPays) {
    make({.oldest_one_in = 4});
    const auto patient = tx_of(1, 0, 1);
    add(patient);
    std::vector<AdmittedPtr> rich;
    for (uint64_t i = 0; i < 6; ++i) { rich.push_back(tx_of(2 + i, 0, 100 + i)); }
    for (const AdmittedPtr& t : rich) { add(t); }
    EXPECT_EQ(drain(), (std::vector{rich[5]->hash, rich[4]->hash, rich[3]->hash, patient->hash,
                                    rich[2]->hash, rich[1]->hash, rich[0]->hash}));
}

TEST_F(PoolTest, LowerBucketsShareTheirTurnsByWeight) {
    make({.oldest_one_in = 0});
    // Three buckets, never empty: what was given out comes back as another transaction.
    const uint64_t tips[] = {1'000, 100'000, 10'000'000};
    uint64_t sender = 0;
    for (int i = 0; i < 10; ++i) {
        for (const uint64_t tip : tips) { add(tx_of(sender++, 0, tip, 20'000'000)); }
    }
    std::map<uint64_t, int> given;
    for (int i = 0; i < 1024; ++i) {
        const AdmittedPtr t = pool_->next(~uint64_t{0});
        const uint64_t tip = t->transaction.max_priority_fee_per_gas.low64();
        ++given[tip];
        pool_->executed(*t);
        add(tx_of(sender++, 0, tip, 20'000'000));
    }
    EXPECT_EQ(given[tips[2]], 1024 * 7 / 8);
    EXPECT_EQ(given[tips[1]], 1024 / 8 / 2);
    EXPECT_EQ(given[tips[0]], 1024 / 8 / 2);
}

/// A pool that is full of cheap transactions and stays so, and mini-blocks of `turns` executions.
class CongestedPool {
public:
    static constexpr int turns = 400;
    static constexpr uint64_t cheap = 1'000'000'000;
    static constexpr uint64_t dear = 10'000'000'000;

    explicit CongestedPool(Pool& pool) : pool_(pool) {
        for (int i = 0; i < 20'000; ++i) { add(cheap); }
    }
    void add(uint64_t tip) {
        const auto tx = tx_of(next_sender_++, 0, tip, 2 * dear);
        MILLRACE_ASSERT(pool_.add(tx, 0).has_value(), "the pool takes it");
        if (tip == dear) { arrived_in_[tx->hash] = mini_block_; }
    }
    /// One mini-block, in which `arrivals` dear transactions arrive, spread over it.
    void run_mini_block(int arrivals) {
        for (int turn = 0; turn < turns; ++turn) {
            for (int i = turn * arrivals / turns; i < (turn + 1) * arrivals / turns; ++i) {
                add(dear);
            }
            const AdmittedPtr t = pool_.next(~uint64_t{0});
            pool_.under_way(*t);
            pool_.executed(*t);
            const auto arrived = arrived_in_.find(t->hash);
            if (arrived == arrived_in_.end()) {
                ++cheap_executed;
                add(cheap);
            } else {
                waits_most = std::max(waits_most, mini_block_ - arrived->second);
                arrived_in_.erase(arrived);
            }
        }
        ++mini_block_;
    }

    uint64_t cheap_executed = 0;
    uint64_t waits_most = 0;  ///< of dear ones, in mini-blocks
    size_t dear_waiting() const { return arrived_in_.size(); }

private:
    Pool& pool_;
    uint64_t next_sender_ = 0;
    uint64_t mini_block_ = 0;
    std::map<Hash256, uint64_t> arrived_in_;
};

TEST_F(PoolTest, PriorityIsInTheMiniBlockOfItsArrivalOrTheNextHoweverFullThePoolIs) {
    // From a few to the share that is strictly theirs.
    for (const int arrivals : {1, 40, 200, CongestedPool::turns * 6 / 8}) {
        SCOPED_TRACE(arrivals);
        make({});
        CongestedPool congested(*pool_);
        for (int i = 0; i < 50; ++i) { congested.run_mini_block(arrivals); }
        EXPECT_LE(congested.waits_most, 1u);
        EXPECT_LE(congested.dear_waiting(), static_cast<size_t>(arrivals));
    }
}

TEST_F(PoolTest, PriorityBeyondItsShareDoesNotStarveTheOthers) {
    make({});
    CongestedPool congested(*pool_);
    constexpr int mini_blocks = 50;
    for (int i = 0; i < mini_blocks; ++i) { congested.run_mini_block(CongestedPool::turns * 2); }
    EXPECT_EQ(congested.cheap_executed, uint64_t{CongestedPool::turns} * mini_blocks * 2 / 8);
}

TEST_F(PoolTest, LongTransactionsCanBeLeftOut) {
    const auto large = tx_of(1, 0, 9, 1000, 1'000'001);
    const auto border = tx_of(2, 0, 5, 1000, 1'000'000);
    const auto small = tx_of(3, 0, 1);
    for (const auto& t : {large, border, small}) { add(t); }
    EXPECT_EQ(pool_->next(~uint64_t{0}, 0, false), border);
    EXPECT_EQ(pool_->next(~uint64_t{0}, 0, true), large);
    EXPECT_EQ(drain(), (std::vector{large->hash, border->hash, small->hash}));
}

TEST_F(PoolTest, LongChainOfOneSenderLeavesFromTheFront) {
    constexpr uint64_t count = 20'000;
    make({.transactions_max = count});
    for (uint64_t n = 0; n < count; ++n) { add(tx_of(1, n, 1 + n % 7)); }
    EXPECT_EQ(pool_->executable_count(), count);
    for (uint64_t n = 0; n < count; ++n) {
        const AdmittedPtr t = pool_->next(~uint64_t{0});
        ASSERT_NE(t, nullptr);
        ASSERT_EQ(t->transaction.nonce, n);
        pool_->executed(*t);
    }
    EXPECT_EQ(pool_->size(), 0u);
    EXPECT_EQ(pool_->bytes(), 0u);
}

TEST_F(PoolTest, PriorityIsWhatIsPaidOverTheBaseFee) {
    const auto capped = tx_of(1, 0, 500, 600);  // pays only 100 over a base fee of 500
    const auto open = tx_of(2, 0, 200, 1000);
    pool_->begin_block(U256{500});
    add(capped);
    add(open);
    EXPECT_EQ(drain(), (std::vector{open->hash, capped->hash}));
}

TEST_F(PoolTest, HeadsBelowTheBaseFeeWaitForALowerOne) {
    const auto cheap = tx_of(1, 0, 1, 400);
    const auto behind = tx_of(1, 1, 1, 5000);
    pool_->begin_block(U256{500});
    add(cheap);
    add(behind);
    EXPECT_EQ(pool_->next(~uint64_t{0}), nullptr);
    EXPECT_EQ(pool_->size(), 2u);
    pool_->begin_block(U256{400});
    EXPECT_EQ(drain(), (std::vector{cheap->hash, behind->hash}));
}

TEST_F(PoolTest, HeadThatNeedsMoreGasThanIsLeftIsPassedOverUntilTheNextBlock) {
    const auto large = tx_of(1, 0, 9, 1000, 1'000'000);
    const auto small = tx_of(2, 0, 1, 1000, 21'000);
    add(large);
    add(small);
    EXPECT_EQ(pool_->next(100'000), small);
    pool_->executed(*small);
    EXPECT_EQ(pool_->next(~uint64_t{0}), nullptr);
    pool_->begin_block(U256{});
    EXPECT_EQ(pool_->next(~uint64_t{0}), large);
}

TEST_F(PoolTest, DropLeavesTheRestOfTheChainWaiting) {
    const auto a = tx_of(1, 0, 1);
    const auto b = tx_of(1, 1, 1);
    add(a);
    add(b);
    pool_->drop(*a);
    EXPECT_EQ(pool_->next(~uint64_t{0}), nullptr);
    EXPECT_EQ(index_.find(a->hash), nullptr);
    EXPECT_EQ(index_.next_nonce(stranger(1)), 0u);
    const auto again = tx_of(1, 0, 2);
    EXPECT_EQ(hashes(add(again).promoted), (std::vector{again->hash, b->hash}));
    EXPECT_EQ(drain(), (std::vector{again->hash, b->hash}));
}

TEST_F(PoolTest, FullPoolEvictsTheCheapestChainFromItsEnd) {
    make({.transactions_max = 4});
    const auto head = tx_of(1, 0, 1);
    const auto middle = tx_of(1, 1, 2);
    const auto tail = tx_of(1, 2, 50);
    const auto other = tx_of(2, 0, 3);
    for (const auto& t : {head, middle, tail, other}) { add(t); }
    // `head` is the cheapest but a head; of `middle`'s chain the last goes.
    const auto better = tx_of(3, 0, 10);
    EXPECT_EQ(hashes(add(better).evicted), std::vector{tail->hash});
    EXPECT_EQ(index_.find(tail->hash), nullptr);
    EXPECT_EQ(index_.next_nonce(stranger(1)), 2u);
    EXPECT_EQ(hashes(add(tx_of(4, 0, 10)).evicted), std::vector{middle->hash});
    EXPECT_EQ(refusal(tx_of(5, 0, 10)), PoolRefusal::full) << "only heads are left";
    EXPECT_EQ(pool_->size(), 4u);
}

TEST_F(PoolTest, FullPoolRefusesWhatPaysNoMore) {
    make({.transactions_max = 2});
    add(tx_of(1, 0, 5));
    add(tx_of(1, 1, 5));
    EXPECT_EQ(refusal(tx_of(2, 0, 5)), PoolRefusal::full);
    EXPECT_EQ(index_.next_nonce(stranger(2)), std::nullopt);
    add(tx_of(2, 0, 6));
}

TEST_F(PoolTest, QueuedTransactionsAreNoHeads) {
    make({.transactions_max = 1});
    const auto queued = tx_of(1, 3, 1);
    add(queued);
    EXPECT_EQ(hashes(add(tx_of(2, 0, 2)).evicted), std::vector{queued->hash});
    EXPECT_EQ(index_.next_nonce(stranger(1)), std::nullopt);
}

TEST_F(PoolTest, RefusedForSpaceCostsNobodyAPlace) {
    // A large one would need two places, and only one can be had.
    make({.transactions_max = 100, .bytes_max = 6000});
    const auto head = tx_of(1, 0, 1);
    const auto tail = tx_of(1, 1, 1);
    const auto rich = tx_of(2, 0, 100);
    for (const auto& t : {head, tail, rich}) { add(t); }
    const size_t bytes = pool_->bytes();
    EXPECT_EQ(refusal(tx_of(3, 0, 50, 1000, 21'000, 2000)), PoolRefusal::full);
    EXPECT_EQ(pool_->size(), 3u);
    EXPECT_EQ(pool_->bytes(), bytes);
    EXPECT_EQ(index_.find(tail->hash), tail);
}

TEST_F(PoolTest, ByteLimitHolds) {
    make({.transactions_max = 1000, .bytes_max = 20'000});
    for (uint64_t n = 0; n < 100; ++n) {
        (void)pool_->add(tx_of(1, n, 1, 1000, 21'000, 300), 0);
        ASSERT_LE(pool_->bytes(), 20'000u);
    }
    EXPECT_LT(pool_->size(), 20u);
}

TEST_F(PoolTest, NonceSetFromOutsideMovesTheChain) {
    add(tx_of(1, 0, 1));
    const auto one = tx_of(1, 1, 1);
    const auto five = tx_of(1, 5, 1);
    add(one);
    add(five);
    const auto gone = pool_->account_changed(stranger(1), 5);
    EXPECT_EQ(gone.size(), 2u);
    EXPECT_EQ(index_.find(one->hash), nullptr);
    EXPECT_EQ(index_.next_nonce(stranger(1)), 6u);
    EXPECT_EQ(drain(), std::vector{five->hash});
    add(tx_of(2, 3, 1), 3);
    EXPECT_TRUE(pool_->account_changed(stranger(2), 0).empty());
    EXPECT_EQ(pool_->next(~uint64_t{0}), nullptr) << "three nonces are missing now";
    EXPECT_TRUE(pool_->account_changed(stranger(7), 9).empty());
}

TEST_F(PoolTest, ClearForgetsEverything) {
    const auto a = tx_of(1, 0, 1);
    add(a);
    add(tx_of(2, 7, 1));
    EXPECT_EQ(pool_->clear().size(), 2u);
    EXPECT_EQ(pool_->size(), 0u);
    EXPECT_EQ(pool_->bytes(), 0u);
    EXPECT_EQ(index_.size(), 0u);
    EXPECT_EQ(pool_->next(~uint64_t{0}), nullptr);
    EXPECT_TRUE(add(a).executable);
}

TEST_F(PoolTest, IndexKeepsATransactionUntilItIsPublished) {
    const auto a = tx_of(1, 0, 1);
    const auto b = tx_of(1, 1, 1);
    add(a);
    add(b);
    EXPECT_EQ(index_.next_nonce(stranger(1)), 2u);
    pool_->executed(*a);
    EXPECT_EQ(index_.find(a->hash), a) << "executed, not yet durable";
    EXPECT_EQ(index_.next_nonce(stranger(1)), 2u);
    index_.remove(a->hash);
    EXPECT_EQ(index_.find(a->hash), nullptr);
    EXPECT_EQ(index_.next_nonce(stranger(1)), 2u) << "b is still pending";
    pool_->executed(*b);
    EXPECT_EQ(index_.next_nonce(stranger(1)), 2u);
    index_.remove(b->hash);
    EXPECT_EQ(index_.next_nonce(stranger(1)), std::nullopt) << "the state knows it now";
    EXPECT_EQ(index_.size(), 0u);
}

TEST_F(PoolTest, IndexKeepsTheNonceOfAnExecutedOneWhenTheNextIsDropped) {
    const auto a = tx_of(1, 0, 1);
    const auto b = tx_of(1, 1, 1);
    add(a);
    add(b);
    pool_->executed(*a);
    pool_->drop(*b);
    EXPECT_EQ(index_.next_nonce(stranger(1)), 1u);
    index_.remove(a->hash);
    EXPECT_EQ(index_.next_nonce(stranger(1)), std::nullopt);
}

TEST_F(PoolTest, IndexForgetsASenderWhoseOnlyTransactionIsDropped) {
    const auto a = tx_of(1, 0, 1);
    add(a);
    pool_->drop(*a);
    EXPECT_EQ(index_.next_nonce(stranger(1)), std::nullopt);
}

TEST_F(PoolTest, ReplacementMustFindRoomForItsBytes) {
    make({.transactions_max = 100, .bytes_max = 20'000});
    const auto small = tx_of(1, 0, 10);
    add(small);
    for (uint64_t s = 2; s < 10; ++s) { add(tx_of(s, 0, 5)); }
    EXPECT_EQ(refusal(tx_of(1, 0, 20, 2000, 2'000'000, 9'000)), PoolRefusal::full);
    EXPECT_EQ(index_.find(small->hash), small) << "a refused replacement leaves the old one";
    EXPECT_LE(pool_->bytes(), 20'000u);
    // With room it comes in, and chains that pay less make it.
    for (uint64_t n = 1; n < 5; ++n) { add(tx_of(2, n, 5)); }
    const auto larger = tx_of(1, 0, 20, 2000, 2'000'000, 3'000);
    EXPECT_FALSE(add(larger).evicted.empty());
    EXPECT_LE(pool_->bytes(), 20'000u);
    EXPECT_EQ(index_.find(larger->hash), larger);
}

TEST_F(PoolTest, WhatCannotRunNeverKeepsOutWhatCan) {
    make({.transactions_max = 8});
    std::vector<AdmittedPtr> gapped;
    for (uint64_t i = 0; i < 8; ++i) {
        const auto t = tx_of(1, 1 + i, 1'000'000, 2'000'000);
        if (pool_->add(t, 0)) { gapped.push_back(t); }
    }
    EXPECT_EQ(gapped.size(), 2u) << "a quarter of the pool";
    EXPECT_EQ(pool_->queued().size(), 2u);
    for (uint64_t s = 2; s < 10; ++s) {
        ASSERT_TRUE(pool_->add(tx_of(s, 0, 1), 0).has_value()) << "sender " << s;
    }
    EXPECT_TRUE(pool_->queued().empty()) << "gone, whatever they offered";
    EXPECT_EQ(index_.queued_count(), 0u);
    EXPECT_EQ(index_.executable_count(), 8u);
    // And one that waits does not take the place of one that can run.
    EXPECT_EQ(refusal(tx_of(1, 3, 1'000'000, 2'000'000)), PoolRefusal::full);
}

TEST_F(PoolTest, NewcomerDoesNotEvictWhatItStandsOn) {
    make({.transactions_max = 3});
    add(tx_of(1, 0, 1));
    add(tx_of(1, 1, 1));
    add(tx_of(1, 2, 1));
    EXPECT_EQ(refusal(tx_of(1, 3, 50)), PoolRefusal::full);
    EXPECT_EQ(pool_->executable_count(), 3u);
}

TEST_F(PoolTest, SenderWhoseNonceMovedIsBroughtUpToDate) {
    const auto one = tx_of(1, 1, 1);
    const auto two = tx_of(1, 2, 1);
    add(one);
    add(two);
    // By EIP-7702 the account is at 2 without a transaction of the pool.
    const auto three = tx_of(1, 3, 1);
    const Pool::Added added = add(three, 2);
    EXPECT_EQ(hashes(added.passed), std::vector{one->hash});
    EXPECT_TRUE(added.executable);
    EXPECT_EQ(drain(), (std::vector{two->hash, three->hash}));
    EXPECT_EQ(index_.find(one->hash), nullptr);
}

TEST_F(PoolTest, IndexFollowsANonceThatAnExecutedOneMovedFurther) {
    const auto a = tx_of(1, 0, 1);
    add(a);
    pool_->executed(*a);
    pool_->account_changed(stranger(1), 3);
    EXPECT_EQ(index_.next_nonce(stranger(1)), 3u);
}

}  // namespace
}  // namespace millrace::sequencer
