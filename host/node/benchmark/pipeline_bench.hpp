// SPDX-License-Identifier: Apache-2.0
// Owns what `millrace bench pipeline` does with its options: the rounds, the files, the exit code.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

namespace millrace::node {

/// The options as they were typed; what was not given has its default.
struct PipelineBenchArguments {
    std::string profiles = "all";
    std::string stages = "all";
    std::string workers = "0,1,2";
    uint64_t transactions = 20'000;
    uint64_t repeat = 7;
    std::string recover = "on,off";
    std::string jit = "off";  ///< or on: contracts are compiled before they are timed
    std::string artifacts = "tests/e2e/node_modules";
    std::string blocks;   ///< a folder of block files; empty: no such profile
    std::string scratch;  ///< where the log is written; empty: the system's temporary folder
    // Files; empty ones are not written.
    std::string json;
    std::string markdown;
};

/// The name of the profile of real blocks, of which only execution is measured.
inline constexpr std::string_view pipeline_mainnet_profile = "mainnet";

/// Limits of the options.
inline constexpr uint64_t pipeline_transactions_max = 1'000'000;
inline constexpr uint64_t pipeline_repeat_max = 1000;
inline constexpr uint32_t pipeline_workers_max = 64;

/// Checks what each configuration computes, then times all of them in turns, `repeat` times. Writes
/// the report as Markdown to `out` and to the files that were asked for; progress goes to
/// `progress`. Gives the exit code: 0, exit_usage for options that do not hold, exit_unexpected
/// when a result was wrong or a file could not be written, exit_interrupted when `stop` ended it.
int run_pipeline_bench(const PipelineBenchArguments& arguments, const std::atomic<bool>& stop,
                       std::FILE* out, std::FILE* progress);

}  // namespace millrace::node
