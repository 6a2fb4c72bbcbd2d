// SPDX-License-Identifier: Apache-2.0
// Owns what travels through the pipeline: admitted and executed transactions, mini-blocks, blocks.
#pragma once

#include <memory>
#include <optional>
#include <vector>

#include "evm/tx/block.hpp"
#include "evm/tx/receipt.hpp"
#include "evm/tx/transaction.hpp"
#include "storage/state/state_delta.hpp"

namespace millrace::sequencer {

/// A transaction that ingress has decoded, checked and recovered. Immutable and shared, except for
/// one mark.
struct AdmittedTransaction {
    evm::Transaction transaction;
    Bytes raw;  ///< wire form
    Hash256 hash;
    Address sender;
    /// Signers of EIP-7702 authorizations, each or nothing.
    std::vector<std::optional<Address>> authorities;
    /// Steady time at which it entered the stage that it is in, of those that are timed; else 0.
    /// Only the stage's own thread touches it, so the pipeline's rings order that.
    mutable int64_t entered_us = 0;
};
using AdmittedPtr = std::shared_ptr<const AdmittedTransaction>;

/// A transaction and what became of it, at its place in a block. Immutable and shared.
struct ExecutedTransaction {
    AdmittedPtr admitted;
    evm::Receipt receipt;
    uint64_t gas_used = 0;
    U256 effective_gas_price;
    std::optional<Address> contract_address;
    uint64_t index = 0;            ///< in the block
    uint64_t first_log_index = 0;  ///< in the block
};
using ExecutedPtr = std::shared_ptr<const ExecutedTransaction>;

/// What is fixed when a block opens.
struct OpenBlock {
    uint64_t number = 0;
    uint64_t timestamp_s = 0;
    Hash256 parent_hash;
    U256 base_fee_per_gas;
    uint64_t gas_limit = 0;
    Address coinbase;
    Hash256 prev_randao;
    Hash256 parent_beacon_block_root;
    /// `parent_hash` is zero so far: the parent is closed and not sealed yet.
    bool parent_promised = false;
    bool operator==(const OpenBlock&) const = default;
};

/// A cut: consecutive transactions of one block and their net effect.
struct MiniBlock {
    uint64_t number = 0;  ///< of the chain, dense
    uint64_t block_number = 0;
    uint64_t block_timestamp_s = 0;
    uint32_t index = 0;  ///< in the block
    int64_t time_us = 0;
    uint64_t gas_used = 0;
    std::vector<ExecutedPtr> transactions;
    storage::StateDelta post_values;
};
using MiniBlockPtr = std::shared_ptr<const MiniBlock>;

/// Everything of a block but its roots: what the sealer needs.
struct ClosedBlock {
    OpenBlock open;
    std::vector<ExecutedPtr> transactions;
    std::vector<uint32_t> mini_block_ends;
    uint64_t first_mini_block_number = 0;
    uint64_t gas_used = 0;
    storage::StateDelta post_values;  ///< of the closing system operations
};

/// A finished block with its standard header.
struct SealedBlock {
    evm::BlockHeader header;
    Hash256 hash;
    std::vector<ExecutedPtr> transactions;
    std::vector<uint32_t> mini_block_ends;
    uint64_t first_mini_block_number = 0;
};
using SealedPtr = std::shared_ptr<const SealedBlock>;

}  // namespace millrace::sequencer
