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

/// Hashes each message on the vector units of this CPU; fastest when they ascend in blocks.
void sha256_simd(const HashList& list);
/// What that is, e.g. "AVX3 + SHA-NI".
std::string sha256_simd_target();

/// Which units sha256_simd uses.
enum class Sha256Units : uint8_t {
    automatic,  ///< what is fastest here for each list
    lanes,      ///< one message in each 32-bit lane of Highway's vectors, on every CPU
    sha_ni,     ///< the SHA extensions, up to four messages at a time; only where the CPU has them
};
/// Forces the units from now on in the whole process. For tests and benchmarks; safe at any time,
/// since all give the same digests.
void sha256_simd_use(Sha256Units units) noexcept;

/// Asks the driver once and hashes a known answer; later calls give the same reply.
const CudaProbe& sha256_cuda_probe();
/// As sha256_batch; the counts are equal and the probe has found a device. Gives an empty text,
/// or what failed. After a failure the device is not used again by this process.
std::string sha256_cuda(std::span<const ByteView> messages, std::span<Hash256> digests);
/// As above, with the time that the device spent in its kernels, copies apart, by its own clock:
/// the launches run one after another. For benchmarks.
std::string sha256_cuda_timed(std::span<const ByteView> messages, std::span<Hash256> digests,
                              double& kernel_us);

}  // namespace millrace::kernels::detail
