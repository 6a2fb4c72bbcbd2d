// SPDX-License-Identifier: Apache-2.0
// Owns the bounded pool of threads that run methods which may take a while.
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

#include "host/base/metrics.hpp"

namespace millrace::net {

/// First in, first out. Thread-safe.
class WorkerPool {
public:
    WorkerPool(unsigned thread_count, size_t queue_max, metrics::Gauge& depth);
    ~WorkerPool() { stop(); }

    /// False when the queue is full or the pool has stopped.
    bool post(std::function<void()> work);
    /// Finishes what runs, drops what waits, joins. Not from a worker.
    void stop();

private:
    void run(unsigned index);

    const size_t queue_max_;
    metrics::Gauge& depth_;
    /// Guards queue_ and stopping_.
    std::mutex mutex_;
    std::condition_variable ready_;
    std::deque<std::function<void()>> queue_;
    bool stopping_ = false;
    std::vector<std::thread> threads_;
};

}  // namespace millrace::net
