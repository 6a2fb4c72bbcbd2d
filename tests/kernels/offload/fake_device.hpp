// SPDX-License-Identifier: Apache-2.0
// Owns a device that computes on the CPU and then does what a test asks for.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <vector>

#include "kernels/offload/detail/device.hpp"

namespace millrace::kernels {

/// What a device does to one batch.
enum class Trick : uint8_t {
    none,
    refuses,        ///< fails to start it
    lost,           ///< fails when asked whether it ended
    reports_fault,  ///< ends it with a fault
    hangs,          ///< never ends it
    all_wrong,
    last_wrong,     ///< one bit of the last result: a known answer
    flips_bit,      ///< one bit of one result
    false_invalid,  ///< says of a valid signature that it is not (of a hash: one bit)
    false_valid,    ///< invents a sender for an invalid one (of a hash: one bit)
    exchanges,      ///< the first and the last result
    stale_results,  ///< leaves those of the batch before
    too_few,
    too_many,
    twice,  ///< reports it once more later
    wrong_epoch,
    wrong_slot,
    no_such_slot,
    stuck_submit,  ///< does not return from the call that starts it
    stuck_poll,    ///< does not return when asked whether it ended
};
inline constexpr size_t trick_count = 20;

struct FakePlan {
    Trick trick = Trick::none;
    uint32_t polls = 0;  ///< how often it says "not yet"
};

class FakeDevice final : public detail::Device {
public:
    /// `plan` is asked once for each batch, from 0.
    explicit FakeDevice(std::function<FakePlan(uint64_t batch)> plan, uint32_t slots = 3,
                        size_t batch_jobs_max = 256);

    BackendStatus status(detail::Kernel kernel) const override;
    detail::DeviceIdentity identity() const override { return {"fake-0", "1"}; }
    uint32_t slot_count() const override { return static_cast<uint32_t>(slots_.size()); }
    size_t batch_jobs_max(detail::Kernel) const override { return batch_jobs_max_; }
    std::span<std::byte> pinned_memory(size_t bytes) override;
    std::span<gpu::RecoverSlot> recover_staging(uint32_t slot) override;
    detail::KeccakStaging keccak_staging(uint32_t slot) override;
    std::string submit_recover(uint32_t slot, uint64_t epoch,
                               std::span<const std::span<const gpu::RecoverSlot>> runs) override;
    std::string submit_keccak(uint32_t slot, uint64_t epoch, size_t message_count,
                              size_t word_count) override;
    std::string poll(std::vector<detail::Completion>& completions) override;
    std::span<const gpu::RecoverOutput> recover_results(uint32_t slot) const override;
    std::span<const Hash256> keccak_results(uint32_t slot) const override;

    /// Why there is no device; empty: there is one.
    std::string absent;
    bool has_pinned_memory = true;
    /// What a call that is stuck does until it returns.
    std::function<void()> stuck = [] {};
    std::atomic<bool> gone{false};     ///< everything fails from now on
    std::atomic<bool> paused{false};   ///< nothing ends
    std::atomic<uint64_t> ended{0};    ///< batches that it reported
    std::atomic<uint64_t> batches{0};  ///< that were started
    std::atomic<uint64_t> items{0};    ///< in them, known answers included
    std::atomic<size_t> most_runs{0};  ///< most runs of one batch

private:
    struct Slot {
        std::vector<gpu::RecoverSlot> staging;
        std::vector<uint64_t> words;
        std::vector<detail::PackedExtent> extents;
        std::vector<gpu::RecoverOutput> outputs;
        std::vector<Hash256> digests;
        FakePlan plan;
        uint64_t epoch = 0;
        size_t count = 0;
        bool busy = false;
        uint64_t again = 0;  ///< epoch to report once more; 0: none
    };
    std::string start(uint32_t slot, uint64_t epoch, size_t count);
    detail::Completion end(uint32_t index);

    const std::function<FakePlan(uint64_t)> plan_;
    const size_t batch_jobs_max_;
    std::vector<Slot> slots_;
    std::vector<std::unique_ptr<std::byte[]>> pinned_;
};

}  // namespace millrace::kernels
