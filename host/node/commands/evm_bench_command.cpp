// SPDX-License-Identifier: Apache-2.0
// Owns `millrace evm bench`: the speed of the EVM and of its precompiles on work with known
// results.
#include <cstdio>
#include <fstream>
#include <memory>

#include <CLI/CLI.hpp>
#include <sys/utsname.h>

#include <boost/json/serialize.hpp>

#include "evm/jit/engine.hpp"
#include "host/node/benchmark/evm_workload.hpp"
#include "host/node/benchmark/evm_worst_cases.hpp"
#include "host/node/benchmark/precompile_bench.hpp"
#include "host/node/commands/commands.hpp"
#include "host/node/json.hpp"

namespace millrace::node {
namespace {

struct BenchArguments {
    std::string path;
    std::string npm_directory = "tests/e2e/node_modules";
    std::string json;
    EvmBenchOptions options;
    bool worst_cases = false;
    bool precompiles = false;
    std::string fork = "Osaka";
    std::vector<std::string> tiers = {"interpreter"};
};

std::string cpu_name() {
    std::ifstream in("/proc/cpuinfo");
    std::string line;
    while (std::getline(in, line)) {
        if (line.starts_with("model name")) { return line.substr(line.find(':') + 2); }
    }
    return "unknown";
}

boost::json::object environment() {
    utsname u{};
    uname(&u);
    return {{"cpu", cpu_name()},
            {"kernel", u.release},
            {"compiler", "clang " __clang_version__},
            {"millrace", MILLRACE_VERSION},
            {"time", "CPU time of the thread"}};
}

/// google-benchmark's shape, times in microseconds of CPU.
boost::json::value to_json(const std::vector<EvmTiming>& timings) {
    boost::json::array rows;
    for (const EvmTiming& t : timings) {
        rows.push_back(boost::json::object{{"name", "evm/" + t.name},
                                           {"tier", t.tier},
                                           {"run_type", "aggregate"},
                                           {"aggregate_name", "median"},
                                           {"iterations", t.runs},
                                           {"cpu_time", t.median_us},
                                           {"cpu_time_min", t.min_us},
                                           {"cpu_time_max", t.max_us},
                                           {"time_unit", "us"},
                                           {"mgas_per_second", t.mgas_per_s},
                                           {"stateful", t.stateful}});
    }
    return boost::json::object{{"context", environment()}, {"benchmarks", rows}};
}

boost::json::value to_json(const std::vector<EvmWorstCaseTiming>& timings) {
    boost::json::array rows;
    for (const EvmWorstCaseTiming& t : timings) {
        rows.push_back(boost::json::object{{"name", "evm_worst/" + t.name},
                                           {"run_type", "aggregate"},
                                           {"aggregate_name", "median"},
                                           {"iterations", t.runs},
                                           {"cpu_time", t.median_us},
                                           {"time_unit", "us"},
                                           {"gas", t.gas_used},
                                           {"mgas_per_second", t.mgas_per_s}});
    }
    return boost::json::object{{"context", environment()}, {"benchmarks", rows}};
}

boost::json::value to_json(const std::vector<PrecompileTiming>& timings, std::string_view fork) {
    boost::json::object context = environment();
    context["fork"] = fork;
    boost::json::array rows;
    for (const PrecompileTiming& t : timings) {
        rows.push_back(boost::json::object{{"name", "precompile/" + t.name},
                                           {"run_type", "aggregate"},
                                           {"aggregate_name", "median"},
                                           {"iterations", t.samples * t.calls_per_sample},
                                           {"cpu_time", t.median_us},
                                           {"cpu_time_min", t.min_us},
                                           {"cpu_time_max", t.max_us},
                                           {"time_unit", "us"},
                                           {"gas", t.gas},
                                           {"mgas_per_second", t.mgas_per_s}});
    }
    return boost::json::object{{"context", context}, {"benchmarks", rows}};
}

/// Whether the result is in the file, or nobody asked for one.
bool write_json(const std::string& path, const boost::json::value& result) {
    if (path.empty()) { return true; }
    std::ofstream out(path);
    out << boost::json::serialize(result) << '\n';
    if (!out) { std::fprintf(stderr, "millrace: cannot write %s\n", path.c_str()); }
    return out.good();
}

int run_precompiles(const BenchArguments& a) {
    const auto revision = evm::revision_from_text(a.fork);
    if (!revision) {
        std::fprintf(stderr, "millrace: unknown fork '%s'; use a name such as Osaka\n",
                     a.fork.c_str());
        return exit_usage;
    }
    const auto timings =
        run_precompile_bench(precompile_cases(), {a.options.filter, *revision, a.options.runs_min,
                                                  a.options.seconds_min});
    if (!timings) {
        std::fprintf(stderr, "millrace: %s\n", timings.error().message.c_str());
        return exit_unexpected;
    }
    if (timings->empty()) {
        std::fprintf(stderr, "millrace: no precompile of %s matches '%s'\n", a.fork.c_str(),
                     a.options.filter.c_str());
        return exit_usage;
    }
    std::printf("%-34s %10s %12s %12s %12s %10s\n", "precompile", "gas", "median us", "min us",
                "max us", "Mgas/s");
    const PrecompileTiming* slowest = &timings->front();
    for (const PrecompileTiming& t : *timings) {
        std::printf("%-34s %10llu %12.3f %12.3f %12.3f %10.1f\n", t.name.c_str(),
                    static_cast<unsigned long long>(t.gas), t.median_us, t.min_us, t.max_us,
                    t.mgas_per_s);
        if (t.mgas_per_s < slowest->mgas_per_s) { slowest = &t; }
    }
    std::printf("worst: %s with %.1f Mgas/s at the prices of %s\n", slowest->name.c_str(),
                slowest->mgas_per_s, a.fork.c_str());
    return write_json(a.json, to_json(*timings, a.fork)) ? exit_ok : exit_unexpected;
}

int run_worst_cases(const BenchArguments& a) {
    EvmWorstCaseOptions options;
    options.filter = a.options.filter;
    const auto timings = run_evm_worst_cases(options);
    if (!timings) {
        std::fprintf(stderr, "millrace: %s\n", timings.error().message.c_str());
        return exit_unexpected;
    }
    const double median = median_mgas_per_s(*timings);
    std::printf("%-40s %10s %12s %10s %10s\n", "program", "Mgas/s", "median us", "gas", "x median");
    for (const EvmWorstCaseTiming& t : *timings) {
        std::printf("%-40s %10.0f %12.1f %10llu %10.2f\n", t.name.c_str(), t.mgas_per_s,
                    t.median_us, static_cast<unsigned long long>(t.gas_used),
                    median / t.mgas_per_s);
    }
    if (!timings->empty()) {
        std::printf("worst %.0f Mgas/s (%s), median %.0f Mgas/s; 'x median' is time per gas\n",
                    timings->front().mgas_per_s, timings->front().name.c_str(), median);
    }
    return write_json(a.json, to_json(*timings)) ? exit_ok : exit_unexpected;
}

void print_contracts(const std::vector<evm::jit::JitContract>& contracts) {
    std::printf("\ncompiled: %8s %12s %10s %10s\n", "code B", "machine B", "ms", "ms/KB");
    for (const evm::jit::JitContract& c : contracts) {
        const double ms = static_cast<double>(c.compile_us) / 1e3;
        std::printf("          %8zu %12zu %10.1f %10.1f%s%s\n", c.code_bytes, c.machine_code_bytes,
                    ms, ms * 1024 / static_cast<double>(c.code_bytes),
                    c.refused.empty() ? "" : "  refused: ", c.refused.c_str());
    }
}

int run_workloads(const BenchArguments& a) {
    auto file = load_evm_workloads(a.path, a.npm_directory);
    if (!file) {
        std::fprintf(stderr, "millrace: %s\n", file.error().message.c_str());
        return exit_usage;
    }
    for (const std::string& s : file->skipped) { std::fprintf(stderr, "skipped %s\n", s.c_str()); }
    std::unique_ptr<evm::jit::JitEngine> jit;
    EvmBenchOptions options = a.options;
    for (const std::string& tier : a.tiers) {
        evm::NativeTier* native = nullptr;
        if (tier == "jit") {
            // Everything is compiled before it is timed, and not repeated by the interpreter.
            evm::jit::JitOptions jit_options;
            jit_options.mode = evm::jit::JitMode::eager;
            jit_options.shadow_runs = 0;
            auto engine = evm::jit::JitEngine::create(jit_options);
            if (!engine) {
                std::fprintf(stderr, "millrace: %s\n", engine.error().message.c_str());
                return exit_usage;
            }
            jit = std::move(*engine);
            native = jit.get();
        }
        options.tiers.push_back({tier, native});
    }
    const auto timings = run_evm_bench(*file, options);
    if (!timings) {
        std::fprintf(stderr, "millrace: %s\n", timings.error().message.c_str());
        return exit_unexpected;
    }
    std::printf("%-26s %-12s %12s %12s %12s %10s %6s\n", "workload", "tier", "median us", "min us",
                "max us", "Mgas/s", "runs");
    for (const EvmTiming& t : *timings) {
        std::printf("%-26s %-12s %12.1f %12.1f %12.1f %10.0f %6zu\n", t.name.c_str(),
                    t.tier.c_str(), t.median_us, t.min_us, t.max_us, t.mgas_per_s, t.runs);
    }
    if (jit != nullptr) { print_contracts(jit->contracts()); }
    return write_json(a.json, to_json(*timings)) ? exit_ok : exit_unexpected;
}

}  // namespace

void add_evm_bench_command(CLI::App& evm, Run& run) {
    CLI::App* bench =
        evm.add_subcommand("bench", "Time the EVM on work whose results are checked first");
    auto a = std::make_shared<BenchArguments>();
    CLI::Option* path =
        bench->add_option("path", a->path, "Workload file, e.g. workloads/evm.json");
    bench
        ->add_flag("--precompiles", a->precompiles,
                   "Time each precompile on its worst inputs instead of a workload file")
        ->excludes(path);
    bench
        ->add_flag(
            "--worst-cases", a->worst_cases,
            "Time programs that make each opcode as slow for its gas as we know how, at Osaka")
        ->excludes(path)
        ->excludes("--precompiles");
    bench->add_option("--fork", a->fork, "Prices and contracts for --precompiles")
        ->capture_default_str();
    bench->add_option("--npm", a->npm_directory, "node_modules folder for code given by reference")
        ->capture_default_str();
    bench->add_option("--filter", a->options.filter,
                      "Only workloads or precompiles whose name contains this text");
    bench
        ->add_option("--tier", a->tiers,
                     "Tiers to run each workload with, in turn: interpreter, jit, or both")
        ->delimiter(',')
        ->check(CLI::IsMember({"interpreter", "jit"}))
        ->capture_default_str();
    bench->add_option("--runs", a->options.runs_min, "Least runs of each")->capture_default_str();
    bench->add_option("--seconds", a->options.seconds_min, "Least CPU seconds for each")
        ->capture_default_str();
    bench->add_option("--json", a->json, "Also write the result to this file");
    bench->callback([a, path, &run] {
        if (!a->precompiles && !a->worst_cases && path->count() == 0) {
            throw CLI::RequiredError("a workload file, --precompiles or --worst-cases");
        }
        run = [a] {
            if (a->precompiles) { return run_precompiles(*a); }
            return a->worst_cases ? run_worst_cases(*a) : run_workloads(*a);
        };
    });
}

}  // namespace millrace::node
