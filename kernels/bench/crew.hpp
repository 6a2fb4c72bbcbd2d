// SPDX-License-Identifier: Apache-2.0
// Owns the threads that share one batch.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <thread>
#include <vector>

namespace millrace::kernel_bench {

/// Threads that do the parts of a batch together, each on a core of its own where the system allows
/// it. The caller is one of them; the others sleep between batches, so that what is timed includes
/// waking them, as in a node.
class Crew {
public:
    /// `size` threads with the caller: 1 starts none.
    explicit Crew(size_t size);
    ~Crew();
    Crew(const Crew&) = delete;
    Crew& operator=(const Crew&) = delete;

    size_t size() const noexcept { return threads_.size() + 1; }

    /// Calls work(part) for each part below `parts`, at most size(), each on a thread of its own,
    /// and returns when all are done. `work` must not throw. One caller at a time.
    void run(size_t parts, const std::function<void(size_t part)>& work);

    /// While it lives, the thread that made it runs on the core that the crew left to it; a crew of
    /// one leaves it where it is.
    class CallerOnItsCore {
    public:
        explicit CallerOnItsCore(const Crew& crew);
        ~CallerOnItsCore();
        CallerOnItsCore(const CallerOnItsCore&) = delete;
        CallerOnItsCore& operator=(const CallerOnItsCore&) = delete;

    private:
        const Crew& crew_;
    };

private:
    void stand_by(size_t part);

    std::vector<unsigned> cores_;  ///< that the maker of the crew may run on
    std::vector<std::thread> threads_;
    const std::function<void(size_t)>* work_ = nullptr;  ///< published by round_
    size_t parts_ = 0;                                   ///< published by round_
    bool ends_ = false;                                  ///< published by round_
    std::atomic<uint32_t> round_{0};                     ///< one more for each run
    std::atomic<uint32_t> busy_{0};                      ///< threads that have not ended this round
};

}  // namespace millrace::kernel_bench
