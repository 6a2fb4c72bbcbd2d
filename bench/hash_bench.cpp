// SPDX-License-Identifier: Apache-2.0
// Owns the timing of the hash kernels: every algorithm, length and back end, checked before it is
// timed.
#include <benchmark/benchmark.h>
#include <hwy/targets.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "host/base/hex.hpp"
#include "kernels/blake3/blake3.hpp"
#include "kernels/blake3/blake3_batch.hpp"
#include "kernels/keccak/detail/one_message.hpp"
#include "kernels/keccak/keccak.hpp"
#include "kernels/keccak/keccak_batch.hpp"
#include "kernels/sha256/detail/backends.hpp"
#include "kernels/sha256/detail/one_message.hpp"
#include "kernels/sha256/detail/sha_ni.hpp"
#include "kernels/sha256/sha256.hpp"
#include "kernels/sha256/sha256_batch.hpp"
#include "kernels/tree/tree.hpp"

namespace millrace::bench {
namespace {

using kernels::Backend;

constexpr size_t lengths[] = {32, 64, 136, 1024};
/// Messages of a batch: those of 64 bytes fit the first-level cache with their digests.
constexpr size_t messages_count = 256;

double thread_seconds() {
    timespec t{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

/// Cycles of the core in a second of CPU time, from a chain of sums, each of which takes one cycle.
double core_hz() {
    constexpr size_t steps = 20'000'000;
    double best = 0;
    for (int round = 0; round < 7; ++round) {
        const double start = thread_seconds();
        uint64_t x = 0;
        for (size_t i = 0; i < steps; i += 10) {
#pragma unroll
            for (int j = 0; j < 10; ++j) {
                x += 1;
                __asm__ volatile("" : "+r"(x));
            }
        }
        best = std::max(best, static_cast<double>(steps) / (thread_seconds() - start));
    }
    return best;
}

/// One hash function.
struct Algorithm {
    const char* name;
    Hash256 (*one)(ByteView) noexcept;
    Result<void> (*equal)(Backend, ByteView, size_t, std::span<Hash256>);
    kernels::BackendStatus (*status)(Backend);
    std::string_view digest_of_empty;
};

constexpr Algorithm keccak{"keccak256", kernels::keccak256, kernels::keccak256_batch,
                           kernels::keccak_backend_status,
                           "0xc5d2460186f7233c927e7db2dcc703c0e500b653ca82273b7bfad8045d85a470"};
constexpr Algorithm sha256{"sha256", kernels::sha256, kernels::sha256_batch,
                           kernels::sha256_backend_status,
                           "0xe3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"};
constexpr Algorithm blake3{"blake3", kernels::blake3, kernels::blake3_batch,
                           kernels::blake3_backend_status,
                           "0xaf1349b9f5f9a1a6a0404dea36dcc9499bcb25c9adc112b7cc9a93cae41f3262"};

/// A back end with everything that it is made of forced.
struct Setup {
    std::string name;
    Backend backend;
    std::function<void()> force;
};

void force_target(int64_t target) {
    hwy::SetSupportedTargetsForTest(target);
    hwy::GetChosenTarget().Update(hwy::SupportedTargets());
}

void force_nothing() {
    force_target(0);
    kernels::detail::sha256_simd_use(kernels::detail::Sha256Units::automatic);
    kernels::detail::keccak256_use(*kernels::detail::keccak256_paths().front());
    kernels::detail::sha256_use(*kernels::detail::sha256_paths().front());
}

std::vector<Setup> setups_of(const Algorithm& algorithm) {
    using kernels::detail::sha256_simd_use;
    using kernels::detail::Sha256Units;
    std::vector<Setup> setups;
    if (algorithm.one == kernels::keccak256) {
        for (const auto* path : kernels::detail::keccak256_paths()) {
            setups.push_back({std::string("scalar ") + path->name, Backend::scalar,
                              [path] { kernels::detail::keccak256_use(*path); }});
        }
    } else if (algorithm.one == kernels::sha256) {
        for (const auto* path : kernels::detail::sha256_paths()) {
            setups.push_back({std::string("scalar ") + path->name, Backend::scalar,
                              [path] { kernels::detail::sha256_use(*path); }});
        }
        if (kernels::detail::sha256_ni_supported()) {
            setups.push_back(
                {"simd SHA-NI x4", Backend::simd, [] { sha256_simd_use(Sha256Units::sha_ni); }});
        }
    } else {
        setups.push_back({"scalar portable", Backend::scalar, [] {}});
    }
    force_nothing();
    sha256_simd_use(Sha256Units::lanes);
    for (int64_t left = hwy::SupportedTargets(); left != 0; left &= left - 1) {
        const int64_t target = left & -left;
        force_target(target);
        if (algorithm.status(Backend::simd).target == hwy::TargetName(target)) {
            setups.push_back({std::string("simd ") + hwy::TargetName(target) + " lanes",
                              Backend::simd, [target] {
                                  sha256_simd_use(Sha256Units::lanes);
                                  force_target(target);
                              }});
        }
        force_target(0);
    }
    force_nothing();
    setups.push_back({"simd", Backend::simd, [] {}});
    if (algorithm.status(Backend::cuda).available) {
        setups.push_back({"cuda with copies", Backend::cuda, [] {}});
    }
    return setups;
}

Bytes random_bytes(size_t count) {
    std::mt19937_64 random(count);
    Bytes bytes(count);
    for (uint8_t& byte : bytes) { byte = static_cast<uint8_t>(random()); }
    return bytes;
}

/// What the portable code for one message gives.
std::vector<Hash256> expected_digests(const Algorithm& algorithm, ByteView row, size_t length) {
    kernels::detail::keccak256_use(*kernels::detail::keccak256_paths().back());
    kernels::detail::sha256_use(*kernels::detail::sha256_paths().back());
    std::vector<Hash256> digests;
    for (size_t i = 0; i < row.size(); i += length) {
        digests.push_back(algorithm.one(row.subspan(i, length)));
    }
    force_nothing();
    return digests;
}

void time_batch(benchmark::State& state, const Algorithm& algorithm, const Setup& setup,
                size_t length, double hz) {
    const size_t count = setup.backend == Backend::cuda ? size_t{1} << 18 : messages_count;
    const Bytes row = random_bytes(count * length);
    const std::vector<Hash256> expected = expected_digests(algorithm, row, length);
    std::vector<Hash256> digests(count);
    setup.force();
    const Result<void> done = algorithm.equal(setup.backend, row, length, digests);
    if (!done.has_value() || digests != expected ||
        to_hex(algorithm.one({})) != algorithm.digest_of_empty) {
        state.SkipWithError(done.has_value() ? "wrong digests" : done.error().message.c_str());
        force_nothing();
        return;
    }
    for (auto _ : state) {
        const Result<void> again = algorithm.equal(setup.backend, row, length, digests);
        benchmark::DoNotOptimize(again.has_value());
        benchmark::ClobberMemory();
    }
    force_nothing();
    using benchmark::Counter;
    const double hashes = static_cast<double>(state.iterations()) * static_cast<double>(count);
    state.counters["hashes_per_second"] = Counter(hashes, Counter::kIsRate);
    // Seconds for a byte, times cycles for a second.
    state.counters["cycles_per_byte"] =
        Counter(hashes * static_cast<double>(length) / hz, Counter::kIsRate | Counter::kInvert);
    state.counters["cycles_per_hash"] = Counter(hashes / hz, Counter::kIsRate | Counter::kInvert);
}

/// Twigs with every `stride`-th leaf dirty; the rate is that of hashed nodes.
void time_tree(benchmark::State& state, kernels::NodeHash hash, Backend backend, size_t stride) {
    constexpr unsigned height = 11;
    constexpr uint32_t leaves = 1 << height;
    constexpr uint32_t twigs = 16;
    std::vector<std::vector<Hash256>> nodes(twigs,
                                            std::vector<Hash256>(kernels::tree_nodes(height)));
    std::vector<Hash256*> trees;
    std::vector<kernels::DirtyLeaf> dirty;
    std::mt19937_64 random(1);
    for (uint32_t t = 0; t < twigs; ++t) {
        fill_uniform(hash, {}, height, nodes[t]);
        trees.push_back(nodes[t].data());
        for (uint32_t leaf = 0; leaf < leaves; leaf += static_cast<uint32_t>(stride)) {
            nodes[t][leaves + leaf][0] = static_cast<uint8_t>(random());
            dirty.push_back({t, leaf});
        }
    }
    kernels::TreeHasher hasher(hash, height);
    std::vector<std::vector<Hash256>> expected = nodes;
    std::vector<Hash256*> expected_trees;
    for (auto& tree : expected) { expected_trees.push_back(tree.data()); }
    if (!hasher.rehash(Backend::scalar, expected_trees, dirty).has_value() ||
        !hasher.rehash(backend, trees, dirty).has_value() || nodes != expected) {
        state.SkipWithError("wrong nodes");
        return;
    }
    size_t hashed = 0;
    for (unsigned depth = 0; depth < height; ++depth) {
        hashed += twigs * std::min<size_t>(size_t{1} << depth, leaves / stride);
    }
    for (auto _ : state) {
        const Result<void> again = hasher.rehash(backend, trees, dirty);
        benchmark::DoNotOptimize(again.has_value());
        benchmark::ClobberMemory();
    }
    state.counters["nodes_per_second"] = benchmark::Counter(
        static_cast<double>(state.iterations() * hashed), benchmark::Counter::kIsRate);
    state.counters["dirty_leaves_per_second"] = benchmark::Counter(
        static_cast<double>(state.iterations() * dirty.size()), benchmark::Counter::kIsRate);
}

void register_all(double hz) {
    for (const Algorithm* algorithm : {&keccak, &sha256, &blake3}) {
        for (const Setup& setup : setups_of(*algorithm)) {
            for (const size_t length : lengths) {
                const std::string name =
                    std::string(algorithm->name) + "/" + std::to_string(length) + "/" + setup.name;
                benchmark::RegisterBenchmark(name.c_str(),
                                             [algorithm, setup, length, hz](benchmark::State& s) {
                                                 time_batch(s, *algorithm, setup, length, hz);
                                             });
            }
        }
    }
    for (const kernels::NodeHash hash :
         {kernels::NodeHash::keccak256, kernels::NodeHash::sha256, kernels::NodeHash::blake3}) {
        for (const Backend backend : {Backend::scalar, Backend::simd}) {
            for (const size_t stride : {size_t{1}, size_t{64}}) {
                const std::string name = "tree/" + std::string(to_string(hash)) +
                                         (stride == 1 ? "/all_leaves/" : "/leaf_of_64/") +
                                         std::string(to_string(backend));
                benchmark::RegisterBenchmark(name.c_str(),
                                             [hash, backend, stride](benchmark::State& s) {
                                                 time_tree(s, hash, backend, stride);
                                             });
            }
        }
    }
}

}  // namespace
}  // namespace millrace::bench

int main(int argc, char** argv) {
    const double hz = millrace::bench::core_hz();
    benchmark::AddCustomContext("core_ghz", std::to_string(hz * 1e-9));
    benchmark::AddCustomContext("time", "CPU time of the thread; cycles by core_ghz");
    millrace::bench::register_all(hz);
    benchmark::Initialize(&argc, argv);
    if (benchmark::ReportUnrecognizedArguments(argc, argv)) { return 2; }
    benchmark::RunSpecifiedBenchmarks();
    benchmark::Shutdown();
    return 0;
}
