// SPDX-License-Identifier: Apache-2.0
// Owns the order of steps of an update of a resident tree on a device, apart from how a device runs
// them: the tests run the same order on the host.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "kernels/tree/detail/resident_steps.hpp"

// C++20 only: nvcc compiles this header too.
namespace millrace::kernels::detail {

/// One level of an update. In heap order a level that begins with node 2^d has 2^d nodes.
struct ResidentLevel {
    uint32_t first_node;
    uint32_t count;  ///< places to hash; for the leaves the count of writes, repeats included
    size_t offset;   ///< where they begin among the changed nodes

    bool full() const { return count == first_node; }
};

/// The levels above the leaves up to the root, deepest first, from the counts of settle_write.
/// Empty when the counts cannot be those of `writes` writes: a device that gives them is broken.
std::vector<ResidentLevel> plan_levels(unsigned height, uint32_t writes,
                                       const std::array<uint32_t, resident_counts>& counts);

/// Most nodes above the leaves that an update of `writes` writes changes.
size_t resident_changes_max(unsigned height, size_t writes);

/// What a device must do. All calls give an empty text, or what failed; they may return before the
/// device is done, except for settle. The lists of places lie on the device, those of each level
/// at its offset.
class ResidentMachine {
public:
    virtual ~ResidentMachine() = default;
    /// Orders the writes by leaf; writes to one leaf keep their order.
    virtual std::string sort(uint32_t writes) = 0;
    /// Runs settle_write on each write and gives the counts. `sorted`: sort was not needed.
    virtual std::string settle(uint32_t writes, bool sorted,
                               std::array<uint32_t, resident_counts>& counts) = 0;
    /// Lists the parents of what `below` lists, each once, as the places of `level`.
    virtual std::string list_parents(const ResidentLevel& below, const ResidentLevel& level) = 0;
    /// Runs hash_place on the level's places; of a full level it lists them, too.
    virtual std::string hash_level(const ResidentLevel& level) = 0;
    /// Lists and hashes all levels above `below`, which has at most resident_top_places places.
    /// The first of them begins at `offset` among the changed nodes.
    virtual std::string hash_top(const ResidentLevel& below, size_t offset) = 0;
};

/// Runs an update of `writes` writes that the machine holds already, and gives the count of changed
/// nodes: all nodes above a written leaf, deepest level first, ascending in each. `sorted` says
/// that the leaves do not descend.
std::string run_resident_update(ResidentMachine& machine, unsigned height, uint32_t writes,
                                bool sorted, size_t& changed);

}  // namespace millrace::kernels::detail
