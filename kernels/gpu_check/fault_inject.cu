// SPDX-License-Identifier: Apache-2.0
// Owns the faults of the drill: calls and kernels that must fail.
#include "kernels/gpu_check/detail/device_timing.cuh"
#include "kernels/gpu_check/device.hpp"

namespace millrace::gpu_check {

namespace {

constexpr unsigned threads_beyond_limit = 4096;
constexpr long long endless_clocks = 200'000'000'000;  // minutes

__global__ void store_to(int* address) { *address = 1; }
__global__ void trap() { __trap(); }
__global__ void run_long() {
    const long long begin = clock64();
    while (clock64() - begin < endless_clocks) { __nanosleep(1000); }
}

/// A kernel that must break the context: the launch is queued, waiting for it fails.
std::string expect_lost(cudaError_t launched, const char* kind) {
    if (launched != cudaSuccess) { return describe("the launch of a fault", launched); }
    if (cudaDeviceSynchronize() == cudaSuccess) {
        return std::string(kind) + " was not reported by the device";
    }
    return {};
}

}  // namespace

std::string inject_fault(const std::string& kind, bool& context_lost) {
    context_lost = false;
    if (kind == "bad_launch") {
        store_to<<<1, threads_beyond_limit>>>(nullptr);
        return cudaGetLastError() == cudaSuccess ? "a launch of too many threads succeeded"
                                                 : std::string{};
    }
    if (kind == "out_of_memory") {
        void* memory = nullptr;
        const cudaError_t error = cudaMalloc(&memory, size_t{1} << 44);
        (void)cudaGetLastError();  // the error is not of later calls
        return error == cudaSuccess ? "16 TiB were given" : std::string{};
    }
    context_lost = true;
    if (kind == "illegal_address") {
        store_to<<<1, 1>>>(nullptr);
        return expect_lost(cudaGetLastError(), "an illegal address");
    }
    if (kind == "trap") {
        trap<<<1, 1>>>();
        return expect_lost(cudaGetLastError(), "a trap");
    }
    if (kind == "killed") {
        run_long<<<1, 1>>>();
        MILLRACE_CHECK_CUDA(cudaGetLastError());
        MILLRACE_CHECK_CUDA(cudaDeviceSynchronize());
        return "the kernel that was to be killed came to its end";
    }
    return "no such fault: " + kind;
}

}  // namespace millrace::gpu_check
