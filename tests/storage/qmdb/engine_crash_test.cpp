// SPDX-License-Identifier: Apache-2.0
// Owns the crash tests of the state engine: power fails at every operation of a run of blocks.
#include <cstdlib>

#include <gtest/gtest.h>

#include "tests/storage/qmdb/crash_sweep.hpp"
#include "tests/storage/qmdb/engine_model.hpp"
#include "tests/storage/simulated_disk.hpp"

namespace millrace::storage::qmdb {
namespace {

const std::string directory = "/db/state";
constexpr uint64_t heights = 12;

/// Blocks and the state after each, computed once.
struct Scenario {
    Scenario() {
        std::mt19937_64 random{31};
        EngineModel model{kernels::NodeHash::blake3};
        for (uint64_t height = 1; height <= heights; ++height) {
            blocks.push_back(random_block(model, 12, height < 6 ? 8 : 2, random));
            roots.push_back(model.apply(height, blocks.back()));
        }
        for (const Hash256& key : model.keys()) { values[key] = model.get(key).value(); }
    }
    std::vector<Block> blocks;
    std::vector<Hash256> roots;
    std::map<Hash256, Bytes> values;  ///< after the last block
};

EngineOptions options(EntryLogMutant mutant) {
    EngineOptions o;
    o.hash = kernels::NodeHash::blake3;
    o.backend = kernels::Backend::scalar;  // quickest for so few
    o.log.segment_bytes = uint64_t{1} << 16;
    o.log.log_id = 5;
    o.log.mutant = mutant;
    return o;
}

/// Applies the blocks above `from` until one fails; returns the last height acknowledged.
uint64_t run(Engine& engine, const Scenario& scenario, uint64_t from) {
    for (uint64_t height = from + 1; height <= heights; ++height) {
        const auto root = engine.apply(height, writes_of(scenario.blocks[height - 1]));
        if (!root || !engine.commit()) { return height - 1; }
        if (*root != scenario.roots[height - 1]) { return ~uint64_t{0}; }
    }
    return heights;
}

std::string crash_at(const Scenario& scenario, DiskFault fault, uint64_t at, uint64_t seed,
                     EntryLogMutant mutant, bool& reached) {
    SimulatedDisk disk;
    disk.arm(fault, at);
    uint64_t acknowledged = 0;
    if (auto engine =
            Engine::open(disk, directory, options(mutant), make_pwrite_log_writer("test"))) {
        acknowledged = run(**engine, scenario, 0);
        if (acknowledged > heights) { return "a wrong root before the crash"; }
    }
    reached = disk.operation_count() >= at;
    disk.restart(seed);
    disk.arm(DiskFault::crash, 1 + seed % 3);  // recovery is interrupted too
    (void)Engine::open(disk, directory, options(mutant), make_pwrite_log_writer("test"));
    disk.restart(seed + 1);
    auto engine = Engine::open(disk, directory, options(mutant), make_pwrite_log_writer("test"));
    if (!engine) { return "not opened: " + engine.error().message; }
    const uint64_t height = (*engine)->height();
    if (height < acknowledged) { return "an acknowledged block is lost"; }
    if (height > acknowledged + 1) { return "a block appeared"; }
    if (height != 0 && (*engine)->root() != scenario.roots[height - 1]) { return "another root"; }
    if (run(**engine, scenario, height) != heights) { return "the remaining blocks fail"; }
    for (const auto& [key, value] : scenario.values) {
        if ((*engine)->get(key) != std::optional{value}) { return "another value"; }
    }
    return {};
}

std::string first_wrong(DiskFault fault, EntryLogMutant mutant) {
    static const Scenario scenario;
    return first_wrong_of(crash_seed_count(3), [&](uint64_t at, uint64_t seed, bool& reached) {
        return crash_at(scenario, fault, at, seed, mutant, reached);
    });
}

TEST(EngineCrash, NothingAcknowledgedIsLostWhereverThePowerFails) {
    EXPECT_EQ(first_wrong(DiskFault::crash, EntryLogMutant::none), "");
}

TEST(EngineCrash, FailedWritesAndFlushesLoseNothingAcknowledged) {
    for (const DiskFault fault :
         {DiskFault::write_error, DiskFault::short_write, DiskFault::sync_failure}) {
        EXPECT_EQ(first_wrong(fault, EntryLogMutant::none), "");
    }
}

TEST(EngineCrash, TheMutantsAreCaught) {
    EXPECT_NE(first_wrong(DiskFault::crash, EntryLogMutant::no_flush), "");
    EXPECT_NE(first_wrong(DiskFault::crash, EntryLogMutant::no_checksum), "");
}

}  // namespace
}  // namespace millrace::storage::qmdb
