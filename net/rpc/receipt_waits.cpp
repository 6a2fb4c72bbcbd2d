// SPDX-License-Identifier: Apache-2.0
// Owns the race between a receipt, a timeout and the end of the server.
#include "net/rpc/receipt_waits.hpp"

#include <optional>

#include "net/rpc/encode.hpp"

namespace millrace::net {

/// The completion is there as long as nobody has ended the wait.
struct ReceiptWaits::Wait {
    std::mutex mutex;  ///< guards all below
    Completion completion;
    std::optional<WatchId> watch;
    std::unique_ptr<Runtime::Timer> timer;
};

void ReceiptWaits::wait(const Hash256& hash, uint32_t timeout_ms, RpcError on_timeout,
                        Completion done) {
    const auto wait = std::make_shared<Wait>();
    {
        const std::lock_guard lock(mutex_);
        if (!stopped_ && open_.size() < waits_max_) {
            wait->completion = std::move(done);
            open_.emplace(wait.get(), wait);
        }
    }
    if (done) {
        done(rpc_fail(rpc_code::limit_exceeded,
                      "too many transactions are waited for; this one was accepted, poll for its "
                      "receipt"));
        return;
    }
    const auto self = shared_from_this();
    {
        const std::lock_guard lock(wait->mutex);
        wait->timer = runtime_->after(timeout_ms, [self, wait, on_timeout = std::move(on_timeout)] {
            self->end(wait, std::unexpected(on_timeout), true);
        });
    }
    const WatchId id = node_.watch_receipt(hash, [self, wait](ApiResult<ReceiptData> receipt) {
        // Not on the node's thread: it has the next mini-block to make.
        self->runtime_->post([self, wait, receipt = std::move(receipt)] {
            if (!receipt) {
                self->end(wait, std::unexpected(to_rpc_error(receipt.error())), false);
                return;
            }
            JsonWriter w;
            write_receipt(w, *receipt);
            self->end(wait, w.take(), false);
        });
    });
    {
        const std::lock_guard lock(wait->mutex);
        if (wait->completion) {
            wait->watch = id;
            return;
        }
    }
    node_.unwatch_receipt(id);
}

void ReceiptWaits::end(const std::shared_ptr<Wait>& wait, RpcResult<std::string> result,
                       bool unwatch) {
    Completion completion;
    std::unique_ptr<Runtime::Timer> timer;
    std::optional<WatchId> watch;
    {
        const std::lock_guard lock(wait->mutex);
        if (!wait->completion) { return; }
        completion = std::exchange(wait->completion, nullptr);
        timer = std::move(wait->timer);
        watch = wait->watch;
    }
    {
        const std::lock_guard lock(mutex_);
        open_.erase(wait.get());
    }
    if (unwatch && watch) { node_.unwatch_receipt(*watch); }
    completion(std::move(result));
}

void ReceiptWaits::stop() {
    std::unordered_map<const Wait*, std::shared_ptr<Wait>> open;
    {
        const std::lock_guard lock(mutex_);
        stopped_ = true;
        open = open_;
    }
    for (const auto& [key, wait] : open) {
        end(wait, rpc_fail(rpc_code::sync_not_ready, "the node is stopping; poll for the receipt"),
            true);
    }
}

}  // namespace millrace::net
