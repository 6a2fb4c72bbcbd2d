// SPDX-License-Identifier: Apache-2.0
// Owns finding the batch size from which a device is faster than the CPU.
#include "kernels/bench/crossover.hpp"

#include <cmath>
#include <cstdio>

namespace millrace::kernel_bench {

namespace {

/// How far the device is ahead, as a logarithm: the sign changes where the lines meet.
double lead(const RatesAtBatch& r) { return std::log(*r.device / *r.cpu); }

double meeting_point(const RatesAtBatch& lost, const RatesAtBatch& won) {
    const double from = std::log(static_cast<double>(lost.batch));
    const double to = std::log(static_cast<double>(won.batch));
    const double share = -lead(lost) / (lead(won) - lead(lost));
    return std::exp(from + share * (to - from));
}

}  // namespace

Crossover find_crossover(const std::vector<RatesAtBatch>& rates, const std::string& absent) {
    Crossover c;
    std::vector<RatesAtBatch> both;
    bool has_device = false;
    for (const RatesAtBatch& r : rates) {
        has_device = has_device || r.device.has_value();
        if (r.device && r.cpu) { both.push_back(r); }
    }
    if (both.empty()) {
        c.reason = !has_device ? (absent.empty() ? "no device was measured" : absent)
                               : "no CPU back end was measured beside the device";
        return c;
    }
    const auto ahead = [&](size_t i) { return lead(both[i]) > 0; };
    size_t first = 0;
    while (first < both.size() &&
           !(ahead(first) && (first + 1 == both.size() || ahead(first + 1)))) {
        ++first;
    }
    if (first == both.size()) {
        c.reason =
            "the device is not ahead at any batch up to " + std::to_string(both.back().batch);
        return c;
    }
    size_t last = first;
    while (last + 1 < both.size() && ahead(last + 1)) { ++last; }
    c.first = both[first].batch;
    c.last = both[last].batch;
    c.to_the_end = last + 1 == both.size();
    if (first > 0) {
        c.last_lost = both[first - 1].batch;
        // A single win before was taken for noise; then there is no point at which the lines meet.
        if (!ahead(first - 1)) { c.interpolated = meeting_point(both[first - 1], both[first]); }
    }
    return c;
}

std::string describe(const Crossover& c) {
    if (!c.first) { return "none: " + c.reason; }
    std::string text = "from " + std::to_string(*c.first);
    if (!c.to_the_end) { text += " to " + std::to_string(*c.last); }
    if (!c.last_lost) { return text + ", the smallest batch compared"; }
    text += ", behind at " + std::to_string(*c.last_lost);
    if (c.interpolated) {
        char about[48];
        std::snprintf(about, sizeof about, ", equal at about %.0f", *c.interpolated);
        text += about;
    }
    return text;
}

}  // namespace millrace::kernel_bench
