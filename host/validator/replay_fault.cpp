// SPDX-License-Identifier: Apache-2.0
// Owns the names and the wording of refusals.
#include "host/validator/replay_fault.hpp"

#include "evm/core/block_transition.hpp"
#include "host/base/hex.hpp"

namespace millrace::validator {

std::string_view to_string(ReplayError error) noexcept {
    switch (error) {
        case ReplayError::rules_not_supported: return "rules_not_supported";
        case ReplayError::malformed_access: return "malformed_access";
        case ReplayError::header_mismatch: return "header_mismatch";
        case ReplayError::transactions_mismatch: return "transactions_mismatch";
        case ReplayError::pre_state_missing: return "pre_state_missing";
        case ReplayError::transaction_invalid: return "transaction_invalid";
        case ReplayError::undeclared_read: return "undeclared_read";
        case ReplayError::undeclared_dependency: return "undeclared_dependency";
        case ReplayError::undeclared_write: return "undeclared_write";
        case ReplayError::value_mismatch: return "value_mismatch";
        case ReplayError::missing_write: return "missing_write";
        case ReplayError::gas_used_mismatch: return "gas_used_mismatch";
        case ReplayError::status_mismatch: return "status_mismatch";
        case ReplayError::bound_violated: return "bound_violated";
        case ReplayError::dependencies_mismatch: return "dependencies_mismatch";
        case ReplayError::missing_read: return "missing_read";
        case ReplayError::receipts_mismatch: return "receipts_mismatch";
    }
    return "unknown";
}

std::string to_text(const CellName& cell) {
    switch (cell.field) {
        case CellName::Field::nonce: return "nonce of " + to_hex(cell.address);
        case CellName::Field::balance: return "balance of " + to_hex(cell.address);
        case CellName::Field::code: return "code of " + to_hex(cell.address);
        case CellName::Field::storage:
            return "slot " + to_hex_quantity(cell.slot) + " of " + to_hex(cell.address);
        case CellName::Field::block_hash: return "hash of block " + to_decimal(cell.slot);
    }
    return "unknown";
}

std::string ReplayFault::name() const {
    std::string s{to_string(error)};
    if (transaction_error) { s += "." + std::string(evm::name_of(*transaction_error)); }
    return s;
}

std::string ReplayFault::text() const {
    std::string s = name();
    if (transaction) { s += ", transaction " + std::to_string(*transaction); }
    if (cell) { s += ", " + to_text(*cell); }
    if (!detail.empty()) { s += ": " + detail; }
    return s;
}

}  // namespace millrace::validator
