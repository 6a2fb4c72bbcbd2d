// SPDX-License-Identifier: Apache-2.0
// Owns what a JSON-RPC method is, and the groups of them.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "net/node_api.hpp"
#include "net/rpc/json_writer.hpp"
#include "net/rpc/params.hpp"
#include "net/rpc/rpc_error.hpp"
#include "net/rpc/rpc_options.hpp"
#include "net/rpc/runtime.hpp"

namespace millrace::net {

class RpcService;
class SubscriptionHub;

/// Ends an asynchronous call with the JSON of its result. Exactly once, any thread.
using Completion = std::function<void(RpcResult<std::string>)>;

/// What a method can use. Valid during the handler's run only; asynchronous handlers keep
/// `service` alive and copy what else they need.
struct CallContext {
    const std::shared_ptr<RpcService>& service;
    NodeApi& node;
    const RpcOptions& options;
    SubscriptionHub& hub;
    /// Null over HTTP.
    const std::shared_ptr<Subscriber>& subscriber;
    std::string_view method;
    /// Subscriptions that start once the answer is on its way.
    std::vector<std::string>& activations;
};

/// Writes one JSON value.
using SyncHandler = RpcResult<void> (*)(CallContext&, const Params&, JsonWriter&);
using AsyncHandler = void (*)(CallContext&, const Params&, Completion);

struct Method {
    enum class Where : uint8_t { network_thread, worker };
    std::string_view name;
    size_t params_max = 0;
    Where where = Where::worker;
    bool dev_only = false;
    SyncHandler sync = nullptr;
    AsyncHandler async = nullptr;  ///< exactly one of the two
};

std::span<const Method> chain_methods();         ///< eth_: blocks, transactions, state, calls, fees
std::span<const Method> send_methods();          ///< eth_send*, realtime_*
std::span<const Method> node_methods();          ///< net_, web3_, txpool_, rpc_, millrace_
std::span<const Method> subscription_methods();  ///< eth_subscribe and the filters
std::span<const Method> dev_methods();           ///< evm_, anvil_, hardhat_

/// MILLRACE_TRY for results of the node: passes the error on as a JSON-RPC error.
template <class T>
RpcResult<T> from_node(ApiResult<T> result) {
    if (!result) { return std::unexpected(to_rpc_error(result.error())); }
    if constexpr (std::is_void_v<T>) {
        return {};
    } else {
        return *std::move(result);
    }
}

/// The query that a log selection means, with the limits of this server. Checks numeric ranges
/// against the head.
RpcResult<LogQuery> to_log_query(const LogSelection& selection, NodeApi& node,
                                 const RpcOptions& options);

}  // namespace millrace::net
