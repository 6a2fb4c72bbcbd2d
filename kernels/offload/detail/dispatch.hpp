// SPDX-License-Identifier: Apache-2.0
// Owns what waits to be done, and hands it out: to workers, and to the device's thread.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>
#include <vector>

#include "kernels/offload/detail/event_count.hpp"
#include "kernels/offload/detail/intake.hpp"
#include "kernels/offload/detail/policy.hpp"
#include "kernels/offload/detail/work.hpp"

namespace millrace::kernels::detail {

struct DispatchLimits {
    size_t workers = 1;
    size_t lanes = 1;  ///< jobs of a full vector of the CPU's back end
    size_t batch_jobs_max = 64;
    int64_t deadline_us = 500;
    bool steal = true;  ///< workers take from the tail of blocks that a device has begun
    /// Smallest blocks worth the device, by kernel.
    std::array<size_t, kernel_count> device_items_min{};
};

/// What a worker does next.
struct Task {
    enum class Kind : uint8_t { none, parts, call_step, check };
    Kind kind = Kind::none;
    std::vector<Part> parts;  ///< Kind::parts; the vector's room is used again
    Call* call = nullptr;     ///< Kind::call_step
    Range range;
    uint32_t slot = 0;  ///< Kind::check: a batch of the device that ended
};

/// Every piece of work is in one place: in the intake, in a queue here, or taken by somebody who
/// finishes it or gives it back. Thread-safe; nothing is run under the mutex.
class Dispatch {
public:
    Dispatch(Intake& intake, const DispatchLimits& limits, bool device_up);

    /// A worker's next task, or Kind::none. Order: batches of the device that ended, what a failed
    /// device left, express jobs with others beside them, queued jobs of a quarter of the deadline,
    /// steps of calls, queued jobs. With `others_awake` a queue that does not fill two vectors is
    /// left to them while it is young: a second worker would only take the core from the first, or
    /// from whoever submits.
    void next(Task& task, int64_t now_us, bool others_awake = false);
    /// How long the only worker that is awake should wait for a vector to fill: 0 when nothing is
    /// queued, when it is full, or when what arrives does not fill it soon.
    int64_t fill_us(int64_t now_us);
    /// From this age on nobody leaves a queued job to others that are awake: they are held up.
    int64_t help_us() const noexcept { return limits_.deadline_us / 2 + 1; }
    /// Queued jobs beyond which another worker pays, for each that is awake.
    size_t jobs_for_one_more() const noexcept { return wake_vectors * limits_.lanes; }
    /// Ends a step or a device's part of a call. The call may be gone afterwards.
    void finish_step(Call& call);
    /// Ends parts whose results are written: counts them and calls back.
    void finish(std::vector<Part>& parts);

    /// Lists a call; the caller then runs what wait_step() gives until that is Kind::none, and
    /// takes the call off the list by end().
    void begin(Call& call);
    /// Waits for the caller's next task: a step of the call, or a batch of the call's to check (all
    /// workers may be waiting in calls of their callbacks). Kind::none when the call is done.
    void wait_step(Call& call, Task& task);
    void end(Call& call);

    // For the device's thread.
    QueueLoad load(int64_t now_us, uint32_t batches_in_flight, uint32_t slots_free);
    /// Sets how many of the oldest queued jobs workers leave for the device.
    void set_device_share(size_t jobs);
    /// Takes up to `jobs` of the oldest queued jobs.
    void take_oldest(size_t jobs, std::vector<Part>& parts);
    /// Takes a part of some block, at most items_max of its kernel; false when no block is worth
    /// it.
    bool take_block(const std::array<size_t, kernel_count>& items_max, std::vector<Part>& parts,
                    Kernel& kernel);
    /// The device has no room for a call's items from `first` on: they wait again, except that
    /// an item that no batch has room for is left to the CPU.
    void shorten(Part& part, size_t first);
    /// Parts whose batch failed: workers do them next.
    void give_back(std::vector<Part>& parts);
    /// A batch ended and has to be checked: one of `call`, or of submissions when that is null.
    void add_check(uint32_t slot, const Call* call);

    /// Leaves everything to the CPU from now on. Any thread.
    void device_down();
    /// After this, finished() comes true once all is done. `device_works`: batches are in flight.
    void stop(bool device_works);
    void device_finished();
    /// Whether workers may leave.
    bool finished();

    /// Workers sleep here; notified for everything that is added.
    EventCount work;
    /// The device's thread sleeps here when there is nothing for it.
    EventCount device_work;

    /// Submitted jobs that nobody took. Any thread.
    size_t depth() const noexcept { return intake_.depth(); }
    /// Queued jobs that workers leave for the device. Any thread; a hint.
    size_t device_share() const noexcept {
        return device_share_seen_.load(std::memory_order_relaxed);
    }
    bool has_device() const noexcept { return device_up_seen_.load(std::memory_order_relaxed); }
    const DispatchLimits& limits() const noexcept { return limits_; }
    /// `jobs`, or one where that is zero, rounded up to full vectors (an empty lane takes as long
    /// as a full one), at most batch_jobs_max.
    size_t in_full_vectors(size_t jobs) const noexcept;

private:
    // A worker does four vectors of the slowest back end in the time that it takes to wake another
    // one and to wait for its core, about 150 us.
    static constexpr size_t wake_vectors = 4;

    struct Check {
        uint32_t slot = 0;
        const Call* call = nullptr;
    };
    struct Queue {
        std::deque<std::shared_ptr<Submission>> submissions;
        size_t jobs = 0;  ///< weights that nobody took
    };

    // With the mutex held.
    void drain(int64_t now_us);
    /// Of the oldest queued job; negative without one.
    int64_t front_age_us(int64_t now_us) const noexcept;
    /// From this age on a queued job goes before steps of calls: a step, the job's own batch and a
    /// wait for a core still fit before the deadline.
    int64_t soon_us() const noexcept { return limits_.deadline_us / 4; }
    bool take_check(Task& task, const Call* only);
    bool take_call_step(Task& task);
    bool take_queued(std::vector<Part>& parts, bool late);
    bool take_express(std::vector<Part>& parts);
    void take_front(Queue& queue, size_t jobs, std::vector<Part>& parts);
    void take_tail(Queue& queue, size_t jobs, std::vector<Part>& parts);
    void count_taken(Queue& queue, const Submission& submission, size_t jobs) noexcept;
    bool worker_may_take(const Call& call) const noexcept;
    Range step_of(Call& call) noexcept;
    bool is_idle() const noexcept;
    bool has_check_of(const Call& call) const noexcept;
    void set_share(size_t jobs) noexcept;

    Intake& intake_;
    const DispatchLimits limits_;

    std::mutex mutex_;  ///< guards everything below, but the last two
    Queue express_;
    Queue latency_;
    Queue throughput_;
    std::vector<Call*> calls_;   ///< blocking calls in progress; the callers own them
    std::deque<Part> returned_;  ///< parts of submissions that a device failed on
    std::vector<Check> checks_;
    size_t device_share_jobs_ = 0;
    bool device_up_ = false;
    bool stopping_ = false;
    bool device_works_ = false;
    // Arrivals are counted over windows of about the deadline.
    int64_t window_start_us_ = 0;
    size_t window_jobs_ = 0;
    double arrivals_per_us_ = 0;

    // device_up_ and device_share_jobs_ for others; relaxed, hints.
    std::atomic<bool> device_up_seen_;
    std::atomic<size_t> device_share_seen_{0};
};

}  // namespace millrace::kernels::detail
