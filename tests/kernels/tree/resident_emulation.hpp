// SPDX-License-Identifier: Apache-2.0
// Owns a resident tree whose device is emulated: the steps of an update and the code of each thread
// are those of the CUDA back end, run here one thread after the other.
#pragma once

#include <algorithm>
#include <cstring>
#include <numeric>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "kernels/tree/detail/resident_store.hpp"
#include "kernels/tree/detail/resident_update.hpp"

namespace millrace::test {

class ResidentEmulation final : public kernels::detail::ResidentStore,
                                private kernels::detail::ResidentMachine {
    using NodeHash = kernels::NodeHash;
    using Node = kernels::detail::ResidentNode;
    using Level = kernels::detail::ResidentLevel;

public:
    /// What the emulated device does wrong.
    enum class Fault { none, call_fails, counts_wrong };

    explicit ResidentEmulation(const kernels::detail::ResidentShape& shape)
        : shape_(shape),
          nodes_(kernels::tree_nodes(shape.height)),
          leaves_(shape.writes_max),
          values_(shape.writes_max),
          sorted_leaves_(shape.writes_max),
          order_(shape.writes_max) {
        const size_t changes =
            kernels::detail::resident_changes_max(shape.height, shape.writes_max);
        places_.resize(changes);
        hashes_.resize(shape.report_changes ? changes : 0);
    }

    /// From the update that many updates from now on.
    void fail_after(size_t updates, Fault fault) {
        good_updates_ = updates;
        fault_ = fault;
    }

    kernels::detail::ResidentStaging staging() override { return {leaves_, values_}; }

    std::string fill(const Hash256& leaf) override {
        return load(std::vector<Hash256>(nodes_.size() / 2, leaf));
    }
    std::string load(std::span<const Hash256> leaves) override {
        std::memcpy(&nodes_[nodes_.size() / 2], leaves.data(), leaves.size_bytes());
        for (size_t i = nodes_.size() / 2; i-- > 1;) { nodes_[i] = above(&nodes_[2 * i]); }
        return {};
    }
    std::string update(uint32_t writes, bool sorted,
                       kernels::detail::ResidentReport& report) override {
        failing_ = fault_ != Fault::none && good_updates_ == 0;
        if (good_updates_ != 0) { --good_updates_; }
        std::fill(places_.begin(), places_.end(), 0);
        size_t changed = 0;
        if (std::string fault =
                kernels::detail::run_resident_update(*this, shape_.height, writes, sorted, changed);
            !fault.empty()) {
            return fault;
        }
        std::memcpy(report.root.data(), &nodes_[1], sizeof(Node));
        if (shape_.report_changes) {
            reported_.resize(changed);
            // A tree of height 0 has no changes, and then no memory for them.
            if (changed != 0) {
                std::memcpy(reported_.data(), hashes_.data(), changed * sizeof(Node));
            }
            report.nodes = std::span(places_).first(changed);
            report.hashes = reported_;
        }
        return {};
    }
    std::string read(size_t first, std::span<Hash256> nodes) override {
        std::memcpy(nodes.data(), &nodes_[first], nodes.size_bytes());
        return {};
    }
    size_t tree_bytes() const override { return nodes_.size() * sizeof(Node); }
    size_t staging_bytes() const override { return values_.size() * sizeof(Node); }

    /// Levels that each kind of step hashed, over the life of the tree.
    struct Steps {
        size_t listed = 0;
        size_t full = 0;
        size_t top = 0;
    } steps;

private:
    template <NodeHash hash>
    void hash_place(const kernels::detail::ResidentTask& task, uint32_t i) {
        kernels::detail::hash_place<hash>(task, i, kernels::detail::node_tables);
    }
    void hash_places(const kernels::detail::ResidentTask& task) {
        for (uint32_t i = 0; i < task.count; ++i) {
            switch (shape_.hash) {
                case NodeHash::keccak256: hash_place<NodeHash::keccak256>(task, i); break;
                case NodeHash::sha256: hash_place<NodeHash::sha256>(task, i); break;
                case NodeHash::blake3: hash_place<NodeHash::blake3>(task, i); break;
            }
        }
    }
    Node above(const Node* children) const {
        using namespace kernels::detail;
        switch (shape_.hash) {
            case NodeHash::keccak256: return node_above<NodeHash::keccak256>(children, node_tables);
            case NodeHash::sha256: return node_above<NodeHash::sha256>(children, node_tables);
            case NodeHash::blake3: return node_above<NodeHash::blake3>(children, node_tables);
        }
        return {};
    }
    kernels::detail::ResidentTask task_at(size_t offset) {
        return {.nodes = nodes_.data(),
                .places = nullptr,
                .first_node = 0,
                .count = 0,
                .changed_places = places_.data() + offset,
                .changed_hashes = shape_.report_changes ? hashes_.data() + offset : nullptr};
    }
    bool is_leaves(const Level& level) const { return level.first_node == nodes_.size() / 2; }

    std::string sort(uint32_t writes) override {
        std::iota(order_.begin(), order_.begin() + writes, 0u);
        std::sort(order_.begin(), order_.begin() + writes, [&](uint32_t a, uint32_t b) {
            return std::pair{leaves_[a], a} < std::pair{leaves_[b], b};
        });
        for (uint32_t i = 0; i < writes; ++i) { sorted_leaves_[i] = leaves_[order_[i]]; }
        return {};
    }
    std::string settle(uint32_t writes, bool sorted,
                       std::array<uint32_t, kernels::detail::resident_counts>& counts) override {
        update_leaves_ = sorted ? leaves_.data() : sorted_leaves_.data();
        const std::vector<Node> values = node_values(writes);
        const kernels::detail::ResidentWrites all{update_leaves_, sorted ? nullptr : order_.data(),
                                                  values.data(), writes};
        // Threads of a device run in any order: backwards shows what forwards would hide.
        for (uint32_t i = writes; i-- > 0;) {
            ++counts[kernels::detail::settle_write(all, i, shape_.height, nodes_.data())];
        }
        if (failing_ && fault_ == Fault::counts_wrong) { ++counts[0]; }
        return failing_ && fault_ == Fault::call_fails ? "the device is lost" : std::string{};
    }
    std::vector<Node> node_values(uint32_t writes) const {
        std::vector<Node> values(writes);
        std::memcpy(values.data(), values_.data(), writes * sizeof(Node));
        return values;
    }
    std::string list_parents(const Level& below, const Level& level) override {
        const uint32_t* const places = is_leaves(below) ? update_leaves_ : &places_[below.offset];
        const uint32_t first = is_leaves(below) ? below.first_node : 0;
        std::vector<uint32_t> parents;
        for (uint32_t i = 0; i < below.count; ++i) { parents.push_back((places[i] + first) / 2); }
        parents.erase(std::unique(parents.begin(), parents.end()), parents.end());
        if (parents.size() != level.count) { return "the counts do not agree with the lists"; }
        std::copy(parents.begin(), parents.end(), &places_[level.offset]);
        return {};
    }
    std::string hash_level(const Level& level) override {
        kernels::detail::ResidentTask task = task_at(level.offset);
        task.count = level.count;
        task.first_node = level.first_node;
        if (!level.full()) { task.places = task.changed_places; }
        ++(level.full() ? steps.full : steps.listed);
        hash_places(task);
        return {};
    }
    std::string hash_top(const Level& below, size_t offset) override {
        using namespace kernels::detail;
        ResidentTop top{};
        ResidentTask task = task_at(offset);
        uint32_t count = below.count;
        for (uint32_t i = 0; i < count; ++i) {
            top.places[i] =
                is_leaves(below) ? update_leaves_[i] + below.first_node : places_[below.offset + i];
        }
        while (top.places[0] != 1) {
            ResidentHead heads[resident_top_places];
            for (uint32_t i = 0; i < resident_top_places; ++i) { find_heads(top, count, i); }
            for (uint32_t i = 0; i < resident_top_places; ++i) { heads[i] = rank_head(top, i); }
            for (uint32_t i = resident_top_places; i-- > 0;) { keep_head(top, heads[i]); }
            count = heads[0].total;
            task.places = top.places;
            task.count = count;
            hash_places(task);
            task.changed_places += count;
            if (task.changed_hashes != nullptr) { task.changed_hashes += count; }
            ++steps.top;
        }
        return {};
    }

    kernels::detail::ResidentShape shape_;
    std::vector<Node> nodes_;
    std::vector<uint32_t> leaves_;
    std::vector<Hash256> values_;
    std::vector<uint32_t> sorted_leaves_;
    std::vector<uint32_t> order_;
    std::vector<uint32_t> places_;
    std::vector<Node> hashes_;
    std::vector<Hash256> reported_;
    const uint32_t* update_leaves_ = nullptr;
    size_t good_updates_ = 0;
    Fault fault_ = Fault::none;
    bool failing_ = false;
};

}  // namespace millrace::test
