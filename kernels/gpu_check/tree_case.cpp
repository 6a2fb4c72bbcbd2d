// SPDX-License-Identifier: Apache-2.0
// Owns the checks of resident trees: all leaves at once, and some leaves of a large tree.
#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <random>

#include "kernels/gpu_check/case_list.hpp"
#include "kernels/gpu_check/device.hpp"
#include "kernels/gpu_check/known_digests.hpp"
#include "kernels/gpu_check/tree_comparison.hpp"
#include "kernels/tree/detail/resident_steps.hpp"
#include "kernels/tree/detail/resident_store.hpp"

namespace millrace::gpu_check {

namespace {

using kernels::NodeHash;
using kernels::detail::ResidentNode;
using kernels::detail::ResidentReport;
using kernels::detail::ResidentStore;

constexpr NodeHash hashes[] = {NodeHash::keccak256, NodeHash::sha256, NodeHash::blake3};

TreeWrites all_leaves(unsigned height) {
    TreeWrites writes;
    for (uint32_t i = 0; i < uint32_t{1} << height; ++i) {
        writes.leaves.push_back(i);
        writes.values.push_back(Hash256{{static_cast<uint8_t>(i), static_cast<uint8_t>(i >> 8),
                                         static_cast<uint8_t>(i >> 16)}});
    }
    return writes;
}

template <NodeHash hash>
bool has_root(const KnownRoot& expected) {
    ResidentNode nodes[32];
    uint8_t leaves[512];
    for (size_t i = 0; i < sizeof leaves; ++i) { leaves[i] = static_cast<uint8_t>(i % 251); }
    std::memcpy(&nodes[16], leaves, sizeof leaves);
    for (size_t i = 15; i != 0; --i) {
        nodes[i] = kernels::detail::node_above<hash>(&nodes[2 * i], kernels::detail::node_tables);
    }
    return std::memcmp(&nodes[1], expected.lanes, sizeof expected.lanes) == 0;
}

/// One update that is made again and again, on the device and on the host.
std::string prepare_updates(unsigned height, const TreeWrites& writes, bool sorted,
                            uint32_t threads, Workload& workload) {
    struct Trees {
        std::unique_ptr<ResidentStore> device;
        std::unique_ptr<HostTree> host;
        TreeWrites writes;
    };
    const auto trees = std::make_shared<Trees>();
    trees->writes = writes;
    const auto count = static_cast<uint32_t>(writes.leaves.size());
    if (std::string fault = kernels::detail::make_resident_cuda(
            {.hash = NodeHash::keccak256, .height = height, .writes_max = count}, trees->device);
        !fault.empty()) {
        return fault;
    }
    if (std::string fault = trees->device->fill({}); !fault.empty()) { return fault; }
    trees->host = std::make_unique<HostTree>(NodeHash::keccak256, height, threads);
    stage(*trees->device, writes);
    workload.end_to_end = [trees, sorted, count] {
        ResidentReport report;
        return trees->device->update(count, sorted, report);
    };
    workload.host = [trees] {
        trees->host->update(trees->writes.leaves, trees->writes.values);
        return std::string{};
    };
    return {};
}

class TreeCase final : public Case {
public:
    const char* name() const override { return "tree"; }

    Outcome check_on_host() override {
        Outcome outcome;
        outcome.compared = 3;
        if (!has_root<NodeHash::keccak256>(keccak256_root) ||
            !has_root<NodeHash::sha256>(sha256_root) || !has_root<NodeHash::blake3>(blake3_root)) {
            outcome.fault = "the device's code on the host gives another root of 16 leaves";
        }
        return outcome;
    }

    Outcome check_on_device(const Effort& effort) override {
        Outcome outcome;
        const kernels::detail::CudaProbe& probe = kernels::detail::resident_cuda_probe();
        if (!probe.available) {
            outcome.fault = probe.reason;
            return outcome;
        }
        for (const NodeHash hash : hashes) {
            for (const unsigned height : {0u, 1u, 5u, 9u, 12u, 20u}) {
                // A large tree would take a sanitizer minutes to make.
                if (height > 12 && effort.compared_items < 5000) { continue; }
                // Few of a large tree, and more than all of a small one.
                compare_tree(kernels::detail::make_resident_cuda, hash, height,
                             std::min(effort.compared_items, size_t{3} << height), effort, outcome);
            }
        }
        return outcome;
    }

    std::span<const uint32_t> batches() const override {
        static constexpr uint32_t sizes[] = {1 << 10, 1 << 14, 1 << 18, 1 << 20, 1 << 22, 1 << 24};
        return sizes;
    }

    /// All leaves of a tree of `batch` leaves: the kernels on leaves that are there already, then
    /// with the leaves coming in and all nodes going out.
    std::string prepare(uint32_t batch, uint32_t threads, Workload& workload) override {
        const auto height = static_cast<unsigned>(std::countr_zero(batch));
        if (std::string fault =
                prepare_updates(height, all_leaves(height), true, threads, workload);
            !fault.empty()) {
            return fault;
        }
        return prepare_tree_kernel(height, workload.kernel);
    }

    /// One Keccak-256 for each leaf, less one.
    double bounding_operations() const override { return 4307; }
    double target_per_second() const override { return 1.5e9; }
};

class SparseTreeCase final : public Case {
public:
    const char* name() const override { return "tree_sparse"; }
    bool compares() const override { return false; }
    Outcome check_on_host() override { return {}; }
    Outcome check_on_device(const Effort& /*effort*/) override { return {}; }

    std::span<const uint32_t> batches() const override {
        static constexpr uint32_t sizes[] = {1, 64, 1024, 16384, 262144, 1048576};
        return sizes;
    }

    /// Random leaves of a tree of 2^24.
    std::string prepare(uint32_t batch, uint32_t threads, Workload& workload) override {
        constexpr unsigned height = 24;
        std::mt19937_64 random(batch);
        return prepare_updates(height, random_writes(random, height, batch), false, threads,
                               workload);
    }
};

}  // namespace

Case& tree_case() {
    static TreeCase instance;
    return instance;
}
Case& sparse_tree_case() {
    static SparseTreeCase instance;
    return instance;
}

}  // namespace millrace::gpu_check
