// SPDX-License-Identifier: Apache-2.0
// Owns the way of batches to the device and back: launch, poll, check, quarantine.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "host/base/clock.hpp"
#include "kernels/offload/detail/cpu_kernels.hpp"
#include "kernels/offload/detail/device.hpp"
#include "kernels/offload/detail/dispatch.hpp"
#include "kernels/offload/detail/figures.hpp"
#include "kernels/offload/detail/policy.hpp"

namespace millrace::kernels::detail {

struct LaneOptions {
    int64_t timeout_us = 50'000;  ///< least time that a batch is given
    size_t recheck_one_in = 256;  ///< 1: all
    QueueLimits queue;
    std::array<LinearCost, kernel_count> device_cost;
};

/// A batch in flight stays with its parts, so whatever happens to the device they can be done
/// again. One thread calls step(), any worker check(), and one more watch(). After the first fault
/// the device is left alone: its batches go back to the CPU, and what it still says is not heard.
class DeviceLane {
public:
    /// The arguments outlive the lane; the device has room for canaries and a job.
    DeviceLane(Device& device, Dispatch& dispatch, CpuKernels& cpu, Figures& figures,
               const Clock& clock, const LaneOptions& options);

    /// Takes what ended, gives up what is overdue, launches what is due. Gives the microseconds
    /// until it wants to be called again, or a negative number when only new work makes that
    /// necessary. Must not be called again once disowned().
    int64_t step();
    /// Whether step() came back from a call of the device too late: watch() has given up the device
    /// meanwhile, and its batches. The thread of step().
    bool disowned() const;

    /// Looks whether step() is in a call of the device. When `looks_max` looks after the first have
    /// seen the same call, the device is quarantined, and the CPU gets all batches that are in
    /// flight or were to be started. Counting looks and not time, since a machine that stalls
    /// stalls them, too. True once it has given up.
    bool watch(uint32_t looks_max);

    /// Checks a batch that ended and either writes its results or gives its parts back to the CPU;
    /// frees its slot. `parts` gets what is now to be finished.
    void check(uint32_t slot, std::vector<Part>& parts);

    /// No batch is launched any more. Any thread.
    void stop() noexcept { stopping_.store(true, std::memory_order_relaxed); }
    /// Whether no batch is in flight or being checked. The thread of step().
    bool idle() const noexcept;

    bool up() const noexcept { return up_.load(std::memory_order_acquire); }
    /// Why the device is in quarantine; empty when it is not.
    std::string quarantine_reason() const;

private:
    /// free -> in_flight -> ended by the thread of step(); ended -> free by the worker that checks
    /// it, or in_flight -> free by step() or watch() when the device failed.
    enum class State : uint8_t { free, in_flight, ended };
    struct Batch {
        std::atomic<State> state{State::free};
        Kernel kernel = Kernel::secp256k1;
        uint64_t epoch = 0;
        std::vector<Part> parts;
        std::vector<std::span<const gpu::RecoverSlot>> runs;
        size_t item_count = 0;  ///< canaries included
        int64_t launched_us = 0;
        int64_t expected_us = 0;
        int64_t deadline_us = 0;
        size_t result_count = 0;
        // Copies: a device that writes once more must not change what has been checked.
        std::vector<gpu::RecoverOutput> outputs;
        std::vector<Hash256> digests;
        std::vector<std::optional<Address>> senders;
    };
    /// A fault and its words; no words: none.
    struct Finding {
        Fault fault = Fault::device_error;
        std::string what;
    };

    /// Makes a call of the device. What it says is nothing when watch() has given up meanwhile: the
    /// caller then leaves everything as it is.
    template <class Body>
    std::optional<std::string> call_device(Body body);
    void take_completions();
    void give_up_overdue(int64_t now_us);
    void abandon_all();
    bool launch_one(int64_t now_us);
    std::optional<std::string> submit(uint32_t slot, Batch& batch);
    void fill_recover(uint32_t slot, Batch& batch);
    size_t fill_keccak(uint32_t slot, Batch& batch);
    int64_t nap_us(int64_t now_us) const noexcept;
    uint32_t count(State state) const noexcept;

    Finding check_recover(uint32_t slot, Batch& batch);
    Finding recheck_senders(Batch& batch);
    Finding check_keccak(uint32_t slot, Batch& batch);
    void write_senders(Batch& batch) const;
    void write_digests(Batch& batch) const;
    /// First of the items that are computed again, at a place that moves from batch to batch.
    size_t sample_start() noexcept;

    void quarantine(Fault fault, const std::string& what);

    Device& device_;
    Dispatch& dispatch_;
    CpuKernels& cpu_;
    Figures& figures_;
    const Clock& clock_;
    const LaneOptions options_;
    std::array<size_t, kernel_count> items_max_{};  ///< of one batch, without canaries

    std::vector<Batch> batches_;
    std::vector<Completion> completions_;
    uint64_t next_epoch_ = uint64_t{1} << 32;  ///< beyond those of the calibration
    uint32_t next_tag_ = 1;
    int64_t look_again_us_ = -1;
    int64_t last_work_us_ = 0;
    Kernel last_kernel_ = Kernel::secp256k1;

    /// Guards the next five. The thread of step() holds it at both ends of a call and not in it, so
    /// that watch() has batches and device for itself while it holds it in a call.
    mutable std::mutex call_mutex_;
    uint64_t calls_ = 0;
    bool in_call_ = false;
    bool disowned_ = false;
    uint64_t seen_call_ = 0;  ///< the one that watch() looks at
    uint32_t looks_ = 0;

    std::atomic<bool> stopping_{false};
    std::atomic<bool> up_{true};
    std::atomic<uint64_t> samples_{1};
    mutable std::mutex reason_mutex_;  ///< guards the next two
    std::string reason_;
    Fault fault_ = Fault::device_error;
};

}  // namespace millrace::kernels::detail
