// SPDX-License-Identifier: Apache-2.0
// Owns the thread that looks at the room on the disk.
#include "host/sequencer/disk_guard.hpp"

#include <chrono>

#include "host/base/log.hpp"
#include "host/base/thread.hpp"

namespace millrace::sequencer {

DiskGuard::~DiskGuard() {
    {
        const std::lock_guard lock{mutex_};
        ending_ = true;
    }
    wake_.notify_all();
}

void DiskGuard::check() {
    const auto free = fs_.free_bytes(path_);
    if (!free) {
        if (!failed_) {
            log::warn("it is not known how much room the disk has",
                      {{"path", path_}, {"reason", free.error().message}});
        }
        failed_ = true;
        return;
    }
    failed_ = false;
    free_bytes_.store(*free, std::memory_order_relaxed);
    if (free_gauge_ != nullptr) { free_gauge_->set(static_cast<int64_t>(*free)); }
    const uint64_t enough = low() ? reserve_bytes_ + reserve_bytes_ / 16 : reserve_bytes_;
    const bool now_low = *free < enough;
    if (now_low == low()) { return; }
    low_.store(now_low, std::memory_order_relaxed);
    if (now_low) {
        log::warn("the disk has less room than is reserved: no transactions are taken",
                  {{"free_bytes", *free}, {"reserve_bytes", reserve_bytes_}});
    } else {
        log::info("the disk has room again", {{"free_bytes", *free}});
    }
}

void DiskGuard::start(int64_t period_ms) {
    check();
    thread_ = std::jthread([this, period_ms] {
        set_thread_name("mr-disk");
        std::unique_lock lock{mutex_};
        while (!wake_.wait_for(lock, std::chrono::milliseconds(period_ms),
                               [this] { return ending_; })) {
            lock.unlock();
            check();
            lock.lock();
        }
    });
}

}  // namespace millrace::sequencer
