// SPDX-License-Identifier: Apache-2.0
// Owns the rules of a block around its transactions: fees of the next block, system operations,
// withdrawals, rewards, requests.
#pragma once

#include <expected>
#include <span>
#include <vector>

#include "evm/core/evm.hpp"
#include "evm/core/overlay.hpp"
#include "evm/tx/block.hpp"

namespace millrace::evm {

/// EIP-1559: base fee of the block after a parent with these values, not below the rules' floor.
U256 next_base_fee(const BaseFeeParameters& p, const U256& parent_base_fee,
                   uint64_t parent_gas_used, uint64_t parent_gas_limit) noexcept;
/// EIP-4844 price of one blob gas.
U256 blob_base_fee(const BlobSchedule& schedule, uint64_t excess_blob_gas) noexcept;
/// EIP-4844, with EIP-7918 from Osaka on: excess blob gas of the block after `parent`.
uint64_t next_excess_blob_gas(const Rules& rules, const BlockHeader& parent) noexcept;
/// Environment of the block that `header` describes.
BlockEnvironment environment_of(const BlockHeader& header, const Rules& rules) noexcept;

/// Runs a system message (30 M gas, from 0xff..fe, no fees) at `target`; gives its changes and
/// output. An account without code does nothing. A failing system call gives an error status.
struct SystemCallResult {
    Status status = Status::success;
    bool had_code = false;
    Bytes output;
    StateChanges changes;
};
SystemCallResult system_call(const Address& target, ByteView input, StateView& view,
                             Workspace& workspace, const Rules& rules,
                             const PrecompileSet& precompiles, const BlockEnvironment& block);

struct OpeningCall {
    Address target;
    Hash256 input;
    /// Of the code that the EIP gives the contract. With it a call writes slots of its own only, as
    /// the EIP says; with none it does nothing.
    Hash256 standard_code_hash;
    bool takes_parent_hash = false;
};
/// EIP-2935: its contract keeps the hash of block n in slot n modulo this.
inline constexpr uint64_t history_serve_window = 8191;
/// System calls before the first transaction, in order: EIP-4788 (Cancun), EIP-2935 (Prague).
std::vector<OpeningCall> opening_calls(const Rules& rules, const Hash256& parent_hash,
                                       const Hash256& parent_beacon_root);
/// Runs opening_calls and applies them to `state` one after the other.
void begin_block(StateOverlay& state, Workspace& workspace, const Rules& rules,
                 const PrecompileSet& precompiles, const BlockEnvironment& block,
                 const Hash256& parent_hash, const Hash256& parent_beacon_root);

/// EIP-779: moves the balances of the listed accounts to the refund contract.
void move_dao_balances(StateOverlay& state);

/// Credits withdrawals (Shanghai).
void apply_withdrawals(StateOverlay& state, std::span<const Withdrawal> withdrawals,
                       const Rules& rules);

/// Block reward of proof of work in wei, zero from Paris on.
U256 block_reward(Revision revision) noexcept;
void apply_rewards(StateOverlay& state, const BlockHeader& header,
                   std::span<const BlockHeader> ommers, const Rules& rules);

/// Why the requests of a block cannot be collected.
enum class RequestsError : uint8_t {
    deposit_layout,    ///< a DepositEvent is not laid out as EIP-6110 asks
    contract_missing,  ///< the contract of EIP-7002 or EIP-7251 has no code
    call_failed,       ///< its system call did not succeed
};

/// Execution-layer requests of the block (EIP-7685): deposits read from `logs`, then withdrawal and
/// consolidation requests by system calls. Each item is type byte and data; empty ones are left
/// out. An error makes the block invalid.
std::expected<std::vector<Bytes>, RequestsError>
collect_requests(StateOverlay& state, Workspace& workspace, const Rules& rules,
                 const PrecompileSet& precompiles, const BlockEnvironment& block,
                 std::span<const Log> logs);

}  // namespace millrace::evm
