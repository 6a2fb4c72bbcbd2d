// SPDX-License-Identifier: Apache-2.0
// Owns the tests of resident trees: the host's back ends and the emulated device against the
// definition, and what a failing device leaves behind.
#include "kernels/tree/resident_tree.hpp"

#include <gtest/gtest.h>
#include <rapidcheck/gtest.h>

#include "tests/kernels/tree/resident_checks.hpp"
#include "tests/kernels/tree/resident_emulation.hpp"

namespace millrace::kernels {
namespace {

using test::node_hashes;
using test::random_hash;
using test::ResidentEmulation;
using test::Writes;

Result<ResidentTree> open_scalar(const ResidentTreeOptions& options) {
    return ResidentTree::open(Backend::scalar, options);
}
Result<ResidentTree> open_simd(const ResidentTreeOptions& options) {
    return ResidentTree::open(Backend::simd, options);
}
std::unique_ptr<ResidentEmulation> emulation_of(const ResidentTreeOptions& options) {
    return std::make_unique<ResidentEmulation>(
        detail::ResidentShape{.hash = options.hash,
                              .height = options.height,
                              .writes_max = static_cast<uint32_t>(options.writes_max),
                              .report_changes = options.report_changes});
}
Result<ResidentTree> open_emulation(const ResidentTreeOptions& options) {
    return ResidentTree::open(Backend::cuda, options, emulation_of(options));
}
constexpr test::OpenTree back_ends[] = {open_scalar, open_simd, open_emulation};

TEST(ResidentTree, DirtySetsOfEveryKindAgreeWithTheReference) {
    for (const test::OpenTree open : back_ends) {
        for (const NodeHash hash : node_hashes) {
            for (const unsigned height : {0u, 1u, 2u, 5u, 9u}) {
                test::check_dirty_sets(open, hash, height);
            }
        }
    }
}

TEST(ResidentTree, CountsAroundTheWidthsOfLaunchesAgree) {
    for (const test::OpenTree open : back_ends) {
        for (const NodeHash hash : node_hashes) { test::check_widths(open, hash); }
    }
}

RC_GTEST_PROP(ResidentTree, AnySequenceOfUpdatesAgreesWithTheReference, (uint64_t seed)) {
    for (const test::OpenTree open : back_ends) { test::check_random_updates(open, seed, 3, 8); }
    RC_ASSERT(!testing::Test::HasFailure());
}

TEST(ResidentTree, LoadingLeavesGivesTheirTree) {
    for (const test::OpenTree open : back_ends) {
        for (const NodeHash hash : node_hashes) { test::check_load(open, hash); }
    }
}

TEST(ResidentTree, TheLastOfSeveralWritesToALeafCounts) {
    for (const test::OpenTree open : back_ends) {
        test::ReferenceTree reference(NodeHash::sha256, 4, test::first_leaf);
        ResidentTree tree = test::opened(open, test::resident_options(NodeHash::sha256, 4, 8));
        Writes writes;
        for (const uint32_t leaf : {5u, 3u, 5u, 3u, 5u}) {
            writes.add(leaf, Hash256{{static_cast<uint8_t>(writes.leaves.size())}});
        }
        test::expect_same_update(tree, reference, writes);
        Hash256 leaf;
        ASSERT_TRUE(tree.read(tree_leaf(4, 5), {&leaf, 1}).has_value());
        EXPECT_EQ(Hash256{{4}}, leaf);
        ASSERT_TRUE(tree.read(tree_leaf(4, 3), {&leaf, 1}).has_value());
        EXPECT_EQ(Hash256{{3}}, leaf);
    }
}

TEST(ResidentTree, StagedWritesAreThoseOfTheStagingMemory) {
    for (const test::OpenTree open : back_ends) {
        test::ReferenceTree reference(NodeHash::keccak256, 3, test::first_leaf);
        ResidentTree tree = test::opened(open, test::resident_options(NodeHash::keccak256, 3, 2));
        const TreeStaging staging = tree.staging();
        ASSERT_EQ(2u, staging.leaves.size());
        ASSERT_EQ(2u, staging.values.size());
        staging.leaves[0] = 6;
        staging.leaves[1] = 1;
        staging.values[0] = Hash256{{1}};
        staging.values[1] = Hash256{{2}};
        reference.update(std::vector<uint32_t>{6, 1},
                         std::vector<Hash256>{Hash256{{1}}, Hash256{{2}}});
        const Result<TreeChanges> changes = tree.update_staged(2);
        ASSERT_TRUE(changes.has_value());
        EXPECT_EQ(reference.root(), changes->root);
    }
}

TEST(ResidentTree, WrongInputChangesNothing) {
    for (const test::OpenTree open : back_ends) {
        ResidentTree tree = test::opened(open, test::resident_options(NodeHash::blake3, 3, 4));
        const Hash256 root = tree.root();
        const auto refuses = [&](const auto& result) {
            ASSERT_FALSE(result.has_value());
            EXPECT_EQ(ErrorCode::invalid_input, result.error().code);
        };
        std::vector<Hash256> values(5);
        refuses(tree.update(std::vector<uint32_t>{0, 8}, std::span(values).first(2)));
        refuses(tree.update(std::vector<uint32_t>{UINT32_MAX}, std::span(values).first(1)));
        refuses(tree.update(std::vector<uint32_t>{0, 1}, std::span(values).first(1)));
        refuses(tree.update(std::vector<uint32_t>{0, 1, 2, 3, 4}, values));
        refuses(tree.update_staged(5));
        refuses(tree.load(values));
        refuses(tree.read(0, values));
        refuses(tree.read(12, values));
        refuses(tree.read(SIZE_MAX, values));
        EXPECT_FALSE(tree.poisoned());
        EXPECT_EQ(root, tree.root());
        test::expect_same_nodes(tree, {NodeHash::blake3, 3, test::first_leaf});
    }
    for (const auto& [height, writes_max] :
         {std::pair{31u, size_t{1}}, {3u, size_t{0}}, {3u, (size_t{1} << 30) + 1}}) {
        const auto tree = ResidentTree::open(
            Backend::simd, test::resident_options(NodeHash::blake3, height, writes_max));
        ASSERT_FALSE(tree.has_value());
        EXPECT_EQ(ErrorCode::invalid_input, tree.error().code);
    }
}

TEST(ResidentTree, AFailedDevicePoisonsTheTreeAndItsLeavesGoOnElsewhere) {
    for (const ResidentEmulation::Fault fault :
         {ResidentEmulation::Fault::call_fails, ResidentEmulation::Fault::counts_wrong}) {
        const ResidentTreeOptions options = test::resident_options(NodeHash::keccak256, 6, 64);
        auto store = emulation_of(options);
        store->fail_after(2, fault);
        Result<ResidentTree> tree = ResidentTree::open(Backend::cuda, options, std::move(store));
        ASSERT_TRUE(tree.has_value());
        std::mt19937_64 random(9);
        test::ReferenceTree reference(options.hash, options.height, options.leaf);
        // The caller follows the tree by the writes that succeeded.
        test::expect_same_update(*tree, reference, test::random_writes(random, 6, 40));
        test::expect_same_update(*tree, reference, test::random_writes(random, 6, 40));
        const Hash256 root = tree->root();
        const Writes writes = test::random_writes(random, 6, 40);
        const auto failed = tree->update(writes.leaves, writes.values);
        ASSERT_FALSE(failed.has_value());
        EXPECT_EQ(ErrorCode::internal, failed.error().code);
        EXPECT_TRUE(tree->poisoned());
        EXPECT_EQ(root, tree->root());
        Hash256 node;
        for (const ErrorCode code :
             {tree->update(writes.leaves, writes.values).error().code,
              tree->update_staged(0).error().code, tree->load(reference.leaves()).error().code,
              tree->read(1, {&node, 1}).error().code}) {
            EXPECT_EQ(ErrorCode::unavailable, code);
        }
        ResidentTree rebuilt = test::opened(open_simd, options);
        ASSERT_TRUE(rebuilt.load(reference.leaves()).has_value());
        EXPECT_EQ(root, rebuilt.root());
        test::expect_same_update(rebuilt, reference, writes);
    }
}

TEST(ResidentTree, TheEmulatedDeviceTakesEveryKindOfStep) {
    const ResidentTreeOptions options = test::resident_options(NodeHash::blake3, 12, 4096);
    auto store = emulation_of(options);
    const ResidentEmulation& device = *store;
    Result<ResidentTree> tree = ResidentTree::open(Backend::cuda, options, std::move(store));
    ASSERT_TRUE(tree.has_value());
    test::ReferenceTree reference(options.hash, options.height, options.leaf);
    std::mt19937_64 random(10);
    Writes writes;
    for (uint32_t i = 0; i < 2048; ++i) { writes.add(i, random_hash(random)); }
    writes.add(4095, random_hash(random));
    test::expect_same_update(*tree, reference, writes);
    EXPECT_GT(device.steps.listed, 0u);
    EXPECT_GT(device.steps.top, 0u);
    EXPECT_EQ(0u, device.steps.full);
    for (uint32_t i = 2048; i < 4095; ++i) { writes.add(i, random_hash(random)); }
    test::expect_same_update(*tree, reference, writes);
    EXPECT_GT(device.steps.full, 0u);
}

TEST(ResidentTree, AThreadOfADeviceHashesNodesAsTheReference) {
    std::mt19937_64 random(11);
    for (int i = 0; i < 200; ++i) {
        const Hash256 hashes[2] = {random_hash(random), random_hash(random)};
        detail::ResidentNode children[2];
        static_assert(sizeof children == sizeof hashes);
        std::memcpy(children, hashes, sizeof hashes);
        const auto expect_node = [&](NodeHash hash, const detail::ResidentNode& node) {
            Hash256 digest;
            std::memcpy(digest.data(), &node, sizeof node);
            EXPECT_EQ(test::reference_parent(hash, hashes[0], hashes[1]), digest);
        };
        const detail::NodeTables& tables = detail::node_tables;
        expect_node(NodeHash::keccak256, detail::node_above<NodeHash::keccak256>(children, tables));
        expect_node(NodeHash::sha256, detail::node_above<NodeHash::sha256>(children, tables));
        expect_node(NodeHash::blake3, detail::node_above<NodeHash::blake3>(children, tables));
    }
}

TEST(ResidentTree, APlanRefusesCountsThatCannotBe) {
    std::array<uint32_t, detail::resident_counts> counts{};
    // Three writes: one replaced, two leaves apart at the root of a tree of height 2.
    counts[0] = 1;
    counts[2] = 1;
    counts[3] = 1;
    const std::vector<detail::ResidentLevel> levels = detail::plan_levels(2, 3, counts);
    ASSERT_EQ(2u, levels.size());
    EXPECT_EQ(2u, levels[0].count);
    EXPECT_TRUE(levels[0].full());
    EXPECT_EQ(2u, levels[1].offset);
    EXPECT_EQ(1u, levels[1].count);
    EXPECT_TRUE(detail::plan_levels(2, 4, counts).empty());
    counts[3] = 0;
    counts[1] = 1;
    EXPECT_TRUE(detail::plan_levels(2, 3, counts).empty());
    counts = {};
    counts[2] = 3;
    counts[3] = 1;
    EXPECT_TRUE(detail::plan_levels(2, 4, counts).empty());
}

TEST(ResidentTree, MemoryIsWhatItsOptionsSay) {
    EXPECT_EQ(0u, detail::resident_changes_max(0, 5));
    EXPECT_EQ(7u, detail::resident_changes_max(3, 4));
    EXPECT_EQ(1u + 2 + 3 + 3, detail::resident_changes_max(4, 3));
    const ResidentTree tree =
        test::opened(open_simd, test::resident_options(NodeHash::blake3, 10, 100));
    EXPECT_EQ(2048u * 32, tree.tree_bytes());
    const size_t changes = detail::resident_changes_max(10, 100);
    EXPECT_GE(tree.staging_bytes(), 100 * 36 + changes * 36);
    // load() marks all leaves of so small a tree at a time.
    EXPECT_LE(tree.staging_bytes(), 100 * 44 + 1024 * 8 + changes * 36);
}

TEST(ResidentTree, CudaOpensOrSaysWhyNot) {
    const BackendStatus status = resident_tree_status(Backend::cuda);
    const auto tree =
        ResidentTree::open(Backend::cuda, test::resident_options(NodeHash::blake3, 3, 4));
    EXPECT_EQ(status.available, tree.has_value());
    if (!tree.has_value()) {
        EXPECT_EQ(ErrorCode::unavailable, tree.error().code);
        EXPECT_FALSE(status.reason.empty());
    }
    EXPECT_TRUE(resident_tree_status(Backend::scalar).available);
    EXPECT_TRUE(resident_tree_status(Backend::simd).available);
}

}  // namespace
}  // namespace millrace::kernels
