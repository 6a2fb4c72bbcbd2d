// SPDX-License-Identifier: Apache-2.0
// Owns the two built-in rule sets.
#include "evm/core/rules.hpp"

namespace millrace::evm {

Rules ethereum_rules(Revision revision, uint64_t chain_id) noexcept {
    Rules r;
    r.revision = revision;
    r.chain_id = chain_id;
    if (revision >= Revision::spurious_dragon) { r.code_size_max = 0x6000; }
    if (revision >= Revision::byzantium) { r.difficulty_bomb_delay = 3'000'000; }
    if (revision >= Revision::constantinople) { r.difficulty_bomb_delay = 5'000'000; }
    // EIP-2384 is Muir Glacier, which every chain with proof of work had before Berlin.
    if (revision >= Revision::berlin) { r.difficulty_bomb_delay = 9'000'000; }
    if (revision >= Revision::london) { r.difficulty_bomb_delay = 9'700'000; }
    if (revision >= Revision::shanghai) { r.initcode_size_max = 2 * 0x6000; }
    if (revision >= Revision::cancun) { r.blob_transactions = true; }
    if (revision >= Revision::prague) {
        r.blob = {6, 9, 5007716};
        r.l1_requests = true;
    }
    if (revision >= Revision::osaka) {
        r.transaction_gas_cap = 1u << 24;
        r.block_size_max = 10u * 1024 * 1024 - 2u * 1024 * 1024;
        r.blobs_per_transaction_max = 6;
    }
    return r;
}

Rules millrace_rules(uint64_t chain_id) noexcept {
    Rules r = ethereum_rules(Revision::osaka, chain_id);
    r.transaction_gas_cap = 200'000'000;
    r.block_size_max = std::numeric_limits<uint64_t>::max();
    r.blob_transactions = false;
    r.l1_requests = false;
    r.deposit_transactions = true;
    r.fee_policy = FeePolicy::vaults;
    r.base_fee = {.elasticity_multiplier = 2,
                  .change_denominator = 250,
                  .initial = U256{1'000'000},
                  .floor = U256{1'000'000}};
    return r;
}

}  // namespace millrace::evm
