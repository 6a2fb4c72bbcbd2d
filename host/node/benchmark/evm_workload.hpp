// SPDX-License-Identifier: Apache-2.0
// Owns message-call workloads for the EVM: their file format, running and timing them.
#pragma once

#include <string>
#include <vector>

#include "evm/core/native.hpp"
#include "evm/core/overlay.hpp"
#include "host/base/error.hpp"

namespace millrace::node {

/// One call with everything that it needs and what it must give.
struct EvmWorkload {
    std::string name;
    Address from;
    Address to;
    Bytes input;
    int64_t gas_limit = 0;
    int64_t gas_used = 0;
    int64_t gas_refund = 0;
    Bytes expected_return;
    /// Nonce, balance, code and storage of every account.
    evm::StateOverlay state;
    bool stateful = false;  ///< calls other contracts or touches storage
};

/// Environment of all workloads of a file.
struct EvmWorkloadFile {
    uint64_t block_number = 0;
    uint64_t timestamp = 0;
    uint64_t gas_limit = 0;
    uint64_t chain_id = 1;
    std::string fork;
    std::vector<EvmWorkload> workloads;
    std::vector<std::string> skipped;  ///< "name: reason"
};

/// Reads workloads. Code that is given by reference to an npm package is taken from `npm_directory`
/// (a node_modules folder); workloads whose code is not there are skipped with the reason.
Result<EvmWorkloadFile> load_evm_workloads(const std::string& path,
                                           const std::string& npm_directory);

struct EvmTiming {
    std::string name;
    std::string tier;
    bool stateful = false;
    double median_us = 0;  ///< CPU time of one run
    double min_us = 0;
    double max_us = 0;
    double mgas_per_s = 0;  ///< at the median
    size_t runs = 0;
};

struct EvmBenchOptions {
    std::string filter;
    /// What to run with; the interpreter alone when there is none.
    struct Tier {
        std::string name;
        evm::NativeTier* native = nullptr;  ///< null for the interpreter
    };
    std::vector<Tier> tiers;
    size_t runs_min = 7;
    double seconds_min = 0.5;  ///< of CPU time for each workload
};

/// Runs each workload with each tier: the first time its result, gas and refund are compared with the file's, and
/// a difference is an error; then it is timed. Every run starts from the same state, everything
/// cold but `to` and `from`.
Result<std::vector<EvmTiming>> run_evm_bench(EvmWorkloadFile& file, const EvmBenchOptions& options);

}  // namespace millrace::node
