// SPDX-License-Identifier: Apache-2.0
// Owns time: the interface that lets tests and replays decide what time it is.
#pragma once

#include <atomic>
#include <cstdint>

namespace millrace {

/// Wall time can jump; steady time cannot. Both in microseconds.
class Clock {
public:
    virtual ~Clock() = default;
    /// Microseconds since the Unix epoch.
    virtual int64_t wall_us() const noexcept = 0;
    /// Microseconds since an arbitrary start; never goes back.
    virtual int64_t steady_us() const noexcept = 0;
};

class SystemClock final : public Clock {
public:
    int64_t wall_us() const noexcept override;
    int64_t steady_us() const noexcept override;
};

/// A clock that only moves when told to; for tests. Any thread.
class ManualClock final : public Clock {
public:
    explicit ManualClock(int64_t wall_us) noexcept : wall_us_(wall_us) {}
    int64_t wall_us() const noexcept override { return wall_us_.load(std::memory_order_relaxed); }
    int64_t steady_us() const noexcept override {
        return steady_us_.load(std::memory_order_relaxed);
    }
    void advance_us(int64_t us) noexcept {
        wall_us_.fetch_add(us, std::memory_order_relaxed);
        steady_us_.fetch_add(us, std::memory_order_relaxed);
    }
    /// Steps the wall clock only, as an operator or NTP would.
    void step_wall_us(int64_t us) noexcept { wall_us_.fetch_add(us, std::memory_order_relaxed); }

private:
    std::atomic<int64_t> wall_us_;
    std::atomic<int64_t> steady_us_{0};
};

}  // namespace millrace
