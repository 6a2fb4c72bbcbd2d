// SPDX-License-Identifier: Apache-2.0
// Owns checking and timing the calls of precompiles.
#include "host/node/benchmark/precompile_bench.hpp"

#include <algorithm>

#include "evm/precompiles/standard.hpp"
#include "host/base/hex.hpp"
#include "host/node/benchmark/cpu_time.hpp"

namespace millrace::node {
namespace {

/// Long against reading the clock, which costs more than the shortest call.
constexpr double sample_us_min = 50;

Address address_of(unsigned number) {
    Address address;
    address[18] = static_cast<uint8_t>(number >> 8);
    address[19] = static_cast<uint8_t>(number);
    return address;
}

}  // namespace

Result<std::vector<PrecompileTiming>> run_precompile_bench(const std::vector<PrecompileCase>& cases,
                                                           const PrecompileBenchOptions& options) {
    const evm::StandardPrecompiles set;
    // More than any of the calls costs under any fork.
    constexpr uint64_t gas = uint64_t{1} << 50;
    std::vector<PrecompileTiming> timings;
    for (const PrecompileCase& c : cases) {
        const Address address = address_of(c.number);
        if (c.name.find(options.filter) == std::string::npos ||
            !set.contains(address, options.revision)) {
            continue;
        }
        const auto run = [&] { return set.run(address, c.input, gas, options.revision); };
        const evm::PrecompileOutcome outcome = run();
        if (!outcome.success || outcome.output != c.expected) {
            return fail(
                ErrorCode::internal,
                c.name + (outcome.success ? ": returned " + to_hex(outcome.output) : ": failed") +
                    ", expected " + to_hex(c.expected));
        }
        PrecompileTiming t{.name = c.name, .gas = outcome.gas_used, .calls_per_sample = 1};
        const auto sample_us = [&] {
            const double start = thread_cpu_us();
            for (size_t i = 0; i < t.calls_per_sample; ++i) { run(); }
            return thread_cpu_us() - start;
        };
        while (sample_us() < sample_us_min) { t.calls_per_sample *= 2; }
        std::vector<double> times;
        for (double total = 0;
             times.size() < options.samples_min || total < options.seconds_min * 1e6;) {
            const double us = sample_us();
            total += us;
            times.push_back(us / static_cast<double>(t.calls_per_sample));
        }
        std::sort(times.begin(), times.end());
        t.median_us = times[times.size() / 2];
        t.min_us = times.front();
        t.max_us = times.back();
        t.mgas_per_s = static_cast<double>(t.gas) / t.median_us;
        t.samples = times.size();
        timings.push_back(std::move(t));
    }
    return timings;
}

}  // namespace millrace::node
