// SPDX-License-Identifier: Apache-2.0
// Owns the arithmetic of the latency histogram.
#include "host/load/histogram.hpp"

#include <algorithm>
#include <bit>
#include <cmath>

namespace millrace::load {

namespace {

constexpr unsigned doubling_bits = 7;  // 2^7 buckets for each doubling
constexpr size_t buckets_per_doubling = size_t{1} << doubling_bits;
constexpr uint64_t value_max_us = uint64_t{1} << 40;

}  // namespace

LatencyHistogram::LatencyHistogram() : buckets_(bucket_of(value_max_us) + 1) {}

size_t LatencyHistogram::bucket_of(uint64_t us) noexcept {
    const unsigned bits = static_cast<unsigned>(std::bit_width(us));
    const unsigned shift = bits > doubling_bits + 1 ? bits - (doubling_bits + 1) : 0;
    return shift * buckets_per_doubling + (us >> shift);
}

uint64_t LatencyHistogram::bucket_end_us(size_t bucket) noexcept {
    if (bucket < 2 * buckets_per_doubling) { return bucket; }
    const size_t shift = bucket / buckets_per_doubling - 1;
    return ((bucket - shift * buckets_per_doubling + 1) << shift) - 1;
}

void LatencyHistogram::record(int64_t us) noexcept {
    const uint64_t value = std::min(us < 0 ? uint64_t{0} : static_cast<uint64_t>(us), value_max_us);
    ++buckets_[bucket_of(value)];
    ++count_;
    sum_us_ += value;
    min_us_ = std::min(min_us_, value);
    max_us_ = std::max(max_us_, value);
}

void LatencyHistogram::merge(const LatencyHistogram& other) noexcept {
    for (size_t i = 0; i < buckets_.size(); ++i) { buckets_[i] += other.buckets_[i]; }
    count_ += other.count_;
    sum_us_ += other.sum_us_;
    min_us_ = std::min(min_us_, other.min_us_);
    max_us_ = std::max(max_us_, other.max_us_);
}

double LatencyHistogram::mean_us() const noexcept {
    return count_ == 0 ? 0 : static_cast<double>(sum_us_) / static_cast<double>(count_);
}

uint64_t LatencyHistogram::quantile_us(double q) const noexcept {
    if (count_ == 0) { return 0; }
    const double wanted = std::ceil(std::clamp(q, 0.0, 1.0) * static_cast<double>(count_));
    const uint64_t rank = std::max<uint64_t>(1, static_cast<uint64_t>(wanted));
    uint64_t seen = 0;
    for (size_t i = 0; i < buckets_.size(); ++i) {
        seen += buckets_[i];
        if (seen >= rank) { return std::min(bucket_end_us(i), max_us_); }
    }
    return max_us_;
}

}  // namespace millrace::load
