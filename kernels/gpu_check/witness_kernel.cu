// SPDX-License-Identifier: Apache-2.0
// Owns the check of proof paths that lie in device memory, for its timing.
#include <memory>

#include "kernels/gpu_check/detail/device_timing.cuh"
#include "kernels/gpu_check/device.hpp"
#include "kernels/gpu_check/witness_paths.hpp"
#include "kernels/witness/detail/witness_kernels.cuh"

namespace millrace::gpu_check {

namespace {

namespace witness = kernels::detail;

constexpr uint32_t node_words = 4;

struct Resident {
    DeviceArray<uint64_t> root;
    DeviceArray<uint64_t> leaves;
    DeviceArray<uint64_t> indices;
    DeviceArray<uint64_t> siblings;
    DeviceArray<uint8_t> leads;
    Stopwatch stopwatch;

    std::string open(uint32_t batch) {
        const size_t nodes = size_t{batch} * node_words;
        for (const std::string& fault :
             {witness::upload_witness_constants(), root.open(node_words), leaves.open(nodes),
              indices.open(batch), siblings.open(nodes * timed_height), leads.open(batch)}) {
            if (!fault.empty()) { return fault; }
        }
        MILLRACE_CHECK_CUDA(cudaMemset(root.get(), 0x11, node_words * 8));
        MILLRACE_CHECK_CUDA(cudaMemset(leaves.get(), 0x22, nodes * 8));
        MILLRACE_CHECK_CUDA(cudaMemset(indices.get(), 0x33, size_t{batch} * 8));
        MILLRACE_CHECK_CUDA(cudaMemset(siblings.get(), 0x44, nodes * timed_height * 8));
        return stopwatch.open();
    }
};

}  // namespace

std::string prepare_witness_kernel(uint32_t batch, KernelRun& run) {
    const auto resident = std::make_shared<Resident>();
    if (std::string fault = resident->open(batch); !fault.empty()) { return fault; }
    run = [resident, batch](double& microseconds) {
        const witness::DevicePaths paths{.root = resident->root.get(),
                                         .leaves = resident->leaves.get(),
                                         .indices = resident->indices.get(),
                                         .siblings = resident->siblings.get(),
                                         .height = timed_height,
                                         .count = batch};
        return resident->stopwatch.time(
            [&](cudaStream_t stream) {
                return witness::launch_paths(kernels::NodeHash::keccak256, paths,
                                             resident->leads.get(), stream);
            },
            microseconds);
    };
    return {};
}

}  // namespace millrace::gpu_check
