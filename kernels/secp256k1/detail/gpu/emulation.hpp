// SPDX-License-Identifier: Apache-2.0
// Owns the device's recovery run on the host: the same stages, limbs and carry chains.
#pragma once

#include <span>

#include "kernels/secp256k1/detail/gpu/slot.hpp"

namespace millrace::kernels::gpu {

/// Runs a batch as the device does, where each thread of the inverting stages takes every
/// `stride`-th job. One output for each job, tagged with its index; about half a millisecond each.
/// Any thread; the first call makes the table of the generator. The counts are equal.
void recover_emulated(std::span<const RecoverJob> jobs, std::span<RecoverOutput> outputs,
                      uint32_t stride);

}  // namespace millrace::kernels::gpu
