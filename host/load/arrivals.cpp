// SPDX-License-Identifier: Apache-2.0
// Owns the drawing of gaps between arrivals.
#include "host/load/arrivals.hpp"

#include <cmath>

#include "host/base/error.hpp"

namespace millrace::load {

double exponential_gap(double uniform) noexcept { return -std::log1p(-uniform); }

Arrivals::Arrivals(ArrivalKind kind, double per_second, uint64_t seed)
    : kind_(kind), gap_ns_(1e9 / per_second), random_(seed) {
    MILLRACE_ASSERT(per_second > 0, "the rate was checked");
}

int64_t Arrivals::next_ns() {
    // By hand: what std::exponential_distribution draws differs between libraries.
    const double uniform = static_cast<double>(random_() >> 11) * 0x1p-53;
    at_ns_ += kind_ == ArrivalKind::fixed ? gap_ns_ : gap_ns_ * exponential_gap(uniform);
    return static_cast<int64_t>(at_ns_);
}

}  // namespace millrace::load
