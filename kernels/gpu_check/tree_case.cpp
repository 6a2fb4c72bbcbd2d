// SPDX-License-Identifier: Apache-2.0
// Owns the checks of resident trees: all leaves at once, and some leaves of a large tree.
#include <algorithm>
#include <bit>
#include <cstring>
#include <memory>
#include <random>

#include "kernels/blake3/blake3.hpp"
#include "kernels/gpu_check/case_list.hpp"
#include "kernels/gpu_check/device.hpp"
#include "kernels/gpu_check/known_digests.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/sha256/sha256.hpp"
#include "kernels/tree/detail/resident_steps.hpp"
#include "kernels/tree/detail/resident_store.hpp"

namespace millrace::gpu_check {

namespace {

using kernels::NodeHash;
using kernels::tree_leaf;
using kernels::tree_nodes;
using kernels::detail::ResidentNode;
using kernels::detail::ResidentReport;
using kernels::detail::ResidentStaging;
using kernels::detail::ResidentStore;

constexpr NodeHash hashes[] = {NodeHash::keccak256, NodeHash::sha256, NodeHash::blake3};

Hash256 node_on_host(NodeHash hash, const Hash256* children) {
    switch (hash) {
        case NodeHash::keccak256: return kernels::keccak256_64(children->data());
        case NodeHash::sha256: return kernels::sha256({children->data(), 64});
        case NodeHash::blake3: return kernels::blake3({children->data(), 64});
    }
    return {};
}

/// The host's tree, by its code for one message on all its threads.
class HostTree {
public:
    HostTree(NodeHash hash, unsigned height, uint32_t threads)
        : hash_(hash), height_(height), threads_(threads), nodes_(tree_nodes(height)) {
        places_.resize(size_t{1} << height);
        for (size_t i = 0; i < places_.size(); ++i) { places_[i] = static_cast<uint32_t>(i); }
        rehash();
    }

    /// Notes the changes in the order that a resident tree gives them.
    void update(std::span<const uint32_t> leaves, std::span<const Hash256> values) {
        for (size_t i = 0; i < leaves.size(); ++i) {
            nodes_[tree_leaf(height_, leaves[i])] = values[i];
        }
        places_.assign(leaves.begin(), leaves.end());
        std::sort(places_.begin(), places_.end());
        rehash();
    }

    const std::vector<uint32_t>& changed_nodes() const { return changed_nodes_; }
    const std::vector<Hash256>& nodes() const { return nodes_; }
    const Hash256& root() const { return nodes_[1]; }

private:
    /// places_ holds leaves, ascending.
    void rehash() {
        changed_nodes_.clear();
        for (uint32_t& place : places_) {
            place = static_cast<uint32_t>(tree_leaf(height_, place));
        }
        for (unsigned level = 0; level < height_ && !places_.empty(); ++level) {
            for (uint32_t& place : places_) { place /= 2; }
            places_.erase(std::unique(places_.begin(), places_.end()), places_.end());
            // A thread is worth its start for some tens of microseconds of work.
            const auto threads =
                static_cast<uint32_t>(std::min<size_t>(threads_, places_.size() / 256 + 1));
            in_parallel(places_.size(), threads, [&](size_t first, size_t end) {
                for (size_t i = first; i < end; ++i) {
                    nodes_[places_[i]] = node_on_host(hash_, &nodes_[size_t{2} * places_[i]]);
                }
            });
            changed_nodes_.insert(changed_nodes_.end(), places_.begin(), places_.end());
        }
    }

    NodeHash hash_;
    unsigned height_;
    uint32_t threads_;
    std::vector<Hash256> nodes_;
    std::vector<uint32_t> places_;
    std::vector<uint32_t> changed_nodes_;
};

Hash256 random_hash(std::mt19937_64& random) {
    Hash256 hash;
    for (uint8_t& byte : hash.bytes) { byte = static_cast<uint8_t>(random()); }
    return hash;
}

struct Writes {
    std::vector<uint32_t> leaves;
    std::vector<Hash256> values;
};
Writes random_writes(std::mt19937_64& random, unsigned height, size_t count) {
    Writes writes;
    for (size_t i = 0; i < count; ++i) {
        writes.leaves.push_back(static_cast<uint32_t>(random() & ((uint64_t{1} << height) - 1)));
        writes.values.push_back(random_hash(random));
    }
    return writes;
}
Writes all_leaves(unsigned height) {
    Writes writes;
    for (uint32_t i = 0; i < uint32_t{1} << height; ++i) {
        writes.leaves.push_back(i);
        writes.values.push_back(Hash256{{static_cast<uint8_t>(i), static_cast<uint8_t>(i >> 8),
                                         static_cast<uint8_t>(i >> 16)}});
    }
    return writes;
}

void stage(ResidentStore& store, const Writes& writes) {
    const ResidentStaging staging = store.staging();
    std::copy(writes.leaves.begin(), writes.leaves.end(), staging.leaves.begin());
    std::copy(writes.values.begin(), writes.values.end(), staging.values.begin());
}

std::string same_changes(const ResidentReport& report, const HostTree& expected) {
    if (report.root != expected.root()) { return "another root"; }
    if (!std::equal(report.nodes.begin(), report.nodes.end(), expected.changed_nodes().begin(),
                    expected.changed_nodes().end())) {
        return "other changed nodes";
    }
    for (size_t i = 0; i < report.nodes.size(); ++i) {
        if (report.hashes[i] != expected.nodes()[report.nodes[i]]) {
            return "another hash of node " + std::to_string(report.nodes[i]);
        }
    }
    return {};
}

/// Updates of one tree on the device and on the host.
void compare_tree(NodeHash hash, unsigned height, size_t writes_max, const Effort& effort,
                  Outcome& outcome) {
    if (!outcome.fault.empty()) { return; }
    std::unique_ptr<ResidentStore> store;
    outcome.fault = kernels::detail::make_resident_cuda(
        {.hash = hash, .height = height, .writes_max = static_cast<uint32_t>(writes_max)}, store);
    if (outcome.fault.empty()) { outcome.fault = store->fill({}); }
    HostTree host(hash, height, effort.threads);
    std::mt19937_64 random(effort.seed + height);
    for (const size_t count : {size_t{1}, writes_max / 300 + 1, writes_max / 2 + 1, writes_max}) {
        if (!outcome.fault.empty()) { return; }
        const Writes writes = random_writes(random, height, count);
        stage(*store, writes);
        host.update(writes.leaves, writes.values);
        ResidentReport report;
        outcome.fault = store->update(static_cast<uint32_t>(count), false, report);
        if (outcome.fault.empty()) { outcome.fault = same_changes(report, host); }
        if (!outcome.fault.empty()) {
            outcome.fault += " in an update of " + std::to_string(count) +
                             " leaves of a tree of height " + std::to_string(height) + ", " +
                             std::string(to_string(hash));
        }
        outcome.compared += count;
    }
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
std::string prepare_updates(unsigned height, const Writes& writes, bool sorted, uint32_t threads,
                            Workload& workload) {
    struct Trees {
        std::unique_ptr<ResidentStore> device;
        std::unique_ptr<HostTree> host;
        Writes writes;
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
                compare_tree(hash, height, std::min(effort.compared_items, size_t{3} << height),
                             effort, outcome);
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
