// SPDX-License-Identifier: Apache-2.0
// Owns learning which transactions are included, from the node's subscriptions or by polling.
#pragma once

#include <functional>
#include <memory>

#include "host/load/answers.hpp"
#include "host/load/transport.hpp"

namespace millrace::load {

enum class Track : uint8_t {
    automatic,    ///< mini-blocks where the node has them, else heads, else polling
    mini_blocks,  ///< the `miniBlocks` subscription
    heads,        ///< the `newHeads` subscription, blocks fetched over the same connection
    polling,      ///< blocks asked for every few milliseconds
    none,
};
std::string_view to_string(Track track) noexcept;
Result<Track> track_from_text(std::string_view text);

/// Tells of every transaction of every block (or mini-block) from its opening on, once. A block's
/// transactions count as known when their hashes have arrived.
class InclusionFeed {
public:
    struct Listener {
        /// A transaction's hash and when it was known.
        std::function<void(const Hash256&, int64_t now_ns)> included;
        /// A block or mini-block was told of completely.
        std::function<void()> block;
        /// The feed is of no more use.
        std::function<void(const Error&)> broken;
    };

    /// Opens a connection of its own beside `endpoint`. What `wanted` names must work; `automatic`
    /// takes the best that does. Not with Track::none.
    static Result<std::unique_ptr<InclusionFeed>> open(EventLoop& loop, const Endpoint& endpoint,
                                                       Track wanted, uint64_t poll_ms,
                                                       Listener listener);
    ~InclusionFeed();

    /// What it was opened as, never `automatic`.
    Track track() const noexcept { return track_; }

private:
    InclusionFeed(EventLoop& loop, uint64_t poll_ms, Listener listener);
    Result<void> connect(const Endpoint& endpoint, Track track);
    /// Sends a request and runs the loop until its result is here.
    Result<std::string> ask(std::string_view method, std::string_view params);
    void on_message(Result<std::string_view> message);
    void on_answer(const Answer& answer);
    void on_block(std::string_view block);
    void ask_for_next_block();
    void broken(Error error);
    void send(std::string request);

    EventLoop& loop_;
    const int64_t poll_ns_;
    Listener listener_;
    Track track_ = Track::none;
    std::unique_ptr<Connection> connection_;
    std::unique_ptr<EventLoop::Timer> timer_;
    MessageReader reader_;
    std::string request_;      ///< stays until its answer has come
    uint64_t next_block_ = 0;  ///< not for mini-blocks
    bool asking_ = false;      ///< for a block
    bool told_while_asking_ = false;
    bool waiting_ = false;  ///< in `ask`
    std::optional<Result<std::string>> asked_;
};

}  // namespace millrace::load
