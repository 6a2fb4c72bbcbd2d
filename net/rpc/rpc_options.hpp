// SPDX-License-Identifier: Apache-2.0
// Owns the settings and limits of the RPC server.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace millrace::net {

/// Every limit is fixed at start. What a client sees when it meets one is said beside it. Whether
/// development methods answer is the node's choice (NodeApi::dev), not a setting here.
struct RpcOptions {
    // --- Where ---
    std::string address = "127.0.0.1";  ///< numeric IPv4 or IPv6 address
    uint16_t port = 8545;               ///< HTTP and WebSocket; 0 picks a free one
    bool http_enabled = true;           ///< JSON-RPC over POST; health and metrics stay either way
    bool ws_enabled = true;

    // --- Who ---
    /// Origins that browsers may call from (`--http.corsdomain`); "*" for all; one `*` inside an
    /// entry matches anything. Empty: no CORS headers.
    std::vector<std::string> cors_domains;
    /// Host names that HTTP requests may name (`--http.vhosts`); "*" for all. IP addresses always
    /// may.
    std::vector<std::string> vhosts = {"localhost"};
    /// Origins of WebSocket handshakes (`--ws.origins`); "*" for all. Requests without an Origin
    /// always pass; empty means http and https on localhost.
    std::vector<std::string> ws_origins;

    // --- Threads ---
    unsigned io_threads = 2;         ///< sockets and cheap methods
    unsigned worker_threads = 4;     ///< methods that read the chain or run code
    size_t worker_queue_max = 4096;  ///< requests waiting for a worker; full: -32005

    // --- Connections ---
    size_t connections_max = 1024;                           ///< more: HTTP 503 and closed
    size_t header_bytes_max = 16 * 1024;                     ///< more: 431
    size_t request_bytes_max = 5 * 1024 * 1024;              ///< more: 413, WebSocket close 1009
    size_t requests_in_flight_bytes_max = 64 * 1024 * 1024;  ///< all bodies together; full: -32005
    size_t outstanding_per_connection_max = 128;  ///< WebSocket requests; full: reading pauses
    size_t ws_send_buffer_bytes_max = 32 * 1024 * 1024;  ///< more: close 1008 with the reason
    uint32_t idle_timeout_ms = 120'000;                  ///< between two requests of a connection
    uint32_t header_timeout_ms = 10'000;  ///< from the first byte of a request to its last header
    uint32_t body_timeout_ms = 30'000;    ///< and from there to its last byte
    uint32_t write_timeout_ms = 30'000;
    uint32_t ws_ping_after_ms = 30'000;  ///< of silence; closed after as much again

    // --- Requests ---
    size_t batch_items_max = 1000;           ///< more: -32600
    size_t response_bytes_max = 25'000'000;  ///< of a batch or one answer: -32003
    unsigned json_depth_max = 64;            ///< deeper: -32700
    uint64_t logs_blocks_max = 100'000;      ///< range of one log query: -32005
    uint64_t logs_results_max = 20'000;      ///< logs of one query: -32005
    uint64_t fee_history_blocks_max = 1024;  ///< silently cut, as geth does
    uint32_t sync_timeout_ms = 2'000;        ///< eth_sendRawTransactionSync, when none is asked for
    uint32_t sync_timeout_ms_max = 60'000;   ///< a longer wish gives the default (EIP-7966)
    uint32_t realtime_timeout_ms = 10'000;   ///< realtime_sendRawTransaction
    size_t sync_waits_max = 65'536;          ///< transactions waited for together: -32005
    uint64_t mine_blocks_max = 100'000;      ///< of one anvil_mine: -32602

    // --- Subscriptions and filters ---
    size_t subscriptions_per_connection_max = 128;  ///< -32005
    size_t filters_max = 4096;                      ///< -32005
    size_t filter_items_max =
        10'000;  ///< unread; more: the filter is dropped, as if it had expired
    uint32_t filter_ttl_ms = 300'000;  ///< without a poll
    size_t event_queue_max = 4096;     ///< events not yet handed out; more: all are disconnected
};

}  // namespace millrace::net
