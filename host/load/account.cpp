// SPDX-License-Identifier: Apache-2.0
// Owns derivation and signing.
#include "host/load/account.hpp"

#include "host/base/rlp.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::load {

namespace {

Hash256 derive_bytes(std::string_view purpose, uint64_t seed, uint64_t index, uint64_t attempt) {
    Bytes input(purpose.begin(), purpose.end());
    for (const uint64_t word : {seed, index, attempt}) {
        for (int shift = 56; shift >= 0; shift -= 8) {
            input.push_back(static_cast<uint8_t>(word >> shift));
        }
    }
    return kernels::keccak256(input);
}

Address address_in(const Hash256& hash) { return Address::from(hash.view().subspan(12)); }

}  // namespace

Result<Account> account_of_key(const Hash256& secret_key) {
    const auto address = kernels::address_of_secret_key(secret_key);
    if (!address) {
        return fail(ErrorCode::invalid_input,
                    "the secret key is zero or not below the order of secp256k1");
    }
    return Account{secret_key, *address};
}

Account derive_account(uint64_t seed, uint64_t index) {
    // One in 2^128 digests is no key.
    for (uint64_t attempt = 0;; ++attempt) {
        auto made = account_of_key(derive_bytes("millrace load account", seed, index, attempt));
        if (made) { return *made; }
    }
}

Bytes sign_transaction(evm::Transaction& tx, const Hash256& key) {
    const auto signature = kernels::sign(evm::signing_hash(tx), key);
    MILLRACE_ASSERT(signature.has_value(), "the key was checked when its account was made");
    tx.y_parity = signature->y_parity;
    tx.r = signature->r;
    tx.s = signature->s;
    return evm::encode_transaction(tx);
}

Address derive_recipient(uint64_t seed, uint64_t index) {
    return address_in(derive_bytes("millrace load recipient", seed, index, 0));
}

Address created_address(const Address& sender, uint64_t nonce) {
    Bytes fields;
    rlp::append_fixed(fields, sender);
    rlp::append_u64(fields, nonce);
    return address_in(kernels::keccak256(rlp::list(fields)));
}

}  // namespace millrace::load
