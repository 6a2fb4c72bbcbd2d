// SPDX-License-Identifier: Apache-2.0
// Owns the results of the pipeline's measurement and the forms they are written in.
#pragma once

#include <cstdint>
#include <string>
#include <utility>
#include <vector>

#include "kernels/bench/environment.hpp"
#include "kernels/bench/statistics.hpp"

namespace millrace::node {

/// One timing of one stage, in microseconds for all of its transactions.
struct PipelineSample {
    double wall_us = 0;
    double cpu_us = 0;  ///< of all threads
    /// Other figures, by name, the unit last in it: conflicts, latencies, parts of the time.
    std::vector<std::pair<std::string, double>> figures;
};

/// A stage of one profile with one number of workers.
struct PipelineRow {
    enum class State : uint8_t { measured, skipped, failed };
    std::string profile;
    std::string stage;
    uint32_t workers = 0;
    size_t transactions = 0;
    State state = State::skipped;
    std::string reason;  ///< why it was skipped or failed
    std::vector<PipelineSample> samples;

    /// Of one transaction.
    kernel_bench::Summary wall_us() const;
    kernel_bench::Summary cpu_us() const;
    double transactions_per_second() const;  ///< at the median of the wall time
    /// Medians over the samples.
    std::vector<std::pair<std::string, double>> figures() const;
    /// "pipeline/erc20/execute/workers:2".
    std::string name() const;
};

struct PipelineReport {
    kernel_bench::Environment environment;
    size_t repeat = 0;
    bool interrupted = false;
    std::vector<PipelineRow> rows;

    size_t count(PipelineRow::State state) const noexcept;
};

/// google-benchmark's shape.
std::string to_json(const PipelineReport& report);
/// Tables for people.
std::string to_markdown(const PipelineReport& report);

}  // namespace millrace::node
