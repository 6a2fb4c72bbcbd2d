// SPDX-License-Identifier: Apache-2.0
// Owns the runner of Ethereum's GeneralStateTest fixtures.
#pragma once

#include <string>

#include "host/node/conformance/runner.hpp"

namespace millrace::node {

/// Runs every case (one transaction under one fork) of every test at `path` (see run_fixtures) and
/// compares the state root, the logs and the reason of a refusal.
Result<ConformanceReport> run_state_tests(const std::string& path, const RunnerOptions& options);

}  // namespace millrace::node
