// SPDX-License-Identifier: Apache-2.0
// Owns the server that speaks JSON-RPC over HTTP and WebSocket on one port.
#pragma once

#include <cstdint>
#include <memory>

#include "host/base/error.hpp"
#include "host/base/metrics.hpp"
#include "net/node_api.hpp"
#include "net/rpc/rpc_options.hpp"

namespace millrace::net {

/// POST / takes JSON-RPC (single or batch), GET with an upgrade opens a WebSocket for the same and
/// for eth_subscribe. GET /livez, /readyz and /metrics answer operators on any host name.
/// `node` and `registry` outlive the server. Not restartable.
class RpcServer {
public:
    RpcServer(RpcOptions options, NodeApi& node, metrics::Registry& registry);
    ~RpcServer();
    RpcServer(const RpcServer&) = delete;
    RpcServer& operator=(const RpcServer&) = delete;

    /// Binds, listens and starts the threads. Fails with `config` on an address that is none, with
    /// `unavailable` when the port is in use, with `io` otherwise.
    Result<void> start();
    /// The bound port, after start.
    uint16_t port() const noexcept;
    /// Stops intake, ends waits with an error, gives open answers a moment (half a second at most),
    /// closes connections and joins all threads. After it returns nothing of the server runs and
    /// the node's callbacks do nothing. Safe to call twice.
    void stop();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace millrace::net
