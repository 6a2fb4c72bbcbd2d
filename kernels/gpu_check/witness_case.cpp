// SPDX-License-Identifier: Apache-2.0
// Owns the check of witnesses: proof paths and the sweep of a multiproof.
#include <algorithm>
#include <cstring>
#include <memory>
#include <random>

#include "kernels/gpu_check/case_list.hpp"
#include "kernels/gpu_check/device.hpp"
#include "kernels/gpu_check/witness_paths.hpp"
#include "kernels/witness/detail/backends.hpp"
#include "kernels/witness/detail/node_code.hpp"

namespace millrace::gpu_check {

namespace {

namespace detail = kernels::detail;
using detail::HostConstants;
using detail::SweepLevels;
using detail::SweepStep;
using kernels::NodeHash;

constexpr NodeHash hashes[] = {NodeHash::keccak256, NodeHash::sha256, NodeHash::blake3};

/// The node over two zero nodes: the digest of 64 zero bytes.
struct KnownNode {
    NodeHash hash;
    uint64_t words[4];
};
constexpr KnownNode known_nodes[] = {
    {NodeHash::keccak256,
     {0xcdd3f776b62832ad, 0x96f1173f44a58442, 0xb2400ab391e4362b, 0xb55fba97e5495840}},
    {NodeHash::sha256,
     {0x30206ad142fda5f5, 0x9b9709d36eef9827, 0xe8f0d920233d0043, 0x4bfb5927a93198ea}},
    {NodeHash::blake3,
     {0x96866a637669004d, 0xad1a08a430a609d9, 0x04eefd1af8507c4d, 0x556aab8650f00b02}},
};

using Node = std::vector<uint64_t>;

Node words_of(const Hash256& hash) {
    Node words(detail::node_words);
    std::memcpy(words.data(), hash.data(), Hash256::size_bytes);
    return words;
}

Hash256 random_node(std::mt19937_64& random) {
    Hash256 node;
    for (uint8_t& byte : node.bytes) { byte = static_cast<uint8_t>(random()); }
    return node;
}

void hash_on_host(NodeHash hash, const uint64_t* left, const uint64_t* right, uint64_t* node) {
    switch (hash) {
        case NodeHash::keccak256:
            return detail::hash_children<NodeHash::keccak256, HostConstants>(left, right, node);
        case NodeHash::sha256:
            return detail::hash_children<NodeHash::sha256, HostConstants>(left, right, node);
        case NodeHash::blake3:
            return detail::hash_children<NodeHash::blake3, HostConstants>(left, right, node);
    }
}

Hash256 parent_on_host(NodeHash hash, const Hash256& left, const Hash256& right) {
    Hash256 parent;
    Node node(detail::node_words);
    hash_on_host(hash, words_of(left).data(), words_of(right).data(), node.data());
    std::memcpy(parent.data(), node.data(), Hash256::size_bytes);
    return parent;
}

/// Where a path leads to.
Hash256 climb_on_host(NodeHash hash, Hash256 node, uint64_t index,
                      std::span<const Hash256> siblings) {
    for (size_t level = 0; level < siblings.size(); ++level) {
        node = (index >> level & 1) != 0 ? parent_on_host(hash, siblings[level], node)
                                         : parent_on_host(hash, node, siblings[level]);
    }
    return node;
}

Hash256 sweep_on_host(NodeHash hash, unsigned height, std::span<const uint64_t> indices,
                      std::vector<Hash256> nodes, std::span<const Hash256> siblings) {
    std::vector<uint64_t> positions;
    std::vector<SweepStep> scratch;
    SweepLevels levels(indices, positions, scratch);
    for (unsigned level = 0; level < height; ++level) {
        std::vector<Hash256> parents;
        for (const auto& [node, sibling] : levels.next()) {
            const bool both = sibling == SweepStep::both_known;
            const Hash256& other =
                both ? nodes[node + 1] : siblings[sibling & ~SweepStep::on_the_left];
            const bool other_is_left = !both && (sibling & SweepStep::on_the_left) != 0;
            parents.push_back(other_is_left ? parent_on_host(hash, other, nodes[node])
                                            : parent_on_host(hash, nodes[node], other));
        }
        siblings = siblings.subspan(levels.siblings());
        nodes = std::move(parents);
    }
    return nodes[0];
}

size_t sibling_count(unsigned height, std::span<const uint64_t> indices) {
    std::vector<uint64_t> positions;
    std::vector<SweepStep> scratch;
    SweepLevels levels(indices, positions, scratch);
    size_t count = 0;
    for (unsigned level = 0; level < height; ++level) {
        (void)levels.next();
        count += levels.siblings();
    }
    return count;
}

class WitnessCase final : public Case {
public:
    const char* name() const override { return "witness_paths"; }

    Outcome check_on_host() override {
        Outcome outcome;
        const Node zero(detail::node_words);
        for (const KnownNode& known : known_nodes) {
            Node node(detail::node_words);
            hash_on_host(known.hash, zero.data(), zero.data(), node.data());
            if (!std::equal(node.begin(), node.end(), known.words)) {
                outcome.fault = "the device's code on the host gives another " +
                                std::string(to_string(known.hash)) + " node over zeros";
            }
            ++outcome.compared;
        }
        return outcome;
    }

    Outcome check_on_device(const Effort& effort) override {
        Outcome outcome;
        const detail::CudaProbe& probe = detail::witness_cuda_probe();
        if (!probe.available) {
            outcome.fault = probe.reason;
            return outcome;
        }
        for (const NodeHash hash : hashes) {
            for (const unsigned height : {0u, 1u, 33u, 63u}) {
                for (const size_t count :
                     {size_t{1}, size_t{33}, size_t{129}, effort.compared_items / 500}) {
                    compare_paths(hash, height, count, effort, outcome);
                    compare_sweep(hash, height, count, outcome);
                }
            }
        }
        return outcome;
    }

    /// A path is a thousand bytes or two.
    std::span<const uint32_t> batches() const override {
        static constexpr uint32_t sizes[] = {1, 64, 1024, 4096, 16384, 65536, 262144};
        return sizes;
    }

    std::string prepare(uint32_t batch, Workload& workload) override {
        struct Buffers {
            Hash256 root;
            std::vector<Hash256> nodes;
            std::vector<detail::CudaPath> paths;
            std::vector<uint8_t> leads;
        };
        const auto b = std::make_shared<Buffers>();
        b->nodes.resize(size_t{batch} * (timed_height + 1));
        for (uint32_t i = 0; i < batch; ++i) {
            const Hash256* const own = b->nodes.data() + size_t{i} * (timed_height + 1);
            b->paths.push_back({own, own + 1, i});
        }
        b->leads.resize(batch);
        workload.end_to_end = [b] {
            return detail::check_paths_cuda(NodeHash::keccak256, timed_height, b->root, b->paths,
                                            b->leads);
        };
        return prepare_witness_kernel(batch, workload.kernel);
    }

    /// Those of a Keccak for each level (keccak_case.cpp).
    double bounding_operations() const override { return 4307.0 * timed_height; }

private:
    /// Every path has a root of its own, but one call one root: every fourth path leads to it.
    static void compare_paths(NodeHash hash, unsigned height, size_t count, const Effort& effort,
                              Outcome& outcome) {
        if (!outcome.fault.empty() || count == 0) { return; }
        std::mt19937_64 random(count + height);
        const uint64_t last = (uint64_t{1} << height) - 1;
        std::vector<std::vector<Hash256>> siblings(count, std::vector<Hash256>(height));
        std::vector<Hash256> leaves(count);
        std::vector<detail::CudaPath> paths(count);
        for (size_t i = 0; i < count; ++i) {
            for (Hash256& node : siblings[i]) { node = random_node(random); }
            leaves[i] = random_node(random);
            paths[i] = {&leaves[i], siblings[i].data(), random() & last};
            if (i % 4 == 0) { paths[i] = paths[0]; }
        }
        const Hash256 root = climb_on_host(hash, *paths[0].leaf, paths[0].index,
                                           std::span(paths[0].siblings, height));
        std::vector<uint8_t> expected(count);
        in_parallel(count, effort.threads, [&](size_t first, size_t end) {
            for (size_t i = first; i < end; ++i) {
                expected[i] = climb_on_host(hash, *paths[i].leaf, paths[i].index,
                                            std::span(paths[i].siblings, height)) == root;
            }
        });
        std::vector<uint8_t> got(count);
        outcome.fault = detail::check_paths_cuda(hash, height, root, paths, got);
        if (!outcome.fault.empty()) { return; }
        if (expected != got) {
            outcome.fault = "the device gives other verdicts on " + std::to_string(count) +
                            " paths of height " + std::to_string(height);
        }
        outcome.compared += count;
    }

    static void compare_sweep(NodeHash hash, unsigned height, size_t count, Outcome& outcome) {
        if (!outcome.fault.empty() || count == 0) { return; }
        std::mt19937_64 random(count);
        const uint64_t last = (uint64_t{1} << height) - 1;
        std::vector<uint64_t> indices;
        for (size_t i = 0; i < count; ++i) { indices.push_back(random() & last); }
        std::sort(indices.begin(), indices.end());
        indices.erase(std::unique(indices.begin(), indices.end()), indices.end());
        std::vector<Hash256> before(indices.size());
        std::vector<Hash256> after(indices.size());
        std::vector<Hash256> siblings(sibling_count(height, indices));
        for (auto* const nodes : {&before, &after, &siblings}) {
            for (Hash256& node : *nodes) { node = random_node(random); }
        }
        const std::span<const Hash256> sets[] = {before, after};
        Hash256 got[2];
        outcome.fault = detail::sweep_cuda(hash, {height, indices, sets, siblings}, got);
        if (!outcome.fault.empty()) { return; }
        for (size_t s = 0; s < 2; ++s) {
            const std::vector<Hash256> nodes(sets[s].begin(), sets[s].end());
            if (got[s] != sweep_on_host(hash, height, indices, nodes, siblings)) {
                outcome.fault = "the device gives another root of " +
                                std::to_string(indices.size()) + " leaves of height " +
                                std::to_string(height);
            }
        }
        outcome.compared += 2 * indices.size();
    }
};

}  // namespace

Case& witness_case() {
    static WitnessCase instance;
    return instance;
}

}  // namespace millrace::gpu_check
