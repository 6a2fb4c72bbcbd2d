// SPDX-License-Identifier: Apache-2.0
// Owns recovery of jobs that lie in device memory, launched as the back end launches it.
#include "kernels/bench/device/resident_recovery.hpp"

#include <algorithm>
#include <cstring>
#include <vector>

#include "kernels/gpu_check/detail/device_timing.cuh"
#include "kernels/secp256k1/detail/gpu/slot.hpp"
#include "kernels/secp256k1/detail/recover_device.hpp"
#include "kernels/secp256k1/detail/recover_kernels.cuh"

namespace millrace::kernel_bench {

namespace {

namespace secp = kernels::detail;
namespace gpu = kernels::gpu;

/// The stages' memory is large for each job: a batch beyond this runs as several launches, as the
/// back end does.
constexpr size_t launch_jobs_max = 65536;

}  // namespace

struct ResidentRecovery::State {
    size_t jobs = 0;
    size_t launch_jobs = 0;
    secp::RecoverMemory memory;
    const gpu::Affine* table = nullptr;
    gpu_check::Stopwatch stopwatch;

    // A failing free repeats an earlier failure, which was reported.
    ~State() {
        (void)memory.close();
        (void)cudaFree(const_cast<gpu::Affine*>(table));
    }
};

ResidentRecovery::ResidentRecovery() = default;
ResidentRecovery::~ResidentRecovery() = default;

std::string ResidentRecovery::open(std::span<const kernels::RecoverJob> jobs) {
    state_ = std::make_unique<State>();
    State& s = *state_;
    s.jobs = jobs.size();
    s.launch_jobs = std::min(jobs.size(), launch_jobs_max);
    MILLRACE_CHECK_CUDA(cudaSetDevice(0));
    if (std::string fault = secp::make_device_table(s.table); !fault.empty()) { return fault; }
    const auto count = static_cast<uint32_t>(s.launch_jobs);
    if (std::string fault = s.memory.open(count); !fault.empty()) { return fault; }
    std::vector<uint8_t> input(secp::RecoverInput::bytes_for(s.launch_jobs));
    std::memcpy(input.data(), &count, sizeof count);
    for (uint32_t i = 0; i < count; ++i) {
        gpu::RecoverSlot slot;
        gpu::write_slot(jobs[i], i, slot);
        std::memcpy(input.data() + sizeof(secp::RecoverInput) + i * sizeof slot, &slot,
                    sizeof slot);
    }
    MILLRACE_CHECK_CUDA(
        cudaMemcpy(s.memory.input, input.data(), input.size(), cudaMemcpyHostToDevice));
    return s.stopwatch.open();
}

std::string ResidentRecovery::run(double& microseconds) {
    const State& s = *state_;
    const auto launch = [&](cudaStream_t stream) {
        cudaError_t error = cudaSuccess;
        for (size_t done = 0; done < s.jobs && error == cudaSuccess; done += s.launch_jobs) {
            const size_t count = std::min(s.launch_jobs, s.jobs - done);
            error = secp::launch_recovery(s.memory, s.table, static_cast<uint32_t>(count), stream);
        }
        return error;
    };
    return state_->stopwatch.time(launch, microseconds);
}

std::string ResidentRecovery::read(std::span<const kernels::RecoverJob> jobs,
                                   std::span<std::optional<Address>> senders) {
    std::vector<gpu::RecoverOutput> outputs(state_->launch_jobs);
    MILLRACE_CHECK_CUDA(cudaMemcpy(outputs.data(), state_->memory.outputs,
                                   outputs.size() * sizeof(gpu::RecoverOutput),
                                   cudaMemcpyDeviceToHost));
    for (size_t first = 0; first < jobs.size(); first += outputs.size()) {
        const size_t count = std::min(outputs.size(), jobs.size() - first);
        secp::take_senders(jobs.subspan(first, count), std::span(outputs).first(count),
                           senders.subspan(first, count));
    }
    return {};
}

}  // namespace millrace::kernel_bench
