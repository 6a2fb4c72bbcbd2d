// SPDX-License-Identifier: Apache-2.0
// Owns `millrace bench pipeline`: its options and its help.
#include <cstdio>
#include <memory>

#include <CLI/CLI.hpp>

#include "host/node/benchmark/pipeline_bench.hpp"
#include "host/node/benchmark/pipeline_profile.hpp"
#include "host/node/commands/commands.hpp"
#include "host/node/commands/stop_signals.hpp"

namespace millrace::node {

void add_pipeline_bench_command(CLI::App& bench, Run& run) {
    CLI::App* pipeline = bench.add_subcommand(
        "pipeline",
        "Time the way of transactions through the node, stage by stage and as a whole, without the "
        "network; every result is checked first");
    auto a = std::make_shared<PipelineBenchArguments>();
    std::string what = "Which, or all:";
    for (const PipelineProfileKind& k : pipeline_profile_kinds()) {
        what += " " + std::string(k.name) + " (" + std::string(k.summary) + "),";
    }
    what += " " + std::string(pipeline_mainnet_profile) +
            " (real blocks out of --blocks, execution only)";
    pipeline->add_option("--profile", a->profiles, what)->capture_default_str();
    pipeline
        ->add_option(
            "--stage", a->stages,
            "Which rows, or all: path (each stage but execution on its own), execute, node (a "
            "whole sequencer)")
        ->capture_default_str();
    pipeline
        ->add_option("--workers", a->workers,
                     "Numbers of execution workers, 0 for none, e.g. 0,1,2")
        ->capture_default_str();
    pipeline->add_option("--transactions", a->transactions, "Transactions of each run")
        ->capture_default_str();
    pipeline->add_option("--repeat", a->repeat, "Runs of each row")->capture_default_str();
    pipeline
        ->add_option(
            "--recover", a->recover,
            "Feed whole sequencers with signed transactions (on), with senders known (off)")
        ->capture_default_str();
    pipeline
        ->add_option("--jit", a->jit,
                     "on: contracts run compiled, compiled before they are timed; off: in the "
                     "interpreter")
        ->capture_default_str();
    pipeline->add_option("--scratch", a->scratch,
                         "Existing folder for logs and data, removed after use [the system's "
                         "temporary folder]");
    pipeline
        ->add_option("--artifacts", a->artifacts,
                     "node_modules folder with @uniswap/v2-core, for the profiles with swaps")
        ->capture_default_str();
    pipeline->add_option("--blocks", a->blocks,
                         "Block files, or a folder of them, as `millrace evm block` takes them");
    pipeline->add_option("--json", a->json, "Also write the result to this file as JSON");
    pipeline->add_option("--markdown", a->markdown, "Also write what is printed to this file");
    pipeline->footer(
        "Exit codes: 0 all results right, 1 a wrong result or a file that cannot be "
        "written, 2 usage,\n130 interrupted: what was measured until then is written.");
    pipeline->callback([a, &run] {
        run = [a] { return run_pipeline_bench(*a, stop_on_signals(), stdout, stderr); };
    });
}

}  // namespace millrace::node
