// SPDX-License-Identifier: Apache-2.0
// Owns the network threads, their timers and the gate that closes when the server stops.
#pragma once

#include <shared_mutex>
#include <thread>
#include <vector>

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>

#include "net/rpc/rpc_options.hpp"
#include "net/rpc/runtime.hpp"
#include "net/rpc/worker_pool.hpp"

namespace millrace::net::detail {

namespace asio = boost::asio;
using Strand = asio::strand<asio::io_context::executor_type>;

class AsioRuntime final : public Runtime {
public:
    AsioRuntime(const RpcOptions& options, metrics::Registry& registry);

    void post(std::function<void()> work) override;
    bool post_work(std::function<void()> work) override { return workers_.post(std::move(work)); }
    std::unique_ptr<Timer> after(uint32_t ms, std::function<void()> work) override;

    /// Runs `work` on the strand: at once when this thread is in it, else soon.
    template <class Work>
    void run_on(const Strand& strand, Work work) {
        if (strand.running_in_this_thread()) {
            work();
            return;
        }
        const std::shared_lock gate(gate_);
        if (!closed_) { asio::post(strand, std::move(work)); }
    }

    asio::io_context& io() noexcept { return io_; }
    void start_threads(unsigned count);
    /// Ends workers and network threads. Handlers that wait stay where they are.
    void stop_threads();
    /// Closes the gate and runs what is left on this thread, so that nothing stays referenced.
    /// After stop_threads, with all sockets closed.
    void drain();

private:
    asio::io_context io_;
    asio::executor_work_guard<asio::io_context::executor_type> guard_;
    WorkerPool workers_;
    std::vector<std::thread> threads_;
    /// Guards closed_: held shared while something is posted.
    std::shared_mutex gate_;
    bool closed_ = false;
};

}  // namespace millrace::net::detail
