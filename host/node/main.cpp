// SPDX-License-Identifier: Apache-2.0
// Owns main(): the command line, its help and the exit codes.
#include <cstdio>

#include <CLI/CLI.hpp>

#include "host/node/commands/commands.hpp"

int main(int argc, char** argv) {
    using namespace millrace::node;
    CLI::App app{"Millrace: a real-time Ethereum layer-2 node", "millrace"};
    app.set_version_flag("--version", "millrace " MILLRACE_VERSION);
    app.require_subcommand(1);
    app.footer("Exit codes: 0 clean end or SIGTERM, 1 unexpected, 2 usage, 3 configuration or "
               "genesis mismatch,\n"
               "4 database newer, older or damaged, 5 disk guard, 6 GPU demanded but absent, 7 "
               "port in use.\n"
               "130 `bench` or `load` was interrupted.");
    Run run;
    add_node_command(app, run);
    add_evm_command(app, run);
    add_evm_bench_command(*app.get_subcommand("evm"), run);
    add_evm_jit_command(*app.get_subcommand("evm"), run);
    add_evm_run_command(*app.get_subcommand("evm"), run);
    add_bench_command(app, run);
    add_load_command(app, run);
    add_db_command(app, run);
    add_config_command(app, run);
    add_completions_command(app, run);
    // CLI11 would only say that a subcommand is missing.
    if (argc > 1 && argv[1][0] != '-' &&
        app.get_subcommands([&](const CLI::App* sub) { return sub->get_name() == argv[1]; })
            .empty()) {
        std::fprintf(stderr, "millrace: unknown command '%s'; see millrace --help\n", argv[1]);
        return exit_usage;
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::ParseError& e) {
        // CLI11 has codes of its own (109 for an unknown flag); ours are documented.
        return app.exit(e) == 0 ? exit_ok : exit_usage;
    }
    return run ? run() : exit_usage;
}
