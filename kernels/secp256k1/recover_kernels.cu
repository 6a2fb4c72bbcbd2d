// SPDX-License-Identifier: Apache-2.0
// Owns the kernels of public-key recovery: one thread for each signature, in five stages.
#include <algorithm>
#include <vector>

#include "kernels/secp256k1/detail/gpu/generator_table.hpp"
#include "kernels/secp256k1/detail/gpu/stages.hpp"
#include "kernels/secp256k1/detail/recover_kernels.cuh"

namespace millrace::kernels::detail {

namespace {

using gpu::Affine;
using gpu::Workspace;

// Four blocks of 128 threads on a multiprocessor leave 128 registers for each thread, which the
// longest stage needs; tests/kernels/secp256k1/device_code_test.py holds the compiler to it.
constexpr uint32_t block_threads = 128;
constexpr uint32_t blocks_per_multiprocessor = 4;

/// Threads of the two inverting stages at most. An inversion costs less than a twentieth of a
/// recovery, so a thread takes several jobs only in batches that fill the device without that.
constexpr uint32_t inverting_threads_max = 16384;

__constant__ uint64_t device_round_constants[keccak_rounds];

__device__ uint32_t thread_index() { return blockIdx.x * block_threads + threadIdx.x; }

__global__ void __launch_bounds__(block_threads, blocks_per_multiprocessor)
    recover_prepare(Workspace w, const RecoverInput* input) {
    const uint32_t item = thread_index();
    if (item < input->count) { gpu::prepare(w, input->slots(), item); }
}

__global__ void __launch_bounds__(block_threads, blocks_per_multiprocessor)
    recover_digits(Workspace w, const RecoverInput* input) {
    gpu::make_digits(w, input->slots(), thread_index(), gridDim.x * block_threads, input->count);
}

__global__ void __launch_bounds__(block_threads, blocks_per_multiprocessor)
    recover_tabulate(Workspace w, const RecoverInput* input) {
    const uint32_t item = thread_index();
    if (item < input->count) { gpu::tabulate(w, item); }
}

__global__ void __launch_bounds__(block_threads, blocks_per_multiprocessor)
    recover_multiply(Workspace w, const RecoverInput* input, const Affine* table) {
    const uint32_t item = thread_index();
    if (item < input->count) { gpu::multiply(w, table, item); }
}

__global__ void __launch_bounds__(block_threads, blocks_per_multiprocessor)
    recover_finish(Workspace w, const RecoverInput* input, gpu::RecoverOutput* outputs) {
    gpu::finish(w, input->slots(), outputs, device_round_constants, thread_index(),
                gridDim.x * block_threads, input->count);
}

struct Rows {
    Affine bases[gpu::generator_windows];
};

__global__ void __launch_bounds__(block_threads, blocks_per_multiprocessor)
    recover_make_table(const Rows rows, Affine* table) {
    const uint32_t entry = thread_index();
    // Rows are whole blocks, so a block reads one base.
    static_assert(gpu::generator_table_row % block_threads == 0);
    table[entry] = gpu::make_generator_entry(rows.bases[entry / gpu::generator_table_row],
                                             entry % gpu::generator_table_row);
}

constexpr uint32_t blocks_for(uint32_t threads) {
    return (threads + block_threads - 1) / block_threads;
}

template <class T>
cudaError_t allocate(T*& memory, size_t count) {
    return cudaMalloc(reinterpret_cast<void**>(&memory), count * sizeof(T));
}

}  // namespace

std::string RecoverMemory::open(uint32_t job_capacity) {
    const size_t jobs = job_capacity;
    workspace.capacity = job_capacity;
    MILLRACE_CUDA_CHECK(
        cudaMalloc(reinterpret_cast<void**>(&input), RecoverInput::bytes_for(jobs)));
    MILLRACE_CUDA_CHECK(allocate(outputs, jobs));
    MILLRACE_CUDA_CHECK(allocate(workspace.x, 8 * jobs));
    MILLRACE_CUDA_CHECK(allocate(workspace.y, 8 * jobs));
    MILLRACE_CUDA_CHECK(allocate(workspace.z, 8 * jobs));
    MILLRACE_CUDA_CHECK(allocate(workspace.prefix, 8 * jobs));
    MILLRACE_CUDA_CHECK(allocate(workspace.point_digits, 2 * gpu::point_windows * jobs));
    MILLRACE_CUDA_CHECK(allocate(workspace.generator_digits, gpu::generator_windows * jobs));
    MILLRACE_CUDA_CHECK(allocate(workspace.verdict, jobs));
    MILLRACE_CUDA_CHECK(allocate(workspace.tables, jobs));
    // A count of no jobs, and outputs that do not look like verdicts before a kernel wrote them.
    MILLRACE_CUDA_CHECK(cudaMemset(input, 0, sizeof *input));
    MILLRACE_CUDA_CHECK(cudaMemset(outputs, 0, jobs * sizeof *outputs));
    // The streams of the batches do not wait for the one that the lines above used.
    MILLRACE_CUDA_CHECK(cudaDeviceSynchronize());
    capacity = job_capacity;
    return {};
}

std::string RecoverMemory::close() {
    for (void* const memory :
         {static_cast<void*>(input), static_cast<void*>(outputs), static_cast<void*>(workspace.x),
          static_cast<void*>(workspace.y), static_cast<void*>(workspace.z),
          static_cast<void*>(workspace.prefix), static_cast<void*>(workspace.point_digits),
          static_cast<void*>(workspace.generator_digits), static_cast<void*>(workspace.verdict),
          static_cast<void*>(workspace.tables)}) {
        MILLRACE_CUDA_CHECK(cudaFree(memory));
    }
    *this = {};
    return {};
}

std::string make_device_table(const Affine*& table) {
    MILLRACE_CUDA_CHECK(cudaMemcpyToSymbol(device_round_constants, keccak_round_constants,
                                           sizeof keccak_round_constants));
    Affine* made = nullptr;
    MILLRACE_CUDA_CHECK(allocate(made, gpu::generator_table_entries));
    Rows rows;
    const auto bases = gpu::generator_rows();
    std::copy(bases.begin(), bases.end(), rows.bases);
    recover_make_table<<<gpu::generator_table_entries / block_threads, block_threads>>>(rows, made);
    MILLRACE_CUDA_CHECK(cudaGetLastError());
    std::vector<Affine> copy(gpu::generator_table_entries);
    MILLRACE_CUDA_CHECK(
        cudaMemcpy(copy.data(), made, gpu::generator_table_bytes, cudaMemcpyDeviceToHost));
    if (gpu::digest_of_table(copy.data()) != gpu::generator_table_digest) {
        return "the device made a wrong table of the generator's multiples";
    }
    table = made;
    return {};
}

cudaError_t launch_recovery(const RecoverMemory& memory, const Affine* table, uint32_t count_max,
                            cudaStream_t stream) {
    const uint32_t blocks = blocks_for(count_max);
    const uint32_t inverting_blocks = blocks_for(std::min(count_max, inverting_threads_max));
    const Workspace& w = memory.workspace;
    recover_prepare<<<blocks, block_threads, 0, stream>>>(w, memory.input);
    if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess) { return error; }
    recover_digits<<<inverting_blocks, block_threads, 0, stream>>>(w, memory.input);
    if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess) { return error; }
    recover_tabulate<<<blocks, block_threads, 0, stream>>>(w, memory.input);
    if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess) { return error; }
    recover_multiply<<<blocks, block_threads, 0, stream>>>(w, memory.input, table);
    if (const cudaError_t error = cudaGetLastError(); error != cudaSuccess) { return error; }
    recover_finish<<<inverting_blocks, block_threads, 0, stream>>>(w, memory.input, memory.outputs);
    return cudaGetLastError();
}

}  // namespace millrace::kernels::detail
