// SPDX-License-Identifier: Apache-2.0
// Owns recovery of jobs that lie in a device's memory, for the time of its kernels alone.
#pragma once

#include <memory>
#include <optional>
#include <span>
#include <string>

#include "kernels/secp256k1/recover.hpp"

// C++20 only: nvcc compiles this header too.
namespace millrace::kernel_bench {

/// Texts are empty, or say what failed. A batch beyond what one launch takes (65,536 jobs) runs as
/// several full ones with the input of the first in each: such a batch must repeat its first jobs.
class ResidentRecovery {
public:
    ResidentRecovery();
    ~ResidentRecovery();

    std::string open(std::span<const kernels::RecoverJob> jobs);
    /// Recovers all jobs once; the time is the device's own.
    std::string run(double& microseconds);
    /// What the last run found, of jobs the same as were given to open().
    std::string read(std::span<const kernels::RecoverJob> jobs,
                     std::span<std::optional<Address>> senders);

private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace millrace::kernel_bench
