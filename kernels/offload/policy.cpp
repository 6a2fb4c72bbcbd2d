// SPDX-License-Identifier: Apache-2.0
// Owns the arithmetic of choosing a back end.
#include "kernels/offload/detail/policy.hpp"

#include <algorithm>
#include <cmath>

namespace millrace::kernels::detail {

namespace {

// How late a thread that sleeps wakes up, about.
constexpr int64_t wake_margin_us = 50;

/// Smallest n >= 1 with fixed_a + n * a <= fixed_b + n * b.
size_t crossing(double fixed_a, double a, double fixed_b, double b) noexcept {
    if (fixed_a + a <= fixed_b + b) { return 1; }
    if (a >= b) { return never; }
    const double n = std::ceil((fixed_a - fixed_b) / (b - a));
    // Beyond any batch; also keeps the conversion defined.
    constexpr double far = 1e12;
    return n < far ? std::max<size_t>(1, static_cast<size_t>(n)) : never;
}

size_t rounded_down(double n) noexcept {
    constexpr double far = 1e12;
    return n <= 0 ? 0 : static_cast<size_t>(std::min(n, far));
}

}  // namespace

size_t latency_crossover(const KernelCost& cost, size_t cores) noexcept {
    return crossing(cost.device.fixed_us, cost.device.per_item_us, cost.cpu.fixed_us,
                    cost.cpu.per_item_us / static_cast<double>(std::max<size_t>(cores, 1)));
}

size_t cpu_time_crossover(const KernelCost& cost) noexcept {
    return crossing(cost.device_cpu.fixed_us, cost.device_cpu.per_item_us, cost.cpu.fixed_us,
                    cost.cpu.per_item_us);
}

QueueDecision decide(const QueueLimits& limits, const QueueLoad& load) noexcept {
    QueueDecision out;
    out.look_again_us = -1;
    if (load.jobs == 0) { return out; }
    const size_t batch = std::min(load.jobs, limits.batch_jobs_max);
    const auto run_us = static_cast<int64_t>(limits.device.at(batch));
    const int64_t slack_us = limits.deadline_us - load.oldest_age_us - run_us;
    const auto launch = [&] {
        // Without a free slot it can go after about one run more, if that is soon enough.
        out.launch_jobs = load.slots_free != 0 ? batch : 0;
        out.device_share_jobs = load.slots_free != 0 || slack_us >= run_us ? batch : 0;
        return out;
    };
    if (batch >= limits.saturation_jobs) { return launch(); }
    if (load.batches_in_flight == 0 && batch >= limits.latency_crossover) { return launch(); }

    // Would the batch that gathers until the last moment save CPU time, and be in time?
    const double arriving =
        load.arrivals_per_us * static_cast<double>(std::max<int64_t>(slack_us, 0));
    const size_t gathered = std::min(batch + rounded_down(arriving), limits.batch_jobs_max);
    if (slack_us < 0 || gathered < limits.cpu_time_crossover) { return out; }
    if (slack_us <= wake_margin_us) { return batch >= limits.cpu_time_crossover ? launch() : out; }
    // The batch grows while it waits, and so does its run.
    const double in_time =
        (static_cast<double>(limits.deadline_us - load.oldest_age_us) - limits.device.fixed_us) /
        std::max(limits.device.per_item_us, 1e-6);
    out.device_share_jobs = std::min(rounded_down(in_time), limits.batch_jobs_max);
    out.look_again_us = slack_us - wake_margin_us / 2;
    return out;
}

}  // namespace millrace::kernels::detail
