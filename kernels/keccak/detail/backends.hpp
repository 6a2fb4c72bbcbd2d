// SPDX-License-Identifier: Apache-2.0
// Owns the entries of the vector and CUDA back ends, in types that every compiler here knows.
#pragma once

#include <span>
#include <string>

#include "host/base/types.hpp"
#include "kernels/batch/detail/cuda_probe.hpp"
#include "kernels/batch/detail/hash_list.hpp"

// C++20 only: nvcc compiles this header too.
namespace millrace::kernels::detail {

/// Hashes each message on the best vector unit of this CPU; fastest when they ascend in blocks.
void keccak256_simd(const HashList& list);
/// Highway's name of that vector unit, e.g. "AVX3".
std::string keccak256_simd_target();

/// Asks the driver once and hashes a known answer; later calls give the same reply.
const CudaProbe& keccak256_cuda_probe();
/// As keccak256_batch; the counts are equal and the probe has found a device. Gives an empty text,
/// or what failed. After a failure the device is not used again by this process.
std::string keccak256_cuda(std::span<const ByteView> messages, std::span<Hash256> digests);
/// As above, with the time that the device spent in its kernels, copies apart, by its own clock:
/// the launches run one after another. For benchmarks.
std::string keccak256_cuda_timed(std::span<const ByteView> messages, std::span<Hash256> digests,
                                 double& kernel_us);

}  // namespace millrace::kernels::detail
