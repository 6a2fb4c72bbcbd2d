// SPDX-License-Identifier: Apache-2.0
// Owns the counting at the gate and the rate behind the retry hint.
#include "host/sequencer/ingress_gate.hpp"

#include <cmath>

#include "host/sequencer/pool/pool.hpp"

namespace millrace::sequencer {

bool IngressGate::fits(size_t count, size_t bytes, Lane lane) const noexcept {
    const auto within = [lane](size_t value, size_t limit) {
        return value <= (lane == Lane::priority ? limit : limit - limit / priority_share);
    };
    const size_t held = pool_count_.load(std::memory_order_relaxed) + count;
    const size_t held_bytes =
        pool_bytes_.load(std::memory_order_relaxed) + pooled_bytes(count, bytes);
    return within(count, limits_.transactions_max) && within(bytes, limits_.bytes_max) &&
           within(held, limits_.held_transactions_max) &&
           within(held_bytes, limits_.held_bytes_max);
}

bool IngressGate::has_room(size_t bytes, Lane lane) const noexcept {
    return fits(count_.load(std::memory_order_relaxed) + 1,
                bytes_.load(std::memory_order_relaxed) + bytes, lane);
}

bool IngressGate::try_enter(size_t bytes, Lane lane) noexcept {
    // Counted first: of two that arrive together at the last place at most one stays.
    const size_t count = count_.fetch_add(1, std::memory_order_relaxed) + 1;
    const size_t all = bytes_.fetch_add(bytes, std::memory_order_relaxed) + bytes;
    if (fits(count, all, lane)) { return true; }
    leave(bytes);
    return false;
}

void IngressGate::leave(size_t bytes) noexcept {
    count_.fetch_sub(1, std::memory_order_relaxed);
    bytes_.fetch_sub(bytes, std::memory_order_relaxed);
}

void IngressGate::executed(size_t count, int64_t now_us) noexcept {
    // A pause says nothing about how fast work is done.
    if (now_us - last_executed_us_ > rate_window_us) {
        window_start_us_ = now_us;
        window_count_ = 0;
        last_executed_us_ = now_us;
        return;
    }
    last_executed_us_ = now_us;
    window_count_ += count;
    const int64_t us = now_us - window_start_us_;
    if (us < rate_window_us) { return; }
    const double rate = static_cast<double>(window_count_) * 1e6 / static_cast<double>(us);
    const double before = executed_per_s();
    executed_per_s_.store(before == 0 ? rate : (before + rate) / 2, std::memory_order_relaxed);
    window_start_us_ = now_us;
    window_count_ = 0;
}

uint32_t IngressGate::retry_after_ms() const noexcept {
    const double rate = executed_per_s();
    if (rate <= 0) { return retry_ms_unknown; }
    const auto standing =
        static_cast<double>(count() + pool_count_.load(std::memory_order_relaxed));
    const double ms = std::ceil(standing / 4 * 1e3 / rate);
    return static_cast<uint32_t>(std::clamp(ms, double{retry_ms_min}, double{retry_ms_max}));
}

}  // namespace millrace::sequencer
