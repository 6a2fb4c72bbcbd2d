// SPDX-License-Identifier: Apache-2.0
// Owns the choice of rules for a block.
#include "evm/core/chain_spec.hpp"

namespace millrace::evm {

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
    return r;
}

}  // namespace millrace::evm
