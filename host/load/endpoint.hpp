// SPDX-License-Identifier: Apache-2.0
// Owns the address of a node's JSON-RPC and the rule that load stays on this machine.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "host/base/error.hpp"

namespace millrace::load {

/// Where JSON-RPC is spoken, without TLS.
struct Endpoint {
    bool websocket = false;
    std::string host;  ///< name or numeric address, IPv6 without brackets
    uint16_t port = 0;
    std::string target = "/";  ///< path and query

    /// What the Host header says.
    std::string authority() const;
    std::string url() const;
    /// "localhost", 127.0.0.0/8 and ::1; other names are not looked up.
    bool is_loopback() const noexcept;
    bool operator==(const Endpoint&) const = default;
};

/// Takes http://HOST[:PORT][/PATH] and ws://..; the port is 8545 when none is given. https and wss
/// are refused with a word on why.
Result<Endpoint> parse_endpoint(std::string_view url);

}  // namespace millrace::load
