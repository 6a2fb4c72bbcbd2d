// SPDX-License-Identifier: Apache-2.0
// Owns waiting for room on a full disk.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <string_view>
#include <thread>
#include <type_traits>
#include <utility>

#include "host/base/error.hpp"
#include "host/base/log.hpp"

namespace millrace::sequencer {

/// Repeats what a full disk keeps from being done. One thread waits, any may ask.
class RoomWait {
public:
    /// Nothing is waited for once `ending` says true.
    explicit RoomWait(std::function<bool()> ending) : ending_(std::move(ending)) {}

    /// Whether something waits for room.
    bool full() const noexcept { return full_.load(std::memory_order_relaxed); }

    /// The result of `step`, which is repeated while it fails with `ErrorCode::limit`, until the
    /// end is near. `what` it does, for the log.
    template <class Step>
    std::invoke_result_t<Step&> repeat(std::string_view what, Step step) {
        for (;;) {
            auto r = step();
            const bool full = !r && r.error().code == ErrorCode::limit;
            // Relaxed: the flag stands alone.
            if (full != full_.exchange(full, std::memory_order_relaxed)) {
                if (full) {
                    log::warn("disk full: waiting for room",
                              {{"to", what}, {"reason", r.error().message}});
                } else {
                    log::info("disk has room again");
                }
            }
            if (!full || ending_()) { return r; }
            std::this_thread::sleep_for(std::chrono::milliseconds(100));
        }
    }

private:
    const std::function<bool()> ending_;
    std::atomic<bool> full_{false};
};

}  // namespace millrace::sequencer
