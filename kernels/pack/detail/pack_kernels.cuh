// SPDX-License-Identifier: Apache-2.0
// Owns the kernels of packing over a batch that lies in device memory. T is uint32_t or uint64_t.
#pragma once

#include <cuda_runtime_api.h>

#include <cstddef>
#include <cstdint>

#include "kernels/pack/detail/tiles.hpp"

// C++20 only: nvcc compiles this header too.
namespace millrace::kernels::detail {

/// The tiles of a batch; all pointers below are to device memory too. What belongs to a block has
/// one element for each: the caller clears `any` and `refused` and fills `minima` with ones before.
struct TileList {
    const PackTile* tiles;
    uint32_t count;
};

// Each queues its kernels on the stream and gives the error of the launch; no tiles are fine.
template <class T>
cudaError_t launch_any(TileList tiles, const T* values, T* any, cudaStream_t stream);
template <class T>
cudaError_t launch_minimum(TileList tiles, const T* values, T* minima, cudaStream_t stream);
template <class T>
cudaError_t launch_pack(TileList tiles, const T* values, uint64_t* words, T* any,
                        cudaStream_t stream);
template <class T>
cudaError_t launch_unpack(TileList tiles, const uint64_t* words, T* values, T* any,
                          cudaStream_t stream);
template <class T>
cudaError_t launch_encode(TileList tiles, CodeKind code, const T* values, const T* bases, T* coded,
                          uint32_t* refused, cudaStream_t stream);
template <class T>
cudaError_t launch_steps(TileList tiles, CodeKind code, const T* coded, T* steps,
                         cudaStream_t stream);
/// `block_firsts` has the first value of each block.
template <class T>
cudaError_t launch_finish(TileList tiles, CodeKind code, const T* coded, const T* sums,
                          const uint32_t* block_firsts, const T* bases, T* values,
                          uint32_t* refused, cudaStream_t stream);
/// Adds to 65 counters of each block.
template <class T>
cudaError_t launch_widths(TileList tiles, const T* values, uint32_t* histograms,
                          cudaStream_t stream);
/// Adds to 256 counters of each block; the tiles are of tile_bytes.
cudaError_t launch_byte_histogram(TileList tiles, const uint8_t* bytes, uint32_t* histograms,
                                  cudaStream_t stream);

/// Replaces each value by the sum of all up to it, modulo T. Without `scratch` it only sets
/// `scratch_bytes`, to what it needs for so many values.
template <class T>
cudaError_t launch_sums(void* scratch, size_t& scratch_bytes, T* values, uint32_t count,
                        cudaStream_t stream);

}  // namespace millrace::kernels::detail
