// SPDX-License-Identifier: Apache-2.0
// Owns `millrace evm`: conformance fixtures and real blocks against the state transition.
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <memory>
#include <optional>

#include <CLI/CLI.hpp>

#include "host/node/commands/commands.hpp"
#include "host/node/commands/trace_options.hpp"
#include "host/node/conformance/block_test.hpp"
#include "host/node/conformance/mainnet_block.hpp"
#include "host/node/commands/jit_options.hpp"
#include "host/node/conformance/state_test.hpp"

namespace millrace::node {
namespace {

struct FixtureArguments {
    std::string path;
    std::string json_path;
    RunnerOptions options;
    TraceOptions trace;
    JitArguments jit;
    double required_percent = 100;
};

struct BlockArguments {
    std::string path;
    std::string json_path;
    MainnetBlockOptions options;
    JitArguments jit;
};

/// Writes the whole text; "-" is standard output.
bool write_text(const std::string& path, const std::string& text) {
    if (path == "-") { return std::fwrite(text.data(), 1, text.size(), stdout) == text.size(); }
    std::FILE* file = std::fopen(path.c_str(), "wb");
    bool done = file != nullptr && std::fwrite(text.data(), 1, text.size(), file) == text.size();
    if (file != nullptr) { done = std::fclose(file) == 0 && done; }
    if (!done) {
        std::fprintf(stderr, "millrace: cannot write %s: %s\n", path.c_str(), std::strerror(errno));
    }
    return done;
}

int refuse(const Error& error) {
    std::fprintf(stderr, "millrace: %s\n", error.message.c_str());
    return exit_usage;
}

/// Says on standard error what compiled code did; false when it differed from the interpreter.
bool report_jit(const evm::jit::JitEngine* jit) {
    if (jit == nullptr) { return true; }
    const std::string text = jit_summary(*jit);
    std::fwrite(text.data(), 1, text.size(), stderr);
    return jit->differences().empty();
}

using RunFixtures = Result<ConformanceReport> (*)(const std::string&, const RunnerOptions&);

int run_fixture_command(const FixtureArguments& a, RunFixtures run, const char* command,
                        const char* what) {
    RunnerOptions options = a.options;
    std::optional<TraceFile> trace;
    if (a.trace.enabled) {
        auto file = TraceFile::open(a.trace);
        if (!file) { return refuse(file.error()); }
        trace.emplace(*std::move(file));
        options.trace = [&trace](std::string_view lines) { trace->write(lines); };
        options.trace_fields = a.trace.fields;
        options.progress = false;  // it would be written among the lines
    }
    const auto jit = make_jit(a.jit);
    if (!jit) { return refuse(jit.error()); }
    options.native_tier = jit->get();
    const auto report = run(a.path, options);
    if (!report) { return refuse(report.error()); }
    const bool jit_differs = !report_jit(jit->get());
    if (trace) {
        if (const auto written = trace->finish(); !written) { return refuse(written.error()); }
    }
    if (a.json_path != "-") {
        const std::string text = summary_text(*report, what);
        std::fwrite(text.data(), 1, text.size(), a.trace.on_stdout() ? stderr : stdout);
    }
    if (!a.json_path.empty() && !write_text(a.json_path, report_json(*report, command, a.path))) {
        return exit_usage;
    }
    const uint64_t total = report->total();
    const double percent =
        total == 0 ? 0 : 100.0 * static_cast<double>(report->passed) / static_cast<double>(total);
    // Nothing that matched the filter is no success.
    return total != 0 && percent >= a.required_percent && !jit_differs ? exit_ok : exit_unexpected;
}

int run_block_command(const BlockArguments& a) {
    const auto jit = make_jit(a.jit);
    if (!jit) { return refuse(jit.error()); }
    MainnetBlockOptions options = a.options;
    options.native_tier = jit->get();
    const auto results = run_mainnet_blocks(a.path, options);
    if (!results) { return refuse(results.error()); }
    if (!report_jit(jit->get())) { return exit_unexpected; }
    if (a.json_path != "-") {
        const std::string text = mainnet_text(*results);
        std::fwrite(text.data(), 1, text.size(), stdout);
    }
    if (!a.json_path.empty() &&
        !write_text(a.json_path, mainnet_json(*results, a.path, a.options))) {
        return exit_usage;
    }
    for (const MainnetBlockResult& r : *results) {
        if (!r.failure.empty()) { return exit_unexpected; }
    }
    return exit_ok;
}

CLI::App* add_fixture_command(CLI::App& evm, const char* name, const char* description,
                              const std::shared_ptr<FixtureArguments>& a) {
    a->options.progress = true;
    CLI::App* command = evm.add_subcommand(name, description);
    command->add_option("path", a->path, "Fixture file, or a directory of them")->required();
    command->add_option("--filter", a->options.filter, "Only tests whose name contains this text");
    command->add_option("--fork", a->options.fork, "Only this fork or network, e.g. Prague");
    command->add_option("--threads", a->options.thread_count, "Worker threads (0: one per CPU)");
    command->add_option(
        "--uses-until-fast", a->options.uses_until_fast,
        "Calls (8 each) and jumps after which code runs by run checks; default by size");
    add_jit_options(*command, a->jit);
    command->add_option("--json", a->json_path,
                        "Write the result to this file as JSON; - for standard output");
    command->add_option("--require", a->required_percent, "Percent that must pass for exit code 0")
        ->capture_default_str()
        ->check(CLI::Range(0.0, 100.0));
    return command;
}

}  // namespace

void add_evm_command(CLI::App& app, Run& run) {
    CLI::App* evm = app.add_subcommand("evm", "Run the EVM on its own");
    evm->require_subcommand(1);

    auto state = std::make_shared<FixtureArguments>();
    CLI::App* state_test = add_fixture_command(
        *evm, "statetest", "Run GeneralStateTest fixtures and print what differs", state);
    add_trace_options(*state_test, state->trace);
    state_test->callback([state, &run] {
        run = [state] {
            return run_fixture_command(*state, run_state_tests, "evm statetest", "state tests");
        };
    });

    auto chain = std::make_shared<FixtureArguments>();
    CLI::App* block_test = add_fixture_command(
        *evm, "blocktest",
        "Run BlockchainTest fixtures; invalid blocks must be refused for the right reason", chain);
    block_test->callback([chain, &run] {
        run = [chain] {
            return run_fixture_command(*chain, run_block_tests, "evm blocktest", "block tests");
        };
    });

    auto block = std::make_shared<BlockArguments>();
    block->options.progress = true;
    CLI::App* mainnet = evm->add_subcommand(
        "block", "Execute real blocks; check gas used, logs bloom and receipts root");
    mainnet->add_option("path", block->path, "Block file (*.json, *.json.zst), or a directory")
        ->required();
    mainnet->add_option("--filter", block->options.filter,
                        "Only files whose name contains this text");
    mainnet->add_option("--repeat", block->options.repeat, "Executions of each block, for timing")
        ->capture_default_str()
        ->check(CLI::Range(1u, 1'000'000u));
    mainnet->add_option("--json", block->json_path,
                        "Write the result to this file as JSON; - for standard output");
    add_jit_options(*mainnet, block->jit);
    mainnet->add_flag("--receipts", block->options.receipts,
                      "List the gas used up to each transaction in the JSON result");
    mainnet->callback([block, &run] { run = [block] { return run_block_command(*block); }; });
}

}  // namespace millrace::node
