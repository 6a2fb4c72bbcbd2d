// SPDX-License-Identifier: Apache-2.0
// Owns the transactions that the pipeline's measurement runs, with the state they start from.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "host/base/error.hpp"
#include "evm/core/native.hpp"
#include "host/sequencer/genesis.hpp"
#include "host/sequencer/types.hpp"

namespace millrace::node {

/// A kind of load. What each does is said by its summary.
struct PipelineProfileKind {
    std::string_view name;
    std::string_view summary;
    bool needs_artifacts = false;  ///< of @uniswap/v2-core
};

/// All that are made here, in the order in which they are measured.
const std::vector<PipelineProfileKind>& pipeline_profile_kinds();

/// Signed transactions of one kind. Executed in any order that keeps each sender's own, every one
/// succeeds, and what the order cannot change ends as `expected` says.
struct PipelineProfile {
    std::string name;
    sequencer::Genesis genesis;
    /// Senders take turns.
    std::vector<sequencer::AdmittedPtr> transactions;
    /// Balances of the token, which no swap moves, by holder: canonical order.
    std::vector<storage::SlotDelta> expected_slots;
    /// Of how many senders the nonces go up, and what all nonces of senders add up to.
    size_t sender_count = 0;
    /// Compiled code to execute with (evm/jit); null for the interpreter. Checks never use it.
    evm::NativeTier* native_tier = nullptr;
};

/// Makes `count` transactions of the kind; the same ones for the same arguments. Fails with
/// `ErrorCode::not_found` when artifacts are needed and not there, with `invalid_input` for an
/// unknown name.
Result<PipelineProfile> make_pipeline_profile(std::string_view name, size_t count,
                                              const std::string& artifacts);

}  // namespace millrace::node
