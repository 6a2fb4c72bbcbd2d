// SPDX-License-Identifier: Apache-2.0
// Owns the step from what the EVM hands back to the cells that have another value.
#pragma once

#include "evm/core/state_view.hpp"
#include "evm/tx/block.hpp"

namespace millrace::validator::detail {

/// Calls `visitor` for every cell that `changes` leave with another value than `view` has: nonce
/// (address, value), balance(address, delta modulo 2^256), code(address, hash, code) and
/// slot(address, key, value). From Cancun on. What is asked of `view` here has been asked by the
/// transaction itself: SELFDESTRUCT reads the balance, and nobody sets code without a look at what
/// is there.
template <class Visitor>
void visit_net_writes(const evm::StateChanges& changes, evm::StateView& view, Visitor&& visitor) {
    for (const evm::AccountChange& c : changes.accounts) {
        if (c.destroyed) {
            // Created in the same transaction (EIP-6780): there was nothing but perhaps a balance.
            const U256 before = view.balance(c.address);
            if (!before.is_zero()) { visitor.balance(c.address, U256{} - before); }
            continue;
        }
        if (c.nonce) { visitor.nonce(c.address, *c.nonce); }
        if (c.credit != c.debit) { visitor.balance(c.address, c.credit - c.debit); }
        if (c.code_hash && view.code_hash(c.address) != *c.code_hash) {
            visitor.code(c.address, *c.code_hash, c.code);
        }
        for (const evm::StorageWrite& w : c.storage) { visitor.slot(c.address, w.key, w.value); }
    }
}

}  // namespace millrace::validator::detail
