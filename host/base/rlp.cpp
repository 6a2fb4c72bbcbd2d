// SPDX-License-Identifier: Apache-2.0
// Owns the implementation of RLP encoding and strict decoding.
#include "host/base/rlp.hpp"

#include <string>

namespace millrace::rlp {
namespace {

void append_length(Bytes& out, size_t n, uint8_t short_base, uint8_t long_base) {
    if (n <= 55) {
        out.push_back(static_cast<uint8_t>(short_base + n));
        return;
    }
    uint8_t be[8];
    int count = 0;
    for (size_t v = n; v != 0; v >>= 8) { be[count++] = static_cast<uint8_t>(v); }
    out.push_back(static_cast<uint8_t>(long_base + count));
    while (count > 0) { out.push_back(be[--count]); }
}

struct Header {
    bool is_list;
    size_t header_bytes;
    size_t payload_bytes;
};

std::unexpected<Error> bad(std::string what) {
    return fail(ErrorCode::invalid_input, "rlp: " + std::move(what));
}

Result<Header> parse_header(ByteView d) {
    if (d.empty()) { return bad("expected an item, found the end of the input"); }
    const uint8_t first = d[0];
    if (first < 0x80) { return Header{false, 0, 1}; }
    const bool is_list = first >= 0xc0;
    const uint8_t offset = is_list ? first - 0xc0 : first - 0x80;
    Header h{is_list, 1, offset};
    if (offset > 55) {
        const size_t len_bytes = offset - 55u;
        if (d.size() < 1 + len_bytes) { return bad("input ends within a length field"); }
        if (d[1] == 0) { return bad("length field has a leading zero"); }
        uint64_t n = 0;
        for (size_t i = 0; i < len_bytes; ++i) { n = n << 8 | d[1 + i]; }
        if (n <= 55) { return bad("long form used for a length of " + std::to_string(n)); }
        h.header_bytes = 1 + len_bytes;
        h.payload_bytes = n;
    }
    if (h.payload_bytes > d.size() - h.header_bytes) {
        return bad("item announces " + std::to_string(h.payload_bytes) + " bytes, " +
                   std::to_string(d.size() - h.header_bytes) + " are left");
    }
    if (!is_list && h.payload_bytes == 1 && h.header_bytes == 1 && d[1] < 0x80) {
        return bad("single byte below 0x80 carries a header");
    }
    return h;
}

}  // namespace

void append_bytes(Bytes& out, ByteView v) {
    if (v.size() == 1 && v[0] < 0x80) {
        out.push_back(v[0]);
        return;
    }
    append_length(out, v.size(), 0x80, 0xb7);
    out.insert(out.end(), v.begin(), v.end());
}

void append_u64(Bytes& out, uint64_t v) { append_u256(out, U256{v}); }

void append_u256(Bytes& out, const U256& v) {
    uint8_t be[32];
    store_be(v, be);
    const unsigned n = byte_length(v);
    append_bytes(out, {be + 32 - n, n});
}

void append_string_header(Bytes& out, size_t bytes) { append_length(out, bytes, 0x80, 0xb7); }

void append_list_header(Bytes& out, size_t payload_bytes) {
    append_length(out, payload_bytes, 0xc0, 0xf7);
}

void append_list(Bytes& out, ByteView payload) {
    append_list_header(out, payload.size());
    out.insert(out.end(), payload.begin(), payload.end());
}

Bytes list(ByteView payload) {
    Bytes out;
    out.reserve(payload.size() + 9);
    append_list(out, payload);
    return out;
}

Bytes encode(ByteView v) {
    Bytes out;
    append_bytes(out, v);
    return out;
}

Bytes encode(const U256& v) {
    Bytes out;
    append_u256(out, v);
    return out;
}

Result<ByteView> Reader::bytes() {
    MILLRACE_TRY(const Header h, parse_header(data_));
    if (h.is_list) { return bad("expected a byte string, found a list"); }
    const ByteView v = data_.subspan(h.header_bytes, h.payload_bytes);
    data_ = data_.subspan(h.header_bytes + h.payload_bytes);
    return v;
}

Result<Reader> Reader::list() {
    MILLRACE_TRY(const Header h, parse_header(data_));
    if (!h.is_list) { return bad("expected a list, found a byte string"); }
    const ByteView v = data_.subspan(h.header_bytes, h.payload_bytes);
    data_ = data_.subspan(h.header_bytes + h.payload_bytes);
    return Reader{v};
}

Result<ByteView> Reader::raw_item() {
    MILLRACE_TRY(const Header h, parse_header(data_));
    const ByteView v = data_.first(h.header_bytes + h.payload_bytes);
    data_ = data_.subspan(v.size());
    return v;
}

Result<uint64_t> Reader::u64() {
    MILLRACE_TRY(const U256 v, u256());
    if (!v.fits_u64()) { return bad("integer exceeds 64 bits"); }
    return v.low64();
}

Result<U256> Reader::u256() {
    MILLRACE_TRY(const ByteView b, bytes());
    if (b.size() > 32) { return bad("integer exceeds 256 bits"); }
    if (!b.empty() && b[0] == 0) { return bad("integer has a leading zero"); }
    return load_be(b);
}

Result<void> Reader::end() const {
    if (!data_.empty()) {
        return bad(std::to_string(data_.size()) + " bytes left after the last item");
    }
    return {};
}

Result<size_t> Reader::count() const {
    Reader r = *this;
    size_t n = 0;
    while (!r.at_end()) {
        MILLRACE_CHECK(r.raw_item());
        ++n;
    }
    return n;
}

std::unexpected<Error> Reader::wrong_length(size_t expected, size_t got) {
    return bad("expected " + std::to_string(expected) + " bytes, found " + std::to_string(got));
}

Result<Reader> read_list(ByteView data) {
    Reader outer{data};
    MILLRACE_TRY(const Reader inner, outer.list());
    MILLRACE_CHECK(outer.end());
    return inner;
}

}  // namespace millrace::rlp
