// SPDX-License-Identifier: Apache-2.0
// Owns `millrace bench` and `millrace bench kernels`: options and help.
#include <charconv>
#include <cstdio>
#include <memory>

#include <CLI/CLI.hpp>

#include "host/node/benchmark/kernel_bench.hpp"
#include "host/node/commands/commands.hpp"
#include "host/node/commands/stop_signals.hpp"
#include "kernels/bench/registry.hpp"

namespace millrace::node {
namespace {

/// The library takes -1 and what is too large for 2^64 - 1.
std::string check_seed(const std::string& text) {
    uint64_t seed = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), seed);
    const bool whole = error == std::errc{} && end == text.data() + text.size();
    return whole ? "" : "'" + text + "' is not a whole number below 2^64";
}

}  // namespace

void add_bench_command(CLI::App& app, Run& run) {
    CLI::App* bench = app.add_subcommand("bench", "Time parts of the node on this machine");
    bench->require_subcommand(1);
    add_pipeline_bench_command(*bench, run);
    add_state_bench_command(*bench, run);
    CLI::App* kernels = bench->add_subcommand(
        "kernels",
        "Time hashing, recovery, trees, packing and copies on each back end of the CPU and on "
        "CUDA; every answer is checked first");
    auto a = std::make_shared<KernelBenchArguments>();
    std::string what = "Which:";
    for (const kernel_bench::Family& family : kernel_bench::families()) {
        what += " " + family.name + " (" + family.summary + "),";
    }
    what.back() = ';';
    kernels->add_option("family", a->families, what + " all by default");
    kernels->add_option("--batch", a->batches,
                        "Batch sizes, e.g. 1,256,64K, or sweeps FIRST..LAST[:FACTOR]; at most 1M "
                        "[sweep: 1..1M:4]");
    kernels
        ->add_option("--sizes", a->sizes,
                     "Message sizes of the hashes in bytes, at most 64K [64,136,1024]")
        ->capture_default_str();
    std::string backends = "Only these:";
    for (const std::string& name : kernel_bench::backend_names(kernel_bench::families())) {
        backends += " " + name + ",";
    }
    backends.pop_back();
    kernels->add_option("--backends", a->backends, backends);
    kernels->add_option("--threads", a->threads, "CPU cores that share a batch")
        ->capture_default_str();
    kernels->add_option("--seconds", a->seconds,
                        "Samples of each row, 0.001 to 60; a batch whose single call would take "
                        "ten times as long is skipped [0.2]");
    kernels->add_option("--seed", a->seed, "Seed of the inputs")
        ->check(check_seed)
        ->capture_default_str();
    kernels->add_flag("--quick", a->quick,
                      "A look in seconds: batches 1,64,4K, messages of 64 bytes and 0.01 s a row "
                      "unless given");
    kernels
        ->add_option("--context", a->context,
                     "KEY=VALUE to record with the environment; may be repeated")
        ->allow_extra_args(false);
    kernels->add_option("--json", a->json, "Also write the result to this file as JSON");
    kernels->add_option("--csv", a->csv, "Also write the result to this file as CSV");
    kernels->add_option("--markdown", a->markdown, "Also write what is printed to this file");
    kernels->add_option("--svg", a->svg, "Also plot the rates over the batch size to this file");
    kernels->footer("Exit codes: 0 all answers right, 1 a wrong answer or a file that cannot be "
                    "written, 2 usage,\n130 interrupted: what was measured until then is written. "
                    "A back end that is absent is listed\nas skipped with its reason. How to read "
                    "the result: bench/README.md.");
    kernels->callback([a, &run] {
        run = [a] {
            return run_kernel_bench(*a, kernel_bench::families(), stop_on_signals(), stdout,
                                    stderr);
        };
    });
}

}  // namespace millrace::node
