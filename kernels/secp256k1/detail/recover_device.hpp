// SPDX-License-Identifier: Apache-2.0
// Owns the entries of recovery on a CUDA device, in types that every compiler here knows.
#pragma once

#include <optional>
#include <span>
#include <string>

#include "kernels/secp256k1/detail/gpu/slot.hpp"

// C++20 only: nvcc compiles this header too.
namespace millrace::kernels::detail {

struct RecoverProbe {
    bool available = false;
    std::string target;
    std::string reason;
};

/// Asks the driver once, makes the generator's table on the device and recovers known answers;
/// later calls give the same reply.
const RecoverProbe& recover_device_probe();

/// Recovers jobs[i] into outputs[i], which says so where the CPU has to do it again; the counts are
/// equal and the probe has found a device. Every output was written by the device for this very
/// call. Gives an empty text, or what failed; after a failure the outputs are unspecified and the
/// device is not used again by this process. Callers take turns.
std::string recover_on_device(std::span<const RecoverJob> jobs,
                              std::span<gpu::RecoverOutput> outputs);

/// Turns the outputs into senders: the addresses of valid jobs, nothing for invalid ones, and what
/// libsecp256k1 says where the device left the job over. The counts are equal.
void take_senders(std::span<const RecoverJob> jobs, std::span<const gpu::RecoverOutput> outputs,
                  std::span<std::optional<Address>> senders);

}  // namespace millrace::kernels::detail
