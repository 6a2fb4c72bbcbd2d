// SPDX-License-Identifier: Apache-2.0
// Owns listening, the count of connections, and the order in which a server stops.
#include "net/rpc/rpc_server.hpp"

#include <algorithm>
#include <chrono>
#include <thread>

#include <boost/asio/bind_executor.hpp>

#include "host/base/log.hpp"
#include "net/rpc/detail/connections.hpp"

namespace millrace::net {

namespace detail {

ServerCore::ServerCore(RpcOptions options_in, NodeApi& node_in, metrics::Registry& registry_in)
    : options(std::move(options_in)),
      node(node_in),
      registry(registry_in),
      runtime(std::make_shared<AsioRuntime>(options, registry)),
      service(std::make_shared<RpcService>(options, node, runtime, registry)),
      http_connections(
          registry.gauge("millrace_rpc_connections", "Open connections", "transport=\"http\"")),
      ws_connections(
          registry.gauge("millrace_rpc_connections", "Open connections", "transport=\"ws\"")),
      refused_connections(registry.counter("millrace_rpc_connections_refused_total",
                                           "Connections above the limit")),
      slow_subscribers(registry.counter("millrace_rpc_slow_subscribers_total",
                                        "WebSockets closed because they did not keep up")) {}

void ServerCore::add(std::shared_ptr<Connection> connection) {
    const std::lock_guard lock(mutex_);
    const Connection* key = connection.get();
    open_.emplace(key, std::move(connection));
}

void ServerCore::remove(const Connection* connection) {
    std::shared_ptr<Connection> last;  // destroyed outside of the lock
    const std::lock_guard lock(mutex_);
    if (const auto it = open_.find(connection); it != open_.end()) {
        last = std::move(it->second);
        open_.erase(it);
    }
}

std::vector<std::shared_ptr<Connection>> ServerCore::all() {
    const std::lock_guard lock(mutex_);
    std::vector<std::shared_ptr<Connection>> out;
    for (const auto& [key, connection] : open_) { out.push_back(connection); }
    return out;
}

size_t ServerCore::count() {
    const std::lock_guard lock(mutex_);
    return open_.size();
}

}  // namespace detail

namespace {

using boost::system::error_code;
using detail::Socket;
using detail::Strand;
using detail::tcp;
namespace asio = boost::asio;
using Acceptor = asio::basic_socket_acceptor<tcp, Strand>;

/// Waits until `done` or for at most `limit`; for the thread that stops the server only.
template <class Done>
void wait_until(Done done, std::chrono::milliseconds limit) {
    const auto end = std::chrono::steady_clock::now() + limit;
    while (!done() && std::chrono::steady_clock::now() < end) {
        std::this_thread::sleep_for(std::chrono::milliseconds(2));
    }
}

/// Accepts on its own strand.
class Listener : public std::enable_shared_from_this<Listener> {
public:
    explicit Listener(std::shared_ptr<detail::ServerCore> core)
        : core_(std::move(core)),
          strand_(core_->runtime->io().get_executor()),
          acceptor_(strand_),
          pause_(core_->runtime->io()) {}

    Result<uint16_t> bind() {
        error_code error;
        const auto& options = core_->options;
        const auto address = asio::ip::make_address(options.address, error);
        if (error) {
            return fail(ErrorCode::config, "RPC address '" + options.address +
                                               "' is no IP address; use e.g. 127.0.0.1 or ::1");
        }
        const tcp::endpoint endpoint(address, options.port);
        acceptor_.open(endpoint.protocol(), error);
        if (!error) { acceptor_.set_option(asio::socket_base::reuse_address(true), error); }
        if (!error) { acceptor_.bind(endpoint, error); }
        if (!error) { acceptor_.listen(asio::socket_base::max_listen_connections, error); }
        if (!error) { return acceptor_.local_endpoint(error).port(); }
        const std::string where = options.address + ":" + std::to_string(options.port);
        if (error == asio::error::address_in_use) {
            return fail(ErrorCode::unavailable, "RPC port " + where +
                                                    " is in use; stop the other program or choose "
                                                    "another port");
        }
        return fail(ErrorCode::io, "cannot listen on " + where + ": " + error.message());
    }

    void accept() {
        acceptor_.async_accept(Strand(core_->runtime->io().get_executor()),
                               [self = shared_from_this()](error_code error, Socket socket) {
                                   self->on_accept(error, std::move(socket));
                               });
    }

    void close() {
        core_->runtime->run_on(strand_, [self = shared_from_this()] {
            error_code ignored;
            self->acceptor_.close(ignored);
            self->pause_.cancel();
        });
    }

private:
    void on_accept(error_code error, Socket socket) {
        if (core_->stopping || error == asio::error::operation_aborted) { return; }
        if (error) {
            // Out of file descriptors, most likely: some will come back.
            log::warn("cannot accept an RPC connection", {{"error", error.message()}});
            pause_.expires_after(std::chrono::milliseconds(100));
            pause_.async_wait(
                asio::bind_executor(strand_, [self = shared_from_this()](error_code e) {
                    if (!e && !self->core_->stopping) { self->accept(); }
                }));
            return;
        }
        error_code ignored;
        socket.set_option(tcp::no_delay(true), ignored);
        socket.set_option(asio::socket_base::keep_alive(true), ignored);
        const auto executor = socket.get_executor();
        const bool full = core_->count() >= core_->options.connections_max;
        if (full) { core_->refused_connections.add(); }
        asio::post(executor, [core = core_, full, socket = std::move(socket)]() mutable {
            full ? detail::refuse_socket(std::move(socket))
                 : detail::serve_socket(std::move(socket), std::move(core));
        });
        accept();
    }

    std::shared_ptr<detail::ServerCore> core_;
    Strand strand_;
    Acceptor acceptor_;
    asio::steady_timer pause_;
};

}  // namespace

struct RpcServer::Impl {
    std::shared_ptr<detail::ServerCore> core;
    std::shared_ptr<Listener> listener;
    uint16_t port = 0;
    bool running = false;
};

RpcServer::RpcServer(RpcOptions options, NodeApi& node, metrics::Registry& registry)
    : impl_(std::make_unique<Impl>()) {
    options.io_threads = std::max(options.io_threads, 1u);
    options.worker_threads = std::max(options.worker_threads, 1u);
    impl_->core = std::make_shared<detail::ServerCore>(std::move(options), node, registry);
}

RpcServer::~RpcServer() { stop(); }

Result<void> RpcServer::start() {
    impl_->listener = std::make_shared<Listener>(impl_->core);
    MILLRACE_TRY(impl_->port, impl_->listener->bind());
    impl_->running = true;
    impl_->core->service->start();
    impl_->listener->accept();
    impl_->core->runtime->start_threads(impl_->core->options.io_threads);
    return {};
}

uint16_t RpcServer::port() const noexcept { return impl_->port; }

void RpcServer::stop() {
    auto& core = *impl_->core;
    if (core.stopping.exchange(true)) { return; }
    if (impl_->running) {
        impl_->listener->close();
        core.service->stop();
        wait_until([&core] { return core.open_answers == 0; }, std::chrono::milliseconds(500));
        for (const auto& connection : core.all()) { connection->leave(); }
        wait_until([&core] { return core.count() == 0; }, std::chrono::milliseconds(200));
    }
    core.runtime->stop_threads();
    for (const auto& connection : core.all()) { connection->cut(); }
    core.runtime->drain();
}

}  // namespace millrace::net
