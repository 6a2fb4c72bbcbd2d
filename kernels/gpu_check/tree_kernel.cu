// SPDX-License-Identifier: Apache-2.0
// Owns the hashing of all nodes above leaves that lie in device memory, for its timing.
#include <memory>

#include "kernels/gpu_check/detail/device_timing.cuh"
#include "kernels/gpu_check/device.hpp"
#include "kernels/tree/detail/resident_kernels.cuh"

namespace millrace::gpu_check {

namespace {

struct Resident {
    DeviceArray<kernels::detail::ResidentNode> nodes;
    Stopwatch stopwatch;

    std::string open(unsigned height) {
        const size_t count = kernels::tree_nodes(height);
        if (std::string fault = nodes.open(count); !fault.empty()) { return fault; }
        MILLRACE_CHECK_CUDA(
            cudaMemset(nodes.get(), 0x5a, count * sizeof(kernels::detail::ResidentNode)));
        if (std::string fault = kernels::detail::prepare_resident_kernels(); !fault.empty()) {
            return fault;
        }
        return stopwatch.open();
    }
};

}  // namespace

std::string prepare_tree_kernel(unsigned height, KernelRun& run) {
    const auto resident = std::make_shared<Resident>();
    if (std::string fault = resident->open(height); !fault.empty()) { return fault; }
    run = [resident, height](double& microseconds) {
        const auto launch = [&](cudaStream_t stream) {
            kernels::detail::ResidentTask task{};
            task.nodes = resident->nodes.get();
            cudaError_t error = cudaSuccess;
            for (unsigned depth = height; depth-- > 0 && error == cudaSuccess;) {
                task.first_node = uint32_t{1} << depth;
                task.count = task.first_node;
                error =
                    kernels::detail::launch_hash_level(kernels::NodeHash::keccak256, task, stream);
            }
            return error;
        };
        return resident->stopwatch.time(launch, microseconds);
    };
    return {};
}

}  // namespace millrace::gpu_check
