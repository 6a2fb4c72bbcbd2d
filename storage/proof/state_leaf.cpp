// SPDX-License-Identifier: Apache-2.0
// Owns the encoding of the leaves of the state.
#include "storage/proof/state_leaf.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>

#include "kernels/keccak/keccak.hpp"
#include "storage/proof/entry.hpp"

namespace millrace::storage {
namespace {

constexpr uint8_t account_domain = 0x01;
constexpr uint8_t slot_domain = 0x02;
constexpr uint8_t birth_counter_domain = 0x03;

size_t significant_bytes(const Hash256& big_endian) noexcept {
    const auto first = std::ranges::find_if(big_endian.bytes, [](uint8_t b) { return b != 0; });
    return static_cast<size_t>(big_endian.bytes.end() - first);
}

/// Appends the significant bytes of a number and returns the end.
uint8_t* put_bytes(const U256& value, size_t& count, uint8_t* out) noexcept {
    const Hash256 all = to_hash(value);
    count = significant_bytes(all);
    std::memcpy(out, all.data() + Hash256::size_bytes - count, count);
    return out + count;
}

uint8_t* put_number(const U256& value, uint8_t* out) noexcept {
    size_t count = 0;
    uint8_t* const end = put_bytes(value, count, out + 1);
    *out = static_cast<uint8_t>(count);
    return end;
}

/// Takes a number of at most `bytes_max` bytes off the front.
std::optional<U256> take_number(ByteView& data, size_t bytes_max) noexcept {
    if (data.empty()) { return std::nullopt; }
    const size_t count = data[0];
    if (count > bytes_max || data.size() - 1 < count || (count != 0 && data[1] == 0)) {
        return std::nullopt;
    }
    const U256 value = load_be(data.subspan(1, count));
    data = data.subspan(1 + count);
    return value;
}

std::unexpected<Error> bad(const char* what) {
    return fail(ErrorCode::invalid_input, std::string("a leaf of the state is not ") + what);
}

}  // namespace

AccountKeyPreimage account_key_preimage(const Address& address) noexcept {
    AccountKeyPreimage preimage;
    preimage[0] = account_domain;
    std::ranges::copy(address, preimage.begin() + 1);
    return preimage;
}

SlotKeyPreimage slot_key_preimage(const Address& address, const U256& slot) noexcept {
    SlotKeyPreimage preimage;
    preimage[0] = slot_domain;
    std::ranges::copy(address, preimage.begin() + 1);
    store_be(slot, preimage.data() + 1 + Address::size_bytes);
    return preimage;
}

Hash256 account_key(const Address& address) noexcept {
    return kernels::keccak256(account_key_preimage(address));
}

Hash256 slot_key(const Address& address, const U256& slot) noexcept {
    return kernels::keccak256(slot_key_preimage(address, slot));
}

const Hash256& birth_counter_key() noexcept {
    static const Hash256 key = kernels::keccak256(std::array{birth_counter_domain});
    return key;
}

size_t encode_account_leaf(const AccountLeaf& leaf, uint8_t* out) noexcept {
    uint8_t* at = put_number(U256{leaf.nonce}, out);
    at = put_number(leaf.balance, at);
    at = put_number(U256{leaf.ordinal}, at);
    at = put_number(U256{leaf.incarnation}, at);
    if (leaf.code_hash != kernels::keccak256_of_empty) {
        at = std::copy(leaf.code_hash.begin(), leaf.code_hash.end(), at);
    }
    return static_cast<size_t>(at - out);
}

size_t encode_slot_leaf(const U256& value, uint8_t* out) noexcept {
    size_t count = 0;
    put_bytes(value, count, out);
    return count;
}

void encode_birth_counter(uint64_t births, uint8_t* out) noexcept { store_be64(births, out); }

Result<AccountLeaf> decode_account_leaf(ByteView value) {
    const auto nonce = take_number(value, sizeof(uint64_t));
    const auto balance = nonce ? take_number(value, Hash256::size_bytes) : std::nullopt;
    const auto ordinal = balance ? take_number(value, sizeof(uint64_t)) : std::nullopt;
    const auto incarnation = ordinal ? take_number(value, sizeof(uint64_t)) : std::nullopt;
    if (!incarnation) { return bad("that of an account: a number in it is malformed"); }
    AccountLeaf leaf;
    leaf.nonce = nonce->w[0];
    leaf.balance = *balance;
    leaf.ordinal = ordinal->w[0];
    leaf.incarnation = incarnation->w[0];
    leaf.code_hash = kernels::keccak256_of_empty;
    if (value.empty()) { return leaf; }
    if (value.size() != Hash256::size_bytes) {
        return bad("that of an account: its code hash has not 32 bytes");
    }
    leaf.code_hash = Hash256::from(value);
    if (leaf.code_hash == kernels::keccak256_of_empty) {
        return bad("that of an account: it writes out the hash of empty code");
    }
    return leaf;
}

Result<U256> decode_slot_leaf(ByteView value) {
    if (value.empty() || value.size() > slot_leaf_bytes_max || value[0] == 0) {
        return bad("that of a storage slot");
    }
    return load_be(value);
}

Result<uint64_t> decode_birth_counter(ByteView value) {
    if (value.size() != birth_counter_bytes) { return bad("the counter of births"); }
    const uint64_t births = load_be64(value.data());
    if (births == 0) { return bad("the counter of births: it is zero"); }
    return births;
}

}  // namespace millrace::storage
