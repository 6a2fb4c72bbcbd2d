// SPDX-License-Identifier: Apache-2.0
// Owns what `millrace bench state` does with its options: the stores in turn, the files, the exit
// code.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <string>
#include <vector>

#include "host/node/benchmark/state_store.hpp"

namespace millrace::node {

/// The options as they were typed; what was not given has its default.
struct StateBenchArguments {
    std::string stores = "keccak256,blake3,rocksdb,lmdb";
    std::string measures = "all";
    std::string keys = "5000000";
    std::string batches = "10000,100000";
    uint64_t load_batch = 100'000;
    uint64_t writes = 1'000'000;
    uint64_t mini_blocks = 300;
    uint64_t reads = 200'000;
    uint64_t seed = 1;
    bool in_memory = false;
    std::string directory;  ///< where the stores' files are made; empty: the system's choice
    // Files; empty ones are not written.
    std::string json;
    std::string markdown;
};

/// Limits of the options.
inline constexpr uint64_t state_keys_min = 1000;
inline constexpr uint64_t state_keys_max = 1'000'000'000;
inline constexpr uint64_t state_batch_max = 1'000'000;
inline constexpr uint64_t state_writes_max = 10'000'000'000;
inline constexpr uint64_t state_mini_blocks_max = 1'000'000;
inline constexpr uint64_t state_reads_max = 100'000'000;

/// Measures the stores one after the other, each on files of its own that are removed afterwards,
/// and writes the report as Markdown to `out` and to the files that were asked for; progress goes
/// to `progress`. Gives the exit code: 0, exit_usage for options that do not hold, exit_unexpected
/// when a store answered wrongly, a file could not be written or the disk has too little room,
/// exit_interrupted when `stop` ended it.
int run_state_bench(const StateBenchArguments& arguments,
                    const std::vector<state_bench::StoreKind>& kinds, const std::atomic<bool>& stop,
                    std::FILE* out, std::FILE* progress);

}  // namespace millrace::node
