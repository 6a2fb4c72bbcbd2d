// SPDX-License-Identifier: Apache-2.0
// Owns the tests of rewritten segments in the engine: the model of every height as oracle, crashes
// at every operation, damage, readers beside the rewriting, the scrubber, and mutants of all that.
#include <algorithm>
#include <chrono>
#include <thread>

#include <gtest/gtest.h>

#include "storage/qmdb/rewritten_segment.hpp"
#include "storage/qmdb/segment_name.hpp"
#include "tests/storage/qmdb/crash_sweep.hpp"
#include "tests/storage/qmdb/engine_model.hpp"
#include "tests/storage/qmdb/rewriting.hpp"
#include "tests/storage/scratch_directory.hpp"
#include "tests/storage/simulated_disk.hpp"

namespace millrace::storage::qmdb {
namespace {

using kernels::NodeHash;

const std::string directory = "/db/state";

Result<std::unique_ptr<Engine>> open(FileSystem& fs, const EngineOptions& options,
                                     const std::string& where = directory) {
    return Engine::open(fs, where, options, make_pwrite_log_writer("test"));
}

struct State {
    uint64_t height = 0;
    Hash256 root;
    EngineModel model{NodeHash::blake3};
};

/// Values, proofs and earlier values, and what is left of the log against the tree.
void expect_states(Engine& engine, const std::vector<State>& states, std::mt19937_64& random) {
    const State& tip = states.back();
    ASSERT_EQ(engine.height(), tip.height);
    ASSERT_EQ(engine.root(), tip.root);
    const StateVerifier verifier{NodeHash::blake3};
    const auto entries = engine.verify_chunks();
    ASSERT_TRUE(entries) << entries.error().message;
    std::set<Hash256> keys{random_key(random)};
    for (const State& state : states) {
        if (const auto key = state.model.any_key(random)) { keys.insert(*key); }
    }
    for (const Hash256& key : keys) {
        const auto value = engine.get(key);
        ASSERT_TRUE(value) << value.error().message;
        ASSERT_EQ(*value, tip.model.get(key));
        const auto proof = engine.prove(key);
        ASSERT_TRUE(proof) << proof.error().message;
        const auto proven = verifier.verify(tip.root, key, *proof);
        ASSERT_TRUE(proven) << proven.error().message;
        ASSERT_EQ(proven->has_value(), tip.model.get(key).has_value());
    }
    const std::vector<Hash256> sorted{keys.begin(), keys.end()};
    const auto multiproof = engine.prove(sorted);
    ASSERT_TRUE(multiproof) << multiproof.error().message;
    EXPECT_TRUE(StateMultiproofVerifier{NodeHash::blake3}.verify(tip.root, sorted, *multiproof));
    for (const State& state : states) {
        const Hash256& key = sorted[random() % sorted.size()];
        const auto value = engine.get_at(key, state.height);
        if (state.height < engine.oldest_height()) {
            EXPECT_EQ(value.error().code, ErrorCode::not_found);
        } else {
            ASSERT_TRUE(value) << value.error().message;
            EXPECT_EQ(*value, state.model.get(key)) << "height " << state.height;
        }
    }
}

/// Random blocks, restarts, rollbacks and prunings on the files of `fs`.
void run_random(FileSystem& fs, const std::string& where, bool alike, uint64_t seed,
                uint64_t& rewritten) {
    std::mt19937_64 random{seed};
    const uint64_t history = random() % 3 == 0 ? 0 : 1 + random() % 12;
    const EngineOptions options = rewriting_options(uint64_t{1} << 18, history);
    std::vector<State> states(1);
    auto engine = open(fs, options, where).value();
    for (int step = 0; step < 220; ++step) {
        const uint64_t kind = random() % 20;
        if (kind < 16 || states.size() < 4) {
            const bool begin = states.size() < 4;
            const Block block = random() % 6 == 0
                                    ? random_block(states.back().model, random() % 30, 4, random)
                                    : narrow_block(states.back().model, begin ? 90 : 3,
                                                   begin ? 0 : 90, alike, random);
            State next = states.back();
            next.height += 1 + random() % 3;
            next.root = next.model.apply(next.height, block);
            const auto root = engine->apply(next.height, writes_of(block));
            ASSERT_TRUE(root) << root.error().message;
            ASSERT_EQ(*root, next.root);
            const auto committed = engine->commit();
            ASSERT_TRUE(committed) << committed.error().message;
            states.push_back(std::move(next));
        } else if (kind == 16) {
            engine.reset();
            auto again = open(fs, options, where);
            ASSERT_TRUE(again) << again.error().message;
            engine = *std::move(again);
        } else if (kind == 17) {
            ASSERT_TRUE(engine->prune());
        } else {
            // As far as the history is promised, which rewriting must not change.
            const uint64_t back = random() % (history + 1);
            const uint64_t tip = states.back().height;
            while (states.size() > 2 && states[states.size() - 2].height + back >= tip) {
                states.pop_back();
            }
            ASSERT_LE(engine->oldest_height(), states.back().height);
            const auto done = engine->rollback(states.back().height);
            ASSERT_TRUE(done) << done.error().message;
        }
        if (step % 20 == 19) { ASSERT_NO_FATAL_FAILURE(expect_states(*engine, states, random)); }
    }
    EXPECT_EQ(options.care.figures->errors.value(), 0u);
    rewritten += options.care.figures->rewritten.value();
}

TEST(EngineRewrite, AgreesWithTheModelOfEveryHeight) {
    uint64_t rewritten = 0;
    for (const uint64_t seed : {1, 2, 3, 4}) {
        SCOPED_TRACE(seed);
        SimulatedDisk disk;
        ASSERT_NO_FATAL_FAILURE(run_random(disk, directory, seed % 2 == 0, seed, rewritten));
    }
    EXPECT_GT(rewritten, 10u);
}

TEST(EngineRewrite, MappedFilesAreReadTheSame) {
    uint64_t rewritten = 0;
    for (const uint64_t seed : {5, 6}) {
        SCOPED_TRACE(seed);
        const ScratchDirectory scratch;
        const auto fs = make_posix_file_system();
        ASSERT_NO_FATAL_FAILURE(
            run_random(*fs, scratch.path() + "/state", seed % 2 == 0, seed, rewritten));
    }
    EXPECT_GT(rewritten, 4u);
}

/// Blocks of updates to few keys of one shard, computed once.
struct Scenario {
    static constexpr uint64_t heights = 64;
    Scenario() {
        std::mt19937_64 random{31};
        EngineModel model{NodeHash::blake3};
        for (uint64_t height = 1; height <= heights; ++height) {
            Block block;
            while (height < 4 && block.size() < 10) {
                Hash256 key = random_key(random);
                key[0] = 3;
                block[key] = Bytes(40, 1);
            }
            for (int i = 0; height >= 4 && i < 14; ++i) {
                const Hash256 key = model.any_key(random).value();
                if (key[31] % 8 == 0) { continue; }
                block[key] = Bytes(random() % 80, static_cast<uint8_t>(random()));
            }
            blocks.push_back(block);
            roots.push_back(model.apply(height, block));
        }
        for (const Hash256& key : model.keys()) { values[key] = model.get(key).value(); }
    }
    std::vector<Block> blocks;
    std::vector<Hash256> roots;
    std::map<Hash256, Bytes> values;
};

EngineOptions crash_options(RewriteMutant mutant) {
    EngineOptions o = rewriting_options(uint64_t{1} << 16, 2);
    o.care.mutant = mutant;
    return o;
}

/// Applies the blocks above `from` until one fails; returns the last height acknowledged.
uint64_t run(Engine& engine, const Scenario& scenario, uint64_t from) {
    for (uint64_t height = from + 1; height <= Scenario::heights; ++height) {
        const auto root = engine.apply(height, writes_of(scenario.blocks[height - 1]));
        if (!root || !engine.commit()) { return height - 1; }
        if (*root != scenario.roots[height - 1]) { return ~uint64_t{0}; }
    }
    return Scenario::heights;
}

std::string crash_at(const Scenario& scenario, DiskFault fault, uint64_t at, uint64_t seed,
                     RewriteMutant mutant, bool& reached) {
    SimulatedDisk disk;
    disk.arm(fault, at);
    uint64_t acknowledged = 0;
    const EngineOptions options = crash_options(mutant);
    if (auto engine = open(disk, options)) {
        acknowledged = run(**engine, scenario, 0);
        if (acknowledged > Scenario::heights) { return "a wrong root before the crash"; }
    }
    reached = disk.operation_count() >= at;
    disk.restart(seed);
    auto engine = open(disk, options);
    if (!engine) { return "not opened: " + engine.error().message; }
    const uint64_t height = (*engine)->height();
    if (height < acknowledged) { return "an acknowledged block is lost"; }
    if (height > acknowledged + 1) { return "a block appeared"; }
    if (height != 0 && (*engine)->root() != scenario.roots[height - 1]) { return "another root"; }
    if (const auto chunks = (*engine)->verify_chunks(); !chunks) { return chunks.error().message; }
    const uint64_t back = height > 2 ? height - 2 : height;
    if ((*engine)->oldest_height() > back || !(*engine)->rollback(back)) {
        return "blocks of the history cannot be taken back";
    }
    if (run(**engine, scenario, back) != Scenario::heights) { return "the other blocks fail"; }
    for (const auto& [key, value] : scenario.values) {
        if ((*engine)->get(key) != std::optional{value}) { return "another value"; }
    }
    return {};
}

std::string first_wrong(DiskFault fault, RewriteMutant mutant) {
    static const Scenario scenario;
    return first_wrong_of(crash_seed_count(1), [&](uint64_t at, uint64_t seed, bool& reached) {
        return crash_at(scenario, fault, at, seed, mutant, reached);
    });
}

TEST(EngineRewriteCrash, TheScenarioRewritesSegments) {
    const Scenario scenario;
    SimulatedDisk disk;
    const EngineOptions options = crash_options(RewriteMutant::none);
    auto engine = open(disk, options).value();
    EXPECT_EQ(run(*engine, scenario, 0), Scenario::heights);
    EXPECT_GT(options.care.figures->rewritten.value(), 2u);
    EXPECT_EQ(engine->stats().rewritten_count > 0, true);
}

TEST(EngineRewriteCrash, NothingIsLostWhereverThePowerFails) {
    EXPECT_EQ(first_wrong(DiskFault::crash, RewriteMutant::none), "");
}

TEST(EngineRewriteCrash, FailedWritesAndFlushesLoseNothing) {
    for (const DiskFault fault : {DiskFault::write_error, DiskFault::short_write,
                                  DiskFault::sync_failure, DiskFault::no_space}) {
        EXPECT_EQ(first_wrong(fault, RewriteMutant::none), "");
    }
}

TEST(EngineRewriteCrash, TheMutantsAreCaught) {
    EXPECT_NE(first_wrong(DiskFault::crash, RewriteMutant::rename_before_sync), "");
    EXPECT_NE(first_wrong(DiskFault::crash, RewriteMutant::drop_live), "");
}

/// A disk with segments of both forms.
struct Mixed {
    Mixed() {
        std::mt19937_64 random{4};
        EngineModel model{NodeHash::blake3};
        auto engine = open(disk, options).value();
        for (uint64_t height = 1; height <= 100; ++height) {
            const Block block = narrow_block(model, height < 4 ? 90 : 2, height < 4 ? 0 : 90,
                                             height % 2 == 0, random);
            model.apply(height, block);
            EXPECT_TRUE(engine->apply(height, writes_of(block)));
            EXPECT_TRUE(engine->commit());
        }
        for (const std::string& name : disk.list(directory).value()) {
            if (!segment_number(name)) { continue; }
            const std::string path = join_path(directory, name);
            const Bytes content = disk.content(path);
            (read_rewritten_header(content) ? rewritten : plain).push_back(path);
        }
    }
    SimulatedDisk disk;
    EngineOptions options = rewriting_options(uint64_t{1} << 18, 20);
    std::vector<std::string> rewritten;
    std::vector<std::string> plain;  ///< the last one is being written
};

/// What a start says of a disk with damage; empty when it says nothing.
std::string refusal(SimulatedDisk& disk, const EngineOptions& options) {
    const auto engine = open(disk, options);
    return engine ? std::string{} : engine.error().message;
}

TEST(EngineRewriteDamage, AFlippedBitAnywhereIsRefusedByName) {
    const Mixed mixed;
    ASSERT_GT(mixed.rewritten.size(), 1u);
    std::mt19937_64 random{17};
    const std::string& path = mixed.rewritten.front();
    const size_t bytes = mixed.disk.content(path).size();
    for (int i = 0; i < 150; ++i) {
        // The headers as a whole, then anywhere.
        const uint64_t at = i < 60 ? static_cast<uint64_t>(i) * 8 : random() % bytes;
        const auto disk = mixed.disk.clone();
        disk->flip_bit(path, at, static_cast<unsigned>(random() % 8));
        const std::string said = refusal(*disk, mixed.options);
        EXPECT_NE(said.find(path), std::string::npos) << "offset " << at << ": " << said;
    }
}

TEST(EngineRewriteDamage, CutExtendedSwappedAndMisplacedFilesAreRefused) {
    const Mixed mixed;
    ASSERT_GT(mixed.rewritten.size(), 1u);
    const std::string& path = mixed.rewritten[1];
    const Bytes content = mixed.disk.content(path);
    const auto with = [&](const Bytes& other) {
        const auto disk = mixed.disk.clone();
        EXPECT_TRUE(replace_file(*disk, path, other));
        return refusal(*disk, mixed.options);
    };
    EXPECT_EQ(with(content), "");
    for (const size_t bytes : {size_t{0}, size_t{100}, size_t{4096}, content.size() - 8}) {
        EXPECT_NE(with(Bytes(content.begin(), content.begin() + static_cast<ptrdiff_t>(bytes)))
                      .find(path),
                  std::string::npos);
    }
    Bytes longer = content;
    longer.resize(longer.size() + 8);
    EXPECT_NE(with(longer).find(path), std::string::npos);
    EXPECT_NE(with(mixed.disk.content(mixed.rewritten[0])).find(path), std::string::npos);
    // A rewritten segment at the end has lost what came behind it.
    const auto disk = mixed.disk.clone();
    for (const std::string& plain : mixed.plain) { ASSERT_TRUE(disk->remove(plain)); }
    ASSERT_TRUE(disk->sync_directory(directory));
    EXPECT_NE(refusal(*disk, mixed.options).find(mixed.rewritten.back()), std::string::npos);
}

TEST(EngineRewrite, AnUnfinishedRewriteIsRemovedByAStart) {
    Mixed mixed;
    const std::string path = join_path(directory, rewrite_name);
    ASSERT_TRUE(replace_file(mixed.disk, path, Bytes(5000, 3)));
    EXPECT_EQ(refusal(mixed.disk, mixed.options), "");
    EXPECT_FALSE(mixed.disk.exists(path).value());
}

TEST(EngineRewrite, AFullDiskPutsItOff) {
    std::mt19937_64 random{4};
    SimulatedDisk disk;
    EngineModel model{NodeHash::blake3};
    EngineOptions options = rewriting_options(uint64_t{1} << 18, 0);
    options.care.rewrite = false;
    auto engine = open(disk, options).value();
    const auto apply = [&](uint64_t height) {
        const Block block =
            narrow_block(model, height < 4 ? 90 : 2, height < 4 ? 0 : 90, false, random);
        const Hash256 root = model.apply(height, block);
        EXPECT_EQ(engine->apply(height, writes_of(block)).value(), root);
        EXPECT_TRUE(engine->commit());
    };
    for (uint64_t height = 1; height <= 57; ++height) { apply(height); }
    engine.reset();
    options.care.rewrite = true;
    engine = open(disk, options).value();
    disk.set_free_bytes(2048);
    apply(58);
    EXPECT_GT(options.care.figures->put_off.value(), 0u);
    EXPECT_EQ(options.care.figures->rewritten.value(), 0u);
    disk.set_free_bytes(uint64_t{1} << 30);
    for (uint64_t height = 59; height <= 90; ++height) { apply(height); }
    EXPECT_GT(options.care.figures->rewritten.value(), 0u);
    EXPECT_EQ(options.care.figures->errors.value(), 0u);
}

TEST(EngineRewrite, SnapshotsReadBesideIt) {
    const ScratchDirectory scratch;
    const auto fs = make_posix_file_system();
    EngineOptions options = rewriting_options(uint64_t{1} << 18, 3);
    options.care.background = true;
    options.care.scrub_bytes_per_s = uint64_t{1} << 40;
    options.care.scrub_pause_s = 0;
    auto engine = open(*fs, options, scratch.path() + "/state").value();

    struct Shown {
        std::shared_ptr<const StateSnapshot> snapshot;
        EngineModel model;
    };
    std::mutex mutex;  // guards shown
    std::shared_ptr<const Shown> shown;
    std::atomic<bool> ends = false;
    std::atomic<uint64_t> wrong = 0;
    std::atomic<uint64_t> reads = 0;
    const auto read = [&](uint64_t seed) {
        std::mt19937_64 random{seed};
        const StateVerifier verifier{NodeHash::blake3};
        while (!ends.load(std::memory_order_relaxed)) {
            std::shared_ptr<const Shown> mine;
            {
                const std::scoped_lock lock{mutex};
                mine = shown;
            }
            if (mine == nullptr) {
                std::this_thread::yield();
                continue;
            }
            for (int i = 0; i < 20; ++i) {
                const Hash256 key = mine->model.any_key(random).value();
                const auto value = mine->snapshot->get(key);
                const auto proof = mine->snapshot->prove(key);
                const bool right = value && *value == mine->model.get(key) && proof &&
                                   verifier.verify(mine->snapshot->root(), key, *proof).has_value();
                wrong.fetch_add(right ? 0 : 1, std::memory_order_relaxed);
                reads.fetch_add(1, std::memory_order_relaxed);
            }
        }
    };
    {
        std::vector<std::jthread> threads;
        for (const uint64_t seed : {1, 2}) { threads.emplace_back(read, seed); }
        // Also when the test fails meanwhile.
        struct End {
            std::atomic<bool>& ends;
            ~End() { ends = true; }
        } const end{ends};
        std::mt19937_64 random{7};
        EngineModel model{NodeHash::blake3};
        const FileCareFigures& figures = *options.care.figures;
        uint64_t height = 0;
        // As long as it takes until enough was rewritten and read beside it.
        while (figures.rewritten.value() < 12 || figures.scrub_passes.value() < 2 ||
               reads.load() < 200) {
            ++height;
            const Block block = narrow_block(model, height < 4 ? 90 : 2, height < 4 ? 0 : 90,
                                             height % 3 == 0, random);
            const Hash256 root = model.apply(height, block);
            ASSERT_EQ(engine->apply(height, writes_of(block)).value(), root);
            const auto committed = engine->commit();
            ASSERT_TRUE(committed) << committed.error().message;
            if (height % 4 == 0) {
                auto next = std::make_shared<const Shown>(Shown{engine->snapshot().value(), model});
                const std::scoped_lock lock{mutex};
                shown = std::move(next);
            }
            if (height % 16 == 0) { ASSERT_TRUE(engine->prune()); }
        }
    }
    EXPECT_EQ(wrong.load(), 0u);
    EXPECT_EQ(options.care.figures->errors.value(), 0u);
    shown.reset();
    const auto entries = engine->verify_chunks();
    EXPECT_TRUE(entries) << entries.error().message;
}

TEST(EngineScrub, DamageStopsTheEngineAndIsNamed) {
    Mixed mixed;
    ASSERT_GT(mixed.rewritten.size(), 1u);
    ASSERT_GT(mixed.plain.size(), 1u);
    for (const std::string& path : {mixed.rewritten.back(), mixed.plain.front()}) {
        SCOPED_TRACE(path);
        const auto disk = mixed.disk.clone();
        EngineOptions options = mixed.options;
        options.care.rewrite = false;
        options.care.background = true;
        options.care.scrub_bytes_per_s = uint64_t{1} << 40;
        options.care.scrub_pause_s = 0;
        options.care.figures = fresh_figures();
        auto engine = open(*disk, options).value();
        const FileCareFigures& figures = *options.care.figures;
        while (figures.scrub_passes.value() < 1) {
            std::this_thread::sleep_for(std::chrono::milliseconds{1});
        }
        EXPECT_GT(figures.scrubbed_bytes.value(), 0u);
        EXPECT_NE(figures.scrub_last_pass.value(), 0);
        EXPECT_EQ(figures.errors.value(), 0u);
        disk->flip_bit(path, 9000, 2);
        while (figures.errors.value() == 0) {
            std::this_thread::sleep_for(std::chrono::milliseconds{1});
        }
        ASSERT_TRUE(engine->apply(1000, {}));
        const auto committed = engine->commit();
        ASSERT_FALSE(committed);
        EXPECT_EQ(committed.error().code, ErrorCode::corrupt);
        EXPECT_NE(committed.error().message.find(path), std::string::npos);
        EXPECT_EQ(engine->get(Hash256{}).error().code, ErrorCode::corrupt);
    }
}

}  // namespace
}  // namespace millrace::storage::qmdb
