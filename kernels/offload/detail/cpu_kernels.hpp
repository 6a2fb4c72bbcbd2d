// SPDX-License-Identifier: Apache-2.0
// Owns the CPU's back ends as the engine uses them: timed and counted.
#pragma once

#include <optional>
#include <span>

#include "host/base/clock.hpp"
#include "host/base/types.hpp"
#include "kernels/offload/detail/figures.hpp"
#include "kernels/secp256k1/recover.hpp"

namespace millrace::kernels::detail {

class CpuKernels {
public:
    /// `recover_backend` is available on this machine.
    CpuKernels(Backend recover_backend, const Clock& clock, Figures& figures)
        : recover_backend_(recover_backend), clock_(clock), figures_(figures) {}

    /// Any thread.
    void recover(std::span<const RecoverJob> jobs, std::span<std::optional<Address>> senders);
    void keccak256(std::span<const ByteView> messages, std::span<Hash256> digests);
    /// As recover, but not counted: the device's results are.
    void recover_again(std::span<const RecoverJob> jobs,
                       std::span<std::optional<Address>> senders) const;

    Backend recover_backend() const noexcept { return recover_backend_; }

private:
    const Backend recover_backend_;
    const Clock& clock_;
    Figures& figures_;
};

}  // namespace millrace::kernels::detail
