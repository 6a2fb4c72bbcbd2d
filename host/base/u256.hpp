// SPDX-License-Identifier: Apache-2.0
// Owns U256, the machine word of the EVM, and its arithmetic (yellow paper, appendix H).
#pragma once

#include <bit>
#include <compare>
#include <cstdint>
#include <cstring>

#include "host/base/types.hpp"

namespace millrace {

/// Unsigned 256-bit integer, four 64-bit limbs, least significant first. All arithmetic wraps
/// modulo 2^256 unless said otherwise.
struct U256 {
    uint64_t w[4] = {0, 0, 0, 0};

    constexpr U256() noexcept = default;
    constexpr U256(uint64_t v) noexcept : w{v, 0, 0, 0} {}  // NOLINT: implicit by design
    constexpr U256(uint64_t w3, uint64_t w2, uint64_t w1, uint64_t w0) noexcept
        : w{w0, w1, w2, w3} {}

    static constexpr U256 max() noexcept { return {~0ull, ~0ull, ~0ull, ~0ull}; }

    constexpr bool is_zero() const noexcept { return (w[0] | w[1] | w[2] | w[3]) == 0; }
    constexpr explicit operator bool() const noexcept { return !is_zero(); }
    constexpr bool fits_u64() const noexcept { return (w[1] | w[2] | w[3]) == 0; }
    constexpr uint64_t low64() const noexcept { return w[0]; }
    /// The value, or UINT64_MAX when it does not fit.
    constexpr uint64_t saturate64() const noexcept { return fits_u64() ? w[0] : ~0ull; }

    constexpr bool operator==(const U256& o) const noexcept {
        return ((w[0] ^ o.w[0]) | (w[1] ^ o.w[1]) | (w[2] ^ o.w[2]) | (w[3] ^ o.w[3])) == 0;
    }
    constexpr std::strong_ordering operator<=>(const U256& o) const noexcept {
        if (w[3] != o.w[3]) { return w[3] <=> o.w[3]; }
        if (w[2] != o.w[2]) { return w[2] <=> o.w[2]; }
        if (w[1] != o.w[1]) { return w[1] <=> o.w[1]; }
        return w[0] <=> o.w[0];
    }
};

static_assert(sizeof(U256) == 32);

namespace detail {
constexpr uint64_t add_carry(uint64_t a, uint64_t b, uint64_t& carry) noexcept {
    uint64_t s = 0;
    const bool c1 = __builtin_add_overflow(a, b, &s);
    uint64_t t = 0;
    const bool c2 = __builtin_add_overflow(s, carry, &t);
    carry = static_cast<uint64_t>(c1) | static_cast<uint64_t>(c2);
    return t;
}
constexpr uint64_t sub_borrow(uint64_t a, uint64_t b, uint64_t& borrow) noexcept {
    uint64_t s = 0;
    const bool b1 = __builtin_sub_overflow(a, b, &s);
    uint64_t t = 0;
    const bool b2 = __builtin_sub_overflow(s, borrow, &t);
    borrow = static_cast<uint64_t>(b1) | static_cast<uint64_t>(b2);
    return t;
}
}  // namespace detail

/// a + b; `carry_out` is true when the sum does not fit 256 bits.
constexpr U256 add_overflow(const U256& a, const U256& b, bool& carry_out) noexcept {
    U256 r;
    uint64_t c = 0;
    for (int i = 0; i < 4; ++i) { r.w[i] = detail::add_carry(a.w[i], b.w[i], c); }
    carry_out = c != 0;
    return r;
}
/// a - b; `borrow_out` is true when a < b.
constexpr U256 sub_underflow(const U256& a, const U256& b, bool& borrow_out) noexcept {
    U256 r;
    uint64_t c = 0;
    for (int i = 0; i < 4; ++i) { r.w[i] = detail::sub_borrow(a.w[i], b.w[i], c); }
    borrow_out = c != 0;
    return r;
}
constexpr U256 operator+(const U256& a, const U256& b) noexcept {
    bool c = false;
    return add_overflow(a, b, c);
}
constexpr U256 operator-(const U256& a, const U256& b) noexcept {
    bool c = false;
    return sub_underflow(a, b, c);
}
constexpr U256& operator+=(U256& a, const U256& b) noexcept { return a = a + b; }
constexpr U256& operator-=(U256& a, const U256& b) noexcept { return a = a - b; }
constexpr U256 operator&(const U256& a, const U256& b) noexcept {
    return {a.w[3] & b.w[3], a.w[2] & b.w[2], a.w[1] & b.w[1], a.w[0] & b.w[0]};
}
constexpr U256 operator|(const U256& a, const U256& b) noexcept {
    return {a.w[3] | b.w[3], a.w[2] | b.w[2], a.w[1] | b.w[1], a.w[0] | b.w[0]};
}
constexpr U256 operator^(const U256& a, const U256& b) noexcept {
    return {a.w[3] ^ b.w[3], a.w[2] ^ b.w[2], a.w[1] ^ b.w[1], a.w[0] ^ b.w[0]};
}
constexpr U256 operator~(const U256& a) noexcept { return {~a.w[3], ~a.w[2], ~a.w[1], ~a.w[0]}; }

/// a * b; `overflow` is set when that exceeds 256 bits, and never cleared.
constexpr U256 mul_small(const U256& a, uint64_t b, bool& overflow) noexcept {
    U256 r;
    uint64_t carry = 0;
    for (int i = 0; i < 4; ++i) {
        const unsigned __int128 t = static_cast<unsigned __int128>(a.w[i]) * b + carry;
        r.w[i] = static_cast<uint64_t>(t);
        carry = static_cast<uint64_t>(t >> 64);
    }
    overflow = overflow || carry != 0;
    return r;
}

constexpr U256 operator*(const U256& a, const U256& b) noexcept {
    using u128 = unsigned __int128;
    U256 r;
    for (int i = 0; i < 4; ++i) {
        uint64_t carry = 0;
        for (int j = 0; i + j < 4; ++j) {
            const u128 t = static_cast<u128>(a.w[i]) * b.w[j] + r.w[i + j] + carry;
            r.w[i + j] = static_cast<uint64_t>(t);
            carry = static_cast<uint64_t>(t >> 64);
        }
    }
    return r;
}

/// Logical shifts; a shift of 256 or more gives zero. Written out by whole limbs, so that every limb
/// stays in a register.
constexpr U256 shl(const U256& a, uint64_t n) noexcept {
    if (n >= 256) { return {}; }
    const unsigned bits = n % 64;
    // (x >> 1) >> (63 - bits) is x >> (64 - bits), and zero for bits = 0.
    const uint64_t c0 = (a.w[0] >> 1) >> (63 - bits);
    const uint64_t c1 = (a.w[1] >> 1) >> (63 - bits);
    const uint64_t c2 = (a.w[2] >> 1) >> (63 - bits);
    switch (n / 64) {
        case 0: return {a.w[3] << bits | c2, a.w[2] << bits | c1, a.w[1] << bits | c0, a.w[0] << bits};
        case 1: return {a.w[2] << bits | c1, a.w[1] << bits | c0, a.w[0] << bits, 0};
        case 2: return {a.w[1] << bits | c0, a.w[0] << bits, 0, 0};
        default: return {a.w[0] << bits, 0, 0, 0};
    }
}
constexpr U256 shr(const U256& a, uint64_t n) noexcept {
    if (n >= 256) { return {}; }
    const unsigned bits = n % 64;
    const uint64_t c1 = (a.w[1] << 1) << (63 - bits);
    const uint64_t c2 = (a.w[2] << 1) << (63 - bits);
    const uint64_t c3 = (a.w[3] << 1) << (63 - bits);
    switch (n / 64) {
        case 0: return {a.w[3] >> bits, a.w[2] >> bits | c3, a.w[1] >> bits | c2, a.w[0] >> bits | c1};
        case 1: return {0, a.w[3] >> bits, a.w[2] >> bits | c3, a.w[1] >> bits | c2};
        case 2: return {0, 0, a.w[3] >> bits, a.w[2] >> bits | c3};
        default: return {0, 0, 0, a.w[3] >> bits};
    }
}
constexpr U256 operator<<(const U256& a, uint64_t n) noexcept { return shl(a, n); }
constexpr U256 operator>>(const U256& a, uint64_t n) noexcept { return shr(a, n); }

constexpr bool is_negative(const U256& a) noexcept { return (a.w[3] >> 63) != 0; }
constexpr U256 negate(const U256& a) noexcept { return U256{} - a; }

/// Signed less-than, two's complement (SLT).
constexpr bool signed_less(const U256& a, const U256& b) noexcept {
    return is_negative(a) == is_negative(b) ? a < b : is_negative(a);
}
/// Arithmetic right shift (SAR).
constexpr U256 sar(const U256& a, uint64_t n) noexcept {
    if (!is_negative(a)) { return shr(a, n); }
    if (n >= 256) { return U256::max(); }
    return n == 0 ? a : shr(a, n) | shl(U256::max(), 256 - n);
}
/// Number of leading zero bits, 256 for zero (EIP-7939).
constexpr unsigned count_leading_zeros(const U256& a) noexcept {
    for (int i = 3; i >= 0; --i) {
        if (a.w[i] != 0) { return static_cast<unsigned>((3 - i) * 64 + std::countl_zero(a.w[i])); }
    }
    return 256;
}
constexpr unsigned bit_length(const U256& a) noexcept { return 256 - count_leading_zeros(a); }
constexpr unsigned byte_length(const U256& a) noexcept { return (bit_length(a) + 7) / 8; }

struct DivResult {
    U256 quotient;
    U256 remainder;
};
/// Division; by zero gives quotient 0 and remainder 0 as the EVM asks.
DivResult div_rem(const U256& a, const U256& b) noexcept;
/// Signed division and remainder (SDIV, SMOD); the remainder has the sign of `a`.
U256 signed_div(const U256& a, const U256& b) noexcept;
U256 signed_mod(const U256& a, const U256& b) noexcept;
inline U256 operator/(const U256& a, const U256& b) noexcept { return div_rem(a, b).quotient; }
inline U256 operator%(const U256& a, const U256& b) noexcept { return div_rem(a, b).remainder; }
/// (a + b) mod m and (a * b) mod m over exact intermediates; zero when m is zero.
U256 add_mod(const U256& a, const U256& b, const U256& m) noexcept;
U256 mul_mod(const U256& a, const U256& b, const U256& m) noexcept;
/// A modulus of at least 2^192 with floor((2^512 - 1) / modulus), for many products by one modulus.
struct BarrettModulus {
    U256 modulus;
    uint64_t reciprocal[5] = {};
    /// `m` must be at least 2^192.
    void set(const U256& m) noexcept;
};
/// As mul_mod; `cached` is refilled when the modulus changes. Small moduli do not use it.
U256 mul_mod(const U256& a, const U256& b, const U256& m, BarrettModulus& cached) noexcept;
/// base ^ exponent mod 2^256.
U256 power(U256 base, const U256& exponent) noexcept;
/// Full product: returns the low half, the high half through `high`.
U256 mul_full(const U256& a, const U256& b, U256& high) noexcept;
/// SIGNEXTEND: extends from byte `index` (0 = least significant).
constexpr U256 sign_extend(const U256& index, const U256& v) noexcept {
    if (!index.fits_u64() || index.w[0] >= 31) { return v; }
    const uint64_t bit = index.w[0] * 8 + 7;
    const U256 mask = shl(U256::max(), bit + 1);
    const bool negative = ((v.w[bit / 64] >> (bit % 64)) & 1) != 0;
    return negative ? v | mask : v & ~mask;
}
/// BYTE: byte `index` counted from the most significant.
constexpr U256 byte_at(const U256& index, const U256& v) noexcept {
    if (!index.fits_u64() || index.w[0] >= 32) { return {}; }
    const uint64_t shift = (31 - index.w[0]) * 8;
    return {(v.w[shift / 64] >> (shift % 64)) & 0xff};
}

/// Big-endian conversions.
inline U256 load_be(const uint8_t* p) noexcept {
    U256 r;
    for (int i = 0; i < 4; ++i) {
        uint64_t v;
        std::memcpy(&v, p + 8 * (3 - i), 8);
        r.w[i] = __builtin_bswap64(v);
    }
    return r;
}
inline void store_be(const U256& v, uint8_t* p) noexcept {
    for (int i = 0; i < 4; ++i) {
        const uint64_t b = __builtin_bswap64(v.w[i]);
        std::memcpy(p + 8 * (3 - i), &b, 8);
    }
}
/// At most 32 big-endian bytes, shorter input is the low end.
inline U256 load_be(ByteView v) noexcept {
    uint8_t buf[32] = {};
    const size_t n = v.size() < 32 ? v.size() : 32;
    if (n != 0) { std::memcpy(buf + 32 - n, v.data() + (v.size() - n), n); }
    return load_be(buf);
}
inline Hash256 to_hash(const U256& v) noexcept {
    Hash256 h;
    store_be(v, h.data());
    return h;
}
inline U256 to_u256(const Hash256& h) noexcept { return load_be(h.data()); }
inline U256 to_u256(const Address& a) noexcept { return load_be(a.view()); }
/// The low 20 bytes.
inline Address to_address(const U256& v) noexcept {
    const Hash256 h = to_hash(v);
    return Address::from(h.view().subspan(12));
}

inline size_t hash_value(const U256& v) noexcept {
    return hash_bytes(reinterpret_cast<const uint8_t*>(v.w), sizeof v.w);
}

}  // namespace millrace

template <>
struct std::hash<millrace::U256> {
    size_t operator()(const millrace::U256& v) const noexcept { return hash_value(v); }
};
