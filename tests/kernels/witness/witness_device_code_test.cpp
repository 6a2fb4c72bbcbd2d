// SPDX-License-Identifier: Apache-2.0
// Owns the tests of what a device's threads do for a witness, run on the host.
#include <gtest/gtest.h>

#include <cstring>
#include <random>

#include "kernels/witness/detail/node_code.hpp"
#include "tests/kernels/witness/naive_witness.hpp"

namespace millrace::kernels {
namespace {

using detail::HostConstants;
using detail::node_words;
using detail::SweepLevels;
using detail::SweepStep;
using test::NaiveTree;

using Words = std::vector<uint64_t>;

Words words_of(const std::vector<Hash256>& nodes) {
    Words words(nodes.size() * node_words);
    for (size_t i = 0; i < nodes.size(); ++i) {
        std::memcpy(words.data() + i * node_words, nodes[i].data(), Hash256::size_bytes);
    }
    return words;
}

template <NodeHash hash>
bool climb(const NaiveTree& tree, uint64_t index, const Words& leaf, const Words& siblings,
           const Words& root) {
    return detail::climb_path<hash, HostConstants>(leaf.data(), index, siblings.data(),
                                                   tree.height(), root.data());
}

template <NodeHash hash>
void expect_paths() {
    std::mt19937_64 random(1);
    for (const unsigned height : {0u, 1u, 4u, 33u}) {
        const auto indices = test::random_indices(random, height, 5);
        const NaiveTree tree = test::random_tree(random, hash, height, indices);
        const Words root = words_of({tree.root()});
        for (const uint64_t index : indices) {
            const Words leaf = words_of({tree.leaf(index)});
            const Words siblings = words_of(tree.path(index));
            EXPECT_TRUE(climb<hash>(tree, index, leaf, siblings, root));
            const auto flipped = [&](Words words) {
                words[random() % words.size()] ^= uint64_t{1} << random() % 64;
                return words;
            };
            EXPECT_FALSE(climb<hash>(tree, index, flipped(leaf), siblings, root));
            EXPECT_FALSE(climb<hash>(tree, index, leaf, siblings, flipped(root)));
            if (height == 0) { continue; }
            EXPECT_FALSE(climb<hash>(tree, index, leaf, flipped(siblings), root));
            EXPECT_FALSE(climb<hash>(tree, index ^ 1, leaf, siblings, root));
        }
    }
}

TEST(WitnessDeviceCode, ClimbsThePathsOfTheTreeAndNoOthers) {
    expect_paths<NodeHash::keccak256>();
    expect_paths<NodeHash::sha256>();
    expect_paths<NodeHash::blake3>();
}

/// As sweep_cuda goes, with threads that take turns.
template <NodeHash hash>
Hash256 sweep_root(unsigned height, const std::vector<uint64_t>& indices, Words nodes,
                   const Words& siblings) {
    std::vector<uint64_t> positions;
    std::vector<SweepStep> scratch;
    SweepLevels levels(indices, positions, scratch);
    const uint64_t* level_siblings = siblings.data();
    for (unsigned level = 0; level < height; ++level) {
        const auto steps = levels.next();
        Words parents(steps.size() * node_words);
        for (size_t i = 0; i < steps.size(); ++i) {
            detail::sweep_step<hash, HostConstants>(steps[i], nodes.data(), level_siblings,
                                                    parents.data() + i * node_words);
        }
        level_siblings += size_t{levels.siblings()} * node_words;
        nodes = std::move(parents);
    }
    EXPECT_EQ(siblings.data() + siblings.size(), level_siblings);
    Hash256 root;
    std::memcpy(root.data(), nodes.data(), Hash256::size_bytes);
    return root;
}

template <NodeHash hash>
void expect_sweeps() {
    std::mt19937_64 random(2);
    for (const unsigned height : {0u, 1u, 4u, 33u, 63u}) {
        for (const size_t count : {1u, 2u, 9u, 33u}) {
            const auto indices = test::random_indices(random, height, count);
            const NaiveTree tree = test::random_tree(random, hash, height, indices);
            ASSERT_EQ(tree.root(), sweep_root<hash>(height, indices, words_of(tree.leaves(indices)),
                                                    words_of(tree.siblings(indices))));
        }
    }
}

TEST(WitnessDeviceCode, SweepsLeadToTheRootOfTheTree) {
    expect_sweeps<NodeHash::keccak256>();
    expect_sweeps<NodeHash::sha256>();
    expect_sweeps<NodeHash::blake3>();
}

TEST(WitnessDeviceCode, TheProbesKnownAnswerIsTheKeccakOfZeros) {
    EXPECT_EQ((Hash256{{0xad, 0x32, 0x28, 0xb6, 0x76, 0xf7, 0xd3, 0xcd, 0x42, 0x84, 0xa5,
                        0x44, 0x3f, 0x17, 0xf1, 0x96, 0x2b, 0x36, 0xe4, 0x91, 0xb3, 0x0a,
                        0x40, 0xb2, 0x40, 0x58, 0x49, 0xe5, 0x97, 0xba, 0x5f, 0xb5}}),
              keccak256(Bytes(64)));
}

}  // namespace
}  // namespace millrace::kernels
