// SPDX-License-Identifier: Apache-2.0
// Owns the decision whether a transaction that arrives can be taken at all, and when to ask again.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <cstdint>

#include "host/base/ring.hpp"

namespace millrace::sequencer {

/// Counts what is between its arrival and the pool, together with what the pool holds, and refuses
/// what would not find room there: here, before any work on a signature, and nowhere later. What
/// was let in has its place until it leaves. enter() and leave() by any thread, the rest as said.
class IngressGate {
public:
    /// Whose place it is: an eighth of every limit is left to those with priority.
    enum class Lane : uint8_t { ordinary, priority };
    static constexpr size_t priority_share = 8;

    struct Limits {
        /// Of what is between arrival and pool.
        size_t transactions_max = 0;
        size_t bytes_max = 0;
        /// Of that and the pool together; bytes as the pool counts them.
        size_t held_transactions_max = 0;
        size_t held_bytes_max = 0;
    };
    explicit IngressGate(const Limits& limits) : limits_(limits) {}

    /// Lets in a transaction of `bytes`, or not.
    [[nodiscard]] bool try_enter(size_t bytes, Lane lane) noexcept;
    /// Whether try_enter() would let it in now; cheaper where it would not.
    bool has_room(size_t bytes, Lane lane) const noexcept;
    /// One of `bytes` is in the pool, or gone. What moved to the pool is to be told by set_pool()
    /// before, so that it is counted all the time.
    void leave(size_t bytes) noexcept;
    /// Transactions between arrival and pool.
    size_t count() const noexcept { return count_.load(std::memory_order_relaxed); }

    /// What the pool holds and can execute: the rest makes room for it. The sequencer's thread.
    void set_pool(size_t count, size_t bytes) noexcept {
        pool_count_.store(count, std::memory_order_relaxed);
        pool_bytes_.store(bytes, std::memory_order_relaxed);
    }
    /// `count` transactions were executed since the last call. The sequencer's thread, a few times
    /// in each rate_window_us while there is work.
    void executed(size_t count, int64_t now_us) noexcept;
    /// Executed transactions a second, smoothed over some hundred milliseconds of work; 0 when
    /// nothing is known yet.
    double executed_per_s() const noexcept {
        return executed_per_s_.load(std::memory_order_relaxed);
    }
    /// How long a client that was refused does well to wait: until a quarter of what stands before
    /// it is executed at the present rate, at least retry_ms_min and at most retry_ms_max.
    uint32_t retry_after_ms() const noexcept;

    static constexpr uint32_t retry_ms_min = 10;
    static constexpr uint32_t retry_ms_max = 2'000;
    /// When the rate is not known.
    static constexpr uint32_t retry_ms_unknown = 100;
    static constexpr int64_t rate_window_us = 100'000;

private:
    bool fits(size_t count, size_t bytes, Lane lane) const noexcept;

    const Limits limits_;
    // Relaxed throughout: counts that bound and figures that hint; no data hangs on them.
    alignas(cache_line_bytes) std::atomic<size_t> count_{0};
    std::atomic<size_t> bytes_{0};
    alignas(cache_line_bytes) std::atomic<size_t> pool_count_{0};
    std::atomic<size_t> pool_bytes_{0};
    std::atomic<double> executed_per_s_{0};
    // Of the sequencer's thread.
    int64_t window_start_us_ = 0;
    int64_t last_executed_us_ = 0;
    size_t window_count_ = 0;
};

}  // namespace millrace::sequencer
