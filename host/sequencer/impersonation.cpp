// SPDX-License-Identifier: Apache-2.0
// Owns the mark of impersonated transactions.
#include "host/sequencer/impersonation.hpp"

#include "kernels/secp256k1/recover.hpp"

namespace millrace::sequencer {
namespace {
const U256 mark = kernels::secp256k1_order - U256{1};
}

void mark_impersonated(evm::Transaction& tx, const Address& sender) noexcept {
    tx.r = to_u256(sender);
    tx.s = mark;
    tx.y_parity = 0;
}

std::optional<Address> impersonated_sender(const evm::Transaction& tx) noexcept {
    if (tx.type == evm::TxType::deposit || tx.s != mark || tx.y_parity != 0 ||
        (tx.r >> 160) != U256{}) {
        return std::nullopt;
    }
    return to_address(tx.r);
}

}  // namespace millrace::sequencer
