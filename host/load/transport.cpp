// SPDX-License-Identifier: Apache-2.0
// Owns the client's side of HTTP/1.1 and WebSocket (the only file here that includes Asio and
// Beast).
#include "host/load/transport.hpp"

#include <chrono>
#include <deque>
#include <optional>
#include <vector>

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>

namespace millrace::load {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using asio::ip::tcp;
using boost::system::error_code;
using SteadyTime = std::chrono::steady_clock::time_point;

int64_t steady_ns() noexcept {
    return std::chrono::duration_cast<std::chrono::nanoseconds>(
               std::chrono::steady_clock::now().time_since_epoch())
        .count();
}

struct EventLoop::Impl {
    asio::io_context io{1};
};

namespace {

/// The largest answer that is read: a block of a hundred thousand transactions in full.
constexpr size_t message_bytes_max = size_t{512} << 20;

SteadyTime time_of(int64_t ns) { return SteadyTime(std::chrono::nanoseconds(ns)); }

class AsioTimer final : public EventLoop::Timer {
public:
    AsioTimer(asio::io_context& io, std::function<void()> work)
        : timer_(io), work_(std::make_shared<std::function<void()>>(std::move(work))) {}

    void at(int64_t time_ns) override {
        timer_.expires_at(time_of(time_ns));
        timer_.async_wait([work = std::weak_ptr(work_)](error_code error) {
            if (const auto alive = work.lock(); alive && !error) { (*alive)(); }
        });
    }
    void cancel() override { timer_.cancel(); }

private:
    asio::steady_timer timer_;
    std::shared_ptr<std::function<void()>> work_;
};

using Pieces = std::vector<asio::const_buffer>;

Pieces buffers_of(std::span<const std::string_view> pieces) {
    Pieces out;
    out.reserve(pieces.size() + 1);
    for (const std::string_view piece : pieces) { out.emplace_back(piece.data(), piece.size()); }
    return out;
}

Error connection_error(const Endpoint& endpoint, const error_code& error) {
    return {ErrorCode::io,
            "the connection to " + endpoint.url() + " broke: " + error.message() +
                "; is the node still running, and does it take this many connections?"};
}

/// Handlers hold a shared State, so that a connection may end while one is on its way.
class HttpConnection final : public Connection {
public:
    HttpConnection(tcp::socket socket, const Endpoint& endpoint)
        : state_(std::make_shared<State>(std::move(socket), endpoint)) {}
    ~HttpConnection() override { state_->close(); }

    void on_message(Handler handler) override { state_->handler = std::move(handler); }

    void send(std::span<const std::string_view> pieces) override {
        size_t bytes = 0;
        for (const std::string_view piece : pieces) { bytes += piece.size(); }
        state_->head.resize(state_->head_fixed_bytes);
        state_->head.append(std::to_string(bytes)).append("\r\n\r\n");
        state_->buffers.assign(1, asio::buffer(state_->head));
        for (const std::string_view piece : pieces) {
            state_->buffers.emplace_back(piece.data(), piece.size());
        }
        asio::async_write(state_->socket, state_->buffers,
                          [state = state_](error_code error, size_t) {
                              if (error) {
                                  state->broken(error);
                              } else {
                                  State::read(state);
                              }
                          });
    }

private:
    struct State {
        State(tcp::socket s, const Endpoint& e)
            : socket(std::move(s)),
              endpoint(e),
              head("POST " + e.target + " HTTP/1.1\r\nHost: " + e.authority() +
                   "\r\nContent-Type: application/json\r\nContent-Length: "),
              head_fixed_bytes(head.size()) {}

        static void read(const std::shared_ptr<State>& state) {
            state->parser.emplace();
            state->parser->body_limit(message_bytes_max);
            http::async_read(state->socket, state->buffer, *state->parser,
                             [state](error_code error, size_t) {
                                 if (error) {
                                     state->broken(error);
                                 } else {
                                     state->take();
                                 }
                             });
        }

        void take() {
            // The handler may send, which reads into the parser again.
            const unsigned status = parser->get().result_int();
            const bool open = parser->get().keep_alive();
            std::string body = std::move(parser->get().body());
            body.reserve(body.size() + padding_bytes);
            if (!handler) { return; }
            if (status == 200 && open) {
                handler(std::string_view(body));
                return;
            }
            const std::string said = "HTTP " + std::to_string(status) + " from " + endpoint.url() +
                                     ": " + body.substr(0, 200);
            const bool for_now = (status == 429 || status == 503) && open;
            handler(fail(for_now ? ErrorCode::limit : ErrorCode::unavailable,
                         open ? said : said + " (and the connection was closed)"));
        }

        void broken(const error_code& error) {
            if (handler && !closed) { handler(std::unexpected(connection_error(endpoint, error))); }
        }

        void close() {
            closed = true;
            handler = nullptr;
            error_code ignored;
            socket.close(ignored);
        }

        tcp::socket socket;
        const Endpoint endpoint;
        std::string head;
        const size_t head_fixed_bytes;
        Pieces buffers;
        beast::flat_buffer buffer;
        std::optional<http::response_parser<http::string_body>> parser;
        Handler handler;
        bool closed = false;
    };

    std::shared_ptr<State> state_;
};

class WsConnection final : public Connection {
public:
    using Stream = websocket::stream<tcp::socket>;

    WsConnection(std::unique_ptr<Stream> stream, const Endpoint& endpoint)
        : state_(std::make_shared<State>(std::move(stream), endpoint)) {
        state_->stream->text(true);
        state_->stream->auto_fragment(false);
        state_->stream->read_message_max(message_bytes_max);
        State::read(state_);
    }
    ~WsConnection() override { state_->close(); }

    void on_message(Handler handler) override { state_->handler = std::move(handler); }

    void send(std::span<const std::string_view> pieces) override {
        state_->unsent.push_back(buffers_of(pieces));
        if (state_->unsent.size() == 1) { State::write(state_); }
    }

private:
    struct State {
        State(std::unique_ptr<Stream> s, const Endpoint& e) : stream(std::move(s)), endpoint(e) {}

        static void read(const std::shared_ptr<State>& state) {
            state->stream->async_read(state->buffer, [state](error_code error, size_t) {
                if (error) {
                    state->broken(error);
                    return;
                }
                state->buffer.prepare(padding_bytes);
                const auto data = state->buffer.cdata();
                if (state->handler) {
                    state->handler(
                        std::string_view(static_cast<const char*>(data.data()), data.size()));
                }
                state->buffer.consume(state->buffer.size());
                if (!state->closed) { read(state); }
            });
        }

        static void write(const std::shared_ptr<State>& state) {
            state->stream->async_write(state->unsent.front(), [state](error_code error, size_t) {
                if (error) {
                    state->broken(error);
                    return;
                }
                state->unsent.pop_front();
                if (!state->unsent.empty()) { write(state); }
            });
        }

        void broken(const error_code& error) {
            if (!handler || closed) { return; }
            Error what = connection_error(endpoint, error);
            const auto& reason = stream->reason();
            if (!reason.reason.empty()) {
                what.message += " (the node said: " + std::string(reason.reason.c_str()) + ")";
            }
            handler(std::unexpected(std::move(what)));
        }

        void close() {
            closed = true;
            handler = nullptr;
            error_code ignored;
            stream->next_layer().close(ignored);
        }

        std::unique_ptr<Stream> stream;
        const Endpoint endpoint;
        beast::flat_buffer buffer;
        std::deque<Pieces> unsent;
        Handler handler;
        bool closed = false;
    };

    std::shared_ptr<State> state_;
};

}  // namespace

EventLoop::EventLoop() : impl_(std::make_unique<Impl>()) {}
EventLoop::~EventLoop() = default;

bool EventLoop::run_until(const std::function<bool()>& done, int64_t deadline_ns) {
    const SteadyTime deadline = time_of(deadline_ns);
    while (!done()) {
        impl_->io.restart();
        // None: the time has come, or nothing is left that could change the answer.
        if (impl_->io.run_one_until(deadline) == 0) { return done(); }
    }
    return true;
}

std::unique_ptr<EventLoop::Timer> EventLoop::timer(std::function<void()> work) {
    return std::make_unique<AsioTimer>(impl_->io, std::move(work));
}

Result<std::unique_ptr<Connection>> Connection::open(EventLoop& loop, const Endpoint& endpoint,
                                                     int64_t timeout_ns) {
    asio::io_context& io = loop.impl().io;
    const int64_t deadline_ns = steady_ns() + timeout_ns;
    const auto unreachable = [&endpoint](const std::string& why) {
        return fail(ErrorCode::unavailable,
                    "cannot reach " + endpoint.url() + ": " + why + "; is a node running there?");
    };
    error_code error;
    tcp::resolver resolver(io);
    const auto addresses = resolver.resolve(endpoint.host, std::to_string(endpoint.port), error);
    if (error) { return unreachable(error.message()); }

    auto stream = std::make_unique<WsConnection::Stream>(io);
    std::optional<error_code> connected;
    asio::async_connect(stream->next_layer(), addresses,
                        [&connected](error_code e, const tcp::endpoint&) { connected = e; });
    // What was started must end before its variables do.
    const auto finish = [&](const std::optional<error_code>& ended) {
        if (loop.run_until([&ended] { return ended.has_value(); }, deadline_ns)) { return true; }
        error_code ignored;
        stream->next_layer().close(ignored);
        loop.run_until([&ended] { return ended.has_value(); }, steady_ns() + 1'000'000'000);
        return false;
    };
    if (!finish(connected)) { return unreachable("no answer in time"); }
    if (*connected) { return unreachable(connected->message()); }
    stream->next_layer().set_option(tcp::no_delay(true), error);
    if (!endpoint.websocket) {
        return std::make_unique<HttpConnection>(std::move(stream->next_layer()), endpoint);
    }
    std::optional<error_code> accepted;
    stream->async_handshake(endpoint.authority(), endpoint.target,
                            [&accepted](error_code e) { accepted = e; });
    if (!finish(accepted)) { return unreachable("no answer to the WebSocket handshake in time"); }
    if (*accepted) { return unreachable("no WebSocket: " + accepted->message()); }
    return std::make_unique<WsConnection>(std::move(stream), endpoint);
}

}  // namespace millrace::load
