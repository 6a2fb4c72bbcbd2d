// SPDX-License-Identifier: Apache-2.0
// Owns the interfaces that keep the RPC methods apart from sockets and threads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

namespace millrace::net {

/// Where work runs. Thread-safe. After the server has stopped every call does nothing.
class Runtime {
public:
    virtual ~Runtime() = default;
    /// Cancels when destroyed; the callback may be running on another thread then.
    class Timer {
    public:
        virtual ~Timer() = default;
    };
    /// Soon, on a network thread; must not wait.
    virtual void post(std::function<void()> work) = 0;
    /// On the bounded worker pool; false when its queue is full.
    virtual bool post_work(std::function<void()> work) = 0;
    virtual std::unique_ptr<Timer> after(uint32_t ms, std::function<void()> work) = 0;
};

/// A connection that can be told things. Thread-safe; calls on a closed one do nothing.
class Subscriber {
public:
    virtual ~Subscriber() = default;
    /// Sends `head`, `body` and "}}" as one message. `cursor` is the mini-block that the message
    /// belongs to, 0 when to none.
    virtual void notify(std::string head, std::shared_ptr<const std::string> body,
                        uint64_t cursor) = 0;
    /// Closes with the given reason (at most 123 bytes).
    virtual void disconnect(std::string reason) = 0;
};

}  // namespace millrace::net
