// SPDX-License-Identifier: Apache-2.0
// Owns the names and the meaning of the engine's metrics.
#include "kernels/offload/detail/figures.hpp"

#include <time.h>

#include <algorithm>

namespace millrace::kernels::detail {

namespace {

std::string labels_of(Kernel kernel, Backend backend) {
    return "kernel=\"" + std::string(to_string(kernel)) + "\",backend=\"" +
           std::string(kernels::to_string(backend)) + "\"";
}

uint64_t not_negative(int64_t us) { return static_cast<uint64_t>(std::max<int64_t>(us, 0)); }

}  // namespace

std::string_view to_string(Fault fault) noexcept {
    constexpr std::array<std::string_view, fault_count> names{
        "device_error", "timeout", "wrong_count", "stale_epoch",
        "wrong_tag",    "canary",  "wrong_result"};
    return names[static_cast<size_t>(fault)];
}

int64_t thread_cpu_us() noexcept {
    timespec now{};
    // Fails only for a clock that the system does not have; every Linux has this one.
    const int rc = clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    static_cast<void>(rc);
    return int64_t{now.tv_sec} * 1'000'000 + now.tv_nsec / 1'000;
}

BackendFigures::BackendFigures(metrics::Registry& registry, Kernel kernel, Backend backend)
    : items_(registry.counter("millrace_offload_jobs_total", "Jobs done, by back end",
                              labels_of(kernel, backend))),
      batches_(registry.counter("millrace_offload_batches_total",
                                "Steps in which they were done; jobs over batches is the size",
                                labels_of(kernel, backend))),
      run_(registry.histogram("millrace_offload_run_seconds", "Time of one step",
                              labels_of(kernel, backend))),
      cpu_ns_per_item_(registry.gauge("millrace_offload_cpu_nanoseconds_per_job",
                                      "CPU time of one job so far, by back end",
                                      labels_of(kernel, backend))) {}

void BackendFigures::record(size_t items, int64_t us, int64_t cpu_us) noexcept {
    items_.add(items);
    batches_.add();
    run_.observe_us(not_negative(us));
    add_cpu(cpu_us);
    cpu_ns_per_item_.set(static_cast<int64_t>(cpu_us_per_item() * 1e3));
}

double BackendFigures::cpu_us_per_item() const noexcept {
    const uint64_t items = items_.value();
    if (items == 0) { return 0; }
    return static_cast<double>(cpu_us_.load(std::memory_order_relaxed)) /
           static_cast<double>(items);
}

Figures::Figures(metrics::Registry& r, Backend recover_backend)
    : depth(r.gauge("millrace_offload_queue_jobs", "Submitted jobs that wait for a worker")),
      wait(r.histogram("millrace_offload_wait_seconds", "Time of a submitted job in the queue")),
      refused(r.counter("millrace_offload_refused_jobs_total", "Jobs refused by a full queue")),
      late(r.counter("millrace_offload_late_jobs_total",
                     "Jobs that waited longer than the deadline")),
      quarantined(r.gauge("millrace_offload_device_quarantined",
                          "1 after a device fault; the CPU does all work from then on")),
      rechecked(r.counter("millrace_offload_rechecked_jobs_total",
                          "Results of the device that the CPU computed again")),
      recover_cpu(r, Kernel::secp256k1, recover_backend),
      keccak_cpu(r, Kernel::keccak, Backend::simd),
      recover_device(r, Kernel::secp256k1, Backend::cuda),
      keccak_device(r, Kernel::keccak, Backend::cuda) {
    for (size_t k = 0; k < kernel_count; ++k) {
        for (size_t f = 0; f < fault_count; ++f) {
            const std::string labels =
                "kernel=\"" + std::string(to_string(static_cast<Kernel>(k))) + "\",reason=\"" +
                std::string(to_string(static_cast<Fault>(f))) + "\"";
            fall_backs_[k][f] = &r.counter("millrace_offload_fall_backs_total",
                                           "Device batches redone on the CPU, by reason", labels);
        }
    }
}

}  // namespace millrace::kernels::detail
