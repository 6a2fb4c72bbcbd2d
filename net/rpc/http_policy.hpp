// SPDX-License-Identifier: Apache-2.0
// Owns who may call: host names, origins and content types, by the rules that geth users know.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace millrace::net {

/// Whether a request naming `host` ("name", "name:port", "[::1]:port") is for us: any IP address,
/// and the names in `vhosts` ("*": all), without regard to case. An absent Host passes (HTTP/1.0).
/// This is what stops DNS rebinding.
bool host_allowed(std::string_view host, const std::vector<std::string>& vhosts);

/// Whether a browser page of `origin` may read our answers: listed in `domains`, where "*" is all
/// and one `*` in an entry matches any text.
bool cors_allowed(std::string_view origin, const std::vector<std::string>& domains);

/// Whether a WebSocket handshake may proceed. An absent Origin (no browser) passes. An entry may be
/// "*", "scheme://host[:port]", "host[:port]" or "scheme://host" for every port. With no entries
/// http and https on localhost pass.
bool ws_origin_allowed(std::string_view origin, const std::vector<std::string>& allowed);

/// Whether the media type is one of JSON-RPC. Others are refused, so that a web page cannot call
/// without a CORS preflight.
bool json_content_type(std::string_view content_type);

}  // namespace millrace::net
