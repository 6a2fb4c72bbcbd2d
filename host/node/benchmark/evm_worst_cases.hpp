// SPDX-License-Identifier: Apache-2.0
// Owns programs that make each opcode cost as much time for its gas as we know how, and their
// timing.
#pragma once

#include <string>
#include <vector>

#include "evm/core/overlay.hpp"
#include "host/base/error.hpp"

namespace millrace::node {

/// A program that does one thing until its gas is used up, or once for each account of its state.
struct EvmWorstCase {
    std::string name;  ///< the opcode in lower case, then what is special about the use
    Bytes code;
    Bytes input;
    int64_t gas_limit = 0;
    bool ends = false;  ///< with success, else by running out of gas
    /// Other accounts that it touches, from `first_account` on: contracts with `account_code`,
    /// whose last bytes differ where there are several.
    size_t account_count = 0;
    Bytes account_code;
    /// Its storage slots 0 to slot_count - 1 hold non-zero values beforehand.
    size_t slot_count = 0;
};

/// The address of the first account, as a number.
constexpr uint64_t worst_case_first_account = 0x10'0000;

/// Every opcode that Osaka defines, in the uses that are worst for us. Deterministic.
std::vector<EvmWorstCase> evm_worst_cases();

struct EvmWorstCaseTiming {
    std::string name;
    uint64_t gas_used = 0;
    double median_us = 0;  ///< CPU time of one run, with nothing cached from the run before
    double mgas_per_s = 0;
    size_t runs = 0;
};

struct EvmWorstCaseOptions {
    std::string filter;
    size_t runs_min = 5;
    double seconds_min = 0.1;  ///< of CPU time for each
};

/// Times them under Osaka's rules over a state in memory, slowest first. A program that ends in any
/// way but out of gas or success is an error: it would not measure what its name says.
Result<std::vector<EvmWorstCaseTiming>> run_evm_worst_cases(const EvmWorstCaseOptions& options);

/// Mgas/s of the middle row.
double median_mgas_per_s(const std::vector<EvmWorstCaseTiming>& timings);

}  // namespace millrace::node
