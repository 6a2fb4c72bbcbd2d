// SPDX-License-Identifier: Apache-2.0
// Owns the CUDA entries of a build without CUDA: they say so.
#include "kernels/tree/detail/resident_store.hpp"

namespace millrace::kernels::detail {

const CudaProbe& resident_cuda_probe() {
    static const CudaProbe probe{.available = false, .target = {}, .reason = "built without CUDA"};
    return probe;
}

std::string make_resident_cuda(const ResidentShape& /*shape*/,
                               std::unique_ptr<ResidentStore>& /*store*/) {
    return resident_cuda_probe().reason;
}

}  // namespace millrace::kernels::detail
