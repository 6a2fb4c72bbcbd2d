// SPDX-License-Identifier: Apache-2.0
// Owns how threads sleep until somebody has published work without a lock.
#pragma once

#include <atomic>
#include <cstdint>

#include "host/base/ring.hpp"

namespace millrace::kernels::detail {

/// A sleeper announces itself, looks for work once more, and only then sleeps; a publisher
/// publishes and then looks for sleepers. Both go through one order of sequentially consistent
/// operations, so one of the two sees the other and no wake-up is lost.
class EventCount {
public:
    /// Any thread, after publishing. A sleeper that has announced itself and not yet looked for
    /// work sees what was published, even when nobody is woken.
    void notify(uint32_t sleepers_max = 1) noexcept {
        epoch_.fetch_add(1, std::memory_order_seq_cst);
        // Some that are counted have not gone to sleep yet; the changed epoch keeps them awake.
        const uint32_t asleep = sleepers_.load(std::memory_order_seq_cst);
        for (uint32_t i = 0; i < asleep && i < sleepers_max; ++i) {
            millrace::detail::futex_wake_one(epoch_);
        }
    }

    /// Announces the calling thread; cancel() or wait() has to follow with the key.
    uint32_t prepare() noexcept {
        sleepers_.fetch_add(1, std::memory_order_seq_cst);
        return epoch_.load(std::memory_order_seq_cst);
    }
    void cancel() noexcept { sleepers_.fetch_sub(1, std::memory_order_seq_cst); }
    /// Sleeps for at most `us` microseconds, unless something was published since prepare().
    void wait(uint32_t key, int64_t us) noexcept {
        millrace::detail::futex_wait_until(epoch_, key, millrace::detail::monotonic_us() + us);
        cancel();
    }

private:
    alignas(cache_line_bytes) std::atomic<uint32_t> epoch_{0};
    std::atomic<uint32_t> sleepers_{0};
};

}  // namespace millrace::kernels::detail
