// SPDX-License-Identifier: Apache-2.0
// Owns the calls of the CPU's back ends, and their times.
#include "kernels/offload/detail/cpu_kernels.hpp"

#include "kernels/keccak/keccak_batch.hpp"
#include "kernels/secp256k1/recover_batch.hpp"

namespace millrace::kernels::detail {

void CpuKernels::recover(std::span<const RecoverJob> jobs,
                         std::span<std::optional<Address>> senders) {
    const int64_t start_us = clock_.steady_us();
    const int64_t start_cpu_us = thread_cpu_us();
    recover_again(jobs, senders);
    figures_.recover_cpu.record(jobs.size(), clock_.steady_us() - start_us,
                                thread_cpu_us() - start_cpu_us);
}

void CpuKernels::keccak256(std::span<const ByteView> messages, std::span<Hash256> digests) {
    const int64_t start_us = clock_.steady_us();
    const int64_t start_cpu_us = thread_cpu_us();
    const Result<void> hashed = keccak256_batch(Backend::simd, messages, digests);
    MILLRACE_ASSERT(hashed.has_value(), "the vector back end takes every batch");
    figures_.keccak_cpu.record(messages.size(), clock_.steady_us() - start_us,
                               thread_cpu_us() - start_cpu_us);
}

void CpuKernels::recover_again(std::span<const RecoverJob> jobs,
                               std::span<std::optional<Address>> senders) const {
    const Result<void> recovered = recover_addresses(recover_backend_, jobs, senders);
    MILLRACE_ASSERT(recovered.has_value(), "the engine has checked the back end");
}

}  // namespace millrace::kernels::detail
