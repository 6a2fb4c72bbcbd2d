// SPDX-License-Identifier: Apache-2.0
// Owns the bounded lock-free rings between threads, and the mailbox that a thread sleeps on.
#pragma once

#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <type_traits>
#include <utility>

#include "host/base/error.hpp"

namespace millrace {

/// Distance that keeps two variables from sharing a cache line. Two lines of x86, because its
/// prefetcher fetches lines in pairs.
inline constexpr size_t cache_line_bytes = 128;

namespace detail {

/// Room for one T that is constructed and destroyed by hand.
template <class T>
struct RingCell {
    alignas(T) std::byte storage[sizeof(T)];

    T* address() noexcept { return std::launder(reinterpret_cast<T*>(storage)); }
    void construct(T&& v) noexcept { ::new (static_cast<void*>(storage)) T(std::move(v)); }
    /// Moves the value out and ends its life.
    T take() noexcept {
        T* p = address();
        T v(std::move(*p));
        p->~T();
        return v;
    }
};

/// Sleeps while `word` holds `expected`, until a wake or until `deadline_us` on the scale of
/// SystemClock::steady_us(). May return early.
void futex_wait_until(std::atomic<uint32_t>& word, uint32_t expected, int64_t deadline_us) noexcept;
/// Wakes the one thread that sleeps on `word`, if any.
void futex_wake_one(std::atomic<uint32_t>& word) noexcept;
int64_t monotonic_us() noexcept;

}  // namespace detail

/// Bounded queue from one producer thread to one consumer thread; wait-free on both sides. The
/// capacity is a power of two, at least 2, fixed at construction; the whole buffer is allocated
/// there and nothing after. A full ring refuses, which is the caller's back-pressure.
template <class T>
class SpscRing {
    static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                  "an element must move without failing: a slot cannot be handed back");

public:
    explicit SpscRing(size_t capacity) : mask_(capacity - 1) {
        MILLRACE_ASSERT(capacity >= 2 && std::has_single_bit(capacity),
                        "the capacity of a ring is a power of two, at least 2");
        cells_ = std::make_unique<detail::RingCell<T>[]>(capacity);
    }
    ~SpscRing() {
        while (try_pop().has_value()) {}
    }
    SpscRing(const SpscRing&) = delete;
    SpscRing& operator=(const SpscRing&) = delete;

    /// Producer thread. False when the ring is full: `v` is then untouched.
    [[nodiscard]] bool try_push(T&& v) noexcept {
        // Only this thread writes tail_, so its own last value needs no order.
        const uint64_t tail = tail_.load(std::memory_order_relaxed);
        if (tail - head_seen_ > mask_) {
            // Acquire: the consumer's move out of the cell happens before it is filled again.
            head_seen_ = head_.load(std::memory_order_acquire);
            if (tail - head_seen_ > mask_) { return false; }
        }
        cells_[tail & mask_].construct(std::move(v));
        // Release: whoever sees the new tail sees the element.
        tail_.store(tail + 1, std::memory_order_release);
        return true;
    }

    /// Consumer thread. Empty when there is nothing.
    [[nodiscard]] std::optional<T> try_pop() noexcept {
        const uint64_t head = head_.load(std::memory_order_relaxed);
        if (head == tail_seen_) {
            // Acquire: pairs with the producer's release of the element.
            tail_seen_ = tail_.load(std::memory_order_acquire);
            if (head == tail_seen_) { return std::nullopt; }
        }
        std::optional<T> v(cells_[head & mask_].take());
        // Release: the cell is empty before the producer may see it as free.
        head_.store(head + 1, std::memory_order_release);
        return v;
    }

    /// Any thread; exact when both sides are at rest, never above capacity().
    size_t size_approx() const noexcept {
        // The head is read first: it only grows, so the difference cannot come out negative; the
        // tail may have moved on by more than a ring in between, hence the bound.
        const uint64_t head = head_.load(std::memory_order_acquire);
        const uint64_t tail = tail_.load(std::memory_order_acquire);
        return tail - head > mask_ ? capacity() : static_cast<size_t>(tail - head);
    }
    size_t capacity() const noexcept { return static_cast<size_t>(mask_) + 1; }

private:
    // 64-bit positions never wrap in practice, so "full" and "empty" need no spare cell. Each side
    // keeps the last position it saw of the other one, and so touches the other's line only when
    // the ring looks full or empty.
    alignas(cache_line_bytes) std::atomic<uint64_t> tail_{0};  // next to fill; producer writes
    uint64_t head_seen_ = 0;                                   // producer only
    alignas(cache_line_bytes) std::atomic<uint64_t> head_{0};  // next to take; consumer writes
    uint64_t tail_seen_ = 0;                                   // consumer only
    alignas(cache_line_bytes) const uint64_t mask_;            // read-only after construction
    std::unique_ptr<detail::RingCell<T>[]> cells_;
};

/// Bounded queue from any number of producer threads to one consumer thread. The capacity is a
/// power of two, at least 2, fixed at construction. Elements of one producer stay in order. Pushing
/// is lock-free; an element becomes visible only after all those claimed before it were published,
/// so a producer that is preempted in mid-push delays the consumer, but nobody else.
template <class T>
class MpscRing {
    static_assert(std::is_nothrow_move_constructible_v<T> && std::is_nothrow_destructible_v<T>,
                  "an element must move without failing: a slot cannot be handed back");

public:
    explicit MpscRing(size_t capacity) : mask_(capacity - 1) {
        MILLRACE_ASSERT(capacity >= 2 && std::has_single_bit(capacity),
                        "the capacity of a ring is a power of two, at least 2");
        slots_ = std::make_unique<Slot[]>(capacity);
        for (size_t i = 0; i < capacity; ++i) {
            // Relaxed: whoever shares the ring with another thread publishes it as a whole.
            slots_[i].turn.store(i, std::memory_order_relaxed);
        }
    }
    ~MpscRing() {
        while (try_pop().has_value()) {}
    }
    MpscRing(const MpscRing&) = delete;
    MpscRing& operator=(const MpscRing&) = delete;

    /// Any thread. False when the ring is full: `v` is then untouched.
    [[nodiscard]] bool try_push(T&& v) noexcept {
        // Relaxed: a stale position only costs a round of the loop, the slot's turn decides.
        uint64_t tail = tail_.load(std::memory_order_relaxed);
        for (;;) {
            Slot& slot = slots_[tail & mask_];
            // Acquire: the consumer's move out of the slot happens before it is filled again.
            const uint64_t turn = slot.turn.load(std::memory_order_acquire);
            if (turn == tail) {
                // Relaxed: the claim gives sole use of the slot and publishes nothing.
                if (tail_.compare_exchange_weak(tail, tail + 1, std::memory_order_relaxed)) {
                    slot.cell.construct(std::move(v));
                    // Release: whoever sees this turn sees the element.
                    slot.turn.store(tail + 1, std::memory_order_release);
                    return true;
                }
            } else if (turn < tail) {
                // The slot still holds the element of the round before.
                return false;
            } else {
                tail = tail_.load(std::memory_order_relaxed);
            }
        }
    }

    /// Consumer thread. Empty when there is nothing, or the oldest element is still being written.
    [[nodiscard]] std::optional<T> try_pop() noexcept {
        const uint64_t head = head_.load(std::memory_order_relaxed);
        Slot& slot = slots_[head & mask_];
        // Acquire: pairs with the producer's release of the element.
        if (slot.turn.load(std::memory_order_acquire) != head + 1) { return std::nullopt; }
        std::optional<T> v(slot.cell.take());
        // Release: the slot is empty before a producer may see it as free for its next round.
        slot.turn.store(head + mask_ + 1, std::memory_order_release);
        head_.store(head + 1, std::memory_order_release);
        return v;
    }

    /// Any thread; counts claimed slots; exact at rest, never above capacity().
    size_t size_approx() const noexcept {
        const uint64_t head = head_.load(std::memory_order_acquire);
        const uint64_t tail = tail_.load(std::memory_order_acquire);
        // A producer may claim a slot between the consumer's two stores, before head_ moves; and
        // the tail may run on between the two loads.
        return tail - head > mask_ ? capacity() : static_cast<size_t>(tail - head);
    }
    size_t capacity() const noexcept { return static_cast<size_t>(mask_) + 1; }

private:
    /// `turn` is p while the slot waits for the element of position p, and p + 1 while it holds it.
    /// With a capacity of 1 "held" and "free for the next round" would be the same number.
    struct Slot {
        std::atomic<uint64_t> turn{0};
        detail::RingCell<T> cell;
    };

    alignas(cache_line_bytes) std::atomic<uint64_t> tail_{0};  // next to claim; producers write
    alignas(cache_line_bytes) std::atomic<uint64_t> head_{0};  // next to take; consumer writes
    alignas(cache_line_bytes) const uint64_t mask_;            // read-only after construction
    std::unique_ptr<Slot[]> slots_;
};

/// An MpscRing whose consumer can sleep until something arrives. A push costs a system call only
/// while the consumer sleeps.
template <class T>
class Mailbox {
public:
    explicit Mailbox(size_t capacity) : ring_(capacity) {}

    /// Any thread. False when the mailbox is full: `v` is then untouched.
    [[nodiscard]] bool try_push(T&& v) noexcept {
        if (!ring_.try_push(std::move(v))) { return false; }
        wake_sleeper();
        return true;
    }

    /// Any thread. Makes the consumer's present or next wait return at once even without an
    /// element, so that it can look at something else, such as an order to stop.
    void wake() noexcept {
        // Release: what the caller wrote before is seen by the consumer that takes the request.
        wake_requested_.store(true, std::memory_order_release);
        wake_sleeper();
    }

    /// Consumer thread; does not wait.
    [[nodiscard]] std::optional<T> try_pop() noexcept { return ring_.try_pop(); }

    /// Consumer thread. Waits until there is an element, wake() is called, or `deadline_us` on the
    /// scale of SystemClock::steady_us() has passed. An element that is there is always preferred;
    /// a deadline in the past is the same as try_pop().
    [[nodiscard]] std::optional<T> pop_wait_until(int64_t deadline_us) noexcept {
        for (;;) {
            if (auto v = ring_.try_pop()) { return v; }
            sleeping_.store(1, std::memory_order_relaxed);
            // Pairs with the fence of wake_sleeper(): of "I announce my sleep, then look" and "I
            // publish, then look for a sleeper" at least one side must see the other, which
            // acquire and release alone do not give.
            std::atomic_thread_fence(std::memory_order_seq_cst);
            auto v = ring_.try_pop();
            if (v.has_value() || wake_requested_.exchange(false, std::memory_order_acquire) ||
                detail::monotonic_us() >= deadline_us) {
                sleeping_.store(0, std::memory_order_relaxed);
                return v;
            }
            detail::futex_wait_until(sleeping_, 1, deadline_us);
            sleeping_.store(0, std::memory_order_relaxed);
        }
    }

    size_t size_approx() const noexcept { return ring_.size_approx(); }
    size_t capacity() const noexcept { return ring_.capacity(); }

private:
    void wake_sleeper() noexcept {
        std::atomic_thread_fence(std::memory_order_seq_cst);
        // The load keeps the line shared while the consumer is awake; the exchange lets only one
        // of many producers pay for the system call.
        if (sleeping_.load(std::memory_order_relaxed) != 0 &&
            sleeping_.exchange(0, std::memory_order_relaxed) != 0) {
            detail::futex_wake_one(sleeping_);
        }
    }

    MpscRing<T> ring_;
    alignas(cache_line_bytes) std::atomic<uint32_t> sleeping_{0};
    std::atomic<bool> wake_requested_{false};
};

}  // namespace millrace
