// SPDX-License-Identifier: Apache-2.0
// Owns the measurement of sender recovery on one core: libsecp256k1, our portable code and
// the lanes, on one input.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdio>
#include <random>
#include <string>
#include <vector>

#include "bench/recover_input.hpp"
#include "host/base/u256.hpp"
#include "kernels/secp256k1/recover_batch.hpp"

namespace {

using namespace millrace;           // NOLINT: a program of its own
using namespace millrace::kernels;  // NOLINT

constexpr size_t job_count = 1024;

const RecoverInput& input() {
    static const RecoverInput made = make_recover_input(job_count);
    return made;
}

/// One way to recover a batch.
using Recover = bool (*)(std::span<const RecoverJob>, std::span<std::optional<Address>>);

bool by_library(std::span<const RecoverJob> jobs, std::span<std::optional<Address>> senders) {
    std::ranges::transform(jobs, senders.begin(), recover_address);
    return true;
}
bool by_portable(std::span<const RecoverJob> jobs, std::span<std::optional<Address>> senders) {
    return recover_addresses(Backend::scalar, jobs, senders).has_value();
}
bool by_ifma(std::span<const RecoverJob> jobs, std::span<std::optional<Address>> senders) {
    return recover_addresses(Backend::simd, jobs, senders).has_value();
}

bool agrees(Recover recover, size_t batch) {
    const RecoverInput& in = input();
    std::vector<std::optional<Address>> senders(job_count);
    for (size_t i = 0; i < job_count; i += batch) {
        const size_t count = std::min(batch, job_count - i);
        if (!recover(std::span(in.jobs).subspan(i, count), std::span(senders).subspan(i, count))) {
            return false;
        }
    }
    return senders == in.senders;
}

void measure(benchmark::State& state, Recover recover) {
    const auto batch = static_cast<size_t>(state.range(0));
    if (!agrees(recover, batch)) {
        state.SkipWithError("a recovered sender differs from the key that signed");
        return;
    }
    const RecoverInput& in = input();
    std::vector<std::optional<Address>> senders(batch);
    size_t at = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(recover(std::span(in.jobs).subspan(at, batch), senders));
        at = at + 2 * batch <= job_count ? at + batch : 0;
    }
    const auto signatures = static_cast<double>(state.iterations()) * static_cast<double>(batch);
    state.counters["signatures_per_second"] =
        benchmark::Counter(signatures, benchmark::Counter::kIsRate);
    state.counters["cpu_time_per_signature"] =
        benchmark::Counter(signatures, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

void add(const std::string& name, Recover recover, const std::vector<int64_t>& batches) {
    benchmark::internal::Benchmark* b =
        benchmark::RegisterBenchmark(name.c_str(), measure, recover);
    for (const int64_t batch : batches) { b->Arg(batch); }
    b->ArgName("batch")->Unit(benchmark::kMicrosecond)->MinTime(0.1);
    // On a shared machine the least time is the machine's; the median is the day's.
    const auto least = [](const std::vector<double>& v) { return *std::ranges::min_element(v); };
    const auto most = [](const std::vector<double>& v) { return *std::ranges::max_element(v); };
    b->ComputeStatistics("least", least)->ComputeStatistics("most", most);
}

}  // namespace

int main(int argc, char** argv) {
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) { return 2; }
    prepare_recovery(Backend::scalar);
    add("recover/libsecp256k1", by_library, {64});
    add("recover/portable", by_portable, {1, 8, 64, 256});
    const BackendStatus lanes = recover_backend_status(Backend::simd);
    if (lanes.available) {
        add("recover/avx512_ifma", by_ifma, {1, 2, 3, 8, 16, 64, 256, 1024});
    } else {
        std::fprintf(stderr, "secp256k1_bench: %s\n", lanes.reason.c_str());
    }
    benchmark::AddCustomContext("time", "CPU time of the process, one thread");
    benchmark::AddCustomContext("answers",
                                "each batch size is checked against the signing keys first");
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
