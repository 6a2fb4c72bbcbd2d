// SPDX-License-Identifier: Apache-2.0
// Owns the bounded rings through which submissions reach the engine: one pair per memory node.
#pragma once

#include <atomic>
#include <memory>
#include <vector>

#include "host/base/error.hpp"
#include "host/base/ring.hpp"
#include "kernels/offload/detail/numa.hpp"
#include "kernels/offload/detail/work.hpp"

namespace millrace::kernels::detail {

/// Producers write their jobs into the ring of their own memory node and publish a descriptor,
/// without a lock. One thread at a time takes descriptors out.
class Intake {
public:
    /// At most `jobs_max` jobs wait, shared evenly among the nodes; `running_jobs_max` is how many
    /// more may have been taken and not be finished. Slots are pinned memory of `device` where
    /// it has any, and ordinary memory otherwise.
    Intake(const NumaTopology& topology, size_t jobs_max, size_t running_jobs_max, Device* device);

    /// Any thread. Fails with `limit` when the rings of all nodes are
    /// too full for the whole submission, and `unavailable` after close().
    Result<void> submit(std::vector<RecoverJob> jobs, RecoverDone done, Urgency urgency,
                        int64_t now_us);

    /// Next submission of any node, in the order of its node; null when there is none. One thread
    /// at a time.
    std::shared_ptr<Submission> pop();

    /// Refuses from now on, and returns when no submit() is under way. Any thread.
    void close();

    /// Jobs that wait: submitted, and not yet taken by a worker or the device.
    size_t depth() const noexcept;
    size_t node_count() const noexcept { return nodes_.size(); }
    /// Whether all slots are pinned memory.
    bool pinned() const noexcept { return pinned_; }

private:
    struct Node {
        Node(std::span<gpu::RecoverSlot> slots, size_t descriptors)
            : ring(slots), submissions(descriptors) {}
        JobRing ring;
        MpscRing<std::shared_ptr<Submission>> submissions;
        alignas(cache_line_bytes) std::atomic<size_t> depth{0};
    };

    std::span<gpu::RecoverSlot> make_slots(size_t count, Device* device);
    /// Whether `weight` more jobs may wait there, which then count as waiting.
    bool reserve(Node& node, size_t weight) const noexcept;

    const size_t node_jobs_max_;
    const NumaTopology topology_;
    std::vector<std::unique_ptr<gpu::RecoverSlot[]>> ordinary_;
    bool pinned_ = true;
    std::vector<std::unique_ptr<Node>> nodes_;
    size_t next_node_ = 0;                                        ///< consumer only
    alignas(cache_line_bytes) std::atomic<size_t> producers_{0};  ///< inside submit()
    std::atomic<bool> closed_{false};
};

}  // namespace millrace::kernels::detail
