// SPDX-License-Identifier: Apache-2.0
// Owns the CUDA entries of a build without CUDA: they say so.
#include "kernels/blake3/detail/backends.hpp"

namespace millrace::kernels::detail {

const CudaProbe& blake3_cuda_probe() {
    static const CudaProbe probe{.available = false, .target = {}, .reason = "built without CUDA"};
    return probe;
}

std::string blake3_cuda(std::span<const ByteView> /*messages*/, std::span<Hash256> /*digests*/) {
    return blake3_cuda_probe().reason;
}

std::string blake3_cuda_timed(std::span<const ByteView> /*messages*/,
                              std::span<Hash256> /*digests*/, double& /*kernel_us*/) {
    return blake3_cuda_probe().reason;
}

}  // namespace millrace::kernels::detail
