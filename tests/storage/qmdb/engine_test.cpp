// SPDX-License-Identifier: Apache-2.0
// Owns the tests of the state engine: the model as oracle for roots and values, proofs of every
// key, restarts, refusals, damage.
#include "storage/qmdb/engine.hpp"

#include <gtest/gtest.h>

#include "tests/storage/qmdb/engine_model.hpp"
#include "tests/storage/scratch_directory.hpp"
#include "tests/storage/simulated_disk.hpp"

namespace millrace::storage::qmdb {
namespace {

using kernels::NodeHash;

const std::string directory = "/db/state";

EngineOptions small_options(NodeHash hash = NodeHash::blake3) {
    EngineOptions o;
    o.hash = hash;
    o.log.segment_bytes = uint64_t{1} << 20;
    return o;
}

Result<std::unique_ptr<Engine>> open(FileSystem& fs, const EngineOptions& options,
                                     const std::string& where = directory) {
    return Engine::open(fs, where, options, make_pwrite_log_writer("test"));
}

void expect_block(Engine& engine, EngineModel& model, uint64_t height, const Block& block) {
    const auto root = engine.apply(height, writes_of(block));
    ASSERT_TRUE(root) << root.error().message;
    ASSERT_EQ(*root, model.apply(height, block)) << "height " << height;
    const auto committed = engine.commit();
    ASSERT_TRUE(committed) << committed.error().message;
}

/// The value by get() and the verified proof, through its encoding.
void expect_key(Engine& engine, const EngineModel& model, const StateVerifier& verifier,
                const Hash256& key) {
    const auto expected = model.get(key);
    EXPECT_EQ(engine.get(key).value(), expected);
    const auto proof = engine.prove(key);
    ASSERT_TRUE(proof) << proof.error().message;
    Bytes encoded;
    encode_state_proof(*proof, encoded);
    const auto decoded = decode_state_proof(encoded);
    ASSERT_TRUE(decoded) << decoded.error().message;
    ASSERT_EQ(*decoded, *proof);
    const auto proven = verifier.verify(engine.root(), key, *decoded);
    ASSERT_TRUE(proven) << proven.error().message;
    ASSERT_EQ(proven->has_value(), expected.has_value());
    if (expected) { EXPECT_TRUE(std::ranges::equal(**proven, *expected)); }
}

class EngineHash : public testing::TestWithParam<NodeHash> {};
INSTANTIATE_TEST_SUITE_P(Engine, EngineHash,
                         testing::Values(NodeHash::keccak256, NodeHash::sha256, NodeHash::blake3),
                         [](const auto& test) { return std::string{to_string(test.param)}; });

TEST_P(EngineHash, AgreesWithTheModelOverBlocksAndRestarts) {
    std::mt19937_64 random{11};
    SimulatedDisk disk;
    EngineModel model{GetParam()};
    const StateVerifier verifier{GetParam()};
    auto engine = open(disk, small_options(GetParam())).value();
    for (uint64_t height = 1; height <= 48; ++height) {
        const unsigned creates = height < 20 ? 8 : height < 40 ? 3 : 0;
        const Block block = random_block(model, random() % 60, creates, random);
        ASSERT_NO_FATAL_FAILURE(expect_block(*engine, model, height, block));
        for (const auto& [key, value] : block) {
            if (random() % 8 == 0) { expect_key(*engine, model, verifier, key); }
        }
        expect_key(*engine, model, verifier, random_key(random));
        if (height % 12 == 0) {
            const Hash256 root = engine->root();
            engine.reset();
            auto again = open(disk, small_options(GetParam()));
            ASSERT_TRUE(again) << again.error().message;
            engine = *std::move(again);
            EXPECT_EQ(engine->root(), root);
            EXPECT_EQ(engine->height(), height);
        }
    }
    EXPECT_EQ(engine->stats().key_count, model.keys().size());
    for (const Hash256& key : model.keys()) { expect_key(*engine, model, verifier, key); }
}

/// Keys of two shards, so that these become long. A quarter of the keys is never written again, so
/// that compaction has to move them; of the others some come and go.
Block crowded_block(const EngineModel& model, size_t creates, size_t updates,
                    std::mt19937_64& random) {
    Block block;
    while (block.size() < creates) {
        Hash256 key = random_key(random);
        key[0] = key[0] % 4 == 0 ? 3 : 0x53;
        block[key] = Bytes(random() % 100, 1);
    }
    for (size_t i = 0; i < updates; ++i) {
        const Hash256 key = model.any_key(random).value();
        if (key[31] % 4 == 0) { continue; }
        block[key] = Bytes(random() % 100, static_cast<uint8_t>(random()));
        if (random() % 60 == 0) { block[key] = std::nullopt; }
    }
    return block;
}

TEST(Engine, CompactionFollowsItsRule) {
    std::mt19937_64 random{12};
    SimulatedDisk disk;
    EngineModel model{NodeHash::blake3};
    const StateVerifier verifier{NodeHash::blake3};
    auto engine = open(disk, small_options()).value();
    for (uint64_t height = 1; height <= 150; ++height) {
        const bool begin = height < 3;
        const Block block = crowded_block(model, begin ? 120 : 3, begin ? 0 : 250, random);
        ASSERT_NO_FATAL_FAILURE(expect_block(*engine, model, height, block));
    }
    EXPECT_GT(model.compacted(), 40u);
    EXPECT_EQ(engine->stats().compacted_count, model.compacted());
    for (const Hash256& key : model.keys()) { expect_key(*engine, model, verifier, key); }
    EXPECT_EQ(open(disk, small_options()).value()->root(), engine->root());
}

TEST(Engine, CompactionMovesAtMostAsManyAsTheBlockAppends) {
    std::mt19937_64 random{23};
    SimulatedDisk disk;
    EngineModel model{NodeHash::blake3};
    auto engine = open(disk, small_options()).value();
    const auto keys = [&](size_t count) {
        std::vector<Hash256> out(count);
        for (Hash256& key : out) {
            key = random_key(random);
            key[0] = 0x91;
        }
        return out;
    };
    // All that was written first is still alive when the span is long enough.
    const std::vector<Hash256> cold = keys(350);
    const std::vector<Hash256> hot = keys(100);
    for (uint64_t height = 1; height <= 48; ++height) {
        Block block;
        for (const Hash256& key : height == 1 ? cold : hot) {
            block[key] = Bytes{static_cast<uint8_t>(height)};
        }
        ASSERT_NO_FATAL_FAILURE(expect_block(*engine, model, height, block));
        EXPECT_EQ(engine->stats().compacted_count, model.compacted());
    }
    EXPECT_GT(model.compacted(), 300u);
}

TEST(Engine, PruningAndRestartsChangeNothing) {
    std::mt19937_64 random{21};
    SimulatedDisk whole_disk;
    SimulatedDisk pruned_disk;
    EngineOptions options = small_options();
    options.log.segment_bytes = uint64_t{1} << 19;
    options.history_blocks = 0;
    auto whole = open(whole_disk, options).value();
    auto pruned = open(pruned_disk, options).value();
    std::vector<Hash256> keys(1600);
    for (Hash256& key : keys) { key = random_key(random); }
    std::map<Hash256, std::optional<Bytes>> values;
    size_t removed = 0;
    for (uint64_t height = 1; height <= 465; ++height) {
        Block block;
        for (size_t i = 0; i < 200; ++i) {
            // The last sixteenth is written in the first blocks only.
            const Hash256& key = keys[random() % (height < 25 ? keys.size() : 1500)];
            block[key] = Bytes(random() % 40, static_cast<uint8_t>(random()));
            if (random() % 50 == 0) { block[key] = std::nullopt; }
        }
        for (const auto& [key, value] : block) { values[key] = value; }
        const Hash256 root = whole->apply(height, writes_of(block)).value();
        ASSERT_EQ(pruned->apply(height, writes_of(block)).value(), root);
        ASSERT_TRUE(whole->commit());
        ASSERT_TRUE(pruned->commit());
        if (height % 3 == 0) { removed += pruned->prune().value(); }
        if (height % 75 == 0) {
            const uint64_t operations = pruned_disk.operation_count();
            EXPECT_EQ(pruned->prune().value(), 0u);
            EXPECT_EQ(pruned_disk.operation_count(), operations);
            pruned = nullptr;
            auto again = open(pruned_disk, options);
            ASSERT_TRUE(again) << again.error().message;
            pruned = *std::move(again);
            ASSERT_EQ(pruned->root(), root);
        }
    }
    EXPECT_GT(removed, 1u);
    EXPECT_GT(whole->stats().compacted_count, 50u);
    const StateVerifier verifier{NodeHash::blake3};
    for (const Hash256& key : keys) {
        const auto& expected = values[key];
        EXPECT_EQ(pruned->get(key).value(), expected);
        const auto proof = pruned->prove(key);
        ASSERT_TRUE(proof) << proof.error().message;
        ASSERT_EQ(*proof, whole->prove(key).value());
        const auto proven = verifier.verify(whole->root(), key, *proof);
        ASSERT_TRUE(proven) << proven.error().message;
        EXPECT_EQ(proven->has_value(), expected.has_value());
    }
}

TEST(Engine, BackEndsAndFileSizesAndMappingsChangeNoRoot) {
    std::mt19937_64 random{13};
    const ScratchDirectory scratch;
    const auto fs = make_posix_file_system();
    EngineModel model{NodeHash::keccak256};
    std::vector<std::unique_ptr<Engine>> engines;
    for (int i = 0; i < 4; ++i) {
        EngineOptions o = small_options(NodeHash::keccak256);
        if (i == 1) { o.backend = kernels::Backend::scalar; }
        if (i == 2) { o.log.segment_bytes *= 2; }
        if (i == 3) { o.log.map = false; }
        engines.push_back(open(*fs, o, scratch.path() + "/" + std::to_string(i)).value());
    }
    for (uint64_t height = 1; height <= 12; ++height) {
        const Block block = random_block(model, 200, height < 6 ? 9 : 2, random);
        const Hash256 root = model.apply(height, block);
        for (auto& engine : engines) {
            ASSERT_EQ(engine->apply(height, writes_of(block)).value(), root);
            ASSERT_TRUE(engine->commit());
        }
    }
    for (const Hash256& key : model.keys()) {
        for (auto& engine : engines) { EXPECT_EQ(engine->get(key).value(), model.get(key)); }
    }
}

TEST(Engine, AStartTellsHowFarItIsAndTakesAnyNumberOfThreads) {
    std::mt19937_64 random{24};
    SimulatedDisk disk;
    EngineModel model{NodeHash::blake3};
    EngineOptions options = small_options();
    options.log.segment_bytes = uint64_t{1} << 18;
    auto engine = open(disk, options).value();
    for (uint64_t height = 1; height <= 30; ++height) {
        ASSERT_NO_FATAL_FAILURE(
            expect_block(*engine, model, height, random_block(model, 90, 6, random)));
    }
    engine = nullptr;
    for (const unsigned threads : {1u, 3u, 16u, 0u}) {
        std::vector<RecoveryProgress> seen;
        options.recovery_threads = threads;
        options.progress = [&](const RecoveryProgress& p) { seen.push_back(p); };
        engine = open(disk, options).value();
        EXPECT_EQ(engine->stats().key_count, model.keys().size());
        for (const Hash256& key : model.keys()) {
            ASSERT_EQ(engine->get(key).value(), model.get(key));
        }
        engine = nullptr;
        uint64_t bytes = 0;
        uint64_t shards = 0;
        for (const RecoveryProgress& p : seen) {
            uint64_t& done = p.stage == RecoveryStage::log ? bytes : shards;
            EXPECT_GT(p.done, done);
            EXPECT_LE(p.done, p.total);
            done = p.done;
            if (p.stage == RecoveryStage::log) { EXPECT_EQ(shards, 0u); }
        }
        EXPECT_GE(bytes, 2 * options.log.segment_bytes);
        if (threads == 1) { EXPECT_EQ(shards, shard_count); }
    }
}

TEST(Engine, WritesThatChangeNothingLeaveNoTrace) {
    std::mt19937_64 random{14};
    SimulatedDisk disk;
    EngineModel model{NodeHash::blake3};
    auto engine = open(disk, small_options()).value();
    ASSERT_NO_FATAL_FAILURE(expect_block(*engine, model, 1, random_block(model, 80, 9, random)));
    const Hash256 root = engine->root();
    const uint64_t serials = engine->stats().serial_count;
    Block idle;
    for (const Hash256& key : model.keys()) { idle[key] = model.get(key); }
    for (int i = 0; i < 20; ++i) { idle[random_key(random)] = std::nullopt; }
    EXPECT_EQ(engine->apply(2, writes_of(idle)).value(), root);
    ASSERT_TRUE(engine->commit());
    EXPECT_EQ(engine->apply(3, {}).value(), root);
    ASSERT_TRUE(engine->commit());
    EXPECT_EQ(engine->stats().serial_count, serials);
    engine = open(disk, small_options()).value();
    EXPECT_EQ(engine->height(), 3u);
}

TEST(Engine, ReadsAndProvesABlockThatWaitsForItsCommit) {
    std::mt19937_64 random{15};
    SimulatedDisk disk;
    EngineModel model{NodeHash::sha256};
    const StateVerifier verifier{NodeHash::sha256};
    auto engine = open(disk, small_options(NodeHash::sha256)).value();
    for (uint64_t height = 1; height <= 3; ++height) {
        const Block block = random_block(model, 60, 7, random);
        ASSERT_EQ(engine->apply(height, writes_of(block)).value(), model.apply(height, block));
        for (const auto& [key, value] : block) { expect_key(*engine, model, verifier, key); }
        ASSERT_TRUE(engine->commit());
        ASSERT_TRUE(engine->commit());  // nothing waits
        for (const auto& [key, value] : block) { expect_key(*engine, model, verifier, key); }
    }
}

TEST(Engine, ManyKeysWithOnePredecessorAndTheirRemoval) {
    std::mt19937_64 random{16};
    SimulatedDisk disk;
    EngineModel model{NodeHash::blake3};
    const StateVerifier verifier{NodeHash::blake3};
    auto engine = open(disk, small_options()).value();
    const Hash256 base = random_key(random);
    // They share 24, 64 or 192 bits; the last ones have equal links.
    for (const size_t shared : {3, 8, 24}) {
        Block block;
        for (int i = 0; i < 100; ++i) {
            Hash256 key = random_key(random);
            std::copy_n(base.begin(), shared, key.bytes.begin());
            block[key] = Bytes{1, static_cast<uint8_t>(i)};
        }
        ASSERT_NO_FATAL_FAILURE(expect_block(*engine, model, engine->height() + 1, block));
        for (const auto& [key, value] : block) {
            expect_key(*engine, model, verifier, key);
            Hash256 other = key;
            other[23] ^= 1;  // within a link nothing can be told apart
            expect_key(*engine, model, verifier, other);
        }
    }
    Block removal;
    for (const Hash256& key : model.keys()) {
        if (random() % 8 != 0) { removal[key] = std::nullopt; }
    }
    ASSERT_NO_FATAL_FAILURE(expect_block(*engine, model, engine->height() + 1, removal));
    for (const auto& [key, value] : removal) { EXPECT_EQ(engine->get(key).value(), std::nullopt); }
    removal.clear();
    for (const Hash256& key : model.keys()) { removal[key] = std::nullopt; }
    ASSERT_NO_FATAL_FAILURE(expect_block(*engine, model, engine->height() + 1, removal));
    EXPECT_EQ(engine->stats().key_count, 0u);
    for (int i = 0; i < 20; ++i) { expect_key(*engine, model, verifier, random_key(random)); }
}

TEST(Engine, RefusesABlockWithoutAnyChange) {
    std::mt19937_64 random{17};
    SimulatedDisk disk;
    EngineModel model{NodeHash::blake3};
    EngineOptions options = small_options();
    options.log.segment_bytes = uint64_t{1} << 18;
    auto engine = open(disk, options).value();
    EXPECT_EQ(engine->prove(random_key(random)).error().code, ErrorCode::not_found);
    ASSERT_NO_FATAL_FAILURE(expect_block(*engine, model, 5, random_block(model, 30, 9, random)));

    const Bytes small{1};
    const Bytes large(entry_value_bytes_max + 1);
    Hash256 low = random_key(random);
    Hash256 high = low;
    low[0] = 0x10;
    high[0] = 0x20;
    Hash256 reserved = sentinel_key(7);
    reserved[31] = 1;
    const auto code = [&](uint64_t height, std::vector<StateWrite> writes) {
        return engine->apply(height, writes).error().code;
    };
    EXPECT_EQ(code(5, {}), ErrorCode::invalid_input);
    EXPECT_EQ(code(6, {{high, small}, {low, small}}), ErrorCode::invalid_input);
    EXPECT_EQ(code(6, {{low, small}, {low, small}}), ErrorCode::invalid_input);
    EXPECT_EQ(code(6, {{reserved, small}}), ErrorCode::invalid_input);
    EXPECT_EQ(code(6, {{low, large}}), ErrorCode::invalid_input);
    EXPECT_EQ(engine->prove(reserved).error().code, ErrorCode::invalid_input);
    EXPECT_EQ(engine->get(reserved).value(), std::nullopt);
    Block many;
    while (many.size() <= engine->writes_max()) { many[random_key(random)] = small; }
    EXPECT_EQ(code(6, writes_of(many)), ErrorCode::limit);
    many.erase(many.begin());
    ASSERT_NO_FATAL_FAILURE(expect_block(*engine, model, 6, many));

    const std::vector<StateWrite> one{{low, small}};
    ASSERT_TRUE(engine->apply(7, one));
    EXPECT_EQ(code(8, {}), ErrorCode::conflict);
    EXPECT_EQ(engine->prune().error().code, ErrorCode::conflict);
}

TEST(Engine, TheLargestBlockOfTheLargestValuesFitsASegment) {
    std::mt19937_64 random{18};
    SimulatedDisk disk;
    EngineModel model{NodeHash::blake3};
    EngineOptions options = small_options();
    options.log.segment_bytes = uint64_t{1} << 17;
    auto engine = open(disk, options).value();
    const Bytes large(entry_value_bytes_max, 7);
    for (uint64_t height = 1; height <= 4; ++height) {
        Block block;
        while (block.size() < engine->writes_max()) { block[random_key(random)] = large; }
        ASSERT_NO_FATAL_FAILURE(expect_block(*engine, model, height, block));
    }
}

TEST(Engine, AFullDiskIsNotFinal) {
    std::mt19937_64 random{19};
    SimulatedDisk disk;
    EngineModel model{NodeHash::blake3};
    EngineOptions options = small_options();
    options.log.segment_bytes = uint64_t{1} << 18;
    auto engine = open(disk, options).value();
    disk.set_free_bytes(uint64_t{1} << 17);
    uint64_t full = 0;
    for (uint64_t height = 1; height <= 40; ++height) {
        const Block block = random_block(model, 90, 6, random);
        ASSERT_EQ(engine->apply(height, writes_of(block)).value(), model.apply(height, block));
        while (true) {
            const auto committed = engine->commit();
            if (committed) { break; }
            ASSERT_EQ(committed.error().code, ErrorCode::limit);
            ++full;
            for (const auto& [key, value] : block) {
                EXPECT_EQ(engine->get(key).value(), model.get(key));
            }
            disk.set_free_bytes(uint64_t{1} << 18);
        }
    }
    EXPECT_GT(full, 0u);
    EXPECT_EQ(open(disk, options).value()->root(), engine->root());
}

TEST(Engine, DamageThatAppearsWhileItRunsIsNeverServed) {
    std::mt19937_64 random{20};
    SimulatedDisk disk;
    EngineModel model{NodeHash::blake3};
    auto engine = open(disk, small_options()).value();
    ASSERT_NO_FATAL_FAILURE(expect_block(*engine, model, 1, random_block(model, 100, 10, random)));
    const std::string path = directory + "/entries-000000000000";
    const size_t bytes = disk.content(path).size();
    size_t end = bytes;
    const Bytes content = disk.content(path);
    while (content[end - 1] == 0) { --end; }
    for (uint64_t at = 8192; at < end; at += 1 + random() % 40) {
        const unsigned bit = random() % 8;
        disk.flip_bit(path, at, bit);
        for (const Hash256& key : model.keys()) {
            const auto value = engine->get(key);
            if (value) { ASSERT_EQ(*value, model.get(key)) << at; }
        }
        disk.flip_bit(path, at, bit);
    }
    disk.fail_reads(path);
    EXPECT_EQ(engine->get(model.keys().front()).error().code, ErrorCode::io);
    const Bytes value{9};
    const std::vector<StateWrite> one{{model.keys().front(), value}};
    EXPECT_EQ(engine->apply(2, one).error().code, ErrorCode::io);
    EXPECT_EQ(engine->commit().error().code, ErrorCode::io);  // final
}

TEST(Engine, TheScrubberHashesEveryChunkAndNamesTheDamagedOne) {
    std::mt19937_64 random{24};
    SimulatedDisk disk;
    EngineModel model{NodeHash::blake3};
    auto engine = open(disk, small_options()).value();
    EXPECT_EQ(engine->verify_chunks().value(), 0u);
    for (uint64_t height = 1; height <= 20; ++height) {
        const Block block = crowded_block(model, 100, height < 3 ? 0 : 100, random);
        ASSERT_NO_FATAL_FAILURE(expect_block(*engine, model, height, block));
    }
    const uint64_t entries = engine->verify_chunks().value();
    EXPECT_GT(entries, 2000u);
    EXPECT_LE(entries, engine->stats().serial_count);
    const std::string path = directory + "/entries-000000000000";
    size_t found = 0;
    for (int i = 0; i < 40; ++i) {
        const uint64_t at = 8192 + random() % 100'000;
        disk.flip_bit(path, at, 5);
        if (const auto damaged = engine->verify_chunks(); !damaged) {
            EXPECT_EQ(damaged.error().code, ErrorCode::corrupt);
            EXPECT_NE(damaged.error().message.find("entries-000000000000 at offset"),
                      std::string::npos)
                << damaged.error().message;
            ++found;
        }
        disk.flip_bit(path, at, 5);
    }
    EXPECT_GT(found, 20u);  // the rest is between entries
    EXPECT_EQ(engine->verify_chunks().value(), entries);
}

TEST(Engine, RefusesALogWhoseContentHasAnotherRoot) {
    std::mt19937_64 random{22};
    SimulatedDisk disk;
    EngineModel model{NodeHash::blake3};
    auto engine = open(disk, small_options()).value();
    Block block;
    while (block.size() < 300) {
        Hash256 key = random_key(random);
        key[0] = 0x47;
        block[key] = Bytes{1, 2, 3};
    }
    ASSERT_NO_FATAL_FAILURE(expect_block(*engine, model, 1, block));
    engine = nullptr;
    ASSERT_TRUE(open(disk, small_options()));
    // Sealed anew, the frame passes its checks: a root of a chunk, a bit of an open chunk's entry.
    const std::string path = directory + "/entries-000000000000";
    const Bytes content = disk.content(path);
    const Frame frame = read_frame(ByteView{content}.subspan(frame_alignment_bytes));
    ASSERT_EQ(frame.state, FrameState::valid);
    const uint64_t payload_bytes = frame.header.payload_bytes;
    for (const uint64_t at : {payload_bytes - 5, shard_count * uint64_t{24} + 40}) {
        Bytes bad(content.begin() + frame_alignment_bytes, content.end());
        bad[sizeof(FrameHeader) + at] ^= 1;
        seal_frame(frame.header, payload_bytes, bad.data());
        ASSERT_EQ(read_frame(bad).state, FrameState::valid);
        const auto copy = disk.clone();
        ASSERT_TRUE(
            (*copy->open(path, OpenMode::read_write))->write_at(frame_alignment_bytes, bad));
        EXPECT_EQ(open(*copy, small_options()).error().code, ErrorCode::corrupt) << at;
    }
}

TEST(Engine, RefusesTheLogOfAnotherHash) {
    SimulatedDisk disk;
    ASSERT_TRUE(open(disk, small_options(NodeHash::keccak256)));
    EXPECT_EQ(open(disk, small_options(NodeHash::sha256)).error().code, ErrorCode::config);
}

}  // namespace
}  // namespace millrace::storage::qmdb
