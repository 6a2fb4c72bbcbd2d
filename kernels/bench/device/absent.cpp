// SPDX-License-Identifier: Apache-2.0
// Owns the device's part of the measurement in a build without CUDA: it says so.
#include "kernels/bench/device/device_copy.hpp"
#include "kernels/bench/device/resident_recovery.hpp"

namespace millrace::kernel_bench {

namespace {

constexpr const char* reason = "built without CUDA";

}  // namespace

struct DeviceCopy::State {};
DeviceCopy::DeviceCopy() = default;
DeviceCopy::~DeviceCopy() = default;
std::string DeviceCopy::open(size_t /*bytes*/, bool /*pinned*/) { return reason; }
uint8_t* DeviceCopy::host() noexcept { return nullptr; }
std::string DeviceCopy::copy(CopyDirection /*direction*/, double& /*microseconds*/) {
    return reason;
}
std::string DeviceCopy::copy(CopyDirection /*direction*/) { return reason; }

struct ResidentRecovery::State {};
ResidentRecovery::ResidentRecovery() = default;
ResidentRecovery::~ResidentRecovery() = default;
std::string ResidentRecovery::open(std::span<const kernels::RecoverJob> /*jobs*/) { return reason; }
std::string ResidentRecovery::run(double& /*microseconds*/) { return reason; }
std::string ResidentRecovery::read(std::span<const kernels::RecoverJob> /*jobs*/,
                                   std::span<std::optional<Address>> /*senders*/) {
    return reason;
}

}  // namespace millrace::kernel_bench
