// SPDX-License-Identifier: Apache-2.0
// Owns what is said of repeated timings of one thing.
#pragma once

#include <cstddef>
#include <optional>
#include <vector>

namespace millrace::kernel_bench {

/// Order statistics of samples, in the samples' unit. Quantiles are nearest-rank: always a sample
/// that was seen. All zero, and without p99, when there was no sample.
struct Summary {
    size_t samples = 0;
    double min = 0;
    double median = 0;
    /// Of a hundred samples and more: of fewer it would be the largest one.
    std::optional<double> p99;
    double max = 0;
    /// Distance of the quartiles over the median: 0.1 says that the middle half of the samples lies
    /// within a tenth of the median. 0 when the median is.
    double spread = 0;
};

Summary summarize(std::vector<double> samples);

/// The smallest sample that at least `fraction` of all do not exceed; `ascending` is not empty and
/// 0 <= fraction <= 1.
double nearest_rank(const std::vector<double>& ascending, double fraction);

}  // namespace millrace::kernel_bench
