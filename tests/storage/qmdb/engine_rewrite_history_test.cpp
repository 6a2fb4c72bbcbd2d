// SPDX-License-Identifier: Apache-2.0
// Owns the tests of earlier states beside the rewriting of segments: values and proofs of every
// height that is kept, and what is said about those that are not.
#include <algorithm>

#include <gtest/gtest.h>

#include "storage/qmdb/snapshot.hpp"
#include "tests/storage/qmdb/past_states.hpp"
#include "tests/storage/qmdb/rewriting.hpp"
#include "tests/storage/scratch_directory.hpp"
#include "tests/storage/simulated_disk.hpp"

namespace millrace::storage::qmdb {
namespace {

struct State {
    uint64_t height = 0;
    Hash256 root;
    EngineModel model{kernels::NodeHash::blake3};
};

struct Held {
    std::shared_ptr<const StateSnapshot> snapshot;
    uint64_t oldest = 0;
};

/// One engine beside the models of all of its heights.
class History {
public:
    History(FileSystem& fs, std::string where, EngineOptions options, uint64_t seed)
        : random_{seed},
          alike_(seed % 2 == 0),
          fs_(fs),
          where_(std::move(where)),
          options_(std::move(options)) {}

    void run(int steps) {
        ASSERT_NO_FATAL_FAILURE(open());
        for (int step = 0; step < steps; ++step) {
            const uint64_t kind = random_() % 24;
            if (kind < 19 || states_.size() < 4) {
                ASSERT_NO_FATAL_FAILURE(block());
            } else if (kind == 19) {
                held_ = {};
                engine_.reset();
                ASSERT_NO_FATAL_FAILURE(open());
            } else if (kind == 20) {
                ASSERT_TRUE(engine_->prune());
            } else if (kind == 21) {
                held_ = {engine_->snapshot().value(), engine_->oldest_height()};
            } else {
                ASSERT_NO_FATAL_FAILURE(take_back());
            }
            ASSERT_LE(engine_->oldest_height(), promised());
            if (step % 16 == 15 || step + 1 == steps) {
                const auto now = engine_->snapshot().value();
                ASSERT_EQ(now->oldest_height(), engine_->oldest_height());
                ASSERT_NO_FATAL_FAILURE(expect_all(*now, now->oldest_height()));
                // Later rewriting and pruning take nothing from a state that is held.
                if (held_.snapshot != nullptr) {
                    ASSERT_NO_FATAL_FAILURE(expect_all(*held_.snapshot, held_.oldest));
                }
            }
        }
        EXPECT_EQ(options_.care.figures->errors.value(), 0u);
    }
    uint64_t refused() const { return refused_; }
    uint64_t answered() const { return answered_; }

private:
    void open() {
        auto engine = Engine::open(fs_, where_, options_, make_pwrite_log_writer("test"));
        ASSERT_TRUE(engine) << engine.error().message;
        engine_ = *std::move(engine);
        ASSERT_EQ(engine_->root(), states_.back().root);
    }

    void block() {
        const EngineModel& model = states_.back().model;
        const bool begin = states_.size() < 4;
        const Block writes = random_() % 6 == 0 ? random_block(model, random_() % 30, 4, random_)
                                                : narrow_block(model, begin ? 90 : 3,
                                                               begin ? 0 : 90, alike_, random_);
        for (const auto& [key, value] : writes) {
            if (random_() % 8 == 0) { seen_.push_back(key); }
        }
        State next = states_.back();
        next.height += 1 + random_() % 3;
        next.root = next.model.apply(next.height, writes);
        const auto root = engine_->apply(next.height, writes_of(writes));
        ASSERT_TRUE(root) << root.error().message;
        ASSERT_EQ(*root, next.root);
        const auto committed = engine_->commit();
        ASSERT_TRUE(committed) << committed.error().message;
        states_.push_back(std::move(next));
    }

    /// The height from which on states are there whatever happens.
    uint64_t promised() const {
        const uint64_t tip = states_.back().height;
        const uint64_t blocks = options_.history_blocks;
        const uint64_t whole = tip / options_.heights_per_block < blocks
                                   ? 0
                                   : tip - blocks * options_.heights_per_block;
        // What was taken back lowers the tip, but brings nothing back.
        return std::max(whole, promised_);
    }

    void take_back() {
        promised_ = promised();
        const size_t kept = static_cast<size_t>(
            std::ranges::partition_point(
                states_, [&](const State& s) { return s.height < engine_->oldest_height(); }) -
            states_.begin());
        const size_t first = std::max(kept, states_.size() - std::min<size_t>(states_.size(), 6));
        const size_t to = first + random_() % (states_.size() - first);
        const uint64_t height = states_[to].height;
        const uint64_t oldest = engine_->oldest_height();
        if (oldest > 1) {
            EXPECT_EQ(engine_->rollback(oldest - 1).error().code, ErrorCode::not_found);
        }
        const auto done = engine_->rollback(height);
        ASSERT_TRUE(done) << done.error().message;
        states_.resize(to + 1);
        ASSERT_EQ(engine_->root(), states_.back().root);
        if (held_.snapshot != nullptr && held_.snapshot->height() > height) {
            EXPECT_EQ(held_.snapshot->prove_at(random_key(random_), held_.oldest).error().code,
                      ErrorCode::conflict);
            held_ = {};
        }
    }

    /// Every height up to that of the snapshot, those between two blocks too.
    void expect_all(const StateSnapshot& snapshot, uint64_t oldest) {
        ASSERT_EQ(snapshot.oldest_height(), oldest);
        for (size_t i = 0; i < states_.size() && states_[i].height <= snapshot.height(); ++i) {
            const State& state = states_[i];
            std::vector<Hash256> keys = some_keys(state.model, seen_, random_);
            if (state.height < oldest) {
                ASSERT_NO_FATAL_FAILURE(expect_refused(snapshot, state, std::move(keys)));
                continue;
            }
            if (state.height == 0) { continue; }
            const uint64_t next = i + 1 < states_.size() ? states_[i + 1].height : state.height + 1;
            const uint64_t last = std::min(next - 1, snapshot.height());
            const uint64_t height = state.height + random_() % (last - state.height + 1);
            ASSERT_NO_FATAL_FAILURE(
                expect_past(snapshot, state.model, state.root, height, std::move(keys)))
                << "height " << height << " of " << snapshot.height() << ", from " << oldest;
            ++answered_;
        }
        std::vector<Hash256> keys{random_key(random_)};
        EXPECT_EQ(snapshot.prove_at(keys, snapshot.height() + 1).error().code,
                  ErrorCode::not_found);
    }

    void expect_refused(const StateSnapshot& snapshot, const State& state,
                        std::vector<Hash256> keys) {
        std::ranges::sort(keys);
        keys.erase(std::unique(keys.begin(), keys.end()), keys.end());
        for (const Hash256& key : keys) {
            uint64_t budget = 10'000;
            const auto value = snapshot.get_at(key, state.height, budget);
            ASSERT_FALSE(value) << state.height;
            ASSERT_EQ(value.error().code, ErrorCode::not_found) << value.error().message;
            const auto proof = snapshot.prove_at(key, state.height);
            ASSERT_FALSE(proof) << state.height;
            ASSERT_EQ(proof.error().code, ErrorCode::not_found) << proof.error().message;
        }
        const auto together = snapshot.prove_at(keys, state.height);
        ASSERT_FALSE(together) << state.height;
        ASSERT_EQ(together.error().code, ErrorCode::not_found) << together.error().message;
        // The root is still in the log unless the block is not.
        if (const auto root = snapshot.root_at(state.height)) {
            ASSERT_EQ(*root, state.root);
        } else {
            ASSERT_EQ(root.error().code, ErrorCode::not_found);
        }
        ++refused_;
    }

    std::mt19937_64 random_;
    const bool alike_;
    FileSystem& fs_;
    const std::string where_;
    const EngineOptions options_;
    std::vector<State> states_{1};
    std::vector<Hash256> seen_;
    uint64_t promised_ = 0;
    uint64_t refused_ = 0;
    uint64_t answered_ = 0;
    std::unique_ptr<Engine> engine_;
    Held held_;  ///< let go before the engine
};

TEST(EngineRewriteHistory, EveryHeightOfTheWindowIsReadAndProvenAndNoneBelow) {
    uint64_t rewritten = 0;
    uint64_t refused = 0;
    for (const uint64_t seed : {1, 2, 3, 4, 5, 6}) {
        SCOPED_TRACE(seed);
        SimulatedDisk disk;
        EngineOptions options = rewriting_options(uint64_t{1} << 18, seed * 2);
        options.heights_per_block = seed % 3 == 0 ? 4 : 1;
        History history{disk, "/db/state", options, seed};
        ASSERT_NO_FATAL_FAILURE(history.run(160));
        rewritten += options.care.figures->rewritten.value();
        refused += history.refused();
        EXPECT_GT(history.answered(), 40u);
    }
    EXPECT_GT(rewritten, 6u);
    EXPECT_GT(refused, 100u);
}

TEST(EngineRewriteHistory, MappedFilesAnswerTheSame) {
    const ScratchDirectory scratch;
    const auto fs = make_posix_file_system();
    const EngineOptions options = rewriting_options(uint64_t{1} << 18, 8);
    History history{*fs, scratch.path() + "/state", options, 7};
    ASSERT_NO_FATAL_FAILURE(history.run(160));
    EXPECT_GT(options.care.figures->rewritten.value(), 0u);
    EXPECT_GT(history.refused(), 20u);
}

TEST(EngineRewriteHistory, NothingIsRewrittenWhereAllIsKept) {
    SimulatedDisk disk;
    const EngineOptions options = rewriting_options(uint64_t{1} << 18, ~uint64_t{0});
    History history{disk, "/db/state", options, 8};
    ASSERT_NO_FATAL_FAILURE(history.run(90));
    EXPECT_EQ(options.care.figures->rewritten.value(), 0u);
    EXPECT_EQ(history.refused(), 0u);
    EXPECT_GT(history.answered(), 120u);
}

}  // namespace
}  // namespace millrace::storage::qmdb
