// SPDX-License-Identifier: Apache-2.0
// Owns the use of Beast's client side (the only test file that includes it).
#include "tests/net/ws_client.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core/buffers_to_string.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/websocket.hpp>

namespace millrace::net::testing {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace websocket = beast::websocket;
using boost::system::error_code;

struct WsClient::Impl {
    asio::io_context io;
    websocket::stream<beast::tcp_stream> ws{io};
    bool connected = false;
    websocket::response_type response;

    /// Runs one operation to its end, or gives up.
    template <class Start>
    error_code run(Start start) {
        error_code result = beast::error::timeout;
        beast::get_lowest_layer(ws).expires_after(std::chrono::seconds(60));
        start([&result](error_code error, auto&&...) { result = error; });
        io.restart();
        io.run();
        return result;
    }
};

WsClient::WsClient(uint16_t port, std::string_view origin) : impl_(std::make_unique<Impl>()) {
    auto& ws = impl_->ws;
    const asio::ip::tcp::endpoint to(asio::ip::address_v4::loopback(), port);
    const auto connect_error =
        impl_->run([&](auto done) { beast::get_lowest_layer(ws).async_connect(to, done); });
    if (connect_error) { return; }
    ws.set_option(websocket::stream_base::decorator([origin](websocket::request_type& request) {
        if (!origin.empty()) {
            request.set(beast::http::field::origin,
                        beast::string_view(origin.data(), origin.size()));
        }
    }));
    ws.read_message_max(0);
    const auto error =
        impl_->run([&](auto done) { ws.async_handshake(impl_->response, "localhost", "/", done); });
    impl_->connected = !error;
}

WsClient::~WsClient() = default;

bool WsClient::connected() const noexcept { return impl_->connected; }

unsigned WsClient::handshake_status() const noexcept { return impl_->response.result_int(); }

bool WsClient::send(std::string_view text) {
    return !impl_->run(
        [&](auto done) { impl_->ws.async_write(asio::buffer(text.data(), text.size()), done); });
}

std::optional<std::string> WsClient::receive() {
    beast::flat_buffer buffer;
    const auto error = impl_->run([&](auto done) { impl_->ws.async_read(buffer, done); });
    if (error) { return std::nullopt; }
    return beast::buffers_to_string(buffer.data());
}

std::string WsClient::ask(std::string_view text) {
    if (!send(text)) { return "<not sent>"; }
    return receive().value_or("<no answer>");
}

std::string WsClient::close_reason() const {
    const auto& reason = impl_->ws.reason().reason;
    return {reason.data(), reason.size()};
}

unsigned WsClient::close_code() const { return impl_->ws.reason().code; }

}  // namespace millrace::net::testing
