// SPDX-License-Identifier: Apache-2.0
// Owns the state transition of one transaction: validity, intrinsic gas, execution, refunds, fees.
#pragma once

#include <expected>
#include <optional>
#include <span>
#include <string_view>

#include "evm/core/evm.hpp"
#include "evm/tx/transaction.hpp"

namespace millrace::evm {

/// Why a transaction cannot be included (it then changes nothing).
enum class TxError : uint8_t {
    type_not_supported,
    chain_id_mismatch,
    signature_invalid,
    nonce_too_low,
    nonce_too_high,
    nonce_max,
    sender_has_code,  ///< EIP-3607
    insufficient_funds,
    intrinsic_gas_too_low,
    gas_below_floor,  ///< EIP-7623
    gas_limit_exceeds_block,
    gas_limit_exceeds_cap,  ///< EIP-7825
    fee_cap_below_base_fee,
    tip_above_fee_cap,
    fee_overflow,
    initcode_too_large,  ///< EIP-3860
    blob_count_zero,
    blob_count_exceeded,
    blob_version_invalid,
    blob_fee_cap_too_low,
    creation_not_allowed,  ///< blob and set-code transactions must have a recipient
    authorization_list_empty,
};

/// The wording that clients know (geth's).
std::string_view to_string(TxError error) noexcept;

struct IntrinsicGas {
    uint64_t base = 0;   ///< charged before execution
    uint64_t floor = 0;  ///< EIP-7623, zero before Prague
};
IntrinsicGas intrinsic_gas(const Transaction& tx, const Rules& rules) noexcept;

/// What is to run. `authorities` holds, for each authorization of a set-code transaction, the
/// recovered signer or nothing; recovery is done outside, in batches.
struct TransactionContext {
    const Transaction& tx;
    Address sender;
    std::span<const std::optional<Address>> authorities = {};
};

/// Relaxations for eth_call and its relatives; the defaults are the consensus rules.
struct ExecutionOptions {
    bool check_nonce = true;
    bool check_sender_code = true;
    bool check_fees = true;   ///< fee caps against the base fee, and the transaction gas cap
    bool charge_fees = true;  ///< balance check and payment of gas
    bool keep_output = true;  ///< hand back what was returned; blocks have no use for it
    Tracer* tracer = nullptr;
};

struct TransactionResult {
    Status status = Status::success;
    uint64_t gas_used = 0;  ///< after refunds and the floor
    uint64_t gas_refunded = 0;
    uint64_t blob_gas_used = 0;
    U256 effective_gas_price;
    U256 tip;       ///< priority fee paid in all, in wei
    U256 base_fee;  ///< base fee paid in all, in wei
    Bytes output;
    std::optional<Address> created;
    std::vector<Log> logs;
    StateChanges changes;

    bool success() const noexcept { return status == Status::success; }
};

/// Checks that need no state: type, sizes, gas against intrinsic gas and caps, fee order. The
/// sequencer's ingress runs it before any signature work.
std::optional<TxError> validate_stateless(const Transaction& tx, const Rules& rules) noexcept;

/// Every reason for which a block refuses the transaction, the one of execute_transaction among
/// them; none when it may run. For reports: which of several reasons comes first is no rule of
/// consensus.
std::vector<TxError> transaction_faults(const Transaction& tx, const Address& sender,
                                        StateView& view, const Rules& rules,
                                        const BlockEnvironment& block, uint64_t block_gas_left);

/// The price per gas that `tx` pays under `base_fee`.
U256 effective_gas_price(const Transaction& tx, const U256& base_fee) noexcept;

/// Runs `context` over `view` in a block that has `block_gas_left` gas left. The view is only
/// read; the caller applies `changes`. Uses workspace.state, which stays readable afterwards.
std::expected<TransactionResult, TxError>
execute_transaction(const TransactionContext& context, StateView& view, Workspace& workspace,
                    const Rules& rules, const PrecompileSet& precompiles,
                    const BlockEnvironment& block, uint64_t block_gas_left,
                    const ExecutionOptions& options = {});

}  // namespace millrace::evm
