// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the order in which transactions are admitted when their recoveries end in
// another one.
#include "tests/host/sequencer/sequencer_fixture.hpp"

namespace millrace::sequencer {
namespace {

using namespace test;

/// Takes places as submit does, and lets the recoveries end in the order that the test says.
class IngressOrderTest : public SequencerTest {
protected:
    struct Submission {
        Sequencer::Place place;
        AdmittedPtr tx;
        std::future<Node::Admitted> answer;
        std::shared_ptr<std::promise<Node::Admitted>> promise =
            std::make_shared<std::promise<Node::Admitted>>();
    };
    Submission submit(uint64_t key, uint64_t nonce) {
        Submission s;
        s.tx = admitted(key, transfer_transaction(nonce, stranger(1), U256{1}));
        s.place =
            node->sequencer->take_place(s.tx->raw.size(), IngressGate::Lane::ordinary).value();
        s.answer = s.promise->get_future();
        return s;
    }
    void arrive(Submission& s) {
        node->sequencer->arrive(s.place, s.tx, [promise = s.promise](Node::Admitted r) {
            promise->set_value(std::move(r));
        });
    }
    static Node::Admitted answer_of(Submission& s) {
        EXPECT_EQ(s.answer.wait_for(patience), std::future_status::ready);
        return s.answer.get();
    }
    static bool is_answered(Submission& s) {
        return s.answer.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
    }
    /// All that arrived before has been looked at.
    void settle() { ASSERT_OK(node->sequencer->pool_content()); }

    std::unique_ptr<Node> node = start();
};

TEST_F(IngressOrderTest, OneSendersTransactionsAreAdmittedInTheOrderOfTheirSubmission) {
    constexpr uint64_t count = 300;  // far more than may wait behind a missing nonce
    std::vector<Submission> all;
    for (uint64_t nonce = 0; nonce < count; ++nonce) { all.push_back(submit(0, nonce)); }
    for (uint64_t i = count; i-- > 0;) { arrive(all[i]); }
    for (uint64_t nonce = 0; nonce < count; ++nonce) {
        const auto r = answer_of(all[nonce]);
        ASSERT_TRUE(r.has_value()) << nonce << ": " << to_string(r.error());
        EXPECT_TRUE(r->executable) << nonce;
    }
    ASSERT_TRUE(node->wait(all.back().tx->hash));
    EXPECT_EQ(node->balance(stranger(1)), U256{count});
}

TEST_F(IngressOrderTest, ASlowRecoveryHoldsUpNobodyElse) {
    Submission slow = submit(0, 0);
    std::vector<Submission> others;
    for (uint64_t nonce = 0; nonce < 100; ++nonce) { others.push_back(submit(1, nonce)); }
    // Out of order, but their own predecessors come: the slow one is of no interest.
    for (size_t i = others.size(); i-- > 0;) { arrive(others[i]); }
    for (Submission& s : others) {
        const auto r = answer_of(s);
        ASSERT_TRUE(r.has_value());
        EXPECT_TRUE(r->executable);
    }
    EXPECT_FALSE(is_answered(slow));
    arrive(slow);
    EXPECT_TRUE(answer_of(slow).has_value());
}

TEST_F(IngressOrderTest, WhatLacksANonceWaitsForTheSubmissionsBeforeItAndNoLonger) {
    Submission before = submit(1, 0);
    Submission early = submit(0, 1);  // its nonce 0 does not come
    Submission after = submit(2, 0);
    arrive(early);
    settle();
    EXPECT_FALSE(is_answered(early)) << "the first could be the one that it lacks";
    arrive(before);
    const auto r = answer_of(early);
    ASSERT_TRUE(r.has_value());
    EXPECT_FALSE(r->executable);
    EXPECT_EQ(r->expected_nonce, 0u);
    EXPECT_FALSE(is_answered(after));
    arrive(after);
    EXPECT_TRUE(answer_of(after).has_value());
}

TEST_F(IngressOrderTest, ASubmissionThatIsGivenUpIsNotWaitedFor) {
    Submission invalid = submit(0, 0);
    Submission next = submit(0, 1);
    Submission far = submit(0, 66);
    arrive(far);
    arrive(next);
    settle();
    EXPECT_FALSE(is_answered(next));
    node->sequencer->give_up(invalid.place);
    const auto r = answer_of(next);
    ASSERT_TRUE(r.has_value());
    EXPECT_FALSE(r->executable);
    const auto refused = answer_of(far);
    ASSERT_FALSE(refused.has_value());
    EXPECT_EQ(refused.error().pool, PoolRefusal::nonce_too_far);
}

TEST_F(IngressOrderTest, AHeldOneThatIsRefusedLetsTheOthersGoOn) {
    Submission first = submit(0, 0);
    Submission costly = submit(0, 1);
    auto without_money = *costly.tx;
    without_money.transaction.value = U256{5'000} * ether;
    costly.tx = std::make_shared<const AdmittedTransaction>(std::move(without_money));
    Submission again = submit(0, 1);
    Submission last = submit(0, 2);
    arrive(last);
    arrive(again);
    arrive(costly);
    settle();
    EXPECT_FALSE(is_answered(costly));
    arrive(first);
    EXPECT_TRUE(answer_of(first).has_value());
    EXPECT_FALSE(answer_of(costly).has_value());
    EXPECT_TRUE(answer_of(again).has_value());
    const auto r = answer_of(last);
    ASSERT_TRUE(r.has_value());
    EXPECT_TRUE(r->executable);
}

TEST_F(IngressOrderTest, StopAnswersWhatIsHeld) {
    Submission missing = submit(0, 0);
    Submission held = submit(0, 1);
    arrive(held);
    settle();
    node->stop();
    const auto r = answer_of(held);
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error().kind, Refusal::Kind::stopping);
    arrive(missing);
    EXPECT_EQ(answer_of(missing).error().kind, Refusal::Kind::stopping);
}

TEST_F(IngressOrderTest, ABatchOfOneSenderGoesThroughRecoveryUnharmed) {
    constexpr uint64_t count = 1'000;
    std::vector<Bytes> raw;
    for (uint64_t nonce = 0; nonce < count; ++nonce) {
        raw.push_back(raw_signed(3, transfer_transaction(nonce, stranger(2), U256{1})));
    }
    std::vector<std::future<Node::Admitted>> answers;
    for (Bytes& bytes : raw) { answers.push_back(node->submit(std::move(bytes))); }
    for (auto& a : answers) {
        ASSERT_EQ(a.wait_for(patience), std::future_status::ready);
        const auto r = a.get();
        ASSERT_TRUE(r.has_value()) << to_string(r.error());
        EXPECT_TRUE(r->executable);
    }
}

TEST_F(SequencerTest, EveryStageTellsDepthAgeAndDrops) {
    SequencerOptions options = quick_options();
    options.pool.transactions_max = 70;
    auto n = start(options);
    const auto stage = [&](std::string_view name) {
        return metrics::StageFigures(n->registry_, name);
    };
    Hash256 last;
    for (uint64_t nonce = 0; nonce < 64; ++nonce) {  // four of them are timed
        const auto a = n->send(0, transfer_transaction(nonce, stranger(1), U256{1}));
        ASSERT_TRUE(a.has_value());
        last = a->hash;
    }
    ASSERT_TRUE(n->wait(last));
    for (const char* name : {"ingress", "recovery", "pool", "execution"}) {
        SCOPED_TRACE(name);
        EXPECT_GE(stage(name).age.count(), 4u);
        EXPECT_LT(stage(name).age.count(), 64u);
        EXPECT_EQ(stage(name).drops.value(), 0u);
        EXPECT_TRUE(eventually([&] { return stage(name).depth.value() == 0; }));
    }
    EXPECT_TRUE(eventually(
        [&] { return stage("commit").age.count() == n->recorder.mini_blocks().size(); }));
    // Two that wait, and as many more as the pool has room for.
    for (uint64_t key = 1; key <= 9; ++key) {
        for (uint64_t i = 0; i < 8; ++i) {
            const auto a = n->send(key, transfer_transaction(1 + i, stranger(1), U256{1}));
            if (!a) { EXPECT_NE(a.error().retry_after_ms, 0u); }
        }
    }
    const auto waiting = static_cast<int64_t>(n->sequencer->pool_counts().second);
    EXPECT_GT(waiting, 0);
    EXPECT_TRUE(eventually([&] { return stage("pool").depth.value() == waiting; }));
    EXPECT_GT(stage("ingress").drops.value() + stage("pool").drops.value(), 0u);
}

}  // namespace
}  // namespace millrace::sequencer
