// SPDX-License-Identifier: Apache-2.0
// Owns the reasons for which a replay refuses a mini-block, with stable names.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "evm/core/transition.hpp"

namespace millrace::validator {

/// Why a mini-block is refused. The names that to_string gives are stable.
enum class ReplayError : uint8_t {
    // Before anything runs.
    rules_not_supported,    ///< the replay is made for Cancun and later (EIP-6780)
    malformed_access,       ///< not in canonical form
    header_mismatch,        ///< another mini-block, place or environment than the caller's
    transactions_mismatch,  ///< other transactions, or another order
    pre_state_missing,      ///< the source cannot tell a value; says nothing about the sequencer
    // What a transaction did is not what is claimed.
    transaction_invalid,  ///< transaction_error says why
    undeclared_read,
    undeclared_dependency,  ///< it read what an earlier one wrote that it is not said to depend on
    undeclared_write,
    value_mismatch,
    missing_write,  ///< a change is claimed that was not made
    gas_used_mismatch,
    status_mismatch,
    bound_violated,  ///< a balance was too low for what was taken from it
    // What is claimed was not needed.
    dependencies_mismatch,  ///< not those that the reads give
    missing_read,           ///< a read is claimed that nobody made
    receipts_mismatch,
};

std::string_view to_string(ReplayError error) noexcept;

/// A piece of state with its place.
struct CellName {
    enum class Field : uint8_t { nonce, balance, code, storage, block_hash };
    Address address;
    Field field = Field::nonce;
    U256 slot;  ///< or the number of the block
    bool operator==(const CellName&) const = default;
};
std::string to_text(const CellName& cell);

/// A refusal with what it is about. The same input gives the same fault with any number of threads:
/// that of the lowest transaction at fault.
struct ReplayFault {
    ReplayError error = ReplayError::malformed_access;
    std::optional<evm::TxError> transaction_error;  ///< with transaction_invalid
    std::optional<uint32_t> transaction;            ///< its position in the mini-block
    std::optional<CellName> cell;
    std::string detail;  ///< for people: the values claimed and computed

    /// "value_mismatch" or "transaction_invalid.nonce_too_low".
    std::string name() const;
    /// The name, the transaction, the cell and the detail.
    std::string text() const;
    bool operator==(const ReplayFault&) const = default;
};

}  // namespace millrace::validator
