// SPDX-License-Identifier: Apache-2.0
// Owns connections to a node, over HTTP or WebSocket, and the loop that serves them.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include "host/base/error.hpp"
#include "host/load/endpoint.hpp"

namespace millrace::load {

/// Nanoseconds of the steady clock, the time of everything here.
int64_t steady_ns() noexcept;

/// Runs the handlers of connections and timers, all on the thread that calls run_until.
class EventLoop {
public:
    EventLoop();
    ~EventLoop();
    EventLoop(const EventLoop&) = delete;
    EventLoop& operator=(const EventLoop&) = delete;

    /// Handles events until `done` is true (asked after each) or the time has come. Gives `done`.
    bool run_until(const std::function<bool()>& done, int64_t deadline_ns);

    class Timer {
    public:
        virtual ~Timer() = default;
        /// Calls the work at that time (at once when it is past), instead of an earlier wish.
        virtual void at(int64_t time_ns) = 0;
        virtual void cancel() = 0;
    };
    /// Not after the loop's end.
    std::unique_ptr<Timer> timer(std::function<void()> work);

    struct Impl;
    Impl& impl() noexcept { return *impl_; }

private:
    std::unique_ptr<Impl> impl_;
};

/// A connection that is kept open. Over HTTP each send is a POST and gets one message, and the next
/// waits for it; over WebSocket messages come as the node sends them.
class Connection {
public:
    /// The whole text of a message, with `padding_bytes` readable bytes behind it, valid during the
    /// call; or an error: `limit` when the node refused the request for now (HTTP 429 and 503),
    /// else the connection is of no more use.
    using Handler = std::function<void(Result<std::string_view>)>;
    static constexpr size_t padding_bytes = 64;

    /// Connects, running the loop meanwhile. The loop outlives the connection.
    static Result<std::unique_ptr<Connection>> open(EventLoop& loop, const Endpoint& endpoint,
                                                    int64_t timeout_ns);
    virtual ~Connection() = default;

    /// Set before the first send. The handler may send; it destroys no connection and sets no
    /// handler.
    virtual void on_message(Handler handler) = 0;
    /// Sends the pieces as one message; they stay valid until its answer has come.
    virtual void send(std::span<const std::string_view> pieces) = 0;
};

}  // namespace millrace::load
