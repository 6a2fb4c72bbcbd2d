// SPDX-License-Identifier: Apache-2.0
// Owns JSON-RPC 2.0 without sockets: request text in, response text out.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "host/base/metrics.hpp"
#include "net/node_api.hpp"
#include "net/rpc/method.hpp"
#include "net/rpc/receipt_waits.hpp"
#include "net/rpc/subscription_hub.hpp"

namespace millrace::net {

struct Exchange;
struct RpcCall;

/// Takes the response; an empty one when nothing is to be said (only notifications came).
using Reply = std::function<void(std::string)>;

/// Parses requests and batches, runs their methods where they belong and joins the answers. Any
/// thread. Callbacks of the node keep it alive; NodeApi must outlive the last of them or promise
/// not to call any more.
class RpcService : public std::enable_shared_from_this<RpcService> {
public:
    RpcService(RpcOptions options, NodeApi& node, std::shared_ptr<Runtime> runtime,
               metrics::Registry& registry);

    /// Attaches to the node's events. Call once, after construction.
    void start();
    /// Detaches and ends all waits for receipts with an error.
    void stop();

    /// Answers one message. `reply` runs exactly once, on any thread, possibly before this returns.
    /// So does `begun`, where it is given, when all calls of the message have been begun in their
    /// order: transactions of a message that is given after it follow those of this one.
    void handle(std::string body, std::shared_ptr<Subscriber> subscriber, Reply reply,
                std::function<void()> begun = {});
    /// Forgets the subscriptions of a closed connection.
    void closed(const Subscriber* subscriber) { hub_->forget(subscriber); }

    ReceiptWaits& receipt_waits() noexcept { return *waits_; }
    const RpcOptions& options() const noexcept { return options_; }
    Runtime& runtime() noexcept { return *runtime_; }

private:
    struct MethodEntry {
        const Method* method;
        metrics::Counter* calls;
    };

    void parse_and_run(const std::shared_ptr<Exchange>& exchange);
    RpcCall read_call(JsonElement element) const;
    void run(const std::shared_ptr<Exchange>& exchange);
    void run_call(const std::shared_ptr<Exchange>& exchange, size_t index);
    void answer(const std::shared_ptr<Exchange>& exchange, size_t index,
                RpcResult<std::string> result);
    void finish_one(const std::shared_ptr<Exchange>& exchange);
    void reply_with(const std::shared_ptr<Exchange>& exchange, std::string text);
    void add_methods(std::span<const Method> methods, metrics::Registry& registry);

    const RpcOptions options_;
    NodeApi& node_;
    std::shared_ptr<Runtime> runtime_;
    std::shared_ptr<SubscriptionHub> hub_;
    std::shared_ptr<ReceiptWaits> waits_;
    std::unordered_map<std::string_view, MethodEntry> methods_;
    std::atomic<size_t> bytes_in_flight_{0};
    metrics::Counter& errors_;
    metrics::Counter& overloads_;
    metrics::Histogram& duration_;
};

}  // namespace millrace::net
