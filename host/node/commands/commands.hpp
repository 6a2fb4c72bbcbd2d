// SPDX-License-Identifier: Apache-2.0
// Owns the list of subcommands and the exit codes that scripts rely on.
#pragma once

#include <functional>

namespace CLI {
class App;
}

namespace millrace::node {

/// Documented exit codes; `millrace --help` lists them.
enum ExitCode : int {
    exit_ok = 0,
    exit_unexpected = 1,
    exit_usage = 2,
    exit_config = 3,
    exit_database = 4,
    exit_disk = 5,
    exit_gpu = 6,
    exit_port = 7,
    exit_interrupted = 130,  ///< a measurement, whose results so far were written
};

/// Each registers its options with `app` and sets `run` when the user chose it.
using Run = std::function<int()>;
void add_node_command(CLI::App& app, Run& run);
void add_evm_command(CLI::App& app, Run& run);
/// Below `millrace evm`.
void add_evm_bench_command(CLI::App& evm, Run& run);
void add_evm_jit_command(CLI::App& evm, Run& run);
void add_evm_run_command(CLI::App& evm, Run& run);
void add_bench_command(CLI::App& app, Run& run);
void add_load_command(CLI::App& app, Run& run);
void add_db_command(CLI::App& app, Run& run);
/// Below `millrace bench`.
void add_pipeline_bench_command(CLI::App& bench, Run& run);
void add_state_bench_command(CLI::App& bench, Run& run);
void add_config_command(CLI::App& app, Run& run);
void add_completions_command(CLI::App& app, Run& run);

}  // namespace millrace::node
