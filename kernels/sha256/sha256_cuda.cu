// SPDX-License-Identifier: Apache-2.0
// Owns SHA-256 on an NVIDIA device: one message per thread.
#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>

#include "kernels/batch/detail/cuda_hasher.cuh"
#include "kernels/sha256/detail/backends.hpp"
#include "kernels/sha256/detail/compress.hpp"
#include "kernels/sha256/detail/packed.hpp"
#include "kernels/sha256/sha256.hpp"

namespace millrace::kernels::detail {

namespace {

__constant__ uint32_t device_round_constants[sha256_rounds];
__constant__ Sha256Schedule device_padding_of_64;

// Four blocks on a multiprocessor are few; asking for them makes ptxas of compute capability 8.0
// take 64 registers instead of 48 and a spill.
__global__ void __launch_bounds__(cuda_block_threads, 4)
    sha256_kernel(const uint64_t* __restrict__ words, const PackedExtent* __restrict__ extents,
                  uint32_t count, uint32_t* __restrict__ digests) {
    const uint32_t index = blockIdx.x * cuda_block_threads + threadIdx.x;
    if (index >= count) { return; }
    const PackedExtent extent = extents[index];
    sha256_packed(reinterpret_cast<const uint32_t*>(words + extent.first_word), extent.bytes,
                  device_round_constants, device_padding_of_64.words, digests + 8 * size_t{index});
}

struct Sha256Kernel {
    static constexpr size_t bytes_max = UINT32_MAX;
    static size_t work(size_t bytes) { return sha256_blocks(bytes); }
    static Hash256 on_host(ByteView message) { return kernels::sha256(message); }
    static std::string prepare() {
        MILLRACE_CUDA_CHECK(cudaMemcpyToSymbol(device_round_constants, sha256_round_constants,
                                               sizeof sha256_round_constants));
        MILLRACE_CUDA_CHECK(cudaMemcpyToSymbol(device_padding_of_64, &sha256_padding_of_64,
                                               sizeof sha256_padding_of_64));
        return {};
    }
    static void launch(unsigned blocks, unsigned threads, cudaStream_t stream,
                       const uint64_t* words, const PackedExtent* extents, uint32_t count,
                       void* digests) {
        sha256_kernel<<<blocks, threads, 0, stream>>>(words, extents, count,
                                                      static_cast<uint32_t*>(digests));
    }
    static const void* function() { return reinterpret_cast<const void*>(&sha256_kernel); }
};

CudaHasher<Sha256Kernel>& hasher() {
    static CudaHasher<Sha256Kernel>& instance = *new CudaHasher<Sha256Kernel>;
    return instance;
}

}  // namespace

const CudaProbe& sha256_cuda_probe() {
    static const CudaProbe probe = probe_cuda(hasher());
    return probe;
}

std::string sha256_cuda(std::span<const ByteView> messages, std::span<Hash256> digests) {
    return hasher().hash(messages, digests);
}

std::string sha256_cuda_timed(std::span<const ByteView> messages, std::span<Hash256> digests,
                              double& kernel_us) {
    return hasher().hash_timed(messages, digests, kernel_us);
}

}  // namespace millrace::kernels::detail
