// SPDX-License-Identifier: Apache-2.0
// Owns the bounded queue from the dispatcher to all workers.
#pragma once

#include <atomic>
#include <bit>
#include <memory>
#include <optional>

#include "host/base/ring.hpp"
#include "host/sequencer/executor/versioned_cell.hpp"
#include "host/sequencer/types.hpp"

namespace millrace::sequencer {

/// From one producer thread to any number of consumers, in the order of arrival. The capacity is a
/// power of two, at least 2. (Vyukov's bounded queue, with the single producer that we have.)
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
        Slot& s = slots_[tail_ & mask_];
        if (s.turn.load(std::memory_order_acquire) != tail_) { return false; }
        s.task = std::move(task);
        s.turn.store(++tail_, std::memory_order_release);
        // Pairs with the fence of wait_for_task(): one of both sees the other.
        std::atomic_thread_fence(std::memory_order_seq_cst);
        if (sleepers_.load(std::memory_order_relaxed) != 0) {
            signal_.fetch_add(1, std::memory_order_relaxed);
            signal_.notify_one();
        }
        return true;
    }

    /// Any thread. Waits for a task; null after close().
    AdmittedPtr pop() noexcept {
        for (;;) {
            for (int spin = 0; spin < spins_max; ++spin) {
                if (AdmittedPtr task = try_pop()) { return task; }
                if (closed_.load(std::memory_order_acquire)) { return nullptr; }
                __builtin_ia32_pause();
            }
            sleepers_.fetch_add(1, std::memory_order_relaxed);
            // Acquire: whoever sees the signal of close() sees that it is closed.
            const uint32_t seen = signal_.load(std::memory_order_acquire);
            std::atomic_thread_fence(std::memory_order_seq_cst);
            AdmittedPtr task = try_pop();
            if (task == nullptr && !closed_.load(std::memory_order_acquire)) {
                signal_.wait(seen, std::memory_order_relaxed);
            }
            sleepers_.fetch_sub(1, std::memory_order_relaxed);
            if (task != nullptr) { return task; }
        }
    }

    /// Any thread. Tasks that are queued may be lost.
    void close() noexcept {
        closed_.store(true, std::memory_order_release);
        signal_.fetch_add(1, std::memory_order_release);
        signal_.notify_all();
    }

private:
    // About ten microseconds: shorter than the way through the kernel, and what a pipeline that is
    // busy stays below.
    static constexpr int spins_max = 256;

    struct alignas(64) Slot {
        std::atomic<uint64_t> turn{0};
        AdmittedPtr task;
    };

    AdmittedPtr try_pop() noexcept {
        uint64_t head = head_.load(std::memory_order_relaxed);
        for (;;) {
            Slot& s = slots_[head & mask_];
            const uint64_t turn = s.turn.load(std::memory_order_acquire);
            if (turn == head + 1) {
                if (head_.compare_exchange_weak(head, head + 1, std::memory_order_relaxed)) {
                    AdmittedPtr task = std::move(s.task);
                    s.turn.store(head + mask_ + 1, std::memory_order_release);
                    return task;
                }
            } else if (turn < head + 1) {
                return nullptr;
            } else {
                head = head_.load(std::memory_order_relaxed);
            }
        }
    }

    const uint64_t mask_;
    std::unique_ptr<Slot[]> slots_;
    alignas(cache_line_bytes) uint64_t tail_ = 0;  // producer only
    alignas(cache_line_bytes) std::atomic<uint64_t> head_{0};
    alignas(cache_line_bytes) std::atomic<uint32_t> sleepers_{0};
    std::atomic<uint32_t> signal_{0};
    std::atomic<bool> closed_{false};
};

}  // namespace millrace::sequencer
