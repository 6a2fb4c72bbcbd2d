// SPDX-License-Identifier: Apache-2.0
// Owns copies between the memories of host and device by the CUDA run time.
#include "kernels/bench/device/device_copy.hpp"

#include <vector>

#include "kernels/gpu_check/detail/device_timing.cuh"

namespace millrace::kernel_bench {

struct DeviceCopy::State {
    size_t bytes = 0;
    std::vector<uint8_t> pageable;
    uint8_t* pinned = nullptr;
    gpu_check::DeviceArray<uint8_t> device;
    gpu_check::Stopwatch stopwatch;

    // A failing free repeats an earlier failure, which was reported.
    ~State() { (void)cudaFreeHost(pinned); }

    uint8_t* host() { return pinned != nullptr ? pinned : pageable.data(); }

    cudaError_t queue(CopyDirection direction, cudaStream_t stream) {
        return direction == CopyDirection::host_to_device
                   ? cudaMemcpyAsync(device.get(), host(), bytes, cudaMemcpyHostToDevice, stream)
                   : cudaMemcpyAsync(host(), device.get(), bytes, cudaMemcpyDeviceToHost, stream);
    }
};

DeviceCopy::DeviceCopy() = default;
DeviceCopy::~DeviceCopy() = default;

std::string DeviceCopy::open(size_t bytes, bool pinned) {
    state_ = std::make_unique<State>();
    state_->bytes = bytes;
    MILLRACE_CHECK_CUDA(cudaSetDevice(0));
    if (pinned) {
        MILLRACE_CHECK_CUDA(cudaMallocHost(reinterpret_cast<void**>(&state_->pinned), bytes));
    } else {
        state_->pageable.resize(bytes);
    }
    if (std::string fault = state_->device.open(bytes); !fault.empty()) { return fault; }
    return state_->stopwatch.open();
}

uint8_t* DeviceCopy::host() noexcept { return state_->host(); }

std::string DeviceCopy::copy(CopyDirection direction, double& microseconds) {
    return state_->stopwatch.time(
        [&](cudaStream_t stream) { return state_->queue(direction, stream); }, microseconds);
}

std::string DeviceCopy::copy(CopyDirection direction) {
    MILLRACE_CHECK_CUDA(state_->queue(direction, nullptr));
    MILLRACE_CHECK_CUDA(cudaStreamSynchronize(nullptr));
    return {};
}

}  // namespace millrace::kernel_bench
