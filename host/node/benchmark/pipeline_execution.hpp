// SPDX-License-Identifier: Apache-2.0
// Owns the execution of one block's transactions by the sequencer's own parts, and its check.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "evm/core/chain_spec.hpp"
#include "evm/core/precompile_set.hpp"
#include "host/base/error.hpp"
#include "host/node/benchmark/pipeline_profile.hpp"
#include "host/sequencer/executor/block_builder.hpp"
#include "host/sequencer/types.hpp"
#include "storage/state/state_store.hpp"

namespace millrace::node {

/// What is executed, all of it in one block. What it refers to outlives it.
struct PipelineBlock {
    const evm::ChainSpec& spec;
    const storage::StateDelta& state;  ///< before it
    sequencer::OpenBlock open;
    std::span<const sequencer::AdmittedPtr> transactions;
    std::vector<std::pair<uint64_t, Hash256>> block_hashes;
    size_t mini_block_transactions = 1000;
    /// Compiled code to run with (evm/jit); null for the interpreter.
    evm::NativeTier* native_tier = nullptr;
};

/// All transactions of the profile in its first block. Refers to the profile.
PipelineBlock pipeline_block_of(const PipelineProfile& profile);

/// Why commits of workers were refused, and how often others had to wait for one.
struct PipelineConflicts {
    uint64_t locked = 0;
    uint64_t stale_read = 0;
    uint64_t bound = 0;
    uint64_t alone = 0;
    uint64_t refused() const noexcept { return locked + stale_read + bound; }
};

/// One execution, timed from the first transaction to the last cut: no threads started, no state
/// loaded. The table of cells is empty at first, as after the start of a node.
struct PipelineExecution {
    double wall_us = 0;
    double cpu_us = 0;        ///< of all threads
    double owner_cpu_us = 0;  ///< of the thread that dispatches, merges and cuts
    double cut_cpu_us = 0;    ///< of the owner's, for the cuts
    PipelineConflicts conflicts;
    uint64_t not_included = 0;  ///< transactions that were invalid where they came to run
    storage::StateDelta opening;
    std::vector<sequencer::BlockBuilder::Cut> mini_blocks;
    sequencer::ClosedBlock closed;
};

/// Executes with so many workers; with 0 of them the calling thread executes one after the other.
/// A sender's transactions keep their order; a transaction that is invalid where it comes is tried
/// again after the others, until none of those left is valid.
PipelineExecution execute_block(const PipelineBlock& block, const evm::PrecompileSet& precompiles,
                                uint32_t workers);

/// Compares the execution with a serial one in the order of its commits: receipts, gas and every
/// post-value of the block have to agree. The error says what does not.
Result<void> check_execution(const PipelineBlock& block, const evm::PrecompileSet& precompiles,
                             const PipelineExecution& execution);

/// The state after the execution.
Result<std::unique_ptr<storage::StateStore>> state_after(const PipelineBlock& block,
                                                         const PipelineExecution& execution);

}  // namespace millrace::node
