// SPDX-License-Identifier: Apache-2.0
// Owns the accounts of a run: keys derived from a seed, and signatures.
#pragma once

#include "evm/tx/transaction.hpp"
#include "host/base/error.hpp"
#include "host/base/types.hpp"

namespace millrace::load {

struct Account {
    Hash256 secret_key;
    Address address;
};

/// Fails on zero and on keys that are not below the group order.
Result<Account> account_of_key(const Hash256& secret_key);
/// Account `index` of `seed`: always the same. Everybody can derive it: for test chains only.
Account derive_account(uint64_t seed, uint64_t index);
/// Fills the signature (RFC 6979, low s) and gives the canonical encoding. `key` is of an Account.
/// Any thread.
Bytes sign_transaction(evm::Transaction& tx, const Hash256& key);

/// An address of `seed` that nobody has a key of: a pure receiver.
Address derive_recipient(uint64_t seed, uint64_t index);
/// Where `sender`'s transaction with `nonce` puts its contract (yellow paper, section 7).
Address created_address(const Address& sender, uint64_t nonce);

}  // namespace millrace::load
