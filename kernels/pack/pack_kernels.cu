// SPDX-License-Identifier: Apache-2.0
// Owns the kernels of packing: a warp for each tile of 512 values, a block for each tile of bytes.
#include "kernels/pack/detail/pack_kernels.cuh"

namespace millrace::kernels::detail {

namespace {

constexpr unsigned warp_threads = 32;
constexpr unsigned block_threads = 128;
constexpr unsigned block_warps = block_threads / warp_threads;
constexpr unsigned every_lane = 0xffffffff;

__device__ uint32_t warp_lane() { return threadIdx.x % warp_threads; }
__device__ uint32_t warp_tile() { return blockIdx.x * block_warps + threadIdx.x / warp_threads; }

__device__ void atomic_or(uint32_t* to, uint32_t value) { atomicOr(to, value); }
__device__ void atomic_or(uint64_t* to, uint64_t value) {
    atomicOr(reinterpret_cast<unsigned long long*>(to), static_cast<unsigned long long>(value));
}
__device__ void atomic_min(uint32_t* to, uint32_t value) { atomicMin(to, value); }
__device__ void atomic_min(uint64_t* to, uint64_t value) {
    atomicMin(reinterpret_cast<unsigned long long*>(to), static_cast<unsigned long long>(value));
}

template <class T>
__device__ T warp_or(T value) {
    for (unsigned step = warp_threads / 2; step != 0; step /= 2) {
        value |= __shfl_xor_sync(every_lane, value, step);
    }
    return value;
}

/// Joins what the lanes found in a tile to what its block has. All lanes of the warp take part.
template <class T>
__device__ void join_any(const PackTile& tile, T found, T* any) {
    found = warp_or(found);
    if (warp_lane() == 0 && found != 0) { atomic_or(&any[tile.block], found); }
}
__device__ void join_refused(const PackTile& tile, bool takes, uint32_t* refused) {
    if (!__all_sync(every_lane, takes) && warp_lane() == 0) { atomicOr(&refused[tile.block], 1u); }
}

template <class T>
__global__ void __launch_bounds__(block_threads) pack_any(TileList list, const T* values, T* any) {
    if (warp_tile() >= list.count) { return; }
    const PackTile tile = list.tiles[warp_tile()];
    join_any(tile, tile_any(tile, values, warp_lane(), warp_threads), any);
}

template <class T>
__global__ void __launch_bounds__(block_threads)
    pack_minimum(TileList list, const T* values, T* minima) {
    if (warp_tile() >= list.count) { return; }
    const PackTile tile = list.tiles[warp_tile()];
    T minimum = tile_minimum(tile, values, warp_lane(), warp_threads);
    for (unsigned step = warp_threads / 2; step != 0; step /= 2) {
        const T other = __shfl_xor_sync(every_lane, minimum, step);
        minimum = other < minimum ? other : minimum;
    }
    if (warp_lane() == 0) { atomic_min(&minima[tile.block], minimum); }
}

template <class T>
__global__ void __launch_bounds__(block_threads)
    pack_pack(TileList list, const T* values, uint64_t* words, T* any) {
    if (warp_tile() >= list.count) { return; }
    const PackTile tile = list.tiles[warp_tile()];
    join_any(tile, tile_pack(tile, values, words, warp_lane(), warp_threads), any);
}

template <class T>
__global__ void __launch_bounds__(block_threads)
    pack_unpack(TileList list, const uint64_t* words, T* values, T* any) {
    if (warp_tile() >= list.count) { return; }
    const PackTile tile = list.tiles[warp_tile()];
    join_any(tile, tile_unpack(tile, words, values, warp_lane(), warp_threads), any);
}

template <class T>
__global__ void __launch_bounds__(block_threads)
    pack_encode(TileList list, CodeKind code, const T* values, const T* bases, T* coded,
                uint32_t* refused) {
    if (warp_tile() >= list.count) { return; }
    const PackTile tile = list.tiles[warp_tile()];
    join_refused(
        tile, tile_encode(tile, code, values, bases[tile.block], coded, warp_lane(), warp_threads),
        refused);
}

template <class T>
__global__ void __launch_bounds__(block_threads)
    pack_steps(TileList list, CodeKind code, const T* coded, T* steps) {
    if (warp_tile() >= list.count) { return; }
    const PackTile tile = list.tiles[warp_tile()];
    tile_steps(tile, code, coded, steps, warp_lane(), warp_threads);
}

template <class T>
__global__ void __launch_bounds__(block_threads)
    pack_finish(TileList list, CodeKind code, const T* coded, const T* sums,
                const uint32_t* block_firsts, const T* bases, T* values, uint32_t* refused) {
    if (warp_tile() >= list.count) { return; }
    const PackTile tile = list.tiles[warp_tile()];
    join_refused(tile,
                 tile_finish(tile, code, coded, sums, block_firsts[tile.block], bases[tile.block],
                             values, warp_lane(), warp_threads),
                 refused);
}

template <class T>
__global__ void __launch_bounds__(block_threads)
    pack_widths(TileList list, const T* values, uint32_t* histograms) {
    __shared__ uint32_t counters[block_warps][width_counters];
    if (warp_tile() >= list.count) { return; }
    const PackTile tile = list.tiles[warp_tile()];
    uint32_t* const own = counters[threadIdx.x / warp_threads];
    for (uint32_t k = warp_lane(); k < width_counters; k += warp_threads) { own[k] = 0; }
    __syncwarp();
    for (uint32_t i = warp_lane(); i < tile.count; i += warp_threads) {
        atomicAdd(&own[value_width(values[tile.first + i])], 1u);
    }
    __syncwarp();
    uint32_t* const to = histograms + size_t{tile.block} * width_counters;
    for (uint32_t k = warp_lane(); k < width_counters; k += warp_threads) {
        if (own[k] != 0) { atomicAdd(&to[k], own[k]); }
    }
}

__global__ void __launch_bounds__(block_threads)
    pack_byte_histogram(TileList list, const uint8_t* bytes, uint32_t* histograms) {
    constexpr uint32_t symbols = 256;
    __shared__ uint32_t counters[symbols];
    const PackTile tile = list.tiles[blockIdx.x];
    for (uint32_t k = threadIdx.x; k < symbols; k += block_threads) { counters[k] = 0; }
    __syncthreads();
    for (uint32_t i = threadIdx.x; i < tile.count; i += block_threads) {
        atomicAdd(&counters[bytes[tile.first + i]], 1u);
    }
    __syncthreads();
    uint32_t* const to = histograms + size_t{tile.block} * symbols;
    for (uint32_t k = threadIdx.x; k < symbols; k += block_threads) {
        if (counters[k] != 0) { atomicAdd(&to[k], counters[k]); }
    }
}

/// Starts a warp for each tile.
template <class... Parameters, class... Arguments>
cudaError_t launch(void (*kernel)(TileList, Parameters...), TileList list, cudaStream_t stream,
                   Arguments... arguments) {
    if (list.count == 0) { return cudaSuccess; }
    kernel<<<(list.count + block_warps - 1) / block_warps, block_threads, 0, stream>>>(
        list, arguments...);
    return cudaGetLastError();
}

}  // namespace

template <class T>
cudaError_t launch_any(TileList tiles, const T* values, T* any, cudaStream_t stream) {
    return launch(pack_any<T>, tiles, stream, values, any);
}
template <class T>
cudaError_t launch_minimum(TileList tiles, const T* values, T* minima, cudaStream_t stream) {
    return launch(pack_minimum<T>, tiles, stream, values, minima);
}
template <class T>
cudaError_t launch_pack(TileList tiles, const T* values, uint64_t* words, T* any,
                        cudaStream_t stream) {
    return launch(pack_pack<T>, tiles, stream, values, words, any);
}
template <class T>
cudaError_t launch_unpack(TileList tiles, const uint64_t* words, T* values, T* any,
                          cudaStream_t stream) {
    return launch(pack_unpack<T>, tiles, stream, words, values, any);
}
template <class T>
cudaError_t launch_encode(TileList tiles, CodeKind code, const T* values, const T* bases, T* coded,
                          uint32_t* refused, cudaStream_t stream) {
    return launch(pack_encode<T>, tiles, stream, code, values, bases, coded, refused);
}
template <class T>
cudaError_t launch_steps(TileList tiles, CodeKind code, const T* coded, T* steps,
                         cudaStream_t stream) {
    return launch(pack_steps<T>, tiles, stream, code, coded, steps);
}
template <class T>
cudaError_t launch_finish(TileList tiles, CodeKind code, const T* coded, const T* sums,
                          const uint32_t* block_firsts, const T* bases, T* values,
                          uint32_t* refused, cudaStream_t stream) {
    return launch(pack_finish<T>, tiles, stream, code, coded, sums, block_firsts, bases, values,
                  refused);
}
template <class T>
cudaError_t launch_widths(TileList tiles, const T* values, uint32_t* histograms,
                          cudaStream_t stream) {
    return launch(pack_widths<T>, tiles, stream, values, histograms);
}

cudaError_t launch_byte_histogram(TileList tiles, const uint8_t* bytes, uint32_t* histograms,
                                  cudaStream_t stream) {
    if (tiles.count == 0) { return cudaSuccess; }
    pack_byte_histogram<<<tiles.count, block_threads, 0, stream>>>(tiles, bytes, histograms);
    return cudaGetLastError();
}

#define MILLRACE_PACK_INSTANTIATE(T)                                                            \
    template cudaError_t launch_any(TileList, const T*, T*, cudaStream_t);                      \
    template cudaError_t launch_minimum(TileList, const T*, T*, cudaStream_t);                  \
    template cudaError_t launch_pack(TileList, const T*, uint64_t*, T*, cudaStream_t);          \
    template cudaError_t launch_unpack(TileList, const uint64_t*, T*, T*, cudaStream_t);        \
    template cudaError_t launch_encode(TileList, CodeKind, const T*, const T*, T*, uint32_t*,   \
                                       cudaStream_t);                                           \
    template cudaError_t launch_steps(TileList, CodeKind, const T*, T*, cudaStream_t);          \
    template cudaError_t launch_finish(TileList, CodeKind, const T*, const T*, const uint32_t*, \
                                       const T*, T*, uint32_t*, cudaStream_t);                  \
    template cudaError_t launch_widths(TileList, const T*, uint32_t*, cudaStream_t);
MILLRACE_PACK_INSTANTIATE(uint32_t)
MILLRACE_PACK_INSTANTIATE(uint64_t)
#undef MILLRACE_PACK_INSTANTIATE

}  // namespace millrace::kernels::detail
