// SPDX-License-Identifier: Apache-2.0
// Owns the engine's metrics.
#pragma once

#include <array>
#include <atomic>
#include <string>
#include <string_view>

#include "host/base/metrics.hpp"
#include "kernels/offload/detail/device.hpp"

namespace millrace::kernels::detail {

/// Why a batch of the device was done again on the CPU.
enum class Fault : uint8_t {
    device_error,  ///< the device or its driver said so
    timeout,       ///< no answer until the batch's deadline
    wrong_count,   ///< more or fewer results than inputs
    stale_epoch,   ///< a batch that is not in flight: reported twice, late, or of another epoch
    wrong_tag,     ///< a result of another job, or no result
    canary,        ///< a known answer came back wrong
    wrong_result,  ///< the CPU has another result
};
inline constexpr size_t fault_count = 7;
std::string_view to_string(Fault fault) noexcept;

/// CPU time of the calling thread in microseconds.
int64_t thread_cpu_us() noexcept;

/// Figures of one kernel on one back end.
class BackendFigures {
public:
    BackendFigures(metrics::Registry& registry, Kernel kernel, Backend backend);
    /// One step, or batch, of `items`; the times are of the same.
    void record(size_t items, int64_t us, int64_t cpu_us) noexcept;
    /// CPU time spent on top of the recorded batches, such as waiting for them.
    void add_cpu(int64_t cpu_us) noexcept { cpu_us_.fetch_add(cpu_us, std::memory_order_relaxed); }
    /// Microseconds of CPU time for one item so far; 0 before the first.
    double cpu_us_per_item() const noexcept;

private:
    metrics::Counter& items_;
    metrics::Counter& batches_;
    metrics::Histogram& run_;
    metrics::Gauge& cpu_ns_per_item_;
    std::atomic<int64_t> cpu_us_{0};
};

struct Figures {
    metrics::Gauge& depth;
    metrics::Histogram& wait;
    metrics::Counter& refused;
    metrics::Counter& late;
    metrics::Gauge& quarantined;
    metrics::Counter& rechecked;
    BackendFigures recover_cpu;
    BackendFigures keccak_cpu;
    BackendFigures recover_device;
    BackendFigures keccak_device;

    Figures(metrics::Registry& registry, Backend recover_backend);
    void count_fall_back(Kernel kernel, Fault fault) noexcept {
        fall_backs_[static_cast<size_t>(kernel)][static_cast<size_t>(fault)]->add();
    }
    BackendFigures& device(Kernel kernel) noexcept {
        return kernel == Kernel::secp256k1 ? recover_device : keccak_device;
    }

private:
    std::array<std::array<metrics::Counter*, fault_count>, kernel_count> fall_backs_{};
};

}  // namespace millrace::kernels::detail
