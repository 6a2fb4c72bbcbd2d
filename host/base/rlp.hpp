// SPDX-License-Identifier: Apache-2.0
// Owns RLP (yellow paper, appendix B): appending encoder and strict, bounds-checked decoder.
#pragma once

#include "host/base/error.hpp"
#include "host/base/types.hpp"
#include "host/base/u256.hpp"

namespace millrace::rlp {

// --- Encoding: every function appends to `out`. ---

void append_bytes(Bytes& out, ByteView v);
void append_u64(Bytes& out, uint64_t v);
void append_u256(Bytes& out, const U256& v);
template <size_t N>
void append_fixed(Bytes& out, const FixedBytes<N>& v) {
    append_bytes(out, v.view());
}
/// Header of a byte string of `bytes` bytes, which must not be a single one below 0x80.
void append_string_header(Bytes& out, size_t bytes);
/// Header of a list whose encoded items take `payload_bytes`.
void append_list_header(Bytes& out, size_t payload_bytes);
/// A whole list from its already encoded items.
void append_list(Bytes& out, ByteView payload);
/// As append_list, into a new string.
Bytes list(ByteView payload);
Bytes encode(ByteView v);
Bytes encode(const U256& v);

// --- Decoding ---

/// A cursor over a sequence of encoded items. Strict: only canonical encodings are accepted
/// (shortest length form, single bytes below 0x80 as themselves). Views point into the input.
class Reader {
public:
    explicit Reader(ByteView data) noexcept : data_(data) {}

    bool at_end() const noexcept { return data_.empty(); }
    ByteView rest() const noexcept { return data_; }
    /// True when the next item is a list. False at the end.
    bool next_is_list() const noexcept { return !data_.empty() && data_[0] >= 0xc0; }

    Result<ByteView> bytes();
    Result<Reader> list();
    /// The next item with its header, whatever it is.
    Result<ByteView> raw_item();
    /// Integers: no leading zeros, fit the type.
    Result<uint64_t> u64();
    Result<U256> u256();
    template <size_t N>
    Result<FixedBytes<N>> fixed() {
        MILLRACE_TRY(const ByteView b, bytes());
        if (b.size() != N) { return wrong_length(N, b.size()); }
        return FixedBytes<N>::from(b);
    }
    Result<Hash256> hash() { return fixed<32>(); }
    Result<Address> address() { return fixed<20>(); }
    /// Fails when something is left.
    Result<void> end() const;
    /// Number of items left; fails when one is malformed.
    Result<size_t> count() const;

private:
    static std::unexpected<Error> wrong_length(size_t expected, size_t got);
    ByteView data_;
};

/// A whole input that is one list with nothing after it.
Result<Reader> read_list(ByteView data);

}  // namespace millrace::rlp
