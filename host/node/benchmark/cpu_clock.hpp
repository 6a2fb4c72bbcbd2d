// SPDX-License-Identifier: Apache-2.0
// Owns the clock of the benchmarks.
#pragma once

#include <ctime>

namespace millrace::node {

/// CPU time of the calling thread in microseconds, from an arbitrary start. Other threads and
/// processes do not count; reading it takes a quarter of a microsecond.
inline double cpu_us() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

}  // namespace millrace::node
