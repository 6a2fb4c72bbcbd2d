// SPDX-License-Identifier: Apache-2.0
// Owns the HTTP/1.1 and WebSocket protocols (the only file that includes Beast).
#include "net/rpc/detail/connections.hpp"

#include <array>
#include <deque>
#include <optional>

#include <boost/asio/write.hpp>
#include <boost/beast/core/bind_handler.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http.hpp>
#include <boost/beast/websocket.hpp>

#include "net/rpc/http_policy.hpp"
#include "net/rpc/json_writer.hpp"

namespace millrace::net::detail {

namespace {

namespace beast = boost::beast;
namespace http = beast::http;
namespace websocket = beast::websocket;
using boost::system::error_code;
using std::chrono::milliseconds;
using Stream = beast::basic_stream<tcp, Strand>;
using Request = http::request<http::string_body>;
using Response = http::response<http::string_body>;

std::string_view to_view(beast::string_view text) { return {text.data(), text.size()}; }

// ---------------------------------------------------------------- WebSocket

/// All members but the atomics belong to the strand.
class WsConnection final : public Connection,
                           public Subscriber,
                           public std::enable_shared_from_this<WsConnection> {
public:
    WsConnection(Stream stream, std::shared_ptr<ServerCore> core)
        : core_(std::move(core)),
          strand_(stream.get_executor()),
          ws_(std::move(stream)),
          close_timer_(strand_) {
        core_->ws_connections.add(1);
    }
    ~WsConnection() override { core_->ws_connections.add(-1); }

    void start(const http::request<http::string_body>& request) {
        core_->add(shared_from_this());
        websocket::stream_base::timeout timeout;
        timeout.handshake_timeout = milliseconds(core_->options.header_timeout_ms);
        timeout.idle_timeout = milliseconds(2 * uint64_t{core_->options.ws_ping_after_ms});
        timeout.keep_alive_pings = true;  // sent after half of the idle time
        ws_.set_option(timeout);
        ws_.read_message_max(core_->options.request_bytes_max);
        ws_.auto_fragment(false);
        ws_.text(true);
        ws_.async_accept(request, [self = shared_from_this()](error_code error) {
            if (error) {
                self->finish();
            } else {
                self->read();
            }
        });
    }

    // --- Subscriber: any thread ---

    void notify(std::string head, std::shared_ptr<const std::string> body,
                uint64_t cursor) override {
        const size_t bytes = head.size() + body->size();
        // Counted here, not on the strand: what waits for the strand is memory too.
        if (queued_bytes_.fetch_add(bytes) + bytes > core_->options.ws_send_buffer_bytes_max) {
            queued_bytes_.fetch_sub(bytes);
            if (!overflowed_.exchange(true)) { close_slow(); }
            return;
        }
        core_->runtime->run_on(
            strand_, [self = shared_from_this(), message = Message{std::move(head), std::move(body),
                                                                   cursor, bytes}]() mutable {
                self->enqueue(std::move(message));
            });
    }

    void disconnect(std::string reason) override {
        core_->runtime->run_on(strand_, [self = shared_from_this(), reason = std::move(reason)] {
            self->close(websocket::close_code::try_again_later, reason);
        });
    }

    // --- Connection ---

    void leave() override {
        core_->runtime->run_on(strand_, [self = shared_from_this()] {
            self->close(websocket::close_code::going_away, "the node is stopping");
        });
    }

    void cut() override { finish(); }

private:
    struct Message {
        std::string head;
        std::shared_ptr<const std::string> body;  ///< null for answers, which are all head
        uint64_t cursor = 0;
        size_t bytes = 0;
    };

    void read() {
        reading_ = true;
        ws_.async_read(buffer_, [self = shared_from_this()](error_code error, size_t) {
            self->on_read(error);
        });
    }

    void on_read(error_code error) {
        reading_ = false;
        if (error) {
            finish();
            return;
        }
        std::string text = beast::buffers_to_string(buffer_.data());
        buffer_.consume(buffer_.size());
        if (closing_) { return; }
        ++outstanding_;
        ++core_->open_answers;
        beginning_ = true;
        core_->service->handle(
            std::move(text), shared_from_this(),
            [self = shared_from_this()](std::string answer) {
                --self->core_->open_answers;
                self->core_->runtime->run_on(self->strand_,
                                             [self, answer = std::move(answer)]() mutable {
                                                 self->on_answer(std::move(answer));
                                             });
            },
            [self = shared_from_this()] { self->on_begun(); });
        read_on();
    }

    /// Mostly inside of on_read's call; on another thread when a worker began the message.
    void on_begun() {
        if (strand_.running_in_this_thread()) {
            beginning_ = false;
            return;
        }
        core_->runtime->run_on(strand_, [self = shared_from_this()] {
            self->beginning_ = false;
            if (!self->closing_ && !self->finished_) { self->read_on(); }
        });
    }

    /// Back-pressure: a client that asks faster than it listens is not read from. Nor is one whose
    /// last message waits for a worker: what it sends is begun in its order.
    void read_on() {
        const bool room = outstanding_ < core_->options.outstanding_per_connection_max &&
                          queued_bytes_ <= core_->options.ws_send_buffer_bytes_max / 2;
        if (room && !reading_ && !beginning_ && !closing_) { read(); }
    }

    void on_answer(std::string answer) {
        --outstanding_;
        if (!answer.empty()) {
            const size_t bytes = answer.size();
            if (queued_bytes_.fetch_add(bytes) + bytes > core_->options.ws_send_buffer_bytes_max) {
                queued_bytes_.fetch_sub(bytes);
                if (!overflowed_.exchange(true)) { close_slow(); }
                return;
            }
            enqueue({std::move(answer), nullptr, 0, bytes});
        }
        // Not from inside on_read's call of handle, which reads on by itself.
        if (!closing_ && !finished_) { read_on(); }
    }

    void enqueue(Message message) {
        if (closing_) {
            queued_bytes_.fetch_sub(message.bytes);
            return;
        }
        queue_.push_back(std::move(message));
        if (!writing_) { write(); }
    }

    void write() {
        static constexpr std::string_view tail = "}}";
        writing_ = true;
        const Message& message = queue_.front();
        const bool notification = message.body != nullptr;
        const std::array<asio::const_buffer, 3> parts = {
            asio::buffer(message.head),
            notification ? asio::buffer(*message.body) : asio::const_buffer(),
            notification ? asio::buffer(tail) : asio::const_buffer()};
        ws_.async_write(parts, [self = shared_from_this()](error_code error, size_t) {
            self->on_write(error);
        });
    }

    void on_write(error_code error) {
        writing_ = false;
        const Message& sent = queue_.front();
        queued_bytes_.fetch_sub(sent.bytes);
        if (!error && sent.cursor != 0) { sent_cursor_ = sent.cursor; }
        queue_.pop_front();
        if (error) {
            finish();
            return;
        }
        if (!queue_.empty()) { write(); }
        read_on();
    }

    void close_slow() {
        core_->slow_subscribers.add();
        core_->runtime->run_on(strand_, [self = shared_from_this()] {
            const size_t mib = self->core_->options.ws_send_buffer_bytes_max >> 20;
            std::string reason = "slow subscriber: " + std::to_string(mib) + " MiB unread";
            if (self->sent_cursor_ != 0) {
                reason += "; sent up to mini-block " + std::to_string(self->sent_cursor_);
            }
            self->close(websocket::close_code::policy_error, reason + "; reconnect");
        });
    }

    void close(websocket::close_code code, const std::string& reason) {
        if (closing_ || finished_) { return; }
        closing_ = true;
        core_->service->closed(this);
        // The message that is being written must stay; the rest will not be sent.
        while (queue_.size() > (writing_ ? 1u : 0u)) {
            queued_bytes_.fetch_sub(queue_.back().bytes);
            queue_.pop_back();
        }
        const websocket::close_reason why(code, reason);
        ws_.async_close(why, [self = shared_from_this()](error_code) { self->finish(); });
        close_timer_.expires_after(std::chrono::seconds(10));
        close_timer_.async_wait([self = shared_from_this()](error_code error) {
            if (!error) { self->finish(); }
        });
    }

    void finish() {
        if (finished_) { return; }
        finished_ = true;
        closing_ = true;
        close_timer_.cancel();
        beast::get_lowest_layer(ws_).close();
        core_->service->closed(this);
        core_->remove(this);
    }

    const std::shared_ptr<ServerCore> core_;
    const Strand strand_;
    websocket::stream<Stream> ws_;
    asio::basic_waitable_timer<std::chrono::steady_clock,
                               asio::wait_traits<std::chrono::steady_clock>, Strand>
        close_timer_;
    beast::flat_buffer buffer_;
    std::deque<Message> queue_;
    std::atomic<size_t> queued_bytes_{0};
    std::atomic<bool> overflowed_{false};
    size_t outstanding_ = 0;
    uint64_t sent_cursor_ = 0;
    bool reading_ = false;
    bool beginning_ = false;
    bool writing_ = false;
    bool closing_ = false;
    bool finished_ = false;
};

// ---------------------------------------------------------------- HTTP

/// One request at a time; what a client pipelines waits in the buffer. All on the strand.
class HttpConnection final : public Connection,
                             public std::enable_shared_from_this<HttpConnection> {
public:
    HttpConnection(Socket socket, std::shared_ptr<ServerCore> core)
        : core_(std::move(core)),
          strand_(socket.get_executor()),
          stream_(std::move(socket)),
          buffer_(core_->options.header_bytes_max + read_ahead_bytes) {
        core_->http_connections.add(1);
    }
    ~HttpConnection() override { core_->http_connections.add(-1); }

    void start() {
        core_->add(shared_from_this());
        wait_for_request();
    }

    void leave() override {
        core_->runtime->run_on(strand_, [self = shared_from_this()] {
            self->leaving_ = true;
            if (!self->answering_) { self->finish(); }
        });
    }
    void cut() override { finish(); }

private:
    static constexpr size_t read_ahead_bytes = 64 * 1024;

    void wait_for_request() {
        parser_.emplace();
        parser_->header_limit(static_cast<uint32_t>(core_->options.header_bytes_max));
        parser_->body_limit(core_->options.request_bytes_max);
        if (buffer_.size() != 0) {
            read_header();
            return;
        }
        stream_.expires_after(milliseconds(core_->options.idle_timeout_ms));
        stream_.async_read_some(buffer_.prepare(4096),
                                [self = shared_from_this()](error_code error, size_t bytes) {
                                    if (error) {
                                        self->finish();
                                        return;
                                    }
                                    self->buffer_.commit(bytes);
                                    self->read_header();
                                });
    }

    /// One deadline for the whole header, however slowly its bytes come.
    void read_header() {
        stream_.expires_after(milliseconds(core_->options.header_timeout_ms));
        http::async_read_header(
            stream_, buffer_, *parser_,
            [self = shared_from_this()](error_code error, size_t) { self->on_header(error); });
    }

    void on_header(error_code error) {
        if (error) {
            refuse_malformed(error);
            return;
        }
        const auto& request = parser_->get();
        if (websocket::is_upgrade(request)) {
            upgrade();
            return;
        }
        if (beast::iequals(request[http::field::expect], "100-continue")) {
            static constexpr std::string_view go_on = "HTTP/1.1 100 Continue\r\n\r\n";
            asio::async_write(stream_, asio::buffer(go_on),
                              [self = shared_from_this()](error_code failed, size_t) {
                                  failed ? self->finish() : self->read_body();
                              });
            return;
        }
        read_body();
    }

    void read_body() {
        stream_.expires_after(milliseconds(core_->options.body_timeout_ms));
        http::async_read(stream_, buffer_, *parser_,
                         [self = shared_from_this()](error_code error, size_t) {
                             if (error) {
                                 self->refuse_malformed(error);
                             } else {
                                 self->on_request(self->parser_->release());
                             }
                         });
    }

    void refuse_malformed(error_code error) {
        http::status status = http::status::bad_request;
        if (error == http::error::header_limit || error == http::error::buffer_overflow) {
            status = http::status::request_header_fields_too_large;
        } else if (error == http::error::body_limit) {
            status = http::status::payload_too_large;
        } else if (error.category() != make_error_code(http::error::bad_method).category() ||
                   error == http::error::end_of_stream || error == http::error::partial_message) {
            finish();  // the peer went away or was too slow
            return;
        }
        keep_alive_ = false;
        version_ = 11;
        origin_.clear();
        answer(status, "text/plain", error.message() + "\n");
    }

    // --- Routing ---

    void on_request(Request request) {
        stream_.expires_never();
        keep_alive_ = request.keep_alive();
        version_ = request.version();
        head_only_ = request.method() == http::verb::head;
        origin_ = to_view(request[http::field::origin]);
        const std::string_view target = to_view(request.target());
        const std::string_view path = target.substr(0, target.find('?'));
        const auto method = request.method();
        const bool reading = method == http::verb::get || method == http::verb::head;
        if (reading && answer_operator(path)) { return; }
        if (!host_allowed(to_view(request[http::field::host]), core_->options.vhosts)) {
            answer(http::status::forbidden, "text/plain",
                   "invalid host specified; allow it with --http.vhosts\n");
        } else if (path != "/" && !path.empty()) {
            answer(http::status::not_found, "text/plain", "404: JSON-RPC is at /\n");
        } else if (method == http::verb::options) {
            answer_preflight(request);
        } else if (method == http::verb::post) {
            on_post(std::move(request));
        } else if (reading) {
            answer(http::status::ok, "text/plain", "");
        } else {
            answer(http::status::method_not_allowed, "text/plain", "405: use POST\n");
        }
    }

    bool answer_operator(std::string_view path) {
        if (path == "/livez") {
            answer(http::status::ok, "application/json", R"({"live":true})");
        } else if (path == "/readyz") {
            answer_readiness();
        } else if (path == "/metrics") {
            answer(http::status::ok, "text/plain; version=0.0.4; charset=utf-8",
                   core_->registry.prometheus());
        } else {
            return false;
        }
        return true;
    }

    void answer_readiness() {
        const auto checks = core_->node.readiness();
        bool ready = !core_->stopping;
        JsonWriter w;
        w.begin_object();
        w.key("checks");
        w.begin_array();
        for (const auto& check : checks) {
            ready = ready && check.ok;
            w.begin_object();
            w.field_text("name", check.name);
            w.field_boolean("ok", check.ok);
            w.field_text("detail", check.detail);
            w.end_object();
        }
        w.end_array();
        w.field_boolean("ready", ready);
        w.end_object();
        answer(ready ? http::status::ok : http::status::service_unavailable, "application/json",
               w.take());
    }

    void answer_preflight(const Request& request) {
        Response response = make_response(http::status::no_content, "text/plain", "");
        if (!request[http::field::access_control_request_method].empty() &&
            cors_allowed(origin_, core_->options.cors_domains)) {
            response.set(http::field::access_control_allow_methods, "POST, GET");
            if (const auto headers = request[http::field::access_control_request_headers];
                !headers.empty()) {
                response.set(http::field::access_control_allow_headers, headers);
            }
            response.set(http::field::access_control_max_age, "600");
        }
        send(std::move(response));
    }

    void on_post(Request request) {
        if (!core_->options.http_enabled) {
            answer(http::status::not_found, "text/plain", "JSON-RPC over HTTP is off (--http)\n");
            return;
        }
        if (!json_content_type(to_view(request[http::field::content_type]))) {
            answer(http::status::unsupported_media_type, "text/plain",
                   "invalid content type, only application/json is supported\n");
            return;
        }
        answering_ = true;
        ++core_->open_answers;
        core_->service->handle(
            std::move(request.body()), nullptr, [self = shared_from_this()](std::string text) {
                --self->core_->open_answers;
                self->core_->runtime->run_on(
                    self->strand_, [self, text = std::move(text)]() mutable {
                        self->answer(http::status::ok, "application/json", std::move(text));
                    });
            });
    }

    void upgrade() {
        const auto& request = parser_->get();
        version_ = request.version();
        keep_alive_ = false;
        if (!core_->options.ws_enabled) {
            answer(http::status::not_found, "text/plain", "WebSocket is off (--ws)\n");
        } else if (!ws_origin_allowed(to_view(request[http::field::origin]),
                                      core_->options.ws_origins)) {
            answer(http::status::forbidden, "text/plain",
                   "origin not allowed; allow it with --ws.origins\n");
        } else {
            stream_.expires_never();
            core_->remove(this);
            finished_ = true;
            std::make_shared<WsConnection>(std::move(stream_), core_)->start(request);
        }
    }

    // --- Answering ---

    Response make_response(http::status status, std::string_view type, std::string body) {
        Response response(status, version_);
        response.keep_alive(keep_alive_ && !leaving_ && !core_->stopping);
        if (status != http::status::no_content) {
            response.set(http::field::content_type, beast::string_view(type.data(), type.size()));
        }
        response.set("X-Content-Type-Options", "nosniff");
        const auto& domains = core_->options.cors_domains;
        if (!domains.empty()) { response.set(http::field::vary, "Origin"); }
        if (cors_allowed(origin_, domains)) {
            const bool all = std::ranges::find(domains, "*") != domains.end();
            response.set(http::field::access_control_allow_origin, all ? "*" : origin_);
        }
        response.body() = std::move(body);
        response.prepare_payload();
        if (head_only_) { response.body().clear(); }
        return response;
    }

    void answer(http::status status, std::string_view type, std::string body) {
        send(make_response(status, type, std::move(body)));
    }

    void send(Response response) {
        answering_ = true;
        response_ = std::move(response);
        stream_.expires_after(milliseconds(core_->options.write_timeout_ms));
        http::async_write(
            stream_, response_,
            [self = shared_from_this()](error_code error, size_t) { self->on_written(error); });
    }

    void on_written(error_code error) {
        const bool again = !error && response_.keep_alive();
        answering_ = false;
        response_ = {};
        if (again) {
            wait_for_request();
            return;
        }
        error_code ignored;
        stream_.socket().shutdown(tcp::socket::shutdown_send, ignored);
        linger();
    }

    /// Reads what the peer still sends, briefly: closing on unread bytes would reset the connection
    /// and take our answer with it.
    void linger() {
        stream_.expires_after(milliseconds(1000));
        buffer_.consume(buffer_.size());
        stream_.async_read_some(buffer_.prepare(read_ahead_bytes),
                                [self = shared_from_this()](error_code error, size_t bytes) {
                                    self->lingered_bytes_ += bytes;
                                    const size_t most = 4 * self->core_->options.request_bytes_max;
                                    if (error || self->lingered_bytes_ > most) {
                                        self->finish();
                                    } else {
                                        self->linger();
                                    }
                                });
    }

    void finish() {
        if (finished_) { return; }
        finished_ = true;
        stream_.close();
        core_->remove(this);
    }

    const std::shared_ptr<ServerCore> core_;
    const Strand strand_;
    Stream stream_;
    beast::flat_buffer buffer_;
    std::optional<http::request_parser<http::string_body>> parser_;
    Response response_;
    std::string origin_;
    size_t lingered_bytes_ = 0;
    unsigned version_ = 11;
    bool keep_alive_ = true;
    bool head_only_ = false;
    bool answering_ = false;
    bool leaving_ = false;
    bool finished_ = false;
};

}  // namespace

void serve_socket(Socket socket, std::shared_ptr<ServerCore> core) {
    const auto connection = std::make_shared<HttpConnection>(std::move(socket), std::move(core));
    connection->start();
}

void refuse_socket(Socket socket) {
    static constexpr std::string_view answer =
        "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nContent-Type: text/plain\r\n"
        "Content-Length: 38\r\nRetry-After: 1\r\n\r\ntoo many connections; try again later\n";
    const auto shared = std::make_shared<Socket>(std::move(socket));
    asio::async_write(*shared, asio::buffer(answer), [shared](error_code, size_t) {
        error_code ignored;
        shared->shutdown(tcp::socket::shutdown_both, ignored);
        shared->close(ignored);
    });
}

}  // namespace millrace::net::detail
