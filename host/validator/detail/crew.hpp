// SPDX-License-Identifier: Apache-2.0
// Owns the threads of a replayer.
#pragma once

#include <atomic>
#include <functional>
#include <thread>
#include <vector>

namespace millrace::validator::detail {

/// Threads that do one job after the other together with the caller, and sleep in between.
class Crew {
public:
    /// `count` with the caller, at least 1.
    explicit Crew(uint32_t count);
    ~Crew();
    Crew(const Crew&) = delete;
    Crew& operator=(const Crew&) = delete;

    uint32_t size() const noexcept { return static_cast<uint32_t>(threads_.size()) + 1; }
    /// Calls `job(k)` for every member k of the crew, each on its thread (0 is the caller), and
    /// returns when all have returned. What one job did is seen by the next.
    void run(const std::function<void(uint32_t)>& job);
    /// Calls `item(member, k)` for every k below `count`, in pieces of `piece`.
    void for_each(size_t count, size_t piece, const std::function<void(uint32_t, size_t)>& item);

private:
    void serve(uint32_t member);

    const std::function<void(uint32_t)>* job_ = nullptr;
    // The release of a new number publishes job_, the release of a decrement what the job did.
    std::atomic<uint32_t> job_number_{0};
    std::atomic<uint32_t> busy_{0};
    std::atomic<bool> stopping_{false};
    std::vector<std::jthread> threads_;
};

}  // namespace millrace::validator::detail
