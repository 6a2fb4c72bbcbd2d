// SPDX-License-Identifier: Apache-2.0
// Owns how a development node marks transactions of accounts that it impersonates.
#pragma once

#include <optional>

#include "evm/tx/transaction.hpp"

namespace millrace::sequencer {

/// Puts `sender` where the signature would be: r is the address and s a value above half of the
/// group order, which EIP-2 forbids, so no signed transaction can look like this one and the hash
/// depends on the sender. Only development nodes accept it.
void mark_impersonated(evm::Transaction& tx, const Address& sender) noexcept;
/// The sender that mark_impersonated put there; nothing for all other transactions.
std::optional<Address> impersonated_sender(const evm::Transaction& tx) noexcept;

}  // namespace millrace::sequencer
