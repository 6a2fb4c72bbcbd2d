// SPDX-License-Identifier: Apache-2.0
// Owns the reading of option values: batch sizes, message sizes, thread counts, lists of names.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "host/base/error.hpp"

namespace millrace::kernel_bench {

/// Limits of the options.
inline constexpr size_t batch_max = size_t{1} << 20;
inline constexpr size_t message_bytes_max = size_t{1} << 16;
inline constexpr double seconds_min = 0.001;
inline constexpr double seconds_max = 60;

/// The sweep that is run unless asked otherwise.
inline constexpr std::string_view batch_sweep = "1..1M";

/// Batch sizes from 1 to batch_max: "1,8,4096", "1..1M" (in steps of four), "64..64K:2" (in steps
/// of two), mixed. K and M are 2^10 and 2^20. The end of a sweep is always taken. Gives ascending
/// sizes, each once; fails with `invalid_input`, saying what was not understood.
Result<std::vector<size_t>> parse_batches(std::string_view text);

/// Message sizes in bytes from 0 to message_bytes_max, as above without sweeps.
Result<std::vector<size_t>> parse_message_sizes(std::string_view text);

/// Thread counts from 1 to `cores`, or "all" for that: "1,all". Ascending, each once.
Result<std::vector<size_t>> parse_threads(std::string_view text, size_t cores);

/// Names out of `known`, in the order of `known`, each once. `what` says in the error what they
/// are.
Result<std::vector<std::string>>
parse_names(std::string_view text, const std::vector<std::string>& known, std::string_view what);

/// As above from a list that was split already; an empty one means all.
Result<std::vector<std::string>> select_names(const std::vector<std::string>& names,
                                              const std::vector<std::string>& known,
                                              std::string_view what);

}  // namespace millrace::kernel_bench
