// SPDX-License-Identifier: Apache-2.0
// Owns what all connections of a server share, and the making of one from a socket.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_map>

#include <boost/asio/ip/tcp.hpp>

#include "net/rpc/detail/asio_runtime.hpp"
#include "net/rpc/rpc_service.hpp"

namespace millrace::net::detail {

using tcp = asio::ip::tcp;
using Socket = asio::basic_stream_socket<tcp, Strand>;

/// An open HTTP or WebSocket connection.
class Connection {
public:
    virtual ~Connection() = default;
    /// Says goodbye and closes, soon. Any thread.
    virtual void leave() = 0;
    /// Closes the socket at once. Only when no network thread runs.
    virtual void cut() = 0;
};

/// Shared by the server and its connections; lives until the last callback of the node is gone.
struct ServerCore {
    ServerCore(RpcOptions options_in, NodeApi& node_in, metrics::Registry& registry_in);

    const RpcOptions options;
    NodeApi& node;
    metrics::Registry& registry;
    std::shared_ptr<AsioRuntime> runtime;
    std::shared_ptr<RpcService> service;

    metrics::Gauge& http_connections;
    metrics::Gauge& ws_connections;
    metrics::Counter& refused_connections;
    metrics::Counter& slow_subscribers;
    std::atomic<bool> stopping{false};
    std::atomic<size_t> open_answers{0};  ///< messages taken and not answered

    void add(std::shared_ptr<Connection> connection);
    void remove(const Connection* connection);
    std::vector<std::shared_ptr<Connection>> all();
    size_t count();

private:
    std::mutex mutex_;  ///< guards open_
    std::unordered_map<const Connection*, std::shared_ptr<Connection>> open_;
};

/// Serves a fresh socket until it closes.
void serve_socket(Socket socket, std::shared_ptr<ServerCore> core);
/// Answers 503 and closes.
void refuse_socket(Socket socket);

}  // namespace millrace::net::detail
