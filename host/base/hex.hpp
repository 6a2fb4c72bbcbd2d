// SPDX-License-Identifier: Apache-2.0
// Owns hexadecimal text: 0x-prefixed data and quantities as Ethereum JSON-RPC spells them.
#pragma once

#include <string>
#include <string_view>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace {

/// Lower-case "0x.." of all bytes.
std::string to_hex(ByteView bytes);
template <size_t N>
std::string to_hex(const FixedBytes<N>& v) {
    return to_hex(v.view());
}
/// Quantities: "0x0", no leading zeros.
std::string to_hex_quantity(uint64_t v);
std::string to_hex_quantity(const U256& v);

/// Decodes an even number of hex digits; the 0x prefix is optional. Fails on any other character.
Result<Bytes> from_hex(std::string_view text);
/// As from_hex, with an exact length in bytes.
Result<Hash256> hash_from_hex(std::string_view text);
Result<Address> address_from_hex(std::string_view text);
/// A 0x-prefixed quantity of at most 256 bits; leading zeros are accepted here (callers that must
/// refuse them check the text themselves).
Result<U256> u256_from_hex(std::string_view text);
Result<uint64_t> u64_from_hex(std::string_view text);
/// Decimal digits, or hex with 0x.
Result<U256> u256_from_text(std::string_view text);
std::string to_decimal(U256 v);

/// Literals for tests and constants; asserts on malformed text.
Hash256 hash_literal(std::string_view text);
Address address_literal(std::string_view text);

}  // namespace millrace
