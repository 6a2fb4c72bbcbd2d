// SPDX-License-Identifier: Apache-2.0
// Owns the kernels of a resident tree: one thread for each write, node, or place of the top.
#include "kernels/tree/detail/resident_kernels.cuh"

#include "kernels/batch/detail/cuda_call.cuh"

namespace millrace::kernels::detail {

namespace {

constexpr unsigned block_threads = 128;

constexpr unsigned blocks_for(size_t items) {
    return static_cast<unsigned>((items + block_threads - 1) / block_threads);
}

__constant__ NodeTables device_tables;

__global__ void __launch_bounds__(block_threads) number_kernel(uint32_t* numbers, uint32_t count) {
    const uint32_t i = blockIdx.x * block_threads + threadIdx.x;
    if (i < count) { numbers[i] = i; }
}

__global__ void __launch_bounds__(block_threads)
    fill_kernel(ResidentNode* nodes, size_t count, ResidentNode value) {
    const size_t i = size_t{blockIdx.x} * block_threads + threadIdx.x;
    if (i < count) { nodes[i] = value; }
}

__global__ void __launch_bounds__(block_threads)
    settle_kernel(ResidentWrites writes, unsigned height, ResidentNode* nodes, uint32_t* counts) {
    // Sums in the block first: most writes of an update fall into few counts.
    __shared__ uint32_t block_counts[resident_counts];
    if (threadIdx.x < resident_counts) { block_counts[threadIdx.x] = 0; }
    __syncthreads();
    const uint32_t i = blockIdx.x * block_threads + threadIdx.x;
    if (i < writes.count) { atomicAdd(&block_counts[settle_write(writes, i, height, nodes)], 1); }
    __syncthreads();
    if (threadIdx.x < resident_counts && block_counts[threadIdx.x] != 0) {
        atomicAdd(&counts[threadIdx.x], block_counts[threadIdx.x]);
    }
}

template <NodeHash hash>
__global__ void __launch_bounds__(block_threads) hash_level_kernel(ResidentTask task) {
    const uint32_t i = blockIdx.x * block_threads + threadIdx.x;
    if (i < task.count) { hash_place<hash>(task, i, device_tables); }
}

template <NodeHash hash>
__global__ void __launch_bounds__(resident_top_places) hash_top_kernel(ResidentTask task) {
    __shared__ ResidentTop top;
    const uint32_t i = threadIdx.x;
    uint32_t place = 0;
    if (i < task.count) { place = task.first_node + (task.places == nullptr ? i : task.places[i]); }
    top.places[i] = place;
    uint32_t count = task.count;
    __syncthreads();
    // Ends at the root, and the one place left is the same for all threads.
    while (top.places[0] != 1) {
        find_heads(top, count, i);
        __syncthreads();
        const ResidentHead head = rank_head(top, i);
        __syncthreads();
        keep_head(top, head);
        __syncthreads();
        count = head.total;
        if (i < count) {
            hash_place<hash>(
                {task.nodes, top.places, 0, count, task.changed_places, task.changed_hashes}, i,
                device_tables);
        }
        if (task.changed_places != nullptr) { task.changed_places += count; }
        if (task.changed_hashes != nullptr) { task.changed_hashes += count; }
        // The block sees its own nodes after this.
        __syncthreads();
    }
}

template <NodeHash hash>
cudaError_t queue_level(const ResidentTask& task, cudaStream_t stream) {
    hash_level_kernel<hash><<<blocks_for(task.count), block_threads, 0, stream>>>(task);
    return cudaGetLastError();
}
template <NodeHash hash>
cudaError_t queue_top(const ResidentTask& task, cudaStream_t stream) {
    hash_top_kernel<hash><<<1, resident_top_places, 0, stream>>>(task);
    return cudaGetLastError();
}

}  // namespace

std::string prepare_resident_kernels() {
    MILLRACE_CUDA_CHECK(cudaMemcpyToSymbol(device_tables, &node_tables, sizeof node_tables));
    return {};
}

cudaError_t launch_numbers(uint32_t* numbers, uint32_t count, cudaStream_t stream) {
    if (count == 0) { return cudaSuccess; }
    number_kernel<<<blocks_for(count), block_threads, 0, stream>>>(numbers, count);
    return cudaGetLastError();
}

cudaError_t launch_fill(ResidentNode* nodes, size_t count, const ResidentNode& value,
                        cudaStream_t stream) {
    if (count == 0) { return cudaSuccess; }
    fill_kernel<<<blocks_for(count), block_threads, 0, stream>>>(nodes, count, value);
    return cudaGetLastError();
}

cudaError_t launch_settle(const ResidentWrites& writes, unsigned height, ResidentNode* nodes,
                          uint32_t* counts, cudaStream_t stream) {
    if (writes.count == 0) { return cudaSuccess; }
    settle_kernel<<<blocks_for(writes.count), block_threads, 0, stream>>>(writes, height, nodes,
                                                                          counts);
    return cudaGetLastError();
}

cudaError_t launch_hash_level(NodeHash hash, const ResidentTask& task, cudaStream_t stream) {
    if (task.count == 0) { return cudaSuccess; }
    switch (hash) {
        case NodeHash::keccak256: return queue_level<NodeHash::keccak256>(task, stream);
        case NodeHash::sha256: return queue_level<NodeHash::sha256>(task, stream);
        case NodeHash::blake3: return queue_level<NodeHash::blake3>(task, stream);
    }
    return cudaErrorInvalidValue;
}

cudaError_t launch_hash_top(NodeHash hash, const ResidentTask& task, cudaStream_t stream) {
    if (task.count == 0) { return cudaSuccess; }
    if (task.count > resident_top_places) { return cudaErrorInvalidValue; }
    switch (hash) {
        case NodeHash::keccak256: return queue_top<NodeHash::keccak256>(task, stream);
        case NodeHash::sha256: return queue_top<NodeHash::sha256>(task, stream);
        case NodeHash::blake3: return queue_top<NodeHash::blake3>(task, stream);
    }
    return cudaErrorInvalidValue;
}

}  // namespace millrace::kernels::detail
