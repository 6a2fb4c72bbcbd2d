// SPDX-License-Identifier: Apache-2.0
// Owns the check of public-key recovery.
#include <algorithm>
#include <cstring>
#include <memory>
#include <random>

#include "kernels/gpu_check/case_list.hpp"
#include "kernels/gpu_check/device.hpp"
#include "kernels/gpu_check/recover_jobs.hpp"
#include "kernels/secp256k1/detail/gpu/emulation.hpp"
#include "kernels/secp256k1/detail/gpu/generator_table.hpp"
#include "kernels/secp256k1/detail/gpu/known_answers.hpp"
#include "kernels/secp256k1/detail/recover_device.hpp"

namespace millrace::gpu_check {

namespace {

namespace gpu = kernels::gpu;
using gpu::RecoverOutput;
using kernels::RecoverJob;

const std::vector<gpu::Affine>& table() {
    static const std::vector<gpu::Affine> made = gpu::make_generator_table();
    return made;
}

U256 number(const gpu::Field& a) {
    U256 r;
    std::memcpy(r.w, a.v, sizeof r.w);
    return r;
}

Hash256 random_digest(std::mt19937_64& random) {
    return to_hash(U256{random(), random(), random(), random()});
}

/// The digest with which u1 = -z / r has the given low 14 bits, and other bits as `u1`.
Hash256 digest_of_factor(U256 u1, uint64_t low, const U256& r) {
    u1.w[0] = (u1.w[0] & ~uint64_t{0x3fff}) | low;
    u1.w[3] >>= 1;  // below the order
    gpu::Scalar factor;
    gpu::Scalar x;
    std::memcpy(factor.v, u1.w, sizeof factor.v);
    std::memcpy(x.v, r.w, sizeof x.v);
    const gpu::Scalar z = gpu::order_minus(gpu::mul(factor, x));
    U256 digest;
    std::memcpy(digest.w, z.v, sizeof digest.w);
    return to_hash(digest);
}

/// The first job on which the outputs differ, as a text.
std::string compare(std::span<const RecoverJob> jobs, std::span<const RecoverOutput> expected,
                    std::span<const RecoverOutput> got, const char* whose) {
    for (size_t i = 0; i < jobs.size(); ++i) {
        if (expected[i].verdict != got[i].verdict ||
            std::memcmp(expected[i].address, got[i].address, sizeof got[i].address) != 0) {
            return std::string(whose) + ": job " + std::to_string(i) + " of " +
                   std::to_string(jobs.size()) + " has verdict " + std::to_string(got[i].verdict) +
                   ", the host " + std::to_string(expected[i].verdict) +
                   (expected[i].verdict == got[i].verdict ? ", and another address" : "");
        }
    }
    return {};
}

class RecoverCase final : public Case {
public:
    const char* name() const override { return "recover"; }

    Outcome check_on_host() override {
        Outcome outcome;
        if (gpu::digest_of_table(table().data()) != gpu::generator_table_digest) {
            outcome.fault = "the generator's table has another digest";
            return outcome;
        }
        const std::vector<RecoverJob> jobs = known_jobs();
        std::vector<RecoverOutput> outputs(jobs.size());
        gpu::recover_emulated(jobs, outputs, 4);
        outcome.fault = compare_known(outputs, "the device's code on the host");
        outcome.compared = jobs.size() + gpu::generator_table_entries;
        return outcome;
    }

    Outcome check_on_device(const Effort& effort) override {
        Outcome outcome;
        const kernels::detail::RecoverProbe& probe = kernels::detail::recover_device_probe();
        if (!probe.available) {
            outcome.fault = probe.reason;
            return outcome;
        }
        const std::vector<RecoverJob> known = known_jobs();
        std::vector<RecoverOutput> outputs(known.size());
        outcome.fault = kernels::detail::recover_on_device(known, outputs);
        if (outcome.fault.empty()) { outcome.fault = compare_known(outputs, "the device"); }
        outcome.compared = known.size();
        // Ragged batches, then one that takes several launches where the effort allows.
        for (const size_t count : {size_t{1}, size_t{31}, size_t{33}, size_t{255}, size_t{257},
                                   effort.compared_items / 2}) {
            compare_batch(uniform_jobs(count, count + effort.seed), effort, outcome);
            compare_batch(jobs_on_curve(count, count + effort.seed), effort, outcome);
        }
        return outcome;
    }

    std::span<const uint32_t> batches() const override { return usual_batches; }

    std::string prepare(uint32_t batch, uint32_t /*threads*/, Workload& workload) override {
        struct Buffers {
            std::vector<RecoverJob> jobs;
            std::vector<RecoverOutput> outputs;
        };
        const auto buffers = std::make_shared<Buffers>();
        buffers->jobs = jobs_on_curve(batch, batch);
        buffers->outputs.resize(batch);
        workload.end_to_end = [buffers] {
            return kernels::detail::recover_on_device(buffers->jobs, buffers->outputs);
        };
        return prepare_recover_kernel(batch, workload.kernel);
    }

    /// IMAD.WIDE: 125 doublings of 390 and 71 additions of 710, the square root's 12,400, the
    /// table's 13,400 and the inversions (kernels/secp256k1/README.md).
    // IMAD.WIDE, at half the rate of other operations until a device shows otherwise ("pipes").
    double bounding_operations() const override { return 114'300; }
    double operations_per_clock() const override { return 32; }

private:
    static std::vector<RecoverJob> known_jobs() {
        std::vector<RecoverJob> jobs;
        for (const gpu::KnownAnswer& answer : gpu::known_answers) { jobs.push_back(answer.job()); }
        return jobs;
    }

    static std::string compare_known(std::span<const RecoverOutput> outputs, const char* whose) {
        for (size_t i = 0; i < outputs.size(); ++i) {
            if (!gpu::known_answers[i].agrees(outputs[i])) {
                return std::string(whose) + " gives another known answer " + std::to_string(i) +
                       ": verdict " + std::to_string(outputs[i].verdict);
            }
        }
        return {};
    }

    static void compare_batch(const std::vector<RecoverJob>& jobs, const Effort& effort,
                              Outcome& outcome) {
        if (!outcome.fault.empty() || jobs.empty()) { return; }
        std::vector<RecoverOutput> got(jobs.size());
        outcome.fault = kernels::detail::recover_on_device(jobs, got);
        if (!outcome.fault.empty()) { return; }
        std::vector<RecoverOutput> expected(jobs.size());
        in_parallel(jobs.size(), effort.threads, [&](size_t first, size_t end) {
            constexpr size_t part_jobs = 1024;  // bounds the emulation's memory
            for (size_t at = first; at < end; at += part_jobs) {
                const size_t count = std::min(part_jobs, end - at);
                gpu::recover_emulated({jobs.data() + at, count}, {expected.data() + at, count}, 64);
            }
        });
        outcome.fault = compare(jobs, expected, got, "the device");
        outcome.compared += jobs.size();
    }
};

}  // namespace

std::vector<RecoverJob> jobs_on_curve(size_t count, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<RecoverJob> jobs(count);
    for (size_t i = 0; i < count; ++i) {
        RecoverJob& job = jobs[i];
        const bool meets = i % 8 == 0;
        const size_t entry = random() % (meets ? gpu::generator_table_row : table().size());
        job.r = number(table()[entry].x);
        job.s = to_u256(random_digest(random));
        job.digest = random_digest(random);
        job.y_parity = static_cast<uint8_t>(random() % 2);
        if (meets) {
            // u2 = 1, and u1 starts with the digit 2 entry + 1: its window is 4096 + entry.
            job.s = job.r;
            job.digest = digest_of_factor(to_u256(job.digest), 2 * (4096 + entry) + 1, job.r);
        }
    }
    return jobs;
}

std::vector<RecoverJob> uniform_jobs(size_t count, uint64_t seed) {
    std::mt19937_64 random(seed);
    std::vector<RecoverJob> jobs(count);
    for (RecoverJob& job : jobs) {
        job.digest = random_digest(random);
        job.r = to_u256(random_digest(random));
        job.s = to_u256(random_digest(random));
        job.y_parity = static_cast<uint8_t>(random() % 2);
    }
    return jobs;
}

Case& recover_case() {
    static RecoverCase instance;
    return instance;
}

}  // namespace millrace::gpu_check
