// SPDX-License-Identifier: Apache-2.0
// Owns a run: which rows there are, checking each answer, timing it, and stopping in order.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "kernels/bench/report.hpp"
#include "kernels/bench/selection.hpp"
#include "kernels/bench/workload.hpp"

namespace millrace::kernel_bench {

struct RunOptions {
    std::vector<size_t> batches;
    std::vector<size_t> threads;        ///< ascending; of the CPU's rows
    std::vector<std::string> backends;  ///< as --backends names them
    FamilyOptions family;
    double seconds = 0.2;        ///< of samples for each row
    double peak_seconds = 0.02;  ///< of one run of a peak; 0 measures none
    uint64_t seed = 1;
    /// A batch that needs more is skipped with the reason.
    size_t memory_bytes_max = size_t{2} << 30;
    /// Polled between samples; the rows so far stay, the rest is skipped as interrupted.
    const std::atomic<bool>* stop = nullptr;
    /// Called when a row is done, with the number of rows done and in all.
    std::function<void(const Row& row, size_t done, size_t total)> progress;
};

/// A row whose single call would take longer than this many times `seconds` is skipped.
inline constexpr double call_seconds_factor = 10;
/// Samples that each measured row has at least.
inline constexpr size_t samples_min = 3;

/// Measures the cases of the families. Contenders and thread counts of one batch size take their
/// samples in turns, so that what else the machine does meets all of them. Every row's whole answer
/// is compared before its first and after its last sample. Fills everything of the report but the
/// environment.
Report run_families(const std::vector<const Family*>& families, const RunOptions& options);

}  // namespace millrace::kernel_bench
