// SPDX-License-Identifier: Apache-2.0
// Owns waking the threads of a crew and waiting for them.
#include "kernels/bench/crew.hpp"

#include <string>

#include <sched.h>

#include "host/base/error.hpp"
#include "host/base/thread.hpp"

namespace millrace::kernel_bench {

namespace {

/// Cores that the calling thread may run on.
std::vector<unsigned> cores_of_caller() {
    cpu_set_t set;
    CPU_ZERO(&set);
    std::vector<unsigned> cores;
    if (sched_getaffinity(0, sizeof set, &set) != 0) { return cores; }
    for (unsigned core = 0; core < CPU_SETSIZE; ++core) {
        if (CPU_ISSET(core, &set)) { cores.push_back(core); }
    }
    return cores;
}

}  // namespace

Crew::Crew(size_t size) : cores_(cores_of_caller()) {
    for (size_t part = 1; part < size; ++part) {
        threads_.emplace_back([this, part] {
            set_thread_name("bench-" + std::to_string(part));
            // Where the system refuses, the thread runs wherever it may: slower at worst.
            if (part < cores_.size()) { (void)pin_thread_to_cpu(cores_[part]); }
            stand_by(part);
        });
    }
}

Crew::CallerOnItsCore::CallerOnItsCore(const Crew& crew) : crew_(crew) {
    if (crew.size() > 1 && !crew.cores_.empty()) { (void)pin_thread_to_cpu(crew.cores_.front()); }
}

Crew::CallerOnItsCore::~CallerOnItsCore() {
    if (crew_.size() == 1 || crew_.cores_.empty()) { return; }
    cpu_set_t set;
    CPU_ZERO(&set);
    for (const unsigned core : crew_.cores_) { CPU_SET(core, &set); }
    // It was allowed before; a failure leaves the thread on one of its own cores.
    (void)sched_setaffinity(0, sizeof set, &set);
}

Crew::~Crew() {
    ends_ = true;
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    for (std::thread& thread : threads_) { thread.join(); }
}

void Crew::run(size_t parts, const std::function<void(size_t)>& work) {
    MILLRACE_ASSERT(parts >= 1 && parts <= size(), "a crew has a thread for each part");
    if (parts == 1) {
        work(0);
        return;
    }
    work_ = &work;
    parts_ = parts;
    busy_.store(static_cast<uint32_t>(threads_.size()), std::memory_order_relaxed);
    // Release: whoever sees the round sees the work.
    round_.fetch_add(1, std::memory_order_release);
    round_.notify_all();
    work(0);
    // Acquire: what the threads wrote is seen by the caller.
    for (uint32_t busy; (busy = busy_.load(std::memory_order_acquire)) != 0;) { busy_.wait(busy); }
}

void Crew::stand_by(size_t part) {
    uint32_t seen = 0;
    while (true) {
        round_.wait(seen, std::memory_order_acquire);
        seen = round_.load(std::memory_order_acquire);
        if (ends_) { return; }
        if (part < parts_) { (*work_)(part); }
        if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) { busy_.notify_one(); }
    }
}

}  // namespace millrace::kernel_bench
