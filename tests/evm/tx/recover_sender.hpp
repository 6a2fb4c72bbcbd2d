// SPDX-License-Identifier: Apache-2.0
// Owns sender recovery by libsecp256k1, as an independent check of signing hashes in tests.
#pragma once

#include <array>
#include <cstring>
#include <optional>

#include <secp256k1.h>
#include <secp256k1_recovery.h>

#include "host/base/types.hpp"
#include "host/base/u256.hpp"
#include "kernels/keccak/keccak.hpp"

namespace millrace::test {

inline std::optional<Address> recover_signer(const Hash256& digest, uint8_t y_parity, const U256& r,
                                             const U256& s) {
    static secp256k1_context* context = secp256k1_context_create(SECP256K1_CONTEXT_NONE);
    std::array<uint8_t, 64> compact;
    store_be(r, compact.data());
    store_be(s, compact.data() + 32);
    secp256k1_ecdsa_recoverable_signature signature;
    secp256k1_pubkey key;
    if (secp256k1_ecdsa_recoverable_signature_parse_compact(context, &signature, compact.data(),
                                                            y_parity) != 1 ||
        secp256k1_ecdsa_recover(context, &key, &signature, digest.data()) != 1) {
        return std::nullopt;
    }
    std::array<uint8_t, 65> point;
    size_t size = point.size();
    secp256k1_ec_pubkey_serialize(context, point.data(), &size, &key, SECP256K1_EC_UNCOMPRESSED);
    const Hash256 h = kernels::keccak256(ByteView(point).subspan(1));
    return Address::from(h.view().subspan(12));
}

}  // namespace millrace::test
