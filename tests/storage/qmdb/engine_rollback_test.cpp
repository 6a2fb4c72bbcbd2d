// SPDX-License-Identifier: Apache-2.0
// Owns the tests of taking blocks back: the model of every height as oracle, restarts, pruning, a
// crash at every operation, frames that come back from the dead.
#include <cstdlib>

#include <gtest/gtest.h>

#include "tests/storage/qmdb/crash_sweep.hpp"
#include "tests/storage/qmdb/engine_model.hpp"
#include "tests/storage/simulated_disk.hpp"

namespace millrace::storage::qmdb {
namespace {

using kernels::NodeHash;

const std::string directory = "/db/state";

EngineOptions small_options(uint64_t segment_bytes = uint64_t{1} << 19) {
    EngineOptions o;
    o.hash = NodeHash::blake3;
    o.backend = kernels::Backend::scalar;
    o.log.segment_bytes = segment_bytes;
    o.log.log_id = 9;
    return o;
}

Result<std::unique_ptr<Engine>> open(FileSystem& fs, const EngineOptions& options) {
    return Engine::open(fs, directory, options, make_pwrite_log_writer("test"));
}

/// Writes to two shards, so that chunks become full and die and compaction has to move entries.
Block narrow_block(const EngineModel& model, size_t creates, size_t updates,
                   std::mt19937_64& random) {
    Block block;
    while (block.size() < creates) {
        Hash256 key = random_key(random);
        key[0] = key[0] % 4 == 0 ? 3 : 0x53;
        block[key] = Bytes(random() % 60, 1);
    }
    for (size_t i = 0; i < updates; ++i) {
        const auto key = model.any_key(random);
        if (!key || (*key)[31] % 4 == 0) { continue; }
        block[*key] = Bytes(random() % 60, static_cast<uint8_t>(random()));
        if (random() % 30 == 0) { block[*key] = std::nullopt; }
    }
    return block;
}

/// The state after each height that the engine has, and before the first one.
struct History {
    struct State {
        uint64_t height = 0;
        Hash256 root;
        EngineModel model{NodeHash::blake3};
    };
    std::vector<State> states{State{}};

    const State& tip() const { return states.back(); }
    void apply(Engine& engine, uint64_t height, const Block& block) {
        State next = tip();
        next.height = height;
        next.root = next.model.apply(height, block);
        const auto root = engine.apply(height, writes_of(block));
        ASSERT_TRUE(root) << root.error().message;
        ASSERT_EQ(*root, next.root) << "height " << height;
        states.push_back(std::move(next));
    }
    /// Takes the last `count` states back.
    void drop(size_t count) { states.resize(states.size() - count); }
};

void expect_tip(Engine& engine, const History& history, std::mt19937_64& random) {
    const History::State& tip = history.tip();
    ASSERT_EQ(engine.height(), tip.height);
    ASSERT_EQ(engine.root(), tip.root);
    const StateVerifier verifier{NodeHash::blake3};
    std::vector<Hash256> keys{random_key(random)};
    for (const auto& state : history.states) {
        for (int i = 0; i < 3; ++i) {
            if (const auto key = state.model.any_key(random)) { keys.push_back(*key); }
        }
    }
    for (const Hash256& key : keys) {
        const auto expected = tip.model.get(key);
        ASSERT_EQ(engine.get(key).value(), expected);
        if (tip.height == 0) { continue; }
        const auto proof = engine.prove(key);
        ASSERT_TRUE(proof) << proof.error().message;
        const auto proven = verifier.verify(tip.root, key, *proof);
        ASSERT_TRUE(proven) << proven.error().message;
        ASSERT_EQ(proven->has_value(), expected.has_value());
    }
    for (const auto& state : history.states) {
        EXPECT_EQ(engine.root_at(state.height).value(), state.root);
        for (int i = 0; i < 4; ++i) {
            const Hash256& key = keys[random() % keys.size()];
            ASSERT_EQ(engine.get_at(key, state.height).value(), state.model.get(key));
        }
    }
    EXPECT_EQ(engine.get_at(keys[0], tip.height + 1).error().code, ErrorCode::not_found);
    EXPECT_EQ(engine.root_at(tip.height + 1).error().code, ErrorCode::not_found);
}

TEST(EngineRollback, AgreesWithTheModelOfEveryHeight) {
    for (const uint64_t seed : {1, 2, 3, 4}) {
        SCOPED_TRACE(seed);
        std::mt19937_64 random{seed};
        SimulatedDisk disk;
        History history;
        auto engine = open(disk, small_options()).value();
        uint64_t taken_back = 0;
        for (int step = 0; step < 90; ++step) {
            const uint64_t kind = random() % 12;
            if (kind < 8 || history.states.size() < 3) {
                const bool begin = history.states.size() < 4;
                const bool wide = random() % 4 == 0;
                Block block = wide ? random_block(history.tip().model, random() % 40, 4, random)
                                   : narrow_block(history.tip().model, begin ? 150 : 4,
                                                  begin ? 0 : 240, random);
                // Some come back that were removed.
                for (int i = 0; i < 3; ++i) {
                    const auto& state = history.states[random() % history.states.size()];
                    if (const auto key = state.model.any_key(random)) { block[*key] = Bytes{7}; }
                }
                // Heights may have gaps.
                const uint64_t height = history.tip().height + 1 + random() % 3;
                ASSERT_NO_FATAL_FAILURE(history.apply(*engine, height, block));
                if (random() % 10 == 0) {
                    // The block that waits for its commit goes too.
                    const auto back = std::min<size_t>(random() % 3, history.states.size() - 2);
                    history.drop(1 + back);
                    ASSERT_TRUE(engine->rollback(history.tip().height));
                } else {
                    ASSERT_TRUE(engine->commit());
                }
            } else if (kind < 11) {
                const size_t most = history.states.size() - (random() % 20 == 0 ? 1 : 2);
                history.drop(1 + random() % std::min<size_t>(most, 25));
                const auto done = engine->rollback(history.tip().height);
                ASSERT_TRUE(done) << done.error().message;
                ++taken_back;
            } else {
                engine = nullptr;
                auto again = open(disk, small_options());
                ASSERT_TRUE(again) << again.error().message;
                engine = *std::move(again);
            }
            ASSERT_NO_FATAL_FAILURE(expect_tip(*engine, history, random)) << "step " << step;
        }
        EXPECT_GT(taken_back, 5u);
        EXPECT_EQ(engine->stats().key_count, history.tip().model.keys().size());
    }
}

TEST(EngineRollback, UndoesCompactionAndTheDeathOfChunks) {
    std::mt19937_64 random{6};
    SimulatedDisk disk;
    History history;
    auto engine = open(disk, small_options()).value();
    uint64_t height = 0;
    const auto grow = [&](int count) {
        for (int i = 0; i < count; ++i) {
            const bool begin = height < 3;
            ++height;
            ASSERT_NO_FATAL_FAILURE(history.apply(
                *engine, height,
                narrow_block(history.tip().model, begin ? 120 : 3, begin ? 0 : 250, random)));
            ASSERT_TRUE(engine->commit());
        }
    };
    ASSERT_NO_FATAL_FAILURE(grow(130));
    ASSERT_GT(history.tip().model.compacted(), 40u);
    for (const size_t back : {1u, 7u, 60u}) {
        history.drop(back);
        height = history.tip().height;
        ASSERT_TRUE(engine->rollback(height));
        ASSERT_NO_FATAL_FAILURE(expect_tip(*engine, history, random));
        ASSERT_NO_FATAL_FAILURE(grow(back > 10 ? 75 : 2));
    }
    EXPECT_GT(history.tip().model.compacted(), 40u);
    // To nothing and on.
    history.drop(history.states.size() - 1);
    height = 0;
    ASSERT_TRUE(engine->rollback(0));
    EXPECT_EQ(engine->stats().key_count, 0u);
    EXPECT_EQ(engine->prove(random_key(random)).error().code, ErrorCode::not_found);
    ASSERT_NO_FATAL_FAILURE(grow(4));
    engine = nullptr;
    engine = open(disk, small_options()).value();
    ASSERT_NO_FATAL_FAILURE(expect_tip(*engine, history, random));
}

TEST(EngineRollback, GoesNoFurtherThanPruningKept) {
    constexpr uint64_t heights = 470;
    for (const uint64_t window : {0, 20}) {
        SCOPED_TRACE(window);
        std::mt19937_64 random{7};
        SimulatedDisk disk;
        EngineOptions options = small_options();
        options.history_blocks = window;
        auto engine = open(disk, options).value();
        std::vector<Hash256> keys(1600);
        for (Hash256& key : keys) { key = random_key(random); }
        std::vector<Block> blocks;
        std::vector<Hash256> roots{Hash256{}};
        const auto apply = [&](uint64_t height, const Block& block) {
            const auto root = engine->apply(height, writes_of(block));
            ASSERT_TRUE(root && engine->commit());
            roots.resize(height);
            roots.push_back(*root);
        };
        size_t removed = 0;
        for (uint64_t height = 1; height <= heights; ++height) {
            Block block;
            for (size_t i = 0; i < 200; ++i) {
                // The last sixteenth is written in the first blocks only.
                const Hash256& key = keys[random() % (height < 25 ? keys.size() : 1500)];
                block[key] = Bytes(random() % 40, static_cast<uint8_t>(random()));
                if (random() % 50 == 0) { block[key] = std::nullopt; }
            }
            blocks.push_back(block);
            ASSERT_NO_FATAL_FAILURE(apply(height, block));
            removed += engine->prune().value();
            ASSERT_LE(engine->oldest_height(), height > window ? height - window : 0);
        }
        ASSERT_GT(removed, 0u);
        const uint64_t oldest = engine->oldest_height();
        ASSERT_GT(oldest, 0u);
        const Hash256 root = engine->root();
        const uint64_t operations = disk.operation_count();
        EXPECT_EQ(engine->rollback(oldest - 1).error().code, ErrorCode::not_found);
        EXPECT_EQ(engine->rollback(0).error().code, ErrorCode::not_found);
        EXPECT_EQ(engine->root_at(0).error().code, ErrorCode::not_found);
        EXPECT_EQ(engine->get_at(keys[0], oldest - 1).error().code, ErrorCode::not_found);
        Block values;
        for (uint64_t height = 1; height <= oldest; ++height) {
            for (const auto& [key, value] : blocks[height - 1]) { values[key] = value; }
        }
        for (const auto& [key, value] : values) {
            ASSERT_EQ(engine->get_at(key, oldest).value(), value);
        }
        EXPECT_EQ(engine->rollback(heights + 1).error().code, ErrorCode::not_found);
        EXPECT_TRUE(engine->rollback(heights));
        EXPECT_EQ(engine->root(), root);
        EXPECT_EQ(disk.operation_count(), operations);
        // A restart knows the same bound, and the oldest state is whole.
        engine = nullptr;
        engine = open(disk, options).value();
        ASSERT_EQ(engine->oldest_height(), oldest);
        {
            // For readers too.
            const auto snapshot = engine->snapshot().value();
            const StateVerifier verifier{NodeHash::blake3};
            ASSERT_EQ(snapshot->oldest_height(), oldest);
            ASSERT_EQ(snapshot->root_at(oldest).value(), roots[oldest]);
            EXPECT_EQ(snapshot->prove_at(keys[0], oldest - 1).error().code, ErrorCode::not_found);
            for (const auto& [key, value] : values) {
                const auto proof = snapshot->prove_at(key, oldest);
                ASSERT_TRUE(proof) << proof.error().message;
                const auto proven = verifier.verify(roots[oldest], key, *proof);
                ASSERT_TRUE(proven) << proven.error().message;
                ASSERT_EQ(proven->has_value(), value.has_value());
                if (value) { ASSERT_TRUE(std::ranges::equal(**proven, *value)); }
            }
        }
        ASSERT_TRUE(engine->rollback(oldest));
        EXPECT_EQ(engine->oldest_height(), oldest);
        ASSERT_EQ(engine->root(), roots[oldest]);
        const StateVerifier verifier{NodeHash::blake3};
        for (const auto& [key, value] : values) {
            ASSERT_EQ(engine->get(key).value(), value);
            ASSERT_TRUE(verifier.verify(engine->root(), key, engine->prove(key).value()));
        }
        // The same blocks lead to the same roots again.
        const std::vector<Hash256> before = roots;
        for (uint64_t height = oldest + 1; height <= heights; ++height) {
            ASSERT_NO_FATAL_FAILURE(apply(height, blocks[height - 1]));
        }
        EXPECT_EQ(roots, before);
        engine = nullptr;
        EXPECT_EQ(open(disk, options).value()->root(), roots.back());
    }
}

TEST(EngineRollback, AFullDiskIsNotFinal) {
    std::mt19937_64 random{8};
    SimulatedDisk disk;
    History history;
    auto engine = open(disk, small_options()).value();
    for (uint64_t height = 1; height <= 12; ++height) {
        ASSERT_NO_FATAL_FAILURE(
            history.apply(*engine, height, narrow_block(history.tip().model, 60, 200, random)));
        ASSERT_TRUE(engine->commit());
    }
    engine = nullptr;
    history.drop(6);
    int full = 0;
    for (uint64_t at = 1; at <= 16; ++at) {
        const auto copy = disk.clone();
        engine = open(*copy, small_options()).value();
        copy->arm(DiskFault::no_space, at);
        const auto done = engine->rollback(6);
        copy->arm(DiskFault::none, 0);
        // Opening a directory's entry anew can only fail for good.
        if (!done && done.error().code == ErrorCode::io) { continue; }
        if (!done) {
            ASSERT_EQ(done.error().code, ErrorCode::limit) << done.error().message;
            ++full;
            EXPECT_EQ(engine->apply(20, {}).error().code, ErrorCode::conflict);
            EXPECT_EQ(engine->prune().error().code, ErrorCode::conflict);
            ASSERT_NO_FATAL_FAILURE(expect_tip(*engine, history, random));
            ASSERT_TRUE(engine->rollback(6));
        }
        History onward = history;
        ASSERT_NO_FATAL_FAILURE(onward.apply(*engine, 7, {}));
        ASSERT_TRUE(engine->commit());
        engine = nullptr;
        EXPECT_EQ(open(*copy, small_options()).value()->root(), onward.tip().root);
    }
    EXPECT_GE(full, 4);  // the record twice, and the segment
}

/// A disk that becomes full in the middle of a write, when it is told to.
class FillingWriter final : public LogWriter {
public:
    /// The next write stops after so many bytes.
    void fill_after(size_t bytes) { room_ = bytes; }

    std::span<uint8_t> buffer() noexcept override { return writer_->buffer(); }
    Result<void> write(File& file, uint64_t offset, ByteView data, bool sync) override {
        if (!room_) { return writer_->write(file, offset, data, sync); }
        const size_t bytes = std::min(*room_, data.size());
        room_.reset();
        MILLRACE_CHECK(file.write_at(offset, data.first(bytes)));
        return fail(ErrorCode::limit, "simulated");
    }
    std::string_view kind() const noexcept override { return writer_->kind(); }
    const std::string& reason() const noexcept override { return writer_->reason(); }

private:
    std::unique_ptr<LogWriter> writer_ = make_pwrite_log_writer("test");
    std::optional<size_t> room_;
};

/// Three blocks, and a fourth one of many pages of which a full disk has taken the first
/// `part_bytes`.
struct PartOfABlock {
    PartOfABlock(SimulatedDisk& disk, size_t part_bytes) {
        auto writer = std::make_unique<FillingWriter>();
        FillingWriter& filling = *writer;
        engine = Engine::open(disk, directory, small_options(), std::move(writer)).value();
        for (uint64_t height = 1; height <= 4; ++height) {
            history.apply(*engine, height, narrow_block(history.tip().model, 90, 0, random));
            if (height < 4) { EXPECT_TRUE(engine->commit()); }
        }
        filling.fill_after(part_bytes);
        EXPECT_EQ(engine->commit().error().code, ErrorCode::limit);
    }

    std::mt19937_64 random{11};
    History history;
    std::unique_ptr<Engine> engine;
};
constexpr std::array<size_t, 6> parts_bytes{512, 1536, 4096, 5632, 9216, size_t{1} << 19};

TEST(EngineRollback, ClearsWhatAFullDiskTookOfTheBlockThatWaited) {
    for (const size_t part_bytes : parts_bytes) {
        SCOPED_TRACE(part_bytes);
        SimulatedDisk disk;
        PartOfABlock part{disk, part_bytes};
        History& history = part.history;
        ASSERT_TRUE(part.engine->rollback(3));
        history.drop(1);
        ASSERT_NO_FATAL_FAILURE(expect_tip(*part.engine, history, part.random));
        // It is gone for good, also when it had been written as a whole.
        EXPECT_EQ(open(*disk.clone(), small_options()).value()->root(), history.tip().root);
        // The frame of the next one is shorter than what was written.
        ASSERT_NO_FATAL_FAILURE(history.apply(*part.engine, 4, {{Hash256{{1}}, Bytes{1}}}));
        ASSERT_TRUE(part.engine->commit());
        const auto again = open(disk, small_options());
        ASSERT_TRUE(again) << again.error().message;
        ASSERT_NO_FATAL_FAILURE(expect_tip(**again, history, part.random));
    }
}

TEST(EngineRollback, ACrashAfterAFullDiskLeavesTheOldBlocksOrTheNewOne) {
    for (const size_t part_bytes : parts_bytes) {
        bool crashed = true;
        for (uint64_t at = 1; crashed; ++at) {
            SCOPED_TRACE(std::to_string(part_bytes) + " operation " + std::to_string(at));
            SimulatedDisk disk;
            PartOfABlock part{disk, part_bytes};
            History& history = part.history;
            const Hash256 waited = history.tip().root;
            disk.arm(DiskFault::crash, at);
            const bool taken_back = part.engine->rollback(3).has_value();
            history.drop(1);
            const Hash256 before = history.tip().root;
            bool committed = false;
            if (taken_back) {
                ASSERT_NO_FATAL_FAILURE(history.apply(
                    *part.engine, 4, narrow_block(history.tip().model, 40, 0, part.random)));
                committed = part.engine->commit().has_value();
            }
            crashed = disk.crashed();
            disk.restart(at + part_bytes);
            const auto again = open(disk, small_options());
            ASSERT_TRUE(again) << again.error().message;
            const Hash256& root = (*again)->root();
            if (committed) {
                EXPECT_EQ(root, history.tip().root);
            } else {
                EXPECT_TRUE(root == before || root == (taken_back ? history.tip().root : waited));
            }
        }
    }
}

TEST(EngineRollback, AFullDiskCanTakeTheBlockAfterAll) {
    for (const size_t part_bytes : parts_bytes) {
        SimulatedDisk disk;
        PartOfABlock part{disk, part_bytes};
        ASSERT_TRUE(part.engine->commit());
        // And the one that waits is still taken back without the disk.
        const Block block{{Hash256{{1}}, Bytes{1}}};
        ASSERT_TRUE(part.engine->apply(5, writes_of(block)));
        const uint64_t operations = disk.operation_count();
        ASSERT_TRUE(part.engine->rollback(4));
        EXPECT_EQ(disk.operation_count(), operations);
        ASSERT_NO_FATAL_FAILURE(expect_tip(*part.engine, part.history, part.random));
        EXPECT_EQ(open(disk, small_options()).value()->root(), part.history.tip().root);
    }
}

TEST(EngineRollback, ADiskThatIsStillFullKeepsTheEngineFromGoingOn) {
    SimulatedDisk disk;
    PartOfABlock part{disk, 4096};
    const auto snapshot_before = part.engine->snapshot();
    EXPECT_EQ(snapshot_before.error().code, ErrorCode::conflict);
    disk.arm(DiskFault::no_space, 1);
    EXPECT_EQ(part.engine->rollback(3).error().code, ErrorCode::limit);
    part.history.drop(1);
    EXPECT_EQ(part.engine->apply(4, {}).error().code, ErrorCode::conflict);
    ASSERT_NO_FATAL_FAILURE(expect_tip(*part.engine, part.history, part.random));
    ASSERT_TRUE(part.engine->rollback(3));
    ASSERT_NO_FATAL_FAILURE(part.history.apply(*part.engine, 4, {}));
    ASSERT_TRUE(part.engine->commit());
    EXPECT_EQ(open(disk, small_options()).value()->root(), part.history.tip().root);
}

TEST(EngineRollback, RefusesFramesThatComeBackFromTheDead) {
    std::mt19937_64 random{9};
    const EngineOptions options = small_options(uint64_t{1} << 18);
    SimulatedDisk disk;
    History history;
    auto engine = open(disk, options).value();
    const auto grow = [&](uint64_t to) {
        for (uint64_t height = history.tip().height + 1; height <= to; ++height) {
            ASSERT_NO_FATAL_FAILURE(
                history.apply(*engine, height, narrow_block(history.tip().model, 12, 150, random)));
            ASSERT_TRUE(engine->commit());
        }
    };
    // All lie in the first two segments.
    ASSERT_NO_FATAL_FAILURE(grow(30));
    const std::string first = directory + "/entries-000000000000";
    const std::string second = directory + "/entries-000000000001";
    ASSERT_TRUE(disk.exists(second).value());
    const Bytes old_first = disk.content(first);
    const Bytes old_second = disk.content(second);
    // A restart in between: generations are those of lives, not only of rollbacks.
    engine = nullptr;
    engine = open(disk, options).value();
    history.drop(28);
    ASSERT_TRUE(engine->rollback(2));
    engine = nullptr;
    const auto put = [](SimulatedDisk& on, const std::string& path, const Bytes& content) {
        ASSERT_TRUE((*on.open(path, OpenMode::create))->write_at(0, content));
    };
    const auto in_first = disk.clone();
    put(*in_first, first, old_first);
    EXPECT_EQ(open(*in_first, options).error().code, ErrorCode::corrupt);
    const auto in_both = disk.clone();
    put(*in_both, first, old_first);
    put(*in_both, second, old_second);
    EXPECT_EQ(open(*in_both, options).error().code, ErrorCode::corrupt);
    const auto in_second = disk.clone();
    put(*in_second, second, old_second);
    EXPECT_EQ(open(*in_second, options).error().code, ErrorCode::corrupt);
    // Behind new frames too.
    engine = open(disk, options).value();
    ASSERT_NO_FATAL_FAILURE(grow(30));
    ASSERT_TRUE(disk.exists(second).value());
    engine = nullptr;
    ASSERT_TRUE(open(disk, options));
    const auto behind = disk.clone();
    put(*behind, second, old_second);
    EXPECT_EQ(open(*behind, options).error().code, ErrorCode::corrupt);
    // A damaged record says so, one of another log too.
    const std::string record = directory + "/entries.cut";
    for (uint64_t at = 0; at < sizeof(CutRecord); ++at) {
        const auto damaged = disk.clone();
        damaged->flip_bit(record, at, at % 8);
        EXPECT_EQ(open(*damaged, options).error().code, ErrorCode::corrupt) << at;
    }
    CutRecord other = read_cut_record(disk, record).value().value();
    other.log_id ^= 1;
    for (const uint16_t pending : {0, 1}) {
        other.pending = pending;
        const auto foreign = disk.clone();
        ASSERT_TRUE(write_cut_record(*foreign, record, other));
        EXPECT_EQ(open(*foreign, options).error().code, ErrorCode::corrupt);
        EXPECT_EQ(foreign->content(first), disk.content(first));
    }
}

/// Blocks, two rollbacks and other blocks after each; what must be there after each step.
struct Scenario {
    struct Step {
        uint64_t rollback_to = 0;  ///< when `block` is nothing
        std::optional<Block> block;
        History::State after;
    };
    Scenario() {
        std::mt19937_64 random{77};
        History history;
        const auto grow = [&](size_t count) {
            for (size_t i = 0; i < count; ++i) {
                History::State next = history.tip();
                const Block block = random_block(next.model, 14, next.height < 6 ? 8 : 2, random);
                next.height += 1;
                next.root = next.model.apply(next.height, block);
                steps.push_back({0, block, next});
                history.states.push_back(std::move(next));
            }
        };
        const auto back = [&](size_t count) {
            history.drop(count);
            steps.push_back({history.tip().height, std::nullopt, history.tip()});
        };
        grow(9);
        back(5);  // over the end of a segment
        grow(3);
        back(1);
        back(2);
        grow(2);
    }
    std::vector<Step> steps;
};

bool take(Engine& engine, const Scenario::Step& step) {
    if (!step.block) { return engine.rollback(step.rollback_to).has_value(); }
    return engine.apply(step.after.height, writes_of(*step.block)) && engine.commit();
}

EngineOptions crash_options(EntryLogMutant mutant) {
    EngineOptions o = small_options(uint64_t{1} << 16);
    o.log.mutant = mutant;
    return o;
}

/// Whether the engine is at what is there after `count` steps.
bool is_at(const Engine& engine, const Scenario& scenario, size_t count) {
    if (count == 0) { return engine.height() == 0; }
    const History::State& state = scenario.steps[count - 1].after;
    return engine.height() == state.height && engine.root() == state.root;
}

std::string crash_at(const Scenario& scenario, DiskFault fault, uint64_t at, uint64_t seed,
                     EntryLogMutant mutant, bool& reached) {
    const EngineOptions options = crash_options(mutant);
    SimulatedDisk disk;
    disk.arm(fault, at);
    size_t done = 0;
    if (auto engine = open(disk, options)) {
        while (done < scenario.steps.size() && take(**engine, scenario.steps[done])) { ++done; }
    }
    reached = disk.operation_count() >= at;
    disk.restart(seed);
    for (uint64_t k = 1; k <= 2; ++k) {  // the start is interrupted too
        disk.arm(DiskFault::crash, 1 + (seed + k) % 7);
        (void)open(disk, options);
        disk.restart(seed + k);
    }
    auto engine = open(disk, options);
    if (!engine) { return "not opened: " + engine.error().message; }
    if (!is_at(**engine, scenario, done)) {
        if (done == scenario.steps.size() || !is_at(**engine, scenario, done + 1)) {
            return "neither the state before the step nor the one after it";
        }
        ++done;
    }
    while (done < scenario.steps.size()) {
        if (!take(**engine, scenario.steps[done])) { return "the remaining steps fail"; }
        ++done;
    }
    engine->reset();
    engine = open(disk, options);
    if (!engine || !is_at(**engine, scenario, done)) { return "what was done afterwards is lost"; }
    const EngineModel& model = scenario.steps.back().after.model;
    for (const Hash256& key : model.keys()) {
        if ((*engine)->get(key) != std::optional{model.get(key)}) { return "another value"; }
    }
    return {};
}

std::string first_wrong(DiskFault fault, EntryLogMutant mutant) {
    static const Scenario scenario;
    return first_wrong_of(crash_seed_count(2), [&](uint64_t at, uint64_t seed, bool& reached) {
        return crash_at(scenario, fault, at, seed, mutant, reached);
    });
}

TEST(EngineRollbackCrash, LeavesAllOrNothingWhereverThePowerFails) {
    EXPECT_EQ(first_wrong(DiskFault::crash, EntryLogMutant::none), "");
}

TEST(EngineRollbackCrash, FailedWritesAndFlushesLoseNothing) {
    for (const DiskFault fault :
         {DiskFault::write_error, DiskFault::short_write, DiskFault::sync_failure}) {
        EXPECT_EQ(first_wrong(fault, EntryLogMutant::none), "");
    }
}

TEST(EngineRollbackCrash, TheMutantWithoutARecordIsCaught) {
    EXPECT_NE(first_wrong(DiskFault::crash, EntryLogMutant::no_cut_record), "");
}

}  // namespace
}  // namespace millrace::storage::qmdb
