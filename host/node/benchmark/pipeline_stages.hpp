// SPDX-License-Identifier: Apache-2.0
// Owns the stages of the pipeline, each as something that can be checked and timed.
#pragma once

#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "evm/core/precompile_set.hpp"
#include "host/base/error.hpp"
#include "host/node/benchmark/pipeline_profile.hpp"
#include "host/node/benchmark/pipeline_report.hpp"
#include "storage/state/state_store.hpp"

namespace millrace::node {

/// One row to measure.
struct PipelineStage {
    std::string name;
    uint32_t workers = 0;
    size_t transactions = 0;
    /// Runs it once and compares what it computed with what it must; may be empty.
    std::function<Result<void>()> check;
    std::function<Result<PipelineSample>()> run;
};

/// The contracts that every measurement executes with.
const evm::PrecompileSet& pipeline_precompiles();

/// Length of the log's segments for so many transactions: a node's own, or less where that is far
/// more than they need, because segments are written ahead of time.
uint64_t pipeline_segment_bytes(size_t transactions) noexcept;

/// What the profile promises whatever the order: everything is in `executed` and succeeded, and
/// `after` has the nonces, the ether and the token balances that it leaves behind.
Result<void> check_profile(const PipelineProfile& profile,
                           std::span<const sequencer::ExecutedPtr> executed,
                           const storage::StateSnapshot& after);

/// Execution of the profile, with each of these numbers of workers.
std::vector<PipelineStage> execution_stages(std::shared_ptr<const PipelineProfile> profile,
                                            const std::vector<uint32_t>& workers);

/// The other stages, each alone. Those that write do it below `scratch`, a folder that exists.
Result<std::vector<PipelineStage>> path_stages(std::shared_ptr<const PipelineProfile> profile,
                                               const std::string& scratch);

/// A sequencer with everything below it, fed with the wire forms of the profile by one thread, for
/// each number of workers but 0: as fast as it takes them ("node"), and evenly at half of the rate
/// that this gave ("node_half"). Without `recover` senders are given along, and the names end in
/// "_recovered". Its data directories are below `scratch`.
std::vector<PipelineStage> node_stages(std::shared_ptr<const PipelineProfile> profile,
                                       const std::vector<uint32_t>& workers, bool recover,
                                       const std::string& scratch);

/// The execution of real blocks out of the files at `path`, with each number of workers: the time
/// of all of them one after the other, senders known. With 0 workers their gas must be that of
/// their headers; with workers they must have done what a serial execution does in the order of the
/// commits. Beside 0 workers the others say how much faster the single blocks were.
Result<std::vector<PipelineStage>> mainnet_stages(const std::string& path,
                                                  const std::vector<uint32_t>& workers);

}  // namespace millrace::node
