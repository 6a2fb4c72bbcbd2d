// SPDX-License-Identifier: Apache-2.0
// Owns the metrics registry and its Prometheus text form.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace millrace::metrics {

/// Monotonic count. Any thread; relaxed, because readers only look at trends.
class Counter {
public:
    void add(uint64_t n = 1) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
    uint64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<uint64_t> value_{0};
};

/// A level that goes up and down.
class Gauge {
public:
    void set(int64_t v) noexcept { value_.store(v, std::memory_order_relaxed); }
    void add(int64_t n) noexcept { value_.fetch_add(n, std::memory_order_relaxed); }
    int64_t value() const noexcept { return value_.load(std::memory_order_relaxed); }

private:
    std::atomic<int64_t> value_{0};
};

/// Distribution of durations in seconds over fixed logarithmic buckets (1 us doubling to 67 s).
class Histogram {
public:
    static constexpr size_t bucket_count = 27;
    void observe_us(uint64_t us) noexcept;
    uint64_t count() const noexcept;
    double sum_seconds() const noexcept;
    /// Upper bound in microseconds of the bucket that holds quantile q in [0, 1]; 0 when empty,
    /// UINT64_MAX when it lies beyond the last bucket.
    uint64_t quantile_us(double q) const noexcept;
    uint64_t bucket(size_t i) const noexcept { return buckets_[i].load(std::memory_order_relaxed); }

private:
    std::atomic<uint64_t> buckets_[bucket_count + 1]{};
    std::atomic<uint64_t> sum_us_{0};
};

/// Names are `millrace_*` in base units (`_seconds`, `_bytes`, `_total`). `labels` is the text
/// between the braces, e.g. `stage="execute"`. Asking twice for the same name and labels gives the
/// same object; references stay valid for the registry's life. A name has one type and the help of
/// its first use; escaping the values of labels is the caller's work.
class Registry {
public:
    Registry();
    ~Registry();
    Registry(const Registry&) = delete;
    Registry& operator=(const Registry&) = delete;

    Counter& counter(std::string_view name, std::string_view help, std::string_view labels = {});
    Gauge& gauge(std::string_view name, std::string_view help, std::string_view labels = {});
    Histogram& histogram(std::string_view name, std::string_view help,
                         std::string_view labels = {});
    /// Prometheus text exposition format 0.0.4.
    std::string prometheus() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

/// What every stage of a pipeline tells, under names that all stages share:
/// `millrace_stage_depth`, `millrace_stage_age_seconds` and `millrace_stage_drops_total`, each with
/// the label `stage`. References as those of the registry.
struct StageFigures {
    StageFigures(Registry& registry, std::string_view stage);
    Gauge& depth;    ///< what is in the stage now
    Histogram& age;  ///< how long what left it had been in it
    Counter& drops;  ///< what the stage refused or gave up for lack of room, time or use
};

}  // namespace millrace::metrics
