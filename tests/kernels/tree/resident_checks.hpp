// SPDX-License-Identifier: Apache-2.0
// Owns the comparison of a resident tree with the reference, for every back end.
#pragma once

#include <gtest/gtest.h>

#include "kernels/tree/resident_tree.hpp"
#include "tests/kernels/tree/reference_tree.hpp"

namespace millrace::test {

inline constexpr Hash256 first_leaf{{0x11}};

struct Writes {
    std::vector<uint32_t> leaves;
    std::vector<Hash256> values;

    void add(uint32_t leaf, const Hash256& value) {
        leaves.push_back(leaf);
        values.push_back(value);
    }
};

/// Any leaves in any order, with repeats; now and then sorted, or all in one small subtree.
inline Writes random_writes(std::mt19937_64& random, unsigned height, size_t count) {
    Writes writes;
    const uint32_t spread = uint32_t{1} << (random() % (height + 1));
    const uint32_t first = static_cast<uint32_t>(random() % ((size_t{1} << height) / spread));
    for (size_t i = 0; i < count; ++i) {
        writes.leaves.push_back(first * spread + static_cast<uint32_t>(random() % spread));
        writes.values.push_back(random_hash(random));
    }
    if (random() % 3 == 0) { std::sort(writes.leaves.begin(), writes.leaves.end()); }
    return writes;
}

inline kernels::ResidentTreeOptions resident_options(kernels::NodeHash hash, unsigned height,
                                                     size_t writes_max) {
    return {.hash = hash,
            .height = height,
            .writes_max = writes_max,
            .report_changes = true,
            .leaf = first_leaf};
}

/// One update of both, whose root, changes and their order must agree.
inline void expect_same_update(kernels::ResidentTree& tree, ReferenceTree& reference,
                               const Writes& writes) {
    const std::vector<uint32_t> places = reference.update(writes.leaves, writes.values);
    const Result<kernels::TreeChanges> changes = tree.update(writes.leaves, writes.values);
    ASSERT_TRUE(changes.has_value()) << changes.error().message;
    EXPECT_EQ(reference.root(), changes->root);
    EXPECT_EQ(reference.root(), tree.root());
    if (!tree.options().report_changes) {
        EXPECT_TRUE(changes->nodes.empty() && changes->hashes.empty());
        return;
    }
    ASSERT_EQ(places, std::vector<uint32_t>(changes->nodes.begin(), changes->nodes.end()));
    ASSERT_EQ(places.size(), changes->hashes.size());
    for (size_t i = 0; i < places.size(); ++i) {
        ASSERT_EQ(reference[places[i]], changes->hashes[i]) << "node " << places[i];
    }
}

inline void expect_same_nodes(kernels::ResidentTree& tree, const ReferenceTree& reference) {
    std::vector<Hash256> nodes(reference.nodes().size() - 1);
    ASSERT_TRUE(tree.read(1, nodes).has_value());
    EXPECT_TRUE(std::equal(nodes.begin(), nodes.end(), reference.nodes().begin() + 1));
}

/// Opens a tree, e.g. on one back end.
using OpenTree = Result<kernels::ResidentTree> (*)(const kernels::ResidentTreeOptions& options);

inline kernels::ResidentTree opened(OpenTree open, const kernels::ResidentTreeOptions& options) {
    Result<kernels::ResidentTree> tree = open(options);
    EXPECT_TRUE(tree.has_value()) << tree.error().message;
    return std::move(tree).value();
}

/// Dirty sets that a back end may treat apart.
inline void check_dirty_sets(OpenTree open, kernels::NodeHash hash, unsigned height) {
    SCOPED_TRACE(std::string(to_string(hash)) + ", height " + std::to_string(height));
    const uint32_t leaves = uint32_t{1} << height;
    std::mt19937_64 random(height);
    ReferenceTree reference(hash, height, first_leaf);
    kernels::ResidentTree tree = opened(open, resident_options(hash, height, 2 * leaves));
    EXPECT_EQ(reference.root(), tree.root());
    Writes none, one, first_and_last, all, all_backwards, twice, one_often, left_half;
    one.add(leaves / 3, random_hash(random));
    first_and_last.add(leaves - 1, random_hash(random));
    first_and_last.add(0, random_hash(random));
    for (uint32_t i = 0; i < leaves; ++i) {
        all.add(i, random_hash(random));
        all_backwards.add(leaves - 1 - i, random_hash(random));
        one_often.add(leaves - 1, random_hash(random));
        left_half.add(i / 2, random_hash(random));
    }
    twice = all;
    for (uint32_t i = 0; i < leaves; ++i) { twice.add(i, random_hash(random)); }
    for (const Writes* writes : {&none, &one, &one, &first_and_last, &all, &all_backwards, &twice,
                                 &one_often, &left_half}) {
        expect_same_update(tree, reference, *writes);
    }
    expect_same_nodes(tree, reference);
}

/// Levels where only a few nodes are missing, and counts around the width of the top.
inline void check_widths(OpenTree open, kernels::NodeHash hash) {
    constexpr unsigned height = 11;
    ReferenceTree reference(hash, height, first_leaf);
    kernels::ResidentTree tree = opened(open, resident_options(hash, height, 4096));
    std::mt19937_64 random(2);
    for (const size_t count :
         {1, 2, 31, 32, 33, 127, 128, 129, 255, 256, 257, 511, 512, 513, 1024, 1025, 2047, 2048}) {
        SCOPED_TRACE(count);
        Writes spread, packed;
        for (size_t i = 0; i < count; ++i) {
            spread.add(static_cast<uint32_t>(i * 2048 / count), random_hash(random));
            packed.add(static_cast<uint32_t>(2047 - i), random_hash(random));
        }
        expect_same_update(tree, reference, spread);
        expect_same_update(tree, reference, packed);
    }
    expect_same_nodes(tree, reference);
}

inline void check_random_updates(OpenTree open, uint64_t seed, size_t rounds, unsigned height_max) {
    std::mt19937_64 random(seed);
    const kernels::NodeHash hash = node_hashes[random() % 3];
    const unsigned height = static_cast<unsigned>(random() % (height_max + 1));
    const size_t writes_max = 1 + random() % (size_t{3} << height);
    SCOPED_TRACE("seed " + std::to_string(seed) + ", height " + std::to_string(height));
    ReferenceTree reference(hash, height, first_leaf);
    kernels::ResidentTreeOptions options = resident_options(hash, height, writes_max);
    options.report_changes = random() % 4 != 0;
    kernels::ResidentTree tree = opened(open, options);
    for (size_t round = 0; round < rounds; ++round) {
        expect_same_update(tree, reference,
                           random_writes(random, height, random() % (writes_max + 1)));
    }
    expect_same_nodes(tree, reference);
}

/// load gives the tree of its leaves, from which updates go on.
inline void check_load(OpenTree open, kernels::NodeHash hash) {
    for (const unsigned height : {0u, 1u, 5u, 13u}) {
        std::mt19937_64 random(height);
        ReferenceTree reference(hash, height, first_leaf);
        Writes all;
        for (uint32_t i = 0; i < uint32_t{1} << height; ++i) { all.add(i, random_hash(random)); }
        reference.update(all.leaves, all.values);
        kernels::ResidentTree tree = opened(open, resident_options(hash, height, 3));
        ASSERT_TRUE(tree.load(reference.leaves()).has_value());
        EXPECT_EQ(reference.root(), tree.root());
        expect_same_nodes(tree, reference);
        expect_same_update(tree, reference, random_writes(random, height, 3));
    }
}

}  // namespace millrace::test
