// SPDX-License-Identifier: Apache-2.0
// Owns the order in which work is handed out, and the ends of a queue that workers and device take.
#include "kernels/offload/detail/dispatch.hpp"

#include <algorithm>

namespace millrace::kernels::detail {

namespace {

// So that a lock is not held for long; what stays in the rings is taken the next time.
constexpr size_t drained_submissions_max = 4096;

// All of a batch are called back at its end. Without lanes a batch saves an eighth of the time, for
// which nobody should wait for many others.
constexpr size_t laneless_batch_jobs = 8;

}  // namespace

Dispatch::Dispatch(Intake& intake, const DispatchLimits& limits, bool device_up)
    : intake_(intake), limits_(limits), device_up_(device_up), device_up_seen_(device_up) {
    calls_.reserve(64);
}

size_t Dispatch::in_full_vectors(size_t jobs) const noexcept {
    const size_t vectors = (std::max<size_t>(jobs, 1) + limits_.lanes - 1) / limits_.lanes;
    return std::min(vectors * limits_.lanes, limits_.batch_jobs_max);
}

int64_t Dispatch::fill_us(int64_t now_us) {
    const std::lock_guard lock(mutex_);
    drain(now_us);
    if (express_.jobs != 0 || latency_.jobs == 0 || latency_.jobs >= limits_.lanes ||
        latency_.submissions.empty() || !returned_.empty() || !checks_.empty() || !calls_.empty() ||
        stopping_) {
        return 0;
    }
    // A vector takes as long with one job as with all; a fifth of the deadline buys the rest.
    constexpr int64_t parts_of_deadline = 5;
    const int64_t age_us = now_us - latency_.submissions.front()->queued_us;
    const int64_t budget_us = limits_.deadline_us / parts_of_deadline - age_us;
    const auto missing = static_cast<double>(limits_.lanes - latency_.jobs);
    if (budget_us <= 0 || arrivals_per_us_ * static_cast<double>(budget_us) < missing) { return 0; }
    return static_cast<int64_t>(missing / arrivals_per_us_) + 1;
}

void Dispatch::next(Task& task, int64_t now_us, bool others_awake) {
    const std::lock_guard lock(mutex_);
    task.kind = Task::Kind::none;
    task.parts.clear();
    drain(now_us);
    if (take_check(task, nullptr)) { return; }
    if (!returned_.empty()) {
        Part& part = returned_.front();
        const size_t n = std::min(part.size(), limits_.batch_jobs_max);
        task.parts.push_back(part);
        task.parts.back().end = part.begin + n;
        part.begin += n;
        if (part.size() == 0) { returned_.pop_front(); }
        task.kind = Task::Kind::parts;
        return;
    }
    if (take_express(task.parts)) {
        task.kind = Task::Kind::parts;
        return;
    }
    const int64_t age_us = front_age_us(now_us);
    const bool late = age_us > limits_.deadline_us;
    const bool helps = age_us >= help_us() || latency_.jobs >= 2 * limits_.lanes;
    const bool mine = stopping_ || !others_awake || helps || latency_.jobs == 0;
    if (mine && age_us >= soon_us() && take_queued(task.parts, late)) {
        task.kind = Task::Kind::parts;
    } else if (take_call_step(task)) {
        task.kind = Task::Kind::call_step;
    } else if (mine && take_queued(task.parts, late)) {
        task.kind = Task::Kind::parts;
    }
}

bool Dispatch::has_check_of(const Call& call) const noexcept {
    return std::ranges::any_of(checks_, [&](const Check& check) { return check.call == &call; });
}

bool Dispatch::take_check(Task& task, const Call* only) {
    const auto check = std::ranges::find_if(
        checks_, [&](const Check& c) { return only == nullptr || c.call == only; });
    if (check == checks_.end()) { return false; }
    task.kind = Task::Kind::check;
    task.slot = check->slot;
    checks_.erase(check);
    return true;
}

void Dispatch::set_share(size_t jobs) noexcept {
    device_share_jobs_ = jobs;
    device_share_seen_.store(jobs, std::memory_order_relaxed);
}

void Dispatch::drain(int64_t now_us) {
    for (size_t i = 0; i < drained_submissions_max; ++i) {
        std::shared_ptr<Submission> submission = intake_.pop();
        if (submission == nullptr) { break; }
        window_jobs_ += submission->weight;
        Queue& queue = submission->urgency == Urgency::express   ? express_
                       : submission->urgency == Urgency::latency ? latency_
                                                                 : throughput_;
        queue.jobs += submission->weight;
        queue.submissions.push_back(std::move(submission));
    }
    if (const int64_t us = now_us - window_start_us_; us >= limits_.deadline_us) {
        arrivals_per_us_ =
            static_cast<double>(window_jobs_) / static_cast<double>(std::max<int64_t>(us, 1));
        window_start_us_ = now_us;
        window_jobs_ = 0;
    }
}

int64_t Dispatch::front_age_us(int64_t now_us) const noexcept {
    return latency_.submissions.empty() ? -1 : now_us - latency_.submissions.front()->queued_us;
}

bool Dispatch::worker_may_take(const Call& call) const noexcept {
    if (!call.returned.empty()) { return true; }
    if (call.untaken() == 0) { return false; }
    const size_t worth = limits_.device_items_min[static_cast<size_t>(call.kernel)];
    return limits_.steal || !device_up_ || !call.device_may_take || call.untaken() < worth;
}

Range Dispatch::step_of(Call& call) noexcept {
    Range range;
    if (!call.returned.empty()) {
        Range& first = call.returned.back();
        range = {first.begin, std::min(first.end, first.begin + call.step)};
        first.begin = range.end;
        if (first.size() == 0) { call.returned.pop_back(); }
    } else if (call.device_may_take && device_up_) {
        range = {call.end - std::min(call.step, call.untaken()), call.end};
        call.end = range.begin;
    } else {
        range = {call.begin, call.begin + std::min(call.step, call.untaken())};
        call.begin = range.end;
    }
    ++call.running;
    return range;
}

bool Dispatch::take_call_step(Task& task) {
    for (size_t i = 0; i < calls_.size(); ++i) {
        Call* const call = calls_[i];
        if (!worker_may_take(*call)) { continue; }
        task.call = call;
        task.range = step_of(*call);
        // It goes to the back, so that several callers share the workers.
        std::rotate(calls_.begin() + static_cast<ptrdiff_t>(i),
                    calls_.begin() + static_cast<ptrdiff_t>(i) + 1, calls_.end());
        return true;
    }
    return false;
}

bool Dispatch::take_queued(std::vector<Part>& parts, bool late) {
    Queue* queue = &latency_;
    size_t available = latency_.jobs;
    bool from_tail = false;
    if (device_up_ && device_share_jobs_ != 0 && !late) {
        available -= std::min(available, device_share_jobs_);
        from_tail = true;
    }
    if (available == 0) {
        queue = &throughput_;
        available = throughput_.jobs;
        const size_t worth = limits_.device_items_min[static_cast<size_t>(Kernel::secp256k1)];
        from_tail = device_up_ && available >= worth;
        if (from_tail && !limits_.steal) { return false; }
    }
    if (available == 0) { return false; }
    // A fair share, in full vectors.
    size_t room = in_full_vectors((available + limits_.workers - 1) / limits_.workers);
    if (limits_.lanes == 1) { room = std::min(room, laneless_batch_jobs); }
    room = std::min(room, available);
    from_tail ? take_tail(*queue, room, parts) : take_front(*queue, room, parts);
    // One submission wakes one worker; what that one leaves wakes the next, if it is worth it.
    if (available - room >= jobs_for_one_more()) { work.notify(); }
    return true;
}

bool Dispatch::take_express(std::vector<Part>& parts) {
    if (express_.jobs == 0) { return false; }
    // As in take_queued(): a fair share, in full vectors. What waits beside the express jobs gets
    // a quarter of it, however many of these there are, and what they leave.
    const size_t others = latency_.jobs - std::min(latency_.jobs, device_share_jobs_);
    const size_t all = express_.jobs + others;
    size_t room = in_full_vectors((all + limits_.workers - 1) / limits_.workers);
    if (limits_.lanes == 1) { room = std::min(room, laneless_batch_jobs); }
    const size_t most = others == 0 ? room : room - room / 4;
    const size_t express = std::min(express_.jobs, most);
    take_front(express_, express, parts);
    take_front(latency_, std::min(room - express, others), parts);
    if (all > room && all - room >= jobs_for_one_more()) { work.notify(); }
    return true;
}

void Dispatch::count_taken(Queue& queue, const Submission& submission, size_t jobs) noexcept {
    queue.jobs -= jobs;
    // Relaxed: a count that bounds.
    submission.node_depth->fetch_sub(jobs, std::memory_order_relaxed);
}

void Dispatch::take_front(Queue& queue, size_t jobs, std::vector<Part>& parts) {
    while (jobs != 0 && !queue.submissions.empty()) {
        const std::shared_ptr<Submission>& front = queue.submissions.front();
        const size_t n = std::min(jobs, front->end - front->begin);
        parts.push_back({front, nullptr, front->begin, front->begin + n});
        front->begin += n;
        jobs -= n;
        count_taken(queue, *front, n);
        if (front->begin == front->end) { queue.submissions.pop_front(); }
    }
}

void Dispatch::take_tail(Queue& queue, size_t jobs, std::vector<Part>& parts) {
    while (jobs != 0 && !queue.submissions.empty()) {
        const std::shared_ptr<Submission>& back = queue.submissions.back();
        const size_t n = std::min(jobs, back->end - back->begin);
        parts.push_back({back, nullptr, back->end - n, back->end});
        back->end -= n;
        jobs -= n;
        count_taken(queue, *back, n);
        if (back->begin == back->end) { queue.submissions.pop_back(); }
    }
}

void Dispatch::finish_step(Call& call) {
    const std::lock_guard lock(mutex_);
    --call.running;
    // Under the lock, since the caller destroys the call once it has seen that it is done.
    if (call.done()) { call.changed.notify_all(); }
}

void Dispatch::finish(std::vector<Part>& parts) {
    for (Part& part : parts) {
        if (part.call != nullptr) {
            finish_step(*part.call);
        } else {
            part.submission->finish(part.size());
        }
    }
    parts.clear();
}

void Dispatch::begin(Call& call) {
    bool for_device = false;
    {
        const std::lock_guard lock(mutex_);
        const size_t worth = limits_.device_items_min[static_cast<size_t>(call.kernel)];
        call.device_may_take = device_up_ && call.untaken() >= worth;
        for_device = call.device_may_take;
        calls_.push_back(&call);
    }
    work.notify(static_cast<uint32_t>(limits_.workers));
    if (for_device) { device_work.notify(); }
}

void Dispatch::wait_step(Call& call, Task& task) {
    std::unique_lock lock(mutex_);
    // With steal off it leaves its items to the device, but not while batches of others wait for a
    // check: they may hold all slots, and those who could check them may wait for this caller.
    const auto must_help = [&] { return !checks_.empty() && call.untaken() != 0; };
    call.changed.wait(lock, [&] {
        return call.done() || worker_may_take(call) || has_check_of(call) || must_help();
    });
    task.kind = Task::Kind::none;
    // Not of submissions: their callbacks are for workers, and the caller may hold what they need.
    if (call.done() || take_check(task, &call)) { return; }
    task.kind = Task::Kind::call_step;
    task.call = &call;
    task.range = step_of(call);
}

void Dispatch::end(Call& call) {
    const std::lock_guard lock(mutex_);
    std::erase(calls_, &call);
}

QueueLoad Dispatch::load(int64_t now_us, uint32_t batches_in_flight, uint32_t slots_free) {
    const std::lock_guard lock(mutex_);
    drain(now_us);
    QueueLoad load;
    load.jobs = latency_.jobs;
    if (!latency_.submissions.empty()) {
        load.oldest_age_us = now_us - latency_.submissions.front()->queued_us;
    }
    load.arrivals_per_us = arrivals_per_us_;
    load.batches_in_flight = batches_in_flight;
    load.slots_free = slots_free;
    return load;
}

void Dispatch::set_device_share(size_t jobs) {
    bool less = false;
    {
        const std::lock_guard lock(mutex_);
        if (!device_up_) { jobs = 0; }  // decided before it went down
        less = jobs < device_share_jobs_ && latency_.jobs > jobs;
        set_share(jobs);
    }
    if (less) { work.notify(); }
}

void Dispatch::take_oldest(size_t jobs, std::vector<Part>& parts) {
    const std::lock_guard lock(mutex_);
    take_front(latency_, jobs, parts);
}

bool Dispatch::take_block(const std::array<size_t, kernel_count>& items_max,
                          std::vector<Part>& parts, Kernel& kernel) {
    const std::lock_guard lock(mutex_);
    if (!device_up_) { return false; }
    for (Call* const call : calls_) {
        const auto index = static_cast<size_t>(call->kernel);
        if (!call->device_may_take || call->untaken() < limits_.device_items_min[index]) {
            continue;
        }
        const size_t n = std::min(call->untaken(), items_max[index]);
        parts.push_back({nullptr, call, call->begin, call->begin + n});
        call->begin += n;
        ++call->running;
        kernel = call->kernel;
        return true;
    }
    const auto recover = static_cast<size_t>(Kernel::secp256k1);
    if (throughput_.jobs < limits_.device_items_min[recover] || throughput_.jobs == 0) {
        return false;
    }
    take_front(throughput_, items_max[recover], parts);
    kernel = Kernel::secp256k1;
    return true;
}

void Dispatch::shorten(Part& part, size_t first) {
    const std::lock_guard lock(mutex_);
    Call& call = *part.call;
    if (call.begin != part.end) {
        // The device went down meanwhile, and workers took from the front.
        call.returned.push_back({first, part.end});
    } else if (first == part.begin) {
        call.begin = part.begin + 1;
        call.returned.push_back({part.begin, part.begin + 1});
    } else {
        call.begin = first;
    }
    part.end = first;
    call.changed.notify_all();
}

void Dispatch::give_back(std::vector<Part>& parts) {
    {
        const std::lock_guard lock(mutex_);
        for (Part& part : parts) {
            if (part.call == nullptr) {
                returned_.push_back(std::move(part));
                continue;
            }
            if (part.size() != 0) { part.call->returned.push_back({part.begin, part.end}); }
            --part.call->running;
            part.call->changed.notify_all();
        }
    }
    parts.clear();
    work.notify(static_cast<uint32_t>(limits_.workers));
}

void Dispatch::add_check(uint32_t slot, const Call* call) {
    {
        const std::lock_guard lock(mutex_);
        checks_.push_back({slot, call});
        for (Call* const listed : calls_) { listed->changed.notify_all(); }
    }
    work.notify();
}

void Dispatch::device_down() {
    {
        const std::lock_guard lock(mutex_);
        device_up_ = false;
        device_up_seen_.store(false, std::memory_order_relaxed);
        set_share(0);
        for (Call* const call : calls_) { call->changed.notify_all(); }
    }
    work.notify(static_cast<uint32_t>(limits_.workers));
}

void Dispatch::stop(bool device_works) {
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        device_works_ = device_works;
    }
    work.notify(static_cast<uint32_t>(limits_.workers));
    device_work.notify();
}

void Dispatch::device_finished() {
    {
        const std::lock_guard lock(mutex_);
        device_works_ = false;
    }
    work.notify(static_cast<uint32_t>(limits_.workers));
}

bool Dispatch::is_idle() const noexcept {
    return express_.submissions.empty() && latency_.submissions.empty() &&
           throughput_.submissions.empty() && returned_.empty() && checks_.empty() &&
           intake_.depth() == 0;
}

bool Dispatch::finished() {
    const std::lock_guard lock(mutex_);
    return stopping_ && !device_works_ && is_idle();
}

}  // namespace millrace::kernels::detail
