// SPDX-License-Identifier: Apache-2.0
// Owns how a scenario is run under a tier, and everything of the run that must not depend on it.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "evm/core/native.hpp"
#include "tests/evm/differential/generator.hpp"
#include "tests/evm/differential/program.hpp"

namespace millrace::evm::jit {

using differential::AccountSpec;
using differential::Choices;
using differential::Scenario;

/// What the run showed to the outside: the result, the changes, and what it asked of the state.
struct Outcome {
    bool refused = false;
    Status status = Status::success;
    int64_t gas = 0;  ///< left for a message, used for a transaction
    int64_t refund = 0;
    Bytes output;
    std::vector<Log> logs;
    std::string changes;                 ///< of the state, as text
    std::vector<std::string> questions;  ///< to the StateView, in order, with the answers
    bool operator==(const Outcome&) const = default;
};

/// Runs it in one workspace that lives as long as the thread. Null for the interpreter alone.
/// Analysed code is not kept for the next run but in `shared`, if there is one.
Outcome run(const Scenario& scenario, NativeTier* tier, SharedCode* shared = nullptr);

/// What differs, one line each; empty when nothing does.
std::string difference(const Outcome& interpreter, const Outcome& tier);

/// The scenario with another gas limit.
Scenario with_gas(const Scenario& scenario, uint64_t gas);

/// Gas that the run has used.
uint64_t gas_used(const Scenario& scenario, const Outcome& outcome);

/// A scenario and what the tier does other than the interpreter in it.
struct Finding {
    Scenario scenario;
    std::string difference;
};

/// Compares as it is, then with `limits` gas limits below what it uses, chosen by `choices`.
std::optional<Finding> examine(const Scenario& scenario, NativeTier& tier, Choices& choices,
                               unsigned limits);
/// Compares with every gas limit from 0 to what it uses, and one more.
std::optional<Finding> examine_every_limit(const Scenario& scenario, NativeTier& tier);

/// A smaller scenario that still differs.
Finding minimized(Finding finding, NativeTier& tier);
/// Everything needed to repeat it by hand.
std::string describe(const Finding& finding);

/// A world with one contract that is called with this input.
Scenario call_of(ByteView code, ByteView input, uint64_t gas, Revision revision = latest_revision);
inline const Address contract_address = differential::numbered_address(1, 0);

}  // namespace millrace::evm::jit
