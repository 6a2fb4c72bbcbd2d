// SPDX-License-Identifier: Apache-2.0
// Owns a device that works until a batch, and then fails in the middle of it.
#pragma once

#include <atomic>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "kernels/offload/detail/device.hpp"

namespace millrace::kernels {

/// How a device fails that has begun a batch.
enum class MidBatch : uint8_t {
    refuses,  ///< the call that starts it fails after the device began
    lost,     ///< every question after that fails
    hangs,    ///< it is never reported
    flips,    ///< one bit of one result is wrong
    stuck,    ///< the next question for its end does not return while the engine lives
};

/// Passes every call on to the device that it owns, a real one or another; from batch `first`, from
/// 0, on it fails.
class FaultyDevice final : public detail::Device {
public:
    /// `stuck` is what a call of MidBatch::stuck does before it returns.
    FaultyDevice(
        std::unique_ptr<Device> inner, MidBatch fault, uint64_t first,
        std::function<void()> stuck = [] {})
        : inner_(std::move(inner)), fault_(fault), first_(first), stuck_(std::move(stuck)) {}

    BackendStatus status(detail::Kernel kernel) const override { return inner_->status(kernel); }
    detail::DeviceIdentity identity() const override { return inner_->identity(); }
    uint32_t slot_count() const override { return inner_->slot_count(); }
    size_t batch_jobs_max(detail::Kernel kernel) const override {
        return inner_->batch_jobs_max(kernel);
    }
    std::span<std::byte> pinned_memory(size_t bytes) override {
        return inner_->pinned_memory(bytes);
    }
    std::span<gpu::RecoverSlot> recover_staging(uint32_t slot) override {
        return inner_->recover_staging(slot);
    }
    detail::KeccakStaging keccak_staging(uint32_t slot) override {
        return inner_->keccak_staging(slot);
    }
    std::string submit_recover(uint32_t slot, uint64_t epoch,
                               std::span<const std::span<const gpu::RecoverSlot>> runs) override {
        return begun(inner_->submit_recover(slot, epoch, runs));
    }
    std::string submit_keccak(uint32_t slot, uint64_t epoch, size_t message_count,
                              size_t word_count) override {
        return begun(inner_->submit_keccak(slot, epoch, message_count, word_count));
    }
    std::string poll(std::vector<detail::Completion>& completions) override {
        const bool fails = batches_ > first_;
        if (fails && fault_ == MidBatch::lost) { return "the device is lost, for a drill"; }
        if (fails && fault_ == MidBatch::stuck) {
            stuck_();
            return "the device came back, after a drill";
        }
        std::string failed = inner_->poll(completions);
        if (fails && fault_ == MidBatch::hangs) { completions.clear(); }
        if (fails && fault_ == MidBatch::flips) { flips_ = true; }
        return failed;
    }
    std::span<const gpu::RecoverOutput> recover_results(uint32_t slot) const override {
        const auto results = inner_->recover_results(slot);
        if (!flips_) { return results; }
        // The first after the known answers, which is always computed again.
        auto& copy = flipped_senders_[slot];
        copy.assign(results.begin(), results.end());
        copy[known_before_].address[2] ^= 1;
        return copy;
    }
    std::span<const Hash256> keccak_results(uint32_t slot) const override {
        const auto results = inner_->keccak_results(slot);
        if (!flips_) { return results; }
        auto& copy = flipped_digests_[slot];
        copy.assign(results.begin(), results.end());
        copy[1].bytes[7] ^= 0x20;
        return copy;
    }

private:
    std::string begun(std::string failed) {
        const bool fails = batches_++ >= first_;
        return fails && fault_ == MidBatch::refuses ? "the device refused, for a drill" : failed;
    }

    static constexpr size_t known_before_ = 2;
    const std::unique_ptr<Device> inner_;
    const MidBatch fault_;
    const uint64_t first_;
    const std::function<void()> stuck_;
    uint64_t batches_ = 0;
    std::atomic<bool> flips_{false};
    // By slot: the thread that checks a slot's batch has it for itself.
    mutable std::vector<std::vector<gpu::RecoverOutput>> flipped_senders_{inner_->slot_count()};
    mutable std::vector<std::vector<Hash256>> flipped_digests_{inner_->slot_count()};
};

}  // namespace millrace::kernels
