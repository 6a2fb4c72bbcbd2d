// SPDX-License-Identifier: Apache-2.0
// Owns the hashes of a batch of 64-byte messages that lies in device memory, for their timing.
#include <memory>

#include "kernels/gpu_check/detail/device_timing.cuh"
#include "kernels/gpu_check/device.hpp"
#include "kernels/tree/detail/resident_steps.hpp"

namespace millrace::gpu_check {

namespace {

using kernels::NodeHash;
using kernels::detail::ResidentNode;

constexpr uint32_t block_threads = 128;

__constant__ kernels::detail::NodeTables tables;

template <NodeHash hash>
__global__ void __launch_bounds__(block_threads)
    hash_messages(const ResidentNode* messages, uint32_t count, ResidentNode* digests) {
    const uint32_t item = blockIdx.x * block_threads + threadIdx.x;
    if (item >= count) { return; }
    digests[item] = kernels::detail::node_above<hash>(messages + size_t{2} * item, tables);
}

struct Resident {
    DeviceArray<ResidentNode> messages;
    DeviceArray<ResidentNode> digests;
    Stopwatch stopwatch;

    std::string open(uint32_t batch) {
        if (std::string fault = messages.open(size_t{2} * batch); !fault.empty()) { return fault; }
        if (std::string fault = digests.open(batch); !fault.empty()) { return fault; }
        MILLRACE_CHECK_CUDA(
            cudaMemset(messages.get(), 0x5a, size_t{2} * batch * sizeof(ResidentNode)));
        MILLRACE_CHECK_CUDA(cudaMemcpyToSymbol(tables, &kernels::detail::node_tables,
                                               sizeof kernels::detail::node_tables));
        return stopwatch.open();
    }
};

template <NodeHash hash>
std::string prepare(uint32_t batch, KernelRun& run) {
    const auto resident = std::make_shared<Resident>();
    if (std::string fault = resident->open(batch); !fault.empty()) { return fault; }
    run = [resident, batch](double& microseconds) {
        const auto launch = [&](cudaStream_t stream) {
            const uint32_t blocks = (batch + block_threads - 1) / block_threads;
            hash_messages<hash><<<blocks, block_threads, 0, stream>>>(
                resident->messages.get(), batch, resident->digests.get());
            return cudaGetLastError();
        };
        return resident->stopwatch.time(launch, microseconds);
    };
    return {};
}

}  // namespace

std::string prepare_hash_kernel(NodeHash hash, uint32_t batch, KernelRun& run) {
    switch (hash) {
        case NodeHash::keccak256: return prepare<NodeHash::keccak256>(batch, run);
        case NodeHash::sha256: return prepare<NodeHash::sha256>(batch, run);
        case NodeHash::blake3: return prepare<NodeHash::blake3>(batch, run);
    }
    return "no such hash";
}

}  // namespace millrace::gpu_check
