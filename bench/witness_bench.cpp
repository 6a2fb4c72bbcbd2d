// SPDX-License-Identifier: Apache-2.0
// Owns the timing of witness checks on the CPU: paths and multiproofs, checked before they are
// timed.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "kernels/witness/multiproof.hpp"
#include "kernels/witness/paths.hpp"

namespace millrace::bench {
namespace {

using namespace kernels;

/// The tree of the commitment (2^33 leaves) and the keys that a small EVM block touches.
constexpr unsigned height = 33;
constexpr size_t keys = 3000;

Hash256 random_hash(std::mt19937_64& random) {
    Hash256 hash;
    for (uint8_t& byte : hash.bytes) { byte = static_cast<uint8_t>(random()); }
    return hash;
}

std::vector<Hash256> random_hashes(std::mt19937_64& random, size_t count) {
    std::vector<Hash256> hashes(count);
    for (Hash256& hash : hashes) { hash = random_hash(random); }
    return hashes;
}

/// One path over and over: whatever it leads to is the root, by the scalar back end.
void time_paths(benchmark::State& state, NodeHash hash, Backend backend) {
    std::mt19937_64 random(1);
    const auto siblings = random_hashes(random, height);
    const uint64_t index = random() >> (64 - height);
    const Hash256 leaf = random_hash(random);
    MultiproofSweep sweep(hash, height);
    const std::vector<uint64_t> indices{index};
    const auto root = sweep.root(Backend::scalar, indices, {&leaf, 1}, siblings);
    if (!root.has_value()) {
        state.SkipWithError(root.error().message.c_str());
        return;
    }
    std::vector<std::vector<Hash256>> copies(512, siblings);
    std::vector<ProofPath> paths;
    for (const auto& copy : copies) { paths.push_back({leaf, index, copy}); }
    copies[77][5][5] ^= 1;
    std::vector<PathVerdict> verdicts(paths.size());
    const auto done = check_paths(backend, hash, height, *root, paths, verdicts);
    const auto valid = std::ranges::count(verdicts, PathVerdict::valid);
    if (!done.has_value() || valid + 1 != static_cast<ptrdiff_t>(paths.size()) ||
        verdicts[77] != PathVerdict::wrong_root) {
        state.SkipWithError("wrong verdicts");
        return;
    }
    for (auto _ : state) {
        const auto again = check_paths(backend, hash, height, *root, paths, verdicts);
        benchmark::DoNotOptimize(again.has_value());
        benchmark::ClobberMemory();
    }
    using benchmark::Counter;
    const double checked = static_cast<double>(state.iterations() * paths.size());
    state.counters["paths_per_second"] = Counter(checked, Counter::kIsRate);
    state.counters["nodes_per_second"] = Counter(checked * height, Counter::kIsRate);
}

/// All keys cold: they lie anywhere. One root, or those before and after an update.
void time_multiproof(benchmark::State& state, NodeHash hash, Backend backend, bool update) {
    std::mt19937_64 random(2);
    std::vector<uint64_t> indices(keys);
    for (uint64_t& index : indices) { index = random() >> (64 - height); }
    std::ranges::sort(indices);
    indices.erase(std::ranges::unique(indices).begin(), indices.end());
    const auto count = multiproof_sibling_count(height, indices);
    if (!count.has_value()) {
        state.SkipWithError(count.error().message.c_str());
        return;
    }
    const auto before = random_hashes(random, indices.size());
    const auto after = random_hashes(random, indices.size());
    const auto siblings = random_hashes(random, *count);
    MultiproofSweep sweep(hash, height);
    const auto expected = sweep.roots(Backend::scalar, indices, before, after, siblings);
    const auto run = [&]() -> Result<RootPair> {
        if (update) { return sweep.roots(backend, indices, before, after, siblings); }
        MILLRACE_TRY(const Hash256 root, sweep.root(backend, indices, before, siblings));
        return RootPair{root, root};
    };
    const auto first = run();
    if (!expected.has_value() || !first.has_value() || first->before != expected->before ||
        first->after != (update ? expected->after : expected->before)) {
        state.SkipWithError("wrong roots");
        return;
    }
    for (auto _ : state) {
        const auto again = run();
        benchmark::DoNotOptimize(again.has_value());
        benchmark::ClobberMemory();
    }
    using benchmark::Counter;
    const double sets = update ? 2 : 1;
    const double leaves = static_cast<double>(state.iterations() * indices.size());
    // Each step up joins known nodes and siblings to half as many: all but the root are used up.
    const double nodes = static_cast<double>(state.iterations() * (indices.size() + *count - 1));
    state.counters["leaves_per_second"] = Counter(leaves * sets, Counter::kIsRate);
    state.counters["nodes_per_second"] = Counter(nodes * sets, Counter::kIsRate);
}

void register_all() {
    for (const NodeHash hash : {NodeHash::keccak256, NodeHash::sha256, NodeHash::blake3}) {
        for (const Backend backend : {Backend::scalar, Backend::simd}) {
            const std::string rest =
                "/" + std::string(to_string(hash)) + "/" + std::string(to_string(backend));
            benchmark::RegisterBenchmark(("paths" + rest).c_str(), [=](benchmark::State& state) {
                time_paths(state, hash, backend);
            });
            for (const bool update : {false, true}) {
                benchmark::RegisterBenchmark(
                    ((update ? "multiproof_update" : "multiproof") + rest).c_str(),
                    [=](benchmark::State& state) {
                        time_multiproof(state, hash, backend, update);
                    });
            }
        }
    }
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) {
    millrace::bench::register_all();
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) { return 2; }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
