// SPDX-License-Identifier: Apache-2.0
// Owns the claims about when a subscription hears what, without sockets.
#include "net/rpc/subscription_hub.hpp"

#include <deque>

#include <gtest/gtest.h>

#include "tests/net/inline_runtime.hpp"

namespace millrace::net {
namespace {

/// Keeps what is posted until the test runs it.
class LaterRuntime final : public Runtime {
public:
    void post(std::function<void()> work) override { posted.push_back(std::move(work)); }
    bool post_work(std::function<void()> work) override { return post(std::move(work)), true; }
    std::unique_ptr<Timer> after(uint32_t, std::function<void()>) override { return nullptr; }
    void run_all() {
        while (!posted.empty()) {
            const auto work = std::move(posted.front());
            posted.pop_front();
            work();
        }
    }
    std::deque<std::function<void()>> posted;
};

class Listener final : public Subscriber {
public:
    void notify(std::string, std::shared_ptr<const std::string>, uint64_t cursor) override {
        cursors.push_back(cursor);
    }
    void disconnect(std::string why) override { reason = std::move(why); }
    std::vector<uint64_t> cursors;
    std::string reason;
};

std::shared_ptr<const MiniBlockEvent> mini_block(uint64_t number) {
    auto event = std::make_shared<MiniBlockEvent>();
    event->mini_block_number = number;
    return event;
}

Interest interest_in(Interest::Kind kind) {
    Interest interest;
    interest.kind = kind;
    return interest;
}

template <class RuntimeKind>
struct HubWith {
    explicit HubWith(RpcOptions options = {})
        : hub(std::make_shared<SubscriptionHub>(options, runtime, registry)) {}
    uint64_t lost() { return registry.counter("millrace_rpc_events_lost_total", "").value(); }
    metrics::Registry registry;
    std::shared_ptr<RuntimeKind> runtime = std::make_shared<RuntimeKind>();
    std::shared_ptr<SubscriptionHub> hub;
    std::shared_ptr<Listener> listener = std::make_shared<Listener>();
};

using Cursors = std::vector<uint64_t>;

TEST(SubscriptionHub, WhatHappensBetweenTheAnswerAndItsActivationIsNotMissed) {
    HubWith<testing::InlineRuntime> h;
    h.hub->on_mini_block(mini_block(1));
    const auto id = h.hub->subscribe(h.listener, interest_in(Interest::Kind::mini_blocks));
    ASSERT_TRUE(id);
    h.hub->on_mini_block(mini_block(2));
    h.hub->on_mini_block(mini_block(3));
    EXPECT_EQ(h.listener->cursors, Cursors{}) << "the answer comes first";
    h.hub->activate(*id);
    EXPECT_EQ(h.listener->cursors, (Cursors{2, 3}));
    h.hub->on_mini_block(mini_block(4));
    EXPECT_EQ(h.listener->cursors, (Cursors{2, 3, 4}));
}

TEST(SubscriptionHub, AnActivationKeepsItsPlaceAmongEventsAndIsNeverLost) {
    RpcOptions options;
    options.event_queue_max = 2;
    HubWith<LaterRuntime> h(options);
    const auto id = h.hub->subscribe(h.listener, interest_in(Interest::Kind::mini_blocks));
    h.hub->on_mini_block(mini_block(1));
    h.hub->on_mini_block(mini_block(2));
    h.hub->activate(*id);
    h.runtime->run_all();
    EXPECT_EQ(h.listener->cursors, (Cursors{1, 2}));
    EXPECT_EQ(h.lost(), 0u);
}

TEST(SubscriptionHub, ASubscriptionThatIsNotAnsweredKeepsABoundedBacklog) {
    RpcOptions options;
    options.ws_send_buffer_bytes_max = 1000;
    HubWith<testing::InlineRuntime> h(options);
    ASSERT_TRUE(h.hub->subscribe(h.listener, interest_in(Interest::Kind::mini_blocks)));
    for (uint64_t n = 1; n < 20; ++n) { h.hub->on_mini_block(mini_block(n)); }
    EXPECT_FALSE(h.listener->reason.empty());
    EXPECT_EQ(h.listener->cursors, Cursors{});
}

TEST(SubscriptionHub, PendingTransactionsThatNobodyWantsTakeNoPlaceInTheQueue) {
    RpcOptions options;
    options.event_queue_max = 2;
    HubWith<LaterRuntime> h(options);
    const auto id = h.hub->subscribe(h.listener, interest_in(Interest::Kind::mini_blocks));
    h.hub->activate(*id);
    h.runtime->run_all();
    const auto pending = std::make_shared<PendingTransactionEvent>();
    for (int i = 0; i < 100; ++i) { h.hub->on_pending_transactions(pending); }
    h.hub->on_mini_block(mini_block(1));
    h.runtime->run_all();
    EXPECT_EQ(h.listener->cursors, Cursors{1});
    EXPECT_EQ(h.lost(), 0u);

    const auto wanted =
        h.hub->subscribe(h.listener, interest_in(Interest::Kind::pending_transactions));
    ASSERT_TRUE(wanted);
    for (int i = 0; i < 3; ++i) { h.hub->on_pending_transactions(pending); }
    EXPECT_EQ(h.lost(), 1u);
}

}  // namespace
}  // namespace millrace::net
