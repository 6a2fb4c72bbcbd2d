// SPDX-License-Identifier: Apache-2.0
// Owns the parsing of Host and Origin headers.
#include "net/rpc/http_policy.hpp"

#include <algorithm>
#include <array>

#include <arpa/inet.h>

namespace millrace::net {

namespace {

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool same_text(std::string_view a, std::string_view b) {
    return std::ranges::equal(a, b, [](char x, char y) { return lower(x) == lower(y); });
}

bool is_ip(std::string_view host) {
    std::array<unsigned char, sizeof(in6_addr)> address;
    const std::string text(host);
    return inet_pton(AF_INET, text.c_str(), address.data()) == 1 ||
           inet_pton(AF_INET6, text.c_str(), address.data()) == 1;
}

/// Without port and brackets.
std::string_view bare_host(std::string_view host) {
    if (host.starts_with('[')) {
        const size_t end = host.find(']');
        return end == std::string_view::npos ? host : host.substr(1, end - 1);
    }
    const size_t colon = host.rfind(':');
    if (colon == std::string_view::npos || host.find(':') != colon) { return host; }
    return host.substr(0, colon);
}

struct Origin {
    std::string_view scheme;  ///< may be empty
    std::string_view host;    ///< with port
    std::string_view name;    ///< without
};

Origin split_origin(std::string_view text) {
    Origin out;
    if (const size_t end = text.find("://"); end != std::string_view::npos) {
        out.scheme = text.substr(0, end);
        text.remove_prefix(end + 3);
    }
    out.host = text;
    out.name = bare_host(text);
    return out;
}

bool origin_matches(const Origin& origin, std::string_view rule_text) {
    const Origin rule = split_origin(rule_text);
    if (!rule.scheme.empty() && !same_text(rule.scheme, origin.scheme)) { return false; }
    // A rule without port is for every port.
    return rule.host == rule.name ? same_text(rule.name, origin.name)
                                  : same_text(rule.host, origin.host);
}

}  // namespace

bool host_allowed(std::string_view host, const std::vector<std::string>& vhosts) {
    if (host.empty()) { return true; }
    const std::string_view name = bare_host(host);
    return is_ip(name) || std::ranges::any_of(vhosts, [&](const std::string& allowed) {
               return allowed == "*" || same_text(allowed, name);
           });
}

bool cors_allowed(std::string_view origin, const std::vector<std::string>& domains) {
    if (origin.empty()) { return false; }
    return std::ranges::any_of(domains, [&](const std::string& rule) {
        const size_t star = rule.find('*');
        if (star == std::string::npos) { return same_text(rule, origin); }
        const std::string_view head = std::string_view(rule).substr(0, star);
        const std::string_view tail = std::string_view(rule).substr(star + 1);
        return origin.size() >= head.size() + tail.size() &&
               same_text(origin.substr(0, head.size()), head) &&
               same_text(origin.substr(origin.size() - tail.size()), tail);
    });
}

bool ws_origin_allowed(std::string_view origin, const std::vector<std::string>& allowed) {
    if (origin.empty()) { return true; }
    const Origin seen = split_origin(origin);
    if (allowed.empty()) {
        return origin_matches(seen, "http://localhost") ||
               origin_matches(seen, "https://localhost");
    }
    return std::ranges::any_of(allowed, [&](const std::string& rule) {
        return rule == "*" || origin_matches(seen, rule);
    });
}

bool json_content_type(std::string_view content_type) {
    std::string_view type = content_type.substr(0, content_type.find(';'));
    while (!type.empty() && (type.back() == ' ' || type.back() == '\t')) { type.remove_suffix(1); }
    return same_text(type, "application/json") || same_text(type, "application/json-rpc") ||
           same_text(type, "application/jsonrequest");
}

}  // namespace millrace::net
