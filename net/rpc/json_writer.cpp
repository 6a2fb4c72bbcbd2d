// SPDX-License-Identifier: Apache-2.0
// Owns the escaping of JSON strings and the digits of JSON numbers.
#include "net/rpc/json_writer.hpp"

#include <charconv>
#include <cmath>

namespace millrace::net {

namespace {

constexpr char digits[] = "0123456789abcdef";

/// Length of the valid UTF-8 sequence at the start of `s` (RFC 3629), 0 when there is none.
size_t utf8_length(std::string_view s) noexcept {
    const auto at = [&](size_t i) { return static_cast<uint8_t>(s[i]); };
    const uint8_t lead = at(0);
    if (lead < 0x80) { return 1; }
    const size_t n = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    if (lead < 0xc2 || lead > 0xf4 || s.size() < n) { return 0; }
    for (size_t i = 1; i < n; ++i) {
        if ((at(i) & 0xc0) != 0x80) { return 0; }
    }
    // Overlong forms, surrogates and what lies above U+10FFFF.
    if ((lead == 0xe0 && at(1) < 0xa0) || (lead == 0xed && at(1) > 0x9f) ||
        (lead == 0xf0 && at(1) < 0x90) || (lead == 0xf4 && at(1) > 0x8f)) {
        return 0;
    }
    return n;
}

void append_control(std::string& out, uint8_t c) {
    switch (c) {
        case '\n': out += "\\n"; return;
        case '\r': out += "\\r"; return;
        case '\t': out += "\\t"; return;
        default:
            out += "\\u00";
            out += digits[c >> 4];
            out += digits[c & 15];
    }
}

void append_escaped(std::string& out, std::string_view text) {
    size_t i = 0;
    while (i < text.size()) {
        const auto c = static_cast<uint8_t>(text[i]);
        if (c == '"' || c == '\\') {
            out += '\\';
            out += text[i++];
        } else if (c < 0x20 || c == 0x7f) {
            append_control(out, c);
            ++i;
        } else if (const size_t n = utf8_length(text.substr(i)); n != 0) {
            out.append(text.substr(i, n));
            i += n;
        } else {
            out += "\xef\xbf\xbd";
            ++i;
        }
    }
}

}  // namespace

void JsonWriter::separate() {
    if (comma_) { out_ += ','; }
    comma_ = true;
}

void JsonWriter::open(char c) {
    separate();
    out_ += c;
    comma_ = false;
}

void JsonWriter::close(char c) {
    out_ += c;
    comma_ = true;
}

void JsonWriter::key(std::string_view name) {
    separate();
    out_ += '"';
    append_escaped(out_, name);
    out_ += "\":";
    comma_ = false;
}

void JsonWriter::text(std::string_view v) {
    separate();
    out_ += '"';
    append_escaped(out_, v);
    out_ += '"';
}

void JsonWriter::number(double v) {
    char buffer[32];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, std::isfinite(v) ? v : 0.0).ptr;
    raw({buffer, static_cast<size_t>(end - buffer)});
}

void JsonWriter::quantity(uint64_t v) {
    char buffer[16];
    const auto end = std::to_chars(buffer, buffer + sizeof buffer, v, 16).ptr;
    separate();
    out_ += "\"0x";
    out_.append(buffer, end);
    out_ += '"';
}

void JsonWriter::quantity(const U256& v) {
    if (v.fits_u64()) {
        quantity(v.low64());
        return;
    }
    separate();
    out_ += "\"0x";
    for (unsigned nibble = (bit_length(v) + 3) / 4; nibble-- > 0;) {
        out_ += digits[(v.w[nibble / 16] >> (4 * (nibble % 16))) & 15];
    }
    out_ += '"';
}

void JsonWriter::data(ByteView v) {
    separate();
    const size_t start = out_.size();
    out_.resize(start + 4 + 2 * v.size());
    char* p = out_.data() + start;
    *p++ = '"';
    *p++ = '0';
    *p++ = 'x';
    for (const uint8_t b : v) {
        *p++ = digits[b >> 4];
        *p++ = digits[b & 15];
    }
    *p = '"';
}

void JsonWriter::raw(std::string_view json) {
    separate();
    out_ += json;
}

std::string json_quoted(std::string_view text) {
    std::string out = "\"";
    append_escaped(out, text);
    out += '"';
    return out;
}

}  // namespace millrace::net
