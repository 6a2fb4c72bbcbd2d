// SPDX-License-Identifier: Apache-2.0
// Owns the order statistics of timings.
#include "kernels/bench/statistics.hpp"

#include <algorithm>
#include <cmath>

namespace millrace::kernel_bench {

double nearest_rank(const std::vector<double>& ascending, double fraction) {
    const double rank = std::ceil(fraction * static_cast<double>(ascending.size()));
    const size_t index = rank < 1 ? 0 : static_cast<size_t>(rank) - 1;
    return ascending[std::min(index, ascending.size() - 1)];
}

constexpr size_t p99_samples_min = 100;

Summary summarize(std::vector<double> samples) {
    Summary s;
    if (samples.empty()) { return s; }
    std::sort(samples.begin(), samples.end());
    s.samples = samples.size();
    s.min = samples.front();
    s.median = nearest_rank(samples, 0.5);
    if (samples.size() >= p99_samples_min) { s.p99 = nearest_rank(samples, 0.99); }
    s.max = samples.back();
    if (s.median > 0) {
        s.spread = (nearest_rank(samples, 0.75) - nearest_rank(samples, 0.25)) / s.median;
    }
    return s;
}

}  // namespace millrace::kernel_bench
