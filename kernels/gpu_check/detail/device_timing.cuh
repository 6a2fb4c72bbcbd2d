// SPDX-License-Identifier: Apache-2.0
// Owns the timing of kernels by events and the device memory of the check.
#pragma once

#include <cuda_runtime_api.h>

#include <string>

namespace millrace::gpu_check {

inline std::string describe(const char* call, cudaError_t error) {
    return std::string(call) + " failed with CUDA error " +
           std::to_string(static_cast<int>(error)) + " (" + cudaGetErrorString(error) + ")";
}

/// Returns the description of a failed call from the enclosing function.
#define MILLRACE_CHECK_CUDA(call)                                       \
    do {                                                                \
        if (const cudaError_t error_ = (call); error_ != cudaSuccess) { \
            return ::millrace::gpu_check::describe(#call, error_);      \
        }                                                               \
    } while (false)

/// Device memory of `count` values.
template <class T>
class DeviceArray {
public:
    DeviceArray() = default;
    DeviceArray(const DeviceArray&) = delete;
    DeviceArray& operator=(const DeviceArray&) = delete;
    // A failing free repeats an earlier failure, which was reported.
    ~DeviceArray() { (void)cudaFree(data_); }

    std::string open(size_t count) {
        MILLRACE_CHECK_CUDA(cudaMalloc(reinterpret_cast<void**>(&data_), count * sizeof(T)));
        return {};
    }
    T* get() const noexcept { return data_; }

private:
    T* data_ = nullptr;
};

/// A stream and two events on it.
class Stopwatch {
public:
    Stopwatch() = default;
    Stopwatch(const Stopwatch&) = delete;
    Stopwatch& operator=(const Stopwatch&) = delete;
    ~Stopwatch() {
        if (begin_ != nullptr) { (void)cudaEventDestroy(begin_); }
        if (end_ != nullptr) { (void)cudaEventDestroy(end_); }
        if (stream_ != nullptr) { (void)cudaStreamDestroy(stream_); }
    }

    /// What was queued on other streams is done when this returns: the stopwatch's waits for none.
    std::string open() {
        MILLRACE_CHECK_CUDA(cudaDeviceSynchronize());
        MILLRACE_CHECK_CUDA(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
        MILLRACE_CHECK_CUDA(cudaEventCreate(&begin_));
        MILLRACE_CHECK_CUDA(cudaEventCreate(&end_));
        return {};
    }

    /// Time between the events around what `launch(stream)` queues; it gives a cudaError_t.
    template <class Launch>
    std::string time(const Launch& launch, double& microseconds) {
        MILLRACE_CHECK_CUDA(cudaEventRecord(begin_, stream_));
        MILLRACE_CHECK_CUDA(launch(stream_));
        MILLRACE_CHECK_CUDA(cudaEventRecord(end_, stream_));
        MILLRACE_CHECK_CUDA(cudaEventSynchronize(end_));
        float milliseconds = 0;
        MILLRACE_CHECK_CUDA(cudaEventElapsedTime(&milliseconds, begin_, end_));
        microseconds = 1000.0 * milliseconds;
        return {};
    }

private:
    cudaStream_t stream_ = nullptr;
    cudaEvent_t begin_ = nullptr;
    cudaEvent_t end_ = nullptr;
};

}  // namespace millrace::gpu_check
