// SPDX-License-Identifier: Apache-2.0
// Owns the tests of proofs out of the running commitment `mpt`: whatever is asked and when, proofs
// verify, values are those of their block, and no root is another one for it.
#include <deque>

#include <gtest/gtest.h>

#include "host/sequencer/ledger/mpt_commitment.hpp"
#include "tests/storage/state_model.hpp"

namespace millrace::sequencer {
namespace {

using storage::StateDelta;
using storage::StateModel;

struct ClosedState {
    Hash256 root;
    std::shared_ptr<const storage::StateSnapshot> state;
};

/// A commitment that is asked for proofs, one that is not, and the state.
class Pair {
public:
    explicit Pair(const MptProofOptions& options)
        : asked(make_mpt_commitment(nullptr, options)), plain(make_mpt_commitment()) {
        close();
    }
    void apply(const StateDelta& delta) {
        ASSERT_TRUE(store->apply(++version, delta));
        storage::apply_delta(*asked, delta);
        storage::apply_delta(*plain, delta);
        model.apply(delta);
    }
    void close() {
        closed.push_back({plain->root(), store->snapshot()});
        ASSERT_EQ(asked->root(), closed.back().root);
    }
    Result<evm::Proof> prove(const ClosedState& at, const Address& address,
                             const std::vector<U256>& slots) {
        return account_prover(*asked)->prove(at.root, *at.state, address, slots);
    }

    std::unique_ptr<storage::StateCommitment> asked;
    std::unique_ptr<storage::StateCommitment> plain;
    std::unique_ptr<storage::StateStore> store = storage::make_memory_state_store();
    StateModel model;
    std::deque<ClosedState> closed;
    uint64_t version = 0;
};

void expect_proof(const ClosedState& at, const evm::Proof& proof, const Address& address,
                  const std::vector<U256>& slots) {
    const auto verified = evm::verify_proof(at.root, proof);
    ASSERT_TRUE(verified) << verified.error().message;
    const auto account = at.state->account(address);
    ASSERT_EQ(proof.exists, account.has_value());
    if (account) {
        EXPECT_EQ(proof.account.nonce, account->nonce);
        EXPECT_EQ(proof.account.balance, account->balance);
        EXPECT_EQ(proof.account.code_hash, account->code_hash);
    }
    ASSERT_EQ(proof.storage.size(), slots.size());
    for (size_t i = 0; i < slots.size(); ++i) {
        EXPECT_EQ(proof.storage[i].value, at.state->slot(address, slots[i]));
    }
}

/// Leaves storage where it is: there is a way back from such a delta.
bool takes_storage_away(const StateModel& model, const StateDelta& delta) {
    return std::ranges::any_of(delta.accounts, [&](const storage::AccountDelta& a) {
        const auto it = model.accounts.find(a.address);
        return (a.deleted || a.storage_wiped) && it != model.accounts.end() &&
               !it->second.slots.empty();
    });
}

struct Course {
    uint64_t seed;
    bool keeps_storage;
    MptProofOptions options;
};

void run(const Course& course) {
    std::mt19937_64 random{course.seed};
    Pair p{course.options};
    size_t proven = 0;
    size_t refused = 0;
    for (int step = 0; step < 600; ++step) {
        SCOPED_TRACE(step);
        StateDelta delta = random_delta(random, p.model, 30, 8, 10);
        while (course.keeps_storage && takes_storage_away(p.model, delta)) {
            delta = random_delta(random, p.model, 30, 8, 10);
        }
        ASSERT_NO_FATAL_FAILURE(p.apply(delta));
        if (random() % 4 == 0) { ASSERT_NO_FATAL_FAILURE(p.close()); }
        while (p.closed.size() > course.options.roots_max) { p.closed.pop_front(); }
        // Times without questions, times with many.
        const unsigned questions = step / 60 % 2 == 0 ? 0 : random() % 3;
        for (unsigned q = 0; q < questions; ++q) {
            const ClosedState& at =
                random() % 2 == 0 ? p.closed.back() : p.closed[random() % p.closed.size()];
            const Address address = storage::model_address(random() % 34);
            std::vector<U256> slots;
            for (unsigned i = 0; i < random() % 4; ++i) {
                slots.push_back(storage::model_key(random() % 9));
            }
            const auto proof = p.prove(at, address, slots);
            if (!proof) {
                ASSERT_EQ(proof.error().code, ErrorCode::unavailable) << proof.error().message;
                ++refused;
                continue;
            }
            ASSERT_NO_FATAL_FAILURE(expect_proof(at, *proof, address, slots));
            ++proven;
        }
    }
    ASSERT_NO_FATAL_FAILURE(p.close());
    EXPECT_GT(proven, 100u);
    if (course.keeps_storage && course.options.changes_max > 1000) { EXPECT_EQ(refused, 0u); }
}

TEST(MptProofs, VerifyForTheLastRootsWhateverFollowsThem) {
    run({1, true, {.share_of_time = 1}});
    run({2, true, {.share_of_time = 1}});
}

TEST(MptProofs, AreRefusedWhereThereIsNoWayBackAndNeverWrong) {
    run({3, false, {.share_of_time = 1}});
    run({4, false, {.roots_max = 3, .share_of_time = 1}});
}

TEST(MptProofs, FewRememberedChangesCostAnswersOnly) {
    run({5, true, {.roots_max = 4, .changes_max = 60, .share_of_time = 1}});
    run({6, false, {.roots_max = 4, .changes_max = 20, .share_of_time = 1}});
}

TEST(MptProofs, GoingBackToOlderRootsHasAShareOfTheTime) {
    std::mt19937_64 random{7};
    Pair p{{.share_of_time = 1'000'000'000}};
    for (int i = 0; i < 3; ++i) {
        StateDelta delta;
        do {
            delta = random_delta(random, p.model, 30, 8, 10);
        } while (delta.slots.empty() || takes_storage_away(p.model, delta));
        ASSERT_NO_FATAL_FAILURE(p.apply(delta));
        ASSERT_NO_FATAL_FAILURE(p.close());
    }
    const Address address = storage::model_address(1);
    const ClosedState& older = p.closed[p.closed.size() - 2];
    ASSERT_TRUE(p.prove(older, address, {}));
    EXPECT_EQ(p.prove(older, address, {}).error().code, ErrorCode::limit);
    const auto newest = p.prove(p.closed.back(), address, {});
    ASSERT_TRUE(newest) << newest.error().message;
    ASSERT_NO_FATAL_FAILURE(expect_proof(p.closed.back(), *newest, address, {}));
}

TEST(MptProofs, AWrongStateForTheRootIsNoticed) {
    std::mt19937_64 random{8};
    Pair p{{.share_of_time = 1}};
    const auto step = [&] {
        StateDelta delta;
        do {
            delta = random_delta(random, p.model, 30, 8, 10);
        } while (delta.slots.empty() || takes_storage_away(p.model, delta));
        ASSERT_NO_FATAL_FAILURE(p.apply(delta));
    };
    for (int i = 0; i < 5; ++i) { ASSERT_NO_FATAL_FAILURE(step()); }
    ASSERT_NO_FATAL_FAILURE(p.close());
    for (int i = 0; i < 5; ++i) { ASSERT_NO_FATAL_FAILURE(step()); }
    ClosedState mixed = p.closed.back();
    mixed.state = p.store->snapshot();
    EXPECT_EQ(p.prove(mixed, storage::model_address(1), {}).error().code, ErrorCode::internal);
    const auto right = p.prove(p.closed.back(), storage::model_address(1), {});
    ASSERT_TRUE(right) << right.error().message;
    ASSERT_NO_FATAL_FAILURE(p.close());
}

TEST(MptProofs, AnUnknownRootHasNone) {
    Pair p{{}};
    Hash256 root;
    root[0] = 1;
    const ClosedState other{root, p.store->snapshot()};
    EXPECT_EQ(p.prove(other, storage::model_address(1), {}).error().code, ErrorCode::unavailable);
}

}  // namespace
}  // namespace millrace::sequencer
