// SPDX-License-Identifier: Apache-2.0
// Owns the result of `millrace bench state` and the forms it is written in.
#pragma once

#include <string>
#include <vector>

#include "host/node/benchmark/state_run.hpp"
#include "kernels/bench/environment.hpp"

namespace millrace::node::state_bench {

struct Report {
    kernel_bench::Environment environment;
    uint64_t load_batch = 0;
    uint64_t seed = 0;
    bool in_memory = false;  ///< the stores' files were in memory
    bool interrupted = false;
    std::vector<Row> rows;

    size_t count(Row::State state) const noexcept;
};

/// google-benchmark's shape.
std::string to_json(const Report& report);
/// For people: a table for each number of keys with a column for each store, how many times better
/// the first engine is than each database, and the target beside it.
std::string to_markdown(const Report& report);

}  // namespace millrace::node::state_bench
