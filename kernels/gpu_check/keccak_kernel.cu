// SPDX-License-Identifier: Apache-2.0
// Owns Keccak-256 of a batch of 64-byte messages that lies in device memory, for its timing.
#include <memory>

#include "kernels/gpu_check/detail/device_timing.cuh"
#include "kernels/gpu_check/device.hpp"
#include "kernels/keccak/detail/packed.hpp"

namespace millrace::gpu_check {

namespace {

constexpr uint32_t block_threads = 128;
constexpr uint32_t message_bytes = 64;

__constant__ uint64_t round_constants[kernels::detail::keccak_rounds];

__global__ void __launch_bounds__(block_threads)
    keccak_resident(const uint64_t* words, uint32_t count, uint64_t* digests) {
    const uint32_t item = blockIdx.x * block_threads + threadIdx.x;
    if (item >= count) { return; }
    kernels::detail::keccak256_packed(words + size_t{item} * (message_bytes / 8), message_bytes,
                                      round_constants, digests + size_t{item} * 4);
}

struct Resident {
    DeviceArray<uint64_t> words;
    DeviceArray<uint64_t> digests;
    Stopwatch stopwatch;

    std::string open(uint32_t batch) {
        if (std::string fault = words.open(size_t{batch} * (message_bytes / 8)); !fault.empty()) {
            return fault;
        }
        if (std::string fault = digests.open(size_t{batch} * 4); !fault.empty()) { return fault; }
        MILLRACE_CHECK_CUDA(cudaMemset(words.get(), 0x5a, size_t{batch} * message_bytes));
        MILLRACE_CHECK_CUDA(cudaMemcpyToSymbol(round_constants,
                                               kernels::detail::keccak_round_constants,
                                               sizeof kernels::detail::keccak_round_constants));
        return stopwatch.open();
    }
};

}  // namespace

std::string prepare_keccak_kernel(uint32_t batch, KernelRun& run) {
    const auto resident = std::make_shared<Resident>();
    if (std::string fault = resident->open(batch); !fault.empty()) { return fault; }
    run = [resident, batch](double& microseconds) {
        const auto launch = [&](cudaStream_t stream) {
            const uint32_t blocks = (batch + block_threads - 1) / block_threads;
            keccak_resident<<<blocks, block_threads, 0, stream>>>(resident->words.get(), batch,
                                                                  resident->digests.get());
            return cudaGetLastError();
        };
        return resident->stopwatch.time(launch, microseconds);
    };
    return {};
}

}  // namespace millrace::gpu_check
