// SPDX-License-Identifier: Apache-2.0
// Owns the check of a CUDA call and the search for the device of the process.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

#include "kernels/batch/detail/cuda_probe.hpp"

namespace millrace::kernels::detail {

inline std::string describe_cuda(const char* call, cudaError_t error) {
    return std::string(call) + " failed with CUDA error " +
           std::to_string(static_cast<int>(error)) + " (" + cudaGetErrorString(error) + ")";
}

/// As describe_cuda, and takes back what the run time keeps for cudaGetLastError(): where one call
/// failed for want of memory, the next launch of the thread is not to blame.
inline std::string settle_cuda(const char* call, cudaError_t error) {
    (void)cudaGetLastError();
    return describe_cuda(call, error);
}

// Returns the description of a failed call from the enclosing function.
#define MILLRACE_CUDA_CHECK(call)                                       \
    do {                                                                \
        if (const cudaError_t error_ = (call); error_ != cudaSuccess) { \
            return settle_cuda(#call, error_);                          \
        }                                                               \
    } while (false)

/// The name of the first device as the probe's target, or in its reason why there is none; whether
/// it can run a kernel is not known yet.
inline CudaProbe find_cuda_device() {
    CudaProbe probe;
    int count = 0;
    const cudaError_t error = cudaGetDeviceCount(&count);
    (void)cudaGetLastError();
    if (error == cudaErrorInsufficientDriver) {
        probe.reason = "no device: the NVIDIA driver is absent or too old (CUDA error 35)";
        return probe;
    }
    if (error == cudaErrorNoDevice || (error == cudaSuccess && count == 0)) {
        probe.reason = "no device: the driver lists none";
        return probe;
    }
    if (error != cudaSuccess) {
        probe.reason = describe_cuda("cudaGetDeviceCount", error);
        return probe;
    }
    cudaDeviceProp properties{};
    if (const cudaError_t e = cudaGetDeviceProperties(&properties, 0); e != cudaSuccess) {
        probe.reason = describe_cuda("cudaGetDeviceProperties", e);
        return probe;
    }
    probe.target = std::string(properties.name) + " (sm_" + std::to_string(properties.major) +
                   std::to_string(properties.minor) + ")";
    return probe;
}

}  // namespace millrace::kernels::detail
