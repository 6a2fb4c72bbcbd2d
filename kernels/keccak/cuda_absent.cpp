// SPDX-License-Identifier: Apache-2.0
// Owns the CUDA entries of a build without CUDA: they say so.
#include "kernels/keccak/detail/backends.hpp"

namespace millrace::kernels::detail {

const CudaProbe& keccak256_cuda_probe() {
    static const CudaProbe probe{.available = false, .target = {}, .reason = "built without CUDA"};
    return probe;
}

std::string keccak256_cuda(std::span<const ByteView> /*messages*/, std::span<Hash256> /*digests*/) {
    return keccak256_cuda_probe().reason;
}

std::string keccak256_cuda_timed(std::span<const ByteView> /*messages*/,
                                 std::span<Hash256> /*digests*/, double& /*kernel_us*/) {
    return keccak256_cuda_probe().reason;
}

}  // namespace millrace::kernels::detail
