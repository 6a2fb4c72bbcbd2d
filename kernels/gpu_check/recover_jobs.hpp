// SPDX-License-Identifier: Apache-2.0
// Owns the jobs of the recovery's check, made without a library that signs.
#pragma once

#include <cstdint>
#include <vector>

#include "kernels/secp256k1/recover.hpp"

namespace millrace::gpu_check {

/// Jobs whose r is the x of a point (a known multiple of the generator): all of them have a key.
/// In every eighth the first addition of the generator's part meets an equal or opposite point, so
/// that the lane asks for the CPU.
std::vector<kernels::RecoverJob> jobs_on_curve(size_t count, uint64_t seed);

/// Uniform r: about half have no point.
std::vector<kernels::RecoverJob> uniform_jobs(size_t count, uint64_t seed);

}  // namespace millrace::gpu_check
