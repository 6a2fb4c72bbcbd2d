// SPDX-License-Identifier: Apache-2.0
// Owns the delivery of events: matching, one serialisation per event, bounded filters.
#include "net/rpc/subscription_hub.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <random>

#include "net/rpc/encode.hpp"

namespace millrace::net {

namespace {

/// 128 bits from the system, so that one client cannot guess another's filter.
std::string random_id() {
    std::random_device device;
    std::string id = "0x";
    for (int word = 0; word < 4; ++word) {
        std::array<char, 8> digits;
        const uint32_t v = device() | (word == 0 ? 0x10000000u : 0u);  // never a leading zero
        const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), v, 16).ptr;
        id.append(8 - static_cast<size_t>(end - digits.data()), '0');
        id.append(digits.data(), end);
    }
    return id;
}

template <class Write>
std::shared_ptr<const std::string> to_json(Write write) {
    JsonWriter w;
    write(w);
    return std::make_shared<const std::string>(w.take());
}

bool in_range(const std::optional<BlockRef>& from, const std::optional<BlockRef>& to, uint64_t n) {
    const auto numeric = [](const std::optional<BlockRef>& ref) {
        return ref && ref->kind == BlockRef::Kind::number;
    };
    return !(numeric(from) && n < from->number_value) && !(numeric(to) && n > to->number_value);
}

}  // namespace

bool Interest::wants(const LogData& log, bool open) const noexcept {
    return logs.is_real_time() == open &&
           in_range(logs.from, logs.to, log.inclusion.block_number) && logs.filter.matches(log.log);
}

SubscriptionHub::SubscriptionHub(const RpcOptions& options, std::shared_ptr<Runtime> runtime,
                                 metrics::Registry& registry)
    : options_(options),
      runtime_(std::move(runtime)),
      subscriptions_gauge_(
          registry.gauge("millrace_rpc_subscriptions", "Subscriptions that are open")),
      filters_gauge_(registry.gauge("millrace_rpc_filters", "Polled filters that are open")),
      lost_counter_(registry.counter("millrace_rpc_events_lost_total",
                                     "Events dropped because handing them out fell behind")),
      stage_(registry, "publication") {}

// ---------------------------------------------------------------- Events

void SubscriptionHub::on_mini_block(std::shared_ptr<const MiniBlockEvent> event) {
    enqueue(std::move(event));
}
void SubscriptionHub::on_head(std::shared_ptr<const HeadEvent> event) { enqueue(std::move(event)); }
void SubscriptionHub::on_pending_transactions(
    std::shared_ptr<const PendingTransactionEvent> event) {
    // There are far more of these than of all others together, and few clients ask for them: they
    // would fill the queue and cost the others their events.
    if (wants_pending_transactions()) { enqueue(std::move(event)); }
}
void SubscriptionHub::on_preview(std::shared_ptr<const PreviewEvent> event) {
    if (wants_previews()) { enqueue(std::move(event)); }
}
void SubscriptionHub::on_removed(std::shared_ptr<const RemovedEvent> event) {
    enqueue(std::move(event));
}

void SubscriptionHub::enqueue(Event event) {
    {
        const std::lock_guard lock(queue_mutex_);
        // An activation is no event that can be lost: a subscription would stay silent for ever.
        if (queue_.size() >= options_.event_queue_max &&
            !std::holds_alternative<Activation>(event)) {
            overflowed_ = true;
            lost_counter_.add();
            stage_.drops.add();
            return;
        }
        queue_.push_back({std::move(event), std::chrono::steady_clock::now()});
        stage_.depth.set(static_cast<int64_t>(queue_.size()));
        if (draining_) { return; }
        draining_ = true;
    }
    runtime_->post([self = shared_from_this()] { self->drain(); });
}

void SubscriptionHub::drain() {
    // In turns, so that a burst of events does not keep one network thread from its sockets.
    for (int turn = 0; turn < 16; ++turn) {
        Queued queued;
        bool lost = false;
        {
            const std::lock_guard lock(queue_mutex_);
            stage_.depth.set(static_cast<int64_t>(queue_.size()));
            if (queue_.empty()) {
                draining_ = false;
                return;
            }
            lost = std::exchange(overflowed_, false);
            queued = std::move(queue_.front());
            queue_.pop_front();
        }
        if (lost) { lose_everyone(); }
        std::visit([this](const auto& e) { serve(e); }, queued.event);
        const auto age = std::chrono::steady_clock::now() - queued.since;
        stage_.age.observe_us(static_cast<uint64_t>(
            std::chrono::duration_cast<std::chrono::microseconds>(age).count()));
    }
    runtime_->post([self = shared_from_this()] { self->drain(); });
}

bool SubscriptionHub::is_wanted(Interest::Kind kind) {
    const std::lock_guard lock(mutex_);
    return is_wanted_locked(kind);
}

bool SubscriptionHub::is_wanted_locked(Interest::Kind kind) const {
    return std::ranges::any_of(
               subscriptions_,
               [kind](const auto& entry) { return entry.second->interest.kind == kind; }) ||
           std::ranges::any_of(
               filters_, [kind](const auto& entry) { return entry.second.interest.kind == kind; });
}

void SubscriptionHub::note_interests() noexcept {
    wants_previews_.store(is_wanted_locked(Interest::Kind::previews), std::memory_order_relaxed);
    wants_pending_.store(is_wanted_locked(Interest::Kind::pending_transactions),
                         std::memory_order_relaxed);
}

/// A subscriber must not miss an event without knowing, so after a loss all start anew.
void SubscriptionHub::lose_everyone() {
    Subscriptions all;
    {
        const std::lock_guard lock(mutex_);
        for (auto& [id, subscription] : subscriptions_) { all.push_back(subscription); }
        filters_.clear();
        filters_gauge_.set(0);
        note_interests();
    }
    for (const auto& subscription : all) {
        if (const auto subscriber = subscription->subscriber.lock()) {
            subscriber->disconnect("events were lost under load; reconnect and subscribe again");
        }
    }
}

SubscriptionHub::Subscriptions SubscriptionHub::listeners_of(Interest::Kind kind) {
    const std::lock_guard lock(mutex_);
    Subscriptions out;
    for (const auto& [id, subscription] : subscriptions_) {
        if (subscription->interest.kind == kind) { out.push_back(subscription); }
    }
    return out;
}

void SubscriptionHub::send(Subscription& to, std::shared_ptr<const std::string> body,
                           uint64_t cursor) {
    const auto subscriber = to.subscriber.lock();
    if (!subscriber) { return; }
    if (!to.active) {
        to.held_bytes += body->size();
        if (to.held_bytes > options_.ws_send_buffer_bytes_max) {
            to.held.clear();
            subscriber->disconnect("too much happened before the subscription was answered");
            return;
        }
        to.held.push_back({std::move(body), cursor});
        return;
    }
    std::string head =
        R"({"jsonrpc":"2.0","method":"eth_subscription","params":{"subscription":")" + to.id +
        R"(","result":)";
    subscriber->notify(std::move(head), std::move(body), cursor);
}

void SubscriptionHub::serve(const Activation& activation) {
    Subscription& subscription = *activation.subscription;
    subscription.active = true;
    for (Notification& held : std::exchange(subscription.held, {})) {
        send(subscription, std::move(held.body), held.cursor);
    }
}

template <class Write>
void SubscriptionHub::serve_in_two_forms(Interest::Kind kind, uint64_t cursor, Write write) {
    std::shared_ptr<const std::string> bodies[2];
    for (const auto& listener : listeners_of(kind)) {
        const bool hashes_only = listener->interest.hashes_only;
        auto& body = bodies[hashes_only ? 1 : 0];
        if (!body) {
            body = to_json([&](JsonWriter& w) { write(w, hashes_only); });
        }
        send(*listener, body, cursor);
    }
}

void SubscriptionHub::serve(const std::shared_ptr<const PreviewEvent>& event) {
    serve_in_two_forms(Interest::Kind::previews, 0, [&](JsonWriter& w, bool hashes_only) {
        write_preview(w, *event, hashes_only);
    });
}

void SubscriptionHub::serve(const std::shared_ptr<const MiniBlockEvent>& event) {
    const uint64_t cursor = event->mini_block_number;
    serve_in_two_forms(Interest::Kind::mini_blocks, cursor, [&](JsonWriter& w, bool hashes_only) {
        write_mini_block(w, *event, hashes_only);
    });
    if (const auto listeners = listeners_of(Interest::Kind::state_changes); !listeners.empty()) {
        for (const auto& change : event->state_changes) {
            std::shared_ptr<const std::string> body;
            for (const auto& listener : listeners) {
                const auto& wanted = listener->interest.addresses;
                if (!wanted.empty() && std::ranges::find(wanted, change.address) == wanted.end()) {
                    continue;
                }
                if (!body) {
                    body = to_json([&](JsonWriter& w) { write_state_change(w, change); });
                }
                send(*listener, body, cursor);
            }
        }
    }
    if (!is_wanted(Interest::Kind::logs)) { return; }
    auto logs = std::make_shared<std::vector<LogData>>();
    for (const auto& receipt : event->receipts) {
        std::ranges::move(logs_of(receipt), std::back_inserter(*logs));
    }
    serve_logs(std::move(logs), true, cursor);
}

void SubscriptionHub::serve(const std::shared_ptr<const HeadEvent>& event) {
    if (const auto listeners = listeners_of(Interest::Kind::new_heads); !listeners.empty()) {
        const auto body = to_json([&](JsonWriter& w) { write_head(w, *event); });
        for (const auto& listener : listeners) { send(*listener, body, 0); }
    }
    fill_filters(Interest::Kind::new_heads,
                 [&](Filter& filter) { filter.items.push_back({event, &event->hash}); });
    serve_logs({event, &event->logs}, false, 0);
}

void SubscriptionHub::serve(const std::shared_ptr<const PendingTransactionEvent>& event) {
    fill_filters(Interest::Kind::pending_transactions, [&](Filter& filter) {
        for (const auto& tx : event->transactions) { filter.items.push_back({event, &tx.hash}); }
    });
    const auto listeners = listeners_of(Interest::Kind::pending_transactions);
    if (listeners.empty()) { return; }
    for (const auto& tx : event->transactions) {
        std::shared_ptr<const std::string> bodies[2];
        for (const auto& listener : listeners) {
            const bool full = listener->interest.full_transactions;
            auto& body = bodies[full ? 1 : 0];
            if (!body) {
                body = to_json(
                    [&](JsonWriter& w) { full ? write_transaction(w, tx) : w.data(tx.hash); });
            }
            send(*listener, body, 0);
        }
    }
}

void SubscriptionHub::serve(const std::shared_ptr<const RemovedEvent>& event) {
    // Those who heard of the open block's logs hear of their removal; those who hear only of
    // sealed blocks never knew them.
    auto open = std::make_shared<std::vector<LogData>>(event->logs);
    for (auto& log : *open) { log.removed = true; }
    auto sealed = std::make_shared<std::vector<LogData>>(
        open->begin() + static_cast<ptrdiff_t>(std::min(event->open_block_logs, open->size())),
        open->end());
    serve_logs(std::move(open), true, 0);
    serve_logs(std::move(sealed), false, 0);
}

void SubscriptionHub::serve_logs(const std::shared_ptr<const std::vector<LogData>>& logs, bool open,
                                 uint64_t cursor) {
    if (logs->empty()) { return; }
    const auto listeners = listeners_of(Interest::Kind::logs);
    for (const auto& log : *logs) {
        std::shared_ptr<const std::string> body;
        for (const auto& listener : listeners) {
            if (!listener->interest.wants(log, open)) { continue; }
            if (!body) {
                body = to_json([&](JsonWriter& w) { write_log(w, log); });
            }
            send(*listener, body, cursor);
        }
    }
    fill_filters(Interest::Kind::logs, [&](Filter& filter) {
        for (const auto& log : *logs) {
            if (filter.interest.wants(log, open)) { filter.items.push_back({logs, &log}); }
        }
    });
}

template <class Fill>
void SubscriptionHub::fill_filters(Interest::Kind kind, Fill fill) {
    const std::lock_guard lock(mutex_);
    if (filters_.empty()) { return; }
    expire_filters(std::chrono::steady_clock::now());
    for (auto it = filters_.begin(); it != filters_.end();) {
        if (it->second.interest.kind == kind) { fill(it->second); }
        it = it->second.items.size() > options_.filter_items_max ? filters_.erase(it)
                                                                 : std::next(it);
    }
    filters_gauge_.set(static_cast<int64_t>(filters_.size()));
}

// ---------------------------------------------------------------- Subscriptions

RpcResult<std::string> SubscriptionHub::subscribe(const std::shared_ptr<Subscriber>& subscriber,
                                                  Interest interest) {
    const std::lock_guard lock(mutex_);
    const auto mine = std::ranges::count_if(
        subscriptions_, [&](const auto& entry) { return entry.second->owner == subscriber.get(); });
    if (static_cast<size_t>(mine) >= options_.subscriptions_per_connection_max) {
        return rpc_fail(rpc_code::limit_exceeded,
                        "too many subscriptions on this connection (at most " +
                            std::to_string(options_.subscriptions_per_connection_max) +
                            "); unsubscribe or open another connection");
    }
    auto subscription = std::make_shared<Subscription>(
        Subscription{random_id(), std::move(interest), subscriber, subscriber.get(), false, {}, 0});
    const std::string id = subscription->id;
    subscriptions_.emplace(id, std::move(subscription));
    subscriptions_gauge_.set(static_cast<int64_t>(subscriptions_.size()));
    note_interests();
    return id;
}

void SubscriptionHub::activate(const std::string& id) {
    SubscriptionPtr subscription;
    {
        const std::lock_guard lock(mutex_);
        const auto it = subscriptions_.find(id);
        if (it == subscriptions_.end()) { return; }
        subscription = it->second;
    }
    // In line with the events, so that nothing is told out of order.
    enqueue(Activation{std::move(subscription)});
}

bool SubscriptionHub::unsubscribe(const Subscriber* subscriber, std::string_view id) {
    const std::lock_guard lock(mutex_);
    const auto it = subscriptions_.find(std::string(id));
    if (it == subscriptions_.end() || it->second->owner != subscriber) { return false; }
    subscriptions_.erase(it);
    subscriptions_gauge_.set(static_cast<int64_t>(subscriptions_.size()));
    note_interests();
    return true;
}

void SubscriptionHub::forget(const Subscriber* subscriber) {
    const std::lock_guard lock(mutex_);
    std::erase_if(subscriptions_,
                  [&](const auto& entry) { return entry.second->owner == subscriber; });
    subscriptions_gauge_.set(static_cast<int64_t>(subscriptions_.size()));
    note_interests();
}

// ---------------------------------------------------------------- Filters

RpcResult<std::string> SubscriptionHub::add_filter(Interest interest) {
    const auto now = std::chrono::steady_clock::now();
    const std::lock_guard lock(mutex_);
    expire_filters(now);
    if (filters_.size() >= options_.filters_max) {
        return rpc_fail(rpc_code::limit_exceeded,
                        "too many filters on this node (at most " +
                            std::to_string(options_.filters_max) +
                            "); uninstall some or subscribe over WebSocket");
    }
    std::string id = random_id();
    filters_.emplace(id, Filter{std::move(interest), {}, now});
    filters_gauge_.set(static_cast<int64_t>(filters_.size()));
    note_interests();
    return id;
}

RpcResult<std::string> SubscriptionHub::filter_changes(std::string_view id) {
    std::vector<FilterItem> items;
    {
        const auto now = std::chrono::steady_clock::now();
        const std::lock_guard lock(mutex_);
        expire_filters(now);
        const auto it = filters_.find(std::string(id));
        if (it == filters_.end()) { return rpc_fail(rpc_code::server_error, "filter not found"); }
        it->second.last_poll = now;
        items.swap(it->second.items);
    }
    JsonWriter w;
    w.begin_array();
    for (const auto& item : items) {
        if (const auto* log = std::get_if<const LogData*>(&item.item)) {
            write_log(w, **log);
        } else {
            w.data(*std::get<const Hash256*>(item.item));
        }
    }
    w.end_array();
    return w.take();
}

RpcResult<LogSelection> SubscriptionHub::filter_selection(std::string_view id) {
    const std::lock_guard lock(mutex_);
    const auto it = filters_.find(std::string(id));
    if (it == filters_.end() || it->second.interest.kind != Interest::Kind::logs) {
        return rpc_fail(rpc_code::server_error, "filter not found");
    }
    it->second.last_poll = std::chrono::steady_clock::now();
    return it->second.interest.logs;
}

bool SubscriptionHub::remove_filter(std::string_view id) {
    const std::lock_guard lock(mutex_);
    const bool removed = filters_.erase(std::string(id)) != 0;
    filters_gauge_.set(static_cast<int64_t>(filters_.size()));
    note_interests();
    return removed;
}

void SubscriptionHub::expire_filters(SteadyTime now) {
    const auto ttl = std::chrono::milliseconds(options_.filter_ttl_ms);
    std::erase_if(filters_, [&](const auto& entry) { return now - entry.second.last_poll > ttl; });
    note_interests();
}

}  // namespace millrace::net
