// SPDX-License-Identifier: Apache-2.0
// Owns the accounts of a run: keys derived from a seed, and signatures with libsecp256k1.
#pragma once

#include <memory>

#include "evm/tx/transaction.hpp"
#include "host/base/error.hpp"
#include "host/base/types.hpp"

struct secp256k1_context_struct;

namespace millrace::load {

struct Account {
    Hash256 secret_key;
    Address address;
};

/// Makes keys and signatures. Const calls may come from several threads.
class Signer {
public:
    Signer();
    ~Signer();
    Signer(const Signer&) = delete;
    Signer& operator=(const Signer&) = delete;

    /// Fails on zero and on keys that are not below the group order.
    Result<Account> account(const Hash256& secret_key) const;
    /// Account `index` of `seed`: always the same. Everybody can derive it: for test chains only.
    Account derive(uint64_t seed, uint64_t index) const;
    /// Fills the signature (RFC 6979, low s) and gives the canonical encoding. `key` is of an
    /// Account.
    Bytes sign(evm::Transaction& tx, const Hash256& key) const;

private:
    secp256k1_context_struct* context_;
};

/// An address of `seed` that nobody has a key of: a pure receiver.
Address derive_recipient(uint64_t seed, uint64_t index);
/// Where `sender`'s transaction with `nonce` puts its contract (yellow paper, section 7).
Address created_address(const Address& sender, uint64_t nonce);

}  // namespace millrace::load
