// SPDX-License-Identifier: Apache-2.0
// Owns the buckets of tips, and the line above which a tip is worth a lane of its own.
#pragma once

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstddef>
#include <cstdint>

#include "host/base/u256.hpp"

namespace millrace::sequencer {

/// Tips per gas within a factor of four share a bucket: [4^b, 4^(b+1)) wei is bucket b; what is
/// above 2^64 wei counts as that.
inline constexpr size_t tip_bucket_count = 32;
constexpr size_t tip_bucket(const U256& tip) noexcept {
    const uint64_t wei = tip.saturate64();
    return wei == 0 ? 0 : static_cast<size_t>(std::bit_width(wei) - 1) / 2;
}

/// Which tips have priority where more comes than can be taken: those of the highest buckets in
/// which no more than an eighth of the transactions lie that came of late. Where all pay alike,
/// that is whoever pays a bucket more than they do. Only transactions that could pay are counted,
/// so that what costs nothing cannot move the line.
class PriorityLine {
public:
    /// One whose sender can pay it. One thread.
    void count(const U256& tip) noexcept {
        ++counts_[tip_bucket(tip)];
        if (++since_ == window) { move(); }
    }
    /// Any thread.
    bool has_priority(const U256& tip) const noexcept {
        return tip_bucket(tip) >= line_.load(std::memory_order_relaxed);
    }

    static constexpr uint32_t window = 256;
    static constexpr uint32_t share = 8;

private:
    void move() noexcept {
        uint32_t all = 0;
        for (const uint32_t n : counts_) { all += n; }
        size_t line = tip_bucket_count;
        uint32_t above = 0;
        while (line != 0 && (above + counts_[line - 1]) * share <= all) {
            above += counts_[--line];
        }
        // Relaxed: which lane it is changes no result.
        line_.store(line, std::memory_order_relaxed);
        for (uint32_t& n : counts_) { n -= n / 4; }
        since_ = 0;
    }

    std::array<uint32_t, tip_bucket_count> counts_{};
    uint32_t since_ = 0;
    std::atomic<size_t> line_{tip_bucket_count};  ///< nobody, until something is known
};

}  // namespace millrace::sequencer
