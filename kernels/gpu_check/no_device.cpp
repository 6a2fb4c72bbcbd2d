// SPDX-License-Identifier: Apache-2.0
// Owns the device's part of a check that was built without CUDA: it says so.
#include "kernels/gpu_check/device.hpp"

namespace millrace::gpu_check {

namespace {

constexpr const char* absent = "built without CUDA";

}  // namespace

DeviceInfo find_device() {
    DeviceInfo info;
    info.reason = absent;
    return info;
}

std::string measure_pipes(const DeviceInfo& /*device*/,
                          std::vector<std::pair<std::string, double>>& /*rates*/) {
    return absent;
}

std::string prepare_keccak_kernel(uint32_t /*batch*/, KernelRun& /*run*/) { return absent; }
std::string prepare_recover_kernel(uint32_t /*batch*/, KernelRun& /*run*/) { return absent; }
std::string prepare_pack_kernel(uint32_t /*batch*/, KernelRun& /*run*/) { return absent; }
std::string prepare_unpack_kernel(uint32_t /*batch*/, KernelRun& /*run*/) { return absent; }
std::string prepare_witness_kernel(uint32_t /*batch*/, KernelRun& /*run*/) { return absent; }

}  // namespace millrace::gpu_check
