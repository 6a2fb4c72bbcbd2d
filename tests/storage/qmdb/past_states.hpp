// SPDX-License-Identifier: Apache-2.0
// Owns the comparison of earlier states, as a snapshot shows them, with the model of their height.
#pragma once

#include <algorithm>
#include <random>
#include <vector>

#include <gtest/gtest.h>

#include "storage/proof/state_multiproof.hpp"
#include "storage/proof/state_proof.hpp"
#include "storage/qmdb/snapshot.hpp"
#include "tests/storage/qmdb/engine_model.hpp"

namespace millrace::storage::qmdb {

/// What a snapshot says about an earlier state: values, root, and proofs of each key and of all.
inline void expect_past(const StateSnapshot& snapshot, const EngineModel& model,
                        const Hash256& root, uint64_t height, std::vector<Hash256> keys) {
    const StateVerifier verifier{kernels::NodeHash::blake3};
    ASSERT_EQ(snapshot.root_at(height).value(), root);
    std::ranges::sort(keys);
    keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
    for (const Hash256& key : keys) {
        const auto expected = model.get(key);
        uint64_t budget = 10'000;
        const auto value = snapshot.get_at(key, height, budget);
        ASSERT_TRUE(value) << value.error().message;
        ASSERT_EQ(*value, expected);
        const auto proof = snapshot.prove_at(key, height);
        ASSERT_TRUE(proof) << proof.error().message;
        const auto proven = verifier.verify(root, key, *proof);
        ASSERT_TRUE(proven) << proven.error().message;
        ASSERT_EQ(proven->has_value(), expected.has_value());
        if (expected) { ASSERT_TRUE(std::ranges::equal(**proven, *expected)); }
    }
    const auto proof = snapshot.prove_at(keys, height);
    ASSERT_TRUE(proof) << proof.error().message;
    const auto proven =
        StateMultiproofVerifier{kernels::NodeHash::blake3}.verify(root, keys, *proof);
    ASSERT_TRUE(proven) << proven.error().message;
    for (size_t i = 0; i < keys.size(); ++i) {
        const auto expected = model.get(keys[i]);
        ASSERT_EQ((*proven)[i].has_value(), expected.has_value());
        if (expected) { ASSERT_TRUE(std::ranges::equal(*(*proven)[i], *expected)); }
    }
}

/// Some keys of the model, some of older states, some that never were.
inline std::vector<Hash256> some_keys(const EngineModel& model, const std::vector<Hash256>& old,
                                      std::mt19937_64& random) {
    std::vector<Hash256> out{random_key(random), random_key(random)};
    for (int i = 0; i < 4; ++i) {
        if (const auto key = model.any_key(random)) { out.push_back(*key); }
        if (!old.empty()) { out.push_back(old[random() % old.size()]); }
    }
    return out;
}

}  // namespace millrace::storage::qmdb
