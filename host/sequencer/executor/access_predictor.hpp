// SPDX-License-Identifier: Apache-2.0
// Owns the guess which transactions would only get in each other's way.
#pragma once

#include <array>
#include <optional>
#include <vector>

#include "host/sequencer/types.hpp"

namespace millrace::sequencer {

/// Learns which calls conflict, by contract and function, and gives each such group a lane: one
/// worker executes all of it, one after the other, while the others execute the rest. A guess
/// changes the speed and the order, never a result. Transfers of ETH do not conflict (credits are
/// deltas) and are not looked at. One owning thread.
class AccessPredictor {
public:
    explicit AccessPredictor(uint32_t lane_count) : hot_in_lane_(lane_count) {}

    /// The worker that should execute the transaction; nothing when any may.
    std::optional<uint32_t> lane_of(const AdmittedTransaction& tx) noexcept;
    /// Tells how often the transaction was executed in vain.
    void learn(const AdmittedTransaction& tx, uint32_t refusals) noexcept;

private:
    // Two of 16 calls that are refused once keep the score where it is.
    static constexpr uint32_t per_refusal = 8;
    static constexpr uint32_t hot_score = 32;
    /// Transactions after which a lane is given up, to see whether they still conflict.
    static constexpr uint32_t lane_turns = 4096;
    static constexpr size_t entry_count = 1024;  ///< groups; others in the same place displace it

    struct Entry {
        uint64_t group = 0;
        uint32_t score = 0;
        uint32_t turns_left = 0;  ///< in its lane; zero when it has none
        uint32_t lane = 0;
    };
    /// Zero for what has no group.
    static uint64_t group_of(const AdmittedTransaction& tx) noexcept;
    Entry& entry(uint64_t group) noexcept { return entries_[group % entry_count]; }

    std::array<Entry, entry_count> entries_{};
    std::vector<uint32_t> hot_in_lane_;  ///< groups
};

}  // namespace millrace::sequencer
