// SPDX-License-Identifier: Apache-2.0
// Owns a runtime without threads: work runs at once, timers when the test says so.
#pragma once

#include <list>

#include "net/rpc/runtime.hpp"

namespace millrace::net::testing {

class InlineRuntime final : public Runtime {
public:
    bool workers_full = false;

    void post(std::function<void()> work) override { work(); }
    bool post_work(std::function<void()> work) override {
        if (workers_full) { return false; }
        work();
        return true;
    }
    std::unique_ptr<Timer> after(uint32_t ms, std::function<void()> work) override {
        timers_.push_back({ms, std::move(work)});
        return std::make_unique<Handle>(*this, std::prev(timers_.end()));
    }

    size_t timer_count() const { return timers_.size(); }
    uint32_t last_timer_ms() const { return timers_.back().ms; }
    /// Runs the oldest timer as if its time had come.
    void fire_timer() {
        const auto work = timers_.front().work;
        work();
    }

private:
    struct Entry {
        uint32_t ms;
        std::function<void()> work;
    };
    class Handle final : public Timer {
    public:
        Handle(InlineRuntime& owner, std::list<Entry>::iterator entry)
            : owner_(owner), entry_(entry) {}
        ~Handle() override { owner_.timers_.erase(entry_); }

    private:
        InlineRuntime& owner_;
        std::list<Entry>::iterator entry_;
    };

    std::list<Entry> timers_;
};

}  // namespace millrace::net::testing
