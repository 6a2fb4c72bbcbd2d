// SPDX-License-Identifier: Apache-2.0
// Owns the times at which an open loop sends.
#pragma once

#include <cstdint>
#include <random>

namespace millrace::load {

enum class ArrivalKind : uint8_t {
    poisson,  ///< independent users: exponential gaps
    fixed,    ///< equal gaps
};

/// The times of arrival of one run, in order, from a seed. One thread.
class Arrivals {
public:
    /// `per_second` above 0.
    Arrivals(ArrivalKind kind, double per_second, uint64_t seed);

    /// Nanoseconds since the start of the run; never goes back. The sum of gaps is kept in
    /// fractions, so that the rate is exact in the long run.
    int64_t next_ns();

private:
    ArrivalKind kind_;
    double gap_ns_;
    double at_ns_ = 0;
    std::mt19937_64 random_;
};

/// The p-quantile of uniform [0, 1) as an exponential gap of mean 1.
double exponential_gap(double uniform) noexcept;

}  // namespace millrace::load
