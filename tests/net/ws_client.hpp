// SPDX-License-Identifier: Apache-2.0
// Owns a WebSocket client for tests.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace millrace::net::testing {

/// Blocking, one thread. Every wait ends after ten seconds.
class WsClient {
public:
    /// Connects to a port of this machine; `connected` tells whether the handshake passed.
    explicit WsClient(uint16_t port, std::string_view origin = "");
    ~WsClient();

    bool connected() const noexcept;
    /// The HTTP status of a refused handshake.
    unsigned handshake_status() const noexcept;
    bool send(std::string_view text);
    /// The next message; nothing when the connection has ended or time is up.
    std::optional<std::string> receive();
    /// Sends and receives.
    std::string ask(std::string_view text);
    /// After the end: what the server gave as its reason, and its code.
    std::string close_reason() const;
    unsigned close_code() const;

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::net::testing
