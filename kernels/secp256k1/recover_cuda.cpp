// SPDX-License-Identifier: Apache-2.0
// Owns how the verdicts of a CUDA device become senders, with libsecp256k1 for what it left over.
#include "kernels/secp256k1/recover_cuda.hpp"

#include <string>
#include <vector>

#include "kernels/secp256k1/detail/recover_device.hpp"

namespace millrace::kernels {

namespace detail {

void take_senders(std::span<const RecoverJob> jobs, std::span<const gpu::RecoverOutput> outputs,
                  std::span<std::optional<Address>> senders) {
    for (size_t i = 0; i < jobs.size(); ++i) {
        switch (outputs[i].verdict) {
            case gpu::verdict_valid: senders[i] = gpu::address_of(outputs[i]); break;
            case gpu::verdict_invalid: senders[i].reset(); break;
            default: senders[i] = recover_address(jobs[i]); break;
        }
    }
}

}  // namespace detail

Result<void> recover_addresses_cuda(std::span<const RecoverJob> jobs,
                                    std::span<std::optional<Address>> senders) {
    if (jobs.size() != senders.size()) {
        return fail(ErrorCode::invalid_input,
                    "recover_addresses_cuda got " + std::to_string(jobs.size()) + " jobs and " +
                        std::to_string(senders.size()) + " senders; the counts must be equal");
    }
    const detail::RecoverProbe& probe = detail::recover_device_probe();
    if (!probe.available) { return fail(ErrorCode::unavailable, "CUDA back end: " + probe.reason); }
    std::vector<gpu::RecoverOutput> outputs(jobs.size());
    if (std::string fault = detail::recover_on_device(jobs, outputs); !fault.empty()) {
        return fail(ErrorCode::internal, "CUDA back end: " + fault);
    }
    detail::take_senders(jobs, outputs, senders);
    return {};
}

BackendStatus recover_cuda_status() {
    const detail::RecoverProbe& probe = detail::recover_device_probe();
    return {.kernel = "secp256k1",
            .backend = Backend::cuda,
            .available = probe.available,
            .target = probe.target,
            .reason = probe.reason};
}

}  // namespace millrace::kernels
