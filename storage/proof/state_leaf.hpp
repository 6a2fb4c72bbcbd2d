// SPDX-License-Identifier: Apache-2.0
// Owns what the leaves of the authenticated state say: keys and values of accounts, storage slots
// and the counter of births.
#pragma once

#include <array>
#include <cstdint>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::storage {

// Format 1. A chain keeps it for ever: every byte here is part of the state root.
//
// A key is the Keccak-256 of a byte that says what it is the key of, and then of:
//   0x01, address (20 bytes)                              an account
//   0x02, address (20 bytes), slot (32 bytes, big-endian) a storage slot
//   0x03                                                  the counter of births
// This does not depend on the hash of leaves and nodes. No two of these have the same length, and
// what a leaf or a node hashes is never as short (StateEntry), so none can stand for another.
//
// A number is written as its length in bytes (one byte) and then that many bytes, big-endian,
// without leading zeros: zero is the single byte 0x00.
//
// - The value of an account: the numbers nonce, balance, ordinal, incarnation, and then the code
//   hash (32 bytes), which is left out where it is the hash of empty code.
// - The value of a slot: 1 to 32 bytes, big-endian, without leading zeros. A slot that is zero has
//   no leaf.
// - The value of the counter of births: 8 bytes, big-endian. Zero has no leaf.
//
// Test vectors are in tests/storage/proof/state_leaf_test.cpp.

using AccountKeyPreimage = std::array<uint8_t, 1 + Address::size_bytes>;
using SlotKeyPreimage = std::array<uint8_t, 1 + Address::size_bytes + Hash256::size_bytes>;
/// What the keys hash; for those who hash many at once.
AccountKeyPreimage account_key_preimage(const Address& address) noexcept;
SlotKeyPreimage slot_key_preimage(const Address& address, const U256& slot) noexcept;

Hash256 account_key(const Address& address) noexcept;
Hash256 slot_key(const Address& address, const U256& slot) noexcept;
const Hash256& birth_counter_key() noexcept;

/// An account's leaf.
struct AccountLeaf {
    uint64_t nonce = 0;
    U256 balance;
    Hash256 code_hash;  ///< Keccak-256 of the code, also of empty code
    /// How many accounts were born before this one. An account is born when it is there after a
    /// block and was not before it; those of one block are born in ascending order of their keys.
    /// It keeps its ordinal for as long as it is there after every block. An ordinal is never given
    /// again: an account that was removed and comes back is born anew, with another one.
    uint64_t ordinal = 0;
    /// AccountDelta::incarnation.
    uint64_t incarnation = 0;
    bool operator==(const AccountLeaf&) const = default;
};

inline constexpr size_t account_leaf_bytes_max = (1 + 8) + (1 + 32) + 2 * (1 + 8) + 32;
inline constexpr size_t slot_leaf_bytes_max = 32;
inline constexpr size_t birth_counter_bytes = 8;

/// Write a value to `out`, which has room for the longest, and return its length.
size_t encode_account_leaf(const AccountLeaf& leaf, uint8_t* out) noexcept;
/// `value` is not zero.
size_t encode_slot_leaf(const U256& value, uint8_t* out) noexcept;
/// `births` is not zero.
void encode_birth_counter(uint64_t births, uint8_t* out) noexcept;

/// Decode a whole value; `ErrorCode::invalid_input` for everything that is not written above.
Result<AccountLeaf> decode_account_leaf(ByteView value);
Result<U256> decode_slot_leaf(ByteView value);
Result<uint64_t> decode_birth_counter(ByteView value);

}  // namespace millrace::storage
