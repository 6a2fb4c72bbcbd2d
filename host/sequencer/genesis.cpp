// SPDX-License-Identifier: Apache-2.0
// Owns the digest of a chain's rules.
#include "host/sequencer/genesis.hpp"

#include "host/base/rlp.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::sequencer {

Hash256 rules_digest(const Genesis& genesis) {
    Bytes all;
    const auto number = [&](uint64_t v) { rlp::append_u64(all, v); };
    const evm::Rules& r = genesis.spec.rules;
    number(static_cast<uint64_t>(genesis.spec.rule_set));
    number(static_cast<uint64_t>(r.revision));
    number(r.chain_id);
    number(r.transaction_gas_cap);
    number(r.code_size_max);
    number(r.initcode_size_max);
    number(r.block_size_max);
    number(r.base_fee.elasticity_multiplier);
    number(r.base_fee.change_denominator);
    rlp::append_u256(all, r.base_fee.initial);
    rlp::append_u256(all, r.base_fee.floor);
    number(r.blob.target);
    number(r.blob.max);
    number(r.blob.base_fee_update_fraction);
    number(r.blobs_per_transaction_max);
    number(r.blob_transactions ? 1 : 0);
    number(r.deposit_transactions ? 1 : 0);
    number(r.l1_requests ? 1 : 0);
    number(r.difficulty_bomb_delay);
    number(static_cast<uint64_t>(r.fee_policy));
    for (const evm::ForkActivation& f : genesis.spec.forks) {
        number(static_cast<uint64_t>(f.revision));
        // One more than the value, so that an absent one differs from zero.
        number(f.block ? *f.block + 1 : 0);
        number(f.time_s ? *f.time_s + 1 : 0);
    }
    for (const evm::BlobScheduleActivation& b : genesis.spec.blob_schedules) {
        number(b.time_s);
        number(b.schedule.target);
        number(b.schedule.max);
        number(b.schedule.base_fee_update_fraction);
    }
    rlp::append_fixed(all, genesis.spec.sequencer_fee_vault);
    rlp::append_fixed(all, genesis.spec.base_fee_vault);
    number(genesis.block_gas_limit);
    rlp::append_fixed(all, genesis.coinbase);
    return kernels::keccak256(all);
}

}  // namespace millrace::sequencer
