// SPDX-License-Identifier: Apache-2.0
// Owns the costs of the back ends on this machine: measured, kept in a file, or assumed.
#pragma once

#include <array>
#include <optional>
#include <span>
#include <string>

#include "host/base/error.hpp"
#include "kernels/backend.hpp"
#include "kernels/offload/detail/device.hpp"
#include "kernels/offload/detail/policy.hpp"

namespace millrace::kernels::detail {

/// Indexed by Kernel.
using Costs = std::array<KernelCost, kernel_count>;

/// Costs of a machine that nobody measured.
Costs prior_costs(Backend recover_backend);

struct CostSample {
    size_t items = 0;
    double us = 0;
};
/// The line with the least squares of relative errors; neither part is negative. Needs two samples
/// of different sizes.
LinearCost fit_cost(std::span<const CostSample> samples);

/// Times both kernels on one core and on the device, in less than `budget_us`, checking every
/// result. Fails when the device does, or has not answered by then; it is then not to be used.
Result<Costs> measure_costs(Device& device, Backend recover_backend, int64_t budget_us);

/// What costs depend on: device, driver, processor and program, one to a line.
std::string cost_key(const DeviceIdentity& device, Backend recover_backend);

/// The costs kept in a file. Nothing, and a line in the log, when the file is damaged or was made
/// for another key; nothing at all when there is no such file.
std::optional<Costs> load_costs(const std::string& path, const std::string& key);
/// Replaces the file as a whole. Fails with `io`.
Result<void> store_costs(const std::string& path, const std::string& key, const Costs& costs);

}  // namespace millrace::kernels::detail
