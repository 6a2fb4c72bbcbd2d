// SPDX-License-Identifier: Apache-2.0
// Owns recovery of a batch that lies in device memory, for its timing.
#include <algorithm>
#include <cstring>
#include <memory>

#include "kernels/gpu_check/detail/device_timing.cuh"
#include "kernels/gpu_check/device.hpp"
#include "kernels/gpu_check/recover_jobs.hpp"
#include "kernels/secp256k1/detail/gpu/slot.hpp"
#include "kernels/secp256k1/detail/recover_kernels.cuh"

namespace millrace::gpu_check {

namespace {

namespace secp = kernels::detail;

/// The stages' memory is large for each item: a batch beyond this runs as several launches, as the
/// back end does.
constexpr uint32_t launch_jobs_max = 65536;

struct Resident {
    secp::RecoverMemory memory;
    const kernels::gpu::Affine* table = nullptr;
    Stopwatch stopwatch;

    ~Resident() {
        (void)memory.close();
        (void)cudaFree(const_cast<kernels::gpu::Affine*>(table));
    }

    std::string open(uint32_t jobs) {
        if (std::string fault = secp::make_device_table(table); !fault.empty()) { return fault; }
        if (std::string fault = memory.open(jobs); !fault.empty()) { return fault; }
        std::vector<uint8_t> input(secp::RecoverInput::bytes_for(jobs));
        uint32_t count = jobs;
        std::memcpy(input.data(), &count, sizeof count);
        const std::vector<kernels::RecoverJob> made = jobs_on_curve(jobs, 1);
        for (uint32_t i = 0; i < jobs; ++i) {
            kernels::gpu::RecoverSlot slot;
            kernels::gpu::write_slot(made[i], i, slot);
            std::memcpy(input.data() + sizeof(secp::RecoverInput) + i * sizeof slot, &slot,
                        sizeof slot);
        }
        MILLRACE_CHECK_CUDA(
            cudaMemcpy(memory.input, input.data(), input.size(), cudaMemcpyHostToDevice));
        return stopwatch.open();
    }
};

}  // namespace

std::string prepare_recover_kernel(uint32_t batch, KernelRun& run) {
    const uint32_t jobs = std::min(batch, launch_jobs_max);
    const auto resident = std::make_shared<Resident>();
    if (std::string fault = resident->open(jobs); !fault.empty()) { return fault; }
    run = [resident, batch, jobs](double& microseconds) {
        const auto launch = [&](cudaStream_t stream) {
            cudaError_t error = cudaSuccess;
            for (uint32_t done = 0; done < batch && error == cudaSuccess; done += jobs) {
                error = secp::launch_recovery(resident->memory, resident->table, jobs, stream);
            }
            return error;
        };
        return resident->stopwatch.time(launch, microseconds);
    };
    return {};
}

}  // namespace millrace::gpu_check
