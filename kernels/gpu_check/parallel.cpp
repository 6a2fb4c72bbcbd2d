// SPDX-License-Identifier: Apache-2.0
// Owns the threads of the host's half of the work.
#include <thread>
#include <vector>

#include "kernels/gpu_check/case.hpp"

namespace millrace::gpu_check {

void in_parallel(size_t count, uint32_t threads, const std::function<void(size_t, size_t)>& work) {
    std::vector<std::thread> running;
    for (uint32_t t = 0; t < threads; ++t) {
        const size_t first = count * t / threads;
        const size_t end = count * (t + 1) / threads;
        if (first != end) {
            running.emplace_back([&work, first, end] { work(first, end); });
        }
    }
    for (std::thread& thread : running) { thread.join(); }
}

}  // namespace millrace::gpu_check
