// SPDX-License-Identifier: Apache-2.0
// Owns the stages of the pipeline, each as something that can be checked and timed.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "host/base/error.hpp"
#include "host/node/benchmark/pipeline_profile.hpp"
#include "host/node/benchmark/pipeline_report.hpp"

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

/// Execution of the profile, with each of these numbers of workers.
std::vector<PipelineStage> execution_stages(std::shared_ptr<const PipelineProfile> profile,
                                            const std::vector<uint32_t>& workers);

}  // namespace millrace::node
