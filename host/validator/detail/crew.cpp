// SPDX-License-Identifier: Apache-2.0
// Owns the hand-over of jobs to threads.
#include "host/validator/detail/crew.hpp"

#include <algorithm>
#include <string>

#include "host/base/error.hpp"
#include "host/base/thread.hpp"

namespace millrace::validator::detail {

Crew::Crew(uint32_t count) {
    MILLRACE_ASSERT(count >= 1, "the caller is one of the crew");
    for (uint32_t member = 1; member < count; ++member) {
        threads_.emplace_back([this, member] {
            set_thread_name("replay " + std::to_string(member));
            serve(member);
        });
    }
}

Crew::~Crew() {
    stopping_.store(true, std::memory_order_relaxed);
    job_number_.fetch_add(1, std::memory_order_release);
    job_number_.notify_all();
}

void Crew::serve(uint32_t member) {
    for (uint32_t seen = 0;;) {
        job_number_.wait(seen, std::memory_order_acquire);
        seen = job_number_.load(std::memory_order_acquire);
        if (stopping_.load(std::memory_order_relaxed)) { return; }
        (*job_)(member);
        if (busy_.fetch_sub(1, std::memory_order_acq_rel) == 1) { busy_.notify_one(); }
    }
}

void Crew::run(const std::function<void(uint32_t)>& job) {
    job_ = &job;
    busy_.store(static_cast<uint32_t>(threads_.size()), std::memory_order_relaxed);
    job_number_.fetch_add(1, std::memory_order_release);
    job_number_.notify_all();
    job(0);
    for (uint32_t n = busy_.load(std::memory_order_acquire); n != 0;
         n = busy_.load(std::memory_order_acquire)) {
        busy_.wait(n, std::memory_order_acquire);
    }
}

void Crew::for_each(size_t count, size_t piece, const std::function<void(uint32_t, size_t)>& item) {
    std::atomic<size_t> next{0};
    run([&](uint32_t member) {
        // Relaxed: who takes which piece carries no data.
        for (size_t begin = next.fetch_add(piece, std::memory_order_relaxed); begin < count;
             begin = next.fetch_add(piece, std::memory_order_relaxed)) {
            const size_t end = std::min(begin + piece, count);
            for (size_t k = begin; k < end; ++k) { item(member, k); }
        }
    });
}

}  // namespace millrace::validator::detail
