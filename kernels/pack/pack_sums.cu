// SPDX-License-Identifier: Apache-2.0
// Owns the prefix sums of decoding, by CUB: the one unit that compiles its headers.
#include <cub/device/device_scan.cuh>

#include "kernels/pack/detail/pack_kernels.cuh"

namespace millrace::kernels::detail {

template <class T>
cudaError_t launch_sums(void* scratch, size_t& scratch_bytes, T* values, uint32_t count,
                        cudaStream_t stream) {
    return cub::DeviceScan::InclusiveSum(scratch, scratch_bytes, values, values,
                                         static_cast<int>(count), stream);
}

template cudaError_t launch_sums(void*, size_t&, uint32_t*, uint32_t, cudaStream_t);
template cudaError_t launch_sums(void*, size_t&, uint64_t*, uint32_t, cudaStream_t);

}  // namespace millrace::kernels::detail
