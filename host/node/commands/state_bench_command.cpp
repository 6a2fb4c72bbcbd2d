// SPDX-License-Identifier: Apache-2.0
// Owns `millrace bench state`: its options and its help.
#include <cstdio>
#include <memory>

#include <CLI/CLI.hpp>

#include "host/node/benchmark/state_bench.hpp"
#include "host/node/commands/commands.hpp"
#include "host/node/commands/stop_signals.hpp"

namespace millrace::node {

void add_state_bench_command(CLI::App& bench, Run& run) {
    CLI::App* state = bench.add_subcommand(
        "state",
        "Time the state engine beside RocksDB and LMDB, where these are installed; every store is "
        "checked first");
    auto a = std::make_shared<StateBenchArguments>();
    state
        ->add_option("--stores", a->stores,
                     "Of keccak256, blake3, sha256 (the state engine by hash), rocksdb, lmdb")
        ->capture_default_str();
    state
        ->add_option("--measures", a->measures,
                     "All, or of update, skewed, churn, mini-block, read, proof, footprint, "
                     "restart, rollback")
        ->capture_default_str();
    state
        ->add_option("--keys", a->keys,
                     "Numbers of keys, each a run of its own, e.g. 5000000,20000000")
        ->capture_default_str();
    state->add_option("--batch", a->batches, "Writes of a batch, e.g. 10000,100000")
        ->capture_default_str();
    state->add_option("--load-batch", a->load_batch, "Keys of a batch while the state is filled")
        ->capture_default_str();
    state
        ->add_option("--writes", a->writes,
                     "Writes of each measure: updates, skewed updates, updates with creates and "
                     "deletes; p99 of a batch takes 100 batches")
        ->capture_default_str();
    state
        ->add_option("--mini-blocks", a->mini_blocks,
                     "Batches of 1,000 updates, one each 10 ms; 0: none")
        ->capture_default_str();
    state->add_option("--reads", a->reads, "Reads of present keys, and as many of absent ones")
        ->capture_default_str();
    state->add_option("--seed", a->seed, "Seed of keys, values and choices")->capture_default_str();
    state->add_option("--dir", a->directory,
                      "Existing folder on the disk to measure; files are removed after use [the "
                      "system's temporary folder]");
    state->add_flag("--memory", a->in_memory,
                    "Files in memory (tmpfs): in /dev/shm unless --dir is given");
    state->add_option("--json", a->json, "Also write the result to this file as JSON");
    state->add_option("--markdown", a->markdown, "Also write what is printed to this file");
    state->footer("Exit codes: 0 all answers right, 1 a wrong answer, a full disk or a file that "
                  "cannot be written,\n2 usage, 130 interrupted: what was measured until then is "
                  "written. How to read the result:\nhost/node/benchmark/README.md.");
    state->callback([a, &run] {
        run = [a] {
            return run_state_bench(*a, state_bench::store_kinds(), stop_on_signals(), stdout,
                                   stderr);
        };
    });
}

}  // namespace millrace::node
