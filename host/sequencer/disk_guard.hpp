// SPDX-License-Identifier: Apache-2.0
// Owns the watch over the room on the disk: intake stops while there is still enough to end well.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <mutex>
#include <string>
#include <thread>

#include "host/base/metrics.hpp"
#include "storage/io/file_system.hpp"

namespace millrace::sequencer {

/// Compares the free bytes of a file system with a reserve. Below the reserve the disk is low,
/// until there is a sixteenth more than it, so that the answer does not flicker. A full disk that
/// comes all the same, faster than it is looked at, is dealt with where the log is written.
class DiskGuard {
public:
    /// `path` must exist by the first check(). A reserve of 0 is never low. `free` may be null.
    DiskGuard(storage::FileSystem& fs, std::string path, uint64_t reserve_bytes,
              metrics::Gauge* free = nullptr)
        : fs_(fs), path_(std::move(path)), reserve_bytes_(reserve_bytes), free_gauge_(free) {}
    /// Ends the watch.
    ~DiskGuard();
    DiskGuard(const DiskGuard&) = delete;
    DiskGuard& operator=(const DiskGuard&) = delete;

    /// Looks now. When the system does not say how much is free, all stays as it was. One thread:
    /// the watch's own after start().
    void check();
    /// Looks now and then every `period_ms` on a thread called `mr-disk`. Once.
    void start(int64_t period_ms);

    // --- Any thread ---
    bool low() const noexcept { return low_.load(std::memory_order_relaxed); }
    uint64_t free_bytes() const noexcept { return free_bytes_.load(std::memory_order_relaxed); }
    uint64_t reserve_bytes() const noexcept { return reserve_bytes_; }

private:
    storage::FileSystem& fs_;
    const std::string path_;
    const uint64_t reserve_bytes_;
    metrics::Gauge* const free_gauge_;
    // Relaxed: each stands alone.
    std::atomic<bool> low_{false};
    std::atomic<uint64_t> free_bytes_{0};
    bool failed_ = false;  ///< the last look
    std::mutex mutex_;     ///< guards ending_
    std::condition_variable wake_;
    bool ending_ = false;
    std::jthread thread_;
};

}  // namespace millrace::sequencer
