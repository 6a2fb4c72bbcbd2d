// SPDX-License-Identifier: Apache-2.0
// Owns the defaults of contenders and workloads.
#include "kernels/bench/workload.hpp"

namespace millrace::kernel_bench {

Contender contender_of(const kernels::BackendStatus& status) {
    Contender c;
    c.id = static_cast<size_t>(status.backend);
    c.backend = kernels::to_string(status.backend);
    c.on_device = status.backend == kernels::Backend::cuda;
    c.available = status.available;
    c.target = status.target;
    if (!status.available) { c.reason = status.reason; }
    return c;
}

void Workload::prepare_parts(size_t /*parts*/) {}

Result<double> Workload::kernel_us(size_t /*id*/) {
    return fail(ErrorCode::unavailable, "the device's own time is not measured for this kernel");
}

}  // namespace millrace::kernel_bench
