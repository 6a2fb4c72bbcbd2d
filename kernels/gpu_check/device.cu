// SPDX-License-Identifier: Apache-2.0
// Owns what the check learns of the device itself: its properties and the rates of its pipes.
#include "kernels/gpu_check/device.hpp"

#include <algorithm>

#include "kernels/gpu_check/detail/device_timing.cuh"

namespace millrace::gpu_check {

namespace {

std::string read_properties(DeviceInfo& info) {
    int count = 0;
    MILLRACE_CHECK_CUDA(cudaGetDeviceCount(&count));
    if (count == 0) { return "the driver lists no device"; }
    MILLRACE_CHECK_CUDA(cudaSetDevice(0));
    cudaDeviceProp properties{};
    MILLRACE_CHECK_CUDA(cudaGetDeviceProperties(&properties, 0));
    int clock_khz = 0;
    MILLRACE_CHECK_CUDA(cudaDeviceGetAttribute(&clock_khz, cudaDevAttrClockRate, 0));
    MILLRACE_CHECK_CUDA(cudaDriverGetVersion(&info.driver));
    MILLRACE_CHECK_CUDA(cudaRuntimeGetVersion(&info.runtime));
    info.name = properties.name;
    info.architecture = 10 * properties.major + properties.minor;
    info.multiprocessors = properties.multiProcessorCount;
    info.clock_hz = 1000.0 * clock_khz;
    info.l2_bytes = static_cast<size_t>(properties.l2CacheSize);
    info.memory_bytes = properties.totalGlobalMem;
    return {};
}

constexpr int pipe_chains = 8;
constexpr int pipe_steps = 64;
constexpr int pipe_rounds = 256;
constexpr int pipe_threads = 256;
constexpr int pipe_blocks_per_multiprocessor = 8;

/// Runs `step` on independent chains, enough to hide its latency. The seed is not known to the
/// compiler, and every result reaches memory.
template <class Value, class Step>
__device__ void run_pipe(Value* results, Value seed, Step step) {
    Value chains[pipe_chains];
#pragma unroll
    for (int c = 0; c < pipe_chains; ++c) {
        chains[c] = seed + static_cast<Value>(threadIdx.x + c);
    }
#pragma unroll 1
    for (int round = 0; round < pipe_rounds; ++round) {
#pragma unroll
        for (int s = 0; s < pipe_steps / pipe_chains; ++s) {
#pragma unroll
            for (int c = 0; c < pipe_chains; ++c) {
                // The neighbour changes too, so that no two steps can become one instruction.
                chains[c] = step(chains[c], chains[(c + 1) % pipe_chains]);
            }
        }
    }
    Value sum = chains[0];
#pragma unroll
    for (int c = 1; c < pipe_chains; ++c) { sum += chains[c]; }
    results[blockIdx.x * pipe_threads + threadIdx.x] = sum;
}

__global__ void lop3_pipe(uint32_t* results, uint32_t seed) {
    run_pipe(results, seed, [seed](uint32_t a, uint32_t b) {
        asm volatile("lop3.b32 %0, %0, %1, %2, 0xd2;" : "+r"(a) : "r"(b), "r"(seed));
        return a;
    });
}
__global__ void shf_pipe(uint32_t* results, uint32_t seed) {
    run_pipe(results, seed, [](uint32_t a, uint32_t b) {
        asm volatile("shf.l.wrap.b32 %0, %0, %1, 7;" : "+r"(a) : "r"(b));
        return a;
    });
}
__global__ void imad_pipe(uint32_t* results, uint32_t seed) {
    run_pipe(results, seed, [seed](uint32_t a, uint32_t b) {
        asm volatile("mad.lo.u32 %0, %0, %1, %2;" : "+r"(a) : "r"(seed), "r"(b));
        return a;
    });
}
__global__ void imad_wide_pipe(uint64_t* results, uint64_t seed) {
    const uint32_t factor = static_cast<uint32_t>(seed);
    run_pipe(results, seed, [factor](uint64_t a, uint64_t b) {
        asm volatile("mad.wide.u32 %0, %1, %2, %0;"
                     : "+l"(a)
                     : "r"(static_cast<uint32_t>(b)), "r"(factor));
        return a;
    });
}
__global__ void dfma_pipe(double* results, double seed) {
    run_pipe(results, seed, [seed](double a, double b) {
        asm volatile("fma.rn.f64 %0, %0, %1, %2;" : "+d"(a) : "d"(seed), "d"(b));
        return a;
    });
}

template <class Value>
std::string measure_pipe(const DeviceInfo& device, void (*kernel)(Value*, Value),
                         double& per_clock) {
    const int blocks = device.multiprocessors * pipe_blocks_per_multiprocessor;
    DeviceArray<Value> results;
    Stopwatch stopwatch;
    if (std::string fault = results.open(size_t(blocks) * pipe_threads); !fault.empty()) {
        return fault;
    }
    if (std::string fault = stopwatch.open(); !fault.empty()) { return fault; }
    double best = 0;
    for (int run = 0; run < 5; ++run) {
        double microseconds = 0;
        const auto launch = [&](cudaStream_t stream) {
            kernel<<<blocks, pipe_threads, 0, stream>>>(results.get(), static_cast<Value>(3));
            return cudaGetLastError();
        };
        if (std::string fault = stopwatch.time(launch, microseconds); !fault.empty()) {
            return fault;
        }
        // The first run also loads the kernel.
        if (run > 0) { best = best == 0 ? microseconds : std::min(best, microseconds); }
    }
    const double operations = double(blocks) * pipe_threads * pipe_rounds * pipe_steps;
    per_clock = operations / (best * 1e-6 * device.clock_hz * device.multiprocessors);
    return {};
}

}  // namespace

DeviceInfo find_device() {
    DeviceInfo info;
    info.reason = read_properties(info);
    info.available = info.reason.empty();
    return info;
}

std::string measure_pipes(const DeviceInfo& device,
                          std::vector<std::pair<std::string, double>>& rates) {
    const auto measure = [&](const char* name, auto kernel) -> std::string {
        double per_clock = 0;
        std::string fault = measure_pipe(device, kernel, per_clock);
        if (fault.empty()) { rates.emplace_back(name, per_clock); }
        return fault;
    };
    for (std::string fault :
         {measure("LOP3", lop3_pipe), measure("SHF", shf_pipe), measure("IMAD", imad_pipe),
          measure("IMAD.WIDE", imad_wide_pipe), measure("DFMA", dfma_pipe)}) {
        if (!fault.empty()) { return fault; }
    }
    return {};
}

}  // namespace millrace::gpu_check
