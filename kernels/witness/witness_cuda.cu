// SPDX-License-Identifier: Apache-2.0
// Owns the staging of witness checks to an NVIDIA device.
#include <cuda_runtime_api.h>

#include <algorithm>
#include <cstring>
#include <mutex>
#include <string>
#include <utility>
#include <vector>

#include "kernels/batch/detail/cuda_call.cuh"
#include "kernels/witness/detail/backends.hpp"
#include "kernels/witness/detail/witness_kernels.cuh"

namespace millrace::kernels::detail {

namespace {

// Limits of one launch of paths: what goes up is in one pinned buffer.
constexpr size_t launch_bytes_max = size_t{32} << 20;
constexpr size_t launch_paths_max = size_t{1} << 18;
constexpr size_t node_bytes = Hash256::size_bytes;

/// Returns the description of what failed from the enclosing function.
#define MILLRACE_WITNESS_STEP(call)                                          \
    do {                                                                     \
        if (std::string fault_ = (call); !fault_.empty()) { return fault_; } \
    } while (false)

/// Device memory that grows with the largest call.
struct Growing {
    void* data = nullptr;
    size_t bytes = 0;

    /// What was in it is lost when it grows.
    std::string reserve(size_t wanted) {
        if (wanted <= bytes) { return {}; }
        MILLRACE_CUDA_CHECK(cudaFree(std::exchange(data, nullptr)));
        bytes = 0;
        MILLRACE_CUDA_CHECK(cudaMalloc(&data, wanted));
        bytes = wanted;
        return {};
    }
    uint64_t* words() const { return static_cast<uint64_t*>(data); }
};

/// The device of the process. Its memory is given back by the driver when the process ends: a
/// destructor would run after the CUDA runtime has gone.
class WitnessDevice {
public:
    static WitnessDevice& instance() {
        static WitnessDevice& device = *new WitnessDevice;
        return device;
    }

    std::string check_paths(NodeHash hash, unsigned height, const Hash256& root,
                            std::span<const CudaPath> paths, std::span<uint8_t> leads) {
        const std::lock_guard lock(mutex_);
        if (fault_.empty()) { fault_ = check_locked(hash, height, root, paths, leads); }
        return fault_;
    }

    std::string sweep(NodeHash hash, const CudaSweep& job, std::span<Hash256> roots) {
        const std::lock_guard lock(mutex_);
        if (fault_.empty()) { fault_ = sweep_locked(hash, job, roots); }
        return fault_;
    }

private:
    std::string open() {
        MILLRACE_CUDA_CHECK(cudaSetDevice(0));
        if (open_) { return {}; }
        MILLRACE_WITNESS_STEP(upload_witness_constants());
        // They go by the default stream, for which this one's does not wait.
        MILLRACE_CUDA_CHECK(cudaDeviceSynchronize());
        MILLRACE_CUDA_CHECK(cudaStreamCreateWithFlags(&stream_, cudaStreamNonBlocking));
        MILLRACE_CUDA_CHECK(cudaMallocHost(reinterpret_cast<void**>(&staging_), launch_bytes_max));
        MILLRACE_CUDA_CHECK(cudaMallocHost(reinterpret_cast<void**>(&leads_), launch_paths_max));
        MILLRACE_CUDA_CHECK(
            cudaMalloc(reinterpret_cast<void**>(&device_staging_), launch_bytes_max));
        MILLRACE_CUDA_CHECK(cudaMalloc(reinterpret_cast<void**>(&device_leads_), launch_paths_max));
        open_ = true;
        return {};
    }

    /// The pinned buffer has the root, then all leaves, indices and siblings.
    std::string check_locked(NodeHash hash, unsigned height, const Hash256& root,
                             std::span<const CudaPath> paths, std::span<uint8_t> leads) {
        MILLRACE_WITNESS_STEP(open());
        const size_t path_bytes = node_bytes + sizeof(uint64_t) + height * node_bytes;
        const size_t launch_max =
            std::min(launch_paths_max, (launch_bytes_max - node_bytes) / path_bytes);
        for (size_t done = 0; done < paths.size(); done += launch_max) {
            const auto part = paths.subspan(done, std::min(launch_max, paths.size() - done));
            const size_t leaves_at = node_bytes;
            const size_t indices_at = leaves_at + part.size() * node_bytes;
            const size_t siblings_at = indices_at + part.size() * sizeof(uint64_t);
            std::memcpy(staging_, root.data(), node_bytes);
            for (size_t i = 0; i < part.size(); ++i) {
                std::memcpy(staging_ + leaves_at + i * node_bytes, part[i].leaf->data(),
                            node_bytes);
                std::memcpy(staging_ + indices_at + i * sizeof(uint64_t), &part[i].index,
                            sizeof(uint64_t));
                if (height == 0) { continue; }
                std::memcpy(staging_ + siblings_at + i * height * node_bytes, part[i].siblings,
                            height * node_bytes);
            }
            MILLRACE_CUDA_CHECK(cudaMemcpyAsync(device_staging_, staging_,
                                                node_bytes + part.size() * path_bytes,
                                                cudaMemcpyHostToDevice, stream_));
            const auto words_at = [&](size_t byte) {
                return reinterpret_cast<const uint64_t*>(device_staging_ + byte);
            };
            const DevicePaths on_device{.root = words_at(0),
                                        .leaves = words_at(leaves_at),
                                        .indices = words_at(indices_at),
                                        .siblings = words_at(siblings_at),
                                        .height = height,
                                        .count = static_cast<uint32_t>(part.size())};
            MILLRACE_CUDA_CHECK(launch_paths(hash, on_device, device_leads_, stream_));
            MILLRACE_CUDA_CHECK(cudaMemcpyAsync(leads_, device_leads_, part.size(),
                                                cudaMemcpyDeviceToHost, stream_));
            MILLRACE_CUDA_CHECK(cudaStreamSynchronize(stream_));
            std::memcpy(leads.data() + done, leads_, part.size());
        }
        return {};
    }

    /// The levels take turns between two sets of nodes. Copies are from pageable memory: when such
    /// a call returns, what it copied from may change.
    std::string sweep_locked(NodeHash hash, const CudaSweep& job, std::span<Hash256> roots) {
        MILLRACE_WITNESS_STEP(open());
        const size_t stride = job.indices.size();
        const size_t sets = job.leaf_sets.size();
        for (Growing& nodes : nodes_) {
            MILLRACE_WITNESS_STEP(nodes.reserve(sets * stride * node_bytes));
        }
        MILLRACE_WITNESS_STEP(steps_of_level_.reserve(stride * sizeof(SweepStep)));
        // One level needs at most one sibling for each known node.
        MILLRACE_WITNESS_STEP(siblings_.reserve(stride * node_bytes));
        for (size_t s = 0; s < sets; ++s) {
            MILLRACE_CUDA_CHECK(cudaMemcpyAsync(nodes_[0].words() + s * stride * 4,
                                                job.leaf_sets[s].data(), stride * node_bytes,
                                                cudaMemcpyHostToDevice, stream_));
        }
        SweepLevels levels(job.indices, positions_, steps_);
        std::span<const Hash256> siblings = job.siblings;
        for (unsigned level = 0; level < job.height; ++level) {
            const std::span<const SweepStep> steps = levels.next();
            const size_t used = levels.siblings();
            MILLRACE_CUDA_CHECK(cudaMemcpyAsync(steps_of_level_.data, steps.data(),
                                                steps.size_bytes(), cudaMemcpyHostToDevice,
                                                stream_));
            if (used != 0) {
                MILLRACE_CUDA_CHECK(cudaMemcpyAsync(siblings_.data, siblings.data(),
                                                    used * node_bytes, cudaMemcpyHostToDevice,
                                                    stream_));
            }
            const DeviceLevel on_device{.steps =
                                            static_cast<const SweepStep*>(steps_of_level_.data),
                                        .siblings = siblings_.words(),
                                        .nodes = nodes_[level % 2].words(),
                                        .parents = nodes_[(level + 1) % 2].words(),
                                        .count = static_cast<uint32_t>(steps.size()),
                                        .stride = static_cast<uint32_t>(stride),
                                        .sets = static_cast<uint32_t>(sets)};
            MILLRACE_CUDA_CHECK(launch_level(hash, on_device, stream_));
            // The next level's steps take the place of these, which may not have been copied yet.
            MILLRACE_CUDA_CHECK(cudaStreamSynchronize(stream_));
            siblings = siblings.subspan(used);
        }
        for (size_t s = 0; s < sets; ++s) {
            MILLRACE_CUDA_CHECK(cudaMemcpyAsync(roots[s].data(),
                                                nodes_[job.height % 2].words() + s * stride * 4,
                                                node_bytes, cudaMemcpyDeviceToHost, stream_));
        }
        MILLRACE_CUDA_CHECK(cudaStreamSynchronize(stream_));
        return {};
    }

    std::mutex mutex_;  ///< guards everything below
    cudaStream_t stream_ = nullptr;
    uint8_t* staging_ = nullptr;
    uint8_t* leads_ = nullptr;
    uint8_t* device_staging_ = nullptr;
    uint8_t* device_leads_ = nullptr;
    Growing nodes_[2];
    Growing steps_of_level_;
    Growing siblings_;
    std::vector<uint64_t> positions_;
    std::vector<SweepStep> steps_;
    bool open_ = false;
    std::string fault_;  ///< the first failure; nothing is tried after it
};

/// A known answer: the Keccak-256 of 64 zero bytes is the root over two zero leaves.
CudaProbe probe_witness() {
    CudaProbe probe = find_cuda_device();
    if (!probe.reason.empty()) { return probe; }
    const std::string name = std::exchange(probe.target, {});
    constexpr Hash256 expected{{0xad, 0x32, 0x28, 0xb6, 0x76, 0xf7, 0xd3, 0xcd, 0x42, 0x84, 0xa5,
                                0x44, 0x3f, 0x17, 0xf1, 0x96, 0x2b, 0x36, 0xe4, 0x91, 0xb3, 0x0a,
                                0x40, 0xb2, 0x40, 0x58, 0x49, 0xe5, 0x97, 0xba, 0x5f, 0xb5}};
    const Hash256 leaves[2] = {};
    const uint64_t indices[2] = {0, 1};
    const std::span<const Hash256> sets[1] = {leaves};
    Hash256 root;
    const CudaPath path{&leaves[0], &leaves[1], 1};
    uint8_t leads = 0;
    std::string fault =
        WitnessDevice::instance().sweep(NodeHash::keccak256, {1, indices, sets, {}}, {&root, 1});
    if (fault.empty()) {
        fault = WitnessDevice::instance().check_paths(NodeHash::keccak256, 1, expected, {&path, 1},
                                                      {&leads, 1});
    }
    if (!fault.empty()) {
        probe.reason = name + ": " + fault;
    } else if (root != expected || leads != 1) {
        probe.reason = name + ": the known answer came back wrong";
    } else {
        probe.available = true;
        probe.target = name;
    }
    return probe;
}

}  // namespace

const CudaProbe& witness_cuda_probe() {
    static const CudaProbe probe = probe_witness();
    return probe;
}

std::string check_paths_cuda(NodeHash hash, unsigned height, const Hash256& root,
                             std::span<const CudaPath> paths, std::span<uint8_t> leads) {
    return WitnessDevice::instance().check_paths(hash, height, root, paths, leads);
}

std::string sweep_cuda(NodeHash hash, const CudaSweep& sweep, std::span<Hash256> roots) {
    return WitnessDevice::instance().sweep(hash, sweep, roots);
}

}  // namespace millrace::kernels::detail
