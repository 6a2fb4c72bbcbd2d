// SPDX-License-Identifier: Apache-2.0
// Owns what `millrace bench kernels` does with its options: the run, the files, the exit code.
#pragma once

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/bench/selection.hpp"
#include "kernels/bench/workload.hpp"

namespace millrace::node {

/// The options as they were typed; what was not given has its default.
struct KernelBenchArguments {
    std::vector<std::string> families;
    std::optional<std::string> batches;
    std::optional<std::string> sizes;
    std::optional<std::string> backends;
    std::string threads = "1,all";
    std::optional<double> seconds;
    uint64_t seed = 1;
    bool quick = false;
    std::vector<std::string> context;  ///< "key=value"
    // Files; empty ones are not written.
    std::string json;
    std::string csv;
    std::string markdown;
    std::string svg;
};

/// Measures some of the families and writes the report as Markdown to `out` and to the files that
/// were asked for; progress goes to `progress`. Gives the exit code: 0,
/// exit_usage for options that do not hold, exit_unexpected when an answer was wrong or a file
/// could not be written, exit_interrupted when `stop` ended it.
int run_kernel_bench(const KernelBenchArguments& arguments,
                     const std::vector<kernel_bench::Family>& families,
                     const std::atomic<bool>& stop, std::FILE* out, std::FILE* progress);

}  // namespace millrace::node
