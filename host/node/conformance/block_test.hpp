// SPDX-License-Identifier: Apache-2.0
// Owns the runner of Ethereum's BlockchainTest fixtures.
#pragma once

#include <string>

#include "host/node/conformance/runner.hpp"

namespace millrace::node {

/// Imports the blocks of every test at `path` (see run_fixtures). A block that the fixture marks
/// with expectException must be refused for one of the reasons named there; every other block must
/// be accepted, and the chain must end with the fixture's last block and state.
Result<ConformanceReport> run_block_tests(const std::string& path, const RunnerOptions& options);

}  // namespace millrace::node
