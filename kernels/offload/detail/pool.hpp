// SPDX-License-Identifier: Apache-2.0
// Owns the workers: threads that take tasks and run them on the CPU.
#pragma once

#include <atomic>
#include <mutex>
#include <thread>
#include <vector>

#include "host/base/clock.hpp"
#include "kernels/offload/detail/cpu_kernels.hpp"
#include "kernels/offload/detail/device_lane.hpp"
#include "kernels/offload/detail/dispatch.hpp"

namespace millrace::kernels::detail {

/// What one thread keeps from task to task, so that nothing is allocated after a while.
struct WorkerState {
    Task task;
    std::vector<RecoverJob> jobs;
    std::vector<std::optional<Address>> senders;
};

class Pool {
public:
    /// The arguments outlive the pool; `lane` may be null.
    Pool(Dispatch& dispatch, DeviceLane* lane, CpuKernels& cpu, Figures& figures,
         const Clock& clock)
        : dispatch_(dispatch), lane_(lane), cpu_(cpu), figures_(figures), clock_(clock) {}

    void start(size_t workers);
    /// Waits for the workers, which leave when Dispatch has finished. Any thread but a worker.
    void join();

    /// Takes one task and runs it; false when there is none. Any thread, without start() too.
    bool run_one(WorkerState& state);
    /// Runs a call on this thread and whoever helps.
    void run(Call& call);
    /// Runs a call that nobody else knows of on this thread alone.
    void run_alone(const Call& call) { run_items(call, {call.begin, call.end}); }
    /// Wakes a worker if those that are awake have enough to do with the `waiting` jobs.
    void notify_submitted(size_t waiting) noexcept;
    /// Whether the calling thread is a worker of this pool.
    bool is_worker_here() const noexcept;

private:
    void work(size_t index);
    bool take(WorkerState& state, bool others_awake);
    void run_task(WorkerState& state);
    void run_parts(WorkerState& state);
    void run_items(const Call& call, Range range);

    Dispatch& dispatch_;
    DeviceLane* const lane_;
    CpuKernels& cpu_;
    Figures& figures_;
    const Clock& clock_;
    /// Workers that are not about to sleep. Sequentially consistent together with EventCount: a
    /// producer that counts on an awake worker is seen by that worker's last look.
    std::atomic<size_t> awake_{0};
    /// One of those that sleep looks up at times: a worker that is awake may be held up, by a
    /// callback or by the system, and so may a device. Relaxed: several or none for a moment do no
    /// harm.
    std::atomic<bool> watched_{false};
    std::atomic<bool> watch_asked_{false};  ///< somebody was woken to watch

    std::mutex join_mutex_;  ///< guards workers_
    std::vector<std::thread> workers_;
};

}  // namespace millrace::kernels::detail
