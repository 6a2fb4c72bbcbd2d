// SPDX-License-Identifier: Apache-2.0
// Owns the CUDA entries of a build without CUDA: they say so.
#include "kernels/witness/detail/backends.hpp"

namespace millrace::kernels::detail {

const CudaProbe& witness_cuda_probe() {
    static const CudaProbe probe{.available = false, .target = {}, .reason = "built without CUDA"};
    return probe;
}

std::string check_paths_cuda(NodeHash /*hash*/, unsigned /*height*/, const Hash256& /*root*/,
                             std::span<const CudaPath> /*paths*/, std::span<uint8_t> /*leads*/) {
    return witness_cuda_probe().reason;
}

std::string sweep_cuda(NodeHash /*hash*/, const CudaSweep& /*sweep*/,
                       std::span<Hash256> /*roots*/) {
    return witness_cuda_probe().reason;
}

}  // namespace millrace::kernels::detail
