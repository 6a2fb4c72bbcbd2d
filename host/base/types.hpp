// SPDX-License-Identifier: Apache-2.0
// Owns the byte-string types that every part of the node shares: Bytes, ByteView, Hash256, Address.
#pragma once

#include <algorithm>
#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <functional>
#include <span>
#include <string_view>
#include <vector>

namespace millrace {

using Bytes = std::vector<uint8_t>;
using ByteView = std::span<const uint8_t>;

/// A byte string of fixed length. Trivially copyable; compares lexicographically (big-endian
/// order).
template <size_t N>
struct FixedBytes {
    std::array<uint8_t, N> bytes{};

    static constexpr size_t size_bytes = N;

    constexpr uint8_t* data() noexcept { return bytes.data(); }
    constexpr const uint8_t* data() const noexcept { return bytes.data(); }
    static constexpr size_t size() noexcept { return N; }
    constexpr auto begin() const noexcept { return bytes.begin(); }
    constexpr auto end() const noexcept { return bytes.end(); }
    constexpr uint8_t& operator[](size_t i) noexcept { return bytes[i]; }
    constexpr uint8_t operator[](size_t i) const noexcept { return bytes[i]; }
    constexpr ByteView view() const noexcept { return {bytes.data(), N}; }

    constexpr bool operator==(const FixedBytes&) const noexcept = default;
    constexpr auto operator<=>(const FixedBytes&) const noexcept = default;

    constexpr bool is_zero() const noexcept {
        return std::all_of(bytes.begin(), bytes.end(), [](uint8_t b) { return b == 0; });
    }

    /// Copies exactly N bytes; `from.size()` must be N.
    static constexpr FixedBytes from(ByteView from) noexcept {
        FixedBytes out;
        std::copy_n(from.begin(), std::min(from.size(), N), out.bytes.begin());
        return out;
    }
};

using Hash256 = FixedBytes<32>;
using Address = FixedBytes<20>;

inline ByteView as_bytes(std::string_view text) noexcept {
    return {reinterpret_cast<const uint8_t*>(text.data()), text.size()};
}

/// Seed of every in-memory hash table. `host/node` randomises it once at start-up, before any
/// table exists, so that chosen addresses cannot be ground into one bucket. It never reaches a
/// root, a receipt or the disk.
inline uint64_t hash_seed = 0x9e3779b97f4a7c15ull;

/// Mixes byte strings of 20, 32 or other lengths for hash tables (not cryptographic; keyed by
/// hash_seed).
inline size_t hash_bytes(const uint8_t* p, size_t n) noexcept {
    uint64_t h = hash_seed ^ (n * 0x9e3779b97f4a7c15ull);
    auto mix = [](uint64_t a, uint64_t b) {
        unsigned __int128 m = static_cast<unsigned __int128>(a) * b;
        return static_cast<uint64_t>(m) ^ static_cast<uint64_t>(m >> 64);
    };
    while (n >= 8) {
        uint64_t w;
        std::memcpy(&w, p, 8);
        h = mix(h ^ w, 0xa0761d6478bd642full ^ hash_seed);
        p += 8;
        n -= 8;
    }
    if (n != 0) {
        uint64_t w = 0;
        std::memcpy(&w, p, n);
        h = mix(h ^ w, 0xe7037ed1a0b428dbull ^ hash_seed);
    }
    return static_cast<size_t>(mix(h, 0x8ebc6af09c88c6e3ull));
}

template <size_t N>
inline size_t hash_value(const FixedBytes<N>& v) noexcept {
    return hash_bytes(v.data(), N);
}

}  // namespace millrace

template <size_t N>
struct std::hash<millrace::FixedBytes<N>> {
    size_t operator()(const millrace::FixedBytes<N>& v) const noexcept { return hash_value(v); }
};
