// SPDX-License-Identifier: Apache-2.0
// Owns the histogram of latencies: log-linear buckets, so that every quantile is known to 0.8 %.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

namespace millrace::load {

/// Counts durations in microseconds. Below 256 us buckets are 1 us wide; above, 128 buckets share
/// each doubling (the layout of HdrHistogram), up to 2^40 us (12 days). One thread.
class LatencyHistogram {
public:
    LatencyHistogram();

    /// Negative durations count as 0, longer ones than 2^40 us as that.
    void record(int64_t us) noexcept;
    void merge(const LatencyHistogram& other) noexcept;

    uint64_t count() const noexcept { return count_; }
    /// 0 when empty, as the quantiles are.
    uint64_t min_us() const noexcept { return count_ == 0 ? 0 : min_us_; }
    uint64_t max_us() const noexcept { return max_us_; }
    double mean_us() const noexcept;
    /// The smallest recorded value such that a share of at least q of all values is not above it,
    /// rounded up to its bucket's end (at most 0.8 % too high, never above the maximum).
    uint64_t quantile_us(double q) const noexcept;

    static size_t bucket_of(uint64_t us) noexcept;
    /// The largest value of a bucket.
    static uint64_t bucket_end_us(size_t bucket) noexcept;

private:
    std::vector<uint64_t> buckets_;
    uint64_t count_ = 0;
    uint64_t sum_us_ = 0;
    uint64_t min_us_ = UINT64_MAX;
    uint64_t max_us_ = 0;
};

}  // namespace millrace::load
