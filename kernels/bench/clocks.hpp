// SPDX-License-Identifier: Apache-2.0
// Owns the clocks that the measurement reads.
#pragma once

#include <cstdint>
#include <ctime>

namespace millrace::kernel_bench {

inline int64_t read_clock_ns(clockid_t clock) noexcept {
    timespec t{};
    clock_gettime(clock, &t);
    return static_cast<int64_t>(t.tv_sec) * 1'000'000'000 + t.tv_nsec;
}

/// Nanoseconds since an arbitrary start; never goes back.
inline int64_t wall_ns() noexcept { return read_clock_ns(CLOCK_MONOTONIC); }

/// CPU time of all threads of this process, in nanoseconds.
inline int64_t process_cpu_ns() noexcept { return read_clock_ns(CLOCK_PROCESS_CPUTIME_ID); }

}  // namespace millrace::kernel_bench
