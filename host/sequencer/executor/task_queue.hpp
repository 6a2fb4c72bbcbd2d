// SPDX-License-Identifier: Apache-2.0
// Owns the bounded queue from the dispatcher to the workers.
#pragma once

#include <algorithm>
#include <atomic>
#include <bit>
#include <memory>
#include <span>

#include "host/base/ring.hpp"
#include "host/sequencer/types.hpp"

namespace millrace::sequencer {

/// From one producer thread to any number of consumers, in the order of arrival; nobody waits in
/// it. The capacity is a power of two, at least 2. Consumers take several at once, so that what
/// they fight for is touched once for all of them. (Vyukov's bounded queue, with the single
/// producer that we have.)
class TaskQueue {
public:
    explicit TaskQueue(size_t capacity)
        : mask_(capacity - 1), slots_(std::make_unique<Slot[]>(capacity)) {
        MILLRACE_ASSERT(capacity >= 2 && std::has_single_bit(capacity),
                        "the capacity of a ring is a power of two, at least 2");
        for (size_t i = 0; i < capacity; ++i) {
            slots_[i].turn.store(i, std::memory_order_relaxed);
        }
    }

    /// Producer thread. False when it is full, or a consumer has not quite left the place with the
    /// task of a round before: `task` is then untouched.
    [[nodiscard]] bool try_push(AdmittedPtr&& task) noexcept {
        const uint64_t tail = tail_.load(std::memory_order_relaxed);
        Slot& s = slots_[tail & mask_];
        if (s.turn.load(std::memory_order_acquire) != tail) { return false; }
        s.task = std::move(task);
        // Release: whoever sees the tail sees the tasks before it.
        tail_.store(tail + 1, std::memory_order_release);
        return true;
    }

    /// Any thread. Takes the oldest tasks, one in `share` of what is there but at least one, into
    /// the front of `out`; returns how many.
    size_t try_pop(std::span<AdmittedPtr> out, size_t share = 1) noexcept {
        uint64_t head = head_.load(std::memory_order_relaxed);
        size_t n = 0;
        do {
            const uint64_t tail = tail_.load(std::memory_order_acquire);
            if (tail <= head) { return 0; }
            n = std::clamp<size_t>((tail - head) / share, 1, out.size());
        } while (!head_.compare_exchange_weak(head, head + n, std::memory_order_relaxed));
        for (size_t i = 0; i < n; ++i) {
            Slot& s = slots_[(head + i) & mask_];
            out[i] = std::move(s.task);
            s.turn.store(head + i + mask_ + 1, std::memory_order_release);
        }
        return n;
    }

    /// Any thread; exact when nobody pushes or pops.
    size_t size_approx() const noexcept {
        const uint64_t head = head_.load(std::memory_order_relaxed);
        const uint64_t tail = tail_.load(std::memory_order_relaxed);
        return tail > head ? tail - head : 0;
    }

private:
    struct Slot {
        std::atomic<uint64_t> turn{0};  ///< the position that may fill it next
        AdmittedPtr task;
    };

    const uint64_t mask_;
    std::unique_ptr<Slot[]> slots_;
    alignas(cache_line_bytes) std::atomic<uint64_t> tail_{0};  // producer writes
    alignas(cache_line_bytes) std::atomic<uint64_t> head_{0};
};

}  // namespace millrace::sequencer
