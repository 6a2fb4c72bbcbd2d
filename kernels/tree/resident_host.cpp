// SPDX-License-Identifier: Apache-2.0
// Owns a resident tree in the memory of the host.
#include "kernels/tree/detail/resident_host.hpp"

#include <algorithm>
#include <utility>

#include "kernels/tree/detail/resident_update.hpp"

namespace millrace::kernels::detail {

namespace {

/// Leaves that load() marks at a time at least.
size_t load_leaves(const ResidentShape& shape) {
    return std::min<size_t>(size_t{1} << shape.height, 4096);
}

}  // namespace

ResidentHost::ResidentHost(Backend backend, const ResidentShape& shape)
    : backend_(backend),
      shape_(shape),
      hasher_(shape.hash, shape.height),
      nodes_(tree_nodes(shape.height)),
      leaves_(shape.writes_max),
      values_(shape.writes_max) {
    order_.reserve(shape.writes_max);
    dirty_.reserve(std::max<size_t>(shape.writes_max, load_leaves(shape)));
    hasher_.reserve(dirty_.capacity());
    if (shape.report_changes) {
        const size_t changes_max = resident_changes_max(shape.height, shape.writes_max);
        changed_nodes_.reserve(changes_max);
        changed_hashes_.reserve(changes_max);
    }
}

std::string ResidentHost::fill(const Hash256& leaf) {
    fill_uniform(shape_.hash, leaf, shape_.height, nodes_);
    return {};
}

std::string ResidentHost::load(std::span<const Hash256> leaves) {
    std::copy(leaves.begin(), leaves.end(), &nodes_[tree_leaf(shape_.height, 0)]);
    // In pieces, so that no more is marked at a time than an update may mark; the nodes above a
    // border between two pieces are hashed twice.
    for (size_t done = 0; done < leaves.size();) {
        dirty_.clear();
        const size_t end = std::min(leaves.size(), done + dirty_.capacity());
        for (; done < end; ++done) { dirty_.push_back({0, static_cast<uint32_t>(done)}); }
        if (std::string fault = rehash(); !fault.empty()) { return fault; }
    }
    return {};
}

std::string ResidentHost::update(uint32_t writes, bool sorted, ResidentReport& report) {
    settle(writes, sorted);
    if (std::string fault = rehash(); !fault.empty()) { return fault; }
    changed_nodes_.clear();
    changed_hashes_.clear();
    if (shape_.report_changes) { report_changes(); }
    report = {nodes_[1], changed_nodes_, changed_hashes_};
    return {};
}

std::string ResidentHost::read(size_t first, std::span<Hash256> nodes) {
    std::copy_n(&nodes_[first], nodes.size(), nodes.begin());
    return {};
}

size_t ResidentHost::tree_bytes() const { return nodes_.size() * sizeof(Hash256); }

size_t ResidentHost::staging_bytes() const {
    return leaves_.size() * sizeof(uint32_t) + values_.size() * sizeof(Hash256) +
           order_.capacity() * sizeof(uint64_t) + dirty_.capacity() * sizeof(DirtyLeaf) +
           changed_nodes_.capacity() * sizeof(uint32_t) +
           changed_hashes_.capacity() * sizeof(Hash256);
}

/// Stores the values; writes to one leaf in their order, so that the last one stays.
void ResidentHost::settle(uint32_t writes, bool sorted) {
    order_.clear();
    for (uint32_t i = 0; i < writes; ++i) { order_.push_back(uint64_t{leaves_[i]} << 32 | i); }
    if (!sorted) { std::sort(order_.begin(), order_.end()); }
    dirty_.clear();
    for (const uint64_t write : order_) {
        const uint32_t leaf = static_cast<uint32_t>(write >> 32);
        nodes_[tree_leaf(shape_.height, leaf)] = values_[static_cast<uint32_t>(write)];
        if (dirty_.empty() || dirty_.back().leaf != leaf) { dirty_.push_back({0, leaf}); }
    }
}

std::string ResidentHost::rehash() {
    Hash256* const tree = nodes_.data();
    const Result<void> done = hasher_.rehash(backend_, {&tree, 1}, dirty_);
    return done ? std::string{} : done.error().message;
}

void ResidentHost::report_changes() {
    const auto add_parent = [&](size_t level, uint32_t place) {
        if (changed_nodes_.size() == level || changed_nodes_.back() != place / 2) {
            changed_nodes_.push_back(place / 2);
        }
    };
    if (shape_.height == 0) { return; }
    for (const DirtyLeaf& leaf : dirty_) {
        add_parent(0, static_cast<uint32_t>(tree_leaf(shape_.height, leaf.leaf)));
    }
    for (size_t first = 0; changed_nodes_[first] != 1;) {
        const size_t end = changed_nodes_.size();
        for (size_t i = first; i < end; ++i) { add_parent(end, changed_nodes_[i]); }
        first = end;
    }
    for (const uint32_t node : changed_nodes_) { changed_hashes_.push_back(nodes_[node]); }
}

}  // namespace millrace::kernels::detail
