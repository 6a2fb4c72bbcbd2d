// SPDX-License-Identifier: Apache-2.0
// Owns the suite that every state commitment has to pass together with the state store. Instantiate
// it with a factory: INSTANTIATE_TEST_SUITE_P(Mpt, StateStoreSuite, ::testing::Values(..)).
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <gtest/gtest.h>

#include "storage/state/checkpoint.hpp"
#include "storage/state/commitment.hpp"
#include "tests/storage/simulated_disk.hpp"
#include "tests/storage/state_model.hpp"

namespace millrace::storage {

/// How to make an empty commitment, and the root that it then has to have (when it is known).
struct CommitmentCase {
    std::string name;
    std::function<std::unique_ptr<StateCommitment>()> make;
    std::optional<Hash256> empty_root;
};

inline void PrintTo(const CommitmentCase& c, std::ostream* out) { *out << c.name; }

class StateStoreSuite : public ::testing::TestWithParam<CommitmentCase> {
protected:
    static constexpr uint64_t seeds = 6;

    static std::unique_ptr<StateCommitment> commitment() { return GetParam().make(); }

    static Hash256 root_of(const StateModel& model) {
        const auto c = commitment();
        model.feed(*c);
        return c->root();
    }
    static Hash256 root_of(const StateSnapshot& snapshot) {
        const auto c = commitment();
        load_commitment(*c, snapshot);
        return c->root();
    }
};

TEST_P(StateStoreSuite, EmptyStateHasTheEmptyRoot) {
    const auto store = make_memory_state_store();
    EXPECT_EQ(root_of(*store->snapshot()), root_of(StateModel{}));
    if (GetParam().empty_root) { EXPECT_EQ(root_of(StateModel{}), *GetParam().empty_root); }
}

TEST_P(StateStoreSuite, RootDependsOnEveryFieldButIncarnation) {
    const Address address = model_address(1);
    const Hash256 code_hash = kernels::keccak256_of_empty;
    const auto root_with = [&](uint64_t nonce, U256 balance, Hash256 code, U256 key, U256 value) {
        const auto c = commitment();
        c->set_account(address, nonce, balance, code);
        c->set_slot(address, key, value);
        return c->root();
    };
    std::vector<Hash256> roots{root_of(StateModel{})};
    roots.push_back(root_with(1, 2, code_hash, 3, 4));
    roots.push_back(root_with(2, 2, code_hash, 3, 4));
    roots.push_back(root_with(1, 3, code_hash, 3, 4));
    roots.push_back(root_with(1, 2, kernels::keccak256(as_bytes("code")), 3, 4));
    roots.push_back(root_with(1, 2, code_hash, 5, 4));
    roots.push_back(root_with(1, 2, code_hash, 3, 5));
    roots.push_back(root_with(1, 2, code_hash, 3, 0));
    std::sort(roots.begin(), roots.end());
    EXPECT_EQ(std::adjacent_find(roots.begin(), roots.end()), roots.end());
}

TEST_P(StateStoreSuite, IncrementalRootEqualsTheRootComputedAnew) {
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        std::mt19937_64 random{seed};
        const auto store = make_memory_state_store();
        const auto c = commitment();
        StateModel model;
        for (uint64_t version = 1; version <= 60; ++version) {
            const StateDelta d = random_delta(random, model);
            model.apply(d);
            ASSERT_TRUE(store->apply(version, d).has_value());
            apply_delta(*c, d);
            if (version % 4 == 0) {
                ASSERT_EQ(c->root(), root_of(model)) << "version " << version;
                ASSERT_EQ(c->root(), root_of(*store->snapshot())) << "version " << version;
            }
        }
    }
}

TEST_P(StateStoreSuite, RootIsIndependentOfTheCuts) {
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        std::mt19937_64 random{seed};
        StateModel model;
        const auto fine = commitment();
        const auto coarse = commitment();
        StateDelta merged;
        for (int i = 0; i < 40; ++i) {
            const StateDelta d = random_delta(random, model);
            model.apply(d);
            apply_delta(*fine, d);
            merged = merge(merged, d);
            if (random() % 5 == 0) {
                apply_delta(*coarse, merged);
                merged = {};
                ASSERT_EQ(fine->root(), coarse->root());
            }
        }
        apply_delta(*coarse, merged);
        EXPECT_EQ(fine->root(), coarse->root());
    }
}

TEST_P(StateStoreSuite, RollingBackRestoresStateAndRoot) {
    for (uint64_t seed = 1; seed <= seeds; ++seed) {
        SCOPED_TRACE("seed " + std::to_string(seed));
        std::mt19937_64 random{seed};
        const auto store = make_memory_state_store();
        const auto c = commitment();
        std::map<uint64_t, StateModel> history{{0, {}}};
        uint64_t version = 0;
        for (int step = 0; step < 60; ++step) {
            if (random() % 6 == 0) {
                const uint64_t target = random() % (version + 1);
                const auto delta = store->rollback_to(target, version + 1);
                ASSERT_TRUE(delta.has_value()) << delta.error().message;
                apply_delta(*c, *delta);
                history[version + 1] = history.at(target);
                ++version;
            } else {
                StateModel next = history.at(version);
                const StateDelta d = random_delta(random, next);
                next.apply(d);
                ASSERT_TRUE(store->apply(version + 1, d).has_value());
                apply_delta(*c, d);
                history[++version] = next;
            }
            ASSERT_EQ(StateModel::of(*store->snapshot()), history.at(version));
            ASSERT_EQ(c->root(), root_of(history.at(version))) << "version " << version;
        }
    }
}

TEST_P(StateStoreSuite, CheckpointGivesTheSameStateAndRoot) {
    std::mt19937_64 random{7};
    SimulatedDisk disk;
    const auto store = make_memory_state_store();
    StateModel model;
    for (uint64_t version = 1; version <= 80; ++version) {
        const StateDelta d = random_delta(random, model);
        model.apply(d);
        ASSERT_TRUE(store->apply(version, d).has_value());
    }
    const auto snapshot = store->snapshot();
    CheckpointMetadata metadata;
    metadata.sequence = 80;
    metadata.state_root = root_of(*snapshot);
    ASSERT_TRUE(write_checkpoint(disk, "/d", *snapshot, metadata).has_value());
    const auto restored = make_memory_state_store();
    const auto loaded = load_checkpoint(disk, "/d", *restored);
    ASSERT_TRUE(loaded.has_value() && loaded->has_value());
    EXPECT_EQ((*loaded)->metadata, metadata);
    EXPECT_EQ(restored->version(), 80u);
    EXPECT_EQ(StateModel::of(*restored->snapshot()), model);
    EXPECT_EQ(root_of(*restored->snapshot()), metadata.state_root);
    EXPECT_EQ(metadata.state_root, root_of(model));
}

}  // namespace millrace::storage
