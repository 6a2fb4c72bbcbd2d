// SPDX-License-Identifier: Apache-2.0
// Owns the kernels of witness checks: a thread for each path, and for each parent of a level.
#include "kernels/batch/detail/cuda_call.cuh"
#include "kernels/witness/detail/node_code.hpp"
#include "kernels/witness/detail/witness_kernels.cuh"

namespace millrace::kernels::detail {

namespace {

constexpr unsigned block_threads = 128;

__constant__ uint64_t device_keccak_constants[keccak_rounds];
__constant__ uint32_t device_sha256_constants[sha256_rounds];
__constant__ Sha256Schedule device_padding_of_64;

struct DeviceConstants {
    static __device__ const uint64_t* keccak() { return device_keccak_constants; }
    static __device__ const uint32_t* sha256() { return device_sha256_constants; }
    static __device__ const uint32_t* sha256_padding() { return device_padding_of_64.words; }
};

template <NodeHash hash>
__global__ void __launch_bounds__(block_threads) witness_paths(DevicePaths paths, uint8_t* leads) {
    const uint32_t i = blockIdx.x * block_threads + threadIdx.x;
    if (i >= paths.count) { return; }
    leads[i] = climb_path<hash, DeviceConstants>(
        paths.leaves + size_t{i} * node_words, paths.indices[i],
        paths.siblings + size_t{i} * paths.height * node_words, paths.height, paths.root);
}

template <NodeHash hash>
__global__ void __launch_bounds__(block_threads) witness_level(DeviceLevel level) {
    const uint32_t i = blockIdx.x * block_threads + threadIdx.x;
    if (i >= level.count) { return; }
    const size_t set = size_t{blockIdx.y} * level.stride * node_words;
    sweep_step<hash, DeviceConstants>(level.steps[i], level.nodes + set, level.siblings,
                                      level.parents + set + size_t{i} * node_words);
}

template <NodeHash hash>
cudaError_t start_paths(const DevicePaths& paths, uint8_t* leads, cudaStream_t stream) {
    const unsigned blocks = (paths.count + block_threads - 1) / block_threads;
    witness_paths<hash><<<blocks, block_threads, 0, stream>>>(paths, leads);
    return cudaGetLastError();
}

template <NodeHash hash>
cudaError_t start_level(const DeviceLevel& level, cudaStream_t stream) {
    const dim3 blocks((level.count + block_threads - 1) / block_threads, level.sets);
    witness_level<hash><<<blocks, block_threads, 0, stream>>>(level);
    return cudaGetLastError();
}

}  // namespace

std::string upload_witness_constants() {
    MILLRACE_CUDA_CHECK(cudaMemcpyToSymbol(device_keccak_constants, keccak_round_constants,
                                           sizeof keccak_round_constants));
    MILLRACE_CUDA_CHECK(cudaMemcpyToSymbol(device_sha256_constants, sha256_round_constants,
                                           sizeof sha256_round_constants));
    MILLRACE_CUDA_CHECK(cudaMemcpyToSymbol(device_padding_of_64, &sha256_padding_of_64,
                                           sizeof sha256_padding_of_64));
    return {};
}

cudaError_t launch_paths(NodeHash hash, const DevicePaths& paths, uint8_t* leads,
                         cudaStream_t stream) {
    if (paths.count == 0) { return cudaSuccess; }
    switch (hash) {
        case NodeHash::keccak256: return start_paths<NodeHash::keccak256>(paths, leads, stream);
        case NodeHash::sha256: return start_paths<NodeHash::sha256>(paths, leads, stream);
        case NodeHash::blake3: return start_paths<NodeHash::blake3>(paths, leads, stream);
    }
    return cudaErrorInvalidValue;
}

cudaError_t launch_level(NodeHash hash, const DeviceLevel& level, cudaStream_t stream) {
    if (level.count == 0 || level.sets == 0) { return cudaSuccess; }
    switch (hash) {
        case NodeHash::keccak256: return start_level<NodeHash::keccak256>(level, stream);
        case NodeHash::sha256: return start_level<NodeHash::sha256>(level, stream);
        case NodeHash::blake3: return start_level<NodeHash::blake3>(level, stream);
    }
    return cudaErrorInvalidValue;
}

}  // namespace millrace::kernels::detail
