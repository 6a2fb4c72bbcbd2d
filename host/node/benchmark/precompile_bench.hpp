// SPDX-License-Identifier: Apache-2.0
// Owns timing the precompiles against their prices.
#pragma once

#include <string>
#include <vector>

#include "evm/core/revision.hpp"
#include "host/base/error.hpp"
#include "host/node/benchmark/precompile_cases.hpp"

namespace millrace::node {

struct PrecompileTiming {
    std::string name;
    uint64_t gas = 0;      ///< the contract's own price, without that of the CALL
    double median_us = 0;  ///< CPU time of one call
    double min_us = 0;
    double max_us = 0;
    double mgas_per_s = 0;  ///< at the median
    size_t samples = 0;
    size_t calls_per_sample = 0;
};

struct PrecompileBenchOptions {
    std::string filter;  ///< only cases whose name contains it
    evm::Revision revision = evm::latest_revision;
    size_t samples_min = 7;
    double seconds_min = 0.5;  ///< of CPU time for each case
};

/// Calls each case once and compares the output with the case's answer; a difference is an error
/// and ends the run. Then times it in samples of at least 50 us. Contracts that the fork does not
/// have are left out.
Result<std::vector<PrecompileTiming>> run_precompile_bench(const std::vector<PrecompileCase>& cases,
                                                           const PrecompileBenchOptions& options);

}  // namespace millrace::node
