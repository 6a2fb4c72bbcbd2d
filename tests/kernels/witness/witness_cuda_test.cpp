// SPDX-License-Identifier: Apache-2.0
// Owns the tests of witness checks on a CUDA device; without one they skip with the reason.
#include <gtest/gtest.h>

#include <random>
#include <thread>

#include "tests/kernels/witness/naive_witness.hpp"

namespace millrace::kernels {
namespace {

using test::NaiveTree;
using test::node_hashes;

class WitnessCuda : public testing::Test {
protected:
    void SetUp() override {
        const BackendStatus status = witness_backend_status(Backend::cuda);
        if (!status.available) { GTEST_SKIP() << "no CUDA: " << status.reason; }
    }
};

/// Paths with a wrong one among them now and then: the device and the scalar back end agree.
void expect_paths_agree(std::mt19937_64& random, NodeHash hash, unsigned height, size_t count) {
    const NaiveTree tree =
        test::random_tree(random, hash, height, test::random_indices(random, height, 8));
    // Recursion is slow: a few true paths are taken over and over.
    std::vector<uint64_t> indices(32);
    std::vector<std::vector<Hash256>> true_siblings;
    for (uint64_t& index : indices) {
        index = random() & ((uint64_t{1} << height) - 1);
        true_siblings.push_back(tree.path(index));
    }
    std::vector<std::vector<Hash256>> siblings(count);
    std::vector<ProofPath> paths(count);
    for (size_t i = 0; i < count; ++i) {
        const uint64_t index = indices[i % indices.size()];
        siblings[i] = true_siblings[i % indices.size()];
        if (random() % 8 == 0) { siblings[i].resize(random() % 70); }
        if (random() % 8 == 0 && !siblings[i].empty()) { siblings[i].back()[3] ^= 1; }
        paths[i] = {tree.leaf(index), index ^ uint64_t{random() % 8 == 0}, siblings[i]};
    }
    std::vector<PathVerdict> expected(count);
    std::vector<PathVerdict> got(count);
    ASSERT_TRUE(check_paths(Backend::scalar, hash, height, tree.root(), paths, expected));
    const auto done = check_paths(Backend::cuda, hash, height, tree.root(), paths, got);
    ASSERT_TRUE(done.has_value()) << done.error().message;
    ASSERT_EQ(expected, got);
}

TEST_F(WitnessCuda, PathsAgreeAtEveryCountAndHeight) {
    std::mt19937_64 random(1);
    for (const NodeHash hash : node_hashes) {
        for (const unsigned height : {0u, 1u, 5u, 33u, 63u}) {
            for (const size_t count : {0u, 1u, 31u, 33u, 127u, 128u, 129u, 1000u}) {
                expect_paths_agree(random, hash, height, count);
            }
        }
    }
}

TEST_F(WitnessCuda, MoreThanOneLaunchOfPathsAgrees) {
    std::mt19937_64 random(2);
    expect_paths_agree(random, NodeHash::blake3, 63, 40'000);
    expect_paths_agree(random, NodeHash::blake3, 1, 300'000);
}

void expect_sweep_agrees(std::mt19937_64& random, NodeHash hash, unsigned height, size_t count) {
    // Any hashes are leaves and siblings of some tree.
    const auto indices = test::random_indices(random, height, count);
    const auto needed = multiproof_sibling_count(height, indices);
    ASSERT_TRUE(needed.has_value());
    const auto random_nodes = [&](size_t nodes) {
        std::vector<Hash256> made(nodes);
        for (Hash256& node : made) { node = test::random_hash(random); }
        return made;
    };
    const auto before = random_nodes(indices.size());
    const auto after = random_nodes(indices.size());
    const auto siblings = random_nodes(*needed);
    MultiproofSweep sweep(hash, height);
    const auto expected = sweep.roots(Backend::scalar, indices, before, after, siblings);
    const auto got = sweep.roots(Backend::cuda, indices, before, after, siblings);
    ASSERT_TRUE(got.has_value()) << got.error().message;
    ASSERT_EQ(*expected, *got);
    ASSERT_EQ(expected->before, *sweep.root(Backend::cuda, indices, before, siblings));
}

TEST_F(WitnessCuda, SweepsAgreeAtEveryCountAndHeight) {
    std::mt19937_64 random(3);
    for (const NodeHash hash : node_hashes) {
        for (const unsigned height : {0u, 1u, 5u, 33u, 63u}) {
            for (const size_t count : {1u, 31u, 33u, 127u, 129u, 1000u}) {
                expect_sweep_agrees(random, hash, height, count);
            }
        }
        expect_sweep_agrees(random, hash, 33, 100'000);
    }
}

TEST_F(WitnessCuda, ManyThreadsTakeTurns) {
    std::vector<std::jthread> threads;
    for (uint64_t seed = 0; seed < 4; ++seed) {
        threads.emplace_back([seed] {
            std::mt19937_64 random(seed);
            for (size_t i = 0; i < 10; ++i) {
                expect_sweep_agrees(random, NodeHash::keccak256, 20, 100 * (i + 1));
                expect_paths_agree(random, NodeHash::sha256, 10, 100);
            }
        });
    }
}

}  // namespace
}  // namespace millrace::kernels
