// SPDX-License-Identifier: Apache-2.0
// Owns the subscriptions and polls behind the inclusion feed.
#include "host/load/inclusion_feed.hpp"

#include <array>

#include "host/base/hex.hpp"

namespace millrace::load {

namespace {

constexpr int64_t timeout_ns = 5'000'000'000;
constexpr std::array track_names{"auto", "mini-blocks", "heads", "polling", "none"};

}  // namespace

std::string_view to_string(Track track) noexcept { return track_names[static_cast<size_t>(track)]; }

Result<Track> track_from_text(std::string_view text) {
    for (size_t i = 0; i < track_names.size(); ++i) {
        if (text == track_names[i]) { return static_cast<Track>(i); }
    }
    return fail(ErrorCode::invalid_input,
                "'" + std::string(text) +
                    "' is no way to track; choose auto, mini-blocks, heads, polling or none");
}

InclusionFeed::InclusionFeed(EventLoop& loop, uint64_t poll_ms, Listener listener)
    : loop_(loop),
      poll_ns_(static_cast<int64_t>(poll_ms) * 1'000'000),
      listener_(std::move(listener)),
      timer_(loop.timer([this] { ask_for_next_block(); })) {}

InclusionFeed::~InclusionFeed() = default;

Result<std::unique_ptr<InclusionFeed>> InclusionFeed::open(EventLoop& loop,
                                                           const Endpoint& endpoint, Track wanted,
                                                           uint64_t poll_ms, Listener listener) {
    MILLRACE_ASSERT(wanted != Track::none, "without tracking there is no feed");
    Error last;
    for (const Track track : {Track::mini_blocks, Track::heads, Track::polling}) {
        if (wanted != Track::automatic && wanted != track) { continue; }
        std::unique_ptr<InclusionFeed> feed(new InclusionFeed(loop, poll_ms, listener));
        if (auto connected = feed->connect(endpoint, track); !connected) {
            last = std::move(connected).error();
            continue;
        }
        return feed;
    }
    last.message =
        "cannot follow what is included (" + std::string(to_string(wanted)) + "): " + last.message;
    return std::unexpected(std::move(last));
}

Result<void> InclusionFeed::connect(const Endpoint& endpoint, Track track) {
    Endpoint own = endpoint;
    own.websocket = track != Track::polling;
    MILLRACE_TRY(connection_, Connection::open(loop_, own, timeout_ns));
    connection_->on_message(
        [this](Result<std::string_view> message) { on_message(std::move(message)); });
    track_ = track;
    if (track != Track::mini_blocks) {
        MILLRACE_TRY(const std::string text, ask("eth_blockNumber", "[]"));
        MILLRACE_TRY(const std::string_view digits, plain_string(text));
        MILLRACE_TRY(const uint64_t head, u64_from_hex(digits));
        next_block_ = head + 1;
    }
    if (track == Track::polling) {
        timer_->at(steady_ns());
        return {};
    }
    MILLRACE_TRY(const std::string id,
                 ask("eth_subscribe", track == Track::mini_blocks
                                          ? R"(["miniBlocks",{"hashesOnly":true}])"
                                          : R"(["newHeads"])"));
    // A head between the two answers was not announced.
    if (track == Track::heads) { ask_for_next_block(); }
    return {};
}

void InclusionFeed::send(std::string request) {
    request_ = std::move(request);
    const std::array<std::string_view, 1> pieces{request_};
    connection_->send(pieces);
}

Result<std::string> InclusionFeed::ask(std::string_view method, std::string_view params) {
    waiting_ = true;
    asked_.reset();
    send(R"({"jsonrpc":"2.0","id":0,"method":")" + std::string(method) + R"(","params":)" +
         std::string(params) + "}");
    const bool answered =
        loop_.run_until([this] { return asked_.has_value(); }, steady_ns() + timeout_ns);
    waiting_ = false;
    if (!answered) { return fail(ErrorCode::timeout, std::string(method) + ": no answer in 5 s"); }
    return *std::move(asked_);
}

void InclusionFeed::broken(Error error) {
    if (waiting_) {
        asked_ = std::unexpected(std::move(error));
    } else {
        listener_.broken(error);
    }
}

void InclusionFeed::on_message(Result<std::string_view> message) {
    if (!message) {
        broken(std::move(message).error());
        return;
    }
    auto read = reader_.read(
        *message, [this](const Answer& answer) { on_answer(answer); },
        [this](const Notification& notification) {
            if (track_ == Track::mini_blocks) {
                on_block(notification.result);
            } else {
                ask_for_next_block();
            }
        });
    if (!read) { broken(std::move(read).error()); }
}

void InclusionFeed::on_answer(const Answer& answer) {
    if (answer.failure) {
        broken({answer.failure->code == method_not_found ? ErrorCode::not_found
                                                         : ErrorCode::unavailable,
                "the node says \"" + std::string(answer.failure->message) + "\""});
        return;
    }
    if (waiting_) {
        asked_ = std::string(answer.result);
        return;
    }
    if (!asking_) { return; }
    asking_ = false;
    if (answer.result != "null") {
        ++next_block_;
        on_block(answer.result);
        ask_for_next_block();
        return;
    }
    if (std::exchange(told_while_asking_, false)) {
        ask_for_next_block();
    } else if (track_ == Track::polling) {
        timer_->at(steady_ns() + poll_ns_);
    }
}

void InclusionFeed::on_block(std::string_view block) {
    const int64_t now_ns = steady_ns();
    const auto read =
        reader_.read_block(block, [&](const Hash256& hash) { listener_.included(hash, now_ns); });
    if (!read) {
        broken(read.error());
        return;
    }
    listener_.block();
}

void InclusionFeed::ask_for_next_block() {
    if (asking_) {
        told_while_asking_ = true;
        return;
    }
    asking_ = true;
    told_while_asking_ = false;
    send(R"({"jsonrpc":"2.0","id":0,"method":"eth_getBlockByNumber","params":[")" +
         to_hex_quantity(next_block_) + R"(",false]})");
}

}  // namespace millrace::load
