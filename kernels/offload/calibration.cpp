// SPDX-License-Identifier: Apache-2.0
// Owns the measurement of the back ends and the line through what was measured.
#include "kernels/offload/detail/calibration.hpp"

#include <algorithm>
#include <cstring>
#include <limits>
#include <thread>

#include "host/base/clock.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/keccak/keccak_batch.hpp"
#include "kernels/offload/detail/canary.hpp"
#include "kernels/offload/detail/figures.hpp"
#include "kernels/secp256k1/recover_batch.hpp"

namespace millrace::kernels::detail {

namespace {

constexpr size_t repetitions = 3;
constexpr size_t message_bytes = 64;
/// A batch is given at least so long.
constexpr int64_t least_wait_us = 50'000;

/// Least of some repetitions: what else runs on the machine only adds.
template <class Body>
double least_us(Body body) {
    const SystemClock clock;
    int64_t least = std::numeric_limits<int64_t>::max();
    for (size_t i = 0; i < repetitions; ++i) {
        const int64_t start_us = clock.steady_us();
        body();
        least = std::min(least, clock.steady_us() - start_us);
    }
    // Below the clock's step.
    return std::max(static_cast<double>(least), 0.5);
}

std::vector<RecoverJob> known_jobs(size_t count) {
    std::vector<RecoverJob> jobs;
    for (uint64_t i = 0; jobs.size() < count; ++i) { jobs.push_back(canaries_of(i)[0]->job()); }
    return jobs;
}

LinearCost cpu_recover_cost(Backend backend) {
    prepare_recovery(backend);
    std::vector<CostSample> samples;
    for (const size_t count : {8u, 16u, 64u, 128u}) {
        const std::vector<RecoverJob> jobs = known_jobs(count);
        std::vector<std::optional<Address>> senders(count);
        samples.push_back({count, least_us([&] {
                               const auto done = recover_addresses(backend, jobs, senders);
                               MILLRACE_ASSERT(done.has_value(), "the back end was checked");
                           })});
    }
    return fit_cost(samples);
}

LinearCost cpu_keccak_cost() {
    std::vector<CostSample> samples;
    for (const size_t count : {256u, 1024u, 4096u}) {
        const std::vector<uint8_t> bytes(count * message_bytes, 0x33);
        std::vector<ByteView> messages;
        for (size_t i = 0; i < count; ++i) {
            messages.push_back(ByteView(bytes).subspan(i * message_bytes, message_bytes));
        }
        std::vector<Hash256> digests(count);
        samples.push_back({count, least_us([&] {
                               const auto done = keccak256_batch(Backend::simd, messages, digests);
                               MILLRACE_ASSERT(done.has_value(), "the back end takes all");
                           })});
    }
    return fit_cost(samples);
}

/// Runs batches of known answers on a device, one at a time.
class DeviceTrial {
public:
    DeviceTrial(Device& device, int64_t end_us) : device_(device), end_us_(end_us) {}

    /// Adds the times of batches of `count` items, canaries included.
    Result<void> measure(Kernel kernel, size_t count) {
        CostSample wall{count, std::numeric_limits<double>::max()};
        CostSample cpu = wall;
        for (size_t i = 0; i < repetitions; ++i) {
            const int64_t start_us = clock_.steady_us();
            const int64_t start_cpu_us = thread_cpu_us();
            if (std::string failed =
                    kernel == Kernel::secp256k1 ? start_recover(count) : start_keccak(count);
                !failed.empty()) {
                return fail(ErrorCode::internal, std::move(failed));
            }
            const int64_t submit_cpu_us = thread_cpu_us() - start_cpu_us;
            MILLRACE_CHECK(wait(count));
            wall.us = std::min(wall.us, static_cast<double>(clock_.steady_us() - start_us));
            const int64_t check_cpu_us = thread_cpu_us();
            MILLRACE_CHECK(kernel == Kernel::secp256k1 ? check_recover(count)
                                                       : check_keccak(count));
            const int64_t cpu_us = submit_cpu_us + thread_cpu_us() - check_cpu_us;
            cpu.us = std::min(cpu.us, static_cast<double>(std::max<int64_t>(cpu_us, 1)));
        }
        wall.us = std::max(wall.us, 0.5);
        wall_.push_back(wall);
        cpu_.push_back(cpu);
        return {};
    }
    LinearCost wall() const { return fit_cost(wall_); }
    LinearCost cpu() const { return fit_cost(cpu_); }

private:
    const gpu::KnownAnswer& answer(size_t i) const noexcept { return *canaries_of(i)[i % 4]; }

    std::string start_recover(size_t count) {
        const std::span<gpu::RecoverSlot> staging = device_.recover_staging(0).first(count);
        for (size_t i = 0; i < count; ++i) {
            gpu::write_slot(answer(i).job(), static_cast<uint32_t>(i + 1), staging[i]);
        }
        const std::span<const gpu::RecoverSlot> run = staging;
        return device_.submit_recover(0, ++epoch_, {&run, 1});
    }
    Result<void> check_recover(size_t count) const {
        const std::span<const gpu::RecoverOutput> results = device_.recover_results(0);
        for (size_t i = 0; i < count; ++i) {
            if (i < results.size() && results[i].tag == i + 1 && answer(i).agrees(results[i])) {
                continue;
            }
            return fail(ErrorCode::internal,
                        "gave a wrong known answer when it was measured, signature " +
                            std::to_string(i) + " of " + std::to_string(count));
        }
        return {};
    }

    std::array<uint8_t, message_bytes> message(size_t i) const noexcept {
        std::array<uint8_t, message_bytes> bytes{};
        const uint64_t words[2] = {i, epoch_};
        std::memcpy(bytes.data(), words, sizeof words);
        return bytes;
    }
    std::string start_keccak(size_t count) {
        ++epoch_;
        const KeccakStaging staging = device_.keccak_staging(0);
        size_t words = 0;
        for (size_t i = 0; i < count; ++i) {
            const auto bytes = message(i);
            pack_message(bytes.data(), bytes.size(), staging.words.data() + words);
            staging.extents[i] = {static_cast<uint32_t>(words), message_bytes};
            words += packed_words(message_bytes);
        }
        return device_.submit_keccak(0, epoch_, count, words);
    }
    Result<void> check_keccak(size_t count) const {
        const std::span<const Hash256> results = device_.keccak_results(0);
        // The CPU would take longer for all of them than the measurement may.
        for (size_t i = 0; i < count; i += 1 + count / 64) {
            if (i < results.size() && results[i] == kernels::keccak256(message(i))) { continue; }
            return fail(ErrorCode::internal, "gave a wrong digest when it was measured, message " +
                                                 std::to_string(i) + " of " +
                                                 std::to_string(count));
        }
        return {};
    }

    Result<void> wait(size_t count) {
        std::vector<Completion> completions;
        // What delayed the batches before was perhaps not the device.
        const int64_t until_us = std::max(end_us_, clock_.steady_us() + least_wait_us);
        while (completions.empty()) {
            if (std::string failed = device_.poll(completions); !failed.empty()) {
                return fail(ErrorCode::internal, std::move(failed));
            }
            if (completions.empty() && clock_.steady_us() >= until_us) {
                return fail(ErrorCode::timeout, "gave no answer when it was measured");
            }
            if (completions.empty()) { std::this_thread::yield(); }
        }
        const Completion& completion = completions.front();
        if (completions.size() != 1 || completion.slot != 0 || completion.epoch != epoch_ ||
            completion.result_count != count || !completion.fault.empty()) {
            return fail(ErrorCode::internal, "gave a wrong account of a batch when it was "
                                             "measured: " +
                                                 completion.fault);
        }
        return {};
    }

    Device& device_;
    const int64_t end_us_;
    const SystemClock clock_;
    uint64_t epoch_ = 0;
    std::vector<CostSample> wall_;
    std::vector<CostSample> cpu_;
};

}  // namespace

Costs prior_costs(Backend recover_backend) {
    // One core as measured (bench/results/secp256k1-recovery.json, hash.json); the device as it is
    // expected to be, which puts the crossovers at some hundreds of signatures and some thousands
    // of hashes.
    const LinearCost recover = recover_backend == Backend::simd
                                   ? LinearCost{.fixed_us = 8, .per_item_us = 4.9}
                                   : LinearCost{.fixed_us = 4, .per_item_us = 28};
    return {KernelCost{.cpu = recover,
                       .device = {.fixed_us = 350, .per_item_us = 0.05},
                       .device_cpu = {.fixed_us = 30, .per_item_us = 0.1}},
            KernelCost{.cpu = {.fixed_us = 0.3, .per_item_us = 0.035},
                       .device = {.fixed_us = 120, .per_item_us = 0.02},
                       .device_cpu = {.fixed_us = 30, .per_item_us = 0.03}}};
}

LinearCost fit_cost(std::span<const CostSample> samples) {
    // Minimises the sum of ((a + b n - t) / t)^2, so that small batches count as much as large
    // ones: with u = 1 / t and v = n / t it is the sum of (a u + b v - 1)^2.
    double uu = 0;
    double uv = 0;
    double vv = 0;
    double u1 = 0;
    double v1 = 0;
    for (const CostSample& sample : samples) {
        const double u = 1 / sample.us;
        const double v = static_cast<double>(sample.items) / sample.us;
        uu += u * u;
        uv += u * v;
        vv += v * v;
        u1 += u;
        v1 += v;
    }
    const double determinant = uu * vv - uv * uv;
    MILLRACE_ASSERT(determinant > 0, "the samples are of different sizes");
    const double a = (u1 * vv - v1 * uv) / determinant;
    const double b = (v1 * uu - u1 * uv) / determinant;
    if (a < 0) { return {0, v1 / vv}; }
    if (b < 0) { return {u1 / uu, 0}; }
    return {a, b};
}

Result<Costs> measure_costs(Device& device, Backend recover_backend, int64_t budget_us) {
    const SystemClock clock;
    const int64_t start_us = clock.steady_us();
    Costs costs;
    costs[static_cast<size_t>(Kernel::secp256k1)].cpu = cpu_recover_cost(recover_backend);
    costs[static_cast<size_t>(Kernel::keccak)].cpu = cpu_keccak_cost();
    for (const Kernel kernel : {Kernel::secp256k1, Kernel::keccak}) {
        DeviceTrial trial(device, start_us + budget_us);
        const size_t most = device.batch_jobs_max(kernel);
        // Two sizes make a line; larger ones only while there is time for them.
        size_t sizes = 0;
        for (const size_t size : {most / 256, most / 16, most / 4}) {
            if (sizes >= 2 && clock.steady_us() - start_us > budget_us / 2) { break; }
            MILLRACE_CHECK(trial.measure(kernel, std::max<size_t>(size, ++sizes)));
        }
        KernelCost& cost = costs[static_cast<size_t>(kernel)];
        cost.device = trial.wall();
        cost.device_cpu = trial.cpu();
    }
    return costs;
}

}  // namespace millrace::kernels::detail
