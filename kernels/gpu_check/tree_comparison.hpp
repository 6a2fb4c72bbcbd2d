// SPDX-License-Identifier: Apache-2.0
// Owns the comparison of a resident tree with a tree of the host, whatever store holds it.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <random>
#include <span>
#include <string>
#include <vector>

#include "kernels/gpu_check/case.hpp"
#include "kernels/tree/detail/resident_store.hpp"

// C++20 only: the check builds on machines without our own compiler.
namespace millrace::gpu_check {

/// The host's tree, by its code for one message on `threads` threads; its leaves are zero at first.
class HostTree {
public:
    HostTree(kernels::NodeHash hash, unsigned height, uint32_t threads);

    /// Of several writes to one leaf the last one counts. Notes the changes in the order that a
    /// resident tree gives them.
    void update(std::span<const uint32_t> leaves, std::span<const Hash256> values);
    /// Sets all leaves.
    void load(std::span<const Hash256> leaves);

    const std::vector<uint32_t>& changed_nodes() const { return changed_nodes_; }
    /// In heap order, from place 1 on.
    const std::vector<Hash256>& nodes() const { return nodes_; }
    const Hash256& root() const { return nodes_[1]; }

private:
    void rehash_all();
    /// places_ holds leaves, ascending.
    void rehash();

    kernels::NodeHash hash_;
    unsigned height_;
    uint32_t threads_;
    std::vector<Hash256> nodes_;
    std::vector<uint32_t> places_;
    std::vector<uint32_t> changed_nodes_;
};

/// Writes to leaves of one tree, in any order and with repeats.
struct TreeWrites {
    std::vector<uint32_t> leaves;
    std::vector<Hash256> values;
};
TreeWrites random_writes(std::mt19937_64& random, unsigned height, size_t count);
/// Puts writes where the store reads them.
void stage(kernels::detail::ResidentStore& store, const TreeWrites& writes);

/// Makes a store whose nodes are unspecified; an empty text, or what failed.
using MakeStore =
    std::function<std::string(const kernels::detail::ResidentShape& shape,
                              std::unique_ptr<kernels::detail::ResidentStore>& store)>;

/// Does the same to a tree of the store's and one of the host's: updates in any order and sorted
/// ones, loads of all leaves, and reads of all nodes and of a part. Does nothing when the outcome
/// has a fault already.
void compare_tree(const MakeStore& make, kernels::NodeHash hash, unsigned height, size_t writes_max,
                  const Effort& effort, Outcome& outcome);

}  // namespace millrace::gpu_check
