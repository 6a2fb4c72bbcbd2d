// SPDX-License-Identifier: Apache-2.0
// Owns the order in which a multiproof is worked off: which nodes and siblings make the next level.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

// C++20 only: nvcc compiles this header too.
namespace millrace::kernels::detail {

/// One parent. Its known child is node `node` of the level below; the other child is the node after
/// it, or a sibling.
struct SweepStep {
    static constexpr uint32_t both_known = 0xffffffff;
    static constexpr uint32_t on_the_left = 0x80000000;

    uint32_t node;
    uint32_t sibling;  ///< both_known, or its number among the level's, marked if it is on the left
};
static_assert(sizeof(SweepStep) == 8);

/// Walks up from the positions of the leaves, which ascend strictly and stay the caller's.
class SweepLevels {
public:
    /// Both vectors are scratch memory of the caller.
    SweepLevels(std::span<const uint64_t> indices, std::vector<uint64_t>& positions,
                std::vector<SweepStep>& steps)
        : positions_(positions), steps_(steps) {
        positions_.assign(indices.begin(), indices.end());
        steps_.reserve(indices.size());
    }

    /// The known nodes of the level that was reached.
    std::span<const uint64_t> positions() const { return positions_; }

    /// Goes one level up; gives a step for each node there. The level below needed siblings().
    std::span<const SweepStep> next() {
        steps_.clear();
        siblings_ = 0;
        const size_t count = positions_.size();
        for (size_t i = 0; i < count;) {
            const uint64_t at = positions_[i];
            const bool pair = at % 2 == 0 && i + 1 < count && positions_[i + 1] == at + 1;
            const uint32_t side = at % 2 == 0 ? 0 : SweepStep::on_the_left;
            positions_[steps_.size()] = at / 2;
            steps_.push_back(
                {static_cast<uint32_t>(i), pair ? SweepStep::both_known : siblings_++ | side});
            i += pair ? 2 : 1;
        }
        positions_.resize(steps_.size());
        return steps_;
    }

    uint32_t siblings() const { return siblings_; }

private:
    std::vector<uint64_t>& positions_;
    std::vector<SweepStep>& steps_;
    uint32_t siblings_ = 0;
};

}  // namespace millrace::kernels::detail
