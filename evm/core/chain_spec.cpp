// SPDX-License-Identifier: Apache-2.0
// Owns the choice of rules for a block.
#include "evm/core/chain_spec.hpp"

#include <algorithm>

namespace millrace::evm {

/// EIP-779: the fork block and the nine after it carry its mark.
constexpr uint64_t dao_marked_blocks = 10;

Rules ChainSpec::rules_at(uint64_t block_number, uint64_t timestamp_s) const noexcept {
    if (rule_set == RuleSet::millrace) { return rules; }
    Revision revision = Revision::frontier;
    for (const ForkActivation& f : forks) {
        const bool active =
            f.time_s ? timestamp_s >= *f.time_s : f.block && block_number >= *f.block;
        if (active) { revision = std::max(revision, f.revision); }
    }
    Rules r = ethereum_rules(revision, rules.chain_id);
    for (const BlobScheduleActivation& b : blob_schedules) {
        if (timestamp_s >= b.time_s) { r.blob = b.schedule; }
    }
    for (const BombDelayActivation& b : bomb_delays) {
        if (block_number >= b.block) {
            r.difficulty_bomb_delay = std::max(r.difficulty_bomb_delay, b.delay_blocks);
        }
    }
    if (dao_fork_block && block_number >= *dao_fork_block &&
        block_number - *dao_fork_block < dao_marked_blocks) {
        r.dao_fork = block_number == *dao_fork_block ? DaoFork::moved : DaoFork::marked;
    }
    return r;
}

}  // namespace millrace::evm
