// SPDX-License-Identifier: Apache-2.0
// Owns encoding and decoding of entries.
#include "storage/proof/entry.hpp"

#include <bit>
#include <cstring>
#include <string>

#include "storage/proof/varint.hpp"

namespace millrace::storage {
namespace {

constexpr uint8_t entry_tag = 0x01;

std::unexpected<Error> bad(const char* why) {
    return fail(ErrorCode::invalid_input, std::string{"state entry: "} + why);
}

}  // namespace

uint64_t load_be64(const uint8_t* at) noexcept {
    uint64_t value;
    std::memcpy(&value, at, sizeof value);
    static_assert(std::endian::native == std::endian::little);
    return std::byteswap(value);
}

void store_be64(uint64_t value, uint8_t* at) noexcept {
    value = std::byteswap(value);
    std::memcpy(at, &value, sizeof value);
}

size_t encode_entry(const StateEntry& entry, uint8_t* out) noexcept {
    MILLRACE_ASSERT(entry.value.size() <= entry_value_bytes_max, "values are bounded");
    uint8_t* at = out;
    *at++ = entry_tag;
    store_be64(entry.serial, at);
    at += 8;
    std::memcpy(at, entry.key.data(), Hash256::size_bytes);
    at += Hash256::size_bytes;
    std::memcpy(at, entry.next.data(), KeyLink::size_bytes);
    at += KeyLink::size_bytes;
    at = put_varint(entry.height, at);
    at = put_varint(entry.previous_distance, at);
    at = put_varint(entry.value.size(), at);
    if (!entry.value.empty()) { std::memcpy(at, entry.value.data(), entry.value.size()); }
    return static_cast<size_t>(at - out) + entry.value.size();
}

Result<DecodedEntry> decode_entry(ByteView data) {
    if (data.size() < entry_bytes_min) { return bad("too short"); }
    if (data[0] != entry_tag) { return bad("unknown tag"); }
    DecodedEntry out;
    StateEntry& e = out.entry;
    e.serial = load_be64(data.data() + 1);
    if (e.serial >= serial_max) { return bad("the serial number is out of range"); }
    e.key = Hash256::from(data.subspan(9, Hash256::size_bytes));
    e.next = KeyLink::from(data.subspan(41, KeyLink::size_bytes));
    ByteView rest = data.subspan(entry_prefix_bytes);
    const auto height = take_varint(rest);
    const auto distance = height ? take_varint(rest) : std::nullopt;
    const auto value_bytes = distance ? take_varint(rest) : std::nullopt;
    if (!value_bytes) { return bad("not a canonical integer"); }
    if (*distance > e.serial) { return bad("the previous entry lies before the first one"); }
    if (*value_bytes > entry_value_bytes_max) { return bad("the value is too long"); }
    if (*value_bytes > rest.size()) { return bad("the value is cut off"); }
    e.height = *height;
    e.previous_distance = *distance;
    e.value = rest.first(*value_bytes);
    out.bytes = data.size() - rest.size() + *value_bytes;
    return out;
}

}  // namespace millrace::storage
