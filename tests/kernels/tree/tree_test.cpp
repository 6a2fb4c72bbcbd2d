// SPDX-License-Identifier: Apache-2.0
// Owns the tests of rehashing Merkle trees: every hash, back end and vector target against
// recursion.
#include "kernels/tree/tree.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include <algorithm>
#include <random>

#include "kernels/blake3/blake3_batch.hpp"
#include "kernels/keccak/keccak_batch.hpp"
#include "kernels/sha256/detail/backends.hpp"
#include "kernels/sha256/sha256_batch.hpp"
#include "tests/kernels/batch/batch_checks.hpp"
#include "tests/kernels/tree/reference_tree.hpp"

namespace millrace::kernels {
namespace {

using test::random_hash;
using test::reference_hash;
using test::reference_root;
constexpr auto& hashes = test::node_hashes;

/// Trees of one height and the leaves that were written since they were hashed.
struct Forest {
    unsigned height;
    std::vector<std::vector<Hash256>> trees;
    std::vector<DirtyLeaf> dirty;

    Forest(NodeHash hash, unsigned tree_height, size_t count)
        : height(tree_height), trees(count, std::vector<Hash256>(tree_nodes(tree_height))) {
        for (std::vector<Hash256>& tree : trees) {
            fill_uniform(hash, Hash256{{0x11}}, height, tree);
        }
    }
    void write(uint32_t tree, uint32_t leaf, const Hash256& value) {
        trees[tree][tree_leaf(height, leaf)] = value;
        dirty.push_back({tree, leaf});
    }
    void write_some(std::mt19937_64& random, size_t count) {
        for (size_t i = 0; i < count && !trees.empty(); ++i) {
            write(static_cast<uint32_t>(random() % trees.size()),
                  static_cast<uint32_t>(random() % (size_t{1} << height)), random_hash(random));
        }
        std::sort(dirty.begin(), dirty.end());
    }
    Result<void> rehash(TreeHasher& hasher, Backend backend) {
        std::vector<Hash256*> nodes;
        for (std::vector<Hash256>& tree : trees) { nodes.push_back(tree.data()); }
        const Result<void> done = hasher.rehash(backend, nodes, dirty);
        if (done.has_value()) { dirty.clear(); }
        return done;
    }
    std::span<const Hash256> leaves(size_t tree) const {
        return std::span(trees[tree]).subspan(size_t{1} << height);
    }
};

/// Every node is the hash of its children, by the reference.
void expect_consistent(NodeHash hash, const std::vector<Hash256>& tree) {
    for (size_t node = 1; node < tree.size() / 2; ++node) {
        Bytes message(tree[2 * node].begin(), tree[2 * node].end());
        message.insert(message.end(), tree[2 * node + 1].begin(), tree[2 * node + 1].end());
        ASSERT_EQ(reference_hash(hash, message), tree[node]) << "node " << node;
    }
}

test::HashUnderTest batch_of(NodeHash hash) {
    switch (hash) {
        case NodeHash::keccak256:
            return {keccak256_batch, keccak256_batch, keccak_backend_status, {}};
        case NodeHash::sha256: return {sha256_batch, sha256_batch, sha256_backend_status, {}};
        case NodeHash::blake3: return {blake3_batch, blake3_batch, blake3_backend_status, {}};
    }
    return {};
}

TEST(Tree, UniformTreesAreConsistent) {
    for (const NodeHash hash : hashes) {
        for (unsigned height = 0; height <= 6; ++height) {
            const Forest forest(hash, height, 1);
            expect_consistent(hash, forest.trees[0]);
            EXPECT_EQ(reference_root(hash, forest.leaves(0)), forest.trees[0][1]);
            EXPECT_EQ(forest.trees[0][1], uniform_roots(hash, Hash256{{0x11}}, height).back());
        }
    }
}

TEST(Tree, TwigsAgreeOnEveryBackEndAndTarget) {
    // Twigs as the state engine has them: some full of new leaves, some with a few, one with none.
    for (const NodeHash hash : hashes) {
        SCOPED_TRACE(to_string(hash));
        std::mt19937_64 random(4);
        Forest forest(hash, 11, 4);
        for (uint32_t leaf = 0; leaf < 2048; ++leaf) { forest.write(0, leaf, random_hash(random)); }
        for (uint32_t leaf = 100; leaf < 130; ++leaf) {
            forest.write(1, leaf, random_hash(random));
        }
        forest.write(3, 2047, random_hash(random));
        TreeHasher hasher(hash, 11);
        Forest expected = forest;
        ASSERT_TRUE(expected.rehash(hasher, Backend::scalar).has_value());
        for (size_t t = 0; t < expected.trees.size(); ++t) {
            expect_consistent(hash, expected.trees[t]);
            EXPECT_EQ(reference_root(hash, expected.leaves(t)), expected.trees[t][1]);
        }
        detail::sha256_simd_use(detail::Sha256Units::lanes);
        const std::set<std::string> seen = test::on_every_target(batch_of(hash), [&] {
            Forest simd = forest;
            ASSERT_TRUE(simd.rehash(hasher, Backend::simd).has_value());
            ASSERT_EQ(expected.trees, simd.trees);
        });
        test::expect_usual_targets(seen);
        detail::sha256_simd_use(detail::Sha256Units::automatic);
        Forest simd = forest;
        ASSERT_TRUE(simd.rehash(hasher, Backend::simd).has_value());
        EXPECT_EQ(expected.trees, simd.trees);
    }
}

RC_GTEST_PROP(Tree, AnySequenceOfWritesGivesTheReferenceRoots, ()) {
    const NodeHash hash = hashes[*rc::gen::inRange<size_t>(0, 3)];
    const unsigned height = *rc::gen::inRange(0u, 7u);
    const size_t count = *rc::gen::inRange<size_t>(0, 6);
    std::mt19937_64 random(*rc::gen::arbitrary<uint64_t>());
    Forest forest(hash, height, count);
    TreeHasher hasher(hash, height);
    for (int round = 0; round < 3; ++round) {
        forest.write_some(random, random() % 40);
        const Backend backend = random() % 2 == 0 ? Backend::scalar : Backend::simd;
        RC_ASSERT(forest.rehash(hasher, backend).has_value());
        for (size_t t = 0; t < count; ++t) {
            RC_ASSERT(reference_root(hash, forest.leaves(t)) == forest.trees[t][1]);
        }
    }
}

TEST(Tree, OnlyNodesAboveDirtyLeavesAreWritten) {
    std::mt19937_64 random(6);
    Forest forest(NodeHash::blake3, 4, 2);
    forest.write(1, 5, random_hash(random));
    // A mark in every inner node shows which ones are hashed.
    for (std::vector<Hash256>& tree : forest.trees) {
        std::fill_n(tree.begin(), 16, Hash256{{0xee}});
    }
    TreeHasher hasher(NodeHash::blake3, 4);
    ASSERT_TRUE(forest.rehash(hasher, Backend::simd).has_value());
    for (size_t node = 0; node < 16; ++node) {
        const bool above = node == 21 / 2 || node == 21 / 4 || node == 21 / 8 || node == 21 / 16;
        EXPECT_EQ(!above, forest.trees[1][node] == Hash256{{0xee}}) << node;
        EXPECT_EQ(Hash256{{0xee}}, forest.trees[0][node]) << node;
    }
}

TEST(Tree, RepeatedDirtyLeavesAreTakenOnce) {
    std::mt19937_64 random(7);
    for (const NodeHash hash : hashes) {
        Forest forest(hash, 5, 3);
        for (int i = 0; i < 3; ++i) { forest.write(2, 9, random_hash(random)); }
        TreeHasher hasher(hash, 5);
        ASSERT_TRUE(forest.rehash(hasher, Backend::simd).has_value());
        EXPECT_EQ(reference_root(hash, forest.leaves(2)), forest.trees[2][1]);
    }
}

TEST(Tree, RefusesWrongLeavesBeforeItWrites) {
    Forest forest(NodeHash::sha256, 3, 2);
    TreeHasher hasher(NodeHash::sha256, 3);
    const Forest before = forest;
    const std::vector<DirtyLeaf> wrong[] = {
        {{0, 8}}, {{2, 0}}, {{0, 3}, {0, 2}}, {{1, 0}, {0, 7}}, {{0, 0}, {UINT32_MAX, 0}}};
    for (const std::vector<DirtyLeaf>& dirty : wrong) {
        forest.dirty = dirty;
        const Result<void> done = forest.rehash(hasher, Backend::simd);
        ASSERT_FALSE(done.has_value());
        EXPECT_EQ(ErrorCode::invalid_input, done.error().code);
        EXPECT_EQ(before.trees, forest.trees);
    }
}

TEST(Tree, CudaAgreesOrSaysWhyNot) {
    for (const NodeHash hash : hashes) {
        std::mt19937_64 random(8);
        Forest forest(hash, 11, 3);
        forest.write_some(random, 3000);
        Forest expected = forest;
        TreeHasher hasher(hash, 11);
        ASSERT_TRUE(expected.rehash(hasher, Backend::scalar).has_value());
        const Result<void> done = forest.rehash(hasher, Backend::cuda);
        if (batch_of(hash).status(Backend::cuda).available) {
            ASSERT_TRUE(done.has_value()) << done.error().message;
        } else {
            ASSERT_FALSE(done.has_value());
            EXPECT_EQ(ErrorCode::unavailable, done.error().code);
            // The same call on another back end goes on from there.
            ASSERT_TRUE(forest.rehash(hasher, Backend::simd).has_value());
        }
        EXPECT_EQ(expected.trees, forest.trees);
    }
}

}  // namespace
}  // namespace millrace::kernels
