// SPDX-License-Identifier: Apache-2.0
// Owns the loop of an RPC worker thread.
#include "net/rpc/worker_pool.hpp"

#include "host/base/thread.hpp"

namespace millrace::net {

WorkerPool::WorkerPool(unsigned thread_count, size_t queue_max, metrics::Gauge& depth)
    : queue_max_(queue_max), depth_(depth) {
    for (unsigned i = 0; i < thread_count; ++i) {
        threads_.emplace_back([this, i] { run(i); });
    }
}

bool WorkerPool::post(std::function<void()> work) {
    {
        const std::lock_guard lock(mutex_);
        if (stopping_ || queue_.size() >= queue_max_) { return false; }
        queue_.push_back(std::move(work));
        depth_.set(static_cast<int64_t>(queue_.size()));
    }
    ready_.notify_one();
    return true;
}

void WorkerPool::run(unsigned index) {
    set_thread_name("rpc-work-" + std::to_string(index));
    for (;;) {
        std::function<void()> work;
        {
            std::unique_lock lock(mutex_);
            ready_.wait(lock, [this] { return stopping_ || !queue_.empty(); });
            if (stopping_) { return; }
            work = std::move(queue_.front());
            queue_.pop_front();
            depth_.set(static_cast<int64_t>(queue_.size()));
        }
        work();
    }
}

void WorkerPool::stop() {
    std::deque<std::function<void()>> dropped;
    {
        const std::lock_guard lock(mutex_);
        stopping_ = true;
        dropped.swap(queue_);
    }
    ready_.notify_all();
    for (auto& thread : threads_) {
        if (thread.joinable()) { thread.join(); }
    }
}

}  // namespace millrace::net
