// SPDX-License-Identifier: Apache-2.0
// Owns the clock that benchmarks measure with.
#pragma once

#include <cstdint>
#include <ctime>

namespace millrace::node {

/// CPU time of the calling thread, in nanoseconds: what others do on the machine is not in it.
inline int64_t thread_cpu_ns() noexcept {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}
/// The same in microseconds.
inline double thread_cpu_us() noexcept { return static_cast<double>(thread_cpu_ns()) / 1e3; }

}  // namespace millrace::node
