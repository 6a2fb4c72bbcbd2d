// SPDX-License-Identifier: Apache-2.0
// Owns the conversion between bytes, quantities and hexadecimal or decimal text.
#include "host/base/hex.hpp"

namespace millrace {
namespace {

constexpr char digits[] = "0123456789abcdef";

int nibble(char c) noexcept {
    if (c >= '0' && c <= '9') { return c - '0'; }
    if (c >= 'a' && c <= 'f') { return c - 'a' + 10; }
    if (c >= 'A' && c <= 'F') { return c - 'A' + 10; }
    return -1;
}

bool has_prefix(std::string_view t) noexcept {
    return t.size() >= 2 && t[0] == '0' && (t[1] == 'x' || t[1] == 'X');
}

/// Error texts quote what was seen, but never megabytes of it.
std::string quoted(std::string_view t) {
    std::string s = "\"";
    s += t.substr(0, 80);
    s += t.size() > 80 ? "...\"" : "\"";
    return s;
}

template <size_t N>
Result<FixedBytes<N>> fixed_from_hex(std::string_view text, const char* what) {
    MILLRACE_TRY(const Bytes raw, from_hex(text));
    if (raw.size() != N) {
        return fail(ErrorCode::invalid_input,
                    std::string(what) + " must have " + std::to_string(N) + " bytes, got " +
                        std::to_string(raw.size()) + " in " + quoted(text));
    }
    return FixedBytes<N>::from(raw);
}

}  // namespace

std::string to_hex(ByteView bytes) {
    std::string out(2 + bytes.size() * 2, '0');
    out[1] = 'x';
    size_t i = 2;
    for (const uint8_t b : bytes) {
        out[i++] = digits[b >> 4];
        out[i++] = digits[b & 15];
    }
    return out;
}

std::string to_hex_quantity(uint64_t v) {
    char buf[18];
    int i = 18;
    do {
        buf[--i] = digits[v & 15];
        v >>= 4;
    } while (v != 0);
    std::string out = "0x";
    out.append(buf + i, static_cast<size_t>(18 - i));
    return out;
}

std::string to_hex_quantity(const U256& v) {
    if (v.fits_u64()) { return to_hex_quantity(v.low64()); }
    std::string full = to_hex(to_hash(v).view());
    const size_t first = full.find_first_not_of('0', 2);
    return "0x" + full.substr(first);
}

Result<Bytes> from_hex(std::string_view text) {
    const std::string_view d = has_prefix(text) ? text.substr(2) : text;
    if (d.size() % 2 != 0) {
        return fail(ErrorCode::invalid_input,
                    "hex string has an odd number of digits: " + quoted(text));
    }
    Bytes out(d.size() / 2);
    for (size_t i = 0; i < out.size(); ++i) {
        const int hi = nibble(d[2 * i]);
        const int lo = nibble(d[2 * i + 1]);
        if (hi < 0 || lo < 0) {
            return fail(ErrorCode::invalid_input, "not a hex string: " + quoted(text));
        }
        out[i] = static_cast<uint8_t>(hi << 4 | lo);
    }
    return out;
}

Result<Hash256> hash_from_hex(std::string_view text) { return fixed_from_hex<32>(text, "hash"); }
Result<Address> address_from_hex(std::string_view text) {
    return fixed_from_hex<20>(text, "address");
}

Result<U256> u256_from_hex(std::string_view text) {
    if (!has_prefix(text) || text.size() == 2) {
        return fail(ErrorCode::invalid_input,
                    "expected a hex quantity with 0x prefix, got " + quoted(text));
    }
    std::string_view d = text.substr(2);
    while (d.size() > 1 && d[0] == '0') { d.remove_prefix(1); }
    if (d.size() > 64) {
        return fail(ErrorCode::invalid_input, "quantity exceeds 256 bits: " + quoted(text));
    }
    U256 r;
    for (const char c : d) {
        const int n = nibble(c);
        if (n < 0) { return fail(ErrorCode::invalid_input, "not a hex quantity: " + quoted(text)); }
        r = shl(r, 4) | U256{static_cast<uint64_t>(n)};
    }
    return r;
}

Result<uint64_t> u64_from_hex(std::string_view text) {
    MILLRACE_TRY(const U256 v, u256_from_hex(text));
    if (!v.fits_u64()) {
        return fail(ErrorCode::invalid_input, "quantity exceeds 64 bits: " + quoted(text));
    }
    return v.low64();
}

Result<U256> u256_from_text(std::string_view text) {
    if (has_prefix(text)) { return u256_from_hex(text); }
    if (text.empty()) {
        return fail(ErrorCode::invalid_input, "expected a number, got an empty string");
    }
    U256 r;
    const U256 limit = U256::max() / U256{10};
    for (const char c : text) {
        if (c < '0' || c > '9') {
            return fail(ErrorCode::invalid_input, "not a number: " + quoted(text));
        }
        bool carry = r > limit;
        if (!carry) { r = add_overflow(r * U256{10}, U256{static_cast<uint64_t>(c - '0')}, carry); }
        if (carry) {
            return fail(ErrorCode::invalid_input, "number exceeds 256 bits: " + quoted(text));
        }
    }
    return r;
}

std::string to_decimal(U256 v) {
    if (v.is_zero()) { return "0"; }
    std::string out;
    while (!v.is_zero()) {
        const DivResult d = div_rem(v, U256{10});
        out.push_back(static_cast<char>('0' + d.remainder.low64()));
        v = d.quotient;
    }
    return {out.rbegin(), out.rend()};
}

Hash256 hash_literal(std::string_view text) {
    auto r = hash_from_hex(text);
    MILLRACE_ASSERT(r.has_value(), "a hash literal in the source is well-formed");
    return *r;
}

Address address_literal(std::string_view text) {
    auto r = address_from_hex(text);
    MILLRACE_ASSERT(r.has_value(), "an address literal in the source is well-formed");
    return *r;
}

}  // namespace millrace
