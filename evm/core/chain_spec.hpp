// SPDX-License-Identifier: Apache-2.0
// Owns the chain specification: which rules hold at which block.
#pragma once

#include <optional>
#include <vector>

#include "evm/core/rules.hpp"
#include "host/base/types.hpp"

namespace millrace::evm {

enum class RuleSet : uint8_t { ethereum, millrace };

/// A fork of the `ethereum` rule set and when it begins: at a block number (up to Paris) or at a
/// timestamp in seconds (from Shanghai on).
struct ForkActivation {
    Revision revision = Revision::frontier;
    std::optional<uint64_t> block;
    std::optional<uint64_t> time_s;
    bool operator==(const ForkActivation&) const = default;
};

struct BlobScheduleActivation {
    uint64_t time_s = 0;
    BlobSchedule schedule;
    bool operator==(const BlobScheduleActivation&) const = default;
};

/// A fork that only moves the difficulty bomb: Muir Glacier (EIP-2384), Arrow Glacier (EIP-4345),
/// Gray Glacier (EIP-5133).
struct BombDelayActivation {
    uint64_t block = 0;
    uint64_t delay_blocks = 0;
    bool operator==(const BombDelayActivation&) const = default;
};

/// All numbers of a chain. Plain data; fixed by the genesis file.
struct ChainSpec {
    RuleSet rule_set = RuleSet::millrace;
    /// Rules of the `millrace` set, and the chain's own numbers for both sets.
    Rules rules;
    std::vector<ForkActivation> forks;                   ///< `ethereum` only, ascending
    std::vector<BlobScheduleActivation> blob_schedules;  ///< `ethereum` only, ascending
    /// `ethereum` only, ascending. Where one is active it holds instead of its fork's own delay if
    /// that is shorter.
    std::vector<BombDelayActivation> bomb_delays;
    /// Block of EIP-779, `ethereum` only; nothing on a chain without that fork.
    std::optional<uint64_t> dao_fork_block;
    /// Where the `vaults` fee policy puts tips and base fees.
    Address sequencer_fee_vault;
    Address base_fee_vault;

    Rules rules_at(uint64_t block_number, uint64_t timestamp_s) const noexcept;
};

}  // namespace millrace::evm
