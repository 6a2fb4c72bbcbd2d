// SPDX-License-Identifier: Apache-2.0
// Owns how other threads have something done on the sequencer's thread.
#pragma once

#include "host/sequencer/sequencer.hpp"

namespace millrace::sequencer {

template <class F>
auto Sequencer::on_sequencer(F f) -> decltype(f()) {
    using R = decltype(f());
    const auto stopping = [this] { return stopping_.load(std::memory_order_acquire); };
    if (!running() || stopping()) { return fail(ErrorCode::unavailable, "the node is stopping"); }
    auto promise = std::make_shared<std::promise<R>>();
    auto future = promise->get_future();
    Message m = Command{[this, promise, f = std::move(f)]() mutable {
        if (stopping_.load(std::memory_order_acquire)) {
            promise->set_value(fail(ErrorCode::unavailable, "the node is stopping"));
        } else {
            promise->set_value(f());
        }
    }};
    if (!inbox_.try_push(std::move(m))) {
        return fail(ErrorCode::limit, "the node is overloaded; try again");
    }
    // The promise lives in the message: should that be destroyed unrun, the future reports it.
    constexpr auto slice = std::chrono::milliseconds(50);
    constexpr int slices_max = 60'000 / 50;
    constexpr int slices_at_end = 1'000 / 50;  // for a step under way to end
    for (int n = 0, at_end = 0; future.wait_for(slice) != std::future_status::ready; ++n) {
        if (stopping() && ++at_end > slices_at_end) {
            return fail(ErrorCode::unavailable, "the node is stopping");
        }
        if (n > slices_max) {
            return fail(ErrorCode::timeout, "the node did not answer within 60 s");
        }
    }
    return future.get();
}

template <class R>
Result<R> Sequencer::committed(std::future<R>& future) {
    while (future.wait_for(std::chrono::milliseconds(50)) != std::future_status::ready) {
        if (failed_.load(std::memory_order_acquire) &&
            future.wait_for(std::chrono::seconds(1)) != std::future_status::ready) {
            return fail(ErrorCode::io, "the log cannot be written");
        }
    }
    try {
        return future.get();
    } catch (const std::future_error&) {  // the commit was given up with its promise
        return fail(ErrorCode::io, "the log cannot be written");
    }
}

}  // namespace millrace::sequencer
