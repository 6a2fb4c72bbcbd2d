// SPDX-License-Identifier: Apache-2.0
// Owns how a case of a state test gives its transaction.
#pragma once

#include <optional>

#include <boost/json/value.hpp>

#include "evm/core/block_transition.hpp"
#include "host/base/error.hpp"

namespace millrace::node {

/// A transaction, or why there is none.
struct CaseTransaction {
    std::optional<evm::Transaction> transaction;
    /// Nothing when the signature is invalid.
    std::optional<Address> sender;
    evm::BlockFault fault;  ///< without a transaction
};

/// Reads `txbytes` of the case `post`. Without them the transaction is put together from the ranges
/// in `test.transaction` and the case's three indexes; its type follows from the fields that are
/// there, its sender is the field `sender` or the owner of `secretKey`. A number that does not fit
/// its field makes a malformed transaction, a missing field a malformed fixture.
Result<CaseTransaction> read_case_transaction(const boost::json::value& test,
                                              const boost::json::value& post,
                                              const evm::Rules& rules);

}  // namespace millrace::node
