// SPDX-License-Identifier: Apache-2.0
// Owns Keccak-256 on an NVIDIA device: one message per thread.
#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>

#include "kernels/batch/detail/cuda_hasher.cuh"
#include "kernels/keccak/detail/backends.hpp"
#include "kernels/keccak/detail/packed.hpp"
#include "kernels/keccak/detail/permutation.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::kernels::detail {

namespace {

__constant__ uint64_t device_round_constants[keccak_rounds];

__global__ void __launch_bounds__(cuda_block_threads)
    keccak256_kernel(const uint64_t* __restrict__ words, const PackedExtent* __restrict__ extents,
                     uint32_t count, uint64_t* __restrict__ digests) {
    const uint32_t index = blockIdx.x * cuda_block_threads + threadIdx.x;
    if (index >= count) { return; }
    const PackedExtent extent = extents[index];
    keccak256_packed(words + extent.first_word, extent.bytes, device_round_constants,
                     digests + 4 * size_t{index});
}

struct Keccak256Kernel {
    static constexpr size_t bytes_max = UINT32_MAX;
    static size_t work(size_t bytes) { return bytes / keccak256_rate_bytes; }
    static Hash256 on_host(ByteView message) { return kernels::keccak256(message); }
    static std::string prepare() {
        MILLRACE_CUDA_CHECK(cudaMemcpyToSymbol(device_round_constants, keccak_round_constants,
                                               sizeof keccak_round_constants));
        return {};
    }
    static void launch(unsigned blocks, unsigned threads, cudaStream_t stream,
                       const uint64_t* words, const PackedExtent* extents, uint32_t count,
                       void* digests) {
        keccak256_kernel<<<blocks, threads, 0, stream>>>(words, extents, count,
                                                         static_cast<uint64_t*>(digests));
    }
    static const void* function() { return reinterpret_cast<const void*>(&keccak256_kernel); }
};

CudaHasher<Keccak256Kernel>& hasher() {
    static CudaHasher<Keccak256Kernel>& instance = *new CudaHasher<Keccak256Kernel>;
    return instance;
}

}  // namespace

const CudaProbe& keccak256_cuda_probe() {
    static const CudaProbe probe = probe_cuda(hasher());
    return probe;
}

std::string keccak256_cuda(std::span<const ByteView> messages, std::span<Hash256> digests) {
    return hasher().hash(messages, digests);
}

std::string keccak256_cuda_timed(std::span<const ByteView> messages, std::span<Hash256> digests,
                                 double& kernel_us) {
    return hasher().hash_timed(messages, digests, kernel_us);
}

}  // namespace millrace::kernels::detail
