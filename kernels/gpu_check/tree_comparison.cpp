// SPDX-License-Identifier: Apache-2.0
// Owns the tree of the host and what is done to it and to a resident tree.
#include "kernels/gpu_check/tree_comparison.hpp"

#include <algorithm>
#include <numeric>
#include <utility>

#include "kernels/blake3/blake3.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/sha256/sha256.hpp"

namespace millrace::gpu_check {

namespace {

using kernels::NodeHash;
using kernels::tree_leaf;
using kernels::tree_nodes;
using kernels::detail::ResidentReport;
using kernels::detail::ResidentStaging;
using kernels::detail::ResidentStore;

Hash256 node_on_host(NodeHash hash, const Hash256* children) {
    switch (hash) {
        case NodeHash::keccak256: return kernels::keccak256_64(children->data());
        case NodeHash::sha256: return kernels::sha256({children->data(), 64});
        case NodeHash::blake3: return kernels::blake3({children->data(), 64});
    }
    return {};
}

Hash256 random_hash(std::mt19937_64& random) {
    Hash256 hash;
    for (uint8_t& byte : hash.bytes) { byte = static_cast<uint8_t>(random()); }
    return hash;
}

/// The leaves do not descend any more; each keeps its value, and repeats their order.
TreeWrites sorted(const TreeWrites& writes) {
    std::vector<size_t> order(writes.leaves.size());
    std::iota(order.begin(), order.end(), size_t{0});
    std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
        return std::pair(writes.leaves[a], a) < std::pair(writes.leaves[b], b);
    });
    TreeWrites out;
    for (const size_t i : order) {
        out.leaves.push_back(writes.leaves[i]);
        out.values.push_back(writes.values[i]);
    }
    return out;
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

/// One store and one tree of the host, and what is done to both.
class Comparison {
public:
    Comparison(ResidentStore& store, NodeHash hash, unsigned height, const Effort& effort)
        : store_(store), host_(hash, height, effort.threads), height_(height) {}

    std::string update(const TreeWrites& writes, bool is_sorted) {
        stage(store_, writes);
        host_.update(writes.leaves, writes.values);
        ResidentReport report;
        std::string fault =
            store_.update(static_cast<uint32_t>(writes.leaves.size()), is_sorted, report);
        return fault.empty() ? same_changes(report, host_) : fault;
    }

    std::string load(std::mt19937_64& random) {
        std::vector<Hash256> leaves(size_t{1} << height_);
        for (Hash256& leaf : leaves) { leaf = random_hash(random); }
        host_.load(leaves);
        return store_.load(leaves);
    }

    /// Nodes from `first` on.
    std::string read(size_t first, size_t count) {
        std::vector<Hash256> nodes(count);
        if (std::string fault = store_.read(first, nodes); !fault.empty()) { return fault; }
        for (size_t i = 0; i < count; ++i) {
            if (nodes[i] != host_.nodes()[first + i]) {
                return "another node " + std::to_string(first + i) + " when it is read";
            }
        }
        return {};
    }
    std::string read_all() { return read(1, host_.nodes().size() - 1); }

private:
    ResidentStore& store_;
    HostTree host_;
    unsigned height_;
};

}  // namespace

HostTree::HostTree(NodeHash hash, unsigned height, uint32_t threads)
    : hash_(hash), height_(height), threads_(threads), nodes_(tree_nodes(height)) {
    rehash_all();
}

void HostTree::update(std::span<const uint32_t> leaves, std::span<const Hash256> values) {
    for (size_t i = 0; i < leaves.size(); ++i) {
        nodes_[tree_leaf(height_, leaves[i])] = values[i];
    }
    places_.assign(leaves.begin(), leaves.end());
    std::sort(places_.begin(), places_.end());
    rehash();
}

void HostTree::load(std::span<const Hash256> leaves) {
    std::copy(leaves.begin(), leaves.end(),
              nodes_.begin() + static_cast<ptrdiff_t>(tree_leaf(height_, 0)));
    rehash_all();
}

void HostTree::rehash_all() {
    places_.resize(size_t{1} << height_);
    std::iota(places_.begin(), places_.end(), uint32_t{0});
    rehash();
}

void HostTree::rehash() {
    changed_nodes_.clear();
    for (uint32_t& place : places_) { place = static_cast<uint32_t>(tree_leaf(height_, place)); }
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

TreeWrites random_writes(std::mt19937_64& random, unsigned height, size_t count) {
    TreeWrites writes;
    for (size_t i = 0; i < count; ++i) {
        writes.leaves.push_back(static_cast<uint32_t>(random() & ((uint64_t{1} << height) - 1)));
        writes.values.push_back(random_hash(random));
    }
    return writes;
}

void stage(ResidentStore& store, const TreeWrites& writes) {
    const ResidentStaging staging = store.staging();
    std::copy(writes.leaves.begin(), writes.leaves.end(), staging.leaves.begin());
    std::copy(writes.values.begin(), writes.values.end(), staging.values.begin());
}

void compare_tree(const MakeStore& make, NodeHash hash, unsigned height, size_t writes_max,
                  const Effort& effort, Outcome& outcome) {
    if (!outcome.fault.empty()) { return; }
    std::unique_ptr<ResidentStore> store;
    std::string fault = make(
        {.hash = hash, .height = height, .writes_max = static_cast<uint32_t>(writes_max)}, store);
    if (fault.empty()) { fault = store->fill({}); }
    if (!fault.empty()) {
        outcome.fault = fault;
        return;
    }
    Comparison both(*store, hash, height, effort);
    const auto step = [&](const char* what, size_t count, const auto& body) {
        if (!outcome.fault.empty()) { return; }
        outcome.fault = body();
        if (!outcome.fault.empty()) {
            outcome.fault += " (" + std::string(what) + " of " + std::to_string(count) +
                             " leaves of a tree of height " + std::to_string(height) + ", " +
                             std::string(to_string(hash)) + ")";
        }
        outcome.compared += count;
    };
    std::mt19937_64 random(effort.seed + height);
    const size_t leaves = size_t{1} << height;
    const size_t counts[] = {1, writes_max / 300 + 1, writes_max / 2 + 1, writes_max};
    for (const bool loaded : {false, true}) {
        if (loaded) {
            step("load", leaves, [&] { return both.load(random); });
        }
        step("read", leaves, [&] { return both.read_all(); });
        for (const size_t count : counts) {
            step("update", count,
                 [&] { return both.update(random_writes(random, height, count), false); });
            step("sorted update", count,
                 [&] { return both.update(sorted(random_writes(random, height, count)), true); });
            // Any part, leaves or nodes above them.
            step("read after an update", count, [&] {
                const size_t first = 1 + random() % (2 * leaves - 1);
                return both.read(first, 1 + random() % (2 * leaves - first));
            });
        }
    }
    step("read at the end", leaves, [&] { return both.read_all(); });
}

}  // namespace millrace::gpu_check
