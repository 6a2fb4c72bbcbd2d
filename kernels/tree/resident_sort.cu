// SPDX-License-Identifier: Apache-2.0
// Owns the sorting of writes and the listing of parents, by CUB; the only unit that includes it.
#include <thrust/iterator/transform_iterator.h>

#include <algorithm>
#include <cub/device/device_radix_sort.cuh>
#include <cub/device/device_select.cuh>

#include "kernels/batch/detail/cuda_call.cuh"
#include "kernels/tree/detail/resident_kernels.cuh"

namespace millrace::kernels::detail {

namespace {

struct ParentOf {
    uint32_t first;
    __host__ __device__ uint32_t operator()(uint32_t place) const { return (place + first) / 2; }
};

cudaError_t sort(void* memory, size_t& bytes, const uint32_t* leaves, uint32_t* sorted_leaves,
                 const uint32_t* numbers, uint32_t* order, uint32_t count, unsigned height,
                 cudaStream_t stream) {
    return cub::DeviceRadixSort::SortPairs(memory, bytes, leaves, sorted_leaves, numbers, order,
                                           count, 0, static_cast<int>(height), stream);
}

cudaError_t unique_parents(void* memory, size_t& bytes, const uint32_t* below, uint32_t first,
                           uint32_t count, uint32_t* parents, uint32_t* listed,
                           cudaStream_t stream) {
    const auto above = thrust::make_transform_iterator(below, ParentOf{first});
    return cub::DeviceSelect::Unique(memory, bytes, above, parents, listed,
                                     static_cast<int64_t>(count), stream);
}

}  // namespace

std::string resident_scratch_bytes(unsigned height, uint32_t writes_max, size_t& bytes) {
    size_t sort_bytes = 0;
    size_t unique_bytes = 0;
    MILLRACE_CUDA_CHECK(sort(nullptr, sort_bytes, nullptr, nullptr, nullptr, nullptr, writes_max,
                             std::max(height, 1u), nullptr));
    MILLRACE_CUDA_CHECK(
        unique_parents(nullptr, unique_bytes, nullptr, 0, writes_max, nullptr, nullptr, nullptr));
    bytes = std::max(sort_bytes, unique_bytes);
    return {};
}

std::string sort_writes(const ResidentScratch& scratch, const uint32_t* leaves,
                        uint32_t* sorted_leaves, const uint32_t* numbers, uint32_t* order,
                        uint32_t count, unsigned height, cudaStream_t stream) {
    size_t bytes = scratch.bytes;
    MILLRACE_CUDA_CHECK(
        sort(scratch.memory, bytes, leaves, sorted_leaves, numbers, order, count, height, stream));
    return {};
}

std::string list_parents(const ResidentScratch& scratch, const uint32_t* below, uint32_t first,
                         uint32_t count, uint32_t* parents, uint32_t* listed, cudaStream_t stream) {
    size_t bytes = scratch.bytes;
    MILLRACE_CUDA_CHECK(
        unique_parents(scratch.memory, bytes, below, first, count, parents, listed, stream));
    return {};
}

}  // namespace millrace::kernels::detail
