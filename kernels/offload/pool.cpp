// SPDX-License-Identifier: Apache-2.0
// Owns the life of a worker and how a task is run on the CPU.
#include "kernels/offload/detail/pool.hpp"

#include <sys/prctl.h>

#include <algorithm>
#include <string>
#include <utility>

#include "host/base/thread.hpp"
#include "kernels/secp256k1/recover_batch.hpp"

namespace millrace::kernels::detail {

namespace {

thread_local const Pool* pool_here = nullptr;

// Nothing needs a worker's attention while nothing is published; a lost hour is only a guard.
constexpr int64_t asleep_us = int64_t{3600} * 1'000'000;

}  // namespace

bool Pool::is_worker_here() const noexcept { return pool_here == this; }

void Pool::start(size_t workers) {
    for (size_t i = 0; i < workers; ++i) {
        workers_.emplace_back([this, i] { work(i); });
    }
}

void Pool::join() {
    const std::lock_guard lock(join_mutex_);
    for (std::thread& worker : workers_) { worker.join(); }
    workers_.clear();
}

void Pool::notify_submitted(size_t waiting) noexcept {
    figures_.depth.set(static_cast<int64_t>(waiting));
    // A worker that is awake takes what comes in the meantime, and so fills its vectors. Others
    // are woken when there is more than those that are awake, and a device, do soon.
    // Of "I publish, then look who is awake" and "I go to sleep, then look for work" one side sees
    // the other.
    std::atomic_thread_fence(std::memory_order_seq_cst);
    const size_t awake = awake_.load(std::memory_order_seq_cst);
    const size_t served = awake * dispatch_.jobs_for_one_more() + dispatch_.device_share();
    // Those that are awake may be held up, by a callback or by the system: somebody else looks up
    // from time to time until they sleep.
    const bool unwatched = awake != 0 && !watched_.load(std::memory_order_relaxed) &&
                           !watch_asked_.exchange(true, std::memory_order_relaxed);
    dispatch_.work.notify(waiting > served || unwatched ? 1 : 0);
}

void Pool::work(size_t index) {
    set_thread_name("offload-" + std::to_string(index));
    // Sleeps of microseconds: the system otherwise adds 50 of them.
    prctl(PR_SET_TIMERSLACK, 1000UL);
    pool_here = this;
    // The first worker does it, so that neither the start nor the first job waits.
    if (index == 0) { prepare_recovery(cpu_.recover_backend()); }
    WorkerState state;
    bool watched = false;
    awake_.fetch_add(1, std::memory_order_seq_cst);
    for (;;) {
        if (awake_.load(std::memory_order_seq_cst) == 1) {
            if (const int64_t us = dispatch_.fill_us(clock_.steady_us()); us > 0) {
                dispatch_.work.wait(dispatch_.work.prepare(), us);
            }
        }
        if (take(state, awake_.load(std::memory_order_seq_cst) > 1)) {
            // Somebody else has to look up while this one works.
            if (std::exchange(watched, false)) { dispatch_.work.notify(); }
            run_task(state);
            continue;
        }
        const size_t others = awake_.fetch_sub(1, std::memory_order_seq_cst) - 1;
        const uint32_t key = dispatch_.work.prepare();
        // Of several that go to sleep the last one sees no others, and takes what is left.
        if (take(state, others != 0)) {
            dispatch_.work.cancel();
            awake_.fetch_add(1, std::memory_order_seq_cst);
            if (std::exchange(watched, false)) { dispatch_.work.notify(); }
            run_task(state);
            continue;
        }
        if (dispatch_.finished()) {
            dispatch_.work.cancel();
            // Others may have left the last jobs to this one, and sleep.
            dispatch_.work.notify(static_cast<uint32_t>(dispatch_.limits().workers));
            return;
        }
        const bool left = others != 0 || dispatch_.depth() != 0;
        watched = left && !watched_.exchange(true, std::memory_order_relaxed);
        dispatch_.work.wait(key, watched ? dispatch_.help_us() : asleep_us);
        if (watched) { watched_.store(false, std::memory_order_relaxed); }
        // Who was asked to watch and finds work instead passes the watch on.
        watched = watch_asked_.exchange(false, std::memory_order_relaxed) || watched;
        awake_.fetch_add(1, std::memory_order_seq_cst);
    }
}

bool Pool::take(WorkerState& state, bool others_awake) {
    dispatch_.next(state.task, clock_.steady_us(), others_awake);
    return state.task.kind != Task::Kind::none;
}

bool Pool::run_one(WorkerState& state) {
    if (!take(state, false)) { return false; }
    run_task(state);
    return true;
}

void Pool::run(Call& call) {
    if (call.untaken() == 0) { return; }
    dispatch_.begin(call);
    WorkerState state;
    for (;;) {
        dispatch_.wait_step(call, state.task);
        if (state.task.kind == Task::Kind::none) { break; }
        run_task(state);
    }
    dispatch_.end(call);
}

void Pool::run_task(WorkerState& state) {
    switch (state.task.kind) {
        case Task::Kind::none: break;
        case Task::Kind::parts: run_parts(state); break;
        case Task::Kind::call_step:
            run_items(*state.task.call, state.task.range);
            dispatch_.finish_step(*state.task.call);
            break;
        case Task::Kind::check:
            lane_->check(state.task.slot, state.task.parts);
            dispatch_.finish(state.task.parts);
            break;
    }
}

void Pool::run_items(const Call& call, Range range) {
    if (call.kernel == Kernel::secp256k1) {
        cpu_.recover(call.jobs.subspan(range.begin, range.size()),
                     call.senders.subspan(range.begin, range.size()));
    } else {
        cpu_.keccak256(call.messages.subspan(range.begin, range.size()),
                       call.digests.subspan(range.begin, range.size()));
    }
}

void Pool::run_parts(WorkerState& state) {
    std::vector<Part>& parts = state.task.parts;
    const int64_t start_us = clock_.steady_us();
    figures_.depth.set(static_cast<int64_t>(dispatch_.depth()));
    state.jobs.clear();
    for (const Part& part : parts) {
        const Submission& submission = *part.submission;
        const int64_t waited_us = std::max<int64_t>(start_us - submission.queued_us, 0);
        figures_.wait.observe_us(static_cast<uint64_t>(waited_us));
        if (waited_us > dispatch_.limits().deadline_us &&
            submission.urgency != Urgency::throughput) {
            figures_.late.add(part.size());
        }
        for (size_t i = 0; i < part.item_count(); ++i) {
            state.jobs.push_back(job_of(submission.ring->at(submission.position + part.begin + i)));
        }
    }
    if (!state.jobs.empty()) {
        state.senders.resize(state.jobs.size());
        cpu_.recover(state.jobs, state.senders);
    }
    auto sender = state.senders.begin();
    for (const Part& part : parts) {
        const auto n = static_cast<ptrdiff_t>(part.item_count());
        if (n == 0) { continue; }
        std::copy(sender, sender + n,
                  part.submission->senders.begin() + static_cast<ptrdiff_t>(part.begin));
        sender += n;
    }
    dispatch_.finish(parts);
}

}  // namespace millrace::kernels::detail
