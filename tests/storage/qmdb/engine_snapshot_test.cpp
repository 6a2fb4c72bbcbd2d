// SPDX-License-Identifier: Apache-2.0
// Owns the tests of snapshots: each beside the model of its height while the engine goes on, on
// other threads, and after its block was taken back.
#include "storage/qmdb/snapshot.hpp"

#include <atomic>
#include <mutex>
#include <thread>

#include <gtest/gtest.h>

#include "storage/qmdb/detail/state_reader.hpp"
#include "tests/storage/qmdb/engine_model.hpp"
#include "tests/storage/qmdb/past_states.hpp"
#include "tests/storage/scratch_directory.hpp"
#include "tests/storage/simulated_disk.hpp"

namespace millrace::storage::qmdb {
namespace {

using kernels::NodeHash;
using Snapshot = std::shared_ptr<const StateSnapshot>;

EngineOptions small_options() {
    EngineOptions o;
    o.hash = NodeHash::blake3;
    o.backend = kernels::Backend::scalar;
    o.history_blocks = 4;
    o.log.segment_bytes = uint64_t{1} << 19;
    return o;
}

Result<std::unique_ptr<Engine>> open(FileSystem& fs, const std::string& directory) {
    return Engine::open(fs, directory, small_options(), make_pwrite_log_writer("test"));
}

struct Held {
    Snapshot snapshot;
    EngineModel model{NodeHash::blake3};
    Hash256 root;
    uint64_t height = 0;
};

void expect_state(const Held& held, std::span<const Hash256> keys) {
    const StateVerifier verifier{NodeHash::blake3};
    ASSERT_EQ(held.snapshot->height(), held.height);
    ASSERT_EQ(held.snapshot->root(), held.root);
    std::vector<Hash256> sorted{keys.begin(), keys.end()};
    std::ranges::sort(sorted);
    sorted.erase(std::unique(sorted.begin(), sorted.end()), sorted.end());
    for (const Hash256& key : sorted) {
        const auto expected = held.model.get(key);
        ASSERT_EQ(held.snapshot->get(key).value(), expected);
        const auto proof = held.snapshot->prove(key);
        ASSERT_TRUE(proof) << proof.error().message;
        const auto proven = verifier.verify(held.root, key, *proof);
        ASSERT_TRUE(proven) << proven.error().message;
        ASSERT_EQ(proven->has_value(), expected.has_value());
        if (expected) { ASSERT_TRUE(std::ranges::equal(**proven, *expected)); }
        ASSERT_EQ(held.snapshot->get_at(key, held.height).value(), expected);
    }
    const auto proof = held.snapshot->prove(sorted);
    ASSERT_TRUE(proof) << proof.error().message;
    ASSERT_TRUE(StateMultiproofVerifier{NodeHash::blake3}.verify(held.root, sorted, *proof));
}

TEST(EngineSnapshot, StaysWhatItWasWhileTheEngineGoesOn) {
    std::mt19937_64 random{1};
    SimulatedDisk disk;
    EngineModel model{NodeHash::blake3};
    auto engine = open(disk, "/db/state").value();
    EXPECT_EQ(engine->snapshot().error().code, ErrorCode::not_found);
    std::vector<Held> held;
    std::vector<Hash256> seen;
    for (uint64_t height = 1; height <= 60; ++height) {
        // Many creates at first, so that pages split; then many removals, so that they merge.
        const unsigned creates = height < 20 ? 9 : 1;
        Block block = random_block(model, 90, creates, random);
        if (height > 38) {
            for (int i = 0; i < 40; ++i) {
                if (const auto key = model.any_key(random)) { block[*key] = std::nullopt; }
            }
        }
        for (const auto& [key, value] : block) { seen.push_back(key); }
        const Hash256 root = engine->apply(height, writes_of(block)).value();
        ASSERT_EQ(root, model.apply(height, block));
        EXPECT_EQ(engine->snapshot().error().code, ErrorCode::conflict);
        ASSERT_TRUE(engine->commit());
        if (random() % 3 == 0) {
            held.push_back({engine->snapshot().value(), model, root, height});
            EXPECT_EQ(engine->snapshot().value(), held.back().snapshot);
        }
        while (!held.empty() && random() % 4 == 0) {
            held.erase(held.begin() + static_cast<ptrdiff_t>(random() % held.size()));
        }
        if (random() % 5 == 0) { ASSERT_TRUE(engine->prune()); }
        for (const Held& h : held) {
            ASSERT_NO_FATAL_FAILURE(expect_state(h, some_keys(h.model, seen, random)))
                << h.height << " at " << height;
            // And what it knows of the earlier heights that are held.
            for (const Held& earlier : held) {
                if (earlier.height > h.height || earlier.height < h.snapshot->oldest_height()) {
                    continue;
                }
                ASSERT_NO_FATAL_FAILURE(expect_past(*h.snapshot, earlier.model, earlier.root,
                                                    earlier.height,
                                                    some_keys(earlier.model, seen, random)))
                    << earlier.height << " of " << h.height << " at " << height;
            }
        }
        // The tip too, in spite of what snapshots share with it.
        for (const Hash256& key : some_keys(model, seen, random)) {
            ASSERT_EQ(engine->get(key).value(), model.get(key));
        }
    }
}

/// The proofs of an earlier state are those that it had itself, byte for byte.
TEST(EngineSnapshot, ProvesEarlierStatesAsTheyProvedThemselves) {
    for (uint64_t seed = 1; seed <= 4; ++seed) {
        SCOPED_TRACE(seed);
        std::mt19937_64 random{seed};
        SimulatedDisk disk;
        EngineOptions options = small_options();
        options.history_blocks = 1000;
        options.log.segment_bytes = uint64_t{2} << 20;
        auto engine =
            Engine::open(disk, "/db/state", options, make_pwrite_log_writer("test")).value();
        EngineModel model{NodeHash::blake3};
        struct Then {
            EngineModel model;
            Hash256 root;
            uint64_t height;
            std::map<Hash256, StateProof> proofs;
            std::vector<Hash256> keys;
            std::optional<StateMultiproof> together;
        };
        std::vector<Then> states;
        // Once with so few keys that entries are moved.
        std::vector<Hash256> few(300);
        for (Hash256& key : few) {
            key = random_key(random);
            key[0] = 0x70;
        }
        uint64_t height = 0;
        const auto few_keys = [&] {
            Block block;
            for (int i = 0; i < 120; ++i) {
                const Hash256& key = few[random() % (height < 10 ? 300 : 250)];
                block[key] = Bytes(random() % 90, static_cast<uint8_t>(random()));
                if (random() % 8 == 0) { block[key] = std::nullopt; }
            }
            return block;
        };
        std::vector<Hash256> seen;
        const size_t blocks = seed == 1 ? 100 : 40;
        for (size_t i = 0; i < blocks; ++i) {
            height += 1 + random() % 3;
            const Block block = seed == 1 ? few_keys() : random_block(model, 70, 3, random);
            for (const auto& [key, value] : block) { seen.push_back(key); }
            const Hash256 root = engine->apply(height, writes_of(block)).value();
            ASSERT_EQ(root, model.apply(height, block));
            ASSERT_TRUE(engine->commit());
            if (i % (blocks / 20) != 0) { continue; }
            const auto snapshot = engine->snapshot().value();
            Then then{model, root, height, {}, some_keys(model, seen, random), {}};
            std::ranges::sort(then.keys);
            then.keys.erase(std::unique(then.keys.begin(), then.keys.end()), then.keys.end());
            for (const Hash256& key : then.keys) {
                then.proofs[key] = snapshot->prove(key).value();
            }
            then.together = snapshot->prove(then.keys).value();
            states.push_back(std::move(then));
        }
        if (seed == 1) { EXPECT_GT(engine->stats().compacted_count, 0u); }
        const auto expect_all = [&](const StateSnapshot& snapshot) {
            for (const Then& then : states) {
                ASSERT_NO_FATAL_FAILURE(expect_past(snapshot, then.model, then.root, then.height,
                                                    some_keys(then.model, seen, random)))
                    << then.height;
                for (const auto& [key, proof] : then.proofs) {
                    ASSERT_EQ(snapshot.prove_at(key, then.height).value(), proof);
                }
                ASSERT_EQ(snapshot.prove_at(then.keys, then.height).value(), *then.together);
            }
        };
        ASSERT_NO_FATAL_FAILURE(expect_all(*engine->snapshot().value()));
        // After a start too, and when blocks were taken back: it is all in the log.
        engine.reset();
        engine = Engine::open(disk, "/db/state", options, make_pwrite_log_writer("test")).value();
        ASSERT_NO_FATAL_FAILURE(expect_all(*engine->snapshot().value()));
        const uint64_t kept = states[states.size() / 2].height;
        ASSERT_TRUE(engine->rollback(kept));
        std::erase_if(states, [&](const Then& then) { return then.height > kept; });
        const Block other = random_block(states.back().model, 50, 5, random);
        ASSERT_TRUE(engine->apply(kept + 1, writes_of(other)));
        ASSERT_TRUE(engine->commit());
        ASSERT_NO_FATAL_FAILURE(expect_all(*engine->snapshot().value()));
    }
}

TEST(EngineSnapshot, RefusesPastStatesThatAreNotThereOrTooFarBack) {
    std::mt19937_64 random{5};
    SimulatedDisk disk;
    EngineOptions options = small_options();
    options.log.segment_bytes = uint64_t{1} << 18;
    options.past_proof_bytes_max = 40'000;
    auto engine = Engine::open(disk, "/db/state", options, make_pwrite_log_writer("test")).value();
    std::vector<Hash256> keys(40);
    for (Hash256& key : keys) { key = random_key(random); }
    const auto commit = [&](uint64_t height) {
        Block block;
        for (const Hash256& key : keys) { block[key] = Bytes(60, static_cast<uint8_t>(height)); }
        ASSERT_TRUE(engine->apply(height, writes_of(block)));
        ASSERT_TRUE(engine->commit());
    };
    for (uint64_t height = 10; height < 110; ++height) { ASSERT_NO_FATAL_FAILURE(commit(height)); }
    auto snapshot = engine->snapshot().value();
    const auto code = [&](uint64_t height) {
        const auto one = snapshot->prove_at(keys[0], height);
        std::vector<Hash256> sorted = keys;
        std::ranges::sort(sorted);
        const auto many = snapshot->prove_at(sorted, height);
        EXPECT_EQ(one.has_value(), many.has_value());
        return one ? std::nullopt : std::optional{one.error().code};
    };
    EXPECT_EQ(code(109), std::nullopt);
    EXPECT_EQ(code(108), std::nullopt);
    EXPECT_EQ(code(110), ErrorCode::not_found) << "not there yet";
    EXPECT_EQ(code(9), ErrorCode::not_found) << "before the first block";
    EXPECT_EQ(code(10), ErrorCode::limit);
    EXPECT_NE(snapshot->prove_at(keys[0], 10).error().message.find("ask for a newer state"),
              std::string::npos);
    // Values have a bound of their own.
    uint64_t budget = 31;
    EXPECT_EQ(snapshot->get_at(keys[0], 80, budget).value(), Bytes(60, 80));
    EXPECT_EQ(budget, 1u) << "thirty versions";
    EXPECT_EQ(snapshot->get_at(keys[0], 80, budget).error().code, ErrorCode::limit);
    // A key that never was costs one read, whatever else changed.
    Hash256 beside = keys[0];
    beside[20] ^= 1;
    budget = 40;
    EXPECT_EQ(snapshot->get_at(beside, 10, budget).value(), std::nullopt);
    EXPECT_EQ(snapshot->root_at(9).value(), Hash256{});
    EXPECT_EQ(snapshot->root_at(110).error().code, ErrorCode::not_found);
    // What was taken back is gone for those who hold it.
    ASSERT_TRUE(engine->rollback(108));
    EXPECT_EQ(code(108), ErrorCode::conflict);
}

/// Keys that share their first bytes, live and ended, among crowds that came and went.
TEST(EngineSnapshot, ProvesEarlierStatesOfCrowdedKeys) {
    std::mt19937_64 random{6};
    SimulatedDisk disk;
    EngineOptions options = small_options();
    options.history_blocks = 100;
    options.log.segment_bytes = uint64_t{1} << 20;
    auto engine = Engine::open(disk, "/db/state", options, make_pwrite_log_writer("test")).value();
    EngineModel model{NodeHash::blake3};
    std::vector<Hash256> crowd;
    for (int i = 0; i < 1500; ++i) {
        Hash256 key = random_key(random);
        std::fill_n(key.data(), 12, uint8_t{0x35});
        crowd.push_back(key);
    }
    struct Then {
        EngineModel model;
        Hash256 root;
        uint64_t height;
    };
    std::vector<Then> states;
    for (uint64_t height = 1; height <= 12; ++height) {
        Block block;
        for (int i = 0; i < 300; ++i) {
            const Hash256& key = crowd[random() % crowd.size()];
            block[key] = Bytes(random() % 40, static_cast<uint8_t>(height));
            if (random() % (height < 6 ? 9 : 2) == 0) { block[key] = std::nullopt; }
        }
        const Hash256 root = engine->apply(height, writes_of(block)).value();
        ASSERT_EQ(root, model.apply(height, block));
        ASSERT_TRUE(engine->commit());
        states.push_back({model, root, height});
    }
    const auto snapshot = engine->snapshot().value();
    for (const Then& then : states) {
        std::vector<Hash256> keys;
        for (int i = 0; i < 24; ++i) {
            keys.push_back(crowd[random() % crowd.size()]);
            keys.push_back(keys.back());
            keys.back()[20] ^= 0x40;
        }
        ASSERT_NO_FATAL_FAILURE(
            expect_past(*snapshot, then.model, then.root, then.height, std::move(keys)))
            << then.height;
    }
}

TEST(EngineSnapshot, WhatItKeepsCountsAsMemoryUntilItIsLetGo) {
    std::mt19937_64 random{5};
    SimulatedDisk disk;
    EngineModel model{NodeHash::blake3};
    auto engine = open(disk, "/db/state").value();
    uint64_t height = 0;
    const auto write = [&] {
        Block block = random_block(model, 200, 5, random);
        ASSERT_TRUE(engine->apply(++height, writes_of(block)));
        model.apply(height, block);
        ASSERT_TRUE(engine->commit());
    };
    for (int i = 0; i < 4; ++i) { write(); }
    EXPECT_EQ(engine->stats().snapshot_bytes, 0u);
    Snapshot first = engine->snapshot().value();
    const uint64_t pointers = engine->stats().snapshot_bytes;
    EXPECT_GE(pointers, 16 * sizeof(void*)) << "of each shard's index";
    uint64_t before = pointers;
    std::vector<Snapshot> later;
    for (int i = 0; i < 3; ++i) {
        write();
        // At least one page of the index and one tile of 64 KiB.
        EXPECT_GT(engine->stats().snapshot_bytes, before + (64 << 10));
        before = engine->stats().snapshot_bytes;
        later.push_back(engine->snapshot().value());
    }
    const EngineStats s = engine->stats();
    EXPECT_EQ(s.memory_bytes(), s.index_bytes + s.tree_bytes + s.directory_bytes + s.block_bytes +
                                    s.snapshot_bytes + s.work_bytes);
    EXPECT_GT(s.block_bytes, 0u);
    EXPECT_GT(s.work_bytes, 0u);
    later.clear();
    first.reset();
    write();
    EXPECT_EQ(engine->stats().snapshot_bytes, 0u);
}

TEST(EngineSnapshot, FailsWhenItsBlockIsTakenBackAndStaysBelow) {
    std::mt19937_64 random{3};
    SimulatedDisk disk;
    EngineModel model{NodeHash::blake3};
    auto engine = open(disk, "/db/state").value();
    std::vector<Held> held;
    const auto grow = [&](uint64_t to) {
        for (uint64_t height = engine->height() + 1; height <= to; ++height) {
            const Block block = random_block(model, 60, height < 6 ? 9 : 2, random);
            const Hash256 root = engine->apply(height, writes_of(block)).value();
            ASSERT_EQ(root, model.apply(height, block));
            ASSERT_TRUE(engine->commit());
            held.push_back({engine->snapshot().value(), model, root, height});
        }
    };
    ASSERT_NO_FATAL_FAILURE(grow(12));
    ASSERT_TRUE(engine->rollback(7));
    for (size_t i = 7; i < 12; ++i) {
        const Hash256 key = random_key(random);
        EXPECT_EQ(held[i].snapshot->get(key).error().code, ErrorCode::conflict);
        EXPECT_EQ(held[i].snapshot->prove(key).error().code, ErrorCode::conflict);
    }
    held.resize(7);
    model = held.back().model;
    ASSERT_NO_FATAL_FAILURE(grow(14));
    for (const Held& h : held) {
        ASSERT_NO_FATAL_FAILURE(expect_state(h, h.model.keys())) << h.height;
    }
    // Taking back only the block that waits touches no snapshot.
    const Bytes value{1};
    const std::vector<StateWrite> one{{random_key(random), value}};
    ASSERT_TRUE(engine->apply(15, one));
    ASSERT_TRUE(engine->rollback(14));
    EXPECT_EQ(engine->snapshot().value(), held.back().snapshot);
    ASSERT_NO_FATAL_FAILURE(expect_state(held.back(), held.back().model.keys()));
}

TEST(EngineSnapshot, ReadsOtherEntriesOfTheSameNumbersAsAConflict) {
    SimulatedDisk disk;
    auto engine = open(disk, "/db/state").value();
    const auto key = [](uint8_t first) {
        Hash256 k;
        k[0] = first;
        k[31] = 1;
        return k;
    };
    const auto commit = [&](uint64_t height, const Block& block) {
        ASSERT_TRUE(engine->apply(height, writes_of(block)));
        ASSERT_TRUE(engine->commit());
    };
    // Block 2 moves the sentinel: the log of the other block 2 has key 5 under its serial number
    // and at its place.
    ASSERT_NO_FATAL_FAILURE(commit(1, {{key(5), Bytes(20, 1)}, {key(7), Bytes(20, 1)}}));
    ASSERT_NO_FATAL_FAILURE(commit(2, {{key(2), Bytes(40, 2)}}));
    const Snapshot snapshot = engine->snapshot().value();
    ASSERT_TRUE(engine->rollback(1));
    ASSERT_NO_FATAL_FAILURE(commit(2, {{key(5), Bytes(15, 3)}, {key(7), Bytes(25, 4)}}));
    Hash256 below;
    below[3] = 9;  // finds nothing before it in the index then
    for (const Hash256& asked : {below, key(2), key(5), key(7)}) {
        EXPECT_EQ(snapshot->get(asked).error().code, ErrorCode::conflict);
        EXPECT_EQ(snapshot->get_at(asked, 1).error().code, ErrorCode::conflict);
        EXPECT_EQ(snapshot->prove(asked).error().code, ErrorCode::conflict);
        EXPECT_EQ(snapshot->prove(std::vector{asked}).error().code, ErrorCode::conflict);
        EXPECT_EQ(snapshot->prove_at(asked, 1).error().code, ErrorCode::conflict);
        EXPECT_EQ(snapshot->prove_at(std::vector{asked}, 1).error().code, ErrorCode::conflict);
    }
}

/// Whatever is damaged: an earlier state is proven as it was, or not at all.
TEST(EngineSnapshot, ADamagedLogProvesNothingWrong) {
    std::mt19937_64 random{8};
    SimulatedDisk disk;
    EngineOptions options = small_options();
    options.history_blocks = 100;
    auto engine = Engine::open(disk, "/db/state", options, make_pwrite_log_writer("test")).value();
    EngineModel model{NodeHash::blake3};
    std::vector<Hash256> keys;
    std::vector<StateProof> proofs;
    for (uint64_t height = 1; height <= 10; ++height) {
        const Block block = random_block(model, 60, 4, random);
        ASSERT_EQ(engine->apply(height, writes_of(block)).value(), model.apply(height, block));
        ASSERT_TRUE(engine->commit());
        if (height != 4) { continue; }
        keys = some_keys(model, {}, random);
        const auto snapshot = engine->snapshot().value();
        for (const Hash256& key : keys) { proofs.push_back(snapshot->prove(key).value()); }
    }
    const std::string path = "/db/state/entries-000000000000";
    const Bytes content = disk.content(path);
    size_t used = content.size();
    while (content[used - 1] == 0) { --used; }
    uint64_t refused = 0;
    uint64_t proven = 0;
    for (int i = 0; i < 400; ++i) {
        const uint64_t at = random() % used;
        const auto bit = static_cast<unsigned>(random() % 8);
        disk.flip_bit(path, at, bit);
        // A snapshot of its own, so that the tree is made anew.
        const auto which = random() % keys.size();
        {
            auto snapshot = engine->snapshot().value();
            const auto proof = snapshot->prove_at(keys[which], 4);
            if (proof) {
                ASSERT_EQ(*proof, proofs[which]) << at;
                ++proven;
            } else {
                ASSERT_EQ(proof.error().code, ErrorCode::corrupt) << proof.error().message;
                ++refused;
            }
        }
        disk.flip_bit(path, at, bit);
    }
    EXPECT_GT(refused, 50u);
    EXPECT_GT(proven, 50u);
    // Nothing of that was final.
    for (size_t i = 0; i < keys.size(); ++i) {
        ASSERT_EQ(engine->snapshot().value()->prove_at(keys[i], 4).value(), proofs[i]);
    }
}

/// What a reader finds whose block is taken back while it reads.
TEST(EngineSnapshot, AReaderThatMissesTheSentinelFails) {
    SimulatedDisk disk;
    const auto log =
        EntryLog::open(disk, "/db/log", small_options().log, make_pwrite_log_writer("test"),
                       [](const FrameHeader&, LogPosition, ByteView) { return Result<void>{}; })
            .value();
    const EntryDirectory directory;
    const TwigForest forest{NodeHash::blake3, kernels::Backend::scalar};
    const KeyIndex index{shard_bits};
    detail::StateReader::Indexes indexes;
    indexes.fill(&index);
    detail::EntryReader entries{*log, directory, nullptr};
    detail::StateReader reader{indexes, forest, entries, kernels::Backend::scalar, 1};
    const Hash256 key{{1}};
    EXPECT_EQ(reader.get(key).value(), std::nullopt);
    EXPECT_EQ(reader.prove(key).error().code, ErrorCode::corrupt);
    EXPECT_EQ(reader.prove(std::vector{key}).error().code, ErrorCode::corrupt);
}

TEST(EngineSnapshot, OtherThreadsReadWhileBlocksComeAndGo) {
    std::mt19937_64 random{4};
    const ScratchDirectory scratch;
    const auto fs = make_posix_file_system();
    auto engine = open(*fs, scratch.path()).value();
    std::atomic<uint64_t> past = 0;
    std::vector<Hash256> keys(600);
    for (Hash256& key : keys) { key = random_key(random); }
    std::mutex mutex;
    Snapshot published;  // guarded by mutex
    std::atomic<bool> done = false;
    std::atomic<uint64_t> proven = 0;
    std::atomic<uint64_t> wrong = 0;
    const auto read = [&](uint64_t seed) {
        std::mt19937_64 own{seed};
        const StateVerifier verifier{NodeHash::blake3};
        for (uint64_t i = 0; !done || i < 20; ++i) {
            Snapshot s;
            {
                const std::scoped_lock lock{mutex};
                s = published;
            }
            const Hash256& key = keys[own() % keys.size()];
            const auto value = s->get(key);
            const auto proof = s->prove(key);
            if (!value || !proof) {
                const ErrorCode code = !value ? value.error().code : proof.error().code;
                wrong += code == ErrorCode::conflict ? 0 : 1;
                continue;
            }
            const auto verified = verifier.verify(s->root(), key, *proof);
            const bool right = verified && verified->has_value() == value->has_value() &&
                               (!*value || std::ranges::equal(**verified, **value));
            (right ? proven : wrong) += 1;
            // And an earlier block.
            const uint64_t oldest = std::max<uint64_t>(s->oldest_height(), 1);
            const uint64_t height = oldest + own() % (s->height() - oldest + 1);
            const auto then = s->get_at(key, height);
            const auto proof_then = s->prove_at(key, height);
            const auto root_then = s->root_at(height);
            if (!then || !proof_then || !root_then) {
                const ErrorCode code = !then         ? then.error().code
                                       : !proof_then ? proof_then.error().code
                                                     : root_then.error().code;
                wrong += code == ErrorCode::conflict ? 0 : 1;
                continue;
            }
            const auto verified_then = verifier.verify(*root_then, key, *proof_then);
            const bool right_then = verified_then &&
                                    verified_then->has_value() == then->has_value() &&
                                    (!*then || std::ranges::equal(**verified_then, **then));
            (right_then ? past : wrong) += 1;
        }
    };
    const auto commit = [&](uint64_t height) {
        Block block;
        for (int i = 0; i < 60; ++i) {
            const Hash256& key = keys[random() % keys.size()];
            block[key] = Bytes(random() % 90, static_cast<uint8_t>(random()));
            if (random() % 4 == 0) { block[key] = std::nullopt; }
        }
        ASSERT_TRUE(engine->apply(height, writes_of(block)));
        ASSERT_TRUE(engine->commit());
        const std::scoped_lock lock{mutex};
        published = engine->snapshot().value();
    };
    ASSERT_NO_FATAL_FAILURE(commit(1));
    std::vector<std::thread> readers;
    for (uint64_t i = 0; i < 3; ++i) { readers.emplace_back(read, i); }
    for (int step = 0; step < 60; ++step) {
        if (step % 9 == 8) {
            ASSERT_TRUE(engine->rollback(engine->height() - 2));
            // So that the log goes on at the same places at once.
        }
        ASSERT_NO_FATAL_FAILURE(commit(engine->height() + 1));
        if (step % 7 == 0) { ASSERT_TRUE(engine->prune()); }
    }
    done = true;
    for (std::thread& reader : readers) { reader.join(); }
    published = nullptr;
    EXPECT_EQ(wrong, 0u);
    EXPECT_GE(proven, 20u);
    EXPECT_GE(past, 20u);
}

}  // namespace
}  // namespace millrace::storage::qmdb
