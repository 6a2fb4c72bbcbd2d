// SPDX-License-Identifier: Apache-2.0
// Owns the order of steps of an update of a resident tree on a device.
#include "kernels/tree/detail/resident_update.hpp"

#include <algorithm>
#include <numeric>

namespace millrace::kernels::detail {

std::vector<ResidentLevel> plan_levels(unsigned height, uint32_t writes,
                                       const std::array<uint32_t, resident_counts>& counts) {
    // The last write alone stands for the root, and every write was counted.
    const uint64_t sum = std::accumulate(counts.begin(), counts.end(), uint64_t{0});
    if (sum != writes || counts[height + 1] != 1) { return {}; }
    std::vector<ResidentLevel> levels;
    uint32_t standing = writes - counts[0];
    size_t offset = 0;
    for (unsigned above = 1; above <= height; ++above) {
        standing -= counts[above];
        const uint32_t nodes = uint32_t{1} << (height - above);
        if (standing > nodes) { return {}; }
        levels.push_back({nodes, standing, offset});
        offset += standing;
    }
    return levels;
}

size_t resident_changes_max(unsigned height, size_t writes) {
    size_t sum = 0;
    for (unsigned depth = 0; depth < height; ++depth) {
        sum += std::min(writes, size_t{1} << depth);
    }
    return sum;
}

std::string run_resident_update(ResidentMachine& machine, unsigned height, uint32_t writes,
                                bool sorted, size_t& changed) {
    changed = 0;
    if (writes == 0) { return {}; }
    if (!sorted) {
        if (std::string fault = machine.sort(writes); !fault.empty()) { return fault; }
    }
    std::array<uint32_t, resident_counts> counts{};
    if (std::string fault = machine.settle(writes, sorted, counts); !fault.empty()) {
        return fault;
    }
    const std::vector<ResidentLevel> levels = plan_levels(height, writes, counts);
    if (levels.size() != height) {
        return "the device counted other writes than the " + std::to_string(writes) +
               " that it was given";
    }
    if (levels.empty()) { return {}; }
    changed = levels.back().offset + levels.back().count;
    ResidentLevel below{uint32_t{1} << height, writes, 0};
    for (const ResidentLevel& level : levels) {
        if (below.count <= resident_top_places) { return machine.hash_top(below, level.offset); }
        if (!level.full()) {
            if (std::string fault = machine.list_parents(below, level); !fault.empty()) {
                return fault;
            }
        }
        if (std::string fault = machine.hash_level(level); !fault.empty()) { return fault; }
        below = level;
    }
    return {};
}

}  // namespace millrace::kernels::detail
