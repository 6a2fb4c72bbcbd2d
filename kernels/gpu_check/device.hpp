// SPDX-License-Identifier: Apache-2.0
// Owns the parts of the check that need the CUDA run time, in types that every compiler here knows.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "kernels/gpu_check/case.hpp"

namespace millrace::gpu_check {

struct DeviceInfo {
    bool available = false;
    std::string reason;  ///< why there is none
    std::string name;
    int architecture = 0;  ///< 90 is sm_90
    int multiprocessors = 0;
    double clock_hz = 0;
    size_t l2_bytes = 0;
    size_t memory_bytes = 0;
    int driver = 0;
    int runtime = 0;
};
DeviceInfo find_device();

/// Operations for each clock and multiprocessor of the pipes that bound the kernels, at the clock
/// that the device names. It settles whether IMAD.WIDE runs at the rate of IMAD.
std::string measure_pipes(const DeviceInfo& device,
                          std::vector<std::pair<std::string, double>>& rates);

/// The kernels of the cases over a batch that lies in device memory.
std::string prepare_keccak_kernel(uint32_t batch, KernelRun& run);
std::string prepare_recover_kernel(uint32_t batch, KernelRun& run);
std::string prepare_pack_kernel(uint32_t batch, KernelRun& run);
std::string prepare_unpack_kernel(uint32_t batch, KernelRun& run);
std::string prepare_witness_kernel(uint32_t batch, KernelRun& run);

}  // namespace millrace::gpu_check
