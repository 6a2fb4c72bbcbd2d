// SPDX-License-Identifier: Apache-2.0
// Owns eth_subscribe and the polled filters.
#include <array>

#include "net/rpc/encode.hpp"
#include "net/rpc/method.hpp"
#include "net/rpc/subscription_hub.hpp"

namespace millrace::net {

namespace {

using Where = Method::Where;

/// {"hashesOnly": true} or nothing; what is not known is refused, so that nobody waits for it.
RpcResult<bool> hashes_only(const Params& p, size_t index) {
    if (!p.has(index)) { return false; }
    simdjson::dom::object options;
    if (p.at(index).get_object().get(options) != simdjson::SUCCESS) {
        return bad_param(index, R"(options are an object, e.g. {"hashesOnly":true})");
    }
    bool only = false;
    for (const auto field : options) {
        if (field.key != "hashesOnly") {
            return bad_param(index, "unknown option '" + std::string(field.key.substr(0, 100)) +
                                        "' (hashesOnly)");
        }
        if (field.value.get_bool().get(only) != simdjson::SUCCESS) {
            return bad_param(index, "hashesOnly is true or false");
        }
    }
    return only;
}

RpcResult<Interest> interest_of(const Params& p) {
    MILLRACE_TRY(const std::string_view kind, p.text(0));
    Interest interest;
    if (kind == "newHeads") {
        interest.kind = Interest::Kind::new_heads;
    } else if (kind == "logs") {
        interest.kind = Interest::Kind::logs;
        MILLRACE_TRY(interest.logs, p.log_selection(1));
        if (interest.logs.block_hash) { return bad_param(1, "a subscription has no blockHash"); }
    } else if (kind == "newPendingTransactions") {
        interest.kind = Interest::Kind::pending_transactions;
        MILLRACE_TRY(interest.full_transactions, p.boolean(1, false));
    } else if (kind == "miniBlocks") {
        interest.kind = Interest::Kind::mini_blocks;
        MILLRACE_TRY(interest.hashes_only, hashes_only(p, 1));
    } else if (kind == "preview") {
        interest.kind = Interest::Kind::previews;
        MILLRACE_TRY(interest.hashes_only, hashes_only(p, 1));
    } else if (kind == "stateChanges") {
        interest.kind = Interest::Kind::state_changes;
        MILLRACE_TRY(interest.addresses, p.addresses(1));
    } else {
        return rpc_fail(rpc_code::invalid_params,
                        "no \"" + std::string(kind.substr(0, 100)) +
                            "\" subscription in eth namespace (newHeads, logs, "
                            "newPendingTransactions, miniBlocks, preview, stateChanges)");
    }
    return interest;
}

std::unexpected<RpcError> no_notifications() {
    return rpc_fail(rpc_code::method_not_found,
                    "notifications not supported over HTTP; connect by WebSocket");
}

RpcResult<void> subscribe(CallContext& c, const Params& p, JsonWriter& w) {
    if (!c.subscriber) { return no_notifications(); }
    MILLRACE_TRY(Interest interest, interest_of(p));
    MILLRACE_TRY(const std::string id, c.hub.subscribe(c.subscriber, std::move(interest)));
    c.activations.push_back(id);
    w.text(id);
    return {};
}

RpcResult<void> unsubscribe(CallContext& c, const Params& p, JsonWriter& w) {
    if (!c.subscriber) { return no_notifications(); }
    MILLRACE_TRY(const std::string_view id, p.text(0));
    if (!c.hub.unsubscribe(c.subscriber.get(), id)) {
        return rpc_fail(rpc_code::server_error, "subscription not found");
    }
    w.boolean(true);
    return {};
}

// ---------------------------------------------------------------- Filters

RpcResult<void> add_filter(CallContext& c, Interest interest, JsonWriter& w) {
    MILLRACE_TRY(const std::string id, c.hub.add_filter(std::move(interest)));
    w.text(id);
    return {};
}

RpcResult<void> new_filter(CallContext& c, const Params& p, JsonWriter& w) {
    Interest interest{.kind = Interest::Kind::logs};
    MILLRACE_TRY(interest.logs, p.log_selection(0));
    return add_filter(c, std::move(interest), w);
}

RpcResult<void> new_block_filter(CallContext& c, const Params&, JsonWriter& w) {
    return add_filter(c, Interest{.kind = Interest::Kind::new_heads}, w);
}

RpcResult<void> new_pending_filter(CallContext& c, const Params&, JsonWriter& w) {
    return add_filter(c, Interest{.kind = Interest::Kind::pending_transactions}, w);
}

RpcResult<void> get_filter_changes(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const std::string_view id, p.text(0));
    MILLRACE_TRY(const std::string changes, c.hub.filter_changes(id));
    w.raw(changes);
    return {};
}

RpcResult<void> get_filter_logs(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const std::string_view id, p.text(0));
    MILLRACE_TRY(const LogSelection selection, c.hub.filter_selection(id));
    MILLRACE_TRY(const LogQuery query, to_log_query(selection, c.node, c.options));
    MILLRACE_TRY(const auto logs, from_node(c.node.logs(query)));
    w.begin_array();
    for (const auto& log : logs) { write_log(w, log); }
    w.end_array();
    return {};
}

RpcResult<void> uninstall_filter(CallContext& c, const Params& p, JsonWriter& w) {
    MILLRACE_TRY(const std::string_view id, p.text(0));
    w.boolean(c.hub.remove_filter(id));
    return {};
}

constexpr std::array methods = {
    Method{"eth_subscribe", 2, Where::network_thread, false, subscribe},
    Method{"eth_unsubscribe", 1, Where::network_thread, false, unsubscribe},
    Method{"eth_newFilter", 1, Where::worker, false, new_filter},
    Method{"eth_newBlockFilter", 0, Where::worker, false, new_block_filter},
    Method{"eth_newPendingTransactionFilter", 1, Where::worker, false, new_pending_filter},
    Method{"eth_getFilterChanges", 1, Where::worker, false, get_filter_changes},
    Method{"eth_getFilterLogs", 1, Where::worker, false, get_filter_logs},
    Method{"eth_uninstallFilter", 1, Where::worker, false, uninstall_filter},
};

}  // namespace

std::span<const Method> subscription_methods() { return methods; }

}  // namespace millrace::net
