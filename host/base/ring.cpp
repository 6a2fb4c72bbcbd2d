// SPDX-License-Identifier: Apache-2.0
// Owns the sleep and the wake-up of a mailbox's consumer, on Linux futexes.
#include "host/base/ring.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include <chrono>

namespace millrace::detail {

static_assert(sizeof(std::atomic<uint32_t>) == sizeof(uint32_t) &&
                  std::atomic<uint32_t>::is_always_lock_free,
              "the kernel reads the word itself");

void futex_wait_until(std::atomic<uint32_t>& word, uint32_t expected,
                      int64_t deadline_us) noexcept {
    if (deadline_us <= 0) { return; }
    timespec deadline{};
    deadline.tv_sec = static_cast<time_t>(deadline_us / 1'000'000);
    deadline.tv_nsec = static_cast<long>(deadline_us % 1'000'000 * 1'000);
    // FUTEX_WAIT_BITSET takes an absolute time of CLOCK_MONOTONIC; FUTEX_WAIT would take a span.
    // Every result means "look again": woken, value changed, timed out or interrupted.
    const long rc = syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word),
                            FUTEX_WAIT_BITSET | FUTEX_PRIVATE_FLAG, expected, &deadline, nullptr,
                            FUTEX_BITSET_MATCH_ANY);
    static_cast<void>(rc);
}

void futex_wake_one(std::atomic<uint32_t>& word) noexcept {
    // Fails only for a bad address, which a member of a live object is not.
    const long rc = syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word),
                            FUTEX_WAKE | FUTEX_PRIVATE_FLAG, 1, nullptr, nullptr, 0);
    static_cast<void>(rc);
}

int64_t monotonic_us() noexcept {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    return std::chrono::duration_cast<std::chrono::microseconds>(now).count();
}

}  // namespace millrace::detail
