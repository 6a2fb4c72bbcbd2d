// SPDX-License-Identifier: Apache-2.0
// Owns a device that is not there and says why.
#pragma once

#include <string>
#include <utility>

#include "kernels/offload/detail/device.hpp"

// C++20 only: nvcc compiles this header too.
namespace millrace::kernels::detail {

class AbsentDevice final : public Device {
public:
    explicit AbsentDevice(std::string reason) : reason_(std::move(reason)) {}

    BackendStatus status(Kernel kernel) const override {
        BackendStatus status;
        status.kernel = to_string(kernel);
        status.backend = Backend::cuda;
        status.reason = reason_;
        return status;
    }
    DeviceIdentity identity() const override { return {}; }
    uint32_t slot_count() const override { return 0; }
    size_t batch_jobs_max(Kernel) const override { return 0; }
    std::span<std::byte> pinned_memory(size_t) override { return {}; }
    std::span<gpu::RecoverSlot> recover_staging(uint32_t) override { return {}; }
    KeccakStaging keccak_staging(uint32_t) override { return {}; }
    std::string submit_recover(uint32_t, uint64_t,
                               std::span<const std::span<const gpu::RecoverSlot>>) override {
        return reason_;
    }
    std::string submit_keccak(uint32_t, uint64_t, size_t, size_t) override { return reason_; }
    std::string poll(std::vector<Completion>&) override { return reason_; }
    std::span<const gpu::RecoverOutput> recover_results(uint32_t) const override { return {}; }
    std::span<const Hash256> keccak_results(uint32_t) const override { return {}; }

private:
    const std::string reason_;
};

}  // namespace millrace::kernels::detail
