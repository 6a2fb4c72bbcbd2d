// SPDX-License-Identifier: Apache-2.0
// Owns BLAKE3 on an NVIDIA device: one message of up to a chunk per thread.
#include <cuda_runtime_api.h>

#include <cstdint>
#include <string>

#include "kernels/batch/detail/cuda_hasher.cuh"
#include "kernels/blake3/blake3.hpp"
#include "kernels/blake3/detail/backends.hpp"
#include "kernels/blake3/detail/compress.hpp"
#include "kernels/blake3/detail/packed.hpp"

namespace millrace::kernels::detail {

namespace {

__global__ void __launch_bounds__(cuda_block_threads)
    blake3_kernel(const uint64_t* __restrict__ words, const PackedExtent* __restrict__ extents,
                  uint32_t count, uint32_t* __restrict__ digests) {
    const uint32_t index = blockIdx.x * cuda_block_threads + threadIdx.x;
    if (index >= count) { return; }
    const PackedExtent extent = extents[index];
    blake3_packed(reinterpret_cast<const uint32_t*>(words + extent.first_word), extent.bytes,
                  digests + 8 * size_t{index});
}

struct Blake3Kernel {
    static constexpr size_t bytes_max = blake3_chunk_bytes;
    static size_t work(size_t bytes) { return blake3_blocks(bytes); }
    static Hash256 on_host(ByteView message) { return kernels::blake3(message); }
    static std::string prepare() { return {}; }
    static void launch(unsigned blocks, unsigned threads, cudaStream_t stream,
                       const uint64_t* words, const PackedExtent* extents, uint32_t count,
                       void* digests) {
        blake3_kernel<<<blocks, threads, 0, stream>>>(words, extents, count,
                                                      static_cast<uint32_t*>(digests));
    }
    static const void* function() { return reinterpret_cast<const void*>(&blake3_kernel); }
};

CudaHasher<Blake3Kernel>& hasher() {
    static CudaHasher<Blake3Kernel>& instance = *new CudaHasher<Blake3Kernel>;
    return instance;
}

}  // namespace

const CudaProbe& blake3_cuda_probe() {
    static const CudaProbe probe = probe_cuda(hasher());
    return probe;
}

std::string blake3_cuda(std::span<const ByteView> messages, std::span<Hash256> digests) {
    return hasher().hash(messages, digests);
}

std::string blake3_cuda_timed(std::span<const ByteView> messages, std::span<Hash256> digests,
                              double& kernel_us) {
    return hasher().hash_timed(messages, digests, kernel_us);
}

}  // namespace millrace::kernels::detail
