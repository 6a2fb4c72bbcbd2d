// SPDX-License-Identifier: Apache-2.0
// Owns the reading of endpoint URLs.
#include "host/load/endpoint.hpp"

#include <algorithm>
#include <charconv>

namespace millrace::load {

namespace {

constexpr uint16_t usual_port = 8545;

std::unexpected<Error> bad_url(std::string_view url, const std::string& why) {
    return fail(ErrorCode::invalid_input, "'" + std::string(url) + "' is no endpoint: " + why +
                                              "; give http://HOST:PORT or ws://HOST:PORT");
}

bool is_ipv4_loopback(std::string_view host) {
    // 127.a.b.c in digits; a name such as 127.example.org is none.
    const bool digits =
        std::ranges::all_of(host, [](char c) { return c == '.' || (c >= '0' && c <= '9'); });
    return digits && host.starts_with("127.") && std::ranges::count(host, '.') == 3;
}

}  // namespace

std::string Endpoint::authority() const {
    const bool six = host.find(':') != std::string::npos;
    return (six ? "[" + host + "]" : host) + ":" + std::to_string(port);
}

std::string Endpoint::url() const {
    return (websocket ? "ws://" : "http://") + authority() + (target == "/" ? "" : target);
}

bool Endpoint::is_loopback() const noexcept {
    return host == "localhost" || host == "::1" || is_ipv4_loopback(host);
}

Result<Endpoint> parse_endpoint(std::string_view url) {
    Endpoint out;
    std::string_view rest = url;
    if (rest.starts_with("http://")) {
        rest.remove_prefix(7);
    } else if (rest.starts_with("ws://")) {
        out.websocket = true;
        rest.remove_prefix(5);
    } else if (rest.starts_with("https://") || rest.starts_with("wss://")) {
        return bad_url(url, "TLS is not spoken here, its cost would be part of every figure");
    } else {
        return bad_url(url, "it starts with neither http:// nor ws://");
    }
    const size_t slash = std::min(rest.find_first_of("/?"), rest.size());
    std::string_view authority = rest.substr(0, slash);
    if (slash < rest.size()) {
        out.target = rest[slash] == '?' ? "/" : "";
        out.target += rest.substr(slash);
    }
    const bool printable = std::ranges::all_of(rest, [](char c) { return c > ' ' && c < 0x7f; });
    if (!printable) { return bad_url(url, "it has characters that a URL cannot have"); }
    std::string_view port;
    if (authority.starts_with('[')) {
        const size_t end = authority.find(']');
        if (end == std::string_view::npos) { return bad_url(url, "']' is missing"); }
        out.host = authority.substr(1, end - 1);
        port = authority.substr(end + 1);
    } else {
        const size_t colon = std::min(authority.find(':'), authority.size());
        out.host = authority.substr(0, colon);
        port = authority.substr(colon);
    }
    if (out.host.empty() || out.host.find('@') != std::string::npos) {
        return bad_url(url, "the host is missing or has a user name");
    }
    out.port = usual_port;
    if (!port.empty()) {
        const char* end = port.data() + port.size();
        const auto parsed = std::from_chars(port.data() + 1, end, out.port);
        if (port[0] != ':' || parsed.ec != std::errc{} || parsed.ptr != end || out.port == 0) {
            return bad_url(url, "the port is not a number from 1 to 65535");
        }
    }
    return out;
}

}  // namespace millrace::load
