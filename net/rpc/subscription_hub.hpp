// SPDX-License-Identifier: Apache-2.0
// Owns subscriptions and polled filters, and hands the node's events to them.
#pragma once

#include <atomic>
#include <chrono>
#include <deque>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <unordered_map>
#include <variant>
#include <vector>

#include "host/base/metrics.hpp"
#include "net/node_api.hpp"
#include "net/rpc/params.hpp"
#include "net/rpc/rpc_options.hpp"
#include "net/rpc/runtime.hpp"

namespace millrace::net {

/// What a subscription or a filter wants to hear.
struct Interest {
    enum class Kind : uint8_t {
        new_heads,
        logs,
        pending_transactions,
        mini_blocks,
        state_changes,
        previews
    };
    Kind kind = Kind::new_heads;
    LogSelection logs;               ///< for logs
    bool full_transactions = false;  ///< for pending_transactions
    std::vector<Address> addresses;  ///< for state_changes; empty: all
    bool hashes_only = false;        ///< for mini_blocks and previews

    /// Whether a log is of interest; `open` tells mini-block logs from those of sealed blocks.
    bool wants(const LogData& log, bool open) const noexcept;
};

/// Takes events of the node on its threads, queues them (bounded) and serves them in order on one
/// network thread at a time. Each event becomes text at most once for all that hear it. Public
/// functions may be called from any thread.
class SubscriptionHub final : public EventSink,
                              public std::enable_shared_from_this<SubscriptionHub> {
public:
    SubscriptionHub(const RpcOptions& options, std::shared_ptr<Runtime> runtime,
                    metrics::Registry& registry);

    void on_mini_block(std::shared_ptr<const MiniBlockEvent> event) override;
    void on_head(std::shared_ptr<const HeadEvent> event) override;
    void on_pending_transactions(std::shared_ptr<const PendingTransactionEvent> event) override;
    void on_removed(std::shared_ptr<const RemovedEvent> event) override;
    void on_preview(std::shared_ptr<const PreviewEvent> event) override;
    bool wants_previews() const noexcept override {
        return wants_previews_.load(std::memory_order_relaxed);
    }
    bool wants_pending_transactions() const noexcept override {
        return wants_pending_.load(std::memory_order_relaxed);
    }

    /// Makes a subscription that hears from now on and is silent until `activate`.
    RpcResult<std::string> subscribe(const std::shared_ptr<Subscriber>& subscriber,
                                     Interest interest);
    /// The answer with its id is on the way: what was heard since `subscribe` follows, in order,
    /// and then the rest. A client may act on the answer before this is called.
    void activate(const std::string& id);
    /// False when the connection has no such subscription.
    bool unsubscribe(const Subscriber* subscriber, std::string_view id);
    /// Forgets a closed connection.
    void forget(const Subscriber* subscriber);

    RpcResult<std::string> add_filter(Interest interest);
    /// A JSON array of what came since the last call; empties the filter.
    RpcResult<std::string> filter_changes(std::string_view id);
    /// What a log filter was made with.
    RpcResult<LogSelection> filter_selection(std::string_view id);
    bool remove_filter(std::string_view id);

private:
    struct Notification {
        std::shared_ptr<const std::string> body;
        uint64_t cursor = 0;
    };
    using SteadyTime = std::chrono::steady_clock::time_point;
    struct Subscription {
        std::string id;
        Interest interest;
        std::weak_ptr<Subscriber> subscriber;
        const Subscriber* owner = nullptr;  ///< names the connection; never dereferenced
        // Of `drain`, which runs once at a time.
        bool active = false;
        std::vector<Notification> held;  ///< until it is active
        size_t held_bytes = 0;
    };
    using SubscriptionPtr = std::shared_ptr<Subscription>;
    struct Activation {
        SubscriptionPtr subscription;
    };
    using Event =
        std::variant<std::shared_ptr<const MiniBlockEvent>, std::shared_ptr<const HeadEvent>,
                     std::shared_ptr<const PendingTransactionEvent>,
                     std::shared_ptr<const RemovedEvent>, std::shared_ptr<const PreviewEvent>,
                     Activation>;
    /// An unread piece of an event; `owner` keeps what `item` points to.
    struct FilterItem {
        std::shared_ptr<const void> owner;
        std::variant<const LogData*, const Hash256*> item;
    };
    struct Filter {
        Interest interest;
        std::vector<FilterItem> items;
        SteadyTime last_poll;
    };
    using Subscriptions = std::vector<SubscriptionPtr>;

    void enqueue(Event event);
    void drain();
    void lose_everyone();
    bool is_wanted(Interest::Kind kind);
    /// With mutex_ held, after what is listened to has changed.
    bool is_wanted_locked(Interest::Kind kind) const;
    void note_interests() noexcept;
    /// One text for all that want an event in full, one for those that want hashes.
    template <class Write>
    void serve_in_two_forms(Interest::Kind kind, uint64_t cursor, Write write);
    Subscriptions listeners_of(Interest::Kind kind);
    void serve(const std::shared_ptr<const MiniBlockEvent>& event);
    void serve(const std::shared_ptr<const HeadEvent>& event);
    void serve(const std::shared_ptr<const PendingTransactionEvent>& event);
    void serve(const std::shared_ptr<const RemovedEvent>& event);
    void serve(const std::shared_ptr<const PreviewEvent>& event);
    void serve(const Activation& activation);
    void serve_logs(const std::shared_ptr<const std::vector<LogData>>& logs, bool open,
                    uint64_t cursor);
    void send(Subscription& to, std::shared_ptr<const std::string> body, uint64_t cursor);
    template <class Fill>
    void fill_filters(Interest::Kind kind, Fill fill);
    void expire_filters(SteadyTime now);

    const RpcOptions options_;  // a copy: the node may hold the hub longer than the service lives
    std::shared_ptr<Runtime> runtime_;
    metrics::Gauge& subscriptions_gauge_;
    metrics::Gauge& filters_gauge_;
    metrics::Counter& lost_counter_;
    metrics::StageFigures stage_;  ///< events from the node's telling them to handing them out

    struct Queued {
        Event event;
        SteadyTime since;
    };
    /// Guards queue_, draining_ and overflowed_.
    std::mutex queue_mutex_;
    std::deque<Queued> queue_;
    bool draining_ = false;
    bool overflowed_ = false;

    /// Guards subscriptions_ and filters_.
    std::mutex mutex_;
    std::unordered_map<std::string, SubscriptionPtr> subscriptions_;
    std::unordered_map<std::string, Filter> filters_;

    // Relaxed: what is heard from when on is up to `subscribe`, which comes before its answer.
    std::atomic<bool> wants_previews_{false};
    std::atomic<bool> wants_pending_{false};
};

}  // namespace millrace::net
