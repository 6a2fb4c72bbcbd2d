// SPDX-License-Identifier: Apache-2.0
// Owns the numbers of a rule set: what the fork and the chain fix for one block.
#pragma once

#include <cstdint>
#include <limits>

#include "evm/core/revision.hpp"
#include "host/base/u256.hpp"

namespace millrace::evm {

/// EIP-4844/7840 blob parameters of a block.
struct BlobSchedule {
    uint64_t target = 3;
    uint64_t max = 6;
    uint64_t base_fee_update_fraction = 3338477;
    bool operator==(const BlobSchedule&) const = default;
};

/// EIP-1559 parameters. `floor` is zero on Ethereum.
struct BaseFeeParameters {
    uint64_t elasticity_multiplier = 2;
    uint64_t change_denominator = 8;
    U256 initial = U256{1'000'000'000};
    U256 floor;
    bool operator==(const BaseFeeParameters&) const = default;
};

/// What the DAO fork (EIP-779) asks of a block.
enum class DaoFork : uint8_t {
    none,
    marked,  ///< the extra data must be "dao-hard-fork"
    moved,   ///< the same, and before its first transaction the balances of the list are moved
};

/// Where transaction fees go.
enum class FeePolicy : uint8_t {
    per_transaction,  ///< Ethereum: tip to the coinbase with each transaction, base fee burnt
    vaults,           ///< Millrace: both are summed and credited to vaults at the end of the block
};

/// Everything that the state transition needs to know about the chain at one block. Plain data,
/// passed by reference; nothing of this is global.
struct Rules {
    Revision revision = latest_revision;
    uint64_t chain_id = 1;
    /// EIP-7825 (Osaka) or the chain's own; no cap before.
    uint64_t transaction_gas_cap = std::numeric_limits<uint64_t>::max();
    uint64_t code_size_max = std::numeric_limits<uint64_t>::max();      ///< EIP-170
    uint64_t initcode_size_max = std::numeric_limits<uint64_t>::max();  ///< EIP-3860
    uint64_t block_size_max = std::numeric_limits<uint64_t>::max();     ///< EIP-7934, bytes of RLP
    BaseFeeParameters base_fee;
    BlobSchedule blob;
    uint64_t blobs_per_transaction_max = std::numeric_limits<uint64_t>::max();  ///< EIP-7594
    bool blob_transactions = false;      ///< type 3 is accepted
    bool deposit_transactions = false;   ///< type 0x7e is accepted
    bool l1_requests = false;            ///< EIP-6110, 7002, 7251 are processed
    uint64_t difficulty_bomb_delay = 0;  ///< blocks, before Paris (EIP-649, EIP-1234 and so on)
    DaoFork dao_fork = DaoFork::none;
    FeePolicy fee_policy = FeePolicy::per_transaction;

    bool at_least(Revision r) const noexcept { return revision >= r; }
};

/// Ethereum at a fork, exactly.
Rules ethereum_rules(Revision revision, uint64_t chain_id = 1) noexcept;
/// Millrace: Osaka without blob transactions, the block size limit and L1 requests, with a higher
/// transaction gas cap (DESIGN, chain spec).
Rules millrace_rules(uint64_t chain_id) noexcept;

}  // namespace millrace::evm
