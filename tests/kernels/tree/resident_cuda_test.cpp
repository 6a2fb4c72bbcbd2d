// SPDX-License-Identifier: Apache-2.0
// Owns the tests of resident trees on a CUDA device; without one they skip with its reason.
#include <gtest/gtest.h>

#include "tests/kernels/tree/resident_checks.hpp"

namespace millrace::kernels {
namespace {

Result<ResidentTree> open_cuda(const ResidentTreeOptions& options) {
    return ResidentTree::open(Backend::cuda, options);
}

class ResidentCuda : public testing::Test {
protected:
    void SetUp() override {
        const BackendStatus status = resident_tree_status(Backend::cuda);
        if (!status.available) { GTEST_SKIP() << "no CUDA: " << status.reason; }
    }
};

TEST_F(ResidentCuda, DirtySetsOfEveryKindAgreeWithTheReference) {
    for (const NodeHash hash : test::node_hashes) {
        for (const unsigned height : {0u, 1u, 2u, 5u, 9u, 14u}) {
            test::check_dirty_sets(open_cuda, hash, height);
        }
    }
}

TEST_F(ResidentCuda, CountsAroundTheWidthsOfLaunchesAgree) {
    for (const NodeHash hash : test::node_hashes) { test::check_widths(open_cuda, hash); }
}

TEST_F(ResidentCuda, RandomUpdatesAgreeWithTheReference) {
    for (uint64_t seed = 0; seed < 60; ++seed) {
        test::check_random_updates(open_cuda, seed, 5, 12);
    }
}

TEST_F(ResidentCuda, LoadingLeavesGivesTheirTree) {
    for (const NodeHash hash : test::node_hashes) { test::check_load(open_cuda, hash); }
}

TEST_F(ResidentCuda, ALargeTreeAgreesWithTheHost) {
    constexpr unsigned height = 22;
    constexpr size_t writes_max = size_t{1} << 20;
    std::mt19937_64 random(3);
    for (const NodeHash hash : test::node_hashes) {
        const ResidentTreeOptions options = test::resident_options(hash, height, writes_max);
        Result<ResidentTree> device = ResidentTree::open(Backend::cuda, options);
        Result<ResidentTree> host = ResidentTree::open(Backend::simd, options);
        ASSERT_TRUE(device.has_value()) << device.error().message;
        ASSERT_TRUE(host.has_value()) << host.error().message;
        for (const size_t count : {size_t{1}, size_t{1000}, size_t{300'000}, writes_max}) {
            const test::Writes writes = test::random_writes(random, height, count);
            const auto on_device = device->update(writes.leaves, writes.values);
            const auto on_host = host->update(writes.leaves, writes.values);
            ASSERT_TRUE(on_device.has_value()) << on_device.error().message;
            ASSERT_TRUE(on_host.has_value());
            EXPECT_EQ(on_host->root, on_device->root);
            EXPECT_TRUE(std::ranges::equal(on_host->nodes, on_device->nodes));
            EXPECT_TRUE(std::ranges::equal(on_host->hashes, on_device->hashes));
        }
    }
}

}  // namespace
}  // namespace millrace::kernels
