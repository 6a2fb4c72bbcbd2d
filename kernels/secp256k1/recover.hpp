// SPDX-License-Identifier: Apache-2.0
// Owns public-key recovery on secp256k1 by Ethereum's rules, and signing for development tools.
#pragma once

#include <array>
#include <cstdint>
#include <optional>

#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::kernels {

/// The order n of the group, and n / 2 rounded down: EIP-2 asks callers to refuse a larger s.
inline constexpr U256 secp256k1_order{0xffffffffffffffff, 0xfffffffffffffffe, 0xbaaedce6af48a03b,
                                      0xbfd25e8cd0364141};
inline constexpr U256 secp256k1_half_order{0x7fffffffffffffff, 0xffffffffffffffff,
                                           0x5d576e7357a4501d, 0xdfe92f46681b20a0};

/// One signature over a digest. `y_parity` is 0 or 1: bit 0 of the recovery id.
struct RecoverJob {
    Hash256 digest;
    U256 r;
    U256 s;
    uint8_t y_parity = 0;
};

/// Affine x and y, 32 big-endian bytes each.
using PublicKey = std::array<uint8_t, 64>;

/// The key that made the signature. Empty when r or s is outside [1, n), y_parity is above 1, no
/// point has x = r, or the key would be the point at infinity. The digest is taken modulo n, zero
/// included. A high s is accepted (the ECRECOVER precompile's rule); callers that follow EIP-2
/// check it. The x coordinate is r itself, never r + n: Ethereum has no encoding for the latter.
/// Any thread, no allocation. About 30 us.
std::optional<PublicKey> recover_public_key(const RecoverJob& job) noexcept;

/// As recover_public_key, giving the key's address.
std::optional<Address> recover_address(const RecoverJob& job) noexcept;

/// The last 20 bytes of the key's Keccak-256.
Address address_of_public_key(const PublicKey& key) noexcept;

struct RecoverableSignature {
    U256 r;
    U256 s;
    uint8_t y_parity = 0;
};

/// Signs with the nonce of RFC 6979, so the same input gives the same signature; s is low. Empty
/// when the key is outside [1, n). Constant time in the key.
std::optional<RecoverableSignature> sign(const Hash256& digest, const Hash256& secret_key) noexcept;

/// The public key and address of a secret key; empty when the key is outside [1, n).
std::optional<PublicKey> public_key_of_secret_key(const Hash256& secret_key) noexcept;
std::optional<Address> address_of_secret_key(const Hash256& secret_key) noexcept;

}  // namespace millrace::kernels
