// SPDX-License-Identifier: Apache-2.0
// Owns the way of a submission into the rings, and the limit on what waits there.
#include "kernels/offload/detail/intake.hpp"

#include <algorithm>
#include <bit>
#include <string>
#include <thread>

namespace millrace::kernels::detail {

namespace {

size_t ring_size(size_t count) { return std::bit_ceil(std::max<size_t>(count, 2)); }

}  // namespace

Intake::Intake(const NumaTopology& topology, size_t jobs_max, size_t running_jobs_max,
               Device* device)
    : node_jobs_max_((jobs_max + topology.node_count() - 1) / topology.node_count()),
      topology_(topology) {
    for (size_t node = 0; node < topology_.node_count(); ++node) {
        const OnNode here(topology_, node);
        const std::span<gpu::RecoverSlot> slots =
            make_slots(ring_size(node_jobs_max_ + running_jobs_max), device);
        // Each descriptor weighs at least one of the jobs that may wait, so this ring never fills.
        nodes_.push_back(std::make_unique<Node>(slots, ring_size(node_jobs_max_)));
    }
}

std::span<gpu::RecoverSlot> Intake::make_slots(size_t count, Device* device) {
    if (device != nullptr) {
        const std::span<std::byte> memory = device->pinned_memory(count * sizeof(gpu::RecoverSlot));
        if (memory.size() >= count * sizeof(gpu::RecoverSlot)) {
            return {reinterpret_cast<gpu::RecoverSlot*>(memory.data()), count};
        }
    }
    pinned_ = false;
    ordinary_.push_back(std::make_unique_for_overwrite<gpu::RecoverSlot[]>(count));
    return {ordinary_.back().get(), count};
}

bool Intake::reserve(Node& node, size_t weight) const noexcept {
    // Relaxed: a count that bounds; the jobs themselves are published by the rings.
    size_t depth = node.depth.load(std::memory_order_relaxed);
    do {
        if (weight > node_jobs_max_ || depth > node_jobs_max_ - weight) { return false; }
    } while (!node.depth.compare_exchange_weak(depth, depth + weight, std::memory_order_relaxed));
    return true;
}

Result<void> Intake::submit(std::vector<RecoverJob> jobs, RecoverDone done, Urgency urgency,
                            int64_t now_us) {
    struct Inside {
        explicit Inside(std::atomic<size_t>& count) : producers(count) {
            // Sequentially consistent, as in close(): either this producer sees that the intake
            // is closed, or close() sees this producer.
            producers.fetch_add(1, std::memory_order_seq_cst);
        }
        ~Inside() { producers.fetch_sub(1, std::memory_order_release); }
        std::atomic<size_t>& producers;
    } const inside(producers_);
    if (closed_.load(std::memory_order_seq_cst)) {
        return fail(ErrorCode::unavailable, "the offload engine is shutting down");
    }
    const size_t weight = std::max<size_t>(jobs.size(), 1);
    const size_t here = topology_.node_here();
    for (size_t i = 0; i < nodes_.size(); ++i) {
        Node& node = *nodes_[(here + i) % nodes_.size()];
        if (!reserve(node, weight)) { continue; }
        const std::optional<uint64_t> position = node.ring.claim(jobs.size());
        if (!position) {
            node.depth.fetch_sub(weight, std::memory_order_relaxed);
            continue;
        }
        for (size_t k = 0; k < jobs.size(); ++k) { node.ring.write(*position + k, jobs[k]); }
        auto submission = std::make_shared<Submission>();
        submission->ring = &node.ring;
        submission->position = *position;
        submission->job_count = jobs.size();
        submission->node_depth = &node.depth;
        submission->senders.resize(jobs.size());
        submission->done = std::move(done);
        submission->urgency = urgency;
        submission->queued_us = now_us;
        submission->weight = weight;
        submission->end = weight;
        submission->left.store(weight, std::memory_order_relaxed);
        const bool pushed = node.submissions.try_push(std::move(submission));
        MILLRACE_ASSERT(pushed, "as many descriptors fit as jobs may wait");
        return {};
    }
    return fail(ErrorCode::limit, "the recovery queue holds " + std::to_string(depth()) + " of " +
                                      std::to_string(node_jobs_max_ * nodes_.size()) +
                                      " jobs and cannot take " + std::to_string(weight) +
                                      " more; retry later or send less");
}

std::shared_ptr<Submission> Intake::pop() {
    for (size_t i = 0; i < nodes_.size(); ++i) {
        const size_t node = next_node_;
        next_node_ = (next_node_ + 1) % nodes_.size();
        if (auto submission = nodes_[node]->submissions.try_pop()) {
            return std::move(*submission);
        }
    }
    return nullptr;
}

void Intake::close() {
    closed_.store(true, std::memory_order_seq_cst);
    while (producers_.load(std::memory_order_seq_cst) != 0) { std::this_thread::yield(); }
}

size_t Intake::depth() const noexcept {
    size_t all = 0;
    // Relaxed: a figure.
    for (const auto& node : nodes_) { all += node->depth.load(std::memory_order_relaxed); }
    return all;
}

}  // namespace millrace::kernels::detail
