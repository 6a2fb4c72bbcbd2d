// SPDX-License-Identifier: Apache-2.0
// Owns measuring the peaks of this CPU.
#include "kernels/bench/peaks.hpp"

#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <memory>
#include <vector>

#include "host/base/error.hpp"
#include "kernels/bench/clocks.hpp"
#include "kernels/bench/crew.hpp"
#include "kernels/bench/detail/peak_loops.hpp"
#include "kernels/sha256/detail/sha_ni.hpp"

namespace millrace::kernel_bench {

namespace {

constexpr size_t copy_bytes = size_t{64} << 20;
constexpr int runs_min = 5;
/// Of one run of a loop.
constexpr double run_seconds = 0.0005;

/// Eight words that are stored past the caches.
using Line = uint64_t __attribute__((vector_size(32)));

struct FreeDeleter {
    void operator()(void* memory) const { std::free(memory); }
};
using Lines = std::unique_ptr<Line[], FreeDeleter>;

Lines make_lines() {
    Lines lines(static_cast<Line*>(std::aligned_alloc(64, copy_bytes)));
    MILLRACE_ASSERT(lines != nullptr, "64 MiB for the copy's peak");
    // Written once, so that every page is there.
    std::fill_n(lines.get(), copy_bytes / sizeof(Line), Line{1, 2, 3, 4});
    return lines;
}

void copy_past_caches(const Line* from, Line* to) {
    for (size_t i = 0; i < copy_bytes / sizeof(Line); ++i) {
#if defined(__clang__)
        __builtin_nontemporal_store(from[i], to + i);
#else
        to[i] = from[i];
#endif
    }
    __atomic_thread_fence(__ATOMIC_SEQ_CST);
}

/// The highest rate of runs, for as long as was asked, in each of which every thread of the crew
/// does `units`. A run lasts from the first thread's start to the last one's end, so that waking
/// them is not in it.
template <class Work>
double best_rate(double units, Crew& crew, double seconds, Work work) {
    std::vector<int64_t> starts(crew.size());
    std::vector<int64_t> ends(crew.size());
    double best = 0;
    const int64_t begin = wall_ns();
    for (int i = 0; i < runs_min || static_cast<double>(wall_ns() - begin) < seconds * 1e9; ++i) {
        crew.run(crew.size(), [&](size_t t) {
            starts[t] = wall_ns();
            work(t);
            ends[t] = wall_ns();
        });
        const int64_t ns = std::ranges::max(ends) - std::ranges::min(starts);
        best = std::max(best, units * static_cast<double>(crew.size()) * 1e9 /
                                  static_cast<double>(std::max<int64_t>(ns, 1)));
    }
    return best;
}

double measure_copies(Crew& crew, double seconds) {
    std::vector<Lines> from;
    std::vector<Lines> to;
    for (size_t t = 0; t < crew.size(); ++t) {
        from.push_back(make_lines());
        to.push_back(make_lines());
    }
    return best_rate(static_cast<double>(copy_bytes), crew, seconds,
                     [&](size_t t) { copy_past_caches(from[t].get(), to[t].get()); });
}

#if defined(__x86_64__)
using Loop = void (*)(uint64_t steps) noexcept;

double measure_loop(Loop loop, Crew& crew, double seconds) {
    // By CPU time: what else runs on the core would make the steps few.
    uint64_t steps = 1 << 12;
    for (double took = 0; took < run_seconds * 1e9; steps *= 2) {
        const int64_t start = process_cpu_ns();
        loop(steps);
        took = static_cast<double>(process_cpu_ns() - start);
    }
    return best_rate(static_cast<double>(steps * detail::peak_operations), crew, seconds,
                     [&](size_t) { loop(steps); });
}
#endif

}  // namespace

bool cpu_has(CpuUnit unit) noexcept {
    if (unit == CpuUnit::copied_bytes) { return true; }
#if defined(__x86_64__)
    __builtin_cpu_init();
    const bool wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512ifma");
    switch (unit) {
        case CpuUnit::vector_logic:
        case CpuUnit::madd52: return wide;
        case CpuUnit::sha_rounds: return kernels::detail::sha256_ni_supported();
        case CpuUnit::copied_bytes: break;
    }
#endif
    return false;
}

std::optional<double> measure_peak(CpuUnit unit, Crew& crew, double seconds) {
    if (!cpu_has(unit)) { return {}; }
#if defined(__x86_64__)
    switch (unit) {
        case CpuUnit::vector_logic: return measure_loop(detail::run_vector_logic, crew, seconds);
        case CpuUnit::madd52: return measure_loop(detail::run_madd52, crew, seconds);
        case CpuUnit::sha_rounds: return measure_loop(detail::run_sha_rounds, crew, seconds);
        case CpuUnit::copied_bytes: break;
    }
#endif
    return measure_copies(crew, seconds);
}

double measure_core_hz() {
    constexpr size_t steps = 10'000'000;
    double best = 0;
    for (int run = 0; run < runs_min; ++run) {
        const int64_t start = process_cpu_ns();
        uint64_t x = 0;
        for (size_t i = 0; i < steps; i += 10) {
#pragma unroll
            for (int j = 0; j < 10; ++j) {
                x += 1;
                __asm__ volatile("" : "+r"(x));
            }
        }
        const auto ns = static_cast<double>(process_cpu_ns() - start);
        best = std::max(best, static_cast<double>(steps) * 1e9 / ns);
    }
    return best;
}

}  // namespace millrace::kernel_bench
