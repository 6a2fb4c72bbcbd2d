// SPDX-License-Identifier: Apache-2.0
// Owns the genesis of a chain: its specification, first header and first state.
#pragma once

#include "evm/core/chain_spec.hpp"
#include "evm/tx/block.hpp"
#include "storage/state/state_delta.hpp"

namespace millrace::sequencer {

/// No block is later than this (about the year 36,800), so that sums of times never wrap.
inline constexpr uint64_t timestamp_s_max = uint64_t{1} << 40;

struct Genesis {
    evm::ChainSpec spec;
    evm::BlockHeader header;
    Hash256 hash;
    storage::StateDelta state;  ///< canonical
    /// Gas limit of every block and beneficiary of blocks that this sequencer makes.
    uint64_t block_gas_limit = 10'000'000'000;
    Address coinbase;
};

/// Digest of the numbers that hold beside the genesis block: rules, vaults, gas limit, beneficiary.
/// A chain keeps them, or its blocks could not be executed again with the same results.
Hash256 rules_digest(const Genesis& genesis);

}  // namespace millrace::sequencer
