// SPDX-License-Identifier: Apache-2.0
// Owns reading what a process uses: CPU time and memory.
#pragma once

#include <cstdint>
#include <optional>

namespace millrace::load {

struct ProcessSample {
    double cpu_s = 0;  ///< user and system, all threads; in steps of a clock tick (10 ms)
    uint64_t rss_bytes = 0;
};

/// Nothing when there is no such process or it may not be looked at.
std::optional<ProcessSample> sample_process(int64_t pid);
/// CPU time of this process in seconds.
double own_cpu_s();

}  // namespace millrace::load
