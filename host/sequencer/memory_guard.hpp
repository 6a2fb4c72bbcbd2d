// SPDX-License-Identifier: Apache-2.0
// Owns the watch over the memory of the state commitment: intake stops at a limit, before the
// machine has none left.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>

#include "host/base/metrics.hpp"
#include "storage/state/block_commitment.hpp"

namespace millrace::sequencer {

/// Compares what a commitment keeps in memory with a limit. At the limit it is full, until a
/// sixteenth of it is free again; a warning comes at nine tenths. What was taken before is still
/// executed, so that the limit can be exceeded by what a few mini-blocks create: it is a limit on
/// the size of the state, not on the process.
class MemoryGuard {
public:
    /// A limit of 0 is never reached. Gauges of the parts are added to the registry.
    MemoryGuard(uint64_t limit_bytes, metrics::Registry& registry);
    MemoryGuard(const MemoryGuard&) = delete;
    MemoryGuard& operator=(const MemoryGuard&) = delete;

    /// Looks at what the commitment takes now. One thread at a time: the commitment's.
    void note(const storage::CommitmentMemory& memory);

    // --- Any thread ---
    bool full() const noexcept { return full_.load(std::memory_order_relaxed); }
    uint64_t used_bytes() const noexcept { return used_.load(std::memory_order_relaxed); }
    uint64_t limit_bytes() const noexcept { return limit_bytes_; }

private:
    const uint64_t limit_bytes_;
    std::array<metrics::Gauge*, 6> parts_;
    // Relaxed: each stands alone.
    std::atomic<bool> full_{false};
    std::atomic<uint64_t> used_{0};
    bool warned_ = false;
};

}  // namespace millrace::sequencer
