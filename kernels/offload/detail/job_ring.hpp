// SPDX-License-Identifier: Apache-2.0
// Owns the slots in which submitted recoveries wait, in the form that a device reads.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "host/base/ring.hpp"
#include "kernels/secp256k1/detail/gpu/slot.hpp"

namespace millrace::kernels::detail {

/// A ring of slots that any thread claims at the end, in whole submissions, and any thread
/// releases, in any order. Claiming is lock-free. A job keeps its slot until its result has been
/// accepted, so that a device's batch can be done again; a released slot is claimed again only
/// when all before it have been, so one old job holds up at most one round of the ring.
class JobRing {
public:
    /// `slots` outlive the ring; their number is a power of two, at least 2.
    explicit JobRing(std::span<gpu::RecoverSlot> slots)
        : slots_(slots), mask_(slots.size() - 1), turns_(slots.size()) {
        MILLRACE_ASSERT(slots.size() >= 2 && std::has_single_bit(slots.size()),
                        "the capacity of a ring is a power of two, at least 2");
        // Relaxed: whoever shares the ring with another thread publishes it as a whole.
        for (size_t i = 0; i < slots.size(); ++i) { turns_[i].store(i, std::memory_order_relaxed); }
    }

    /// The position of the first of `count` slots that now belong to the caller; nothing when so
    /// many are not free.
    std::optional<uint64_t> claim(size_t count) noexcept {
        // Relaxed: a stale position only costs a round of the loop; the turns decide.
        uint64_t tail = tail_.load(std::memory_order_relaxed);
        for (;;) {
            if (count > slots_.size() || !is_free(tail, count)) {
                // Taken by a claim that ran ahead of this one, or full?
                const uint64_t now = tail_.load(std::memory_order_relaxed);
                if (now == tail) { return std::nullopt; }
                tail = now;
                continue;
            }
            // The slots were free at this tail, and only who moves the tail can take them.
            if (tail_.compare_exchange_weak(tail, tail + count, std::memory_order_relaxed)) {
                return tail;
            }
        }
    }

    void write(uint64_t position, const RecoverJob& job) noexcept {
        // The tag tells the result of this round from those of the rounds before.
        gpu::write_slot(job, static_cast<uint32_t>(position), slots_[position & mask_]);
    }
    const gpu::RecoverSlot& at(uint64_t position) const noexcept {
        return slots_[position & mask_];
    }
    /// The slots of a claim as they lie in memory; the second part is empty unless they wrap.
    std::array<std::span<const gpu::RecoverSlot>, 2> runs(uint64_t position,
                                                          size_t count) const noexcept {
        const size_t first = position & mask_;
        const size_t before_end = std::min(count, slots_.size() - first);
        return {slots_.subspan(first, before_end), slots_.first(count - before_end)};
    }

    void release(uint64_t position, size_t count) noexcept {
        for (size_t i = 0; i < count; ++i) {
            // Release: reads of the slot happen before it is written for its next round.
            turns_[(position + i) & mask_].store(position + i + slots_.size(),
                                                 std::memory_order_release);
        }
    }

    size_t capacity() const noexcept { return slots_.size(); }

private:
    bool is_free(uint64_t tail, size_t count) const noexcept {
        for (uint64_t p = tail; p != tail + count; ++p) {
            // Acquire: pairs with release().
            if (turns_[p & mask_].load(std::memory_order_acquire) != p) { return false; }
        }
        return true;
    }

    alignas(cache_line_bytes) std::atomic<uint64_t> tail_{0};  ///< next position to claim
    alignas(cache_line_bytes) const std::span<gpu::RecoverSlot> slots_;
    const uint64_t mask_;
    /// turns_[p & mask_] is p while the slot is free for position p.
    std::vector<std::atomic<uint64_t>> turns_;
};

}  // namespace millrace::kernels::detail
