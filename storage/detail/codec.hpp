// SPDX-License-Identifier: Apache-2.0
// Owns the primitives of the formats on the disk: little-endian integers, counted byte strings and
// minimal 256-bit integers, with a reader that checks every bound.
#pragma once

#include <bit>
#include <cstring>
#include <string>
#include <string_view>

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::storage::detail {

static_assert(std::endian::native == std::endian::little, "formats are copied as they are");

class Writer {
public:
    explicit Writer(Bytes& out) noexcept : out_(out) {}

    void u8(uint8_t v) { out_.push_back(v); }
    void u16(uint16_t v) { integer(v); }
    void u32(uint32_t v) { integer(v); }
    void u64(uint64_t v) { integer(v); }
    void raw(ByteView v) { out_.insert(out_.end(), v.begin(), v.end()); }
    template <size_t N>
    void fixed(const FixedBytes<N>& v) {
        raw(v.view());
    }
    /// Length as u32, then the bytes.
    void bytes(ByteView v) {
        MILLRACE_ASSERT(v.size() <= UINT32_MAX, "a counted byte string stays below 4 GiB");
        u32(static_cast<uint32_t>(v.size()));
        raw(v);
    }
    /// Length as u8, then that many big-endian bytes without leading zeros.
    void u256(const U256& v) {
        uint8_t be[32];
        store_be(v, be);
        const unsigned n = byte_length(v);
        u8(static_cast<uint8_t>(n));
        raw({be + 32 - n, n});
    }
    void count(size_t n) {
        MILLRACE_ASSERT(n <= UINT32_MAX, "a count fits 32 bits");
        u32(static_cast<uint32_t>(n));
    }

private:
    template <class T>
    void integer(T v) {
        uint8_t b[sizeof v];
        std::memcpy(b, &v, sizeof v);
        raw(b);
    }
    Bytes& out_;
};

/// Views point into the input. `what` names the input in messages and must outlive the reader.
class Reader {
public:
    Reader(ByteView data, std::string_view what) noexcept : data_(data), what_(what) {}

    size_t left() const noexcept { return data_.size(); }
    std::unexpected<Error> bad(const std::string& why) const {
        return fail(ErrorCode::invalid_input, std::string{what_} + ": " + why);
    }

    Result<ByteView> raw(size_t n) {
        if (data_.size() < n) {
            return bad("needs " + std::to_string(n) + " more bytes, " +
                       std::to_string(data_.size()) + " are left");
        }
        const ByteView v = data_.first(n);
        data_ = data_.subspan(n);
        return v;
    }
    Result<uint8_t> u8() { return integer<uint8_t>(); }
    Result<uint16_t> u16() { return integer<uint16_t>(); }
    Result<uint32_t> u32() { return integer<uint32_t>(); }
    Result<uint64_t> u64() { return integer<uint64_t>(); }
    template <size_t N>
    Result<FixedBytes<N>> fixed() {
        MILLRACE_TRY(const ByteView v, raw(N));
        return FixedBytes<N>::from(v);
    }
    Result<Hash256> hash() { return fixed<32>(); }
    Result<Address> address() { return fixed<20>(); }
    Result<ByteView> bytes() {
        MILLRACE_TRY(const uint32_t n, u32());
        return raw(n);
    }
    Result<Bytes> owned_bytes() {
        MILLRACE_TRY(const ByteView v, bytes());
        return Bytes{v.begin(), v.end()};
    }
    Result<U256> u256() {
        MILLRACE_TRY(const uint8_t n, u8());
        if (n > 32) { return bad("an integer of " + std::to_string(n) + " bytes"); }
        MILLRACE_TRY(const ByteView v, raw(n));
        if (n != 0 && v[0] == 0) { return bad("an integer with a leading zero"); }
        return load_be(v);
    }
    /// A count of items that take at least `item_bytes_min` bytes each, so that the memory reserved
    /// for them is bounded by the input.
    Result<size_t> count(size_t item_bytes_min) {
        MILLRACE_TRY(const uint32_t n, u32());
        if (n > data_.size() / item_bytes_min) {
            return bad("announces " + std::to_string(n) + " items in " +
                       std::to_string(data_.size()) + " bytes");
        }
        return size_t{n};
    }
    Result<void> end() const {
        if (!data_.empty()) { return bad(std::to_string(data_.size()) + " bytes left at the end"); }
        return {};
    }

private:
    template <class T>
    Result<T> integer() {
        MILLRACE_TRY(const ByteView v, raw(sizeof(T)));
        T x;
        std::memcpy(&x, v.data(), sizeof x);
        return x;
    }
    ByteView data_;
    std::string_view what_;
};

}  // namespace millrace::storage::detail
