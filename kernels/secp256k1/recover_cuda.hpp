// SPDX-License-Identifier: Apache-2.0
// Owns recovery of many addresses at once on a CUDA device.
#pragma once

#include <optional>
#include <span>

#include "host/base/error.hpp"
#include "kernels/backend.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::kernels {

/// Writes recover_address(jobs[i]) to senders[i]. Any thread; callers take turns on the device. The
/// few jobs that meet an exceptional point addition on the device (chosen on purpose, or with
/// chance below 2^-120) are done by libsecp256k1 on the calling thread.
/// Fails with `invalid_input` when the counts differ, `unavailable` when there is no device, and
/// `internal` on a device error or a result that does not belong to its job; after a failure the
/// senders are unspecified and the device stays off for the life of the process.
Result<void> recover_addresses_cuda(std::span<const RecoverJob> jobs,
                                    std::span<std::optional<Address>> senders);

/// Whether the device can be used, on what it runs, and why not. The driver is probed by the first
/// call, which takes memory (about 270 MB) on the device, and the answer kept.
BackendStatus recover_cuda_status();

}  // namespace millrace::kernels
