// SPDX-License-Identifier: Apache-2.0
// Owns the clock of the benchmarks.
#pragma once

#include <ctime>

namespace millrace::node {

/// CPU time that the calling thread has used, in microseconds.
inline double thread_cpu_us() noexcept {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) / 1e3;
}

}  // namespace millrace::node
