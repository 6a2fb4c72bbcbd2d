// SPDX-License-Identifier: Apache-2.0
// Owns the one translation unit of Boost.JSON and conversions from its values.
#include "host/node/json.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <vector>

#include <boost/json/src.hpp>

#include "host/base/hex.hpp"

namespace millrace::node {
namespace {

std::unexpected<Error> bad(std::string_view what, std::string_view why) {
    return fail(ErrorCode::invalid_input, std::string(what) + ": " + std::string(why));
}

template <class T>
Result<T> named(Result<T> r, std::string_view what) {
    if (!r) { return bad(what, r.error().message); }
    return r;
}

}  // namespace

Result<std::string> read_file(const std::string& path) {
    // A stream of the standard library throws when the file is a directory.
    const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::fopen(path.c_str(), "rb"),
                                                               &std::fclose};
    if (file == nullptr) {
        return fail(ErrorCode::io, "cannot open " + path + ": " + std::strerror(errno));
    }
    std::string text;
    std::vector<char> buffer(size_t{1} << 16);
    while (const size_t n = std::fread(buffer.data(), 1, buffer.size(), file.get())) {
        text.append(buffer.data(), n);
    }
    if (std::ferror(file.get()) != 0) {
        return fail(ErrorCode::io, "cannot read " + path + ": " + std::strerror(errno));
    }
    return text;
}

Result<boost::json::value> parse_json(std::string_view text, std::string_view origin) {
    boost::json::error_code ec;
    boost::json::stream_parser p;
    const size_t n = p.write_some(text.data(), text.size(), ec);
    if (!ec && n < text.size() && text.find_first_not_of(" \t\r\n", n) != std::string_view::npos) {
        return fail(ErrorCode::invalid_input,
                    std::string(origin) + ": unexpected text after the JSON value, at byte " +
                        std::to_string(n));
    }
    if (!ec) { p.finish(ec); }
    if (ec) {
        return fail(ErrorCode::invalid_input, std::string(origin) + ": not valid JSON at byte " +
                                                  std::to_string(n) + ": " + ec.message());
    }
    return p.release();
}

Result<boost::json::value> read_json_file(const std::string& path) {
    MILLRACE_TRY(const std::string text, read_file(path));
    return parse_json(text, path);
}

const boost::json::value* find(const boost::json::value& object, std::string_view key) {
    const auto* o = object.if_object();
    return o == nullptr ? nullptr : o->if_contains(key);
}

Result<U256> json_u256(const boost::json::value& v, std::string_view what) {
    if (const auto* s = v.if_string()) {
        return named(u256_from_text({s->data(), s->size()}), what);
    }
    if (const auto* u = v.if_uint64()) { return U256{*u}; }
    if (const auto* i = v.if_int64(); i != nullptr && *i >= 0) {
        return U256{static_cast<uint64_t>(*i)};
    }
    return bad(what, "expected a number");
}

Result<uint64_t> json_u64(const boost::json::value& v, std::string_view what) {
    MILLRACE_TRY(const U256 n, json_u256(v, what));
    if (!n.fits_u64()) { return bad(what, "number exceeds 64 bits"); }
    return n.low64();
}

Result<Bytes> json_bytes(const boost::json::value& v, std::string_view what) {
    const auto* s = v.if_string();
    if (s == nullptr) { return bad(what, "expected a hex string"); }
    return named(from_hex({s->data(), s->size()}), what);
}

Result<Address> json_address(const boost::json::value& v, std::string_view what) {
    const auto* s = v.if_string();
    if (s == nullptr) { return bad(what, "expected an address"); }
    return named(address_from_hex({s->data(), s->size()}), what);
}

Result<Hash256> json_hash(const boost::json::value& v, std::string_view what) {
    MILLRACE_TRY(const U256 n, json_u256(v, what));
    return to_hash(n);
}

}  // namespace millrace::node
