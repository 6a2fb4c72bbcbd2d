// SPDX-License-Identifier: Apache-2.0
// Owns how a test keeps a worker of the engine from its queue.
#pragma once

#include <gtest/gtest.h>

#include <latch>
#include <memory>

#include "kernels/offload/engine.hpp"

namespace millrace::kernels {

/// Holds the only worker inside a callback until it goes out of scope. The worker shares the
/// latches, since it may still be leaving the wait when the test has moved on.
class HeldWorker {
public:
    explicit HeldWorker(OffloadEngine& engine) {
        const Result<void> submitted = engine.submit_recover({}, [latches = latches_](auto) {
            latches->held.count_down();
            latches->release.wait();
        });
        EXPECT_TRUE(submitted.has_value());
        latches_->held.wait();
    }
    ~HeldWorker() { latches_->release.count_down(); }

private:
    struct Latches {
        std::latch held{1};
        std::latch release{1};
    };
    std::shared_ptr<Latches> latches_ = std::make_shared<Latches>();
};

}  // namespace millrace::kernels
