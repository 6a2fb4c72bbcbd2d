// SPDX-License-Identifier: Apache-2.0
// Owns the decision which back end does a batch, and when: arithmetic on costs, no state.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>

namespace millrace::kernels::detail {

/// Microseconds of a batch of n items: fixed_us + n * per_item_us.
struct LinearCost {
    double fixed_us = 0;
    double per_item_us = 0;

    double at(size_t n) const noexcept { return fixed_us + per_item_us * static_cast<double>(n); }
    bool operator==(const LinearCost&) const = default;
};

/// What one kernel costs here.
struct KernelCost {
    LinearCost cpu;         ///< one core, time and CPU time alike
    LinearCost device;      ///< from submission to results on the host
    LinearCost device_cpu;  ///< CPU time on the host for a batch of the device
    bool operator==(const KernelCost&) const = default;
};

inline constexpr size_t never = std::numeric_limits<size_t>::max();

/// Smallest batch that the device ends before `cores` cores would; `never` when no size does.
size_t latency_crossover(const KernelCost& cost, size_t cores) noexcept;
/// Smallest batch that takes less CPU time by way of the device; `never` when no size does.
size_t cpu_time_crossover(const KernelCost& cost) noexcept;

/// The queue of submitted recoveries, as the device's side sees it.
struct QueueLoad {
    size_t jobs = 0;
    int64_t oldest_age_us = 0;
    double arrivals_per_us = 0;
    uint32_t batches_in_flight = 0;
    uint32_t slots_free = 0;
};

struct QueueLimits {
    int64_t deadline_us = 0;  ///< of a job, from submission
    size_t latency_crossover = 0;
    size_t cpu_time_crossover = 0;
    size_t saturation_jobs = 0;  ///< more in one batch make the device no faster
    size_t batch_jobs_max = 0;
    LinearCost device;
};

/// What to do with the queue now.
struct QueueDecision {
    size_t launch_jobs = 0;  ///< oldest jobs to send to the device now; 0: none
    /// Newest jobs beyond this many are for the CPU; 0: all are.
    size_t device_share_jobs = 0;
    int64_t look_again_us = 0;  ///< when nothing arrives before; negative: no need
};

/// A batch goes to the device when it is saturated by it; when the device idles and would be
/// faster than the CPU; or, to save CPU time, when the oldest job can wait no longer. A job is left
/// waiting for the device only while the batch that it would go with both saves CPU time and keeps
/// the deadline; what the device cannot do in time is for the CPU.
QueueDecision decide(const QueueLimits& limits, const QueueLoad& load) noexcept;

}  // namespace millrace::kernels::detail
