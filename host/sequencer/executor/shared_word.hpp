// SPDX-License-Identifier: Apache-2.0
// Owns the words through which commits meet, and how a thread waits for one of them to change.
#pragma once

// A test that explores every schedule brings both types itself
// (tests/host/sequencer/memory_model.hpp).
#ifndef MILLRACE_MODEL_OF_SHARED_WORDS

#include <atomic>
#include <cstdint>
#include <thread>

namespace millrace::sequencer {

/// All memory that the protocol of cells shares between threads is made of these.
using SharedWord = std::atomic<uint64_t>;

/// Waits for another thread a little longer each time: it spins first, because a commit takes less
/// than a microsecond, and then gives up its turn, because the other may have lost its core.
class Backoff {
public:
    void wait() noexcept {
        if (++rounds_ < spins_max) {
            __builtin_ia32_pause();
        } else {
            std::this_thread::yield();
        }
    }
    unsigned rounds() const noexcept { return rounds_; }

private:
    static constexpr unsigned spins_max = 128;
    unsigned rounds_ = 0;
};

}  // namespace millrace::sequencer

#endif
