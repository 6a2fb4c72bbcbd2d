// SPDX-License-Identifier: Apache-2.0
// Owns what a piece of work is: submissions that call back, calls that block, and parts of both.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "host/base/types.hpp"
#include "kernels/offload/detail/device.hpp"
#include "kernels/offload/detail/job_ring.hpp"
#include "kernels/offload/engine.hpp"

namespace millrace::kernels::detail {

using RecoverDone = std::function<void(std::vector<std::optional<Address>>)>;

/// An asynchronous submission. Its jobs lie in a ring until the last part is finished. Shared by
/// the queue and by those who have parts of it; who finishes the last part calls `done`.
struct Submission {
    JobRing* ring = nullptr;
    uint64_t position = 0;  ///< of the first job in the ring
    size_t job_count = 0;
    std::atomic<size_t>* node_depth = nullptr;  ///< counts the jobs of its node that wait
    std::vector<std::optional<Address>> senders;
    RecoverDone done;
    Urgency urgency = Urgency::latency;
    int64_t queued_us = 0;
    size_t weight = 0;  ///< the jobs, or 1 when there are none
    size_t begin = 0;   ///< [begin, end): weights that nobody took; guarded by Dispatch
    size_t end = 0;
    std::atomic<size_t> left{
        0};  ///< weights not finished; the last decrement publishes the senders

    /// Counts `n` weights as finished and, after the last one, gives the slots back and calls back.
    void finish(size_t n) {
        // acq_rel: the last to finish sees the senders that the others wrote.
        if (left.fetch_sub(n, std::memory_order_acq_rel) != n) { return; }
        ring->release(position, job_count);
        done(std::move(senders));
    }
};

struct Range {
    size_t begin = 0;
    size_t end = 0;
    size_t size() const noexcept { return end - begin; }
};

/// A blocking call. It lives on the caller's stack: the caller leaves only when all is taken and
/// nothing is being run. What is not a span is guarded by Dispatch's mutex.
struct Call {
    Kernel kernel = Kernel::secp256k1;
    std::span<const RecoverJob> jobs;
    std::span<std::optional<Address>> senders;
    std::span<const ByteView> messages;
    std::span<Hash256> digests;
    size_t step = 1;   ///< items that a worker takes at a time
    size_t begin = 0;  ///< [begin, end): items that nobody took; a device takes from the
    size_t end = 0;    ///< front, workers from the tail
    bool device_may_take = false;
    std::vector<Range> returned;  ///< a device had these and failed
    size_t running = 0;           ///< steps and device batches being run
    std::condition_variable changed;

    size_t untaken() const noexcept { return end - begin; }
    bool done() const noexcept { return begin == end && returned.empty() && running == 0; }
};

/// A part of a submission or of a call that somebody has taken.
struct Part {
    std::shared_ptr<Submission> submission;  ///< null for a part of a call
    Call* call = nullptr;
    size_t begin = 0;
    size_t end = 0;

    size_t size() const noexcept { return end - begin; }
    /// Items to run: a submission without jobs weighs one and has none.
    size_t item_count() const noexcept {
        return submission != nullptr && submission->job_count == 0 ? 0 : size();
    }
};

/// The job of a slot as it was before it was written there.
inline RecoverJob job_of(const gpu::RecoverSlot& slot) noexcept {
    RecoverJob job;
    std::memcpy(job.digest.data(), slot.digest, sizeof slot.digest);
    std::memcpy(job.r.w, slot.r, sizeof slot.r);
    std::memcpy(job.s.w, slot.s, sizeof slot.s);
    job.y_parity = static_cast<uint8_t>(slot.y_parity);
    return job;
}

}  // namespace millrace::kernels::detail
