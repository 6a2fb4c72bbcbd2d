// SPDX-License-Identifier: Apache-2.0
// Owns derivation and signing.
#include "host/load/account.hpp"

#include <cstring>

#include <secp256k1.h>
#include <secp256k1_recovery.h>

#include "host/base/rlp.hpp"
#include "kernels/keccak/keccak.hpp"

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

U256 word_of(const unsigned char* big_endian) {
    U256 out;
    for (int limb = 0; limb < 4; ++limb) {
        uint64_t word = 0;
        for (int i = 0; i < 8; ++i) { word = word << 8 | big_endian[(3 - limb) * 8 + i]; }
        out.w[limb] = word;
    }
    return out;
}

}  // namespace

Signer::Signer() : context_(secp256k1_context_create(SECP256K1_CONTEXT_SIGN)) {
    MILLRACE_ASSERT(context_ != nullptr, "libsecp256k1 allocates its context");
}

Signer::~Signer() { secp256k1_context_destroy(context_); }

Result<Account> Signer::account(const Hash256& secret_key) const {
    secp256k1_pubkey key;
    if (secp256k1_ec_pubkey_create(context_, &key, secret_key.data()) != 1) {
        return fail(ErrorCode::invalid_input,
                    "the secret key is zero or not below the order of secp256k1");
    }
    unsigned char point[65];
    size_t bytes = sizeof point;
    secp256k1_ec_pubkey_serialize(context_, point, &bytes, &key, SECP256K1_EC_UNCOMPRESSED);
    return Account{secret_key, address_in(kernels::keccak256_64(point + 1))};
}

Account Signer::derive(uint64_t seed, uint64_t index) const {
    // One in 2^128 digests is no key.
    for (uint64_t attempt = 0;; ++attempt) {
        auto made = account(derive_bytes("millrace load account", seed, index, attempt));
        if (made) { return *made; }
    }
}

Bytes Signer::sign(evm::Transaction& tx, const Hash256& key) const {
    const Hash256 hash = evm::signing_hash(tx);
    secp256k1_ecdsa_recoverable_signature signature;
    const int made = secp256k1_ecdsa_sign_recoverable(context_, &signature, hash.data(), key.data(),
                                                      nullptr, nullptr);
    MILLRACE_ASSERT(made == 1, "the key was checked when its account was made");
    unsigned char compact[64];
    int recovery = 0;
    secp256k1_ecdsa_recoverable_signature_serialize_compact(context_, compact, &recovery,
                                                            &signature);
    // libsecp256k1 gives low s. Recovery ids 2 and 3 need r above the group order: one in 2^127.
    tx.y_parity = static_cast<uint8_t>(recovery & 1);
    tx.r = word_of(compact);
    tx.s = word_of(compact + 32);
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
