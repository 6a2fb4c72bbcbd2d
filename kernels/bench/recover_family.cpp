// SPDX-License-Identifier: Apache-2.0
// Owns the measurement of sender recovery: our back ends beside libsecp256k1, job by job.
#include <algorithm>
#include <map>
#include <optional>
#include <random>

#include "host/base/hex.hpp"
#include "kernels/bench/ceilings.hpp"
#include "kernels/bench/device/resident_recovery.hpp"
#include "kernels/bench/registry.hpp"
#include "kernels/secp256k1/recover_batch.hpp"
#include "kernels/secp256k1/recover_cuda.hpp"

namespace millrace::kernel_bench {

namespace {

using kernels::Backend;
using kernels::RecoverJob;

constexpr std::string_view library = "libsecp256k1";
/// Id of the library, beyond those of the back ends.
constexpr size_t library_id = 100;

/// A longer batch repeats this many jobs: the oracle takes 30 us for each.
constexpr size_t distinct_jobs = 2048;
static_assert(65536 % distinct_jobs == 0, "launches on a device repeat the first one's jobs");
/// One job of so many has an r that is the x of no point.
constexpr size_t refused_every = 64;
/// Digest, r, s and the parity.
constexpr size_t job_bytes = 97;

/// vpmadd52 instructions for one signature with eight in a vector: counted by running the code with
/// a counter in the place of each; 111,325 for the eight of a vector in batches of 256 and more.
constexpr double madd52_per_signature = 13'915.6;
/// 114,300 IMAD.WIDE for one signature, at half the rate of other operations (32 a clock and
/// multiprocessor, 132 of these, 1.98 GHz).
constexpr double h200_signatures = 73e6;

struct Jobs {
    std::vector<RecoverJob> jobs;
    std::vector<std::optional<Address>> senders;  ///< by the oracle
    std::string fault;                            ///< of the oracle
};

Jobs make_jobs(uint64_t seed) {
    std::mt19937_64 random(seed);
    const auto word = [&] { return to_hash(U256{random(), random(), random(), random()}); };
    Jobs made;
    while (made.jobs.size() < distinct_jobs) {
        const Hash256 key = word();
        const Hash256 digest = word();
        const auto signature = kernels::sign(digest, key);
        if (!signature) { continue; }
        RecoverJob job{digest, signature->r, signature->s, signature->y_parity};
        std::optional<Address> signer = kernels::address_of_secret_key(key);
        if (made.jobs.size() % refused_every == refused_every - 1) {
            while (kernels::recover_address(job)) { job.r = to_u256(word()); }
            signer.reset();
        }
        const std::optional<Address> sender = kernels::recover_address(job);
        if (sender != signer) { made.fault = "libsecp256k1 does not find the key that signed"; }
        made.jobs.push_back(job);
        made.senders.push_back(sender);
    }
    return made;
}

/// Those of a seed are made once.
const Jobs& jobs_of(uint64_t seed) {
    static std::map<uint64_t, Jobs> made;
    const auto found = made.find(seed);
    return found != made.end() ? found->second : made.emplace(seed, make_jobs(seed)).first->second;
}

std::string text_of(const std::optional<Address>& sender) {
    return sender ? to_hex(*sender) : "no sender";
}

class RecoverWorkload final : public Workload {
public:
    RecoverWorkload(size_t count, uint64_t seed) : distinct_(jobs_of(seed)), senders_(count) {
        for (size_t i = 0; i < count; ++i) {
            jobs_.push_back(distinct_.jobs[i % distinct_.jobs.size()]);
        }
    }

    /// The zero address is no one's sender here, so that "none" is not taken for an answer.
    void forget() override { std::ranges::fill(senders_, Address{}); }

    Result<void> run(size_t id, size_t part, size_t parts) override {
        const Slice slice = slice_of(jobs_.size(), part, parts);
        const auto jobs = std::span<const RecoverJob>(jobs_).subspan(slice.first, slice.count());
        const auto senders = std::span(senders_).subspan(slice.first, slice.count());
        if (id == library_id) {
            std::ranges::transform(jobs, senders.begin(), kernels::recover_address);
            return {};
        }
        const auto backend = static_cast<Backend>(id);
        return backend == Backend::cuda ? kernels::recover_addresses_cuda(jobs, senders)
                                        : kernels::recover_addresses(backend, jobs, senders);
    }

    std::string compare() override {
        if (!distinct_.fault.empty()) { return distinct_.fault; }
        for (size_t i = 0; i < senders_.size(); ++i) {
            const std::optional<Address>& want = distinct_.senders[i % distinct_.senders.size()];
            if (senders_[i] != want) {
                return "job " + std::to_string(i) + " of " + std::to_string(senders_.size()) +
                       " gives " + text_of(senders_[i]) + ", libsecp256k1 " + text_of(want);
            }
        }
        return {};
    }

    Result<double> kernel_us(size_t /*id*/) override {
        if (!resident_) {
            resident_ = std::make_unique<ResidentRecovery>();
            if (std::string fault = resident_->open(jobs_); !fault.empty()) {
                return fail(ErrorCode::internal, "CUDA back end: " + fault);
            }
        }
        double us = 0;
        std::string fault = resident_->run(us);
        if (fault.empty()) { fault = resident_->read(jobs_, senders_); }
        if (!fault.empty()) { return fail(ErrorCode::internal, "CUDA back end: " + fault); }
        return us;
    }

private:
    const Jobs& distinct_;
    std::vector<RecoverJob> jobs_;
    std::vector<std::optional<Address>> senders_;
    std::unique_ptr<ResidentRecovery> resident_;
};

KernelCase recover_case() {
    KernelCase c;
    c.kernel = "recover_address";
    c.shape = "signature";
    c.item = "signature";
    c.bytes_per_item = job_bytes;
    Contender peer;
    peer.id = library_id;
    peer.backend = library;
    peer.target = "Debian's, one job at a time";
    c.contenders.push_back(std::move(peer));
    c.contenders.push_back(contender_of(kernels::recover_backend_status(Backend::scalar)));
    Contender simd = contender_of(kernels::recover_backend_status(Backend::simd));
    Ceiling madd;
    madd.name = std::string(to_string(CpuUnit::madd52)) + ", measured";
    madd.unit = CpuUnit::madd52;
    madd.units_per_item = madd52_per_signature;
    simd.ceilings.push_back(madd);
    c.contenders.push_back(std::move(simd));
    Contender device = contender_of(kernels::recover_cuda_status());
    if (runs_on_h200(device)) {
        Ceiling wide;
        wide.name = "IMAD.WIDE of an H200 at half rate, derived";
        wide.rate = h200_signatures;
        wide.kernel_only = true;
        device.ceilings.push_back(wide);
    }
    for (Ceiling& bus : bus_ceilings(job_bytes, device)) {
        device.ceilings.push_back(std::move(bus));
    }
    c.contenders.push_back(std::move(device));
    c.memory_bytes = [](size_t batch) {
        return batch * (sizeof(RecoverJob) + sizeof(std::optional<Address>));
    };
    c.prepare = [](size_t batch, uint64_t seed) {
        return std::make_unique<RecoverWorkload>(batch, seed);
    };
    return c;
}

}  // namespace

Family recover_family() {
    Family family;
    family.name = "recover";
    family.summary = "sender recovery on secp256k1, beside libsecp256k1";
    family.backends = {std::string(library), "scalar", "simd", "cuda"};
    family.cases = [](const FamilyOptions&) { return std::vector<KernelCase>{recover_case()}; };
    return family;
}

}  // namespace millrace::kernel_bench
