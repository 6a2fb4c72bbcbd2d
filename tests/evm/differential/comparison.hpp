// SPDX-License-Identifier: Apache-2.0
// Owns the comparison of the engine with the naive implementation on one scenario.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <vector>

#include "tests/evm/differential/generator.hpp"
#include "tests/evm/differential/naive_evm.hpp"

namespace millrace::evm::differential {

struct Comparison {
    /// What differed, one line each; empty when nothing did.
    std::string difference;
    uint64_t gas_used = 0;  ///< by the naive implementation; 0 for a transaction that is refused
    Status status = Status::success;
    bool refused = false;
    /// What had been spent before each instruction of the first frame (the first 4,096), and which
    /// of them are SSTOREs: a gas limit near one of these ends the run just there.
    std::vector<uint64_t> spent;
    std::vector<uint64_t> spent_at_store;
    std::array<uint32_t, 256> opcodes{};  ///< how often each was met
    int depth_max = 0;
};

enum class Steps : uint8_t {
    unseen,    ///< both run as they do in production
    compared,  ///< every instruction is traced and compared: place, gas, price, memory, refund,
               ///< stack
};

/// Runs the scenario in both and compares status, gas, refund, output, logs and the state after.
Comparison compare(const Scenario& scenario, Fault fault = Fault::none,
                   Steps steps = Steps::unseen);

/// The same scenario with another gas limit.
Scenario with_gas(const Scenario& scenario, uint64_t gas);

/// Compares as it is, then with gas limits that end it early, chosen by `choices`; sometimes step
/// by step. The first scenario that differs is returned with what differed.
struct Finding {
    Scenario scenario;
    std::string difference;
};
std::optional<Finding> examine(const Scenario& scenario, Choices& choices,
                               Fault fault = Fault::none);

/// A smaller scenario that still differs: accounts, statements and gas are taken away.
Finding minimized(Finding finding, Fault fault = Fault::none);

/// Everything needed to repeat it by hand, and the first instruction where the two part.
std::string describe(const Finding& finding, Fault fault = Fault::none);

}  // namespace millrace::evm::differential
