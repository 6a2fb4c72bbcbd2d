// SPDX-License-Identifier: Apache-2.0
// Owns the run loop of a network thread.
#include "net/rpc/detail/asio_runtime.hpp"

#include <exception>

#include "host/base/log.hpp"
#include "host/base/thread.hpp"

namespace millrace::net::detail {

namespace {

class AsioTimer final : public Runtime::Timer {
public:
    AsioTimer(asio::io_context& io, uint32_t ms, std::function<void()> work)
        : timer_(io, std::chrono::milliseconds(ms)) {
        timer_.async_wait([work = std::move(work)](const boost::system::error_code& error) {
            if (!error) { work(); }
        });
    }

private:
    asio::steady_timer timer_;
};

}  // namespace

AsioRuntime::AsioRuntime(const RpcOptions& options, metrics::Registry& registry)
    : io_(static_cast<int>(options.io_threads)),
      guard_(io_.get_executor()),
      workers_(options.worker_threads, options.worker_queue_max,
               registry.gauge("millrace_rpc_worker_queue", "Requests waiting for a worker")) {}

void AsioRuntime::post(std::function<void()> work) {
    const std::shared_lock gate(gate_);
    if (!closed_) { asio::post(io_, std::move(work)); }
}

std::unique_ptr<Runtime::Timer> AsioRuntime::after(uint32_t ms, std::function<void()> work) {
    const std::shared_lock gate(gate_);
    if (closed_) { return nullptr; }
    return std::make_unique<AsioTimer>(io_, ms, std::move(work));
}

void AsioRuntime::start_threads(unsigned count) {
    for (unsigned i = 0; i < count; ++i) {
        threads_.emplace_back([this, i] {
            set_thread_name("rpc-io-" + std::to_string(i));
            for (;;) {
                // A handler that throws costs its connection, not the thread.
                try {
                    io_.run();
                    return;
                } catch (const std::exception& e) {
                    log::error("rpc network handler failed", {{"what", e.what()}});
                }
            }
        });
    }
}

void AsioRuntime::stop_threads() {
    workers_.stop();
    guard_.reset();
    io_.stop();
    for (auto& thread : threads_) {
        if (thread.joinable()) { thread.join(); }
    }
}

void AsioRuntime::drain() {
    {
        const std::unique_lock gate(gate_);
        closed_ = true;
    }
    io_.restart();
    while (io_.poll() != 0) { io_.restart(); }
}

}  // namespace millrace::net::detail
