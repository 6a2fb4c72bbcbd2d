// SPDX-License-Identifier: Apache-2.0
// Owns requests that wait for a receipt: counted, timed, ended exactly once.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <unordered_map>

#include "net/node_api.hpp"
#include "net/rpc/method.hpp"
#include "net/rpc/runtime.hpp"

namespace millrace::net {

/// Any thread.
class ReceiptWaits : public std::enable_shared_from_this<ReceiptWaits> {
public:
    ReceiptWaits(NodeApi& node, std::shared_ptr<Runtime> runtime, size_t waits_max)
        : node_(node), runtime_(std::move(runtime)), waits_max_(waits_max) {}

    /// Ends `done` with the receipt, with the reason why there will be none, or after `timeout_ms`
    /// with `on_timeout`.
    void wait(const Hash256& hash, uint32_t timeout_ms, RpcError on_timeout, Completion done);
    /// Ends all waits with an error and refuses more.
    void stop();

private:
    struct Wait;

    void end(const std::shared_ptr<Wait>& wait, RpcResult<std::string> result, bool unwatch);

    NodeApi& node_;
    std::shared_ptr<Runtime> runtime_;
    const size_t waits_max_;
    /// Guards open_ and stopped_.
    std::mutex mutex_;
    std::unordered_map<const Wait*, std::shared_ptr<Wait>> open_;
    bool stopped_ = false;
};

}  // namespace millrace::net
