// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the forest of twigs: the naive tree as oracle.
#include "storage/qmdb/twig_forest.hpp"

#include <random>

#include <gtest/gtest.h>

#include "tests/storage/qmdb/naive_state_tree.hpp"

namespace millrace::storage::qmdb {
namespace {

using kernels::Backend;
using kernels::NodeHash;

/// A forest and its oracle, fed the same.
struct Checked {
    explicit Checked(NodeHash hash, Backend backend = Backend::simd)
        : forest(hash, backend), naive(hash) {}

    void append(unsigned shard, uint64_t count, std::mt19937_64& random) {
        const uint64_t first = forest.serial_count(shard);
        std::vector<Hash256> leaves(count);
        for (Hash256& leaf : leaves) {
            const uint64_t word = random();
            std::memcpy(leaf.data(), &word, 8);
            EXPECT_EQ(forest.append(shard), naive.shards[shard].leaves.size());
            naive.shards[shard].leaves.push_back(leaf);
            naive.shards[shard].live.push_back(true);
        }
        forest.set_leaves(shard, first, leaves);
    }
    void retire(unsigned shard, uint64_t serial) {
        forest.retire(shard, serial);
        naive.shards[shard].live[serial] = false;
    }
    /// Retires each live entry of [from, to) with a probability of `chance` in 16.
    void retire_some(unsigned shard, uint64_t from, uint64_t to, unsigned chance,
                     std::mt19937_64& random) {
        for (uint64_t s = from; s < to; ++s) {
            if (naive.shards[shard].live[s] && random() % 16 < chance) { retire(shard, s); }
        }
    }
    void check_counts(unsigned shard) {
        const auto& live = naive.shards[shard].live;
        const auto first = std::find(live.begin(), live.end(), true) - live.begin();
        EXPECT_EQ(forest.first_live(shard), static_cast<uint64_t>(first));
        EXPECT_EQ(forest.live_count(shard),
                  static_cast<uint64_t>(std::count(live.begin(), live.end(), true)));
        EXPECT_EQ(forest.serial_count(shard), live.size());
    }

    TwigForest forest;
    NaiveStateTree naive;
};

class TwigHash : public testing::TestWithParam<NodeHash> {};
INSTANTIATE_TEST_SUITE_P(TwigForest, TwigHash,
                         testing::Values(NodeHash::keccak256, NodeHash::sha256, NodeHash::blake3),
                         [](const auto& test) { return std::string{to_string(test.param)}; });

TEST_P(TwigHash, RootIsThatOfTheNaiveTreeAfterEveryBatch) {
    std::mt19937_64 random{3};
    Checked checked{GetParam()};
    for (int batch = 0; batch < 25; ++batch) {
        for (int piece = 0; piece < 3; ++piece) {
            const unsigned shard = random() % 3 * 7;  // most shards stay empty
            // Around the edges of chunks and twigs, and few ones.
            constexpr uint64_t sizes[] = {0, 1, 5, 255, 256, 257, 700, 2047};
            checked.append(shard, sizes[random() % std::size(sizes)], random);
            const uint64_t count = checked.forest.serial_count(shard);
            const uint64_t from = count == 0 ? 0 : random() % count;
            checked.retire_some(shard, from, std::min(from + 900, count), random() % 17, random);
            checked.check_counts(shard);
        }
        ASSERT_EQ(checked.forest.root().value(), checked.naive.root()) << "batch " << batch;
    }
}

TEST(TwigForest, ScalarAndSimdGiveOneRoot) {
    std::mt19937_64 random{4};
    Checked scalar{NodeHash::keccak256, Backend::scalar};
    Checked simd{NodeHash::keccak256, Backend::simd};
    for (int batch = 0; batch < 5; ++batch) {
        std::mt19937_64 same = random;
        for (Checked* checked : {&scalar, &simd}) {
            random = same;
            checked->append(1, 1 + random() % 1500, random);
            checked->retire_some(1, 0, checked->forest.serial_count(1), 3, random);
        }
        EXPECT_EQ(scalar.forest.root().value(), simd.forest.root().value());
    }
}

TEST(TwigForest, GrowsOverTilesAndFreesThoseThatAreDead) {
    constexpr uint64_t tile_entries = uint64_t{1} << 17;
    std::mt19937_64 random{5};
    Checked checked{NodeHash::blake3};
    for (int step = 0; step < 5; ++step) {
        // The second batch fills a tile to its end, so that the third one begins the next tile, and
        // with it the level above, while nothing changes in the first.
        checked.append(9, step < 2 ? tile_entries / 2 : tile_entries * 2 / 3, random);
        ASSERT_EQ(checked.forest.root().value(), checked.naive.root()) << step;
    }
    const uint64_t full = checked.forest.bytes();
    const uint64_t count = checked.forest.serial_count(9);
    checked.retire_some(9, 0, count - 100, 16, random);
    checked.check_counts(9);
    ASSERT_EQ(checked.forest.root().value(), checked.naive.root());
    EXPECT_LT(checked.forest.bytes(), full * 2 / 3);
    checked.append(9, 1, random);
    ASSERT_EQ(checked.forest.root().value(), checked.naive.root());
}

TEST(TwigForest, LeavesMayComeInPiecesAndBeFoldedInBetween) {
    std::mt19937_64 random{6};
    Checked checked{NodeHash::sha256};
    for (int batch = 0; batch < 12; ++batch) {
        for (int piece = 0; piece < 4; ++piece) {
            checked.append(2, random() % 300, random);
            checked.append(15, random() % 40, random);
            if (random() % 2 == 0) { ASSERT_TRUE(checked.forest.fold_leaves()); }
        }
        ASSERT_EQ(checked.forest.root().value(), checked.naive.root());
    }
}

TEST(TwigForest, AStartWithoutTheDeadBeginningGivesTheSameRoot) {
    for (const uint64_t gone : {uint64_t{0}, chunk_entries, 6 * chunk_entries,
                                (uint64_t{1} << 17) + 512, 3 * (uint64_t{1} << 17)}) {
        std::mt19937_64 random{7};
        Checked checked{NodeHash::blake3};
        checked.append(4, gone + 2000, random);
        checked.retire_some(4, 0, gone, 16, random);
        checked.retire_some(4, gone, gone + 1000, 12, random);
        checked.retire_some(4, gone + 512, gone + 768, 16, random);
        const Hash256 root = checked.forest.root().value();
        ASSERT_EQ(root, checked.naive.root());

        const NaiveShard& shard = checked.naive.shards[4];
        TwigForest fresh{NodeHash::blake3, Backend::simd};
        fresh.begin_at(4, gone);
        while (fresh.serial_count(4) < shard.leaves.size()) { fresh.append(4); }
        for (uint64_t s = gone; s < shard.leaves.size(); ++s) {
            if (!shard.live[s]) { fresh.retire(4, s); }
        }
        for (uint64_t s = gone; s < shard.leaves.size(); s += chunk_entries) {
            const uint64_t n = std::min(chunk_entries, shard.leaves.size() - s);
            if (n == chunk_entries && fresh.bits(4, s / chunk_entries).is_zero()) {
                fresh.skip_dead_chunk(4);
            } else {
                fresh.set_leaves(4, s, std::span{shard.leaves}.subspan(s, n));
            }
        }
        EXPECT_EQ(fresh.root().value(), root) << gone;
        EXPECT_EQ(fresh.first_live(4), checked.forest.first_live(4));
    }
}

/// All nodes that proofs can ask for around some chunks, and the bits of these.
std::vector<Hash256> nodes_of(const ForestView& view, unsigned shard) {
    std::vector<Hash256> out;
    const uint64_t count = view.serial_count(shard);
    const uint64_t chunks = (count + chunk_entries - 1) / chunk_entries;
    for (uint64_t chunk = 0; chunk < chunks; chunk += 97) {
        out.push_back(view.bits(shard, chunk));
        for (unsigned h = 0; h < grafted_height(count); ++h) {
            out.push_back(view.grafted_node(shard, h, (chunk >> h) ^ 1));
        }
    }
    out.push_back(view.grafted_node(shard, grafted_height(count), 0));
    for (unsigned h = 0; h < shard_bits; ++h) { out.push_back(view.top_node(h, 0)); }
    return out;
}

TEST(TwigForest, ViewsStayWhileTheForestGoesOn) {
    constexpr uint64_t tile_entries = uint64_t{1} << 17;
    std::mt19937_64 random{8};
    TwigForest forest{NodeHash::blake3, Backend::simd};
    // Three tiles, so that there is a level above them.
    forest.begin_at(4, 2 * tile_entries - 512);
    const auto append = [&](uint64_t count) {
        std::vector<Hash256> leaves(count);
        const uint64_t first = forest.serial_count(4);
        for (Hash256& leaf : leaves) {
            leaf[0] = static_cast<uint8_t>(1 + random() % 255);
            forest.append(4);
        }
        forest.set_leaves(4, first, leaves);
    };
    append(1500);
    const Hash256 root = forest.root().value();
    const ForestView view = forest;
    const std::vector<Hash256> nodes = nodes_of(view, 4);
    detail::Epochs epochs;
    epochs.current = 2;
    epochs.pinned_newest = epochs.pinned_oldest = 1;
    forest.set_epochs(epochs);
    for (int round = 0; round < 3; ++round) {
        // The first tile with something alive dies as a whole.
        for (uint64_t s = forest.first_live(4); round == 1 && s < 2 * tile_entries; ++s) {
            if (forest.is_live(4, s)) { forest.retire(4, s); }
        }
        append(700);
        const Hash256 now = forest.root().value();
        ASSERT_NE(now, root);
        ASSERT_EQ(nodes_of(view, 4), nodes);
        ASSERT_EQ(view.top_node(shard_bits, 0), root);
        ASSERT_EQ(forest.top_node(shard_bits, 0), now);
    }
    forest.set_epochs({3, 0, ~uint64_t{0}});
}

}  // namespace
}  // namespace millrace::storage::qmdb
